"""REX, the reflected exponential: a rational decay."""

from __future__ import annotations

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


@dataclass(frozen=True)
class Rex(Form):
    """g + final (1 - g) with g = r / (1 - beta + beta r), r the part that remains.

    Its area is a quadrature: the closed form loses its digits at a small beta.
    """

    beta: float
    final: float

    def value(self, t: Array, span: Span, *, after: bool) -> Array:
        left = (span.end - t) / span.length
        g: Array = left / ((1 - self.beta) + self.beta * left)
        g = np.minimum(g, 1.0)
        return g + self.final * (1 - g) if self.final else g


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
        if self.beta >= 1:
            raise UserError(f"beta must be below 1, got {self.beta:g}: write 0.5, or 0 for a straight line")
        return (Piece(None, 1.0, self.final),)

    def decay(self, span: Span, run: Horizon) -> Form:
        return Rex(self.beta, run.factor(self.final))
