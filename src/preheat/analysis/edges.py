"""The edge of stability: up to which value of a numeric nuisance (the peak rate) training works.

Which runs trained is judged by the training loss, halfway from chance to the best
(`preheat.analysis.training`); the edge where 90 % of the way is asked for stands beside it. Per seed the edge
lies between the highest value below the first failure and that failure, at their geometric mean; values too
low to train at all, below the first that trained, are no failures. A seed that trained at every value, or at
none, is censored and counts with the end of its grid; a ratio leaves out the seeds where both edges are
censored at one end; what is censored in more than a quarter of the seeds is given as a bound (see `bounds`).
The edge is known to the grid's step g (in log2) only, so its standard deviation is at least g / sqrt(12).
Seeds that agree share this rounding, which can hide a move: "no difference of this size" has to hold with
the ratio off by as much as the brackets allow (see `seed_edges.rounded`), and is never said on a grid of
steps of the margin or more, nor where a seed is censored.

Nothing is chosen here. What is claimed: that a treatment raises the edge, all conditions together (the family
`edge`); at a single condition (`edge_at`); and that its ratio grows with the condition (`edge_change`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from preheat.analysis.effects import Place, places, untested
from preheat.analysis.seed_edges import SeedEdges, level_of, ratio_parts, rounded, seed_edges
from preheat.analysis.table import DIVERGED, DONE, UNPLANNED, Table, number
from preheat.analysis.training import HALFWAY, NEARLY, trained
from preheat.stats.bounds import Bounded, Parts, combined, dependence, mean_weights
from preheat.stats.claims import Claim
from preheat.stats.claims import Place as Setting
from preheat.stats.estimates import Array, Estimate, factor, p_equivalent
from preheat.stats.moderated import moderated

MARGIN = 0.25  # in octaves: a factor of 1.19 is the smallest that matters


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

    edge: in the nuisance's own unit, the geometric mean over seeds; nearly: where 90 % of the way to the best
    is asked for; censored: how many seeds trained at every value or at none. ratio: edge over the baseline
    treatment's edge, as a factor (1 = unmoved), paired by seed; None for the baseline. Where more than a
    quarter of the seeds are censored to one side, an estimate is a bound (`Estimate.bound`).
    """

    panel: str
    condition: str
    treatment: str
    points: tuple[EdgePoint, ...]
    edge: Estimate
    nearly: Estimate
    censored: int
    ratio: Estimate | None


@dataclass(frozen=True)
class Pooled:
    """The edge over the baseline's, all conditions of a panel together: per seed the mean over conditions, in
    log2. nearly: the same where 90 % of the way to the best is asked for. change: the factor by which the
    ratio changes with each doubling of a numeric condition; None for other conditions."""

    panel: str
    treatment: str
    baseline: str
    ratio: Estimate
    nearly: Estimate | None
    change: Estimate | None


@dataclass(frozen=True)
class Below:
    """How many times the tuned rate lies below the edge, without treatment (the baseline), over conditions
    and seeds: the median, the least and the most."""

    panel: str
    median: float
    least: float
    most: float
    n: int


@dataclass(frozen=True)
class EdgesFound:
    """The edge of every setting, over all conditions together, and how far the tuned rates lie from it."""

    edges: tuple[Edge, ...]
    edges_pooled: tuple[Pooled, ...]
    distances: tuple[Below, ...]
    claims: tuple[Claim, ...]


class _Ratio(NamedTuple):
    """A ratio in log2, how far the brackets can have moved it, and the settings that it rests on."""

    log2: Bounded
    off: float
    rests: tuple[Setting, ...]

    @property
    def p_same(self) -> float | None:
        """Of "the edges differ by the margin or more", the ratio being off by the brackets against us."""
        known = self.log2.least == self.log2.most == 0 and self.off < MARGIN
        return p_equivalent(self.log2.moments, MARGIN - self.off) if known else None


class _Known(NamedTuple):
    """Every setting's edges by seed, at one threshold."""

    table: Table
    good: NDArray[np.bool_]
    at: dict[Place, SeedEdges]

    @classmethod
    def of(cls, table: Table, share: float) -> _Known:
        good = trained(table, share)
        return cls(table, good, {at: seed_edges(table, good, at) for at in places(table)})

    def ratio(self, at: Place) -> _Ratio | None:
        """To the baseline's; None where it has none, and for the baseline itself."""
        base = (at[0], at[1], self.table.base)
        if at[2] == self.table.base or base not in self.at:
            return None
        return self.mean(ratio_parts([(self.at[at], self.at[base])]), at, (at[1],))

    def mean(self, parts: Parts, at: Place, conditions: Sequence[int]) -> _Ratio:
        """The mean over conditions, of the panel and treatment of `at`."""
        rests = [self.table.labels((at[0], c, t)) for c in conditions for t in (at[2], self.table.base)]
        return _Ratio(combined(parts, mean_weights(parts)), rounded(parts), tuple(rests))


def found_edges(table: Table) -> EdgesFound | None:
    """All that is said of the edge; None without a numeric nuisance that was varied."""
    if table.numeric is None:
        return None
    half, nearly = _Known.of(table, HALFWAY), _Known.of(table, NEARLY)
    ratios = _moderated({at: b for at in half.at if (b := half.ratio(at)) is not None})
    single = tuple(_edge(half, nearly, at, ratios.get(at)) for at in half.at)
    together, claims = _together(half, nearly)
    if len(table.conditions) > 1:
        claims += [
            _claim("edge_at", "/".join(("edge", *table.labels(at))), table.labels(at), r, table)
            for at, r in ratios.items()
        ]
    return EdgesFound(single, tuple(together), tuple(_distances(half)), tuple(claims))


def _moderated(some: dict[Place, _Ratio]) -> dict[Place, _Ratio]:
    """A family's ratios with what it says of each one's spread."""
    shrunk = moderated([r.log2.moments for r in some.values()])
    return {
        at: r._replace(log2=r.log2._replace(moments=m))
        for (at, r), m in zip(some.items(), shrunk, strict=True)
    }


def _edge(half: _Known, nearly: _Known, at: Place, ratio: _Ratio | None) -> Edge:
    table = half.table
    return Edge(
        *table.labels(at),
        points=_points(table, half.good, at),
        edge=factor(level_of(half.at[at]).estimate),
        nearly=factor(level_of(nearly.at[at]).estimate),
        censored=int((half.at[at].side != 0).sum()),
        ratio=None if ratio is None else factor(ratio.log2.estimate),
    )


def _claim(family: str, name: str, at: Setting, ratio: _Ratio, table: Table) -> Claim:
    """That a ratio is above 1. One without a p counts as 1, so that being censored makes no other surer."""
    b, m = ratio.log2, ratio.log2.moments
    p = 1.0 if b.p is None else b.p
    return Claim(
        *(name, family, at, factor(b.estimate)),
        p=p if m.n > 1 else None,
        p_same=ratio.p_same,
        margin=MARGIN,
        unit="times",
        part=m if m.n else None,
        factor=True,
        rests=ratio.rests,
        why=untested(table, m.n) if m.n else "no seed tells both edges",
    )


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


def _together(half: _Known, nearly: _Known) -> tuple[list[Pooled], list[Claim]]:
    """Every panel's treatments, all conditions together, and whether the ratio depends on the condition."""
    table = half.table
    spots = [
        (p, t) for p in range(len(table.panels)) for t in range(len(table.treatments)) if t != table.base
    ]
    made = {(p, 0, t): x for p, t in spots if (x := _parts(half, p, t)) is not None}
    ratios = _moderated({at: half.mean(x.parts, at, x.conditions) for at, x in made.items()})
    out, claims, changes = [], [], []
    for at, ratio in ratios.items():
        where = (table.panels.labels[at[0]], "", table.treatments.labels[at[2]])
        slope, p = dependence(made[at].parts, made[at].numbers)
        strict = _parts(nearly, at[0], at[2])
        out.append(
            Pooled(
                *(where[0], where[2], table.treatments.labels[table.base], factor(ratio.log2.estimate)),
                strict and factor(nearly.mean(strict.parts, at, strict.conditions).log2.estimate),
                slope and factor(slope.estimate),
            )
        )
        claims.append(_claim("edge", f"edge/{where[0]}/{where[2]}", where, ratio, table))
        if p is not None:
            changes.append(_change(where, ratio, slope, p, table))
    return out, [*claims, *changes]


def _change(where: Setting, ratio: _Ratio, slope: Bounded | None, p: float, table: Table) -> Claim:
    """That the ratio grows with the condition; where conditions are no numbers, that it depends on it, which
    has no size."""
    name = f"edge_change/{where[0]}/{where[2]}"
    claim = _claim("edge_change", name, where, ratio._replace(log2=slope or ratio.log2), table)
    if slope is not None:
        return replace(claim, p=p, p_same=None)
    sizeless = Estimate(math.nan, None, None, claim.effect.n)
    return replace(claim, effect=sizeless, p=p, p_same=None, part=None)


class _Apart(NamedTuple):
    """A treatment's ratios in every condition, which these are, and log2 of them where all are numbers above
    0."""

    parts: Parts
    conditions: list[int]
    numbers: Array | None


def _parts(known: _Known, panel: int, treatment: int) -> _Apart | None:
    """None where no seed tells a ratio."""
    table = known.table
    spots = ((c, (panel, c, treatment), (panel, c, table.base)) for c in range(len(table.conditions)))
    pairs = {c: (known.at[at], known.at[base]) for c, at, base in spots if {at, base} <= known.at.keys()}
    parts = ratio_parts(list(pairs.values())) if pairs else None
    if parts is None or not np.isfinite(parts.values).any():
        return None
    values = [table.conditions.values[c] for c in pairs]
    numeric = all(number(v) and v > 0 for v in values)
    return _Apart(parts, list(pairs), np.log2(np.array(values, dtype=np.float64)) if numeric else None)


def _distances(half: _Known) -> list[Below]:
    table, out = half.table, []
    rates = np.log2(np.asarray(table.numeric))
    for p, panel in enumerate(table.panels.labels):
        found = [
            np.where(e.side == 0, e.log2, np.nan)
            - np.where(table.picks[at] >= 0, rates[np.maximum(table.picks[at], 0)], np.nan)
            for at, e in half.at.items()
            if at[0] == p and at[2] == table.base
        ]
        far = np.concatenate(found) if found else np.zeros(0)
        far = np.exp2(far[np.isfinite(far)])
        if len(far):
            out.append(Below(panel, float(np.median(far)), float(far.min()), float(far.max()), len(far)))
    return out
