"""The edge of stability of every seed: up to which value of a numeric nuisance (the peak rate) training
works.

Per seed the edge lies between the highest value below the first failure and that failure, at their geometric
mean; values too low to train at all, below the first that trained, are no failures. A seed that trained at
every value, or at none, is censored and counts with the end of its grid; a ratio leaves out the seeds where
both edges are censored at one end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from preheat.analysis.effects import Place
from preheat.analysis.table import DIVERGED, DONE, FAILED, LOST, MISSING, UNMEASURED, UNPLANNED, Table
from preheat.stats.bounds import Bounded, Parts, combined, mean_weights
from preheat.stats.estimates import Array


class SeedEdges(NamedTuple):
    """Per seed: log2 of the edge (NaN where unknown), the width of its bracket in log2, and its side.

    side: 1 where the edge lies beyond the top of the grid, -1 below its bottom, 0 inside.
    """

    log2: Array
    width: Array
    side: NDArray[np.int64]


def bracket(values: Array, good: NDArray[np.bool_]) -> tuple[float, float, int]:
    """(log2 of the edge, width of its bracket in log2, side as in `SeedEdges`) of one seed; `values` ascend.

    >>> bracket(np.array([1.0, 4.0, 16.0]), np.array([True, True, False]))
    (3.0, 2.0, 0)
    >>> bracket(np.array([1.0, 4.0, 16.0]), np.array([True, True, True]))
    (4.0, 2.0, 1)
    """
    logs = np.log2(values)
    end = float(np.diff(logs).max(initial=0.0))
    if not good.any():
        return float(logs[0]), end, -1
    first = int(good.argmax())
    fails = np.flatnonzero(~good[first:])
    if not len(fails):
        return float(logs[-1]), end, 1
    stop = first + int(fails[0])
    return float(logs[stop - 1] + logs[stop]) / 2, float(logs[stop] - logs[stop - 1]), 0


def seed_edges(table: Table, good: NDArray[np.bool_], at: Place) -> SeedEdges:
    """The edge of every seed of one setting; runs without a result are passed over."""
    values = np.asarray(table.numeric)
    out = []
    for s in range(len(table.seeds)):
        state = table.state[at][:, s]
        known = (state == DONE) | (state == DIVERGED)
        missing = bool(
            np.isin(state, (MISSING, FAILED, UNMEASURED, LOST)).all() or (state == UNPLANNED).all()
        )
        lost = missing or known.sum() < 2
        out.append((math.nan, math.nan, 0) if lost else bracket(values[known], good[at][known, s]))
    log2, width, side = zip(*out, strict=True)
    return SeedEdges(np.array(log2), np.array(width), np.array(side))


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
    ratio = np.where(hidden, math.nan, mine.log2 - base.log2)
    least, most = (mine.side > 0) | (base.side < 0), (mine.side < 0) | (base.side > 0)
    return Parts(ratio, mine.width**2 + base.width**2, least, most)
