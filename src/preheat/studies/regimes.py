"""Seed 0's question: does warmup matter, and how long should it be, at different data sizes?"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from preheat.core.errors import UserError
from preheat.core.grid import Block
from preheat.core.registry import STUDIES, TASKS
from preheat.core.study import Study

SGD_RATES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4)
ADAMW_RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.14, 0.2, 0.28, 0.4)


@STUDIES.register("regimes")
@dataclass(frozen=True)
class Regimes:
    """How does warmup length matter at five data sizes, for SGD and AdamW?

    Command: `preheat study regimes`; about 3 minutes on 2 CPU cores. Scientific: data size, warmup, optimizer (and task,
    where there are several). Nuisance: the peak rate, on a grid that brackets the edge of stability. Fixed: 100 epochs,
    batch 25 (it divides every size), cosine decay, weight decay 5e-4, SGD momentum 0.9.
    Expect: well inside the edge the five warmups differ by less than the seeds do; near it, warmup raises the highest rate at
    which AdamW trains, the more the fewer the examples (not shown at 50 or more per class, about twofold at 5), and SGD's little.
    tasks: names of tasks with the option `examples_per_class`; two or more test whether the pattern replicates (H3).
    Source: `Learning Rate Warmup Across Data Regimes` (Agrawal 2025), its hypotheses H1 to H4.
    """

    tasks: tuple[str, ...] = ("digits",)
    sizes: tuple[int, ...] = (100, 50, 20, 10, 5)
    warmups: tuple[float, ...] = (0, 1, 5, 10, 20)
    epochs: int = 100
    batch_size: int = 25
    sgd_rates: tuple[float, ...] = SGD_RATES
    adamw_rates: tuple[float, ...] = ADAMW_RATES
    seeds: int = 8
    choosing: int = 3

    def __post_init__(self) -> None:
        if not self.tasks:
            raise UserError("study 'regimes' needs at least one task: write --task digits")
        for name in self.tasks:
            if "examples_per_class" not in inspect.signature(TASKS[name]).parameters:
                raise UserError(
                    f"study 'regimes' varies examples_per_class, an option that task {name!r} does not have: write --task digits"
                )

    def study(self) -> Study:
        """The declaration."""
        return Study(
            name="regimes",
            question="How long should the learning rate warm up at each data size, and does it matter?",
            fixed={
                "task": {"name": self.tasks[0]},
                "schedule": {"name": "cosine"},
                "length": {"epochs": self.epochs},
                "batch_size": self.batch_size,
            },
            grid=(
                self._block({"name": "sgd", "momentum": 0.9, "weight_decay": 5e-4}, self.sgd_rates),
                self._block({"name": "adamw", "weight_decay": 5e-4}, self.adamw_rates),
            ),
            scientific=(
                "task.examples_per_class",
                "schedule.warmup",
                "optimizer.name",
                *(("task.name",) if len(self.tasks) > 1 else ()),
            ),
            nuisance=("peak_lr",),
            seeds=tuple(range(self.seeds)),
            choosing=self.choosing,
            condition="task.examples_per_class",
            parts={
                "sgd": {"optimizer.name": ["sgd"]},
                "adamw": {"optimizer.name": ["adamw"]},
                "small": {"task.examples_per_class": sorted(self.sizes)[:2], "schedule.warmup": ["0ep", "5ep"]},
            },
        )

    def _block(self, optimizer: dict[str, Any], rates: tuple[float, ...]) -> Block:
        return Block(
            fixed={"optimizer": optimizer},
            product={
                **({"task.name": self.tasks} if len(self.tasks) > 1 else {}),
                "task.examples_per_class": self.sizes,
                "schedule.warmup": [{"epochs": w} for w in self.warmups],
                "peak_lr": rates,
            },
        )
