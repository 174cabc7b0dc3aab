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

from preheat.stats.estimates import Array, t_quantile


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

    x [V]: log2 of the rates, increasing. works [V, S]: 1.0 worked, 0.0 failed, NaN no run. Values below the
    first that worked were too low to train, and are no failures. A seed that works nowhere, or for the most
    part up to its highest value, has its boundary beyond that end. One success beyond several failures widens
    the bracket up to it.

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
    step = float(np.diff(x).max())
    if not works.any():
        return float(x[0]), step, -1
    begin = int(works.argmax())
    x, p = x[begin:], falling(works[begin:])
    if p[-1] >= 0.5:
        return float(x[-1]), step, 1
    p = (p - p[-1]) / (1 - p[-1])  # a success beyond the failures has chance to thank
    falls = np.flatnonzero(np.diff(p) < 0)
    value = float(((p[:-1] - p[1:]) * (x[:-1] + x[1:]) / 2).sum())
    highest = x[-1] if works[-1] else x[falls[-1] + 1]
    return value, float(highest - x[falls[0]]), 0


class Logistic(NamedTuple):
    """Midpoints of groups in log2, [G], the common slope, and the covariance of the midpoints [G, G], errors
    clustered by `seeds` seeds. slope below 0: works less at higher rates. step: of the grid, to which the
    midpoints are known: their variance is at least step^2 / 12 over the seeds."""

    midpoint: Array
    slope: float
    covariance: Array
    seeds: int
    step: float

    def interval(self, g: int, *, level: float = 0.95) -> tuple[float, float]:
        """Of a group's midpoint, by Student's t on seeds - 1 degrees of freedom."""
        return self._interval(np.eye(len(self.midpoint))[g], level)

    def difference(self, g: int, base: int, *, level: float = 0.95) -> tuple[float, float, float]:
        """(a group's midpoint minus the base's, its interval)."""
        contrast = np.eye(len(self.midpoint))[g] - np.eye(len(self.midpoint))[base]
        return float(contrast @ self.midpoint), *self._interval(contrast, level)

    def _interval(self, contrast: Array, level: float) -> tuple[float, float]:
        least = self.step**2 / 12 / self.seeds * float(contrast @ contrast)
        variance = max(float(contrast @ self.covariance @ contrast), least)
        half = float(t_quantile(0.5 + level / 2, self.seeds - 1)) * variance**0.5
        middle = float(contrast @ self.midpoint)
        return float(middle - half), float(middle + half)


def logistic(x: Array, works: Array, group: NDArray[np.int64], seed: NDArray[np.int64]) -> Logistic | None:
    """logit P(works) = a_group + b x over single runs [N], by Firth's penalised likelihood, which is finite
    also where every failure lies above every success; None where it does not converge or b >= 0.

    The covariance is the sandwich over seeds with S / (S - 1), then by the delta method for -a / b. Firth,
    Biometrika 80 (1993) 27; Liang & Zeger, Biometrika 73 (1986) 13. It is a check, not a verdict.
    """
    from scipy.special import expit

    groups = int(group.max()) + 1
    centre = float(x.mean())
    design = np.column_stack([*(group == g for g in range(groups)), x - centre]).astype(float)
    beta = np.zeros(groups + 1)
    for _ in range(200):
        p = expit(design @ beta)
        weight = p * (1 - p)
        information = design.T @ (weight[:, None] * design)
        bread = np.linalg.pinv(information)
        leverage = weight * np.einsum("ij,jk,ik->i", design, bread, design)
        score = design.T @ (works - p + leverage * (0.5 - p))
        step = bread @ score
        step *= min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
        beta += step
        if np.abs(step).max() < 1e-8:
            scores = design * (works - p + leverage * (0.5 - p))[:, None]
            grid = centre, float(np.diff(np.unique(x)).max(initial=0.0))
            return _midpoints(beta, bread, scores, seed, grid)
    return None


def _midpoints(
    beta: Array, bread: Array, scores: Array, seed: NDArray[np.int64], grid: tuple[float, float]
) -> Logistic | None:
    """grid: its centre and its step."""
    *a, b = beta
    seeds = np.unique(seed)
    if b >= 0 or len(seeds) < 2:
        return None
    sums = np.array([scores[seed == s].sum(axis=0) for s in seeds])
    covariance = bread @ (sums.T @ sums) @ bread * len(seeds) / (len(seeds) - 1)
    g = len(a)
    gradient = np.column_stack([-np.eye(g) / b, np.array(a) / b**2])
    covered = gradient @ covariance @ gradient.T
    return Logistic(grid[0] - np.array(a) / b, float(b), covered, len(seeds), grid[1])
