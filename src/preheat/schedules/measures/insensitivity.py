"""How a schedule changes with the budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Unpack

import numpy as np

from preheat.core.errors import UserError
from preheat.core.lengths import is_number
from preheat.schedules.measures.curve import Known, area, cuts
from preheat.schedules.resolved import Resolved
from preheat.schedules.rule import Rule

_GRID = 4096  # points among which a crossing is looked for; it is then found by bisection


class Reach(NamedTuple):
    """Of a run of `total` steps: where it falls below the level, the area above until then and its change."""

    total: int
    crossing: float
    area: float
    change: float


@dataclass(frozen=True)
class Insensitivity:
    """How much the early part of a schedule changes with the budget; 0 is the best."""

    level: float
    runs: tuple[Reach, ...]

    @property
    def worst(self) -> float:
        """The largest change."""
        return max(r.change for r in self.runs)

    def json(self) -> dict[str, Any]:
        """The level, the worst change, and every run."""
        return {"level": self.level, "worst": self.worst, "runs": [r._asdict() for r in self.runs]}


def insensitivity(
    schedule: Rule | Callable[[int], Rule],
    totals: Sequence[int],
    *,
    level: float = 0.8,
    **known: Unpack[Known],
) -> Insensitivity:
    """How much the area above `level` times the peak changes with the budget: 0 where none is felt at first.

    M(N) is the integral of s - level from where a run of N steps first reaches the level to n_c, where it
    first falls below it; the change is |M(N) - M(N_max)| / M(N_max). A schedule that merely stretches with N
    changes by 1 - N / N_max. schedule: one for all budgets, or a function of N that makes it. A rule that
    falls and rises again within 1/4096 of the run may be missed.

    >>> from preheat.schedules import linear
    >>> for r in insensitivity(linear(), [250, 1000]).runs:
    ...     print(r.total, round(r.crossing, 9), round(r.area, 9), r.change)
    250 50.0 5.0 0.75
    1000 200.0 20.0 0.0

    HyperbolicLR: Kim 2024, arXiv 2407.15200.
    """
    if not is_number(level) or not 0 < level < 1:
        raise UserError(f"level is a factor of the peak rate between 0 and 1, got {level!r}: write level=0.8")
    if not totals:
        raise UserError("insensitivity needs the lengths to compare, got none: write totals=[250, 500, 1000]")
    found = []
    for n in totals:
        one = schedule if hasattr(schedule, "resolve") else schedule(n)
        run = one.resolve(n, **known)
        rise, fall = _crossings(run, level)
        found.append((n, fall, area(run, (rise, fall), above=level)))
    longest = max(found)[2]
    return Insensitivity(level, tuple(Reach(*one, abs(one[2] - longest) / longest) for one in found))


def _crossings(run: Resolved, level: float) -> tuple[float, float]:
    """Where the factor first reaches the level, and where it then first falls below it: T if never."""
    bounds = cuts(run)
    each = _GRID // (bounds.size - 1) + 2
    t = np.linspace(bounds[:-1], bounds[1:], each, axis=1)
    s = np.column_stack([run.curve(t[:, :-1]), run.curve(t[:, -1], after=False)]).ravel()
    t = t.ravel()
    above = s >= level
    if not above.any():
        raise UserError(
            f"the schedule must reach the level {level:g}, got at most {s.max():g}: write a lower level"
        )
    up = int(np.argmax(above))
    rise = _root(run, (t[up - 1], t[up]), level) if up else 0.0
    under = np.flatnonzero(~above[up:])
    fall = _root(run, (t[up + under[0] - 1], t[up + under[0]]), level) if under.size else float(run.total)
    return rise, fall


def _root(run: Resolved, span: tuple[float, float], level: float) -> float:
    """The crossing inside the span, to the last bit; at a jump the span is a single position."""
    low, high = map(float, span)
    side = run.curve(low) >= level
    while low < (mid := low + (high - low) / 2) < high:
        low, high = (mid, high) if (run.curve(mid) >= level) == side else (low, mid)
    return high
