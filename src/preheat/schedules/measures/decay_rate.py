"""How fast a schedule falls."""

from __future__ import annotations

from typing import NamedTuple, Unpack

import numpy as np

from preheat.core.errors import UserError
from preheat.schedules.curves import Array
from preheat.schedules.measures.curve import SAME, Known, cuts
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
