"""The edge of stability: up to which value of a numeric nuisance (the peak rate) training works.

A run *trained* if it finished and its validation score is above halfway between chance and the best mean
validation score of its panel and condition. Per seed the edge lies between the highest value below the first
failure and that failure, at their geometric mean; values too low to train at all, below the first that trained,
are no failures. A seed that trained at every value, or at none, is censored and counts with the end of its
grid; a ratio leaves out the seeds where both edges are censored at one end. The edge is known to the grid's step
g (in log2) only, so its standard deviation is at least g / sqrt(12).

Nothing is chosen here, so all seeds are used.

Two families of comparisons are corrected by Holm, each by itself: the pooled ratios (one for each panel and treatment, all
conditions together), which answer whether a treatment moves the edge at all, and the ratios of single conditions.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from preheat.analysis.cells import Place, places
from preheat.analysis.findings import Edge, EdgePoint, Estimate, Pooled
from preheat.analysis.stats import Array, Moments, holm, interval, moments, p_different
from preheat.analysis.table import DIVERGED, DONE, FAILED, MISSING, UNPLANNED, Table


class SeedEdges(NamedTuple):
    """Per seed: log2 of the edge (NaN where unknown), the width of its bracket in log2, whether it is censored."""

    log2: Array
    width: Array
    censored: NDArray[np.bool_]


def trained(table: Table) -> NDArray[np.bool_]:
    """[P, C, T, V, S]: which runs trained, as the module says."""
    scores = table.sign * table.validation
    known = np.isfinite(scores)
    count = known.sum(axis=-1)
    mean = np.where(count > 0, np.where(known, scores, 0.0).sum(axis=-1) / np.maximum(count, 1), -np.inf)
    best = mean.max(axis=(2, 3))[..., None, None, None]
    halfway = (table.sign * table.chance + best) / 2
    return np.asarray((table.state == DONE) & known & (scores > halfway) & np.isfinite(halfway))


def bracket(values: Array, good: NDArray[np.bool_]) -> tuple[float, float, bool]:
    """(log2 of the edge, width of its bracket in log2, censored) of one seed; `values` ascend.

    >>> bracket(np.array([1.0, 4.0, 16.0]), np.array([True, True, False]))
    (3.0, 2.0, False)
    >>> bracket(np.array([1.0, 4.0, 16.0]), np.array([True, True, True]))
    (4.0, 2.0, True)
    """
    logs = np.log2(values)
    end = float(np.diff(logs).max(initial=0.0))
    if not good.any():
        return float(logs[0]), end, True
    first = int(good.argmax())
    fails = np.flatnonzero(~good[first:])
    if not len(fails):
        return float(logs[-1]), end, True
    stop = first + int(fails[0])
    return float(logs[stop - 1] + logs[stop]) / 2, float(logs[stop] - logs[stop - 1]), False


def seed_edges(table: Table, good: NDArray[np.bool_], at: Place) -> SeedEdges:
    """The edge of every seed of one setting; runs without a result are passed over."""
    values = np.asarray(table.numeric)
    out = []
    for s in range(len(table.seeds)):
        state = table.state[at][:, s]
        known = (state == DONE) | (state == DIVERGED)
        missing = bool(((state == MISSING) | (state == FAILED)).all() or (state == UNPLANNED).all())
        lost = missing or known.sum() < 2
        out.append((math.nan, math.nan, False) if lost else bracket(values[known], good[at][known, s]))
    log2, width, censored = zip(*out, strict=True)
    return SeedEdges(np.array(log2), np.array(width), np.array(censored))


def edges(table: Table) -> tuple[Edge, ...]:
    """The edge of every setting, in log2, and its ratio to the baseline's; p values adjusted by Holm over all ratios."""
    if table.numeric is None:
        return ()
    good = trained(table)
    spots = list(places(table))
    found = {at: seed_edges(table, good, at) for at in spots}
    ratios = [_ratio(found[at], found.get((at[0], at[1], table.base))) if at[2] != table.base else None for at in spots]
    adjusted = holm([None if m is None else p_different(m) for m in ratios])
    return tuple(_edge(table, good, at, (found[at], m, p)) for at, m, p in zip(spots, ratios, adjusted, strict=True))


def _ratio(mine: SeedEdges, base: SeedEdges | None) -> Moments | None:
    if base is None:
        return None
    both = _comparable(mine, base)
    return moments((mine.log2 - base.log2)[both], _floor(mine.width[both] ** 2 + base.width[both] ** 2))


def _comparable(mine: SeedEdges, base: SeedEdges) -> NDArray[np.bool_]:
    """Seeds with both edges known; two that lie beyond the same end of the grid say nothing of their ratio."""
    hidden = mine.censored & base.censored & (mine.log2 == base.log2)
    return np.asarray(np.isfinite(mine.log2) & np.isfinite(base.log2) & ~hidden)


def _floor(squared_widths: Array) -> float:
    return math.sqrt(float(squared_widths.mean()) / 12) if len(squared_widths) else 0.0


def _edge(table: Table, good: NDArray[np.bool_], at: Place, found: tuple[SeedEdges, Moments | None, float | None]) -> Edge:
    seeds, m, p = found
    known = np.isfinite(seeds.log2)
    return Edge(
        panel=table.panels.labels[at[0]],
        condition=table.conditions.labels[at[1]],
        treatment=table.treatments.labels[at[2]],
        points=_points(table, good, at),
        edge=interval(moments(seeds.log2[known], _floor(seeds.width[known] ** 2))),
        censored=int(seeds.censored.sum()),
        ratio=None if m is None else factor(interval(m)),
        p_adjusted=p,
    )


def factor(e: Estimate) -> Estimate:
    """2 to the power of an estimate in log2."""
    lo, hi = (None if v is None else float(np.exp2(min(v, 1000.0))) for v in (e.lo, e.hi))
    return Estimate(2.0**e.mean, lo, hi, e.n)


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
    """The pooled ratio of every panel and treatment to the baseline, p values adjusted by Holm over all of them."""
    if table.numeric is None:
        return ()
    good = trained(table)
    spots = [(p, t) for p in range(len(table.panels)) for t in range(len(table.treatments)) if t != table.base]
    ratios = {at: m for at in spots if (m := _pooled_ratio(table, good, at)).n}
    adjusted = holm([p_different(m) for m in ratios.values()])
    panels, names = table.panels.labels, table.treatments.labels
    return tuple(
        Pooled(panels[p], names[t], names[table.base], factor(interval(m)), p_different(m), holms)
        for ((p, t), m), holms in zip(ratios.items(), adjusted, strict=True)
    )


def _pooled_ratio(table: Table, good: NDArray[np.bool_], at: tuple[int, int]) -> Moments:
    """log2 of the edge over the baseline's, per seed the mean over the conditions where it is known, then over seeds."""
    panel, treatment = at
    logs, squares, n = np.zeros(len(table.seeds)), np.zeros(len(table.seeds)), np.zeros(len(table.seeds))
    for c in range(len(table.conditions)):
        pair = [(panel, c, treatment), (panel, c, table.base)]
        if all(table.planned[spot].any() for spot in pair):
            mine, base = (seed_edges(table, good, spot) for spot in pair)
            both = _comparable(mine, base)
            logs[both] += (mine.log2 - base.log2)[both]
            squares[both] += (mine.width**2 + base.width**2)[both]
            n[both] += 1
    known = n > 0
    return moments(logs[known] / n[known], _floor(squares[known] / n[known] ** 2))
