"""A search of one task over schedules and optimizers, as a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from preheat.core.companions import with_companions
from preheat.core.errors import UserError
from preheat.core.grid import Block, leaves, merged
from preheat.core.registry import OPTIMIZERS, SCHEDULES, Registry
from preheat.core.run import Run
from preheat.core.space import Among, Range
from preheat.core.study import Study
from preheat.core.words import listed
from preheat.schedules.recipes.hyperboliclr import CODES
from preheat.search.arms import Arm
from preheat.search.pruners import checks, known_pruner

RATES = (1e-4, 5e-2)  # the peak rates that are tried
QUESTION = "Which schedule and rate are best for {task}, by a search of {trials} trials each?"
NOTE = (
    "Each arm was searched once. So a difference between arms holds the luck of its search, and this page "
    "gives no verdict on it."
)


@dataclass(frozen=True)
class Searched:
    """What is searched. task: with its options; schedules, free: registered names, an arm each; free:
    optimizers that set their rate themselves, at rate 1 and a constant schedule; optimizer: of the other
    arms; epochs: of a run; peak_lr: tried first, 1 and not searched where the optimizer sets its rate itself;
    search_seeds, again: seeds that choose, and others on which the best of each arm is trained again; metric:
    of the validation data, by which trials are judged; settings: further settings of every run."""

    task: Mapping[str, Any]
    schedules: Sequence[str] = CODES
    free: Sequence[str] = ()
    optimizer: Any = field(default_factory=lambda: {"name": OPTIMIZERS.default})
    epochs: int = 50
    peak_lr: float = 1e-2
    trials: int = 25
    batch: int = 5
    pruner: str = ""
    search_seeds: int = 1
    again: int = 5
    metric: str = "loss"
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known_pruner(self.pruner)
        for name, least in (("epochs", 1), ("trials", 1), ("batch", 1), ("search_seeds", 1), ("again", 1)):
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise UserError(
                    f"{name.replace('_', ' ')} of a search must be a whole number of at least {least}, got "
                    f"{value!r}"
                )
        if not RATES[0] <= self.peak_lr <= RATES[1]:
            raise UserError(
                f"the peak rate that a search tries first must lie in what it tries, {RATES[0]:g} to "
                f"{RATES[1]:g}, got {self.peak_lr:g}: write --peak-lr 0.01"
            )
        if self.pruner and not checks(self.pruner, self.epochs):
            raise UserError(f"a pruner needs runs of at least 2 epochs, got {self.epochs}: leave --prune out")
        if not self.schedules and not self.free:
            raise UserError(
                "a search needs at least one schedule or optimizer to try: write --schedulers EH,C"
            )

    def study(self, name: str) -> Study:
        """The declaration."""
        some = self.arms()
        searched = {path for arm in some for path in arm.space}
        for path, _ in leaves(self.settings):
            if path in searched:
                raise UserError(f"{path} is searched, got --set {path}=...: leave it out")
        fixed = merged(self._fixed(), self.settings)
        choosing = tuple(range(self.search_seeds))
        stage: dict[str, Any] = {"spaces": [a.json() for a in some], "trials": self.trials}
        stage |= {"batch": self.batch} | ({"pruner": self.pruner} if self.pruner else {})
        groups = ["schedule.name", *(["optimizer.name"] if self.free else [])]
        return Study(
            name=name,
            question=QUESTION.format(task=self.task["name"], trials=self.trials),
            grid=(Block(points=[with_companions(a.setting(a.first), fixed) for a in some], seeds=choosing),),
            fixed=fixed,
            scientific=(*groups, *(["length"] if self.pruner else [])),
            nuisance=tuple(dict.fromkeys(path for a in some for path in a.space)),
            seeds=tuple(range(self.search_seeds + self.again)),
            choosing=self.search_seeds,
            treatment="schedule.name",
            condition="length" if self.pruner else "",
            metric=self.metric,
            chapters=("search",),
            stages=(
                {"name": "search", **stage},
                {"name": "best_on_fresh_seeds", "per": groups, "most_groups": len(some)},
            ),
            notes=(NOTE,),
        )

    def arms(self) -> tuple[Arm, ...]:
        """One for each schedule, then one for each optimizer that sets its rate itself."""
        made = [self._scheduled(name) for name in self.schedules]
        for name in self.free:
            if not _sets_rate(name):
                known = [n for n in OPTIMIZERS.names() if _sets_rate(n)]
                raise UserError(
                    f"optimizers that set their rate themselves are {listed(known)}, got {name!r}: write "
                    f"--optimizer {name}, whose rate is searched with the schedule"
                )
            space = self._space(OPTIMIZERS, "optimizer", name)
            if not space:
                raise UserError(f"optimizer {name!r} has nothing to try: write --schedulers for its rate")
            made.append(Arm(name, {**_FREE, "optimizer": {"name": name}}, space))
        return tuple(made)

    def _scheduled(self, name: str) -> Arm:
        """The arm of a schedule."""
        settings, space = {"schedule": {"name": name}}, self._space(SCHEDULES, "schedule", name)
        if not _sets_rate(self.optimizer["name"]):
            return Arm(name, settings, {"peak_lr": Range(*RATES, log=True, start=self.peak_lr), **space})
        if not space:
            own = self.optimizer["name"]
            raise UserError(
                f"schedule {name!r} has nothing to try with {own}, which sets its rate itself: leave it out, "
                f"or write --lr-free {own}"
            )
        return Arm(name, {**settings, "peak_lr": 1.0}, space)

    def _space(self, known: Registry, kind: str, name: str) -> dict[str, Range | Among]:
        said = getattr(known[name], "space", None)
        per_epoch = Run.from_json(self._fixed() | {"schedule": "constant"}).steps_per_epoch
        return {
            f"{kind}.{option}": one for option, one in (said(self.epochs, per_epoch) if said else {}).items()
        }

    def _fixed(self) -> dict[str, Any]:
        fixed = {"task": dict(self.task), "optimizer": self.optimizer, "length": f"{self.epochs}ep"}
        fixed |= {"evaluate": "1ep"} if self.pruner else {}
        return merged(fixed, self.settings)


def _sets_rate(optimizer: str) -> bool:
    """Whether an optimizer finds its rate itself, so that the scheduled one is a factor of it."""
    return bool(getattr(OPTIMIZERS[optimizer], "sets_rate", False))


_FREE: dict[str, Any] = {"schedule": {"name": "constant"}, "peak_lr": 1.0}
