"""Simulated results of the study `regimes`, whose truth is known: what `claims.py` judges reports by.

The design is the demo's: SGD with 8 rates and AdamW with 9, 5 data sizes, 5 warmups. Means, edges and spreads
are near those of its 3,400 runs: there a difference of two warmups at tuned rates has a standard deviation
over seeds of 0.5, 0.8, 1.0, 1.2 and 1.1 points from 100 to 5 examples per class, here of 0.7, 0.9, 1.2, 1.3
and 1.3. In every kind all warmups have the same best accuracy over rates.

realistic   residuals with t4 tails, half of each shared by the validation and the test score of a run, AR(1)
            over rates with 0.3; seed effects shared by all warmups; scores in steps of an image, with a tenth
            of the binomial variance for each run (nine tenths are the same images, shared by all)
heavy       residuals with t tails on 2.2 degrees of freedom, and 3 % of the runs lose 2 to 10 points
correlated  AR(1) over rates with 0.9
shifted     warmup raises the edge, AdamW's most and on few examples most; half of the runs past the edge
            diverge, and 2 % of all others
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preheat.analysis.table import DIVERGED, DONE, UNPLANNED, Axis, Table
from preheat.core.grid import label
from preheat.core.study import Study
from preheat.stats.claims import Claim, Verdict
from preheat.studies.regimes.study import ADAMW_RATES, BATCH, SGD_RATES, SIZES, Regimes

Array = NDArray[np.float64]
KINDS = ("realistic", "heavy", "correlated", "shifted")
EPOCHS = (0, 1, 5, 10, 20)
LENGTH, CHANCE, TEST, VALIDATION = 100, 0.1, 427, 370
RATES = np.array(sorted({*SGD_RATES, *ADAMW_RATES}))
RATES_LOG = np.log2(RATES)
USED = np.array([[r in SGD_RATES for r in RATES], [r in ADAMW_RATES for r in RATES]])
BEST = np.array([0.940, 0.925, 0.900, 0.865, 0.810])
RESIDUAL = np.array([0.002, 0.004, 0.006, 0.007, 0.0065])
SEED = np.array([0.003, 0.008, 0.011, 0.011, 0.020])
OPTIMUM = np.log2([0.08, 0.008])
EDGE = np.log2([[0.25, 0.25, 0.25, 0.25, 0.33], [0.15] * 5])
SHIFT = np.array([[0.0, 0.0, 0.1, 0.2, 0.3], [0.0, 0.3, 0.6, 0.9, 1.2]])
SHAPE = (2, len(SIZES), len(EPOCHS), len(RATES))


@dataclass(frozen=True)
class World:
    """A kind of results. gain [P, C, T]: what is added to a setting's accuracy at every rate; None for
    nothing."""

    kind: str
    gain: Array | None = None


def table(world: World, seeds: int, rng: np.random.Generator) -> Table:
    """The table of one simulated study."""
    planned = np.broadcast_to(USED[:, None, None, :, None], (*SHAPE, seeds))
    beyond = RATES_LOG[:, None] - _edges(world, seeds, rng)
    failed = beyond > 0
    lost = failed & (rng.random(failed.shape) < 0.5)
    if world.kind == "shifted":
        lost |= rng.random(failed.shape) < 0.02
    else:
        lost &= False
    test, validation = _scores(world, beyond, rng)
    state = np.where(planned, np.where(lost, DIVERGED, DONE), UNPLANNED).astype(np.int8)
    unknown = ~planned
    train = np.where(unknown | lost, np.nan, _losses(failed, rng))
    filled = [np.where(unknown, np.nan, np.where(lost, CHANCE, x)) for x in (validation, test)]
    per_epoch = np.broadcast_to(np.array([10 * s / BATCH for s in SIZES])[:, None], SHAPE[:3])
    start, chance = (np.where(planned, v, np.nan) for v in (-np.log(CHANCE), CHANCE))
    study, (panels, conditions, treatments, nuisances) = _study(seeds)
    return Table(
        study=study,
        panels=panels,
        conditions=conditions,
        treatments=treatments,
        nuisances=nuisances,
        seeds=tuple(range(seeds)),
        state=state,
        validation=filled[0],
        test=filled[1],
        train=train,
        start=start,
        unlike=np.zeros(state.shape, dtype=bool),
        total=per_epoch * LENGTH,
        per_epoch=per_epoch,
        chance=chance,
        times_chance=np.full(state.shape, np.nan),
    )


@cache
def _study(seeds: int) -> tuple[Study, tuple[Axis, Axis, Axis, Axis]]:
    study = Regimes(seeds=seeds).study()
    panels = [{"optimizer.name": name} for name in ("sgd", "adamw")]
    warmups = [{"epochs": e} for e in EPOCHS]
    return study, (
        Axis(("sgd", "adamw"), tuple(panels), ("SGD", "AdamW")),
        Axis(tuple(map(str, SIZES)), SIZES, tuple(map(str, SIZES))),
        Axis(tuple(map(label, warmups)), tuple(warmups), tuple(map(label, warmups))),
        Axis(tuple(map(str, RATES)), tuple({"peak_lr": float(r)} for r in RATES), tuple(map(str, RATES))),
    )


def _edges(world: World, seeds: int, rng: np.random.Generator) -> Array:
    """[P, C, T, V, S]: log2 of the rate at which each run stops training."""
    edge = EDGE[:, :, None] + np.zeros(SHAPE[:3])
    if world.kind == "shifted":
        fewer = np.linspace(0.5, 1.5, len(SIZES))
        edge = edge + SHIFT[:, None, :] * fewer[:, None]
    common = rng.normal(0, 0.2, (1, len(SIZES), 1, 1, seeds))
    own = rng.normal(0, 0.25, (*SHAPE[:3], 1, seeds))
    return np.asarray(edge[..., None, None] + common + own + rng.normal(0, 0.15, (*SHAPE, seeds)))


def _scores(world: World, beyond: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Test and validation scores [P, C, T, V, S] of runs that end."""
    away = RATES_LOG - OPTIMUM[:, None]
    mean = BEST[:, None] - (np.where(away > 0, 0.006, 0.0015) * away**2)[:, None]
    gain = np.zeros(SHAPE[:3]) if world.gain is None else world.gain
    mean = mean[:, :, None, :, None] + gain[..., None, None]
    mean = mean + SEED[:, None, None, None] * rng.standard_normal((1, len(SIZES), 1, 1, beyond.shape[-1]))
    near = np.clip(1 + beyond / 0.3, 0, 1) * 0.03 * rng.random(beyond.shape)
    both = _residuals(world, beyond.shape, rng)
    if world.kind == "heavy":
        both = both - (rng.random(both.shape) < 0.03) * rng.uniform(0.02, 0.1, both.shape)
    reached = CHANCE + 0.8 * (BEST[:, None, None, None] - CHANCE) * rng.beta(0.4, 0.8, beyond.shape)
    out = []
    for images in (TEST, VALIDATION):
        one = mean - near + (both + _residuals(world, beyond.shape, rng)) / 2**0.5
        one = np.clip(np.where(beyond > 0, reached, one), 0.02, 0.999)
        one = one + np.sqrt(0.1 * one * (1 - one) / images) * rng.standard_normal(one.shape)
        out.append(np.round(np.clip(one, 0, 1) * images) / images)
    return out[0], out[1]


def _residuals(world: World, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """AR(1) over the rates, with t tails, of `RESIDUAL`'s deviation (for t on 2.2 degrees of freedom of that
    of t4)."""
    df, again = 2.2 if world.kind == "heavy" else 4.0, 0.9 if world.kind == "correlated" else 0.3
    fresh = rng.standard_t(df, shape) / 2**0.5
    out = np.empty(shape)
    out[..., 0, :] = fresh[..., 0, :]
    for v in range(1, shape[3]):
        out[..., v, :] = again * out[..., v - 1, :] + (1 - again**2) ** 0.5 * fresh[..., v, :]
    return np.asarray(RESIDUAL[:, None, None, None] * out)


def _losses(failed: NDArray[np.bool_], rng: np.random.Generator) -> Array:
    """Training losses: small where a run trained, else between halfway and chance."""
    small = 0.005 * np.exp(rng.normal(0, 1, failed.shape))
    large = -np.log(CHANCE + 0.4 * (1 - CHANCE) * rng.beta(0.4, 0.8, failed.shape))
    return np.asarray(np.where(failed, large, small))


def joined(a: Table, b: Table) -> Table:
    """The study with the seeds of both."""
    names = ("state", "validation", "test", "train", "start", "unlike", "chance", "times_chance")
    parts: dict[str, Any] = {n: np.concatenate([getattr(a, n), getattr(b, n)], axis=-1) for n in names}
    seeds = len(a.seeds) + len(b.seeds)
    return replace(a, study=_study(seeds)[0], seeds=tuple(range(seeds)), **parts)


BOTH = frozenset({Verdict.SUPPORTED, Verdict.OPPOSITE})


def wrong(c: Claim, world: World) -> frozenset[Verdict]:
    """The verdicts on a claim that would be false. (The other kinds of claims can be true of either sign.)

    Without a gain, and where edges are equal, no treatment differs from another in anything, so a difference
    of either sign is false. Two claims about chosen warmups are not false of either sign: choosing the best
    of four warmups gains a little where the validation set tells true luck, and more where runs vary more,
    so that H1's benefit may truly be largest at an end.
    """
    what = c.name.partition("/")[0]
    if world.gain is not None:
        return _planted(c, world.gain)
    if c.name == "hypotheses/H1":
        return frozenset({Verdict.SUPPORTED})
    if world.kind == "shifted" and (
        c.name == "hypotheses/H4" or what in ("over_rates", "over_rates_at", "edge", "edge_change")
    ):
        return _shifted(c, what)
    return BOTH


def _shifted(c: Claim, what: str) -> frozenset[Verdict]:
    """Of edges that warmup raises (all but one epoch with SGD), and of scores over rates, which follow
    them."""
    if c.name == "hypotheses/H4":  # AdamW gains more, by more than a point
        return frozenset({Verdict.SUPPORTED, Verdict.SAME})
    shift = SHIFT[("sgd", "adamw").index(c.at[0])][EPOCHS.index(int(c.at[2].removesuffix("ep")))]
    if not shift:
        return BOTH
    if what == "edge_change":  # the more the fewer the examples
        return frozenset({Verdict.SUPPORTED})
    clear = (what == "over_rates" or not c.at[1]) and shift >= 0.3
    return frozenset({Verdict.OPPOSITE, *([Verdict.SAME] if clear else [])})


def effect(c: Claim, gain: Array) -> float | None:
    """The true effect of a claim on tuned scores."""
    what, _, place = c.name.partition("/")
    if what == "benefit":
        p, s, t = _place(*place.split("/"))
        return float(gain[p, s, t] - gain[p, s, 0])
    if what in ("tuned", "best"):
        panel, one, *other = place.split("/")
        p, _, t = _place(panel, str(SIZES[0]), one)
        base = _place(panel, str(SIZES[0]), other[0])[2] if other else 0
        return float((gain[p, :, t] - gain[p, :, base]).mean())
    return None


def _place(panel: str, size: str, warmup: str) -> tuple[int, int, int]:
    return (
        ("sgd", "adamw").index(panel),
        SIZES.index(int(size)),
        EPOCHS.index(int(warmup.removesuffix("ep"))),
    )


def _planted(c: Claim, gain: Array) -> frozenset[Verdict]:
    """Of tuned scores alone."""
    size = effect(c, gain)
    if size is None:
        return frozenset()
    if abs(size) < 1e-9:
        return BOTH
    sign = Verdict.OPPOSITE if size > 0 else Verdict.SUPPORTED
    return frozenset({sign, *([Verdict.SAME] if abs(size) > c.margin - 1e-9 else [])})
