"""The grid of 155 experiments of Agrawal 2025, *Learning Rate Warmup Across Data Regimes*, in its own order,
and the rows that go beyond it: more rates, more seeds, updates.

A row is what the original calls an experiment, before its seeds: what is asked for. What the data hold may be
less; see `preheat.studies.regimes.images`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from preheat.core.lengths import Length, epochs, steps
from preheat.core.words import listed
from preheat.studies.regimes.published import PUBLISHED

IMAGES = ("cifar10", "cifar100", "pathmnist")
QUESTION = "How long should the learning rate warm up at each data size, and does it matter?"
SIZES = (5000, 1000, 500, 100, 50)
TOTALS = (50_000, 10_000, 5_000, 1_000, 500)
# what the original calls its sizes
NAMES = ("Standard", "Limited", "Low-shot", "Few-shot", "Extreme")
WARMUPS = (0, 1, 5, 10, 20)
UPDATES = (0, 20, 80, 400, 2000)
SEEDS = (42, 123, 456)
OPTIMIZERS: Mapping[str, Mapping[str, Any]] = {
    "sgd": {"name": "sgd", "momentum": 0.9, "weight_decay": 5e-4},
    "adamw": {"name": "adamw", "weight_decay": 5e-4},
}
RATES = {"sgd": 0.1, "adamw": 1e-3}
# Twice and half are what a person would try next, and four times either way finds an optimum that is off by
# more; where the best lies at an end of the grid the report says so.
FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
_CIFAR = (*itertools.product((5000, 1000, 500), (0, 5, 20)), (50, 0), (50, 1), (50, 5))
_PATH = ((5000, 5), (1000, 5), (500, 5), (100, 1), (50, 1), (5000, 0))
_WRITTEN = {"pathmnist": "medmnist"}  # what the original calls it


class GridRow(NamedTuple):
    """One setting as it is asked for. size: examples a class, or in all; rate: the peak rate.

    same: the warmup in epochs, of the same grid, that is as many updates as this one.
    """

    task: str
    size: int
    warmup: Length
    optimizer: str
    rate: float
    seeds: tuple[int, ...]
    same: Length | None = None

    def name(self, size: str = "epc") -> str:
        """The experiment's name as the original writes it; a warmup in updates and another rate than the
        original's are told apart.

        >>> print(GridRow("pathmnist", 500, epochs(5), "sgd", 0.1, (42,)).name())
        medmnist_500epc_w5_sgd_s{seed}
        >>> print(GridRow("cifar10", 50, steps(80), "adamw", 2e-3, (42,)).name())
        cifar10_50epc_u80_adamw_lr0.002_s{seed}
        """
        rise = f"{'u' if self.warmup.unit == 'steps' else 'w'}{self.warmup.value:g}"
        rate = "" if self.rate == RATES[self.optimizer] else f"_lr{self.rate:g}"
        return (
            f"{_WRITTEN.get(self.task, self.task)}_{self.size}{size}_{rise}_{self.optimizer}{rate}_s{{seed}}"
        )


def called(path: str, sizes: Iterable[int], *, total: bool = False) -> dict[str, dict[str, str]]:
    """The original's names of those sizes that are its own, as a study's labels.

    >>> called("task.examples_per_class", (5000, 50, 20))
    {'task.examples_per_class': {'5000': 'Standard', '50': 'Extreme'}}
    """
    own = dict(zip(TOTALS if total else SIZES, NAMES, strict=True))
    known = {str(size): own[size] for size in sizes if size in own}
    return {path: known} if known else {}


def original_rows(
    tasks: Sequence[str], sizes: Sequence[int] = SIZES, *, warmups: Sequence[float] = WARMUPS
) -> list[GridRow]:
    """The original's rows of `tasks` in its order; with sizes or warmups of one's own AdamW gets every
    combination, as SGD.

    >>> rows = original_rows(IMAGES)
    >>> [sum(len(r.seeds) for r in rows if r.optimizer == name) for name in ("sgd", "adamw")]
    [125, 30]
    """
    cells = list(itertools.product(sizes, warmups))
    own = cells != list(itertools.product(SIZES, WARMUPS))
    cifar, path = (cells, cells) if own else (_CIFAR, _PATH)
    pairs = [(t, n, w) for n, w in cifar for t in tasks if t != "pathmnist"]
    pairs += [(t, n, w) for n, w in path for t in tasks if t == "pathmnist"]
    sgd = [GridRow(t, n, epochs(w), "sgd", RATES["sgd"], _seeds(t, "sgd")) for t in tasks for n, w in cells]
    return sgd + [GridRow(t, n, epochs(w), "adamw", RATES["adamw"], _seeds(t, "adamw")) for t, n, w in pairs]


def update_rows(tasks: Sequence[str], sizes: Sequence[int], updates: Sequence[int]) -> list[GridRow]:
    """Every size with every warmup in updates, for both optimizers, on the seeds that the original gives
    them."""
    return [
        GridRow(t, n, steps(u), name, rate, _seeds(t, name))
        for name, rate in RATES.items()
        for t, n, u in itertools.product(tasks, sizes, updates)
    ]


def tuned_rows(
    tasks: Sequence[str],
    sizes: Sequence[int],
    warmups: Sequence[Length],
    rates: Mapping[str, Sequence[float]],
    seeds: tuple[int, ...],
) -> list[GridRow]:
    """Every combination with every rate of its optimizer, on all seeds."""
    return [
        GridRow(t, n, w, name, rate, seeds)
        for name in RATES
        for t, n, w, rate in itertools.product(tasks, sizes, warmups, rates[name])
    ]


def shared_seeds(n: int) -> tuple[int, ...]:
    """`n` seeds, the original's first, whose runs are shared.

    >>> shared_seeds(5)
    (42, 123, 456, 0, 1)
    """
    return tuple(itertools.islice((*SEEDS, *range(n)), n))


def unfit(task: str, where: str, updates: Iterable[object], total: int) -> str:
    """The note that warmups in updates are left out where the run does not outlast them.

    >>> unfit("digits", "5 per class", (400, 2000), 200)
    'digits: no warmup of 400 and 2000 updates at 5 per class, where the run has 200 updates'
    """
    return f"{task}: no warmup of {listed(updates)} updates at {where}, where the run has {total} updates"


def one_run(where: str, updates: object, warmup: float) -> str:
    """The note that a warmup in updates that equals one in epochs is not trained beside it.

    >>> one_run("500 per class", 400, 10)
    'a warmup in updates that equals one in epochs, as 400 updates and 10 epochs at 500 per class, is one run,
    shown in epochs'
    """
    example = f"{updates} updates and {warmup:g} epochs at {where}"
    return f"a warmup in updates that equals one in epochs, as {example}, is one run, shown in epochs"


def fixed(task: Mapping[str, Any], length: int, batch: int) -> dict[str, Any]:
    """What every run has; length: in epochs."""
    return {"task": task, "schedule": {"name": "cosine"}, "length": {"epochs": length}, "batch_size": batch}


def _seeds(task: str, optimizer: str) -> tuple[int, ...]:
    return SEEDS if (task, optimizer) == ("cifar10", "sgd") else SEEDS[:1]


# what the report says, in order; the first epochs have their own chapter
REPORTED: tuple[str | Mapping[str, Any], ...] = (
    *(
        "main",
        "edge",
        "hypotheses",
        "metric",
        "benefit",
        "best",
        "inside_edge",
        "updates",
        "protocols",
        "rule",
        "curves",
    ),
    *("first_epochs", {"name": "probes", "but": ["grad_norm", "distance", "hessian_trace"]}, "untrained"),
    {"name": "published", "claims": PUBLISHED},
)
# primary: what the answer is made of; aside: runs that chose on the test split count in no claim where the
# same runs were chosen honestly
CLAIMS: Mapping[str, Any] = {
    "primary": ["main", "edge", "hypotheses"],
    "aside": {"task.selection": ["test"]},
}


def claims(nuisance: Sequence[str]) -> dict[str, Any]:
    """`CLAIMS` of a study with these nuisances: without several rates there is no edge to claim anything of.

    >>> claims(())["primary"]
    ['main', 'hypotheses']
    """
    primary = [f for f in CLAIMS["primary"] if f != "edge" or nuisance]
    return {**CLAIMS, "primary": primary}
