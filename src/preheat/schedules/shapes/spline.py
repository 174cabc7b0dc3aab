"""A smooth curve through given points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from preheat.core.errors import UserError
from preheat.core.lengths import Length
from preheat.core.registry import SCHEDULES
from preheat.core.space import Values
from preheat.schedules.curves import Array
from preheat.schedules.form import Form, Segment, Span
from preheat.schedules.horizon import Horizon
from preheat.schedules.named import Named
from preheat.schedules.pieces import Piece
from preheat.schedules.points import check_factors, lengths, numbers, through


@dataclass(frozen=True)
class Cubic(Form):
    """b0 r^3 + 3 b1 r^2 u + 3 b2 r u^2 + b3 u^3, r = 1 - u what remains.

    The b lie between the ends of a monotone cubic, so that nothing cancels.
    """

    b0: float
    b1: float
    b2: float
    b3: float

    def value(self, t: Array, span: Span, *, after: bool) -> Array:
        u, r = (x / span.length for x in (t - span.begin, span.end - t))
        sums = r * r * (self.b0 * r + 3 * self.b1 * u) + u * u * (3 * self.b2 * r + self.b3 * u)
        out: Array = np.clip(sums, min(self.b0, self.b3), max(self.b0, self.b3))
        return out

    def area(self, span: Span) -> float:
        """The mean of the b times the length."""
        return span.length * (self.b0 + self.b1 + self.b2 + self.b3) / 4


@SCHEDULES.register("spline")
@dataclass(frozen=True, kw_only=True)
class spline(Named):
    """A smooth curve through points (place, factor), without overshoot: a monotone cubic (PCHIP).

    places: lengths from the start of the run, warmup included, rising; factors in [0, 1], the highest 1.
    Between two points the curve never leaves the range of their factors; before the first place and after the
    last the factor is held. After a warmup the first factor is 1.

    >>> spline(places=["0%", "25%", "100%"], factors=[0.5, 1, 0], at="left").resolve(8).table().round(6)
    array([0.5     , 0.838542, 1.      , 0.992477, 0.953704, 0.859375,
           0.685185, 0.406829])

    Fritsch and Butland 1984, as in scipy's PchipInterpolator.
    """

    places: tuple[Length, ...]
    factors: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "places", lengths("places", self.places, "['0%', '30%', '100%']"))
        object.__setattr__(self, "factors", numbers("factors", self.factors))
        super().__post_init__()

    @classmethod
    def space(cls, epochs: int, per_epoch: int) -> Values:
        return {}  # its points are given, and begin with the warmup

    def body(self) -> tuple[Piece, ...]:
        if len(self.places) != len(self.factors) or len(self.places) < 2:
            got = f"got {len(self.places)} and {len(self.factors)}"
            raise UserError(
                f"a spline needs as many places as factors, two or more, {got}: write places=['0%', '100%'], "
                "factors=[1, 0]"
            )
        check_factors("factors", self.factors, instead="a higher peak rate", warm=bool(self.warmup))
        return (Piece(None, 1.0, 1.0),)

    def segments(self, run: Horizon) -> tuple[Segment, ...]:
        warm, span = self.warmed(run)
        x, y = [run.steps(p) for p in self.places], self.factors
        if not all(a < b for a, b in pairwise(x)) or x[-1] > span.end:
            got = ", ".join(f"{p:g}" for p in x)
            raise UserError(
                f"places must rise and lie inside the run of {run.total:g} steps, got {got}: write them in "
                "order, the last one at most 100%"
            )
        if x[0] < span.begin:
            first = f"step {x[0]:g}, got {span.begin:g} steps"
            raise UserError(f"the warmup must be over at the first place, {first}: shorten it")
        slope = _slopes(x, y)
        forms = [
            _cubic(y0, y1, m0 * (b - a) / 3, m1 * (b - a) / 3)
            for (a, b), (y0, y1), (m0, m1) in zip(pairwise(x), pairwise(y), pairwise(slope), strict=True)
        ]
        return (*warm, *through(x, y, span, forms))


def _cubic(y0: float, y1: float, rise0: float, rise1: float) -> Form:
    """The cubic from y0 to y1; rise0, rise1: its slopes at the ends, over a third of its length."""
    if y0 == y1:
        return Piece(None, y0, y1)
    low, high = min(y0, y1), max(y0, y1)
    return Cubic(y0, min(max(y0 + rise0, low), high), min(max(y1 - rise1, low), high), y1)


def _slopes(x: Sequence[float], y: Sequence[float]) -> list[float]:
    """The slopes at the points: a weighted harmonic mean of both sides, 0 at an extreme."""
    h = [b - a for a, b in pairwise(x)]
    d = [(b - a) / n for (a, b), n in zip(pairwise(y), h, strict=True)]
    if len(d) == 1:
        return [d[0], d[0]]
    inner = []
    for (h0, h1), (d0, d1) in zip(pairwise(h), pairwise(d), strict=True):
        w0, w1 = 2 * h1 + h0, h1 + 2 * h0
        inner.append((w0 + w1) / (w0 / d0 + w1 / d1) if d0 * d1 > 0 else 0.0)
    return [_end(h[0], h[1], d[0], d[1]), *inner, _end(h[-1], h[-2], d[-1], d[-2])]


def _end(h0: float, h1: float, d0: float, d1: float) -> float:
    """The slope at an end: of the parabola through three points, bent back where it would overshoot."""
    slope = ((2 * h0 + h1) * d0 - h0 * d1) / (h0 + h1)
    if slope * d0 <= 0:
        return 0.0
    return 3 * d0 if d0 * d1 <= 0 and abs(slope) > 3 * abs(d0) else slope
