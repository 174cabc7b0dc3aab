"""Up to which peak rate does training work, and how does warmup move that boundary?

The question of Kalra & Barkeshli 2024, *Why Warmup the Learning Rate?*, arXiv 2406.09405, figures 3 to 5.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from preheat.core.chosen import laid_on, numbers_from, options_by_name, seeds_from_one, warmups_within
from preheat.core.errors import UserError, unknown
from preheat.core.grid import Block
from preheat.core.lengths import is_number
from preheat.core.options import option
from preheat.core.registry import OPTIMIZERS, STUDIES, TASKS
from preheat.core.spec import build, spec
from preheat.core.study import Study
from preheat.studies.phase_diagram.published import PUBLISHED

UNITS = ("rate", "sharpness")
LOWEST, COUNT = 512e-5, 8  # 2^9 to 2^16 times 1e-5, as the paper's tables
MODEL: Mapping[str, Any] = {"name": "fcn", "width": 128}
MULTIPLES = tuple(2.0**x for x in range(-1, 7))


@STUDIES.register("phase-diagram")
@dataclass(frozen=True)
class PhaseDiagram:
    """Up to which peak rate does training work, and how does warmup move that boundary?

    Command: `preheat study phase-diagram`; minutes: see docs/studies/phase-diagram.md. Scientific: optimizer
    and warmup (in updates, linear). Nuisance: the peak rate, in powers of two. Fixed: FCN-4-128 on digits,
    batch 128, cross-entropy, 2048 updates, a cosine to a tenth of the peak after the warmup. A run fails
    where its training accuracy over the last epoch is under 1.5 times chance, or its loss is not finite;
    where a task records no such accuracy, by its training loss, halfway from chance to the best setting's.
    Expect of the paper: a longer warmup moves the boundary of failure to higher rates, and GI-Adam without
    warmup reaches that of Adam with a long one; here see the page.

    Command for gradient descent: `preheat study phase-diagram --optimizer sgd --set unit=sharpness`; rates
    are then powers of two of 2 / lambda_0, lambda_0 measured first, on a seed of its own.

    Command with the paper's network and data: `preheat study phase-diagram --task cifar10 --set
    model=wrn16_4 --set steps=100000 --set warmups=[1,1024]`, for one A100 hour a run as they state;
    `--dry-run` prints the cost here.

    task, model, parameterisation ("" for the model's own): any registered task; one without the option model
    keeps its own. metric: one that the task has, such as loss. task_options are laid on the task.
    optimizers: registered names, or {name: adam, beta2: 0.99}. seeds: how many, or a list, from 1 on: seed 0
    measures lambda_0. peak_rates: as they are, or multiples of 2 / lambda_0 with unit=sharpness; left out: 8
    powers of two. schedule: what follows the warmup, constant or cosine (to a tenth).
    """

    task: str = option("--task", default="digits", help="a registered task")
    model: Any = field(default_factory=lambda: dict(MODEL))
    parameterisation: str = ""
    task_options: Mapping[str, Any] = field(default_factory=dict)
    optimizers: tuple[Any, ...] = option(
        "--optimizer", default=("adam", "gi_adam"), help="a registered optimizer"
    )
    warmups: tuple[int, ...] = (1, 4, 16, 64, 256, 1024)
    peak_rates: tuple[float, ...] = ()
    unit: str = "rate"
    schedule: str = "cosine"
    steps: int = 2048
    batch_size: int = 128
    objective: str = "cross_entropy"
    metric: str = "accuracy"
    seeds: int | Sequence[int] = 3

    def __post_init__(self) -> None:
        for name in self._asked:
            if name not in OPTIMIZERS.names():
                raise unknown("optimizer", name, OPTIMIZERS.names())
        seeds_from_one("phase-diagram", self.seeds)
        laid_on("phase-diagram", {}, self.task_options)
        for what, value, known in (
            ("unit", self.unit, UNITS),
            ("schedule", self.schedule, ("constant", "cosine")),
        ):
            if value not in known:
                raise unknown(f"{what} of study 'phase-diagram'", value, known)
        numbers_from("phase-diagram", steps=(self.steps, 2), batch_size=(self.batch_size, 1))
        warmups_within("phase-diagram", self.warmups, self.steps)
        _check_rates(self.peak_rates)

    def study(self) -> Study:
        """The declaration."""
        scaled = self.unit == "sharpness"
        trained = seeds_from_one("phase-diagram", self.seeds)
        rates = self.peak_rates or (MULTIPLES if scaled else tuple(LOWEST * 2**k for k in range(COUNT)))
        blocks = [self._block({"name": name, **own}, rates) for name, own in self._asked.items()]
        stage = {"name": "in_sharpness", "blocks": blocks}
        return Study(
            name="phase-diagram",
            question="Up to which peak rate does training work, and how does warmup move that boundary?",
            fixed=self._fixed(),
            grid=(Block(**self._measuring(), seeds=(0,)),) if scaled else tuple(Block(**b) for b in blocks),
            scientific=("optimizer.name", "schedule.warmup"),
            nuisance=("peak_lr",),
            seeds=(0, *trained) if scaled else trained,
            choosing=1 if scaled else 0,
            treatment="schedule.warmup",
            metric=self.metric,
            stages=(stage,) if scaled else (),
            parts={}
            if scaled
            else {"small": {"schedule.warmup": [{"steps": w} for w in _ends(self.warmups)]}},
            chapters=(
                *("diagram", "main", "metric", "inside_edge", "curves"),
                *({"name": "published", "claims": list(PUBLISHED)}, "untrained"),
            ),
            claims={"primary": ["boundary"]},
            notes=self._notes if scaled else (),
        )

    @property
    def _asked(self) -> dict[str, Mapping[str, Any]]:
        return options_by_name("phase-diagram", "optimizer", self.optimizers)

    @property
    def _notes(self) -> tuple[str, ...]:
        """What the unit is not, for other optimizers than gradient descent."""
        others = ", ".join(name for name in self._asked if name != "sgd")
        note = f"2 / lambda_0 is a threshold of gradient descent; for {others} it is a unit only."
        return (note,) if others else ()

    def _block(self, optimizer: Mapping[str, Any], rates: Sequence[float]) -> dict[str, Any]:
        """Every warmup at every rate."""
        product = {
            "schedule.warmup": [{"steps": w} for w in self.warmups],
            "peak_lr": _rounded(rates),
        }
        probe = {"name": "critical_sharpness", "every": self.steps}
        return {"product": product, "fixed": {"optimizer": dict(optimizer), "probes": [probe]}}

    def _fixed(self) -> dict[str, Any]:
        known = {f.name for f in fields(TASKS[self.task])}
        given = self.model if isinstance(self.model, Mapping) else {"name": self.model}
        model = {"name": "fcn", **given}
        model |= {"parameterisation": self.parameterisation} if self.parameterisation else {}
        task: dict[str, Any] = {"name": self.task}
        # what was asked for is never dropped: a task without the option says so when built
        task |= {"model": model} if "model" in known or model != MODEL else {}
        asked = "objective" in known or self.objective != "cross_entropy"
        task |= {"objective": self.objective} if asked else {}
        for name, value in (("standardise", "image"), ("watch", True)):
            task |= {name: value} if name in known else {}
        task = laid_on("phase-diagram", task, self.task_options)
        build("task", spec(**task))  # its own errors first
        after: dict[str, Any] = {"name": self.schedule, "warmup_at": "right"}
        return {
            "task": task,
            "schedule": after | ({"final": 0.1} if self.schedule == "cosine" else {}),
            "batch_size": self.batch_size,
            "length": self.steps,
            "evaluate": self.steps,
        }

    def _measuring(self) -> dict[str, Any]:
        """Ten updates too small to move, with the sharpness before each: of ten batches."""
        probe = {"name": "sharpness", "every": 1, "products": 40, "examples": self.batch_size}
        product = {
            "optimizer.name": [*self._asked][:1],
            "schedule.warmup": [{"steps": 1}],
            "peak_lr": [1e-12],
        }
        return {"product": product, "fixed": {"length": 10, "evaluate": 10, "probes": [probe]}}


def _rounded(rates: Sequence[float]) -> list[float]:
    return [float(f"{r:.6g}") for r in rates]


def _check_rates(rates: Sequence[float]) -> None:
    """Errors: UserError where these are no rates of a grid."""
    bad = [r for r in rates if not (is_number(r) and 0 < r < math.inf)]
    if bad or len(rates) == 1:
        raise UserError(
            "peak_rates of study 'phase-diagram' must be two or more above 0, on both sides of the "
            f"boundary, got {list(rates)}: write --set peak_rates=[0.01,0.02,0.04]"
        )
    if len({*_rounded(rates)}) < len(rates):
        raise UserError(
            f"peak_rates of study 'phase-diagram' must be different, to six digits, got {list(rates)}: "
            "write each rate once"
        )


def _ends(warmups: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(dict.fromkeys((min(warmups), max(warmups))))
