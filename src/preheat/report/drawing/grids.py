"""Drawing of grids: heat maps, best sets, and maps of layers by steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import groupby, pairwise
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import BoundaryNorm, ListedColormap, LogNorm, Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from preheat.analysis.words import GAP, brief, folded, short
from preheat.report.drawing.shapes import Heat, Matrix, Mesh
from preheat.report.drawing.style import LIGHT, ON_DARK, ON_LIGHT, TOLD, new_figure

WIDTH = 4.9
COLOURS = "cividis"
MOST_NAMES = 36  # of a mesh's rows; of more every second or third has its name
LETTERS, GAP_LETTERS = 37, 2  # of the marks below a figure of that width, and between two of them
STRONGEST, FADED = 0.62, 0.2  # how much of its colour the largest difference has, an undecided one of that
# of a bar's and a mesh's colours: neighbours of one level are one rectangle, which keeps the page small
LEVELS = 24


def tall(height: float, row_label: str) -> float:
    """Tall enough for the label beside the rows."""
    return max(height, 0.9 + 0.08 * len(row_label)) if row_label else height


Look = tuple[tuple[float, float, float, float], str]  # a cell's colour and that of its text


def draw_heat(data: Heat) -> Figure:
    """Cells in colour with their text, and a bar that names the colours."""
    n, m = len(data.rows), len(data.columns)
    wide = 1.75 + (0.72 if data.told else 0.63) * m  # room to point at
    figure = new_figure(max(WIDTH, wide), tall(1.25 + 0.56 * n, data.row_label))
    axes = figure.subplots()
    look = _levels(data) if data.centre is None else _differences(data, data.centre)
    for i, (row, texts) in enumerate(zip(data.values, data.texts, strict=True)):
        for j, (value, text) in enumerate(zip(row, texts, strict=True)):
            if value is None:
                axes.text(j, i, text, ha="center", va="center", color=LIGHT["muted"])
                continue
            faded = bool(data.faded) and data.faded[i][j]
            colour, on = look(value, faded)
            cell = _cell(axes, (j, i), colour, framed=bool(data.faded) and not faded)
            if data.told and data.told[i][j]:
                cell.set_gid(f"{TOLD}{i}-{j}")
            axes.text(j, i, text, ha="center", va="center", color=on, linespacing=1.15, zorder=6)
    _marks(figure, axes, data)
    _cell_axes(axes, data)
    _bar(figure, axes, data, [look(v, False)[0] for v in _steps(data)])
    return figure


def _marks(figure: Figure, axes: Axes, data: Heat) -> None:
    """A line through the rows, and in each the interval as a bar, cut at the map's sides."""
    left, right = -0.5, len(data.columns) - 0.5
    rows = [(i, *(min(max(v, left), right) for v in m)) for i, m in enumerate(data.marks) if m is not None]
    for colour, width, z in (("paper", 4.6, 4), ("ink", 1.8, 5)):
        look: dict[str, Any] = {"color": LIGHT[colour], "zorder": z}
        for i, at, low, high in rows:
            for ends in ((i - 0.5, i - 0.26), (i + 0.26, i + 0.5)):  # the middle is the cell's text
                axes.plot([at, at], ends, linewidth=width, **look)
            axes.plot([low, high], [i + 0.38] * 2, linewidth=width / 1.5, **look)
        for (i, at, *_), (j, other, *_) in pairwise(rows):
            if j == i + 1:
                axes.plot([at, other], [i + 0.5] * 2, linewidth=width, **look)
    if rows and data.mark:
        line = Line2D([], [], color=LIGHT["ink"], linewidth=1.8)
        figure.legend([line], [data.mark], loc="outside upper center")


def _cell(axes: Axes, at: tuple[int, int], colour: Any, *, framed: bool) -> Any:
    """A cell; a frame where something is decided."""
    (j, i), w, h = at, 0.47, 0.46
    corners = [j - w, j + w, j + w, j - w], [i - h, i - h, i + h, i + h]
    (made,) = axes.fill(
        *corners,
        facecolor=colour,
        edgecolor=LIGHT["ink"] if framed else "none",
        linewidth=1.1 if framed else 0.0,
    )
    return made


def _levels(data: Heat) -> Callable[[float, bool], Look]:
    """One scale of colours from low to high."""
    norm, cmap = Normalize(*_ends(data)), matplotlib.colormaps[COLOURS]

    def look(value: float, faded: bool) -> Look:
        r, g, b, _ = colour = cmap(norm(value))
        return colour, ON_LIGHT if 0.30 * r + 0.59 * g + 0.11 * b > 0.47 else ON_DARK

    return look


def _differences(data: Heat, centre: float) -> Callable[[float, bool], Look]:
    """Two colours that grow from nothing at the centre: what is better, what is worse; hardly any where
    nothing is decided. They are the page's own, laid on its ground, so they change with it."""
    reach = max(abs(v - centre) for v in _ends(data)) or 1.0
    better, worse = (to_rgb(LIGHT[name]) for name in ("good", "bad"))

    def look(value: float, faded: bool) -> Look:
        away = (centre - value if data.less else value - centre) / reach
        share = STRONGEST * min(1.0, abs(away))
        colour = (*(better if away >= 0 else worse), FADED * share if faded else share)
        return colour, LIGHT["muted" if faded else "ink"]

    return look


def _ends(data: Heat) -> tuple[float, float]:
    return (data.low, data.high) if data.high > data.low else (data.low - 1, data.high + 1)


def _steps(data: Heat) -> list[float]:
    """The middles of the bar's colours."""
    low, high = _ends(data)
    return [low + (high - low) * (k + 0.5) / LEVELS for k in range(LEVELS)]


def _bar(figure: Figure, axes: Axes, data: Heat, colours: Sequence[Any]) -> None:
    low, high = _ends(data)
    edges = [low + (high - low) * k / LEVELS for k in range(LEVELS + 1)]
    scale = ScalarMappable(BoundaryNorm(edges, LEVELS), ListedColormap(colours))
    bar = figure.colorbar(scale, ax=axes, spacing="proportional", aspect=26, pad=0.03)
    bar.set_label(data.unit)
    marks = [v for v in MaxNLocator(6).tick_values(low, high) if low <= v <= high]
    bar.set_ticks(marks, labels=told_apart(marks))
    bar.ax.minorticks_off()
    bar.ax.grid(False)
    bar.outline.set_visible(False)


def told_apart(marks: Sequence[float]) -> list[str]:
    """Marks as texts, with as many digits as tell each from its neighbour.

    >>> told_apart([0.07455, 0.0746, 0.07465]), told_apart([10.0, 20.0])
    (['0.07455', '0.0746', '0.07465'], ['10', '20'])
    """
    each = ([brief(v, digits) for v in marks] for digits in range(3, 9))
    return next((texts for texts in each if len({*texts}) == len(marks)), [f"{v:g}" for v in marks])


def room_between(axes: Axes) -> None:
    """Fewer marks on the x axis, where their texts would run into each other."""
    for most in (7, 6, 5, 4, 3, 2):
        axes.xaxis.set_major_locator(MaxNLocator(most, steps=[1, 2, 5, 10]))
        low, high = axes.get_xlim()
        marks = [v for v in axes.get_xticks() if low <= v <= high]
        texts = axes.xaxis.get_major_formatter().format_ticks(marks)
        if sum(len(text) + GAP_LETTERS for text in texts) <= LETTERS:
            return


def narrow(names: Sequence[str], least: int, most: int) -> list[str]:
    """Names in lines as long as their longest word, within these ends.

    >>> narrow(["1 epoch", "20 epochs"], 6, 12)
    ['1\\nepoch', '20\\nepochs']
    """
    plain = [name.replace(GAP, " ") for name in names]
    longest = max((len(word) for name in plain for word in name.split()), default=least)
    return [folded(name, max(least, min(most, longest))) for name in plain]


def _cell_axes(axes: Axes, data: Heat | Matrix) -> None:
    axes.set_xlim(-0.5, len(data.columns) - 0.5)
    axes.set_ylim(len(data.rows) - 0.5, -0.5)
    axes.set_xticks(
        range(len(data.columns)),
        narrow(data.columns, 6, 12),
        rotation=35 if len(data.columns) > 8 else 0,
    )
    axes.set_yticks(range(len(data.rows)), narrow(data.rows, 10, 20))
    axes.set_xlabel(data.column_label)
    axes.set_ylabel(data.row_label)
    axes.tick_params(length=0)
    axes.grid(False)
    for side in axes.spines.values():
        side.set_visible(False)


def draw_matrix(data: Matrix) -> Figure:
    """A double ring for the leader, a ring for each other member, a filled point for what is shown to be
    worse."""
    figure = new_figure(
        max(WIDTH, 1.5 + 0.55 * len(data.columns)), tall(1.2 + 0.4 * len(data.rows), data.row_label)
    )
    axes = figure.subplots()
    _cell_axes(axes, data)
    ring: dict[str, Any] = {"marker": "o", "linestyle": "none", "color": LIGHT["ink"], "markeredgewidth": 1.6}
    ring |= {"markerfacecolor": "none"}
    point = {**ring, "markerfacecolor": LIGHT["ink"], "markersize": 4}
    for i, (members, leader) in enumerate(zip(data.members, data.leaders, strict=True)):
        for j, column in enumerate(data.columns):
            if column in (data.absent[i] if data.absent else ()):
                continue
            if column in members:
                axes.plot([j], [i], **ring, markersize=11)
            if column == leader:
                axes.plot([j], [i], **ring, markersize=5)
            if column not in members:
                axes.plot([j], [i], **point)
    leads = tuple(Line2D([], [], **ring, markersize=size) for size in (10, 4.5))
    handles: list[Any] = [leads, Line2D([], [], **ring, markersize=10), Line2D([], [], **point)]
    figure.legend(
        handles,
        ["best mean", "not told apart", "shown to be worse"],
        loc="outside upper center",
        ncols=3,
        handletextpad=0.2,
        columnspacing=1.0,
    )
    return figure


def draw_mesh(data: Mesh) -> Figure:
    """Maps side by side: a row for each layer, a column for each x, one scale of colours."""
    values = np.array([v for _, rows in data.parts for row in rows for v in row])
    known = values[np.isfinite(values) & ((values > 0) | (not data.log))]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.1, 1.0)
    low, high = (low, high) if high > low else (0.9 * low, 1.1 * low or 1.0)
    norm = LogNorm(max(low, 1e-6 * high), high, clip=True) if data.log else Normalize(low, high, clip=True)
    colours = matplotlib.colormaps[COLOURS].resampled(LEVELS)
    n, shown = len(data.parts), min(len(data.rows), MOST_NAMES)
    figure = new_figure(WIDTH - 1.7 + 1.7 * n + 0.2 * (n > 1), max(2.0, 1.2 + 0.19 * shown))
    grid = figure.subplots(1, n, sharex=True, sharey=True, squeeze=False)[0]
    for axes, (title, rows) in zip(grid, data.parts, strict=True):
        _cells(
            axes,
            data.x,
            [[int(norm(v) * LEVELS) if math.isfinite(v) else -1 for v in row] for row in rows],
            colours,
        )
        axes.set_title(short(title, 24))
        axes.grid(False)
    grid[0].xaxis.set_major_locator(
        MaxNLocator(4, prune="upper")
    )  # the last would touch the next map's first
    grid[0].set_ylim(len(data.rows) - 0.5, -0.5)
    every = -(-len(data.rows) // MOST_NAMES)
    grid[0].set_yticks(
        range(0, len(data.rows), every), [short(r, 28) for r in data.rows[::every]], fontsize=8.5
    )
    grid[0].set_ylabel(data.row_label)
    figure.supxlabel(data.x_label, fontsize=11)
    bar = figure.colorbar(ScalarMappable(norm, colours), ax=grid, aspect=26, pad=0.03)
    bar.set_label(data.bar_label)
    if data.log:
        log_marks(bar.ax.yaxis, (float(norm.vmin or 0), float(norm.vmax or 0)), most=5)
    bar.ax.grid(False)
    return figure


def _cells(axes: Axes, x: Sequence[float], levels: Sequence[Sequence[int]], colours: Any) -> None:
    """One map; neighbours of one level are one rectangle."""
    middles = [(a + b) / 2 for a, b in pairwise(x)]
    edges = [x[0], *middles, x[-1] + max((b - a for a, b in pairwise(x)), default=1.0)]
    shapes, fills = [], []
    for i, row in enumerate(levels):
        at = 0
        for level, some in groupby(row):
            left, at = at, at + len(list(some))
            if level >= 0:
                a, b = edges[left], edges[at]
                shapes.append([(a, i - 0.5), (b, i - 0.5), (b, i + 0.5), (a, i + 0.5)])
                fills.append(colours(min(level, LEVELS - 1)))
    axes.add_collection(PolyCollection(shapes, facecolors=fills, linewidths=0))
    axes.set_xlim(edges[0], edges[-1])


def log_marks(axis: Axis, ends: tuple[float, float], *, most: int) -> None:
    """Mark a log axis at round numbers: 1, 2 and 5 of each decade, fewer where these are more than `most`."""
    low, high = sorted(ends)
    decades = [10.0**k for k in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
    for digits in ((1, 2, 5), (1, 3), (1,)):
        marks = [m for d in decades for k in digits if low <= (m := k * d) <= high]
        if len(marks) <= most:
            break
    marks = marks[:: -(-len(marks) // most) or 1]
    if len(marks) < 2:
        marks = [v for v in MaxNLocator(most).tick_values(low, high) if low <= v <= high]
    axis.set_major_locator(FixedLocator(marks))
    axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axis.set_minor_locator(NullLocator())
