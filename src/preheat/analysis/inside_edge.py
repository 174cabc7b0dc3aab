"""Inside the edge: how much the treatments differ where all of them train."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from preheat.analysis.effects import untested
from preheat.analysis.table import UNPLANNED, Table
from preheat.analysis.training import trained
from preheat.stats.claims import Claim, Spread
from preheat.stats.estimates import Estimate, range_tail, rounding


@dataclass(frozen=True)
class Inside:
    """Inside the edge: the widest difference among treatments, with its 95 % interval.

    value: the nuisance value used: the highest that is at most half of the highest at which everything
    trained, else that one; None where at none every treatment trained with every seed. well: whether it is at
    most half of it, so that one may say "well inside the edge". seed_sd: the pooled standard deviation over
    seeds.
    """

    panel: str
    condition: str
    value: float | None
    widest: Estimate | None
    seed_sd: float | None
    well: bool


def insides(table: Table) -> tuple[tuple[Inside, ...], list[Claim]]:
    """One for each panel and condition, at the highest nuisance value that is well inside the edge, and the
    claims that the treatments differ there (the family `inside`).

    With e the highest value at which every treatment trained with every seed, that is the highest value <= e
    / 2, or e itself where the grid has none (`well` is False then); it is found by training or failing alone,
    so no score was picked for being high. x[t, s] is the test metric, k treatments, n seeds. A mean's
    standard error is taken to be the largest, over pairs of treatments, of sd(x[i] - x[j]) / sqrt(2 n), with
    n - 1 degrees of freedom, so that it also holds where one treatment varies more than the others: see
    `stats.claims.Spread`.
    """
    if table.numeric is None and len(table.nuisances) != 1:
        return (), []
    good = trained(table)
    places = [
        (p, c)
        for p in range(len(table.panels))
        for c in range(len(table.conditions))
        if table.planned[p, c].any()
    ]
    out, claims = [], []
    for p, c in places:
        one, made = _inside(table, good, p, c)
        out.append(one)
        claims += made
    return tuple(out), claims


def _inside(table: Table, good: NDArray[np.bool_], p: int, c: int) -> tuple[Inside, list[Claim]]:
    used = np.flatnonzero(table.planned[p, c].any(axis=-1))
    seeds = np.flatnonzero((table.state[p, c] != UNPLANNED).any(axis=(0, 1)))
    whole = np.flatnonzero(good[p, c][used][:, :, seeds].all(axis=(0, 2)))
    value = _well_inside(table, whole)
    where = table.panels.labels[p], table.conditions.labels[c]
    if value is None:
        return Inside(*where, None, None, None, well=False), []
    x = table.test[p, c, used, value, :][:, seeds]
    at = None if table.numeric is None else table.numeric[value]
    well = at is not None and at <= np.asarray(table.numeric)[whole].max() / 2
    spread = _spread(table, x)
    sd = None if spread is None else math.sqrt(float(x.var(axis=1, ddof=1).mean()))
    one = Inside(*where, at, _widest(x, spread), sd, well=bool(well))
    names = [table.treatments.labels[t] for t in used]
    return one, [] if spread is None else [_claim(table, where, spread, names)]


def _claim(table: Table, where: tuple[str, str], spread: Spread, names: list[str]) -> Claim:
    return Claim(
        *("/".join(("inside", *where)), "inside", (*where, "")),
        effect=spread.within(0.95),
        p=spread.p,
        p_same=_p_same(spread, table.study.margin),
        margin=table.study.margin,
        unit=table.study.metric,
        part=spread,
        rests=tuple((*where, name) for name in names),
        why=untested(table, spread.n),
    )


def _spread(table: Table, x: NDArray[np.float64]) -> Spread | None:
    """None for fewer than two treatments or seeds, or where a score is unknown."""
    k, n = x.shape
    if k < 2 or n < 2 or not np.isfinite(x).all():
        return None
    pairs = combinations(x, 2)
    sd = max(float(np.std(a - b, ddof=1)) for a, b in pairs) / math.sqrt(2)
    error = max(sd, rounding(table.step, 1)) / math.sqrt(n)
    return Spread(float(np.ptp(x.mean(axis=1))), error, k, n - 1, n)


def _p_same(s: Spread, margin: float) -> float:
    """Of "two means differ by the margin or more": the tail of Tukey's range, so that where it is below alpha
    Tukey's interval at 1 - 2 alpha lies within the margin."""
    return range_tail((margin - s.range) / s.error, s.k, s.df) if s.range < margin and s.error > 0 else 1.0


def _widest(x: NDArray[np.float64], spread: Spread | None) -> Estimate | None:
    if spread is not None:
        return spread.within(0.95)
    if len(x) < 2 or not np.isfinite(x).all():
        return None
    return Estimate(float(np.ptp(x.mean(axis=1))), None, None, x.shape[1])


def _well_inside(table: Table, whole: NDArray[np.intp]) -> int | None:
    """The index of the nuisance value to compare at, of those in `whole`, where everything trained."""
    if not len(whole):
        return None
    if table.numeric is None:
        return int(whole[-1])
    values = np.asarray(table.numeric)[whole]
    low = whole[values <= values[-1] / 2]
    return int(low[-1] if len(low) else whole[-1])
