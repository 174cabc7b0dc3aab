"""Epochs or updates: is the best warmup a number of epochs or of updates?

A length in epochs holds the fewer updates the fewer the data, so a study of warmups in epochs mixes both.
Here every warmup is stated in updates, and b of best updates ~ size^b is estimated: 0 where a fixed number of
updates is best, about 1 where a fixed number of epochs is. A grid has an exponent of its own: choices at
random from the same epochs at each size give 1. So one of the two is excluded only if

1. the warmups above none surely differ (`grid.p_choices`, Holm over panels): else the choices are noise;
2. the interval of b, corrected for the number of panels, is beyond both that exponent and the one of random
choices, because
   noise moves b, and its interval with it, from the one towards the other;
3. it was in reach: some number of updates (epochs) lies within the grid at every size;
4. at most half of the picks lie at one end of the grid, beyond which the best may be anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from preheat.analysis.table import Table
from preheat.analysis.words import brief
from preheat.core.words import listed
from preheat.stats.estimates import ALPHA, Array, Estimate, Moments, holm, interval, moments
from preheat.studies.regimes.picks import favourites, open_widths, shares
from preheat.studies.regimes.surface import optimizer
from preheat.studies.regimes.updates_hypotheses import one_length, shrinks
from preheat.studies.regimes.verdicts import Hypothesis
from preheat.studies.regimes.warmup_grid import (
    Exclusion,
    Exponent,
    WarmupGrid,
    chance,
    p_choices,
    reach,
    slopes,
    warmup_grids,
    warmup_updates,
)

MOST_AT_END = 0.5


@dataclass(frozen=True)
class WarmupLength:
    """A setting's warmup in three units: updates, epochs, and the share of the run (0 to 1)."""

    panel: str
    condition: str
    treatment: str
    updates: float
    epochs: float
    share: float


@dataclass(frozen=True)
class Favourite:
    """The best warmup above none at one size, in updates: the geometric mean over judging seeds.

    shortest, longest: of the grid at this size.
    """

    panel: str
    condition: str
    per_epoch: float
    best: Estimate
    shortest: float
    longest: float


@dataclass(frozen=True)
class UpdatesFound:
    """Warmups in updates, what is best in updates, and H1 and H2 stated in updates for one panel."""

    warmup_lengths: tuple[WarmupLength, ...]
    best_updates: tuple[Favourite, ...]
    exponents: tuple[Exponent, ...]
    hypotheses_in_updates: tuple[Hypothesis, ...]


class UpdatesFit(NamedTuple):
    """A grid with its exponents: over seeds, of a fixed number of epochs, and of permuted choices."""

    grid: WarmupGrid
    b: Moments
    epochs_b: float
    chance: Array
    p: float | None


def updates(table: Table) -> UpdatesFound | None:
    """Everything on epochs and updates; None where the study is of something else, or no record tells its
    steps.

    Every panel's warmups are told; those that chose on the test split and have an honest twin are not tested.
    """
    known = warmup_updates(table)
    if known is None or not np.isfinite(known).any():
        return None
    fair = table.claimed
    fits = [_fit(x) for x in warmup_grids(fair)]
    adjusted = holm([f.p for f in fits])
    level = 1 - ALPHA / max(1, sum(f.b.n > 1 for f in fits))
    fits = [f._replace(p=p) for f, p in zip(fits, adjusted, strict=True)]
    made = [_exponent(f, level, biased=table.biased) for f in fits]
    home = next((i for i, f in enumerate(fits) if optimizer(f.grid.axes) == "sgd"), 0)
    stated: tuple[Hypothesis, ...] = ()
    if fits:
        stated = (one_length(fair, fits[home].grid), shrinks(table, fits[home].b, made[home]))
    return UpdatesFound(
        _lengths(table, known), tuple(x for f in fits for x in _favourites(f.grid)), tuple(made), stated
    )


def _lengths(table: Table, known: Array) -> tuple[WarmupLength, ...]:
    out = []
    for p, c, t in np.argwhere(np.isfinite(known)):
        total, per_epoch = (float(np.nanmax(a[p, c])) for a in (table.total, table.per_epoch))
        labels = table.labels((p, c, t))
        value = float(known[p, c, t])
        out.append(WarmupLength(*labels, value, value / per_epoch, value / total))
    return tuple(out)


def _fit(grid: WarmupGrid) -> UpdatesFit:
    """The sd of b has a floor: what the grid leaves open, widths w: sqrt(sum x^2 w^2 / 12) / sum x^2."""
    x = grid.x
    open_ = (x**2) @ open_widths(grid.updates, grid.judged) ** 2 / 12
    floor = float(np.sqrt(open_.mean()) / (x @ x))
    b = moments(slopes(grid, favourites(grid.updates, grid.judged)), floor)
    epochs_b = float(slopes(grid, np.log2(grid.per_epoch)[:, None])[0])
    return UpdatesFit(grid, b, epochs_b, chance(grid), p_choices(grid))


def _favourites(grid: WarmupGrid) -> list[Favourite]:
    out = []
    both = grid.updates, grid.judged
    for c, (y, width) in enumerate(zip(favourites(*both), open_widths(*both), strict=True)):
        e = interval(moments(y, float(np.sqrt((width**2).mean() / 12))))
        lo, hi = (None if v is None else float(2.0 ** min(v, 60.0)) for v in (e.lo, e.hi))
        ends = float(2 ** np.nanmin(grid.updates[c])), float(2 ** np.nanmax(grid.updates[c]))
        out.append(
            Favourite(
                grid.panel,
                grid.labels[c],
                float(grid.per_epoch[c]),
                Estimate(2**e.mean, lo, hi, e.n),
                *ends,
            )
        )
    return out


def _exponent(f: UpdatesFit, level: float, *, biased: bool) -> Exponent:
    grid = f.grid
    picks = shares(grid.judged)
    logs = grid.updates[..., None]
    ends = [
        float((picks * (logs == edge(logs, axis=1, keepdims=True))).sum(axis=1).mean())
        for edge in (np.nanmin, np.nanmax)
    ]
    lo, hi = np.quantile(f.chance, [0.025, 0.975])
    low, high = reach(grid)
    in_updates, in_epochs = grid.updates, grid.updates - np.log2(grid.per_epoch)[:, None]
    random = float(f.chance.mean()), float(lo), float(hi)
    open_: Exclusion = "not decided"
    made = Exponent(
        grid.panel, interval(f.b), f.epochs_b, low, high, *random, f.p, ends[0], ends[1], open_, open_, ""
    )
    why = _obstacle(f, made, biased=biased)
    if why:
        return replace(made, text=why)
    bounds = interval(f.b, level)
    verdicts = [
        _excluded(bounds, target, made.chance) if _common(values) else "out of reach"
        for target, values in ((0.0, in_updates), (f.epochs_b, in_epochs))
    ]
    made = replace(made, updates=verdicts[0], epochs=verdicts[1])
    return replace(made, text=_text(made))


def _common(logs: Array) -> bool:
    """Whether one length lies within the grid at every size."""
    return bool(np.nanmin(logs, axis=1).max() <= np.nanmax(logs, axis=1).min() + 1e-9)


def _excluded(b: Estimate, target: float, random: float) -> Exclusion:
    """Whether the interval is beyond both the exponent of the claim and that of random choices."""
    assert b.lo is not None and b.hi is not None
    return "excluded" if b.lo > max(target, random) or b.hi < min(target, random) else "not excluded"


def _obstacle(f: UpdatesFit, e: Exponent, *, biased: bool) -> str:
    """Why nothing can be excluded, if so."""
    if biased:
        return "The nuisance was chosen on the seeds that are reported, so nothing is concluded."
    if f.b.n < 2:
        return "One judging seed: a description only."
    if f.p is None or f.p >= ALPHA:
        return (
            "The warmups above none were not shown to differ, so the choices may be noise: nothing is "
            "excluded."
        )
    if max(e.at_shortest, e.at_longest) > MOST_AT_END:
        which = "shortest" if e.at_shortest > e.at_longest else "longest"
        return (
            f"Most choices are the {which} of their size, so the best may lie beyond the grid: nothing is "
            "excluded."
        )
    if abs(f.epochs_b) < 0.2:
        return "Updates per epoch hardly differ between these sizes, so the two can't be told apart."
    return ""


def _text(e: Exponent) -> str:
    said = {"updates": e.updates, "epochs": e.epochs}
    gone = [f"a fixed number of {unit}" for unit, v in said.items() if v == "excluded"]
    far = [unit for unit, v in said.items() if v == "out of reach"]
    out = f"Excluded as the best: {listed(gone)}." if gone else "Neither is excluded."
    if far:
        out += (
            f" No number of {listed(far)} lies within the grid at every size, so that can't be tested here."
        )
    if not gone and not far:
        out += f" Choices at random would give {brief(e.chance)} with this grid."
    return out


def common_updates(some: Sequence[Favourite]) -> tuple[float, float] | None:
    """The numbers of updates that lie within the grid at every size, from least to most; None where there is
    none."""
    low, high = max(f.shortest for f in some), min(f.longest for f in some)
    return (low, high) if low <= high * (1 + 1e-9) else None
