"""What imported curves say about budgets, as text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from preheat.cli.columns import aligned

if TYPE_CHECKING:
    from preheat.analysis.budgets import AcrossBudgets
    from preheat.core.metrics import Goal

GOALS: dict[str, Goal] = {"loss": "min", "accuracy": "max"}
_TREND = ("gain", "sd", "A", "B", "R2", "adjusted R2", "p")


def metrics_text(found: Sequence[AcrossBudgets]) -> str:
    """Tables of the series that share budgets and metric, and what could not be measured."""
    out: list[str] = []
    for _, some in groupby(found, key=lambda one: (one.metric, one.budgets)):
        group = list(some)
        out += ["", *_trends(group), "", *_differences(group)]
    return "\n".join([*out, *(f"note: {note}" for one in found for note in one.notes)][1:])


def _trends(group: Sequence[AcrossBudgets]) -> Iterator[str]:
    first = group[0]
    unit = "%" if first.goal == "min" else "difference"
    name = f" of {first.metric}" if first.metric else ""
    yield f"last value{name} by budget; gain from budget to budget ({unit}); power law e^A N^B"
    rows = [("", *map(str, first.budgets), *_TREND)]
    for one in group:
        fit, gain = one.power, (one.gain.mean, one.gain.sd)
        law = (fit.a, fit.b, fit.r2, fit.adjusted, fit.p) if fit else [math.nan] * 5
        rows.append((one.series, *(_told(v, 5) for v in one.finals), *(_told(v, 4) for v in (*gain, *law))))
    yield from aligned(rows)


def _differences(group: Sequence[AcrossBudgets]) -> Iterator[str]:
    yield "SLCD of two budgets (0: the same curve); log area: of logarithms from epoch 10; sum: of values"
    rows = [("", "", *(f"{p.shorter}-{p.longer}" for p in group[0].pairs), "mean")]
    for one in group:
        integral = [*(pair.integral for pair in one.pairs), one.integral]
        summed = [*(pair.summed for pair in one.pairs), one.summed]
        rows.append((one.series, "log area", *(_told(v, 3) for v in integral)))
        rows.append((one.series, "sum", *(_told(v, 3) for v in summed)))
    yield from aligned(rows)


def _told(v: float, digits: int) -> str:
    return "-" if math.isnan(v) else f"{v:.{digits}g}"
