"""Hyperbolic decay: the first steps of the decay hardly depend on how long the run will be.

x in [0, N] are the steps since the warmup, N = T - W all of them, r = N - x those that remain, U >= N the
upper bound:

    h(x) = sqrt(r (2 (U - N) + r)) / U        h(N) = 0,  h(0) = sqrt(1 - (1 - N/U)^2)

a branch of a hyperbola with the asymptote 1 - x/U. It is written from what remains, so its end is exact.
Kim 2024, arXiv 2407.15200.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from preheat.core.errors import UserError
from preheat.core.lengths import Length
from preheat.core.levels import Level
from preheat.core.registry import SCHEDULES
from preheat.core.space import Among, Range, Values
from preheat.schedules.curves import Array
from preheat.schedules.form import Form, Span
from preheat.schedules.horizon import Horizon
from preheat.schedules.named import Named
from preheat.schedules.pieces import Piece

_CLOSE = 1e-9  # what the upper bound may miss of the decay's length by rounding


@dataclass(frozen=True)
class Hyperbola(Form):
    """1 - (1 - f)(h(0) - h(x)). gap: U - N.

    Its area is a quadrature: the closed form, with an arcosh, loses its digits where U is far above N.
    """

    gap: float
    infimum: float

    def value(self, t: Array, span: Span, *, after: bool) -> Array:
        n, left = span.length, span.end - t
        g = np.sqrt(left * (2 * self.gap + left)) / math.sqrt(n * (2 * self.gap + n))
        out: Array = g + self._final(n) * (1 - g)
        return out

    def asymptote(self, t: Array, span: Span) -> Array:
        """1 - (1 - f)(h(0) - (1 - x/U)): lines of one slope, whatever N is."""
        out: Array = 1 - (1 - self.infimum) * drop_of_asymptote(t, span, self.gap)
        return out

    def _final(self, n: float) -> float:
        """1 - (1 - f) h(0), without the cancellation."""
        upper = n + self.gap
        start = math.sqrt(n * (2 * self.gap + n)) / upper
        return self.infimum + (1 - self.infimum) * (self.gap / upper) ** 2 / (1 + start)


@SCHEDULES.register("hyperbolic")
@dataclass(frozen=True, kw_only=True)
class hyperbolic(Named):
    """A decay along a hyperbola (HyperbolicLR): early on nearly the same in runs of every length.

    s = 1 - (1 - infimum)(h(0) - h(x)), h(x) = sqrt(r (2 (U - N) + r)) / U, with x of the decay's N steps done
    and r = N - x left. It ends at 1 - (1 - infimum) h(0), which is `infimum` only where the upper bound U is
    N; then s is the straight line. upper: U, a length >= N, the same for all the runs to be compared.

    >>> made = hyperbolic(upper="250ep", infimum="1e-6lr", at="left")
    >>> rate = made.resolve("50ep", per_epoch=1, peak=1e-2)
    >>> [round(1e-2 * rate(k), 9) for k in (0, 1, 10, 24, 49)]
    [0.01, 0.0099331, 0.009306669, 0.008209882, 0.004801519]

    Kim 2024, arXiv 2407.15200.
    """

    upper: Length
    infimum: Level = 1e-4

    @classmethod
    def space(cls, epochs: int, per_epoch: int) -> Values:
        return super().space(epochs, per_epoch) | hyperbola_space(epochs)

    def body(self) -> tuple[Piece, ...]:
        return (Piece(None, 1.0, self.infimum),)

    def decay(self, span: Span, run: Horizon) -> Form:
        return Hyperbola(gap(self.upper, span, run), run.factor(self.infimum))


def hyperbola_space(epochs: int) -> Values:
    """What a search tries of a hyperbola: its infimum, and upper bounds that are not below the run."""
    bounds = [n for n in (250, 200, 300, 350, 400) if n >= epochs] or [epochs, 2 * epochs]
    upper = Among(tuple(f"{n}ep" for n in bounds))
    return {"infimum": Range(1e-5, 1e-2, log=True, start=1e-4), "upper": upper}


def drop_of_asymptote(t: Array, span: Span, gap: float) -> Array:
    """h(0) - (1 - x/U), without the cancellation."""
    n = span.length
    upper = n + gap
    start = math.sqrt(n * (2 * gap + n)) / upper
    out: Array = (t - span.begin) / upper - (gap / upper) ** 2 / (1 + start)
    return out


def gap(upper: Length, span: Span, run: Horizon) -> float:
    """U - N, checked."""
    bound, n = run.steps(upper), span.length
    if bound < n * (1 - _CLOSE):
        raise UserError(
            f"upper must be at least the length of the decay, {n:g} steps, got {upper} = {bound:g} steps: "
            "write the longest run that you mean to compare, such as 250ep"
        )
    return max(bound - n, 0.0)
