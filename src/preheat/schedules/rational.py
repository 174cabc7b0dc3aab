"""Rational decays: inverse time and REX."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from preheat.core.errors import UserError
from preheat.core.lengths import Length
from preheat.core.levels import Level
from preheat.core.registry import SCHEDULES
from preheat.schedules.curves import Array
from preheat.schedules.named import Named, floor_ratio
from preheat.schedules.pieces import Piece
from preheat.schedules.quadrature import integral
from preheat.schedules.resolved import Horizon, Segment, Span


@dataclass(frozen=True)
class InverseTime:
    """(c / (c + x))^power at x steps. A form (see `preheat.schedules.resolved`)."""

    timescale: float
    power: float

    def value(self, t: Array, span: Span, *, after: bool) -> Array:
        """The factors at positions `t`."""
        out: Array = self.timescale / (self.timescale + (t - span.begin))
        return out if self.power == 1 else np.power(out, self.power)

    def area(self, span: Span) -> float:
        """c ((1 + n/c)^(1 - power) - 1) / (1 - power) on n steps, c ln(1 + n/c) for power 1."""
        grown, a = math.log1p((span.end - span.begin) / self.timescale), 1 - self.power
        return self.timescale * (math.expm1(a * grown) / a if a else grown)

    def jumps(self, span: Span) -> list[float]:
        """None."""
        return []


@dataclass(frozen=True)
class Rex:
    """g + final (1 - g) with g = r / (1 - beta + beta r), r the part that remains. A form."""

    beta: float
    final: float

    def value(self, t: Array, span: Span, *, after: bool) -> Array:
        """The factors at positions `t`."""
        left = (span.end - t) / (span.end - span.begin)
        g: Array = left / ((1 - self.beta) + self.beta * left)
        g = np.minimum(g, 1.0)
        return g + self.final * (1 - g) if self.final else g

    def area(self, span: Span) -> float:
        """By quadrature: the closed form loses its digits at a small beta."""
        return integral(lambda t: self.value(t, span, after=True), *span)

    def jumps(self, span: Span) -> list[float]:
        """None."""
        return []


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
        """The stretch after the warmup; its form is in `segments`."""
        if not self.timescale:
            raise UserError(f"timescale must be above 0, got {self.timescale}: write timescale=1000")
        if self.power <= 0:
            raise UserError(f"power must be above 0, got {self.power:g}: write 1 for 1 / (1 + x / timescale)")
        return (Piece(None, 1.0, 1.0),)

    def segments(self, run: Horizon) -> tuple[Segment, ...]:
        """The warmup, then the decay."""
        form = InverseTime(run.steps(self.timescale), self.power)
        return tuple(
            s if s.kind == "warmup" else s._replace(kind="decay", form=form) for s in super().segments(run)
        )


@SCHEDULES.register("rex")
@dataclass(frozen=True, kw_only=True)
class rex(Named):
    """Reflected exponential: high for long, then a fall that steepens to the end of the run.

    s = final + (1 - final) g, g = (1 - u) / (1 - beta u), u in [0, 1] the progress after the warmup. beta 0
    is the straight line, towards 1 the rate stays at the peak until the end; below 0 the fall is steep first.
    beta is below 1.

    >>> rex(at="left").resolve(4).table().round(6)
    array([1.      , 0.857143, 0.666667, 0.4     ])

    Chen, Wolfe and Kyrillidis 2021, arXiv 2107.04197.
    """

    beta: float = 0.5
    final: Level = 0.0

    def body(self) -> tuple[Piece, ...]:
        """The place of the decay; its form is in `segments`."""
        if self.beta >= 1:
            raise UserError(f"beta must be below 1, got {self.beta:g}: write 0.5, or 0 for a straight line")
        return (Piece(None, 1.0, floor_ratio(self.final)),)

    def segments(self, run: Horizon) -> tuple[Segment, ...]:
        """The warmup, then the decay."""
        form = Rex(self.beta, run.factor(self.final))
        return tuple(
            s if s.kind == "warmup" else s._replace(kind="decay", form=form) for s in super().segments(run)
        )
