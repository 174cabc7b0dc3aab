"""Figures of a report: one per panel, with a caption, and their bytes as PNG, SVG and inline SVG."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from preheat.analysis import words
from preheat.analysis.naming import panel_name
from preheat.analysis.table import Table
from preheat.core.words import count
from preheat.report.drawing.figures import draw
from preheat.report.drawing.shapes import Bars, Data, Dots, Facets, Heat, Lines, Matrix, Mesh
from preheat.report.drawing.style import drawing, inline_svg, light_svg, png, svg


@dataclass(frozen=True)
class Plate:
    """A figure to be drawn. group: the small heading above it; name: its files' name; title: its panel.
    front: it carries the answer, and the first three such figures of a page stand below it."""

    group: str
    name: str
    title: str
    caption: str
    data: Data
    front: bool = False


@dataclass(frozen=True)
class Drawn:
    """A plate and its drawings. wide: it needs the page's whole width."""

    plate: Plate
    png: bytes
    svg: bytes
    inline: str
    wide: bool


def by_panel(
    table: Table, name: str, make: Callable[[str], Data | None], *, group: str = "", caption: str = ""
) -> tuple[Plate, ...]:
    """One plate for each panel that `make` has data of; dots share their x axis, so that panels compare at a
    glance."""
    made = [(panel, data) for panel in table.panels.labels if (data := make(panel)) is not None]
    dots = iter(shared([d for _, d in made if isinstance(d, Dots)]))
    alike = [(panel, next(dots) if isinstance(d, Dots) else d) for panel, d in made]
    return tuple(
        Plate(group, file_name(name, p), panel_name(table, p), caption + arrows(d), d) for p, d in alike
    )


def arrows(data: Data) -> str:
    """What the arrows of a figure mean, where it has any."""
    if not isinstance(data, Dots):
        return ""
    told = " Arrows: the line goes on." if data.cut else ""
    if any(d.arrow for d in data.dots):
        told += " Arrow at a dot: a bound, more than a quarter of the edges lie beyond the grid."
    return told


def file_name(*parts: str) -> str:
    """A figure's file name from its parts."""
    return "-".join(words.slug(p) for p in parts if words.slug(p))


def shared(some: Sequence[Dots]) -> list[Dots]:
    """The same dots with one x axis for all, so that panels compare at a glance; what lies beyond is cut."""
    ends = [v for data in some for d in data.dots for v in (d.mean, d.lo, d.hi) if v is not None]
    x = [0.0 if data.zero is None else data.zero for data in some]
    x += [
        s * data.band for data in some if data.band is not None for s in (-1, 1) if s > 0 or not data.positive
    ]
    if not ends:
        return list(some)
    reach = max(_reach(ends), *map(abs, x)) if not some[0].log else math.inf
    lo, hi = max(min(*x, *ends), -reach), min(max(*x, *ends), reach)
    pad = 0.04 * (hi - lo) or 1.0
    room = 1.12 if any(d.arrow for data in some for d in data.dots) else 1.06
    below = [0 if data.positive and lo == 0 else pad for data in some]
    spans = [
        (lo / room, hi * room) if data.log else (lo - less, hi + pad)
        for data, less in zip(some, below, strict=True)
    ]
    return [replace(data, span=span) for data, span in zip(some, spans, strict=True)]


def _reach(ends: Sequence[float]) -> float:
    """How far the axis goes: to the farthest end, unless a few lie so far that the rest could not be read."""
    far = sorted(map(abs, ends))
    usual = far[int(0.8 * (len(far) - 1))]
    return far[-1] if far[-1] <= 4 * usual or usual == 0 else 2.5 * usual


def apart(some: Sequence[Plate]) -> list[Plate]:
    """Two panels may have one slug: the later ones get a number."""
    seen: dict[str, int] = {}
    out = []
    for p in some:
        n = seen[p.name] = seen.get(p.name, 0) + 1
        name = p.name if n == 1 else f"{p.name}-{n}"
        out.append(replace(p, name=name))
    return out


def paint(plate: Plate) -> Drawn:
    """Draw a plate once; the files and the page show the same drawing."""
    with drawing():
        figure = draw(plate.data)
        pixels, drawn = png(figure), svg(figure)
    wide = bool(figure.get_size_inches()[0] > 7)
    label = html.escape(describe(plate), quote=True)
    inline = inline_svg(drawn, name=plate.name, label=label, told=_told(plate.data))
    return Drawn(plate, pixels, light_svg(drawn), inline, wide)


def _told(data: Data) -> dict[tuple[int, int], str]:
    """What is said of single cells, by row and column, escaped."""
    rows = data.told if isinstance(data, Heat) else ()
    return {
        (i, j): html.escape(text, quote=True)
        for i, row in enumerate(rows)
        for j, text in enumerate(row)
        if text
    }


def describe(plate: Plate) -> str:
    """The figure in words, for who can't see it."""
    d, where = plate.data, f" ({plate.title})" if plate.title else ""
    return f"{_kind(d)}{where}. {_gist(d)}. {plate.caption}"


def _kind(d: Data) -> str:
    if isinstance(d, Lines):
        return f"Lines of {d.y_label} against {d.x_label}"
    if isinstance(d, Facets):
        return f"{count(len(d.parts), 'plot')} of {d.parts[0].y_label} against {d.parts[0].x_label}"
    if isinstance(d, Dots):
        return f"Dots with intervals: {d.x_label}" + (f", by {d.row_label}" if d.row_label else "")
    if isinstance(d, Bars):
        return f"Bars of {d.y_label}, {count(len(d.names), 'bar')} in each {d.group_label}"
    if isinstance(d, Mesh):
        return f"{count(len(d.parts), 'map')} of {d.bar_label}, {len(d.rows)} layers by {d.x_label}"
    kind = f"Heat map of {d.bar_label}" if isinstance(d, Heat) else "Members of the best set"
    return f"{kind}, {d.row_label or 'all'} by {d.column_label}"


def _gist(d: Data) -> str:
    if isinstance(d, Lines):
        return "Last values: " + ", ".join(f"{line.name} {words.brief(line.y[-1])}" for line in d.lines)
    if isinstance(d, Facets):
        ends = ((f"{p.title}, " if p.title else "", p.lines[0]) for p in d.parts)
        return "; ".join(f"{title}{line.name} ends at {words.brief(line.y[-1])}" for title, line in ends)
    if isinstance(d, Matrix):
        return "; ".join(f"{row}: {', '.join(m)}" for row, m in zip(d.rows, d.members, strict=True))
    some = _named_values(d)
    (low, at_low), (high, at_high) = min(some), max(some)
    return f"From {words.brief(low)} ({at_low}) to {words.brief(high)} ({at_high})"


def _columns(d: Heat | Mesh) -> tuple[str, ...]:
    return d.columns if isinstance(d, Heat) else tuple(f"{x:.3g} %" for x in d.x)


def _named_values(d: Dots | Heat | Mesh | Bars) -> list[tuple[float, str]]:
    """Every finite value with where it is."""
    if isinstance(d, Dots):
        return [(x.mean, f"{x.row}, {x.name}") for x in d.dots]
    rows = d.groups if isinstance(d, Bars) else d.rows
    parts = d.parts if isinstance(d, Mesh) else (("", d.values),)
    columns = d.names if isinstance(d, Bars) else _columns(d)
    cells = (
        (v, f"{title}, {r}, {c}" if title else f"{r}, {c}")
        for title, values in parts
        for r, row in zip(rows, values, strict=True)
        for c, v in zip(columns, row, strict=True)
    )
    return [(v, at) for v, at in cells if v is not None and math.isfinite(v)]
