"""The page: one HTML text with its style, script, figures and data inside."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from preheat.analysis import words
from preheat.analysis.answer import decidable, described
from preheat.analysis.findings import Findings
from preheat.report.cards import card
from preheat.report.drawing.style import css_variables
from preheat.report.figdata import base_name, depends, sure
from preheat.report.plates import Drawn
from preheat.report.sections import sections, tally
from preheat.report.stability import values


@dataclass(frozen=True)
class Tile:
    """A number of the first screen and what it counts."""

    number: str
    text: str
    anchor: str


def render(
    f: Findings, *, drawn: Sequence[Drawn], provenance: Mapping[str, str], listing: Sequence[str]
) -> str:
    """The whole page. listing: the files beside it, relative."""
    source = {name: _asset(name) for name in ("page.html", "page.css", "page.js")}
    environment = Environment(
        loader=DictLoader(source),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    places = sections(f, drawn)
    return environment.get_template("page.html").render(
        f=f,
        css=Markup(source["page.css"]),
        js=Markup(source["page.js"]),
        light=Markup(css_variables("light")),
        dark=Markup(css_variables("dark")),
        tiles=tiles(f),
        sure=how_sure(f),
        places=places,
        left_out=[s for s in places.values() if s.missing],
        cards=[card(h, words.Units.of(f.metric)) for h in f.hypotheses],
        table=run_table(f.runs),
        runs=words.count(len(f.runs), "run"),
        provenance=provenance,
        downloads=_downloads(listing),
        svg=lambda d: Markup(d.inline),
    )


def _asset(name: str) -> str:
    home = "preheat.report.drawing" if name == "page.css" else "preheat.report"
    return files(home).joinpath(name).read_text(encoding="utf-8")


def tiles(f: Findings) -> list[Tile]:
    """Counts, not the largest of many: a maximum over comparisons would flatter."""
    c = f.counts
    lost = tuple(
        f"{n:,} {word}"
        for n, word in ((c.diverged, "diverged"), (c.failed, "failed"), (c.missing, "missing"))
        if n
    )
    ended = "run finished" if c.done == 1 else "runs finished"
    stuck = sum(p.runs - p.trained - p.diverged for e in f.edges for p in e.points)
    lost = ((f"{stuck:,} of them did not train",) if stuck else ()) + lost
    out = [
        Tile(
            f"{c.done:,}",
            f"{ended}; {words.listed(lost)}" if lost else ended,
            "untrained" if stuck else "runs",
        )
    ]
    alike = bool(f.pooled) and not any(map(depends, f.pooled))
    moves = f.pooled if alike else [e for e in f.edges if e.ratio is not None]
    if moves:
        together = f", all {values(f)} together" if alike and len(f.conditions) > 1 else ""
        text = f"comparisons in which the edge of stability surely moves{together}"
        out.append(Tile(f"{sum(map(sure, moves))} of {len(moves)}", text, "edge"))
    if f.effects:
        out.append(_compared(f))
    if tested := [i for i in f.inside if i.seed_sd is not None or f.nuisance]:
        well = [i for i in tested if i.well and f.nuisance]
        some, where = (
            (well, " well inside the edge") if well else (tested, " inside the edge" if f.nuisance else "")
        )
        text = (
            f"settings{where} in which all are equivalent within {words.Units.of(f.metric).margin(f.margin)}"
        )
        out.append(Tile(f"{sum(i.equivalent for i in some)} of {len(some)}", text, "inside"))
    return out


def _compared(f: Findings) -> Tile:
    """The comparisons that can be judged, and how many can't."""
    judged = decidable(f.effects)
    if not judged:
        return Tile(f"{len(f.effects)}", "comparisons, none of two seeds or more: described only", "benefit")
    better = sum(e.verdict == "better" for e in judged)
    at = f", each at its best {words.human(f.nuisance)}" if f.nuisance else ""
    text = f"comparisons in which the {words.human(f.metric)} is surely better than with {base_name(f)}{at}"
    more = "".join(f"; {said.rstrip('.')}" for said in described(f.effects))
    return Tile(f"{better} of {len(judged)}", text + more, "benefit")


def how_sure(f: Findings) -> list[str]:
    """Which seeds chose, which judged, and how the intervals were made."""
    n = _judged(f)
    judge = "judges" if len(f.judging) == 1 else "judge"
    if not f.judging:
        first = "No seed judges."
    elif f.choosing and f.nuisance:
        first = (
            f"{_seeds(f.choosing)} chose the {words.human(f.nuisance)} by the validation "
            f"{words.human(f.metric)}; "
            f"{_seeds(f.judging).lower()} {judge} it on the test set {n}. No seed reports a number that it "
            "picked."
        )
    elif f.nuisance:
        first = f"{_seeds(f.judging)} chose the {words.human(f.nuisance)} and {judge} it too {n}: nothing is concluded."
    else:
        first = (
            f"{_seeds(f.judging)} {judge} on the test set {n}; no rate had to be chosen: it is fixed. "
            "Settings are compared on "
            "the test set itself, so read the highest of them with its interval and its best set."
        )
    out = [first]
    if len(f.judging) < 2:
        out.append("One seed gives a description, not a conclusion.")
    else:
        out.append(
            "Intervals are two-sided, 95 %, over seeds. A p called corrected is Holm's over all rows of its "
            "table."
        )
    if f.effects:
        out.append(tally(f))
    c = f.counts
    if c.missing or c.failed:
        state = f"{c.missing:,} are missing and {c.failed:,} failed"
        out.append(f"Of {words.count(c.planned, 'planned run')} {state}: the study is not complete.")
    return out


def _judged(f: Findings) -> str:
    """How many seeds judge a setting, in brackets."""
    ns = sorted({c.estimate.n for c in f.cells if c.estimate.n}) or [len(f.judging)]
    if len(ns) == 1:
        return f"(n{words.GAP}={words.GAP}{ns[0]})"
    return f"(n{words.GAP}={words.GAP}{ns[0]} to {ns[-1]}: not every setting has every seed)"


def _seeds(seeds: Sequence[int]) -> str:
    return f"Seed {seeds[0]}" if len(seeds) == 1 else f"Seeds {words.listed(tuple(seeds))}"


def run_table(rows: Sequence[Mapping[str, Any]]) -> Markup:
    """The runs as JSON for the page's script: `{"columns": [...], "rows": [[...]]}`, safe inside a script
    element.

    A column that is empty in every run is left out.
    """
    columns = list(dict.fromkeys(k for row in rows for k, v in row.items() if v is not None))
    heads = [words.human(c) for c in columns]
    heads = [h if heads.count(h) == 1 else c for h, c in zip(heads, columns, strict=True)]
    data = {"columns": heads, "rows": [[_value(row.get(k)) for k in columns] for row in rows]}
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def _value(v: Any) -> Any:
    """Six significant digits are enough to read; the tables hold the rest."""
    if isinstance(v, float):
        return float(f"{v:.6g}") if math.isfinite(v) else str(v)
    return v if v is None or isinstance(v, bool | int | str) else json.dumps(v, sort_keys=True, default=str)


def _downloads(listing: Sequence[str]) -> dict[str, list[str]]:
    """The files by what they are."""
    kinds = {"Summary": ".json", "Tables": "tables/", "Figures": "figures/"}
    out: dict[str, list[str]] = {k: [] for k in kinds}
    for path in listing:
        kind = (
            "Tables"
            if path.startswith("tables/")
            else "Figures"
            if path.startswith("figures/")
            else "Summary"
        )
        out[kind].append(path)
    return {k: v for k, v in out.items() if v}
