"""The boundary above which runs fail, from runs on a grid of rates that failed or worked.

For each seed: failures need not be monotone in the rate, so the share that works is first made so (the
isotonic regression), and the boundary is the mean of the rate at which it falls, x = log2 rate (Spearman
1908; Kaerber 1931). Over seeds: the mean and Student's interval, paired where two boundaries are compared.
Beside it, as a check that shares none of this, a logistic regression of all runs with errors clustered by
seed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from preheat.stats.estimates import Array


class Boundaries(NamedTuple):
    """For each seed [S]: the boundary, the width of what it may lie in (the grid's step, more where failures
    are not monotone), and the side of a seed that has none: 1 worked at every value, -1 at none, 0 inside.
    Where there is none, `value` is the end of the grid, NaN where fewer than two values are known."""

    value: Array
    width: Array
    side: NDArray[np.int64]


def falling(works: Array) -> Array:
    """The non-increasing sequence nearest to `works` [V] in least squares (pool adjacent violators).

    >>> falling(np.array([1.0, 0.0, 1.0, 0.0])).tolist()
    [1.0, 0.5, 0.5, 0.0]
    """
    blocks: list[tuple[float, int]] = []
    for one in works.tolist():
        mean, size = one, 1
        while blocks and blocks[-1][0] < mean:
            before, n = blocks.pop()
            mean, size = (before * n + mean * size) / (n + size), n + size
        blocks.append((mean, size))
    return np.repeat([m for m, _ in blocks], [n for _, n in blocks])


def spearman_kaerber(x: Array, works: Array) -> Boundaries:
    """The boundary of every seed: sum over neighbours of (p_i - p_{i+1}) (x_i + x_{i+1}) / 2, p the isotonic
    share that works.

    x [V]: log2 of the rates, increasing. works [V, S]: 1.0 worked, 0.0 failed, NaN no run. A seed that does
    not work at its lowest value or fails nowhere up to its highest has its boundary beyond that end.

    >>> b = spearman_kaerber(np.array([0.0, 1.0, 2.0, 3.0]), np.array([[1, 1], [1, 1], [0, 1], [0, 1.0]]))
    >>> b.value.tolist(), b.width.tolist(), b.side.tolist()
    ([1.5, 3.0], [1.0, 1.0], [0, 1])
    """
    found = [_one(x[known], works[known, s]) for s, known in enumerate(np.isfinite(works).T)]
    value, width, side = zip(*found, strict=True) if found else ((), (), ())
    return Boundaries(np.array(value, dtype=float), np.array(width, dtype=float), np.array(side, dtype=int))


def _one(x: Array, works: Array) -> tuple[float, float, int]:
    if len(x) < 2:
        return np.nan, np.nan, 0
    p = falling(works)
    step = float(np.diff(x).max())
    if p[0] < 1 and p.max() == p.min():
        return float(x[0]), step, -1 if p[0] == 0 else 0
    if p[-1] > 0:
        return float(x[-1]), step, 1
    if p[0] < 1:
        return float(x[0]), step, -1
    falls = np.flatnonzero(np.diff(p) < 0)
    value = float(((p[:-1] - p[1:]) * (x[:-1] + x[1:]) / 2).sum())
    return value, float(x[falls[-1] + 1] - x[falls[0]]), 0
