"""What a schedule spends, and when."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, Unpack

import numpy as np

from preheat.core.errors import UserError
from preheat.schedules.curves import Array
from preheat.schedules.measures.curve import Known, area
from preheat.schedules.rule import Rule


class BudgetCurve(NamedTuple):
    """The part `share` [n] of the whole `budget` that is spent at `progress` [n], both from 0 to 1."""

    progress: Array
    share: Array
    budget: float


def budget(schedule: Rule, totals: Sequence[int], **known: Unpack[Known]) -> dict[int, float]:
    """{N: the integral of s over a run of N steps}, exact.

    >>> from preheat.schedules import polynomial
    >>> {n: round(b, 10) for n, b in budget(polynomial(power=1), [100, 200]).items()}
    {100: 50.0, 200: 100.0}
    """
    runs = {n: schedule.resolve(n, **known) for n in totals}
    return {n: run.mean() * run.total for n, run in runs.items()}


def budget_curve(schedule: Rule, total: int, *, points: int = 101, **known: Unpack[Known]) -> BudgetCurve:
    """How the budget is spent: the part that is over at `points` even places of the run, ends included.

    >>> from preheat.schedules import linear
    >>> budget_curve(linear(), 200, points=3).share.round(12)
    array([0.  , 0.75, 1.  ])
    """
    if points < 2:
        raise UserError(f"points must be at least 2, got {points!r}: write points=101")
    run = schedule.resolve(total, **known)
    progress = np.linspace(0.0, 1.0, points)
    parts = [area(run, (a, b)) for a, b in pairwise((progress * run.total).tolist())]
    spent = np.concatenate([[0.0], np.cumsum(parts)])
    return BudgetCurve(progress, spent / spent[-1], run.mean() * run.total)
