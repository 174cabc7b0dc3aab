"""Drawing: the data of a figure in, a matplotlib figure out. Nothing is computed here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from preheat.analysis.words import TIMES, brief, folded, short
from preheat.report.drawing.bars import draw_bars
from preheat.report.drawing.grids import (
    LETTERS,
    WIDTH,
    draw_heat,
    draw_matrix,
    draw_mesh,
    log_marks,
    narrow,
    room_between,
    tall,
)
from preheat.report.drawing.shapes import Bars, Data, Dot, Dots, Facets, Heat, Lines, Matrix, Mesh
from preheat.report.drawing.style import DASHED, LIGHT, marker, new_figure, series

FACTORS = (
    1.0,
    2.0,
    0.5,
    4.0,
    0.25,
    10.0,
    0.1,
    8.0,
    0.125,
    16.0,
    32.0,
    64.0,
    100.0,
    0.01,
    1000.0,
    1.5,
    1.2,
    0.8,
    3.0,
)
FINER = (1.4, 1.6, 1.8, 0.6, 0.7, 0.9, 1.1, 1.3, 2.5, 5.0, 6.0, 0.95, 1.05, 0.4, 0.3, 0.2)


def draw(data: Data) -> Figure:
    """The figure of any kind of data; call it inside `style.drawing()`."""
    kinds: dict[type, Any] = {
        Lines: draw_lines,
        Facets: draw_facets,
        Dots: draw_dots,
        Heat: draw_heat,
        Matrix: draw_matrix,
        Mesh: draw_mesh,
        Bars: draw_bars,
    }
    return kinds[type(data)](data)  # type: ignore[no-any-return]


def draw_lines(data: Lines) -> Figure:
    """Lines with their legend above."""
    figure = new_figure(WIDTH, 3.5)
    axes = figure.subplots()
    _lines(axes, data)
    _end(axes, data)
    _marks(axes, data, most=6)
    axes.set_xlabel(data.x_label)
    axes.set_ylabel(folded(data.y_label, 30))
    _legend(figure, [(line.name, line.index) for line in data.lines])
    return figure


def draw_facets(data: Facets) -> Figure:
    """Small multiples in two columns with shared axes and one legend."""
    n = len(data.parts)
    columns = 1 if n == 1 else 2
    rows = -(-n // columns)
    lines = max(folded(part.title, 26, most=2).count("\n") for part in data.parts)
    figure = new_figure(WIDTH, 1.0 + (2.6 if n == 1 else (1.6 + 0.18 * lines) * rows))
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for place, part in zip(grid.flat, data.parts, strict=False):
        _lines(place, part)
        place.set_title(folded(part.title, 26, most=2))
    _end(grid[0][0], data.parts[0])
    _marks(grid[0][0], data.parts[0], most=4)
    for place in grid.flat[n:]:
        place.set_visible(False)
    if n % columns:
        grid[rows - 2][columns - 1].tick_params(labelbottom=True)
    figure.supxlabel(data.parts[0].x_label, fontsize=11)
    figure.supylabel(data.parts[0].y_label, fontsize=11)
    names = {line.name: line.index for part in data.parts for line in part.lines}
    _legend(figure, in_order(names))
    return figure


def in_order(names: Mapping[str, int]) -> list[tuple[str, int]]:
    """(name, index): treatments in their order, then what is none."""
    return sorted(names.items(), key=lambda item: (item[1] < 0, abs(item[1])))


def _open(i: int) -> dict[str, Any]:
    """An open mark: no effect is shown."""
    return {"marker": marker(i), "markerfacecolor": LIGHT["paper"], "markeredgewidth": 1.2, "markersize": 5}


def _lines(axes: Axes, data: Lines) -> None:
    for line in data.lines:
        colour = series(line.index)
        look: dict[str, Any] = {"color": colour, **_open(line.index), "clip_on": not data.markers}
        if not data.markers and len(line.x) > 1:  # of many points a few are marked, of each line others
            look["markevery"] = (0.04 + 0.035 * (abs(line.index) % 8), 0.3)
        axes.plot(line.x, line.y, **look)
        if line.lo and len(line.x) > 1:
            floor = min((v for v in line.y if v > 0), default=1.0) / 2
            lo = [max(v, floor) for v in line.lo] if "y" in data.log else line.lo
            axes.fill_between(line.x, lo, line.hi, color=colour, alpha=0.13, linewidth=0)
    if data.zero is not None:
        axes.axhline(data.zero, color=LIGHT["muted"], linewidth=1.2, linestyle=DASHED)
    if "y" in data.log:
        axes.set_yscale("log")
    if "x" in data.log:
        axes.set_xscale("log")
    if data.ticks:
        _ticks(axes, data.ticks)


def _end(axes: Axes, data: Lines) -> None:
    """An axis ends where what it shows ends; after all is drawn."""
    low, high = axes.get_ylim()
    low = low if data.bottom is None else data.bottom
    least, most = data.ends
    low = low if least is None else max(low, least)
    high = high if most is None else min(high, most)
    if low < high and (least, most, data.bottom) != (None, None, None):
        axes.set_ylim(low, high)


def _marks(axes: Axes, data: Lines, *, most: int) -> None:
    """Round numbers on log axes, at most `most` a side, after all is drawn; a single x is marked as it is."""
    if "y" in data.log:
        log_marks(axes.yaxis, axes.get_ylim(), most=most)
    if "x" in data.log and not data.ticks:
        log_marks(axes.xaxis, axes.get_xlim(), most=most)
    if len(at := {x for line in data.lines for x in line.x}) == 1:
        axes.set_xticks([*at])


def _ticks(axes: Axes, ticks: Sequence[float]) -> None:
    """Marked values as they were declared, those that leave room between their texts; all are grid lines."""
    log = axes.get_xscale() == "log"
    at = [math.log(v) if log else v for v in ticks]
    apart = (at[-1] - at[0]) * (2 + max(len(f"{v:g}") for v in ticks)) / LETTERS
    shown: list[int] = []
    for k in (len(at) - 1, *range(len(at) - 1)):
        if all(abs(at[k] - at[j]) >= apart for j in shown):
            shown.append(k)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(ticks, [f"{v:g}" if k in shown else "" for k, v in enumerate(ticks)])


def draw_dots(data: Dots) -> Figure:
    """A row for each group; within it a dot and an interval for each series, one below the other."""
    names = dict(in_order({d.name: d.index for d in data.dots}))
    own_rows = all(d.row == d.name for d in data.dots)
    lanes = {name: 0 if own_rows else k for k, name in enumerate(names)}
    height = max(lanes.values()) + 1
    figure = new_figure(WIDTH, tall(1.3 + len(data.rows) * max(0.34, 0.15 + 0.135 * height), data.row_label))
    axes = figure.subplots()
    for d in data.dots:
        y = data.rows.index(d.row) + ((lanes[d.name] + 0.5) / height - 0.5) * 0.78
        colour = series(d.index)
        lo, hi = (d.mean if v is None else v for v in (d.lo, d.hi))
        axes.plot([lo, hi], [y, y], color=colour, linewidth=3.4 if d.thick else 1.1, solid_capstyle="butt")
        _arrows(axes, data.span, place=(lo, hi, y), colour=colour)
        _open_ends(axes, d, y=y, colour=colour)
        face = colour if d.filled else LIGHT["paper"]
        axes.plot(
            [d.mean],
            [y],
            marker(d.index),
            color=colour,
            markerfacecolor=face,
            markersize=5,
            linestyle="none",
        )
    _dot_axes(axes, data)
    if not own_rows:
        _legend(figure, list(names.items()), line=False)
    return figure


def _open_ends(axes: Axes, dot: Dot, *, y: float, colour: str) -> None:
    """An arrow in place of the line's end where the mean is only a bound."""
    for side, offset in (("left", -15), ("right", 15)):
        if dot.arrow in (side, "both"):
            look: dict[str, Any] = {
                "arrowstyle": "<|-",
                "color": colour,
                "linewidth": 1.3,
                "shrinkA": 0,
                "shrinkB": 0,
            }
            look |= {"mutation_scale": 7}
            axes.annotate(
                "",
                (dot.mean, y),
                (offset, 0),
                textcoords="offset points",
                arrowprops=look,
                annotation_clip=False,
            )


def _arrows(
    axes: Axes, span: tuple[float, float] | None, *, place: tuple[float, float, float], colour: str
) -> None:
    """A small arrow where an interval goes on beyond the axis."""
    if span is None:
        return
    lo, hi, y = place
    for end, mark, beyond in ((span[0], "<", lo < span[0]), (span[1], ">", hi > span[1])):
        if beyond:
            axes.plot([end], [y], mark, color=colour, markersize=4.5, linestyle="none", clip_on=False)


def _dot_axes(axes: Axes, data: Dots) -> None:
    axes.set_yticks(range(len(data.rows)), narrow(data.rows, 10, 20))
    axes.set_ylim(len(data.rows) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(False, axis="y")
    for k in range(1, len(data.rows)):
        axes.axhline(k - 0.5, color=LIGHT["line"], linewidth=0.7)
    axes.set_xlabel(folded(data.x_label, 44))
    axes.set_ylabel(data.row_label)
    if data.band is not None:
        axes.axvspan(
            0 if data.positive else -data.band, data.band, color=LIGHT["muted"], alpha=0.16, linewidth=0
        )
    if data.zero is not None:
        axes.axvline(data.zero, color=LIGHT["muted"], linewidth=1.2, linestyle=DASHED)
    if data.log:
        _factor_axis(axes, data)
    if data.span is not None:
        axes.set_xlim(*data.span)
    if not data.log:
        room_between(axes)


def _factor_axis(axes: Axes, data: Dots) -> None:
    """A log axis of factors, marked at the roundest numbers that leave room between them."""
    values = [v for d in data.dots for v in (d.mean, d.lo, d.hi) if v is not None and v > 0]
    lo, hi = data.span or (min(values) / 1.06, max(values) * 1.06)
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    apart = math.log(hi / lo) / 7
    marks: list[float] = []
    for v in (*FACTORS, *FINER):
        if lo <= v <= hi and all(abs(math.log(v / m)) >= apart for m in marks):
            marks.append(v)
    axes.set_xlim(lo, hi)
    axes.set_xticks(sorted(marks), [f"{TIMES}{brief(v)}" for v in sorted(marks)])


def _legend(figure: Figure, names: Sequence[tuple[str, int]], *, line: bool = True) -> None:
    if len(names) < 2:
        return
    solid: Any = "-" if line else "none"
    handles = [Line2D([], [], color=series(i), linestyle=solid, **_open(i)) for _, i in names]
    labels = [" " + short(name, 34) if name.startswith("_") else short(name, 34) for name, _ in names]
    n, widths = len(names), [len(label) + (6 if line else 4) for label in labels]
    columns = n if sum(widths) <= 52 else max(1, min(n, 50 // max(widths)))
    by_row = [k for c in range(columns) for k in range(c, n, columns)]  # filled down, but read along
    figure.legend(
        [handles[k] for k in by_row],
        [labels[k] for k in by_row],
        loc="outside upper center",
        ncols=columns,
        handlelength=2.0 if line else 0.8,
        handletextpad=0.4,
        columnspacing=1.0,
    )
