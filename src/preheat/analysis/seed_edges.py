"""The edge of stability of every seed: up to which value of a numeric nuisance (the peak rate) training
works.

Per seed the edge lies between the highest value below the first failure and that failure, at their geometric
mean; values too low to train at all, below the first that trained, are no failures. A seed that trained at
every value, or at none, is censored and counts with the end of its grid; a ratio leaves out the seeds where
both edges are censored at one end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from preheat.analysis.effects import Place
from preheat.analysis.table import DIVERGED, DONE, Table
from preheat.stats.bounds import Bounded, Parts, combined, mean_weights
from preheat.stats.estimates import Array


class SeedEdges(NamedTuple):
    """Per seed: log2 of the edge (NaN where unknown), the width of its bracket in log2, and its side.

    side: 1 where the edge lies beyond the top of the grid, -1 below its bottom, 0 inside.
    """

    log2: Array
    width: Array
    side: NDArray[np.int64]


def brackets(logs: Array, known: NDArray[np.bool_], good: NDArray[np.bool_]) -> SeedEdges:
    """The edges of seeds whose runs at `logs` [V], ascending, have a result (known [V, S]) and trained
    (good).

    >>> known = np.ones((3, 2), dtype=bool)
    >>> good = np.array([[True, True], [True, True], [False, True]])
    >>> log2, width, side = brackets(np.array([0.0, 2.0, 4.0]), known, good)
    >>> log2.tolist(), width.tolist(), side.tolist()
    ([3.0, 4.0], [2.0, 2.0], [0, 1])
    """
    each = np.arange(len(logs))[:, None]
    seen = np.maximum.accumulate(np.where(known, each, -1), axis=0)
    before = np.vstack([np.full((1, known.shape[1]), -1), seen[:-1]])
    gaps = np.where(known & (before >= 0), logs[:, None] - logs[before], 0.0)
    fine, bad = known & good, known & ~good
    bad = bad & (each > fine.argmax(axis=0)) & fine.any(axis=0)
    stop = bad.argmax(axis=0)
    high, low = logs[stop], logs[np.take_along_axis(before, stop[None], axis=0)[0]]
    inside, end = bad.any(axis=0), gaps.max(axis=0, initial=0.0)
    side = np.where(inside, 0, np.where(fine.any(axis=0), 1, -1))
    ends = np.where(side > 0, logs[seen[-1]], logs[known.argmax(axis=0)])
    log2, width = np.where(inside, (high + low) / 2, ends), np.where(inside, high - low, end)
    lost = known.sum(axis=0) < 2
    return SeedEdges(
        np.where(lost, np.nan, log2), np.where(lost, np.nan, width), np.where(lost, 0, side).astype(np.int64)
    )


def seed_edges(table: Table, good: NDArray[np.bool_], at: Place) -> SeedEdges:
    """The edge of every seed of one setting; runs without a result are passed over, and a seed with fewer
    than two has none. One that trained nowhere has its edge below the grid only if it diverged at the lowest
    value: else it may have been too slow."""
    state = table.state[at]
    known = (state == DONE) | (state == DIVERGED)
    e = brackets(np.log2(np.asarray(table.numeric)), known, good[at])
    lowest = np.take_along_axis(state, known.argmax(axis=0)[None], axis=0)[0]
    slow = (e.side < 0) & (lowest != DIVERGED)
    return SeedEdges(
        np.where(slow, np.nan, e.log2), np.where(slow, np.nan, e.width), np.where(slow, 0, e.side)
    )


def level_of(e: SeedEdges) -> Bounded:
    """The edge over seeds, in log2."""
    parts = Parts(e.log2[None], e.width[None] ** 2, (e.side > 0)[None], (e.side < 0)[None])
    return combined(parts, mean_weights(parts))


def ratio_parts(pairs: Sequence[tuple[SeedEdges, SeedEdges]]) -> Parts:
    """For (edge, baseline's edge) of each condition: log2 of the ratio. Two beyond the same end of one grid
    say nothing."""
    mine = SeedEdges(*(np.array(x) for x in zip(*(m for m, _ in pairs), strict=True)))
    base = SeedEdges(*(np.array(x) for x in zip(*(b for _, b in pairs), strict=True)))
    hidden = (mine.side != 0) & (mine.side == base.side) & (mine.log2 == base.log2)
    ratio = np.where(hidden, np.nan, mine.log2 - base.log2)
    least, most = (mine.side > 0) | (base.side < 0), (mine.side < 0) | (base.side > 0)
    return Parts(ratio, mine.width**2 + base.width**2, least, most)


def rounded(parts: Parts) -> float:
    """How far the brackets can move the mean over conditions and seeds of log2 ratios, in log2: each edge by
    half of its bracket, a ratio by at most sqrt((w1^2 + w2^2) / 2). 0 where nothing is known."""
    weights = mean_weights(parts)
    used = (weights > 0).any(axis=0)
    off = (weights * np.sqrt(np.nan_to_num(parts.squares) / 2)).sum(axis=0)[used]
    return float(off.mean()) if len(off) else 0.0
