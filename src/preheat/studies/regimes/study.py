"""Does warmup matter, and how long should it be, at different data sizes?

The question of Agrawal 2025, *Learning Rate Warmup Across Data Regimes*.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from preheat.core.errors import UserError
from preheat.core.grid import Block
from preheat.core.lengths import epochs
from preheat.core.options import option
from preheat.core.registry import STUDIES
from preheat.core.spec import Spec, build
from preheat.core.study import Study
from preheat.studies.regimes import grid
from preheat.studies.regimes.checks import check_images, check_options, check_tasks
from preheat.studies.regimes.grid import (
    IMAGES,
    OPTIMIZERS,
    QUESTION,
    REPORTED,
    UPDATES,
    WARMUPS,
    called,
    claims,
    fixed,
    one_run,
    unfit,
)
from preheat.studies.regimes.images import PROTOCOLS, ImageGrid

SIZES, BATCH, SEEDS = (100, 50, 20, 10, 5), 25, 8
SGD_RATES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4)
ADAMW_RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.14, 0.2, 0.28, 0.4)
IMAGE_BATCH, TUNED_SEEDS = 128, 5


@STUDIES.register("regimes")
@dataclass(frozen=True)
class Regimes:
    """How does warmup length matter at five data sizes, for SGD and AdamW?

    Command: `preheat study regimes`; about 3 minutes on 2 CPU cores. Scientific: data size, warmup, optimizer
    (and task, where there are several). Nuisance: the peak rate, on a grid that brackets the edge of
    stability. Fixed: 100 epochs, batch 25 (it divides every size), cosine decay, weight decay 5e-4, SGD
    momentum 0.9. Expect: well inside the edge the five warmups differ by less than the seeds do; near it,
    warmup raises the highest rate at which AdamW trains, the more the fewer the examples (not shown at 50 or
    more per class, about twofold at 5), and SGD's little.

    Command: `preheat study regimes --task all`; the original's 155 experiments (139 distinct runs, about 0.7
    EFLOP) with ResNet-18 on CIFAR-10, CIFAR-100 and PathMNIST, hours on one GPU (`--dry-run` projects them;
    not measured in whole). The original's settings: SGD 0.1 and AdamW 1e-3, batch 128, 100 epochs, seeds 42,
    123 and 456. Expect from published runs of like recipes on CIFAR-10: about 95 % at 5,000 a class, 68 to 78
    % at 500, 28 to 38 % at 50, where one seed can't show an effect below 2 points.

    tasks: "all" (the three), some of them, or other tasks with the option `examples_per_class`; two or more
    test whether the pattern replicates (H3). sizes, warmups (in epochs), updates: of the grid; unit: warmups
    in "epochs", "updates" or "both". model: a name or {name: ..., width: ...}; precision: of the runs. Of the
    three alone: protocol "preheat" (choose on validation images, report the test images), "original" (the
    test images do both, the rate moves once an epoch) or "both"; tune_lr: the peak rate is a nuisance, every
    cell has 5 seeds, and each chooses its own; regimes "per_class" or "total" (sizes count all images);
    source of the images; no_probes, or probe_every (updates) and probe_until (a length). Source: Agrawal
    2025, *Learning Rate Warmup Across Data Regimes*, its hypotheses H1 to H4.
    """

    tasks: tuple[str, ...] = option(
        "--task", default=("digits",), help="a task with examples_per_class, or all: the three image sets"
    )
    sizes: tuple[int, ...] = ()
    warmups: tuple[float, ...] = ()
    updates: tuple[int, ...] = UPDATES
    epochs: int = 100
    batch_size: int | None = None
    sgd_rates: tuple[float, ...] = ()
    adamw_rates: tuple[float, ...] = ()
    seeds: int | None = None
    protocol: str = option(
        "--protocol",
        default="preheat",
        help="of the image sets, how runs are chosen and reported: preheat (default), original or both",
    )
    tune_lr: bool = option(
        "--tune-lr", default=False, help="every seed chooses its own peak rate for each setting"
    )
    unit: str = "epochs"
    regimes: str = "per_class"
    model: Any = None
    source: str = "official"
    precision: str = "float32"
    no_probes: bool = option("--no-probes", default=False, help="measure nothing but losses and metrics")
    probe_every: int | None = option(
        "--probe-every",
        default=None,
        help="updates between measurements, of the curvature five times as many (default: 50, or an epoch "
        "where that is shorter)",
    )
    probe_until: str = option(
        "--probe-until", default="", help="how long probes measure: a length (default: 10ep)"
    )

    def __post_init__(self) -> None:
        if not self.tasks:
            raise UserError("study 'regimes' needs at least one task: write --task digits")
        if "all" in self.tasks:
            asked = (*IMAGES, *(t for t in self.tasks if t != "all"))
            object.__setattr__(self, "tasks", tuple(dict.fromkeys(asked)))
        check_tasks(self)
        check_options(self)
        if self.tasks[0] in IMAGES:
            check_images(self)

    @staticmethod
    def adopt(declared: Study) -> Study | None:
        """One of this study's declarations from before studies named their chapters, with them; None for
        another's."""
        if declared.question != QUESTION:
            return None
        return replace(declared, chapters=REPORTED, claims=claims(declared.nuisance))

    def study(self) -> Study:
        """The declaration."""
        return self._images().study() if self.tasks[0] in IMAGES else self._bracketed()

    def _images(self) -> ImageGrid:
        """The original's grid, and what goes beyond it."""
        per_class = self.regimes == "per_class"
        given = {"sgd": self.sgd_rates, "adamw": self.adamw_rates}
        rates = {n: own or [f * grid.RATES[n] for f in grid.FACTORS] for n, own in given.items()}
        seeds = grid.shared_seeds(TUNED_SEEDS if self.seeds is None else self.seeds)
        return ImageGrid(
            tasks=tuple(name for name in IMAGES if name in self.tasks),
            protocols=tuple(PROTOCOLS) if self.protocol == "both" else (self.protocol,),
            size="examples_per_class" if per_class else "total_examples",
            sizes=self.sizes or (grid.SIZES if per_class else grid.TOTALS),
            unit=self.unit,
            warmups=self.warmups or WARMUPS,
            updates=self._updates,
            rates=rates if self.tune_lr else {},
            seeds=seeds if self.tune_lr else grid.SEEDS,
            epochs=self.epochs,
            batch=IMAGE_BATCH if self.batch_size is None else self.batch_size,
            model=self.model or "resnet18",
            source=self.source,
            precision=self.precision,
            probed=not self.no_probes,
            probe_every=self.probe_every,
            probe_until=self.probe_until,
        )

    def _bracketed(self) -> Study:
        """The grid over rates of small tasks."""
        task = {"name": self.tasks[0], **({} if self.model is None else {"model": self.model})}
        sizes = self.sizes or SIZES
        return Study(
            name="regimes",
            question=QUESTION,
            fixed={
                **fixed(task, self.epochs, self._batch),
                **({} if self.precision == "float32" else {"precision": self.precision}),
            },
            grid=(
                self._block("sgd", self.sgd_rates or SGD_RATES),
                self._block("adamw", self.adamw_rates or ADAMW_RATES),
            ),
            scientific=(
                "task.examples_per_class",
                "schedule.warmup",
                "optimizer.name",
                *(("task.name",) if len(self.tasks) > 1 else ()),
            ),
            nuisance=("peak_lr",),
            seeds=tuple(range(SEEDS if self.seeds is None else self.seeds)),
            condition="task.examples_per_class",
            parts={
                "sgd": {"optimizer.name": ["sgd"]},
                "adamw": {"optimizer.name": ["adamw"]},
                "small": {"task.examples_per_class": sorted(sizes)[:2], "schedule.warmup": ["0ep", "5ep"]},
            },
            notes=tuple(self._notes()),
            chapters=REPORTED,
            labels=called("task.examples_per_class", sizes),
            claims=claims(("peak_lr",)),
        )

    @property
    def _batch(self) -> int:
        return BATCH if self.batch_size is None else self.batch_size

    @property
    def _updates(self) -> tuple[int, ...]:
        return () if self.unit == "epochs" else tuple(u for u in self.updates if u or self.unit == "updates")

    def _sizes(self) -> Iterator[tuple[str, int, int]]:
        """(task, size, its updates in an epoch), where there are warmups in updates."""
        for task in self.tasks if self._updates else ():
            for size in self.sizes or SIZES:
                examples = int(build("task", Spec(task, {"examples_per_class": size})).examples)
                yield task, size, math.ceil(examples / self._batch)

    def _left(self) -> Iterator[tuple[str, int, list[int]]]:
        """(task, size, warmups in updates that the run does not outlast, or that equal one in epochs)."""
        for task, size, each in self._sizes():
            yield (
                task,
                size,
                [u for u in self._updates if u >= self.epochs * each or self._same(u, each) is not None],
            )

    def _same(self, updates: int, each: int) -> float | None:
        """The warmup in epochs, of `each` updates, that is as many updates."""
        found = (w for w in self.warmups or WARMUPS if epochs(w).resolve(self.epochs * each, each) == updates)
        return next(found, None) if self.unit == "both" else None

    def _notes(self) -> Iterator[str]:
        """What is left out of the warmups in updates."""
        sizes = [(f"{size} per class", each, each * self.epochs, task) for task, size, each in self._sizes()]
        for where, _, total, task in sizes:
            if some := [u for u in self._updates if u >= total]:
                yield unfit(task, where, some, total)
        same = (
            (f"{at} of {t}", u, self._same(u, each))
            for at, each, total, t in sizes
            for u in self._updates
            if u < total
        )
        yield from [one_run(where, u, w) for where, u, w in same if w is not None][:1]

    def _block(self, optimizer: str, rates: tuple[float, ...]) -> Block:
        several, warmups = len(self.tasks) > 1, self.warmups or WARMUPS
        rises = [
            *({"epochs": w} for w in warmups if self.unit != "updates"),
            *({"steps": u} for u in self._updates),
        ]
        return Block(
            fixed={"optimizer": dict(OPTIMIZERS[optimizer])},
            product={
                **({"task.name": self.tasks} if several else {}),
                "task.examples_per_class": self.sizes or SIZES,
                "schedule.warmup": rises,
                "peak_lr": rates,
            },
            exclude=[
                {
                    **({"task.name": [task]} if several else {}),
                    "task.examples_per_class": [size],
                    "schedule.warmup": [{"steps": u} for u in some],
                }
                for task, size, some in self._left()
                if some
            ],
        )
