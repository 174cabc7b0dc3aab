"""What the measures share. They are read off s(t), the schedule before any sampling (`Resolved.curve`).

Times are in steps, budgets in steps at the peak rate. Every measure takes what `resolve` takes.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import fsum
from typing import TypedDict

import numpy as np

from preheat.schedules.curves import Array
from preheat.schedules.quadrature import integral
from preheat.schedules.resolved import Resolved

SAME = 1e-12  # factors closer than this are equal


class Known(TypedDict, total=False):
    """Of the run: steps in an epoch, the peak rate, samples and tokens in a step."""

    per_epoch: float | None
    peak: float | None
    samples: float | None
    tokens: float | None


def cuts(run: Resolved) -> Array:
    """Where the curve may jump, and where its parts meet, 0 and T among them."""
    inner = [b.step for b in run.boundaries() if 0 < b.step < run.total]
    return np.unique([0.0, *inner, float(run.total)])


def area(run: Resolved, span: tuple[float, float], *, above: float = 0.0) -> float:
    """The integral of s - above over the span."""
    inner = cuts(run)
    places = [span[0], *inner[(inner > span[0]) & (inner < span[1])].tolist(), span[1]]
    return fsum(_halved(lambda t: run.curve(t) - above, a, b, 1e-13 * run.total) for a, b in pairwise(places))


def _halved(f: Callable[[Array], Array], a: float, b: float, near: float) -> float:
    """The integral, halved until halves agree with the whole, which finds bends that are no boundaries."""
    middle = (a + b) / 2
    halves = integral(f, a, middle) + integral(f, middle, b)
    if abs(integral(f, a, b) - halves) <= near or not a < middle < b:
        return halves
    return _halved(f, a, middle, near) + _halved(f, middle, b, near)
