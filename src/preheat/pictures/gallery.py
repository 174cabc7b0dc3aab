"""The gallery: every registered schedule on one page, with sliders and the text of what they show.

The page draws with `schedules.js`, which holds the formulas once more; a schedule that has none there, such
as one registered by a third party, is drawn here and stands still. Nothing on the page comes from outside of
it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from inspect import getdoc
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup, escape

from preheat.core.errors import UserError, explain
from preheat.core.lengths import steps
from preheat.core.registry import SCHEDULES
from preheat.pictures.gallery_options import options
from preheat.report.drawing.html import asset, page
from preheat.schedules.combine.excerpt import excerpt
from preheat.schedules.combine.extended import extended
from preheat.schedules.combine.floored import floored
from preheat.schedules.combine.product import product
from preheat.schedules.combine.scaled import scaled
from preheat.schedules.combine.then import then
from preheat.schedules.pieces import Piece, Pieces
from preheat.schedules.resolved import Resolved
from preheat.schedules.rule import Rule
from preheat.schedules.shapes.constant import constant
from preheat.schedules.shapes.cosine import cosine
from preheat.schedules.shapes.linear import linear
from preheat.schedules.shapes.radam import radam
from preheat.schedules.shapes.wsd import wsd

TOTAL = 1000  # steps of the run that a picture which stands still shows, and what else is known of it
KNOWN = {"per_epoch": 20, "peak": 1e-2}
CODES = "N P C E L S OC CY H EH WH WEH WC"  # they stand still: each is another card's schedule
FAMILIES = {
    "Constant and decays": "constant cosine exp_hyperbolic exponential hyperbolic inverse_sqrt inverse_time "
    "k_decay linear polynomial rex tanh",
    "Held, then down": "power_law step wsd",
    "Cycles": "one_cycle restarts triangular",
    "Tables and points": "spline tabulated",
    "Warmups that follow from Adam's beta2": "gi_adam radam untuned_exponential untuned_linear",
    "Codes of the HyperbolicLR experiments, over 50 epochs": CODES,
    "Made of others": "excerpt extended floored pieces product scaled then",
}
OTHERS = "Others"
_HERE = "preheat.pictures"

# what is made of other schedules has no sliders: how to write one, and the same thing
COMBINATIONS: dict[str, tuple[str, Callable[[], Rule]]] = {
    "pieces": (
        'Pieces([Piece("5%", 0, 1), Piece(None, 1, 0.3, "cosine"), Piece("20%", 0.3, 0, "1-sqrt")])',
        lambda: Pieces((Piece(0.05, 0, 1), Piece(None, 1, 0.3, "cosine"), Piece(0.2, 0.3, 0, "1-sqrt"))),  # type: ignore[arg-type]
    ),
    "product": ("radam(beta2=0.99) * cosine()", lambda: product(radam(beta2=0.99), cosine())),
    "then": (
        'wsd(warmup="5%").then(linear().scaled(0.3), at="60%")',
        lambda: then(wsd(warmup="5%"), scaled(linear(), 0.3), "60%"),  # type: ignore[arg-type]
    ),
    "floored": ('cosine(warmup="10%").floored(0.2)', lambda: floored(cosine(warmup="10%"), 0.2)),  # type: ignore[arg-type]
    "scaled": ('constant(warmup="10%").scaled(0.5)', lambda: scaled(constant(warmup="10%"), 0.5)),  # type: ignore[arg-type]
    "excerpt": (
        "excerpt(cosine(), was=2000, begin=700)",
        lambda: excerpt(cosine(), was=2000, begin=steps(700)),
    ),
    "extended": (
        'cosine(warmup=50).resolve(500).extend(1000, at=300, how="rescale")',
        lambda: extended(cosine(warmup=50), was=500, place=300, how="rescale"),  # type: ignore[arg-type]
    ),
}


class ScheduleCard(NamedTuple):
    """A schedule on the page: its words, and the data of its sliders or of its picture."""

    name: str
    family: str
    line: str
    formula: str
    more: str
    data: dict[str, Any]


class Family(NamedTuple):
    """Cards under one heading."""

    title: str
    cards: list[ScheduleCard]


def write_gallery(path: str | Path, *, total: int = TOTAL, peak: float = 1.0) -> Path:
    """Write the page to an .html file; equal catalogues give equal bytes. The path comes back.

    total, peak: the steps and the peak rate with which it opens.
    """
    file = Path(path)
    if file.suffix.lower() != ".html":
        raise UserError(f"a gallery is an .html file, got {str(path)!r}: write {file.stem or 'gallery'}.html")
    if not file.parent.is_dir():
        raise UserError(f"a gallery needs a folder that exists, got {str(file.parent)!r}: make it first")
    try:
        file.write_bytes(gallery_page(total=total, peak=peak).encode())
    except OSError as error:
        raise explain("write the gallery", file, error) from error
    return file


def gallery_page(*, total: int = TOTAL, peak: float = 1.0) -> str:
    """The page, as one HTML text."""
    twins = set(re.findall(r"^TWINS\.(\w+) = ", asset(_HERE, "schedules.js"), re.MULTILINE))
    cards = [schedule_card(name, live=name in twins) for name in SCHEDULES.names()]
    families = [Family(title, [c for c in cards if c.family == title]) for title in (*FAMILIES, OTHERS)]
    return page(
        _HERE,
        "gallery.html",
        styles=("gallery.css",),
        scripts=("schedules.js", "gallery.js"),
        filters={"coded": _coded},
        title="preheat: learning rate schedules",
        families=[f for f in families if f.cards],
        count=f"{len(cards)} schedules",
        data=_data(cards),
        totals=sorted({1000, 10_000, 100_000, total}),
        total=total,
        peak=f"{peak:.12g}",
    )


def _data(cards: list[ScheduleCard]) -> Markup:
    """What the script needs to know, safe inside a script element."""
    text = json.dumps({c.name: c.data for c in cards}, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def schedule_card(name: str, *, live: bool) -> ScheduleCard:
    """The card of a registered schedule. live: the script can draw it."""
    made = SCHEDULES[name]
    family = next((title for title, names in FAMILIES.items() if name in names.split()), OTHERS)
    line, formula, more = docstring_parts(getdoc(made) or "")
    data = {"options": [o.json() for o in options(made)]} if live else _still(name)
    return ScheduleCard(name, family, line, formula, more, data)


def docstring_parts(doc: str) -> tuple[str, str, str]:
    """A docstring as its first line, the sentence with the formula, and all that is no example.

    >>> docstring_parts("Half.\\n\\ns = 1/2: a half. Or so.\\n\\n>>> 1 / 2\\n0.5\\n\\nSomebody 1999.")
    ('Half.', 's = 1/2: a half.', 's = 1/2: a half. Or so.\\n\\nSomebody 1999.')
    """
    line, *rest = [p for p in doc.split("\n\n") if not p.lstrip().startswith(">>>")]
    formula = next((p for p in rest if re.search(r"(^|\W)[sw](\(t\))? = ", p)), "")
    sentence = re.split(r"(?<=\.)\s", re.sub(r"(?<=\S) {3,}", ", ", formula.strip()))[0]
    return line, " ".join(sentence.split()), "\n\n".join(rest)


def _coded(text: str) -> Markup:
    """`words` in backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _still(name: str) -> dict[str, Any]:
    """A picture that stands still and its texts; or, where the defaults don't make a schedule, the reason."""
    try:
        text, make = COMBINATIONS.get(name, (f"{name}()", lambda: SCHEDULES.build(name, {})))
        schedule = make()
        rate = schedule.resolve(TOTAL, **KNOWN)
    except UserError as error:
        return {"rule": str(error)}
    if not isinstance(rate, Resolved):
        subclass = "subclass preheat.schedules.rule.Rule"
        return {"rule": f"only schedules that have segments are drawn here, got {name}: {subclass}"}
    texts = {"python": text, "shell": name}
    if name in COMBINATIONS or name in CODES.split():
        texts = {"python": text, "json": json.dumps(schedule.json())}
    return {"texts": texts, **points(rate)}


def points(rate: Resolved) -> dict[str, Any]:
    """{"x": steps, "y": factors, "marks": [[step, label, factor], ...]}; a jump has two points at one x.

    >>> from preheat.schedules.shapes.linear import linear
    >>> points(linear().resolve(4))["y"][::30]
    [1.0, 0.75, 0.5, 0.25, 0.0]
    """
    marks = rate.boundaries()
    x, y = [], []
    for a, b in pairwise(m.step for m in marks):
        t = np.linspace(a, b, 121)
        x += t.tolist()
        y += [*rate.curve(t[:-1]).tolist(), float(rate.curve(t[-1], after=False))]
    return {"x": _short(x), "y": _short(y), "marks": [[m.step, m.label, m.factor] for m in marks]}


def _short(numbers: list[float]) -> list[float]:
    return [float(f"{v:.5g}") for v in numbers]
