"""Several runs' lines as one: thinned, and their mean and spread over a common x."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from preheat.stats.estimates import Array

MOST_POINTS = 100


def thin(x: Array, y: Array, *, most: int = MOST_POINTS) -> tuple[Array, Array]:
    """At most `most` points: means of consecutive groups of equal size (the last may be smaller).

    >>> thin(np.arange(4.0), np.array([0.0, 2.0, 4.0, 8.0]), most=2)
    (array([0.5, 2.5]), array([1., 6.]))
    """
    if len(x) <= most:
        return x, y
    starts = np.arange(0, len(x), -(-len(x) // most))
    counts = np.diff(np.append(starts, len(x)))
    return np.add.reduceat(x, starts) / counts, np.add.reduceat(y, starts) / counts


def across(lines: Sequence[tuple[Array, Array]]) -> tuple[Array, Array, Array, Array]:
    """(x, mean, mean - sd, mean + sd) at the points of the longest line; a line that stops early counts up to
    there."""
    x = max((x for x, _ in lines), key=lambda v: (float(v[-1]), len(v)))
    stack = np.array([np.interp(x, a, b, right=np.nan) for a, b in lines])
    known = np.isfinite(stack)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, stack, 0.0).sum(axis=0) / count
    square = (np.where(known, stack - mean, 0.0) ** 2).sum(axis=0)
    sd = np.sqrt(square / np.maximum(count - 1, 1))
    kept = known.any(axis=0)
    return x[kept], mean[kept], (mean - sd)[kept], (mean + sd)[kept]


def rounded(values: Array) -> tuple[float, ...]:
    """Six significant digits: a page need not carry more."""
    return tuple(float(f"{v:.6g}") for v in values)
