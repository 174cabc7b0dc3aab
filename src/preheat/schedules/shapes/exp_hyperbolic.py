"""Exponential decay with a hyperbola in its exponent; h, U and N are those of `shapes.hyperbolic`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from preheat.core.errors import UserError
from preheat.core.lengths import Length
from preheat.core.levels import Level, written
from preheat.core.registry import SCHEDULES
from preheat.core.space import Values
from preheat.schedules.curves import Array
from preheat.schedules.form import Form, Span
from preheat.schedules.horizon import Horizon
from preheat.schedules.named import Named
from preheat.schedules.pieces import Piece
from preheat.schedules.shapes.hyperbolic import drop_of_asymptote, gap, hyperbola_space


@dataclass(frozen=True)
class ExpHyperbola(Form):
    """f^(h(0) - h(x)). gap: U - N."""

    gap: float
    infimum: float

    def value(self, t: Array, span: Span, *, after: bool) -> Array:
        n, left, x = span.length, span.end - t, t - span.begin
        upper = n + self.gap
        first = math.sqrt(n * (2 * self.gap + n))
        # h(0) - h(x) as the difference of the squares over the sum
        fallen = x * (2 * upper - x) / (upper * (first + np.sqrt(left * (2 * self.gap + left))))
        out: Array = np.power(self.infimum, fallen)
        return out

    def asymptote(self, t: Array, span: Span) -> Array:
        """f^(h(0) - (1 - x/U)): straight where the axis is logarithmic."""
        out: Array = np.power(self.infimum, drop_of_asymptote(t, span, self.gap))
        return out


@SCHEDULES.register("exp_hyperbolic")
@dataclass(frozen=True, kw_only=True)
class exp_hyperbolic(Named):
    """An exponential decay with a hyperbola in its exponent (ExpHyperbolicLR).

    s = infimum^(h(0) - h(x)), h(x) = sqrt(r (2 (U - N) + r)) / U, with x of the decay's N steps done and r =
    N - x left. It ends at infimum^h(0), which is `infimum` only where the upper bound U is N; then s is the
    exponential decay. upper: U, a length >= N, the same for all the runs to be compared. `infimum` is above
    0.

    >>> made = exp_hyperbolic(upper="250ep", infimum="1e-6lr", at="left")
    >>> rate = made.resolve("50ep", per_epoch=1, peak=1e-2)
    >>> [round(1e-2 * rate(k), 9) for k in (0, 1, 10, 24, 49)]
    [0.01, 0.009402372, 0.005280072, 0.001922566, 8.3253e-05]

    Kim 2024, arXiv 2407.15200.
    """

    upper: Length
    infimum: Level = 1e-4

    @classmethod
    def space(cls, epochs: int, per_epoch: int) -> Values:
        return super().space(epochs, per_epoch) | hyperbola_space(epochs)

    def body(self) -> tuple[Piece, ...]:
        if not written(self.infimum):
            raise UserError(
                f"the infimum of an exponential decay must be above 0, got {self.infimum}: write 1e-4"
            )
        return (Piece(None, 1.0, self.infimum),)

    def decay(self, span: Span, run: Horizon) -> Form:
        return ExpHyperbola(gap(self.upper, span, run), run.factor(self.infimum))
