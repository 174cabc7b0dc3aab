"""One over time: no end is built in, so the run can be stopped or prolonged anywhere."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from preheat.core.lengths import Length
from preheat.core.registry import SCHEDULES
from preheat.schedules.curves import Array
from preheat.schedules.form import Form, Span
from preheat.schedules.horizon import Horizon
from preheat.schedules.named import Named, above_0
from preheat.schedules.pieces import Piece


@dataclass(frozen=True)
class InverseTime(Form):
    """(c / (c + x))^power at x steps."""

    timescale: float
    power: float

    def value(self, t: Array, span: Span, *, after: bool) -> Array:
        out: Array = self.timescale / (self.timescale + (t - span.begin))
        return out if self.power == 1 else np.power(out, self.power)

    def area(self, span: Span) -> float:
        """c ((1 + n/c)^(1 - power) - 1) / (1 - power) on n steps, c ln(1 + n/c) for power 1."""
        grown, a = math.log1p(span.length / self.timescale), 1 - self.power
        return self.timescale * (math.expm1(a * grown) / a if a else grown)


@SCHEDULES.register("inverse_time")
@dataclass(frozen=True, kw_only=True)
class inverse_time(Named):
    """One over time: the decay of stochastic approximation, without an end.

    s = (1 + x / timescale)^-power, x the steps since the warmup: half of the peak after one timescale at
    power 1.

    >>> inverse_time(timescale=2, at="left").resolve(5).table().round(6)
    array([1.      , 0.666667, 0.5     , 0.4     , 0.333333])

    Robbins and Monro 1951; Keras calls it InverseTimeDecay(decay_steps=timescale, decay_rate=1).
    """

    timescale: Length
    power: float = 1.0

    def body(self) -> tuple[Piece, ...]:
        above_0("timescale", self.timescale, "timescale=1000")
        above_0("power", self.power, "1 for 1 / (1 + x / timescale)")
        return (Piece(None, 1.0, 1.0),)

    def decay(self, span: Span, run: Horizon) -> Form:
        return InverseTime(run.steps(self.timescale), self.power)
