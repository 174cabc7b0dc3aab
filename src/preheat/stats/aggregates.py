"""Scores over several tasks as one number, with a stratified bootstrap. Agarwal et al. 2021, arXiv 2108.13264
(rliable).

Scores are [runs, tasks], higher is better, one unit for all tasks: `normalised` makes them so. A bootstrap
draws the runs of each task anew from that task's runs; the tasks stay. So an interval is about other runs
of these tasks, not about other tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from preheat.stats.estimates import ALPHA, Array, Estimate

DRAWS = 2000


def normalised(values: ArrayLike, worst: ArrayLike, best: ArrayLike, *, log: bool = False) -> Array:
    """(v - worst) / (best - worst): 0 at the reference `worst`, such as a guess, 1 at `best`.

    values: [..., tasks]; worst, best: [tasks], of either order, so that a loss becomes a score. log: of
    logarithms, for losses that differ by decades. Errors: ValueError where worst and best are equal, and for
    log where a number is not above 0.

    >>> normalised([[2.0, 0.6], [1.0, 0.9]], [4.0, 0.1], [0.0, 1.1]).tolist()
    [[0.5, 0.5], [0.75, 0.8]]
    >>> normalised([[1e-4], [1e-6]], [1e-2], [1e-6], log=True).round(9).tolist()
    [[0.5], [1.0]]
    """
    given = [np.asarray(part, dtype=np.float64) for part in (values, worst, best)]
    if log and any((part <= 0).any() for part in given):
        raise ValueError("scores by logarithms need values above 0: leave out log=True")
    v, low, high = (np.log(part) for part in given) if log else given
    if (low == high).any():
        raise ValueError(f"scores need a worst and a best that differ, got {worst!r} and {best!r}")
    out: Array = (v - low) / (high - low)
    return out


def iqm(scores: ArrayLike) -> float:
    """The interquartile mean: of all runs of all tasks, the mean of the middle half.

    A quarter is cut off on either side, rounded down to whole runs.

    >>> iqm([[1, 2], [2, 2], [1, 1], [2, 1]]), iqm([[1, 1], [2, 2], [3, 3]])
    (1.5, 2.0)
    """
    return float(_iqm(_scores(scores).reshape(1, -1))[0])


def iqm_estimate(scores: ArrayLike, *, draws: int = DRAWS, seed: int = 0) -> Estimate:
    """`iqm` with its 95 % interval: percentiles of `draws` bootstrap samples. One run has no interval."""
    x = _scores(scores)
    if len(x) == 1:
        return Estimate(iqm(x), None, None, 1)
    drawn = _drawn(x, draws, np.random.default_rng(seed))
    return _estimate(iqm(x), _iqm(drawn.reshape(draws, -1)), len(x))


def better(x: ArrayLike, y: ArrayLike) -> float:
    """P(X > Y), the mean over tasks of the share of pairs of runs in which x's score is above y's.

    A tie counts half. x: [runs of X, tasks]; y: [runs of Y, tasks].

    >>> round(better([[1, 2], [2, 2], [1, 1], [2, 1]], [[1, 1], [2, 2], [3, 3]]), 9)
    0.333333333
    """
    return float(_wins(*_two(x, y)).mean())


def better_estimate(x: ArrayLike, y: ArrayLike, *, draws: int = DRAWS, seed: int = 0) -> Estimate:
    """`better` with its 95 % interval; the runs of x and of y are drawn independently of each other."""
    a, b = _two(x, y)
    n = min(len(a), len(b))
    if n == 1:
        return Estimate(better(a, b), None, None, 1)
    rng, wins = np.random.default_rng(seed), _wins(a, b)
    times = [rng.multinomial(k, [1 / k] * k, size=(draws, a.shape[1])) / k for k in (len(a), len(b))]
    drawn = np.einsum("dti,ijt,dtj->dt", times[0], wins, times[1], optimize=True).mean(axis=1)
    return _estimate(better(a, b), drawn, n)


@dataclass(frozen=True)
class Placed:
    """One of several arms: its interquartile mean, and its rank by that, 1 the best, with 95 % intervals."""

    iqm: Estimate
    rank: Estimate


def ranking(arms: Sequence[ArrayLike], *, draws: int = DRAWS, seed: int = 0) -> tuple[Placed, ...]:
    """Where each arm stands by its interquartile mean, and how sure that is.

    arms: each [runs, tasks], all of one shape, run i of all arms with the same random seed: these are drawn
    together. The rank's mean is that of the scores themselves; equal ones share the mean of their ranks.

    >>> first, second = ranking([[[0.9], [0.8]], [[0.1], [0.2]]])
    >>> (first.rank.mean, second.rank.mean), (second.rank.lo, second.rank.hi)
    ((1.0, 2.0), (2.0, 2.0))
    """
    scores = [_scores(arm) for arm in arms]
    if len({s.shape for s in scores}) != 1:
        raise ValueError(f"arms must have the same runs and tasks, got {[s.shape for s in scores]}")
    runs = len(scores[0])
    means = np.array([[iqm(s)] for s in scores])
    if runs == 1:
        one = zip(means[:, 0], _ranks(means)[:, 0], strict=True)
        return tuple(Placed(*(Estimate(float(v), None, None, 1) for v in pair)) for pair in one)
    drawn = np.array([_iqm(_drawn(s, draws, np.random.default_rng(seed)).reshape(draws, -1)) for s in scores])
    found = zip(means[:, 0], _ranks(means)[:, 0], drawn, _ranks(drawn), strict=True)
    return tuple(Placed(_estimate(m, d, runs), _estimate(r, k, runs)) for m, r, d, k in found)


def _ranks(means: Array) -> Array:
    """1 for the highest of each column [arms, draws]."""
    above = (means[None] > means[:, None]).sum(axis=1)
    equal = (means[None] == means[:, None]).sum(axis=1)
    out: Array = above + (equal + 1) / 2
    return out


def _iqm(flat: Array) -> Array:
    """Of each row [draws, n]."""
    cut = flat.shape[1] // 4
    inner = np.sort(flat, axis=1)[:, cut : flat.shape[1] - cut]
    out: Array = inner.mean(axis=1)
    return out


def _drawn(x: Array, draws: int, rng: np.random.Generator) -> Array:
    """Bootstrap samples [draws, runs, tasks]."""
    out: Array = x[rng.integers(len(x), size=(draws, *x.shape)), np.arange(x.shape[1])]
    return out


def _wins(x: Array, y: Array) -> Array:
    """[runs of x, runs of y, tasks]: 1 where x's is higher, 1/2 where they are equal."""
    a, b = x[:, None], y[None]
    out: Array = (a > b) + 0.5 * (a == b)
    return out


def _estimate(value: float, drawn: Array, n: int) -> Estimate:
    lo, hi = np.quantile(drawn, [ALPHA / 2, 1 - ALPHA / 2])
    return Estimate(float(value), float(lo), float(hi), n)


def _two(x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
    a, b = _scores(x), _scores(y)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"scores must be of the same tasks, got {a.shape[1]} and {b.shape[1]}")
    return a, b


def _scores(given: ArrayLike) -> Array:
    out = np.asarray(given, dtype=np.float64)
    if out.ndim != 2 or not out.size or np.isnan(out).any():
        raise ValueError(f"scores are [runs, tasks] without NaN, got shape {out.shape}")
    return out
