"""What summaries of runs say of warmup by data size, as Agrawal 2025, *Learning Rate Warmup Across Data
Regimes*, asks it.

Its four hypotheses are descriptions, not tests: no interval, no correction, the best of a grid judged on the
numbers that chose it. They are computed as it defines them, each with what it can't show; `hypotheses` has
tests. Accuracies in percent, warmups in epochs, sizes in examples per class.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from preheat.core.words import count, listed
from preheat.stats.estimates import ALPHA

FULL = {"cifar100": 500}  # examples per class that there are; summaries of the study's own code don't say so
EXACT = 7  # points of which every order is tried
PIECEWISE = "5 epochs from 1000 examples per class; examples per class // 200, at least 1, from 100; else 1"
Key = TypeVar("Key", bound=Hashable)
Json = dict[str, Any]


class Summary(NamedTuple):
    """One run. size: examples per class asked for; there: those it trained on; accuracy: of its best epoch,
    if known."""

    name: str
    dataset: str
    size: float
    there: float
    warmup: float
    optimizer: str
    seed: int
    accuracy: float | None


class Optimum(NamedTuple):
    """The warmup of the highest mean accuracy at one data size. seeds: how many runs its mean is of.

    baseline_acc: the mean without warmup; it and the improvement are None where no such run is known. The
    improvement is the largest of several noisy differences, and so biased upwards.
    """

    examples_per_class: float
    optimal_warmup: float
    optimal_acc: float
    baseline_acc: float | None
    improvement: float | None
    effective_examples_per_class: float
    seeds: int


def different(rows: Iterable[Summary]) -> list[Summary]:
    """One row for each training set, warmup, optimizer and seed; of sizes that are one and the same set the
    smallest asked.

    >>> made = [Summary("", "cifar100", size, 500, 5, "sgd", 42, 60.0) for size in (5000, 1000, 500)]
    >>> [row.size for row in different(made)]
    [500]
    """
    kept: dict[Any, Summary] = {}
    for row in sorted(rows, key=lambda r: r.size):
        kept.setdefault((row.dataset, row.there, row.warmup, row.optimizer, row.seed), row)
    return sorted(kept.values(), key=lambda r: -r.size)


def means(rows: Iterable[Summary]) -> dict[tuple[float, float], tuple[float, int]]:
    """{(size, warmup): (mean accuracy over seeds, how many)}, large sizes and short warmups first."""
    cells = _by(rows, lambda r: (r.size, r.warmup))
    return {k: (float(np.mean(cells[k])), len(cells[k])) for k in sorted(cells, key=lambda k: (-k[0], k[1]))}


def optima(rows: Sequence[Summary]) -> list[Optimum]:
    """The best warmup at each size, large sizes first; of equal means the shorter warmup."""
    cells, out = means(rows), []
    there = {r.size: r.there for r in rows}
    for size in dict.fromkeys(size for size, _ in cells):
        mine = {w: cell for (s, w), cell in cells.items() if s == size}
        best = max(mine, key=lambda w: (mine[w][0], -w))
        top, seeds = mine[best]
        base = mine[0.0][0] if 0.0 in mine else None
        out.append(Optimum(size, best, top, base, None if base is None else top - base, there[size], seeds))
    return out


def piecewise(size: float) -> float:
    """The study's fixed rule for the warmup in epochs: 5 from 1000 per class, size // 200 (at least 1) from
    100, else 1.

    >>> [piecewise(size) for size in (5000, 1000, 500, 100, 50)]
    [5.0, 5.0, 2.0, 1.0, 1.0]
    """
    if size < 100:
        return 1.0
    return 5.0 if size >= 1000 else float(max(1, size // 200))


def rule(best: Sequence[Optimum]) -> Json:
    """The line w = intercept + slope log(size + 1) through the best warmups, and the fixed rule's mean
    absolute error.

    r2: 1 - residual / total sum of squares; None where fewer than two sizes are known, or all have one best
    warmup.
    """
    x = np.log([b.examples_per_class + 1 for b in best])
    y = np.array([b.optimal_warmup for b in best])
    line: Json = {"slope": None, "intercept": None, "r2": None}
    if len(best) > 1:
        slope, intercept = np.polyfit(x - x.mean(), y, 1)
        total, left = np.sum((y - y.mean()) ** 2), np.sum((y - intercept - slope * (x - x.mean())) ** 2)
        line = {"slope": float(slope), "intercept": float(intercept - slope * x.mean()), "r2": None}
        line["r2"] = float(1 - left / total) if total > 0 else None
    errors = [abs(b.optimal_warmup - piecewise(b.examples_per_class)) for b in best]
    return {
        "linear": line,
        "piecewise": {"rule": PIECEWISE, "mae": float(np.mean(errors)) if errors else None},
        "points": [{**b._asdict(), "piecewise_warmup": piecewise(b.examples_per_class)} for b in best],
        "n": len(best),
        "note": f"{count(len(best), 'data size')}; each best warmup is the highest of several noisy means, "
        "so the line has more uncertainty than R2 tells",
    }


def hypotheses(rows: Sequence[Summary]) -> Json:
    """{"H1": ..., ..., "H4": ...}; each with conclusion, n and note. None: what the runs don't tell."""
    mine = different(rows)
    return {"H1": _peak(mine), "H2": _order(mine), "H3": _replication(mine), "H4": _sensitivity(mine)}


def _peak(rows: Sequence[Summary]) -> Json:
    """H1: at which size is the mean improvement over no warmup largest? SGD, all datasets; a run without
    warmup counts as 0."""
    known = [r for r in rows if r.optimizer == "sgd" and r.accuracy is not None]
    base = {(r.dataset, r.size, r.seed): r.accuracy for r in known if r.warmup == 0}
    gains: dict[float, list[float]] = {}
    warmed: Counter[float] = Counter()
    for r in known:
        zero = base.get((r.dataset, r.size, r.seed))
        if r.accuracy is not None and zero is not None:
            gains.setdefault(r.size, []).append(r.accuracy - zero)
            warmed[r.size] += r.warmup > 0
    mean = {size: float(np.mean(v)) for size, v in gains.items() if warmed[size]}
    peak = max(mean, key=lambda s: mean[s], default=None)
    told = "no SGD run with warmup has a twin without: nothing to compare"
    if peak is not None:
        told = f"the mean improvement over no warmup is largest at {peak:g} examples per class"
    return {
        "peak_dataset_size": peak,
        "peak_improvement": None if peak is None else mean[peak],
        "conclusion": told,
        "by_size": [
            {"examples_per_class": s, "mean_improvement": m, "n": warmed[s]} for s, m in mean.items()
        ],
        "n": sum(warmed[s] for s in mean),
        "note": "n counts runs with warmup that have a twin without; runs without count as improvement 0, as "
        "the study defines it. One size is largest in any data: whether it differs from the others is not "
        "asked, nor are updates told from epochs",
    }


def _order(rows: Sequence[Summary]) -> Json:
    """H2: Spearman's rank correlation of size and best warmup, SGD on CIFAR-10, else on the first dataset."""
    from scipy.stats import spearmanr  # slow to import, and few reports need it

    sgd = [r for r in rows if r.optimizer == "sgd"]
    names = {r.dataset: None for r in sgd}
    dataset = "cifar10" if "cifar10" in names or not names else next(iter(names))
    best = optima([r for r in sgd if r.dataset == dataset])
    x, y = [b.examples_per_class for b in best], [b.optimal_warmup for b in best]
    found: Any = spearmanr(x, y) if len(best) > 2 and len(set(y)) > 1 else None
    rho = None if found is None else float(found.statistic)
    way = f"gets {'longer' if (rho or 0) > 0 else 'shorter'} as the data grow"
    told = "no rank correlation: it needs three data sizes and two different best warmups"
    exact = None if rho is None or len(best) > EXACT else _exact(x, y, rho)
    p_value = None if found is None else float(found.pvalue)
    p = p_value if exact is None else exact
    if p is not None:
        told = f"the best warmup {way}" if p < ALPHA else f"no trend is shown (p = {p:.2g})"
    return {
        "correlation": rho,
        "p_value": p_value,
        "exact_p_value": exact,
        "conclusion": told,
        "dataset": dataset,
        "n": len(best),
        "note": f"{count(len(best), 'data size')} on {dataset}. p_value is scipy's, from the t distribution, "
        "wrong for so few; exact_p_value tries every order. Warmup is counted in epochs, which are fewer "
        "updates the smaller the data",
    }


def _exact(x: Sequence[float], y: Sequence[float], rho: float) -> float:
    """The share of all orders of `y` whose rank correlation with `x` is at least as far from 0."""
    from scipy.stats import rankdata

    a, b = rankdata(x), rankdata(y)
    orders = np.array(list(itertools.permutations(b)))
    centred = orders - b.mean()
    all_rho = centred @ (a - a.mean()) / np.sqrt(np.sum((a - a.mean()) ** 2) * np.sum((b - b.mean()) ** 2))
    return float(np.mean(np.abs(all_rho) >= abs(rho) - 1e-12))


def _replication(rows: Sequence[Summary]) -> Json:
    """H3: the share of data sizes at which two datasets have the same best warmup, SGD."""
    sgd = [r for r in rows if r.optimizer == "sgd"]
    sets = {d: optima([r for r in sgd if r.dataset == d]) for d in {r.dataset: None for r in sgd}}
    best = {d: {b.examples_per_class: b.optimal_warmup for b in found} for d, found in sets.items()}
    grid = len({r.warmup for r in sgd})

    def share(other: str) -> tuple[float | None, int]:
        one, two = best.get("cifar10", {}), best.get(other, {})
        both = [s for s in one if s in two]
        return (sum(one[s] == two[s] for s in both) / len(both) if both else None), len(both)

    (c100, n), (path, m) = share("cifar100"), share("medmnist")
    told = "no size is known on both CIFAR-10 and CIFAR-100"
    if c100 is not None:
        told = f"CIFAR-10 and CIFAR-100 have the same best warmup at {round(c100 * n)} of {count(n, 'size')}"
    chance = f"Best warmups drawn at random from {grid} would agree at one size in {grid}. "
    return {
        "consistency_c10_c100": c100,
        "consistency_c10_medmnist": path,
        "conclusion": told,
        "n": n,
        "n_medmnist": m,
        "note": "of sizes that are one and the same training set (CIFAR-100 has 500 a class) one counts. "
        f"{chance if grid > 1 else ''}Two warmups that can't be told apart count as different",
    }


def _sensitivity(rows: Sequence[Summary]) -> Json:
    """H4: the mean over sizes of the standard deviation of accuracies, SGD and AdamW; and the same between
    warmups alone."""
    apart = {opt: [r for r in rows if r.optimizer == opt] for opt in ("sgd", "adamw")}
    wide = {opt: _mean_std(_by(mine, lambda r: r.size).values()) for opt, mine in apart.items()}
    cells = {opt: _by(mine, lambda r: (r.dataset, r.size, r.warmup)) for opt, mine in apart.items()}
    narrow: dict[str, float | None] = {}
    for opt, mine in cells.items():
        across: dict[Any, list[float]] = {}
        for place in (k for k in mine if k in cells["sgd"] and k in cells["adamw"]):
            across.setdefault(place[:2], []).append(float(np.mean(mine[place])))
        narrow[opt], compared = _mean_std(across.values()), sum(len(v) > 1 for v in across.values())
    return {
        "sgd_std": wide["sgd"],
        "adamw_std": wide["adamw"],
        "conclusion": _less(wide, "over all runs of a size"),
        "sgd_warmup_std": narrow["sgd"],
        "adamw_warmup_std": narrow["adamw"],
        "warmup_conclusion": _less(
            narrow, "between the warmups of one dataset and size that both were trained with"
        ),
        "n": sum(len(v) for mine in cells.values() for v in mine.values()),
        "n_cells": compared,
        "note": "sgd_std and adamw_std pool datasets, warmups and seeds, as the study does: they are mostly "
        "the distance between the datasets, and the optimizers were not trained on one grid. The warmup_std "
        "compare like with like, but at one peak rate for each optimizer, and seeds' noise is part of them",
    }


def _mean_std(groups: Iterable[Sequence[float]]) -> float | None:
    """The mean of the groups' standard deviations (n - 1 below); groups of one have none."""
    found = [float(np.std(g, ddof=1)) for g in groups if len(g) > 1]
    return float(np.mean(found)) if found else None


def _less(std: Mapping[str, float | None], where: str) -> str:
    sgd, adamw = std["sgd"], std["adamw"]
    if sgd is None or adamw is None:
        lacking = listed([name for name, value in (("SGD", sgd), ("AdamW", adamw)) if value is None])
        return f"no spread {where} for {lacking}"
    return f"AdamW's accuracies spread {'less' if adamw < sgd else 'no less'} than SGD's {where}"


def _by(rows: Iterable[Summary], key: Callable[[Summary], Key]) -> dict[Key, list[float]]:
    """The known accuracies by a key, in the order of first sight."""
    out: dict[Key, list[float]] = {}
    for row in rows:
        if row.accuracy is not None:
            out.setdefault(key(row), []).append(row.accuracy)
    return out
