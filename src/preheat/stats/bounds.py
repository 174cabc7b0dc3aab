"""Means of which some parts lie beyond the end of a grid, so that only a bound of them is known.

A seed that trained at the highest value of the grid has its edge above it, by an unknown amount. Counted with
the end of the grid, it makes a mean, an interval and a p value look more exact than they are. So where more
than a quarter of the seeds are bounded from one side, the estimate is a bound: its mean and the limit on the
known side hold, the other limit is left out. A p value is given only where the mean lies on the open side of
0: the truth is then farther from 0.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from preheat.stats.estimates import Array, Bound, Estimate, Moments, bounded, interval, moments, p_different

MANY = 0.25


class Parts(NamedTuple):
    """[C, S], for each condition and seed: a value in log2 (NaN where unknown) and the square of its
    bracket's width.

    least, most [C, S]: where the true value is at least, at most the one given.
    """

    values: Array
    squares: Array
    least: NDArray[np.bool_]
    most: NDArray[np.bool_]


class Bounded(NamedTuple):
    """Moments over seeds. least, most: the share of the seeds whose true value is at least, at most what was
    counted."""

    moments: Moments
    least: float
    most: float

    @property
    def bound(self) -> Bound:
        """What kind of number the mean is.

        >>> Bounded(Moments(1.0, 0.1, 8), 0.25, 0.0).bound, Bounded(Moments(1.0, 0.1, 8), 0.5, 0.0).bound
        ('exact', 'at least')
        """
        if self.most > MANY:
            return "open" if self.least > MANY else "at most"
        return "at least" if self.least > MANY else "exact"

    @property
    def estimate(self) -> Estimate:
        """The mean with the limits that hold."""
        return bounded(interval(self.moments), self.bound)

    @property
    def p(self) -> float | None:
        """Two-sided p of "the mean is 0" (Student); None where the truth may lie on the other side of 0."""
        sign = {"exact": self.moments.mean, "at least": 1.0, "at most": -1.0, "open": 0.0}[self.bound]
        return p_different(self.moments) if sign * self.moments.mean > 0 or self.bound == "exact" else None


def combined(parts: Parts, weights: Array) -> Bounded:
    """Per seed the sum over conditions of weights [C, S] times values, then over seeds; all weights 0: the
    seed is left out.

    A bound passes through a weight above 0 and turns round at one below 0. The standard deviation is at least
    what the brackets leave open, sqrt(sum of squared weight times squared width / 12).
    """
    weights = np.where(np.isfinite(parts.values), weights, 0.0)
    used = np.flatnonzero((weights != 0).any(axis=0))
    if not len(used):
        return Bounded(moments([]), 0.0, 0.0)
    up, down = weights > 0, weights < 0
    least = ((up & parts.least) | (down & parts.most))[:, used].any(axis=0)
    most = ((up & parts.most) | (down & parts.least))[:, used].any(axis=0)
    sums = (weights * np.nan_to_num(parts.values)).sum(axis=0)[used]
    squares = (weights**2 * np.nan_to_num(parts.squares)).sum(axis=0)[used]
    return Bounded(
        moments(sums, math.sqrt(float(squares.mean()) / 12)), float(least.mean()), float(most.mean())
    )


def mean_weights(parts: Parts) -> Array:
    """For the mean over the conditions where a seed's value is known."""
    known = np.isfinite(parts.values)
    return np.asarray(known / np.maximum(known.sum(axis=0), 1), dtype=np.float64)


def slope_weights(parts: Parts, x: Array) -> Array:
    """For the least-squares slope on x [C] over the conditions where a seed's value is known; 0 with fewer
    than two."""
    known = np.isfinite(parts.values)
    apart = known * (x[:, None] - (known * x[:, None]).sum(axis=0) / np.maximum(known.sum(axis=0), 1))
    square = (apart**2).sum(axis=0)
    return np.asarray(np.where(square > 1e-12, apart / np.maximum(square, 1e-12), 0.0), dtype=np.float64)


def contrast_weights(parts: Parts, c: int) -> Array:
    """For condition c minus the mean of the others where a seed's values are known; 0 where c or all others
    are not."""
    known = np.isfinite(parts.values)
    others = known.copy()
    others[c] = False
    n = others.sum(axis=0)
    weights = -(others / np.maximum(n, 1))
    weights[c] = 1.0
    return np.asarray(np.where(known[c] & (n > 0), weights, 0.0), dtype=np.float64)


def dependence(parts: Parts, x: Array | None) -> tuple[Bounded | None, float | None]:
    """(slope on x or None, p of "the values do not depend on the condition").

    With numbers x [C]: the slope per seed, then a t test over seeds. Without: each condition against the mean
    of the others, the smallest p times their number (Bonferroni). 1 where bounds leave the direction open,
    None for one seed.
    """
    if len(parts.values) < 2:
        return None, None
    if x is not None:
        slope = combined(parts, slope_weights(parts, x))
        return (slope if slope.moments.n else None), _p(slope)
    contrasts = [combined(parts, contrast_weights(parts, c)) for c in range(len(parts.values))]
    ps = [p for b in contrasts if (p := _p(b)) is not None]
    return None, min(1.0, len(ps) * min(ps)) if ps else None


def _p(b: Bounded) -> float | None:
    """1 where a bound leaves no p."""
    if b.moments.n < 2:
        return None
    return 1.0 if b.p is None else b.p
