"""Does a schedule that was tuned at a small budget keep its promise at a larger one?

The question of Kim 2024, *HyperbolicLR: Epoch insensitive learning rate scheduler*, arXiv 2407.15200.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from preheat.core.companions import with_companions
from preheat.core.errors import UserError
from preheat.core.grid import Block, Setting
from preheat.core.options import option
from preheat.core.space import candidates
from preheat.core.study import Study
from preheat.schedules.recipes.hyperboliclr import CODES
from preheat.search.arms import Arm
from preheat.search.declare import Searched

QUESTION = "Does a schedule that was tuned at {first} epochs keep its promise at {rest}?"
COUNTS = ("schedule.period", "schedule.rise")  # what S and CY count, in epochs and in updates


@dataclass(frozen=True)
class EpochBudgets:
    """Does a schedule that was tuned at a small budget keep its promise at a larger one?"""

    task: str = option("--task", default="quadratic", help="osc, integral, cifar10, or any other")
    task_options: Mapping[str, Any] = field(default_factory=dict)
    optimizer: Any = "adamw"
    schedulers: tuple[str, ...] = CODES
    lr_free: tuple[str, ...] = ("prodigy", "dadapt_adam")
    budgets: tuple[int, ...] = (50, 100, 150, 200)
    candidates: int = 8
    batch_size: int = 32
    seeds: int = 5
    relative: bool = option("--relative", default=False, help="S and CY count in shares of the run")

    def __post_init__(self) -> None:
        budgets = self.budgets
        if len(budgets) < 2 or len(set(budgets)) < len(budgets) or min(budgets) < 1:
            raise UserError(
                f"budgets of study 'epoch-budgets' must be different numbers of epochs, at least two, got "
                f"{list(budgets)}: write budgets=[50,100,150,200]"
            )

    def study(self) -> Study:
        """The declaration: each seed chooses at the smallest budget, and trains its choice at the others."""
        first, *rest = sorted(self.budgets)
        fixed = self._fixed(first)
        blocks = [self._block(arm, fixed) for arm in self._arms(first)]
        change = {"name": "own_best", "changes": [{"length": f"{n}ep"} for n in rest]}
        groups = ("schedule.name", *(("optimizer.name",) if self.lr_free else ()))
        return Study(
            name="epoch-budgets",
            question=QUESTION.format(first=first, rest=", ".join(map(str, rest))),
            grid=tuple(blocks),
            fixed=fixed,
            scientific=(*groups, "length"),
            nuisance=tuple(dict.fromkeys(path for arm in self._arms(first) for path in arm.space)),
            seeds=tuple(range(self.seeds)),
            treatment="schedule.name",
            condition="length",
            metric="log10_loss",
            stages=(change | ({"scaled": list(COUNTS)} if self.relative else {}),),
        )

    def _arms(self, epochs: int) -> tuple[Arm, ...]:
        return Searched(
            {"name": self.task, **self.task_options},
            schedules=self.schedulers,
            free=self.lr_free,
            optimizer={"name": self.optimizer},
            epochs=epochs,
        ).arms()

    def _block(self, arm: Arm, fixed: Setting) -> Block:
        points: Sequence[Setting] = [arm.setting(one) for one in candidates(arm.space, self.candidates)]
        return Block(points=[with_companions(one, fixed) for one in points])

    def _fixed(self, epochs: int) -> Setting:
        return {
            "task": {"name": self.task, **self.task_options},
            "optimizer": {"name": self.optimizer},
            "length": f"{epochs}ep",
            "batch_size": self.batch_size,
            "evaluate": "1ep",
        }
