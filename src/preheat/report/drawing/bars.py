"""Drawing of bars in groups, the groups in families."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from preheat.analysis.words import folded
from preheat.report.drawing.grids import WIDTH, log_marks
from preheat.report.drawing.shapes import Bars
from preheat.report.drawing.style import LIGHT, new_figure, series

_FILLED = 0.82  # of a group's place


def draw_bars(data: Bars) -> Figure:
    """Bars with the families' names above them and lines between families."""
    n, m = len(data.groups), len(data.names)
    long = max(map(len, data.groups)) > 6
    figure = new_figure(max(WIDTH, 1.2 + n * max(0.34, 0.1 * m)), 3.9 if long else 3.5)
    axes = figure.subplots()
    if data.log:
        axes.set_yscale("log")
    for j, name in enumerate(data.names):
        x = np.arange(n) + ((j + 0.5) / m - 0.5) * _FILLED
        known = [(a, row[j], i) for i, (a, row) in enumerate(zip(x, data.values, strict=True))]
        some = [(float(a), v, i) for a, v, i in known if v is not None]
        at, heights = [a for a, _, _ in some], [v for _, v, _ in some]
        axes.bar(at, heights, _FILLED / m * 0.94, color=_colour(data, j), label=name)
        for a, v, i in some:
            _interval(axes, data, place=(i, j), at=(a, v))
    _ends(axes, data)
    _families(axes, data)
    axes.set_xlim(-0.5, n - 0.5)
    axes.set_xticks(range(n), data.groups, rotation=35 if long else 0, ha="right" if long else "center")
    axes.tick_params(axis="x", length=0)
    axes.grid(False, axis="x")
    axes.set_xlabel(data.group_label)
    axes.set_ylabel(folded(data.y_label, 30))
    if m > 1:
        patches = [Patch(color=_colour(data, j)) for j in range(m)]
        figure.legend(patches, data.names, loc="outside upper center", ncols=min(m, 6), handlelength=1.0)
    return figure


def _colour(data: Bars, j: int) -> str:
    return series(data.index[j] if data.index else -1 - j)


def _interval(axes: Axes, data: Bars, *, place: tuple[int, int], at: tuple[float, float]) -> None:
    """The interval of a bar, where it has one."""
    i, j = place
    x, value = at
    ends = [part[i][j] if part else None for part in (data.lo, data.hi)]
    if ends != [None, None]:
        lo, hi = (value if end is None else end for end in ends)
        axes.plot([x, x], [lo, hi], color=LIGHT["ink"], linewidth=1.1, solid_capstyle="butt")


def _ends(axes: Axes, data: Bars) -> None:
    """Where y begins, and room above for the families' names."""
    shown = [v for rows in (data.values, data.lo, data.hi) for row in rows for v in row if v is not None]
    low, high = min(shown, default=0.0), max(shown, default=1.0)
    if data.log:
        low = low / 1.5 if data.bottom is None else data.bottom
        axes.set_ylim(low, high * (high / low) ** 0.14)
        log_marks(axes.yaxis, axes.get_ylim(), most=6)
        return
    low = min(0.0, low) if data.bottom is None else data.bottom
    axes.set_ylim(low, high + 0.14 * ((high - low) or 1.0))


def _families(axes: Axes, data: Bars) -> None:
    begin = 0
    for name, count in data.families:
        if begin:
            axes.axvline(begin - 0.5, color=LIGHT["line"], linewidth=1.0)
        look: dict[str, Any] = {"ha": "center", "va": "top", "fontsize": 9, "color": LIGHT["muted"]}
        text = folded(name, max(12, 5 * count))
        axes.text(begin + (count - 1) / 2, 0.985, text, transform=axes.get_xaxis_transform(), **look)
        begin += count
