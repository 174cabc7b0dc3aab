"""Inside the edge: how much the treatments differ where all of them train."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from preheat.analysis.edges import trained
from preheat.analysis.table import UNPLANNED, Table
from preheat.analysis.words import Units
from preheat.stats.estimates import ALPHA, Array, Estimate, range_quantile, rounding, t_quantile


@dataclass(frozen=True)
class Inside:
    """Inside the edge: the widest difference among treatments, and whether all are equivalent within the
    margin.

    value: the nuisance value used: the highest that is at most half of the highest at which everything
    trained, else that one. well: whether it is at most half of it, so that one may say "well inside the
    edge". seed_sd: the pooled standard deviation over seeds. widest: largest minus smallest treatment mean,
    and its interval.
    """

    panel: str
    condition: str
    value: float | None
    widest: Estimate | None
    seed_sd: float | None
    equivalent: bool
    text: str
    well: bool = True


def insides(table: Table) -> tuple[Inside, ...]:
    """One for each panel and condition, at the highest nuisance value that is well inside the edge.

    With e the highest value at which every treatment trained with every seed, that is the highest value <= e
    / 2, or e itself where the grid has none (`well` is False then); it is found by training or failing alone,
    so no score was picked for being high. x[t, s] is the test metric, k treatments, n seeds; s2 = mean square
    of x after taking out treatment and seed means, df = (k - 1)(n - 1). widest is the range of the k means,
    its interval range -+ q s / sqrt(n) with Tukey's q(0.95; k, df), cut at 0: it holds whichever two
    treatments are the extreme ones. All are equivalent if range + t s sqrt(2 / n) is below the margin, t at 1
    - 0.05 / (number of panels and conditions): every pair must pass, so pairs need no correction. They differ
    for sure if 0 lies outside the same interval at that level.
    """
    if table.numeric is None and len(table.nuisances) != 1:
        return ()
    good = trained(table)
    places = [
        (p, c)
        for p in range(len(table.panels))
        for c in range(len(table.conditions))
        if table.planned[p, c].any()
    ]
    out = []
    for p, c in places:
        used = np.flatnonzero(table.planned[p, c].any(axis=-1))
        seeds = np.flatnonzero((table.state[p, c] != UNPLANNED).any(axis=(0, 1)))
        whole = np.flatnonzero(good[p, c][used][:, :, seeds].all(axis=(0, 2)))
        value = _well_inside(table, whole)
        x = None if value is None else table.test[p, c, used, value, :][:, seeds]
        at = None if value is None or table.numeric is None else table.numeric[value]
        well = at is not None and at <= np.asarray(table.numeric)[whole].max() / 2
        found = _inside(table, (p, c), at, x, level=ALPHA / len(places))
        text = (
            found.text
            if well or at is None
            else f"{found.text}; the grid has no value as low as half of the edge"
        )
        out.append(replace(found, well=bool(well), text=text))
    return tuple(out)


def _well_inside(table: Table, whole: NDArray[np.intp]) -> int | None:
    """The index of the nuisance value to compare at, of those in `whole`, where everything trained."""
    if not len(whole):
        return None
    if table.numeric is None:
        return int(whole[-1])
    values = np.asarray(table.numeric)[whole]
    low = whole[values <= values[-1] / 2]
    return int(low[-1] if len(low) else whole[-1])


def _inside(
    table: Table, place: tuple[int, int], at: float | None, x: Array | None, *, level: float
) -> Inside:
    panel, condition = table.panels.labels[place[0]], table.conditions.labels[place[1]]
    if x is None or not np.isfinite(x).all():
        text = "at no value did every treatment train with every seed"
        return Inside(panel, condition, at, None, None, False, text)
    k, n = x.shape
    if k < 2 or n < 2:
        widest = Estimate(float(np.ptp(x.mean(axis=1))), None, None, n) if k > 1 else None
        return Inside(
            panel,
            condition,
            at,
            widest,
            None,
            False,
            "too few treatments or seeds for an interval: a description only",
        )
    means = x.mean(axis=1)
    rest = x - means[:, None] - x.mean(axis=0) + x.mean()
    df = (k - 1) * (n - 1)
    s = max(math.sqrt(float((rest**2).sum()) / df), rounding(table.step, 1))
    width = float(np.ptp(means))
    half = range_quantile(1 - ALPHA, k, df) * s / math.sqrt(n) if s > 0 else 0.0
    reach = width + float(t_quantile(1 - level, df)) * s * math.sqrt(2 / n)
    equivalent = s > 0 and reach < table.study.margin
    sd = math.sqrt(float(x.var(axis=1, ddof=1).mean()))
    widest = Estimate(width, max(0.0, width - half), width + half, n)
    differ = s > 0 and width > range_quantile(1 - level, k, df) * s / math.sqrt(n)
    return Inside(panel, condition, at, widest, sd, equivalent, _text(table, differ, equivalent))


def _text(table: Table, differ: bool, equivalent: bool) -> str:
    margin = Units.of(table.study.metric).margin(table.study.margin)
    if equivalent:
        return f"all equivalent within {margin}"
    if differ:
        return "the treatments differ"
    return f"neither a difference nor equivalence within {margin} is shown"
