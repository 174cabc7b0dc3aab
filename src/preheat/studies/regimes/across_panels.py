"""Does the pattern replicate on another task (H3), and does AdamW gain less from warmup than SGD (H4)?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preheat.analysis.edges import MARGIN
from preheat.analysis.effects import places
from preheat.analysis.seed_edges import ratio_parts, seed_edges
from preheat.analysis.table import Table
from preheat.analysis.training import trained
from preheat.analysis.words import brief
from preheat.core.grid import label
from preheat.stats.bounds import Bounded, Parts, combined, mean_weights
from preheat.stats.estimates import Array, moments, p_equivalent, rounding
from preheat.studies.regimes.hypothesis import Stated, Tested
from preheat.studies.regimes.surface import Surface, optimizer

TASK_PATHS = ("task", "task.name")
_TWO_TASKS = (
    "the runs are of one task, and to replicate takes at least two tasks. Name task.name among the "
    "scientific hyperparameters, list two tasks or more in the grid, and run the study again; what is "
    "trained already is not trained twice."
)


def _rest(s: Surface, paths: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{k}={label(v)}" for k, v in s.axes.items() if k not in paths)


def _tasks(s: Surface) -> tuple[str, ...]:
    return tuple(label(s.axes[p]) for p in TASK_PATHS if p in s.axes)


def matched(a: Surface, b: Surface) -> tuple[Array, Array] | None:
    """The judged scores [C, T, S'] of two panels at the sizes, warmups (baseline first) and seeds that both
    have."""
    sizes = [x for x in a.labels if x in b.labels]
    base = a.names[a.base]
    treatments = [base, *(x for x in a.names if x in b.names and x != base)]
    seeds = [x for x in a.seeds if x in b.seeds]
    if not sizes or len(treatments) < 2 or not seeds or base not in b.names:
        return None
    return _part(a, sizes, treatments, seeds), _part(b, sizes, treatments, seeds)


def _part(s: Surface, sizes: Sequence[str], treatments: Sequence[str], seeds: Sequence[int]) -> Array:
    c, t, k = (
        [all_.index(x) for x in some]
        for all_, some in ((s.labels, sizes), (s.names, treatments), (s.seeds, seeds))
    )
    return s.judged[np.ix_(c, t, k)]


def replicates(found: Sequence[Surface], stated: Stated) -> Tested:
    """H3: per seed the correlation of benefits between tasks, the mean over all pairs of tasks."""
    pairs = [
        (a, b)
        for a, b in combinations(found, 2)
        if _rest(a, TASK_PATHS) == _rest(b, TASK_PATHS) and _tasks(a) != _tasks(b)
    ]
    if not pairs:
        return stated.untested(_TWO_TASKS)
    both = [x for a, b in pairs if (x := matched(a, b)) is not None]
    gains = [(_gain(x), _gain(y)) for x, y in both if x.shape[0] * (x.shape[1] - 1) >= 4]
    seeds = min((a.shape[1] for a, _ in gains), default=0)
    if not seeds or len({a.shape[1] for a, _ in gains}) > 1:
        return stated.untested("the tasks need four or more settings and the same seeds in common.")
    if not _vary(gains):
        return stated.untested("the benefit does not vary at all.")
    r = np.nanmean([[_correlation(a[:, s], b[:, s]) for s in range(seeds)] for a, b in gains], axis=0)
    steady = min(_steadiness(x) for pair in gains for x in pair)
    made = stated.tested(moments(r))
    if steady >= 0.5:
        return made
    repeat = "" if math.isnan(steady) else f" (mean correlation {steady:.2f})"
    why = (
        f"The tasks' patterns hardly repeat from seed to seed{repeat}, so that they differ would say nothing."
    )
    return replace(
        made,
        hypothesis=replace(made.hypothesis, text=why),
        claim=replace(made.claim, p_same=None, p=made.claim.p if made.claim.effect.mean > 0 else None),
    )


def _vary(gains: Sequence[tuple[Array, ...]]) -> bool:
    return all(bool((x.std(axis=0) > 0).all()) for pair in gains for x in pair)


def _gain(x: Array) -> Array:
    """[C (T - 1), S']: scores minus the baseline's, which is the first."""
    return (x[:, 1:] - x[:, :1]).reshape(-1, x.shape[2])


def _correlation(a: Array, b: Array) -> float:
    a, b = a - a.mean(), b - b.mean()
    size = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / size if size > 0 else math.nan


def _steadiness(gain: Array) -> float:
    """The mean correlation between two seeds of one panel."""
    r = [_correlation(gain[:, i], gain[:, j]) for i, j in combinations(range(gain.shape[1]), 2)]
    return float(np.mean(r)) if r else math.nan


def sensitivity(table: Table, stated: Stated) -> Tested:
    """H4: what warmup adds to the mean score over rates, and to the edge, with SGD minus with AdamW."""
    panels = table.panels.values
    pairs = [
        (a, b)
        for a, one in enumerate(panels)
        for b, other in enumerate(panels)
        if (optimizer(one), optimizer(other)) == ("sgd", "adamw") and _others(one) == _others(other)
    ]
    if not pairs:
        return stated.untested(
            "it needs runs with SGD and with AdamW: add the optimizer to the scientific hyperparameters."
        )
    if table.rated is None:
        return stated.untested(
            "it needs several peak rates for each setting: list peak_lr as a nuisance hyperparameter."
        )
    gain = _gains(table, table.sign * table.rated)
    m = moments(np.mean([gain[a] - gain[b] for a, b in pairs], axis=0), rounding(table.step, 4))
    moved = _edges_moved(table, pairs)
    agree = (moved.moments.mean > 0) == (m.mean > 0)
    gate = moved.p if agree and moved.p is not None else 1.0
    made = stated.tested(m, gate=gate, text=_told(moved))
    ps = p_equivalent(m, stated.smallest), p_equivalent(moved.moments, MARGIN)
    known = moved.bound == "exact" and _widest(table, pairs) <= MARGIN + 1e-9
    same = max(ps[0], ps[1]) if known and ps[0] is not None and ps[1] is not None else None
    return replace(made, claim=replace(made.claim, p_same=same))


def _widest(table: Table, pairs: Sequence[tuple[int, int]]) -> float:
    """The widest bracket of an edge, in octaves: an edge is known to the grid's step only."""
    good, used = trained(table), {p for pair in pairs for p in pair}
    each = [seed_edges(table, good, at).width for at in places(table) if at[0] in used]
    return float(np.nanmax(np.array(each))) if np.isfinite(each).any() else math.inf


def _told(moved: Bounded) -> str:
    """The factor by which the edge moves with AdamW, over that with SGD."""
    e = moved.estimate
    if not e.n:
        return "No seed tells the edge with both optimizers."
    turned = {"at least": "at most ", "at most": "at least ", "open": "roughly "}.get(e.bound, "")
    times = f"{turned}{brief(2**-e.mean)} times"
    text = f"The factor by which warmup moves the edge is {times} as large with AdamW as with SGD"
    if e.lo is not None and e.hi is not None:
        text += f" (95 % interval {brief(2**-e.hi)} to {brief(2**-e.lo)})"
    return f"{text}."


def _others(panel: Mapping[str, Any]) -> dict[str, str]:
    return {k: label(v) for k, v in panel.items() if k.split(".")[0] != "optimizer"}


def _gains(table: Table, scores: Array) -> Array:
    """[P, S]: the mean over sizes and warmups of the score minus that without."""
    planned = np.asarray(table.planned.any(axis=-1))
    both = planned & planned[:, :, [table.base]]
    with np.errstate(invalid="ignore"):
        each = scores - scores[:, :, [table.base]]
    each = np.where(both[..., None], each, 0.0)
    count = both.sum(axis=(1, 2)) - both[:, :, table.base].sum(axis=1)
    return np.asarray(each.sum(axis=(1, 2)) / np.maximum(count, 1)[:, None])


def _edges_moved(table: Table, pairs: Sequence[tuple[int, int]]) -> Bounded:
    """Over seeds: log2 of the edge over that without warmup, the mean over sizes and warmups, SGD minus
    AdamW.

    Of a mean of so many edges nearly every seed has one beyond the grid. So it is a bound where more than a
    quarter of its weight lies on such edges.
    """
    good = trained(table)
    moved = {p: _ratios(table, good, p) for p in dict.fromkeys(p for pair in pairs for p in pair)}
    sides = [(moved[p], sign / len(pairs)) for a, b in pairs for p, sign in ((a, 1.0), (b, -1.0))]
    whole = np.array([np.isfinite(parts.values).any(axis=0) for parts, _ in sides]).all(axis=0)
    weights = [whole * mean_weights(parts) * share for parts, share in sides]
    together = Parts(*(np.concatenate(x) for x in zip(*(parts for parts, _ in sides), strict=True)))
    signed = np.concatenate(weights)
    made, size = combined(together, signed), np.abs(signed).sum()
    if not size:
        return made
    up, down = (np.maximum(s, 0.0) for s in (signed, -signed))
    least, most = (
        float((up * a + down * b).sum() / size)
        for a, b in ((together.least, together.most), (together.most, together.least))
    )
    return made._replace(least=least, most=most)


def _ratios(table: Table, good: NDArray[np.bool_], p: int) -> Parts:
    """One panel's edges over those without warmup, a row for each size and warmup."""
    spots = [at for at in places(table) if at[0] == p and at[2] != table.base]
    each = [(at, (p, at[1], table.base)) for at in spots if table.planned[p, at[1], table.base].any()]
    found = [(seed_edges(table, good, a), seed_edges(table, good, b)) for a, b in each]
    none = np.full((1, len(table.seeds)), np.nan)
    return ratio_parts(found) if found else Parts(none, none, np.isfinite(none), np.isfinite(none))
