"""How fast a schedule falls."""

from __future__ import annotations

from typing import NamedTuple, Unpack

import numpy as np

from preheat.core.errors import UserError
from preheat.schedules.curves import Array
from preheat.schedules.measures.curve import SAME, Known, cuts
from preheat.schedules.resolved import Resolved
from preheat.schedules.rule import Rule

_NEAR = 1e-5  # half the width of a difference quotient, as a fraction of the run: 10 digits of a smooth slope


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


class InitialSlope(NamedTuple):
    """Where the decay begins, in steps, the factor there, and its slope there, in factors per step."""

    step: float
    factor: float
    slope: float


def initial_slope(run: Resolved) -> InitialSlope:
    """How fast the schedule begins to fall, after its warmup: a one-sided difference of the second order.

    Negative where it falls; 0 on a plateau. Good to about 8 digits where the curve is smooth.

    >>> from preheat.schedules import hyperbolic
    >>> [round(initial_slope(hyperbolic(upper=250, infimum=0).resolve(n)).slope, 6) for n in (50, 250)]
    [-0.006667, -0.004]
    """
    begin = run.warmup
    places = cuts(run)
    end = float(places[np.searchsorted(places, begin, side="right")])
    h = 1e-4 * (end - begin)
    a, b, c = run.curve([begin, begin + h, begin + 2 * h]).tolist()
    return InitialSlope(begin, a, (4 * b - c - 3 * a) / (2 * h))


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
    places = cuts(run)
    t: Array = np.linspace(0.5, points - 0.5, points) * (run.total / points)
    cell = np.searchsorted(places, t, side="right") - 1
    left = np.maximum(t - _NEAR * run.total, places[cell])
    right = np.minimum(t + _NEAR * run.total, places[cell + 1])
    rate: Array = (run.curve(left) - run.curve(right, after=False)) / (right - left)
    before, after = run.curve(places[1:-1], after=False), run.curve(places[1:-1])
    rows = zip(places[1:-1].tolist(), before.tolist(), after.tolist(), strict=True)
    return DecayRate(t, rate, tuple(Jump(*row) for row in rows if abs(row[1] - row[2]) > SAME))
