"""What happens to loss and sharpness while the learning rate warms up?

The question of Kalra & Barkeshli 2024, *Why Warmup the Learning Rate?*, arXiv 2406.09405, figures 1, 2, 6, 7.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from preheat.core.chosen import laid_on, numbers_from, options_by_name, seeds_from_one, warmups_within
from preheat.core.errors import UserError, unknown
from preheat.core.grid import Block, full_label
from preheat.core.lengths import is_number
from preheat.core.options import option
from preheat.core.registry import STUDIES, TASKS
from preheat.core.spec import build, spec
from preheat.core.study import Study
from preheat.studies.mechanisms.published import PUBLISHED
from preheat.studies.mechanisms.quadratics import on_quadratics

METHODS: Mapping[str, Mapping[str, Any]] = {
    "gd": {"name": "sgd", "momentum": 0.0},
    "momentum": {"name": "sgd", "momentum": 0.9},
    "adam": {"name": "adam"},
    "gi_adam": {"name": "gi_adam"},
}
IN_SHARPNESS = ("gd", "momentum")  # whose peak rates are multiples of 2 / lambda_0
PEAKS: Mapping[str, Mapping[str, float]] = {
    "gd": {"standard": 16.0, "mu": 0.5},
    "momentum": {"standard": 4.0, "mu": 0.5},
    "adam": {"standard": 1e-3, "mu": 3e-3},
    "gi_adam": {"standard": 1e-3, "mu": 3e-3},
}
WHERE = "task.model.parameterisation"
RULE = "persistent_catapult"
RAW = "8/decade"  # of adaptive optimizers' raw sharpness, which decides nothing there
BATCHES = (
    "A batch holds {batch:,} of {examples:,} examples: the loss is that of each update's batch, the "
    "sharpness that of the first one at every measurement."
)


@STUDIES.register("mechanisms")
@dataclass(frozen=True)
class Mechanisms:
    """What happens to loss and sharpness while the learning rate warms up?

    Command: `preheat study mechanisms`; minutes: see docs/studies/mechanisms.md. Scientific: optimizer,
    parameterisation, warmup (in updates, linear, then constant), and for gradient descent persistent catapult
    warmup. Fixed: FCN-4-128 on 200 digits, all of them in every batch, squared error, 2048 updates, peak
    rates as the paper has them: 32 / lambda_0 (standard) and 1 / lambda_0 (mu) for gradient descent, lambda_0
    measured on seeds of their own; 0.001 and 0.003 for Adam and GI-Adam. Expect: in standard parameterisation
    sharpness falls before it first meets 2 / rate, and a longer warmup meets it later; in mu it rises and
    then stays at 2 / rate; GI-Adam starts at 1/32 of Adam's preconditioned sharpness.

    Command with the paper's data and width: `preheat study mechanisms --task cifar10 --set model.width=512
    --set examples=5000`, for which CIFAR-10 is fetched; a GPU is for that.

    task, model: a classifier with a model that has the option `parameterisation`. examples: in all, drawn
    anew by each seed; batch_size 0: all of them. With fewer, the loss is of each update's batch, and the
    sharpness of the first one at every measurement. task_options: of the task, laid on these. optimizers: of
    gd, momentum, adam, gi_adam, or {name: adam, beta2: 0.99}; peaks: {optimizer: {parameterisation: value}}
    where others than these are wanted, in 2 / lambda_0 for gd and momentum. seeds: how many, or a list, from
    1 on: seed 0 measures lambda_0. probe_every: between measurements; no_persistent leaves persistent
    catapult warmup out. quadratics: instead of networks a noisy quadratic loss, where the critical rate is
    compared with 2 / lambda, lambda the curvature along the step; of the other options optimizers and seeds.
    """

    task: str = option("--task", default="digits", help="a task of images: digits, cifar10, cifar100, ...")
    model: Any = field(default_factory=lambda: {"name": "fcn", "width": 128})
    examples: int = 200
    batch_size: int = 0
    task_options: Mapping[str, Any] = field(default_factory=dict)
    optimizers: tuple[Any, ...] = tuple(METHODS)
    parameterisations: tuple[str, ...] = ("standard", "mu")
    warmups: tuple[int, ...] = (1, 64, 256, 1024)
    steps: int = 2048
    seeds: int | Sequence[int] = 3
    peaks: Mapping[str, Any] = field(default_factory=dict)
    probe_every: Any = "30/decade"
    no_persistent: bool = option(
        "--no-persistent", default=False, help="leave persistent catapult warmup out"
    )
    quadratics: bool = option(
        "--quadratics", default=False, help="instead: critical rates on a quadratic loss"
    )

    def __post_init__(self) -> None:
        for name in options_by_name("mechanisms", "optimizer", self.optimizers):
            if name not in METHODS:
                raise unknown("optimizer of study 'mechanisms'", name, METHODS)
        seeds_from_one("mechanisms", self.seeds)
        laid_on("mechanisms", {}, self.task_options)
        _check_peaks(self.peaks, self.parameterisations)
        numbers_from("mechanisms", examples=(self.examples, 1), steps=(self.steps, 2))
        warmups_within("mechanisms", self.warmups, self.steps)

    def study(self) -> Study:
        """The declaration: sharpness is measured on one seed, the others train."""
        trained = seeds_from_one("mechanisms", self.seeds)
        if self.quadratics:
            self._check_quadratics()
            return on_quadratics(self._methods, trained)
        scaled = [m for m in self._methods if m in IN_SHARPNESS]
        plain = [m for m in self._methods if m not in IN_SHARPNESS]
        blocks = [b for m in scaled for b in self._blocks(m)]
        if "gd" in scaled and not self.no_persistent:
            blocks += self._persistent()
        grid = [Block(**b, seeds=trained) for m in plain for b in self._blocks(m)]
        if scaled:
            grid.insert(0, Block(**self._measuring(), seeds=(0,)))
        stage = {"name": "in_sharpness", "blocks": blocks, "per": [WHERE]}
        return Study(
            name="mechanisms",
            question="What happens to loss and sharpness while the learning rate warms up?",
            fixed=self._fixed(),
            grid=tuple(grid),
            scientific=(WHERE, "schedule.warmup", "optimizer", "rate_rule"),
            seeds=(0, *trained) if scaled else trained,
            choosing=1 if scaled else 0,
            condition=WHERE,
            treatment="schedule.warmup",
            stages=(stage,) if scaled else (),
            chapters=("mechanisms", {"name": "published", "claims": list(PUBLISHED)}, "probes", "untrained"),
            claims={"primary": ["mechanisms"]},
            labels={"optimizer": {full_label(self._methods[m]): m for m in scaled}},
            notes=self._notes,
        )

    def _check_quadratics(self) -> None:
        plain = Mechanisms()
        kept = ("quadratics", "optimizers", "seeds")
        names = [f.name for f in fields(self) if f.name not in kept]
        if given := [n for n in names if getattr(self, n) != getattr(plain, n)]:
            raise UserError(
                f"study 'mechanisms' with quadratics takes optimizers and seeds, got {', '.join(given)}: "
                "leave out the one or the other"
            )

    def _task(self) -> dict[str, Any]:
        made = TASKS[self.task]
        known = {f.name for f in fields(made)}
        if lacking := [name for name in ("model", "objective") if name not in known]:
            raise UserError(
                f"task of study 'mechanisms' must be a classifier with the options model and objective, got "
                f"{self.task!r} without {' and '.join(lacking)}: write digits or cifar10"
            )
        task: dict[str, Any] = {"name": self.task, "model": dict(self._model), "objective": "mse"}
        task |= {"standardise": "image"} if "standardise" in known else {}
        if "total_examples" in known:
            task |= {"total_examples": self.examples, "crop": 0, "flip": False}
        else:
            task |= {"examples_per_class": self._per_class, "watch": True}
        return laid_on("mechanisms", task, self.task_options)

    @property
    def _per_class(self) -> int:
        classes = int(build("task", spec(self.task)).classes)
        if self.examples % classes:
            raise UserError(
                f"examples of study 'mechanisms' must be a multiple of the {classes} classes of task "
                f"{self.task!r}, got {self.examples}: write {max(self.examples // classes, 1) * classes}"
            )
        return self.examples // classes

    @property
    def _notes(self) -> tuple[str, ...]:
        small = self._batch < self._all
        return (BATCHES.format(batch=self._batch, examples=self._all),) if small else ()

    def _fixed(self) -> dict[str, Any]:
        return {
            "task": self._task(),
            "schedule": {"name": "constant", "warmup_at": "right"},
            "batch_size": self._batch,
            "length": self.steps,
            "evaluate": self.steps,
        }

    @property
    def _all(self) -> int:
        """The examples that the task trains on; what is wrong with it, it says here."""
        return int(build("task", spec(**self._task())).examples)

    @property
    def _batch(self) -> int:
        examples = self._all  # its own errors first
        return self.batch_size or examples

    @property
    def _measured(self) -> int:
        """Examples of which sharpness is measured: a batch."""
        return min(self.examples, self._batch)

    @property
    def _methods(self) -> dict[str, Mapping[str, Any]]:
        """{what the study calls it: the optimizer with its options}."""
        asked = options_by_name("mechanisms", "optimizer", self.optimizers)
        return {name: {**METHODS[name], **options} for name, options in asked.items()}

    @property
    def _model(self) -> Mapping[str, Any]:
        return {"name": "fcn", **self.model} if isinstance(self.model, Mapping) else {"name": self.model}

    def _product(self, where: str, warmups: Sequence[int]) -> dict[str, Any]:
        return {WHERE: [where], "schedule.warmup": [{"steps": w} for w in warmups]}

    def _blocks(self, method: str) -> list[dict[str, Any]]:
        """Every warmup at the method's peak rate, for each parameterisation."""
        given = {**PEAKS[method], **self.peaks.get(method, {})}
        out = []
        for where in self.parameterisations:
            if where not in given:
                raise UserError(
                    f"peaks of study 'mechanisms' lack {method!r} with {where!r}: write "
                    f"--set peaks.{method}.{where}=..."
                )
            fixed = {"optimizer": dict(self._methods[method]), "peak_lr": given[where]}
            out.append(
                {"product": self._product(where, self.warmups), "fixed": {**fixed, **self._probes(method)}}
            )
        return out

    def _persistent(self) -> list[dict[str, Any]]:
        out = []
        for where in self.parameterisations:
            peak = {**PEAKS["gd"], **self.peaks.get("gd", {})}[where]
            fixed = {"optimizer": dict(self._methods["gd"]), "peak_lr": peak, "rate_rule": RULE}
            product = self._product(where, [1])
            out.append({"product": product, "fixed": {**fixed, **self._probes("gd")}})
        return out

    def _measuring(self) -> dict[str, Any]:
        """Ten updates too small to move, with the sharpness before each."""
        product = {WHERE: list(self.parameterisations), "schedule.warmup": [{"steps": 1}]}
        fixed = {"optimizer": dict(METHODS["gd"]), "peak_lr": 1e-12, "length": 10, "evaluate": 10}
        probe = {"name": "sharpness", "every": 1, "products": 40, "examples": self._measured}
        return {"product": product, "fixed": {**fixed, "probes": [probe]}}

    def _probes(self, method: str) -> dict[str, Any]:
        adaptive = method not in IN_SHARPNESS
        probe = {"every": self.probe_every, "products": 8, "examples": self._measured, "batch": "first"}
        if not adaptive:
            return {"probes": [{"name": "sharpness", **probe}]}
        return {
            "probes": [
                {"name": "preconditioned_sharpness", **probe},
                {"name": "sharpness", **probe, "every": RAW},
            ]
        }


def _check_peaks(peaks: Any, parameterisations: Sequence[str]) -> None:
    """Errors: UserError where these are no peak rates by optimizer and parameterisation."""
    if not isinstance(peaks, Mapping) or not all(isinstance(of, Mapping) for of in peaks.values()):
        raise UserError(
            "peaks of study 'mechanisms' must be {optimizer: {parameterisation: value}}, got "
            f"{peaks!r}: write peaks.gd.standard=16"
        )
    for method, given in peaks.items():
        if method not in METHODS:
            raise unknown("optimizer in peaks of study 'mechanisms'", method, METHODS)
        for where, value in given.items():
            if where not in (known := (*PEAKS[method], *parameterisations)):
                raise unknown(f"parameterisation in peaks.{method} of study 'mechanisms'", where, known)
            if not (is_number(value) and 0 < value < math.inf):
                raise UserError(
                    f"peaks.{method}.{where} of study 'mechanisms' must be a number above 0, got {value!r}: "
                    f"write peaks.{method}.{where}=1"
                )
