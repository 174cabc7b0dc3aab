"""Warmups in updates: a panel's scores by data size and number of updates, the favourites, and what chance
makes of them.

A grid holds the warmups above none of each size, in whatever unit they were declared; sizes need not have
the same ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from preheat.analysis.naming import within
from preheat.analysis.table import Table
from preheat.core.errors import UserError
from preheat.core.lengths import length
from preheat.stats.estimates import Array, Estimate
from preheat.studies.regimes.picks import shares
from preheat.studies.regimes.surface import asks_for_warmup, finished

DRAWS = 2000


@dataclass(frozen=True)
class Exponent:
    """b of best updates ~ size^b, over seeds.

    epochs_b: what b is under a fixed number of epochs (about 1). low, high: the least and largest b that
    picks from the grid can give. chance, chance_lo, chance_hi: mean and central 95 % of b where the choice at
    each size is random. p_choices: of "the warmups above none do not differ".
    at_shortest, at_longest: the share of picks at the grid's ends.
    """

    panel: str
    b: Estimate
    epochs_b: float
    low: float
    high: float
    chance: float
    chance_lo: float
    chance_hi: float
    p_choices: float | None
    at_shortest: float
    at_longest: float


class WarmupGrid(NamedTuple):
    """One panel. sizes [C] ascend; per_epoch [C]; updates [C, T]: log2 of the warmup in updates, NaN where
    none or not planned.

    judged [C, T, S'], none [C, S']: signed scores of the warmups and of no warmup (NaN where it has none), of
    the seeds with every score.
    """

    panel: str
    place: str
    axes: Mapping[str, Any]
    labels: tuple[str, ...]
    sizes: Array
    per_epoch: Array
    updates: Array
    judged: Array
    none: Array

    @property
    def n(self) -> int:
        """Seeds."""
        return int(self.judged.shape[2])

    @property
    def x(self) -> Array:
        """log2 of the sizes, centred."""
        return np.asarray(np.log2(self.sizes) - np.log2(self.sizes).mean(), dtype=np.float64)


def warmup_updates(table: Table) -> Array | None:
    """[P, C, T]: every planned setting's warmup in updates, NaN where no record tells; None in a study of
    something else."""
    if not asks_for_warmup(table):
        return None
    out = np.full(table.total.shape, np.nan)
    total, per_epoch = (_known(a) for a in (table.total, table.per_epoch))
    for p, c, t in np.argwhere(table.planned.any(axis=-1)):
        if np.isfinite(total[p, c]) and per_epoch[p, c] > 0:
            out[p, c, t] = _resolved(table.treatments.values[t], total[p, c], per_epoch[p, c])
    return out


def _resolved(value: object, total: float, per_epoch: float) -> float:
    try:
        return length(value).resolve(float(total), float(per_epoch))
    except UserError:  # samples and tokens are not known here
        return np.nan


def _known(lengths: Array) -> Array:
    """[P, C]: the length that any run of the panel and size tells."""
    told = np.where(np.isfinite(lengths), lengths, -np.inf).max(axis=-1)
    return np.where(np.isfinite(told), told, np.nan)


def warmup_grids(table: Table) -> list[WarmupGrid]:
    """One for each panel with two sizes or more that have two different warmups or more above none.

    A panel of which fewer than half of the tuned runs finished is left out: between diverged runs all is
    equal.
    """
    updates = warmup_updates(table)
    if updates is None:
        return []
    made = [_grid_of(table, _different(updates[p]), p) for p in range(len(table.panels))]
    return [x for x in made if x is not None and x.n]


def _different(updates: Array) -> Array:
    """[C, T]: of a size's warmups with equal updates, such as 400 and 10 epochs of 40, only the first: they
    are one run."""
    out = np.full_like(updates, np.nan)
    for c, row in enumerate(updates):
        _, first = np.unique(np.round(row, 6), return_index=True)
        out[c, first] = row[first]
    return out


def _grid_of(table: Table, updates: Array, p: int) -> WarmupGrid | None:
    warm = updates > 0
    sizes = np.array([c for c in range(len(updates)) if len(np.unique(updates[c][warm[c]])) > 1], dtype=int)
    if len(sizes) < 2:
        return None
    sizes = sizes[np.argsort([float(table.conditions.values[c]) for c in sizes], kind="stable")]
    planned, warm = np.isfinite(updates[sizes]), warm[sizes]
    if not finished(table, p)[sizes][warm].mean() >= 0.5:
        return None
    scores = table.sign * table.judged[p][sizes]
    whole = (np.isfinite(scores) | ~planned[..., None]).all(axis=(0, 1))
    logs = np.log2(np.where(warm, updates[sizes], np.nan))
    return WarmupGrid(
        panel=table.panels.labels[p],
        place=within(table, table.panels.labels[p]),
        axes=table.panels.values[p],
        labels=tuple(table.conditions.labels[c] for c in sizes),
        sizes=np.array([float(table.conditions.values[c]) for c in sizes]),
        per_epoch=_known(table.per_epoch)[p, sizes],
        updates=logs,
        judged=np.where(warm[..., None], scores, np.nan)[..., whole],
        none=scores[:, table.base][:, whole],
    )


def slopes(grid: WarmupGrid, y: Array) -> Array:
    """[S']: the least-squares slope of y [C, S'] on log2(size)."""
    return np.asarray(grid.x @ y / (grid.x @ grid.x), dtype=np.float64)


def reach(grid: WarmupGrid) -> tuple[float, float]:
    """(least, largest) exponent that any picks from the grid can give."""
    w = grid.x / (grid.x @ grid.x)
    products = w[:, None] * grid.updates
    return float(np.nanmin(products, axis=1).sum()), float(np.nanmax(products, axis=1).sum())


def chance(grid: WarmupGrid) -> Array:
    """[DRAWS]: the mean exponent over seeds where the warmups of each size are permuted, for all seeds alike.

    So it keeps how often seeds agree, and says which exponents the grid makes of choices that have nothing to
    do with size.
    """
    draw = np.random.default_rng(0)
    w = grid.x / (grid.x @ grid.x)
    weights = shares(grid.judged).mean(axis=2)
    out = np.zeros(DRAWS)
    for c, row in enumerate(grid.updates):
        known = np.isfinite(row)
        out += w[c] * (draw.permuted(np.tile(row[known], (DRAWS, 1)), axis=1) @ weights[c, known])
    return out


def p_choices(grid: WarmupGrid) -> float | None:
    """p of "the warmups above none of a size do not differ": a permutation test, within each size and seed;
    None for one seed.

    The statistic is the sum over sizes and warmups of the squared mean over seeds, after taking out each
    seed's mean of the size and dividing by the size's standard deviation.
    """
    if grid.n < 2:
        return None
    draw = np.random.default_rng(0)
    seen, drawn = 0.0, np.zeros(DRAWS)
    for c, row in enumerate(grid.updates):
        z = grid.judged[c, np.isfinite(row)]
        z = z - z.mean(axis=0)
        z /= max(float(z.std()), 1e-12)
        seen += float((z.mean(axis=1) ** 2).sum())
        drawn += (draw.permuted(np.tile(z, (DRAWS, 1, 1)), axis=1).mean(axis=2) ** 2).sum(axis=1)
    return float((1 + (drawn >= seen - 1e-9).sum()) / (1 + DRAWS))
