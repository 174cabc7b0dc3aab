"""What a schedule is, measured without training: how fast it falls, what it spends, how it changes with the
budget.

All of it is read off s(t), the schedule before any sampling (`Resolved.curve`), but for `difference`, which
compares what the updates get. Times are in steps, budgets in steps at the peak rate. Every function takes
what `resolve` takes: per_epoch, peak, samples, tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from math import fsum
from typing import Any, NamedTuple, TypedDict, Unpack

import numpy as np

from preheat.core.errors import UserError
from preheat.core.lengths import is_number
from preheat.schedules.curves import Array
from preheat.schedules.quadrature import integral
from preheat.schedules.resolved import Resolved
from preheat.schedules.rule import Rule

_NEAR = 1e-5  # half the width of a difference quotient, as a fraction of the run: 10 digits of a smooth slope
_GRID = 4096  # points among which a crossing is looked for; it is then found by bisection
_ROWS = 12  # of a table of differences
_SAME = 1e-12  # factors closer than this are equal


class Known(TypedDict, total=False):
    """What a schedule may need to know of its run: steps in an epoch, the peak rate, samples and tokens in a
    step."""

    per_epoch: float | None
    peak: float | None
    samples: float | None
    tokens: float | None


class Jump(NamedTuple):
    """A place where the factor jumps: position in steps, the factor before it and after it."""

    step: float
    before: float
    after: float


class DecayRate(NamedTuple):
    """-d eta / dt at positions `t` [n], in factors per step, and the jumps, where it has no value."""

    t: Array
    rate: Array
    jumps: tuple[Jump, ...]


class BudgetCurve(NamedTuple):
    """The part `share` [n] of the whole `budget` that is spent at `progress` [n], both from 0 to 1."""

    progress: Array
    share: Array
    budget: float


class Reach(NamedTuple):
    """Of a run of `total` steps: where it falls below the level, its area above it until then, the area's
    relative change."""

    total: int
    crossing: float
    area: float
    change: float


@dataclass(frozen=True)
class Insensitivity:
    """How much the early part of a schedule changes with the budget; `worst` is the largest change, 0 the
    best."""

    level: float
    runs: tuple[Reach, ...]

    @property
    def worst(self) -> float:
        """The largest change."""
        return max(r.change for r in self.runs)

    def json(self) -> dict[str, Any]:
        """The level, the worst change, and every run."""
        return {"level": self.level, "worst": self.worst, "runs": [r._asdict() for r in self.runs]}


class Row(NamedTuple):
    """The factors of update `step` under both schedules."""

    step: int
    a: float
    b: float


@dataclass(frozen=True)
class Difference:
    """Two schedules on one run, update by update.

    largest: the greatest |b - a|, at update `largest_step`; l1: the sum of |b - a| over the updates; budget:
    the exact budget of b less that of a; first_step: the first update that differs (by more than 1e-12), None
    if none does.
    """

    total: int
    largest: float
    largest_step: int
    l1: float
    budget: float
    first_step: int | None
    rows: tuple[Row, ...]

    def json(self) -> dict[str, Any]:
        """The fields; rows as mappings."""
        return {**asdict(self), "rows": [r._asdict() for r in self.rows]}


def decay_rate(schedule: Rule, total: int, *, points: int = 500, **known: Unpack[Known]) -> DecayRate:
    """-d eta / dt on an even grid of `points` positions, each in the middle of its cell.

    A central difference over 2e-5 of the run that never reaches across a boundary: the slope at a kink is
    that of the side on which the position lies, and a jump is listed, never smeared. Negative where the
    schedule rises.

    >>> from preheat.schedules import linear, step
    >>> decay_rate(linear(), 200, points=2).rate.round(12)
    array([0.005, 0.005])
    >>> decay_rate(step(milestones=["50%"]), 200, points=2).jumps
    (Jump(step=100.0, before=1.0, after=0.1),)

    HyperbolicLR: Kim 2024, arXiv 2407.15200.
    """
    if points < 1:
        raise UserError(f"points must be at least 1, got {points!r}: write points=500")
    run = schedule.resolve(total, **known)
    cuts = _cuts(run)
    t: Array = np.linspace(0.5, points - 0.5, points) * (run.total / points)
    cell = np.searchsorted(cuts, t, side="right") - 1
    left = np.maximum(t - _NEAR * run.total, cuts[cell])
    right = np.minimum(t + _NEAR * run.total, cuts[cell + 1])
    rate: Array = (run.curve(left) - run.curve(right, after=False)) / (right - left)
    before, after = run.curve(cuts[1:-1], after=False), run.curve(cuts[1:-1])
    rows = zip(cuts[1:-1].tolist(), before.tolist(), after.tolist(), strict=True)
    return DecayRate(t, rate, tuple(Jump(*row) for row in rows if abs(row[1] - row[2]) > _SAME))


def budget(schedule: Rule, totals: Sequence[int], **known: Unpack[Known]) -> dict[int, float]:
    """{N: the integral of s over a run of N steps}, exact.

    >>> from preheat.schedules import polynomial
    >>> {n: round(b, 10) for n, b in budget(polynomial(power=1), [100, 200]).items()}
    {100: 50.0, 200: 100.0}
    """
    runs = {n: schedule.resolve(n, **known) for n in totals}
    return {n: run.mean() * run.total for n, run in runs.items()}


def budget_curve(schedule: Rule, total: int, *, points: int = 101, **known: Unpack[Known]) -> BudgetCurve:
    """How the budget is spent: the part of it that is over at `points` even places of the run, both ends
    among them.

    >>> from preheat.schedules import linear
    >>> budget_curve(linear(), 200, points=3).share.round(12)
    array([0.  , 0.75, 1.  ])
    """
    if points < 2:
        raise UserError(f"points must be at least 2, got {points!r}: write points=101")
    run = schedule.resolve(total, **known)
    cuts = _cuts(run)
    progress = np.linspace(0.0, 1.0, points)
    parts = [_area(run, cuts, (a, b)) for a, b in pairwise((progress * run.total).tolist())]
    spent = np.concatenate([[0.0], np.cumsum(parts)])
    return BudgetCurve(progress, spent / spent[-1], run.mean() * run.total)


def insensitivity(
    schedule: Rule | Callable[[int], Rule],
    totals: Sequence[int],
    *,
    level: float = 0.8,
    **known: Unpack[Known],
) -> Insensitivity:
    """How much the area above `level` times the peak rate changes with the budget: 0 where no budget is felt
    at first.

    M(N) is the integral of s - level from where a run of N steps first reaches the level to n_c, where it
    first falls below it; the change is |M(N) - M(N_max)| / M(N_max). A schedule that merely stretches with N
    changes by 1 - N / N_max. schedule: one for all budgets, or a function of N that makes it. A rule that
    falls and rises again within 1/4096 of the run may be missed.

    >>> from preheat.schedules import linear
    >>> for r in insensitivity(linear(), [250, 1000]).runs: print(r.total, round(r.crossing, 9), round(r.area, 9), r.change)
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
        cuts = _cuts(run)
        rise, fall = _crossings(run, cuts, level)
        found.append((n, fall, _area(run, cuts, (rise, fall), above=level)))
    longest = max(found)[2]
    return Insensitivity(
        level, tuple(Reach(n, fall, area, abs(area - longest) / longest) for n, fall, area in found)
    )


def difference(a: Rule, b: Rule, total: int, **known: Unpack[Known]) -> Difference:
    """Where, how far and from when on two schedules differ on a run of `total` steps; `b` against `a`.

    The rows are the updates at which something begins or ends, the first that differs and the one that
    differs most.

    >>> from preheat.schedules import cosine, linear
    >>> d = difference(linear(at="left"), cosine(at="left"), 4)
    >>> round(d.largest, 6), d.largest_step, d.first_step, abs(d.budget) < 1e-12
    (0.103553, 1, 1, True)
    """
    one, other = (s.resolve(total, **known) for s in (a, b))
    rates = one.table(), other.table()
    gap = np.abs(rates[1] - rates[0])
    apart = np.flatnonzero(gap > _SAME)
    most = int(np.argmax(gap >= gap.max() - _SAME))  # the first of equals
    must = {0, one.total - 1, most, *apart[:1].tolist()}
    marks = sorted({min(int(b.step), one.total - 1) for run in (one, other) for b in run.boundaries()} - must)
    room = _ROWS - len(must)
    if len(marks) > room:
        marks = [marks[i] for i in np.linspace(0, len(marks) - 1, room).round().astype(int).tolist()]
    return Difference(
        total=one.total,
        largest=float(gap[most]),
        largest_step=most,
        l1=float(gap.sum()),
        budget=(other.mean() - one.mean()) * one.total,
        first_step=int(apart[0]) if apart.size else None,
        rows=tuple(Row(k, float(rates[0][k]), float(rates[1][k])) for k in sorted({*must, *marks})),
    )


def _cuts(run: Resolved) -> Array:
    """Where the curve may jump, and where its parts meet, 0 and T among them."""
    inner = [b.step for b in run.boundaries() if 0 < b.step < run.total]
    return np.unique([0.0, *inner, float(run.total)])


def _area(run: Resolved, cuts: Array, span: tuple[float, float], *, above: float = 0.0) -> float:
    """The integral of s - above over the span."""
    places = [span[0], *cuts[(cuts > span[0]) & (cuts < span[1])].tolist(), span[1]]
    return fsum(_halved(lambda t: run.curve(t) - above, a, b, 1e-13 * run.total) for a, b in pairwise(places))


def _halved(f: Callable[[Array], Array], a: float, b: float, near: float) -> float:
    """The integral, halved until halves agree with the whole: a bend that is no boundary, as between two
    cycles, is found."""
    middle = (a + b) / 2
    halves = integral(f, a, middle) + integral(f, middle, b)
    if abs(integral(f, a, b) - halves) <= near or not a < middle < b:
        return halves
    return _halved(f, a, middle, near) + _halved(f, middle, b, near)


def _crossings(run: Resolved, cuts: Array, level: float) -> tuple[float, float]:
    """Where the factor first reaches the level, and where it first falls below it after that: T where it
    never does."""
    each = _GRID // (cuts.size - 1) + 2
    t = np.linspace(cuts[:-1], cuts[1:], each, axis=1)
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
