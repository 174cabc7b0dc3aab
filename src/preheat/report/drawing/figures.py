"""Drawing: the data of a figure in, a matplotlib figure out. Nothing is computed here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, NullLocator

from preheat.analysis.words import TIMES, folded, plain, short
from preheat.report.drawing.shapes import Data, Dot, Dots, Facets, Heat, Lines, Matrix
from preheat.report.drawing.style import DASHES, LIGHT, MARKERS, ON_DARK, ON_LIGHT, new_figure, series

WIDTH = 4.9
FACTORS = (
    *(
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
        1.4,
        1.6,
        1.8,
    ),
    *(0.6, 0.7, 0.9, 1.1, 1.3, 2.5, 5.0, 6.0, 0.95, 1.05, 0.4, 0.3, 0.2),
)


def draw(data: Data) -> Figure:
    """The figure of any kind of data; call it inside `style.drawing()`."""
    if isinstance(data, Lines):
        return draw_lines(data)
    if isinstance(data, Facets):
        return draw_facets(data)
    if isinstance(data, Dots):
        return draw_dots(data)
    return draw_heat(data) if isinstance(data, Heat) else draw_matrix(data)


def draw_lines(data: Lines) -> Figure:
    """Lines with their legend above."""
    figure = new_figure(WIDTH, 3.5)
    axes = figure.subplots()
    _lines(axes, data)
    axes.set_xlabel(data.x_label)
    axes.set_ylabel(data.y_label)
    _legend(figure, [(line.name, line.index) for line in data.lines], markers=data.markers)
    return figure


def draw_facets(data: Facets) -> Figure:
    """Small multiples in two columns with shared axes and one legend."""
    n = len(data.parts)
    columns = 1 if n == 1 else 2
    rows = -(-n // columns)
    figure = new_figure(WIDTH, 0.9 + (2.6 if n == 1 else 1.55 * rows))
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for place, part in zip(grid.flat, data.parts, strict=False):
        _lines(place, part)
        place.set_title(short(part.title, 30), fontsize=9.5)
    for place in grid.flat[n:]:
        place.set_visible(False)
    if n % columns:
        grid[rows - 2][columns - 1].tick_params(labelbottom=True)
    figure.supxlabel(data.parts[0].x_label, fontsize=10)
    figure.supylabel(data.parts[0].y_label, fontsize=10)
    names = {line.name: line.index for part in data.parts for line in part.lines}
    _legend(figure, sorted(names.items(), key=lambda item: item[1]), markers=False)
    return figure


def _lines(axes: Axes, data: Lines) -> None:
    for line in data.lines:
        colour = series(line.index)
        look: dict[str, Any] = {"color": colour, "linestyle": DASHES[line.index % 8]}
        if data.markers or len(line.x) == 1:
            look |= {
                "marker": MARKERS[line.index % 8],
                "markeredgecolor": LIGHT["paper"],
                "markeredgewidth": 0.5,
            }
        axes.plot(line.x, line.y, **look)
        if line.lo and len(line.x) > 1:
            floor = min((v for v in line.y if v > 0), default=1.0) / 2
            lo = [max(v, floor) for v in line.lo] if "y" in data.log else line.lo
            axes.fill_between(line.x, lo, line.hi, color=colour, alpha=0.13, linewidth=0)
    if "y" in data.log:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    if "x" in data.log:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    if data.bottom is not None:
        axes.set_ylim(bottom=data.bottom)
    if data.ticks:
        _ticks(axes, data.ticks)
        if "y" not in data.log:
            axes.set_ylim(-4, 104)


def _ticks(axes: Axes, ticks: Sequence[float]) -> None:
    """At most nine marked values, each as it was declared."""
    every = -(-len(ticks) // 9)
    shown = ticks[::every]
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(shown, [f"{v:g}" for v in shown], rotation=35 if len(shown) > 6 else 0)


def _tall(height: float, row_label: str) -> float:
    """Tall enough for the label beside the rows."""
    return max(height, 0.9 + 0.08 * len(row_label)) if row_label else height


def draw_dots(data: Dots) -> Figure:
    """A row for each group; within it a dot and an interval for each series, one below the other."""
    names = {d.name: d.index for d in sorted(data.dots, key=lambda d: d.index)}
    own_rows = all(d.row == d.name for d in data.dots)
    lanes = {name: 0 if own_rows else k for k, name in enumerate(names)}
    height = max(lanes.values()) + 1
    figure = new_figure(WIDTH, _tall(1.3 + len(data.rows) * max(0.34, 0.15 + 0.135 * height), data.row_label))
    axes = figure.subplots()
    for d in data.dots:
        y = data.rows.index(d.row) + ((lanes[d.name] + 0.5) / height - 0.5) * 0.78
        colour = series(d.index)
        lo, hi = (d.mean if v is None else v for v in (d.lo, d.hi))
        axes.plot([lo, hi], [y, y], color=colour, linewidth=1.3, solid_capstyle="butt")
        _arrows(axes, data.span, place=(lo, hi, y), colour=colour)
        _open_ends(axes, d, y=y, colour=colour)
        face = colour if d.filled else LIGHT["paper"]
        axes.plot(
            [d.mean],
            [y],
            MARKERS[d.index % 8],
            color=colour,
            markerfacecolor=face,
            markersize=5,
            linestyle="none",
        )
    _dot_axes(axes, data)
    if not own_rows:
        _legend(figure, list(names.items()), markers=True, line=False)
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
    for end, marker, beyond in ((span[0], "<", lo < span[0]), (span[1], ">", hi > span[1])):
        if beyond:
            axes.plot([end], [y], marker, color=colour, markersize=4.5, linestyle="none", clip_on=False)


def _dot_axes(axes: Axes, data: Dots) -> None:
    axes.set_yticks(range(len(data.rows)), [folded(r, 22) for r in data.rows])
    axes.set_ylim(len(data.rows) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(False, axis="y")
    for k in range(1, len(data.rows)):
        axes.axhline(k - 0.5, color=LIGHT["line"], linewidth=0.7)
    axes.set_xlabel(data.x_label)
    axes.set_ylabel(data.row_label)
    if data.band is not None:
        axes.axvspan(
            0 if data.positive else -data.band, data.band, color=LIGHT["muted"], alpha=0.16, linewidth=0
        )
    if data.zero is not None:
        axes.axvline(data.zero, color=LIGHT["muted"], linewidth=1.2)
    if data.log:
        _factor_axis(axes, data)
    if data.span is not None:
        axes.set_xlim(*data.span)


def _factor_axis(axes: Axes, data: Dots) -> None:
    """A log axis of factors, marked at the roundest numbers that leave room between them."""
    values = [v for d in data.dots for v in (d.mean, d.lo, d.hi) if v is not None and v > 0]
    lo, hi = data.span or (min(values) / 1.06, max(values) * 1.06)
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    apart = math.log(hi / lo) / 7
    marks: list[float] = []
    for v in FACTORS:
        if lo <= v <= hi and all(abs(math.log(v / m)) >= apart for m in marks):
            marks.append(v)
    axes.set_xlim(lo, hi)
    axes.set_xticks(sorted(marks), [f"{TIMES}{plain(v)}" for v in sorted(marks)])


def draw_heat(data: Heat) -> Figure:
    """Cells in colour with their text, and a bar that names the colours."""
    n, m = len(data.rows), len(data.columns)
    figure = new_figure(max(WIDTH, 1.7 + 0.64 * m), _tall(1.25 + 0.5 * n, data.row_label))
    axes = figure.subplots()
    low, high = (data.low, data.high) if data.high > data.low else (data.low - 1, data.high + 1)
    norm = Normalize(low, high)
    cmap = matplotlib.colormaps["cividis"]
    for i, (row, texts) in enumerate(zip(data.values, data.texts, strict=True)):
        for j, (value, text) in enumerate(zip(row, texts, strict=True)):
            if value is None:
                axes.text(j, i, text, ha="center", va="center", color=LIGHT["muted"])
                continue
            r, g, b, _ = colour = cmap(norm(value))
            axes.fill(
                [j - 0.48, j + 0.48, j + 0.48, j - 0.48],
                [i - 0.47, i - 0.47, i + 0.47, i + 0.47],
                color=colour,
                linewidth=0,
            )
            on = ON_LIGHT if 0.30 * r + 0.59 * g + 0.11 * b > 0.47 else ON_DARK
            axes.text(j, i, text, ha="center", va="center", color=on, fontsize=8.8, linespacing=1.15)
    _cell_axes(axes, data)
    edges = [low + (high - low) * k / 24 for k in range(25)]
    scale = ScalarMappable(BoundaryNorm(edges, 24), cmap.resampled(24))
    bar = figure.colorbar(scale, ax=axes, spacing="proportional", aspect=26, pad=0.03)
    bar.set_label("%" if data.bar_label.endswith("(%)") else "")
    marks = [v for v in MaxNLocator(6).tick_values(low, high) if low <= v <= high]
    bar.set_ticks(marks, labels=[plain(v) for v in marks])
    bar.ax.minorticks_off()
    bar.ax.grid(False)
    bar.outline.set_visible(False)
    return figure


def _cell_axes(axes: Axes, data: Heat | Matrix) -> None:
    axes.set_xlim(-0.5, len(data.columns) - 0.5)
    axes.set_ylim(len(data.rows) - 0.5, -0.5)
    axes.set_xticks(
        range(len(data.columns)),
        [folded(c, 12) for c in data.columns],
        rotation=35 if len(data.columns) > 8 else 0,
    )
    axes.set_yticks(range(len(data.rows)), [folded(r, 22) for r in data.rows])
    axes.set_xlabel(data.column_label)
    axes.set_ylabel(data.row_label)
    axes.tick_params(length=0)
    axes.grid(False)
    for side in axes.spines.values():
        side.set_visible(False)


def draw_matrix(data: Matrix) -> Figure:
    """A full disc for the leader, a ring for each other member, a small point for the rest."""
    figure = new_figure(
        max(WIDTH, 1.5 + 0.55 * len(data.columns)), _tall(1.2 + 0.34 * len(data.rows), data.row_label)
    )
    axes = figure.subplots()
    _cell_axes(axes, data)
    blue = LIGHT["series1"]
    for i, (members, leader) in enumerate(zip(data.members, data.leaders, strict=True)):
        for j, column in enumerate(data.columns):
            if column in (data.absent[i] if data.absent else ()):
                continue
            if column in members:
                face = blue if column == leader else LIGHT["paper"]
                axes.plot([j], [i], "o", markersize=11, color=blue, markerfacecolor=face, markeredgewidth=2)
            else:
                axes.plot([j], [i], "o", markersize=2.5, color=LIGHT["muted"])
    disc: dict[str, Any] = {"marker": "o", "linestyle": "none", "color": blue}
    handles = [
        Line2D([], [], markersize=9, **disc),
        Line2D([], [], markersize=9, markerfacecolor=LIGHT["paper"], markeredgewidth=2, **disc),
        Line2D([], [], marker="o", linestyle="none", markersize=2.5, color=LIGHT["muted"]),
    ]
    figure.legend(
        handles,
        ["highest mean", "can't be told from it", "not in the set"],
        loc="outside upper center",
        ncols=3,
        handletextpad=0.3,
    )
    return figure


def _legend(figure: Figure, names: Sequence[tuple[str, int]], *, markers: bool, line: bool = True) -> None:
    if len(names) < 2:
        return
    handles = [
        Line2D(
            [],
            [],
            color=series(i),
            linestyle=DASHES[i % 8] if line else "none",
            marker=MARKERS[i % 8] if markers else "",
            markersize=5,
        )
        for _, i in names
    ]
    labels = [" " + short(name, 34) if name.startswith("_") else short(name, 34) for name, _ in names]
    columns = max(1, min(len(names), int(58 // (max(map(len, labels)) + 7))))
    figure.legend(
        handles,
        labels,
        loc="outside upper center",
        ncols=columns,
        handlelength=2.4 if line else 1.0,
        columnspacing=1.2,
    )
