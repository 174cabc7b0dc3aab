"""Hyperbolic tangent: held, then a smooth step down, then held low."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from preheat.core.errors import UserError
from preheat.core.levels import Level
from preheat.core.registry import SCHEDULES
from preheat.schedules.curves import Array
from preheat.schedules.form import Form, Span
from preheat.schedules.horizon import Horizon
from preheat.schedules.named import Named
from preheat.schedules.pieces import Piece
from preheat.schedules.quadrature import integral


@dataclass(frozen=True)
class Tangent(Form):
    """g + final (1 - g), g = (tanh e - tanh y) / (tanh e - tanh b).

    With z = e - y what remains, tanh e - tanh y = sinh z / (cosh e cosh y), written in exponentials that
    can't overflow.
    """

    begin: float
    end: float
    final: float

    def value(self, t: Array, span: Span, *, after: bool) -> Array:
        whole = self.end - self.begin
        z = whole * ((span.end - t) / span.length)
        g = np.minimum(self._fallen(z) / self._fallen(np.float64(whole)), 1.0)
        out: Array = g + self.final * (1 - g) if self.final else g
        return out

    def _fallen(self, z: Array | np.float64) -> Array:
        """sinh z / cosh(e - z), but for a constant factor."""
        y = self.end - z
        out: Array = np.exp(np.minimum(0.0, -2 * y)) * -np.expm1(-2 * z) / (1 + np.exp(-2 * np.abs(y)))
        return out

    def area(self, span: Span) -> float:
        """By quadrature, cut where the fall is steepest."""
        steepest = span.end - span.length * self.end / (self.end - self.begin)
        splits = (steepest,) if span.begin < steepest < span.end else ()
        return integral(lambda t: self.value(t, span, after=True), *span, splits=splits)


@SCHEDULES.register("tanh")
@dataclass(frozen=True, kw_only=True)
class tanh(Named):
    """A hyperbolic tangent from the peak to `final` at the end of the run.

    s = final + (1 - final)(tanh e - tanh y) / (tanh e - tanh b), where y goes evenly from b = `begin` to e =
    `end` after the warmup. The fall is steepest where y = 0, at 70 % for the defaults; the larger `begin` and
    `end`, the sharper.

    >>> tanh(at="left").resolve(10).table().round(4)
    array([1.    , 1.    , 1.    , 0.9997, 0.9975, 0.982 , 0.8805, 0.4988,
           0.117 , 0.0156])

    timm's TanhLRScheduler(lb=begin, ub=end) is (1 - tanh y) / 2, which starts below 1 and ends above its
    floor, by 1e-6 and 0.0025 for these bounds. Hsueh et al. 2018, arXiv 1806.01593.
    """

    begin: float = -7.0
    end: float = 3.0
    final: Level = 0.0

    def body(self) -> tuple[Piece, ...]:
        if not self.begin < self.end:
            got = f"got begin={self.begin:g} and end={self.end:g}"
            raise UserError(f"begin must be below end, {got}: write begin=-7, end=3")
        if math.tanh(self.begin) == math.tanh(self.end):
            raise UserError(
                f"tanh is flat from begin={self.begin:g} to end={self.end:g}: write bounds on both sides of 0"
            )
        return (Piece(None, 1.0, self.final),)

    def decay(self, span: Span, run: Horizon) -> Form:
        return Tangent(self.begin, self.end, run.factor(self.final))
