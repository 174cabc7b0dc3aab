"""Drawing of grids: heat maps, best sets, and maps of layers by steps."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from preheat.analysis.words import folded, plain, short
from preheat.report.drawing.shapes import Heat, Matrix, Mesh
from preheat.report.drawing.style import LIGHT, ON_DARK, ON_LIGHT, new_figure

WIDTH = 4.9
COLOURS = "cividis"
LEVELS = 24  # of a mesh's colours: neighbours of one level are one rectangle, which keeps the page small


def tall(height: float, row_label: str) -> float:
    """Tall enough for the label beside the rows."""
    return max(height, 0.9 + 0.08 * len(row_label)) if row_label else height


def draw_heat(data: Heat) -> Figure:
    """Cells in colour with their text, and a bar that names the colours."""
    n, m = len(data.rows), len(data.columns)
    figure = new_figure(max(WIDTH, 1.7 + 0.64 * m), tall(1.25 + 0.5 * n, data.row_label))
    axes = figure.subplots()
    low, high = (data.low, data.high) if data.high > data.low else (data.low - 1, data.high + 1)
    norm = Normalize(low, high)
    cmap = matplotlib.colormaps[COLOURS]
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
        max(WIDTH, 1.5 + 0.55 * len(data.columns)), tall(1.2 + 0.34 * len(data.rows), data.row_label)
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


def draw_mesh(data: Mesh) -> Figure:
    """A row for each layer, a column for each x; colours on a log scale where all values are above 0."""
    values = np.array(data.values)
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    high = high if high > low else low + 1
    norm = LogNorm(low, high) if low > 0 else Normalize(low, high)
    cmap = matplotlib.colormaps[COLOURS].resampled(LEVELS)
    figure = new_figure(WIDTH + 1, max(1.9, 1.1 + 0.17 * len(data.rows)))
    axes = figure.subplots()
    x = np.array(data.x)
    edges = np.concatenate(
        [x[:1], (x[1:] + x[:-1]) / 2, x[-1:] + max(float(np.diff(x).max(initial=0.0)), 1e-9)]
    )
    for i, row in enumerate(values):
        levels = [int(norm(v) * LEVELS) if np.isfinite(v) else -1 for v in row]
        for level, some in groupby(range(len(row)), key=levels.__getitem__):
            if level >= 0:
                run = list(some)
                left, right = edges[run[0]], edges[run[-1] + 1]
                colour = cmap(min(level, LEVELS - 1))
                axes.add_patch(Rectangle((left, i - 0.5), right - left, 1.0, color=colour, linewidth=0))
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(len(data.rows) - 0.5, -0.5)
    axes.set_yticks(range(len(data.rows)), [short(r, 28) for r in data.rows], fontsize=7)
    axes.set_xlabel(data.x_label)
    axes.set_ylabel(data.row_label)
    axes.grid(False)
    bar = figure.colorbar(ScalarMappable(norm, cmap), ax=axes, aspect=26, pad=0.03)
    bar.set_label(data.bar_label)
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: plain(v)))
    bar.ax.yaxis.set_minor_formatter(NullFormatter())
    bar.ax.grid(False)
    return figure
