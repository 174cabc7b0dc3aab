"""The edge of stability: up to which value of a numeric nuisance (the peak rate) training works.

A run *trained* if it finished and its validation score is above halfway between chance and the best mean
validation score of its panel and condition. Per seed the edge lies between the highest value below the first
failure and that failure, at their geometric mean; values too low to train at all, below the first that
trained, are no failures. A seed that trained at every value, or at none, is censored and counts with the end
of its grid; a ratio leaves out the seeds where both edges are censored at one end; what is censored in more
than a quarter of the seeds is given as a bound (see `bounds`). The edge is known to the grid's step g (in
log2) only, so its standard deviation is at least g / sqrt(12).

Nothing is chosen here, so all seeds are used.

Three families of comparisons are corrected by Holm, each by itself: the pooled ratios (one for each panel and
treatment, all conditions together), which answer whether a treatment moves the edge at all; whether each of
them depends on the condition; and the ratios of single conditions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from preheat.analysis.effects import Place, places
from preheat.analysis.table import DIVERGED, DONE, FAILED, LOST, MISSING, UNMEASURED, UNPLANNED, Table, number
from preheat.stats.bounds import Bounded, Parts, combined, corrected, dependence, mean_weights
from preheat.stats.estimates import Array, Estimate, below_alpha, holm


@dataclass(frozen=True)
class EdgePoint:
    """At one nuisance value: how many runs trained, of how many; and the mean metric of all of them."""

    value: float
    trained: int
    runs: int
    diverged: int
    mean: float | None


@dataclass(frozen=True)
class Edge:
    """The edge of stability in the numeric nuisance: the highest value at which training still works.

    edge: in the nuisance's own unit, the geometric mean over seeds; censored: how many seeds trained at every
    value or at none. ratio: edge over the baseline treatment's edge, as a factor (1 = unmoved), paired by
    seed; None for the baseline. Where more than a quarter of the seeds are censored to one side, an estimate
    is a bound (`Estimate.bound`). p_adjusted: Holm's over all ratios of the report; None where a bound leaves
    the direction open.
    """

    panel: str
    condition: str
    treatment: str
    points: tuple[EdgePoint, ...]
    edge: Estimate
    censored: int
    ratio: Estimate | None
    p_adjusted: float | None

    @property
    def sure(self) -> bool:
        """Whether the edge surely moves, at 95 % after correction."""
        return below_alpha(self.p_adjusted)


@dataclass(frozen=True)
class Pooled:
    """The edge over the baseline's, all conditions of a panel together: per seed the mean over conditions, in
    log2.

    p_adjusted is Holm's over these alone: they are the few main comparisons; single conditions are a family
    of their own. change: the factor by which the ratio changes with each doubling of a numeric condition;
    None for other conditions. change_p, change_p_adjusted: of "the ratio does not depend on the condition",
    Holm's over these alone.
    """

    panel: str
    treatment: str
    baseline: str
    ratio: Estimate
    p: float | None
    p_adjusted: float | None
    change: Estimate | None = None
    change_p: float | None = None
    change_p_adjusted: float | None = None

    @property
    def sure(self) -> bool:
        """Whether the edge surely moves, at 95 % after correction."""
        return below_alpha(self.p_adjusted)

    @property
    def depends(self) -> bool:
        """Whether the move surely depends on the condition, at 95 % after correction."""
        return below_alpha(self.change_p_adjusted)


class SeedEdges(NamedTuple):
    """Per seed: log2 of the edge (NaN where unknown), the width of its bracket in log2, and its side.

    side: 1 where the edge lies beyond the top of the grid, -1 below its bottom, 0 inside.
    """

    log2: Array
    width: Array
    side: NDArray[np.int64]


def trained(table: Table) -> NDArray[np.bool_]:
    """[P, C, T, V, S]: which runs trained, as the module says."""
    scores = table.sign * table.validation
    known = np.isfinite(scores)
    count = known.sum(axis=-1)
    mean = np.where(count > 0, np.where(known, scores, 0.0).sum(axis=-1) / np.maximum(count, 1), -np.inf)
    best = mean.max(axis=(2, 3))[..., None, None, None]
    halfway = (table.sign * table.chance + best) / 2
    return np.asarray((table.state == DONE) & known & (scores > halfway) & np.isfinite(halfway))


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


def _level(e: SeedEdges) -> Bounded:
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


def edges(table: Table) -> tuple[Edge, ...]:
    """The edge of every setting, and its ratio to the baseline's; p values adjusted by Holm over all
    ratios."""
    if table.numeric is None:
        return ()
    good = trained(table)
    spots = list(places(table))
    found = {at: seed_edges(table, good, at) for at in spots}
    ratios = [
        _ratio(found[at], found.get((at[0], at[1], table.base))) if at[2] != table.base else None
        for at in spots
    ]
    return tuple(
        Edge(
            panel=table.panels.labels[at[0]],
            condition=table.conditions.labels[at[1]],
            treatment=table.treatments.labels[at[2]],
            points=_points(table, good, at),
            edge=factor(_level(found[at]).estimate),
            censored=int((found[at].side != 0).sum()),
            ratio=None if b is None else factor(b.estimate),
            p_adjusted=p,
        )
        for at, b, p in zip(spots, ratios, corrected(ratios), strict=True)
    )


def _ratio(mine: SeedEdges, base: SeedEdges | None) -> Bounded | None:
    if base is None:
        return None
    parts = ratio_parts([(mine, base)])
    return combined(parts, mean_weights(parts))


def factor(e: Estimate) -> Estimate:
    """2 to the power of an estimate in log2."""
    lo, hi = (None if v is None else float(np.exp2(min(v, 1000.0))) for v in (e.lo, e.hi))
    return Estimate(float(np.exp2(min(e.mean, 1000.0))), lo, hi, e.n, e.bound)


def _points(table: Table, good: NDArray[np.bool_], at: Place) -> tuple[EdgePoint, ...]:
    assert table.numeric is not None
    out = []
    for v, value in enumerate(table.numeric):
        state, scores = table.state[at][v], table.test[at][v]
        if (state != UNPLANNED).any():
            known = scores[np.isfinite(scores)]
            runs = int(np.isin(state, (DONE, DIVERGED)).sum())
            mean = float(known.mean()) if len(known) else None
            out.append(EdgePoint(value, int(good[at][v].sum()), runs, int((state == DIVERGED).sum()), mean))
    return tuple(out)


def pooled(table: Table) -> tuple[Pooled, ...]:
    """The pooled ratio of every panel and treatment to the baseline, and whether it depends on the condition.

    p values of either question are adjusted by Holm over all of it. Only seeds with a known ratio count.
    """
    if table.numeric is None:
        return ()
    good = trained(table)
    spots = [
        (p, t) for p in range(len(table.panels)) for t in range(len(table.treatments)) if t != table.base
    ]
    made = {at: x for at in spots if (x := _parts(table, good, at)) is not None}
    ratios = [combined(parts, mean_weights(parts)) for parts, _ in made.values()]
    changes = [dependence(parts, x) for parts, x in made.values()]
    moved, depends = corrected([*ratios]), holm([p for _, p in changes])
    panels, names = table.panels.labels, table.treatments.labels
    return tuple(
        Pooled(
            panels[p],
            names[t],
            names[table.base],
            factor(b.estimate),
            b.p,
            q,
            slope and factor(slope),
            change,
            r,
        )
        for (p, t), b, q, (slope, change), r in zip(made, ratios, moved, changes, depends, strict=True)
    )


def _parts(table: Table, good: NDArray[np.bool_], at: tuple[int, int]) -> tuple[Parts, Array | None] | None:
    """A treatment's ratios in every condition, and log2 of the conditions where they are numbers above 0."""
    panel, treatment = at
    pairs, conditions = [], []
    for c in range(len(table.conditions)):
        spots = [(panel, c, treatment), (panel, c, table.base)]
        if all(table.planned[spot].any() for spot in spots):
            mine, base = (seed_edges(table, good, spot) for spot in spots)
            pairs.append((mine, base))
            conditions.append(table.conditions.values[c])
    parts = ratio_parts(pairs) if pairs else None
    if parts is None or not np.isfinite(parts.values).any():
        return None
    numeric = all(number(v) and v > 0 for v in conditions)
    return parts, np.log2(np.array(conditions, dtype=np.float64)) if numeric else None
