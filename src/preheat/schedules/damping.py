"""Damping factors: warmups that follow from Adam's beta2 and are multiplied with any schedule.

    radam(beta2=0.999) * cosine()

t is the position in the run, in steps. The papers count updates from 1: at="right" gives their values. Some
of these factors approach 1 and never reach it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from preheat.core.errors import UserError
from preheat.core.lengths import is_number
from preheat.schedules.curves import Array
from preheat.schedules.form import Form, Segment, Span
from preheat.schedules.horizon import Horizon
from preheat.schedules.named import called
from preheat.schedules.rule import Rule
from preheat.schedules.sampling import check_sampling


@dataclass(frozen=True, kw_only=True)
class Damping(Rule):
    """What the damping factors share: beta2 of Adam and the sampling options. An abstract base."""

    beta2: float = 0.999
    at: str = "mid"
    every: str = "step"

    peaks: ClassVar[bool] = False
    least: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "beta2", beta("beta2", self.beta2, least=self.least))
        check_sampling(self.at, self.every)

    @property
    def rate(self) -> float:
        """-ln beta2."""
        return -math.log1p(-(1 - self.beta2))

    def __str__(self) -> str:
        return called(self)


@dataclass(frozen=True)
class Saturating(Form):
    """(1 - exp(-rate t))^power, power 1 or 1/2. A closed form of its area loses digits in a short run."""

    rate: float
    power: float

    def value(self, t: Array, span: Span, *, after: bool) -> Array:
        out: Array = -np.expm1(-self.rate * t)
        return out if self.power == 1 else np.sqrt(out)


def saturating(rate: float, power: float, run: Horizon) -> tuple[Segment, ...]:
    """One rise for all of the run."""
    return (Segment(Span(0.0, float(run.total)), "damping", Saturating(rate, power)),)


def beta(name: str, value: float, *, least: float = 0.0) -> float:
    """A decay rate of Adam's averages, checked: above `least` and below 1."""
    if not is_number(value) or not least < value < 1:
        raise UserError(f"{name} must be above {least:g} and below 1, got {value!r}: write 0.999")
    return float(value)
