"""Inverse square root: no end is built in, so the run can be stopped or prolonged anywhere."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from preheat.core.errors import UserError
from preheat.core.lengths import Length
from preheat.core.registry import SCHEDULES
from preheat.schedules.curves import Array
from preheat.schedules.form import Form, Span
from preheat.schedules.horizon import Horizon
from preheat.schedules.named import Named, above_0
from preheat.schedules.pieces import Piece


@dataclass(frozen=True)
class Root(Form):
    """sqrt(timescale / (timescale + t - begin))."""

    timescale: float

    def value(self, t: Array, span: Span, *, after: bool) -> Array:
        out: Array = np.sqrt(self.timescale / (self.timescale + (t - span.begin)))
        return out

    def area(self, span: Span) -> float:
        """2 sqrt(c) (sqrt(c + n) - sqrt(c)) on n steps."""
        n, c = span.length, self.timescale
        return 2 * math.sqrt(c) * n / (math.sqrt(c + n) + math.sqrt(c))


@SCHEDULES.register("inverse_sqrt")
@dataclass(frozen=True, kw_only=True)
class inverse_sqrt(Named):
    """A warmup, then one over the square root of time (Transformer, "Noam").

    With W steps of warmup and the timescale c: s = sqrt(c / (c + t - W)) after the warmup. c is W unless
    given, and then s = sqrt(W / t): min(t / W, sqrt(W / t)) with a linear warmup. With no warmup a timescale
    is needed. The larger c, the slower the fall; it has no floor and no end.

    >>> inverse_sqrt(warmup=4, at="right").resolve(16).table()[[0, 3, 8, 15]].round(6)
    array([0.25    , 1.      , 0.666667, 0.5     ])

    Vaswani et al. 2017, arXiv 1706.03762; timescale apart from the warmup: Zhai et al. 2022, arXiv
    2106.04560.
    """

    timescale: Length | None = None

    def body(self) -> tuple[Piece, ...]:
        if self.timescale is None and not self.warmup:
            write = "write warmup='5%' or timescale=1000"
            raise UserError(f"inverse_sqrt takes its timescale from the warmup, got warmup 0: {write}")
        above_0("timescale", self.timescale, "timescale=1000")
        return (Piece(None, 1.0, 1.0),)

    def decay(self, span: Span, run: Horizon) -> Form:
        return Root(run.steps(self.timescale or self.warmup))
