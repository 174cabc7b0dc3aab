"""Does the pattern replicate on another task (H3), and is AdamW less sensitive to warmup than SGD (H4)?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from preheat.core.grid import label
from preheat.stats.estimates import PILOT, Array, Estimate, interval, moments, p_different
from preheat.studies.regimes.surface import Surface, optimizer
from preheat.studies.regimes.verdicts import Claim, Hypothesis, both_ways, concluded, undecided

TASK_PATHS = ("task", "task.name")
_TWO_TASKS = (
    "the runs are of one task, and to replicate takes at least two tasks. Name task.name among the "
    "scientific hyperparameters, list two tasks or more in the grid, and run the study again; what is "
    "trained already is not trained twice."
)


_NEITHER = "No difference of the size that matters: neither optimizer is sensitive to warmup here."


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


def replicates(found: Sequence[Surface], claim: Claim) -> Hypothesis:
    """H3: per seed the correlation of benefits between tasks, the mean over all pairs of tasks."""
    pairs = [
        (a, b)
        for a, b in combinations(found, 2)
        if _rest(a, TASK_PATHS) == _rest(b, TASK_PATHS) and _tasks(a) != _tasks(b)
    ]
    if not pairs:
        return undecided(claim, _TWO_TASKS)
    both = [x for a, b in pairs if (x := matched(a, b)) is not None]
    gains = [(_gain(x), _gain(y)) for x, y in both if x.shape[0] * (x.shape[1] - 1) >= 4]
    seeds = min((a.shape[1] for a, _ in gains), default=0)
    if not seeds or len({a.shape[1] for a, _ in gains}) > 1:
        return undecided(claim, "the tasks need four or more settings and the same judging seeds in common.")
    r = (
        np.nanmean([[_correlation(a[:, s], b[:, s]) for s in range(seeds)] for a, b in gains], axis=0)
        if _vary(gains)
        else np.array([])
    )
    m = moments(r)
    if not m.n:
        return undecided(claim, "the benefit does not vary at all.")
    effect = interval(m)
    if effect.lo is not None and effect.hi is not None:
        effect = Estimate(m.mean, max(-1.0, effect.lo), min(1.0, effect.hi), m.n)
    steady = min(_steadiness(x) for pair in gains for x in pair)
    if effect.hi is not None and effect.hi < claim.smallest and not steady >= 0.5:
        repeat = "" if math.isnan(steady) else f" (mean correlation {steady:.2f})"
        why = (
            f"the tasks' patterns hardly repeat from seed to seed{repeat}, so that they differ between tasks "
            "says nothing."
        )
        return undecided(claim, why)
    return concluded(claim, both_ways(claim, m), p_different(m), effect=effect)


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


def sensitivity(found: Sequence[Surface], claim: Claim) -> Hypothesis:
    """H4: V = mean over sizes and pairs of different seeds of the covariance over warmups; V(SGD) - V(AdamW).

    Covariances between seeds have the true variance between warmups as their mean, because seeds do not share
    their noise. Pseudo-values n D - (n - 1) D without seed s give the interval.
    """
    pairs = [
        both
        for a in found
        for b in found
        if optimizer(a.axes) == "sgd"
        and optimizer(b.axes) == "adamw"
        and _rest(a, _optimizers(a)) == _rest(b, _optimizers(b))
        if (both := matched(a, b)) is not None
    ]
    if not pairs:
        return undecided(claim, "it needs panels of SGD and AdamW; add the optimizer to the scientific axes.")
    n = min(x.shape[2] for x, _ in pairs)
    if n < 3 or any(x.shape[2] != n for x, _ in pairs):
        return undecided(
            claim,
            f"it needs the same three judging seeds or more in both panels, there are {n}.",
            more=max(PILOT - n, 1),
        )
    sgd, adamw = (np.mean([_kernel(both[i]) for both in pairs], axis=0) for i in (0, 1))
    m = moments(_pseudo(sgd - adamw))
    spread = [math.sqrt(max(0.0, _apart(k))) for k in (sgd, adamw)]
    sd = [claim.units.difference(v, sign=False) for v in spread]
    text = (
        f"Beyond the seeds' noise the standard deviation between warmups is {sd[0]} with SGD and {sd[1]} "
        "with AdamW."
    )
    if all(_little(k, claim.smallest) for k in (sgd, adamw)):
        claim = replace(claim, nothing=_NEITHER)
    return concluded(claim, both_ways(claim, m), p_different(m), effect=interval(m), text=text)


def _little(kernel: Array, smallest: float) -> bool:
    """Whether a variance between warmups is below the smallest of interest, with its whole interval."""
    hi = interval(moments(_pseudo(kernel))).hi
    return hi is not None and hi < smallest


def _optimizers(s: Surface) -> tuple[str, ...]:
    return tuple(p for p in s.axes if p.split(".")[0] == "optimizer")


def _kernel(x: Array) -> Array:
    """[S', S']: covariance over warmups between seeds, the mean over sizes."""
    d = x - x.mean(axis=1, keepdims=True)
    return np.asarray(np.einsum("cts,ctr->sr", d, d) / (x.shape[0] * (x.shape[1] - 1)), dtype=np.float64)


def _apart(kernel: Array) -> float:
    """The mean over pairs of different seeds."""
    n = len(kernel)
    return float(kernel.sum() - np.trace(kernel)) / (n * (n - 1))


def _pseudo(kernel: Array) -> Array:
    """[S']: the jackknife's pseudo-values of the mean over pairs."""
    n = len(kernel)
    whole = _apart(kernel)
    keep = [np.delete(np.arange(n), s) for s in range(n)]
    return np.array([n * whole - (n - 1) * _apart(kernel[np.ix_(k, k)]) for k in keep])
