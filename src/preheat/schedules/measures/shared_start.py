"""How long runs of different budgets are the same run: where each first departs from the longest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Unpack

import numpy as np

from preheat.core.errors import UserError
from preheat.core.lengths import is_number
from preheat.schedules.measures.curve import Known
from preheat.schedules.resolved import Resolved
from preheat.schedules.rule import Rule

_CELLS = 4096  # a departure and return within a cell of the shorter run may be missed


class Shared(NamedTuple):
    """Of a run of `total` steps: up to where it is the longest run, and that as a part of it."""

    total: int
    steps: float
    part: float


def shared_start(
    schedule: Rule, totals: Sequence[int], *, tolerance: float = 0.01, **known: Unpack[Known]
) -> tuple[Shared, ...]:
    """For each budget N, how far |s_N(t) - s_M(t)| <= tolerance holds from t = 0 on, M the largest budget.

    A part of 1 is a run that the longer one merely continues. What was learnt of the peak rate, or of the
    first losses, in a short run holds in a longer one as far as this. Unlike `insensitivity`, it does not
    count a long plateau against a schedule.

    >>> from preheat.schedules import constant, cosine, wsd
    >>> for s in (constant(), wsd(warmup=10, cooldown="20%"), cosine()):
    ...     print(round(shared_start(s, [250, 1000])[0].part, 3))
    1.0
    0.802
    0.066
    """
    if not totals:
        raise UserError("shared_start needs the lengths to compare, got none: write totals=[250, 500, 1000]")
    if not is_number(tolerance) or not 0 < tolerance < 1:
        raise UserError(
            f"tolerance is a difference of factors between 0 and 1, got {tolerance!r}: write tolerance=0.01"
        )
    runs = [schedule.resolve(n, **known) for n in totals]
    longest = max(runs, key=lambda r: r.total)
    return tuple(_shared(run, longest, tolerance) for run in runs)


def _shared(run: Resolved, longest: Resolved, tolerance: float) -> Shared:
    def apart(t: Any) -> Any:
        return np.abs(run.curve(t) - longest.curve(t)) > tolerance

    grid = np.linspace(0.0, run.total, _CELLS, endpoint=False)
    found = np.flatnonzero(apart(grid))
    if not found.size:
        return Shared(run.total, float(run.total), 1.0)
    low, high = grid[max(found[0] - 1, 0)], grid[found[0]]
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if apart(middle) else (middle, high)
    return Shared(run.total, float(high), float(high) / run.total)
