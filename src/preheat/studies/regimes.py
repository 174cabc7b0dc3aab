"""Seed 0's question: does warmup matter, and how long should it be, at different data sizes?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from preheat.core.grid import Block
from preheat.core.registry import STUDIES
from preheat.core.study import Study

SGD_RATES = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4)
ADAMW_RATES = (0.003, 0.01, 0.03, 0.07, 0.1, 0.14, 0.2)


@STUDIES.register("regimes")
@dataclass(frozen=True)
class Regimes:
    """How does warmup length matter at five data sizes, for SGD and AdamW?"""

    task: str = "digits"
    sizes: tuple[int, ...] = (100, 50, 20, 10, 5)
    warmups: tuple[float, ...] = (0, 1, 5, 10, 20)
    epochs: int = 100
    batch_size: int = 32
    sgd_rates: tuple[float, ...] = SGD_RATES
    adamw_rates: tuple[float, ...] = ADAMW_RATES
    seeds: int = 8
    choosing: int = 3

    def study(self) -> Study:
        """The declaration."""
        return Study(
            name="regimes",
            question="How long should the learning rate warm up at each data size, and does it matter?",
            fixed={
                "task": {"name": self.task},
                "schedule": {"name": "cosine"},
                "length": {"epochs": self.epochs},
                "batch_size": self.batch_size,
            },
            grid=(
                self._block({"name": "sgd", "momentum": 0.9, "weight_decay": 5e-4}, self.sgd_rates),
                self._block({"name": "adamw", "weight_decay": 5e-4}, self.adamw_rates),
            ),
            scientific=("task.examples_per_class", "schedule.warmup", "optimizer.name"),
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
                "task.examples_per_class": self.sizes,
                "schedule.warmup": [{"epochs": w} for w in self.warmups],
                "peak_lr": rates,
            },
        )
