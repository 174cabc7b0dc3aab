"""The product of two schedules."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from preheat.core.registry import SCHEDULES
from preheat.schedules.combine.combined import Combined
from preheat.schedules.combine.forms import Both, Times, stretch
from preheat.schedules.form import Segment
from preheat.schedules.horizon import Horizon
from preheat.schedules.pieces import Piece
from preheat.schedules.rule import Rule


@SCHEDULES.register("product")
@dataclass(frozen=True)
class product(Combined):
    """The product of two schedules at every position, written `first * second`.

    s(t) = first(t) second(t). It may stay below 1: a warmup that is over when the decay has begun never
    reaches the peak. Its mean is a quadrature (1e-14), not a closed form. A level given as a rate is a rate
    of its own part.

    >>> from preheat.schedules import linear, untuned_linear
    >>> (untuned_linear(beta2=0.5, at="right") * linear(at="right")).resolve(4).table()
    array([0.1875, 0.25  , 0.1875, 0.    ])
    """

    first: Rule
    second: Rule

    def segments(self, run: Horizon) -> tuple[Segment, ...]:
        one, two = self.first.segments(run), self.second.segments(run)
        bounds = sorted({0.0, float(run.total), *(s.span.begin for s in (*one, *two))})
        cut = [(stretch(one, a, b)[0], stretch(two, a, b)[0]) for a, b in pairwise(bounds)]
        return tuple(_times(a, b) for a, b in cut)

    def __str__(self) -> str:
        return f"{self.first} * {self.second}"


_TELLING = ("warmup", "cooldown", "drop", "decay", "rise", "hold")  # what names a product first


def _times(a: Segment, b: Segment) -> Segment:
    """Two segments of one span, multiplied; it is named after the one that says more."""
    kind = next((k for k in _TELLING if k in (a.kind, b.kind)), a.kind)
    for one, other in ((a, b), (b, a)):
        if isinstance(one.form, Piece) and one.form.start == one.form.end:
            by = one.form.ends[0]
            return Segment(a.span, kind, other.form if by == 1.0 else Times(other.form, by))
    return Segment(a.span, kind, Both(a.form, b.form))
