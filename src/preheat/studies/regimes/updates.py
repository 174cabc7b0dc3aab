"""Epochs or updates: is the best warmup a number of epochs or of updates?

A length in epochs holds the fewer updates the fewer the data, so a study of warmups in epochs mixes both.
Here every warmup is stated in updates, and b of best updates ~ size^b is estimated: 0 where a fixed number of
updates is best, about 1 where a fixed number of epochs is. A grid has an exponent of its own: choices at
random from the same epochs at each size give 1. So that one of the two is not
the best is claimed (the family `updates`) only if

1. the warmups above none differ (`p_choices`): else the choices are noise;
2. b is beyond both that exponent and the one of random choices, because noise moves b from the one towards
the
   other;
3. it was in reach: some number of updates (epochs) lies within the grid at every size;
4. at most half of the picks lie at one end of the grid, beyond which the best may be anywhere.

The p of the claim is the larger one of 1 and 2. The best warmup of a seed is here the best on its test set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from preheat.analysis.effects import difference, places, untested
from preheat.analysis.table import Table
from preheat.stats.claims import Claim
from preheat.stats.estimates import Array, Estimate, Moments, interval, moments, p_above
from preheat.studies.regimes.hypothesis import Hypothesis, settings_of
from preheat.studies.regimes.picks import favourites, open_widths, shares
from preheat.studies.regimes.surface import optimizer
from preheat.studies.regimes.updates_hypotheses import one_length, shrinks
from preheat.studies.regimes.warmup_grid import (
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
    """The best warmup above none at one size, in updates: the geometric mean over seeds.

    shortest, longest: of the grid at this size.
    """

    panel: str
    condition: str
    per_epoch: float
    best: Estimate
    shortest: float
    longest: float


@dataclass(frozen=True)
class WarmupGain:
    """The mean over seeds of a setting's tuned score minus the baseline's, in the metric."""

    panel: str
    condition: str
    treatment: str
    gain: float


@dataclass(frozen=True)
class UpdatesFound:
    """Warmups in updates, what they gain, what is best in updates, and H1 and H2 stated in updates for one
    panel."""

    warmup_lengths: tuple[WarmupLength, ...]
    warmup_gains: tuple[WarmupGain, ...]
    best_updates: tuple[Favourite, ...]
    exponents: tuple[Exponent, ...]
    hypotheses_in_updates: tuple[Hypothesis, ...]
    claims: tuple[Claim, ...]


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
    made = [_exponent(f) for f in fits]
    home = next((i for i, f in enumerate(fits) if optimizer(f.grid.axes) == "sgd"), 0)
    stated = [one_length(fair, fits[home].grid), shrinks(fair, fits[home].b, made[home])] if fits else []
    claims = [c for f, e in zip(fits, made, strict=True) for c in _excluded(fair, f, e)]
    claims += [replace(t.claim, rests=settings_of(fair, t.claim.at[0])) for t in stated]
    return UpdatesFound(
        _lengths(table, known),
        _gains(fair),
        tuple(x for f in fits for x in _favourites(f.grid)),
        tuple(made),
        tuple(t.hypothesis for t in stated),
        tuple(claims),
    )


def _lengths(table: Table, known: Array) -> tuple[WarmupLength, ...]:
    out = []
    for p, c, t in np.argwhere(np.isfinite(known)):
        total, per_epoch = (float(np.nanmax(a[p, c])) for a in (table.total, table.per_epoch))
        labels = table.labels((p, c, t))
        value = float(known[p, c, t])
        out.append(WarmupLength(*labels, value, value / per_epoch, value / total))
    return tuple(out)


def _gains(table: Table) -> tuple[WarmupGain, ...]:
    found = [(at, difference(table, table.judged, at, table.base)) for at in places(table)]
    return tuple(
        WarmupGain(*table.labels(at), float(np.nanmean(each)))
        for at, each in found
        if at[2] != table.base and np.isfinite(each).any()
    )


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


def _exponent(f: UpdatesFit) -> Exponent:
    grid = f.grid
    picks = shares(grid.judged)
    logs = grid.updates[..., None]
    ends = [
        float((picks * (logs == edge(logs, axis=1, keepdims=True))).sum(axis=1).mean())
        for edge in (np.nanmin, np.nanmax)
    ]
    lo, hi = np.quantile(f.chance, [0.025, 0.975])
    random = float(f.chance.mean()), float(lo), float(hi)
    return Exponent(grid.panel, interval(f.b), f.epochs_b, *reach(grid), *random, f.p, ends[0], ends[1])


def _excluded(table: Table, f: UpdatesFit, e: Exponent) -> list[Claim]:
    """That a fixed number of updates, and of epochs, is not the best: b lies beyond both its exponent and
    that of random choices. The effect is by how much it does, on the side where b lies."""
    in_updates, in_epochs = f.grid.updates, f.grid.updates - np.log2(f.grid.per_epoch)[:, None]
    targets = {"updates": (0.0, in_updates), "epochs": (f.epochs_b, in_epochs)}
    return [
        Claim(
            *(f"updates/{e.panel}/{unit}", "updates", (e.panel, "", "")),
            effect=interval(far := _distance(f.b, target, e.chance)),
            p=_beyond(f, far),
            p_same=None,
            margin=0.0,
            part=far,
            rests=settings_of(table, e.panel),
            why=untested(table, f.b.n) or _obstacle(f, e, unit, known),
        )
        for unit, (target, known) in targets.items()
    ]


def _distance(b: Moments, target: float, random: float) -> Moments:
    """By how much b is above both of two exponents, or below both; below 0 between them."""
    over, under = b.mean - max(target, random), min(target, random) - b.mean
    return b._replace(mean=max(over, under))


def _beyond(f: UpdatesFit, far: Moments) -> float | None:
    """Two-sided p of "b is not beyond both exponents", where the warmups differ."""
    p = p_above(far)
    return None if p is None or f.p is None else max(f.p, min(1.0, 2 * p))


def _obstacle(f: UpdatesFit, e: Exponent, unit: str, logs: Array) -> str:
    """Why nothing can be excluded, if so."""
    if float(np.nanmin(logs, axis=1).max()) > float(np.nanmax(logs, axis=1).min()) + 1e-9:
        return f"no number of {unit} lies within the grid at every size"
    if max(e.at_shortest, e.at_longest) > MOST_AT_END:
        which = "shortest" if e.at_shortest > e.at_longest else "longest"
        return f"most choices are the {which} of their size, so the best may lie beyond the grid"
    if abs(f.epochs_b) < 0.2:
        return "updates per epoch hardly differ between these sizes, so the two can't be told apart"
    return ""


def common_updates(some: Sequence[Favourite]) -> tuple[float, float] | None:
    """The numbers of updates that lie within the grid at every size, from least to most; None where there is
    none."""
    low, high = max(f.shortest for f in some), min(f.longest for f in some)
    return (low, high) if low <= high * (1 + 1e-9) else None
