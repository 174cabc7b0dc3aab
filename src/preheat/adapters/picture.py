"""The picture of a monitor's rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

RAW, SCALED = "sharpness", "preconditioned_sharpness"
_PANELS = ((RAW, "error", "threshold"), (SCALED, "preconditioned_error", "preconditioned_threshold"))


def picture(rows: Sequence[dict[str, float]]) -> Any:
    """A matplotlib figure: a panel for each sharpness, with its error, the optimizer's threshold (dashed) and
    a cross where it is not finite, and one for the rate. P = 1 has one sharpness, and one panel."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    same = all(row.get(SCALED, row[RAW]) == row[RAW] or math.isnan(row[RAW]) for row in rows)
    panels = _PANELS[:1] if same else _PANELS
    figure = Figure(figsize=(6.5, 2.2 * (len(panels) + 1)), layout="constrained")
    axes = figure.subplots(len(panels) + 1, 1, sharex=True)
    at = [row["update"] for row in rows]
    for axis, names in zip(axes, panels, strict=False):
        _panel(axis, rows, names)
    axes[-1].plot(at, [row["lr"] for row in rows], "o-", markersize=3)
    axes[-1].set_ylabel("learning rate")
    axes[-1].set_xlabel("update")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def _panel(axis: Any, rows: Sequence[dict[str, float]], names: tuple[str, str, str]) -> None:
    name, error, threshold = names
    at, values = [row["update"] for row in rows], [row[name] for row in rows]
    limits = [row.get(threshold, math.nan) for row in rows]
    axis.errorbar(at, values, [row[error] for row in rows], fmt="o-", markersize=3)
    if any(map(math.isfinite, limits)):
        axis.plot(at, limits, "--", color="0.4", label="threshold")
        axis.legend(frameon=False)
    lost = [update for update, value in zip(at, values, strict=True) if not math.isfinite(value)]
    axis.plot(lost, [0.05] * len(lost), "x", color="tab:red", transform=axis.get_xaxis_transform())
    shown = [value for value in [*values, *limits] if math.isfinite(value)]
    if any(value > 0 for value in shown) and max(shown) >= 10 * min(shown):
        axis.set_yscale("log", nonpositive="mask")
    axis.set_ylabel(name.replace("_", " "))
