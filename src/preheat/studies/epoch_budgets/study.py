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
from preheat.core.registry import STUDIES
from preheat.core.space import candidates
from preheat.core.study import Study
from preheat.schedules.recipes.hyperboliclr import CODES
from preheat.search.arms import Arm
from preheat.search.declare import Searched

QUESTION = "Does a schedule that was tuned at {first} epochs keep its promise at {rest}?"
# oscillators in steps of 0.01, 10 values from 10, epochs of 4 updates of 16
SMALL: Mapping[str, Any] = {
    "hist": 10,
    "pred": 10,
    "spacing": 10,
    "total_examples": 64,
    "model": {"name": "lstm_seq2seq", "hidden": 16, "depth": 1},
}
COUNTS = ("schedule.period", "schedule.rise")  # what S and CY count, in epochs and in updates


@STUDIES.register("epoch-budgets")
@dataclass(frozen=True)
class EpochBudgets:
    """Does a schedule that was tuned at a small budget keep its promise at a larger one?

    Command: `preheat study epoch-budgets`; minutes: see docs/studies/epoch-budgets.md. Scientific: the 13
    codes of the HyperbolicLR experiments with AdamW, two optimizers that set their rate themselves, and the
    budget: 50, 100, 150, 200 epochs. Nuisance: peak rate and the schedule's own options, the same 8
    candidates for every seed, of which each seed chooses its own at the smallest budget. Fixed: oscillators,
    a small LSTM, epochs of 4 updates. Expect: SLCD of EH below that of others and of C above (the paper's
    claims).

    task_options: of the task; batch_size, seeds, candidates, budgets; schedulers, lr_free: the arms.
    relative: what S and CY count grows with the budget, else it stays, as published.
    """

    task: str = option("--task", default="osc", help="osc, integral, or any other")
    task_options: Mapping[str, Any] = field(default_factory=lambda: dict(SMALL))
    optimizer: Any = "adamw"
    schedulers: tuple[str, ...] = CODES
    lr_free: tuple[str, ...] = ("prodigy", "dadapt_adam")
    budgets: tuple[int, ...] = (50, 100, 150, 200)
    candidates: int = 8
    batch_size: int = 16
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
            margin=0.1,
            chapters=("budgets", "metric", "untrained"),
            claims={"primary": ["likeness"]},
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
