"""One palette for page and figures, and figures as bytes that depend on nothing but the figure.

A figure is drawn once, in the light colours. In the page those become CSS variables, so that the drawing
reads well in light and in dark; no two of the palette's light colours are equal. Series colours follow Okabe
and Ito (2008), moved a little for contrast on white and on near black; the mark repeats what the colour says.
A colour is a treatment's in every figure, and violet is what is no treatment; a filled mark is an effect that
is shown; a dashed line is no difference.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, NamedTuple

import matplotlib
from matplotlib.figure import Figure


class Tint(NamedTuple):
    """A colour's CSS name, and its value in light and in dark."""

    name: str
    light: str
    dark: str


PALETTE = (
    Tint("paper", "#ffffff", "#14181c"),
    Tint("raised", "#f5f7f9", "#1d2329"),
    Tint("ink", "#1b1f24", "#e7eaed"),
    Tint("muted", "#57606a", "#a0aab4"),
    Tint("line", "#d4d9df", "#3a424b"),
    Tint("link", "#0a5c9e", "#7cc0f5"),
    Tint("good", "#00639c", "#6dbbf0"),
    Tint("bad", "#a84300", "#ff9d66"),
    Tint("series0", "#1f2429", "#f2f4f6"),
    Tint("series1", "#0072b2", "#4fb0ea"),
    Tint("series2", "#c57f00", "#f2b33d"),
    Tint("series3", "#00805f", "#2ec79c"),
    Tint("series4", "#b0508c", "#e696c6"),
    Tint("series5", "#d55e00", "#ff8f57"),
    Tint("series6", "#3c93c8", "#9ad7ff"),
    Tint("series7", "#7d6b00", "#e2d54e"),
    Tint("other0", "#432371", "#e3d4ff"),
    Tint("other1", "#6b46a8", "#c6abf7"),
    Tint("other2", "#8d6cc4", "#aa88e6"),
    Tint("other3", "#ac93d8", "#8f6bcb"),
    Tint("other4", "#c8b7e8", "#7653ab"),
)
MARKERS = ("s", "o", "^", "D", "v", "P", "X", "*")
DASHED: Any = (0, (4, 3))  # the line of no difference, and nothing else
LEAST = 11  # CSS pixels of the smallest letters on the page, however narrow the screen
FONTS = "'DejaVu Sans', Verdana, system-ui, sans-serif"

LIGHT = {t.name: t.light for t in PALETTE}
ON_DARK, ON_LIGHT = "#fefefe", "#010101"


def series(i: int) -> str:
    """The colour of the i-th treatment, the first is the baseline's; below 0 that of what is no treatment, in
    one hue from dark to pale."""
    return LIGHT[f"series{i % 8}" if i >= 0 else f"other{(-1 - i) % 5}"]


def marker(i: int) -> str:
    """The mark of a series."""
    return MARKERS[i % 8 if i >= 0 else (-1 - i) % 8]


def css_variables(theme: str) -> str:
    """The palette as CSS declarations, `theme` light or dark."""
    return " ".join(f"--{t.name}: {t.light if theme == 'light' else t.dark};" for t in PALETTE)


@contextmanager
def drawing() -> Iterator[None]:
    """Matplotlib's settings for one figure; the former ones come back afterwards."""
    ink, muted, line = LIGHT["ink"], LIGHT["muted"], LIGHT["line"]
    parts: dict[str, dict[str, Any]] = {
        "svg": {"fonttype": "none", "hashsalt": "preheat"},
        "text": {"parse_math": False, "color": ink},
        "font": {"family": "DejaVu Sans", "size": 11},
        "axes": {
            "titlesize": 11,
            "labelsize": 11,
            "edgecolor": muted,
            "labelcolor": ink,
            "titlecolor": ink,
        },
        "axes.spines": {"top": False, "right": False},
        "xtick": {"labelsize": 11, "color": muted, "labelcolor": ink},
        "ytick": {"labelsize": 11, "color": muted, "labelcolor": ink},
        "grid": {"color": line, "linewidth": 0.7},
        "figure": {"facecolor": "none", "autolayout": False, "constrained_layout.use": False},
        "lines": {"linewidth": 1.8, "markersize": 5.5},
        "legend": {"fontsize": 11, "frameon": False},
    }
    settings: Any = {f"{part}.{name}": value for part, some in parts.items() for name, value in some.items()}
    settings |= {
        "axes.facecolor": "none",
        "savefig.facecolor": "none",
        "axes.grid": True,
        "axes.axisbelow": True,
    }
    settings |= {"axes.unicode_minus": True}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, sizes in inches, whose parts make room for one another."""
    return Figure(figsize=(width, height), layout="constrained")


def png(figure: Figure) -> bytes:
    """A figure on white, 200 dots per inch; its layout stays as it was found for this drawing."""
    out, engine, dpi = io.BytesIO(), figure.get_layout_engine(), figure.dpi
    if (
        engine is not None
    ):  # laid out here, at this size: while an engine is set, every savefig draws the figure twice
        figure.set_dpi(200)
        engine.execute(figure)
        figure.set_layout_engine(None)
        figure.set_dpi(dpi)
    figure.savefig(out, format="png", dpi=200, facecolor=LIGHT["paper"], metadata={"Software": None})
    return out.getvalue()


def svg(figure: Figure) -> str:
    """A figure with a transparent ground, text as text, no date."""
    out = io.BytesIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": "preheat"})
    return re.sub(r"'DejaVu Sans'(, '[^']*')*(, [a-z-]+)*", FONTS, out.getvalue().decode())


def light_svg(drawing: str) -> bytes:
    """The file beside the report: the ground is white."""
    head, defs, rest = drawing.partition("<defs>")
    return f'{head}<rect width="100%" height="100%" fill="{LIGHT["paper"]}"/>{defs}{rest}'.encode()


TOLD = "told-"  # the ids of what the page tells of when it is pointed at: told-<row>-<column>


def inline_svg(
    drawing: str, *, name: str, label: str, told: Mapping[tuple[int, int], str] = MappingProxyType({})
) -> str:
    """The drawing inside the page: CSS variables for colours, ids of its own, a text for who can't see it.

    `name` prefixes every id, `label` and `told`, texts of single parts by row and column, must be escaped
    already.
    """
    body = drawing[drawing.index("<svg") :]
    first = min(told, default=None)

    def part(found: re.Match[str]) -> str:
        at = int(found[1]), int(found[2])
        order = 0 if at == first else -1
        place = f'data-row="{at[0]}" data-column="{at[1]}"'
        return f'class="told" role="img" tabindex="{order}" {place} aria-label="{told[at]}"'

    body = re.sub(rf'id="{TOLD}(\d+)-(\d+)"', part, body)
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.S)
    body = body.replace("xlink:href", "href")
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', body))
    body = re.sub(r' id="([^"]+)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", body)
    body = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", body)
    body = re.sub(r' style="[^"]*"', _variables, body)
    view = re.search(r'viewBox="0 0 ([\d.]+) [\d.]+"', body)
    assert view is not None, "matplotlib writes a viewBox"
    sizes = [float(v) for v in re.findall(r"font(?:-size)?: (?:[a-z]+ )?([\d.]+)px", body)]
    least, width = min(sizes, default=LEAST), float(view[1])
    ends = f"min-width: {width * LEAST / least:.0f}px; max-width: {1.45 * width:.0f}px"
    role = "group" if told else "img"  # the parts of an image are not read one by one
    head = f'<svg role="{role}" aria-label="{label}" {view[0]} style="{ends}">'
    body = re.sub(r"<svg[^>]*>", lambda _: head, body, count=1)
    body = re.sub(r"<!--.*?-->", "", body, flags=re.S)
    body = re.sub(r' (?:d|x|y)="[^"]*"', lambda m: re.sub(r"(?<=\.\d)\d+", "", m[0]), body)
    return re.sub(r">\s+<", "><", re.sub(r"[ \t]*\n[ \t]*", " ", body))


def _variables(style: re.Match[str]) -> str:
    text = style[0]
    for tint in PALETTE:
        text = text.replace(tint.light, f"var(--{tint.name})")
    return text
