"""A recipe: a schedule with the rate, the length and the other hyperparameters that belong to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from preheat.core.between import Between
from preheat.core.errors import UserError, unknown
from preheat.core.lengths import is_number
from preheat.schedules.curves import Array
from preheat.schedules.resolved import Resolved
from preheat.schedules.rule import Rule

EPOCHS: dict[str, Any] = {"at": "left", "every": "epoch"}  # stepped after an epoch, as most projects do


@dataclass(frozen=True)
class Recipe:
    """`schedule` with its `peak` rate, on `total` updates with `per_epoch` of them in an epoch (None: any).

    total: what the recipe is written for; a run may stop sooner. also: other hyperparameters that follow a
    schedule, {"momentum": Between(...)}. `ScheduleLR(optimizer, made.schedule, made.total)` follows it in
    torch, with `made.peak` as the optimizer's rate. Errors: UserError where the schedule does not fit.

    >>> from preheat.schedules import linear
    >>> made = Recipe(linear(at="left"), 0.1, 4)
    >>> made.rates(), made.rates(2)
    (array([0.1  , 0.075, 0.05 , 0.025]), array([0.1  , 0.075]))
    """

    schedule: Rule
    peak: float
    total: int
    per_epoch: float | None = None
    also: Mapping[str, Between] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not is_number(self.peak) or self.peak <= 0:
            raise UserError(f"the peak rate must be a finite number > 0, got {self.peak!r}: write 0.1")
        object.__setattr__(self, "peak", float(self.peak))
        self.resolve()

    def resolve(self) -> Resolved:
        """The schedule on its run."""
        return self.schedule.resolve(self.total, self.per_epoch, peak=self.peak)

    def rates(self, n: int | None = None) -> Array:
        """The rates of updates 0 to n - 1, or of all: [n]. Past the total the last one holds."""
        run = self.resolve()
        out: Array = self.peak * run(np.arange(run.total if n is None else n))
        return out

    def values(self, name: str, n: int | None = None) -> Array:
        """The other hyperparameter `name` at updates 0 to n - 1, or at all: [n]."""
        if name not in self.also:
            raise unknown("hyperparameter that moves", name, self.also)
        run, one = self.resolve(), self.also[name]
        factors = one.schedule.resolve(run.total, self.per_epoch)(np.arange(run.total if n is None else n))
        out: Array = one.value(np.asarray(factors))
        return out
