"""Figures of panels in two columns with one legend above: what pictures over several budgets share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from preheat.pictures.plot import COLOURS, DASHES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def panels(titles: Sequence[str], *, share_y: bool = True) -> tuple[Figure, list[Axes]]:
    """An empty figure with a panel for each title, and the panels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = 1 if len(titles) == 1 else 2
    rows = -(-len(titles) // columns)
    height = 4.5 if len(titles) == 1 else 0.9 + 2.6 * rows
    fig = Figure(figsize=(8.0, height), dpi=150, layout="constrained")
    FigureCanvasAgg(fig)
    grid = fig.subplots(rows, columns, sharex=share_y, sharey=share_y, squeeze=False)
    for place in grid.flat[len(titles) :]:
        place.set_visible(False)
    used = list(grid.flat[: len(titles)])
    for axes, title in zip(used, titles, strict=False):
        size = 10 if len(title) < 46 else 6
        axes.set_title(title if len(title) < 80 else title[:77] + "...", loc="left", fontsize=size)
        axes.grid(True, color="#000000", alpha=0.12, linewidth=0.6)
        axes.set_axisbelow(True)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    if len(titles) % columns:
        grid[rows - 2][columns - 1].tick_params(labelbottom=True)
    return fig, used


def line_style(i: int) -> dict[str, Any]:
    """The look of the i-th line."""
    dash = DASHES[i // len(COLOURS) % len(DASHES)]
    return {"color": COLOURS[i % len(COLOURS)], "linestyle": dash, "linewidth": 1.7}


def legend_above(fig: Figure, axes: Axes, names: int) -> None:
    """The names of the lines of a panel above all panels, where there are two or more."""
    if names > 1:
        handles, labels = axes.get_legend_handles_labels()
        columns = max(1, min(len(labels), 96 // (max(map(len, labels)) + 7)))
        rows = -(-len(labels) // columns)
        fig.legend(
            handles,
            labels,
            loc="outside upper left",
            ncols=-(-len(labels) // rows),
            frameon=False,
            fontsize=9,
            borderaxespad=0.2,
        )
