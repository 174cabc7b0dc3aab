"""A recipe: a schedule with the rate, the length and the other hyperparameters that belong to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from preheat.core.between import Between
from preheat.core.errors import UserError
from preheat.schedules.curves import Array
from preheat.schedules.resolved import Resolved
from preheat.schedules.rule import Rule


class Recipe(NamedTuple):
    """`schedule` with its `peak` rate, on `total` steps with `per_epoch` steps in an epoch (None: any).

    also: other hyperparameters that follow a schedule, {"momentum": Between(...)}.

    >>> from preheat.schedules import linear
    >>> Recipe(linear(at="left"), 0.1, 4).rates()
    array([0.1  , 0.075, 0.05 , 0.025])
    """

    schedule: Rule
    peak: float
    total: int | None = None
    per_epoch: float | None = None
    also: Mapping[str, Between] = {}

    def resolve(self, total: int | None = None) -> Resolved:
        """The schedule on its run, or on one of `total` steps."""
        steps = self.total if total is None else total
        if steps is None:
            raise UserError("this recipe fits runs of any length, got no total: write .resolve(1000)")
        return self.schedule.resolve(steps, self.per_epoch, peak=self.peak)

    def rates(self, total: int | None = None) -> Array:
        """The learning rate of every update: [T]."""
        out: Array = self.peak * self.resolve(total).table()
        return out

    def values(self, name: str, total: int | None = None) -> Array:
        """The other hyperparameter `name` at every update: [T]."""
        one = self.also[name]
        factor = one.schedule.resolve(len(self.rates(total)), self.per_epoch, peak=self.peak)
        out: Array = one.at_zero + (one.at_peak - one.at_zero) * np.asarray(factor(np.arange(len(self.rates(total)))))
        return out
