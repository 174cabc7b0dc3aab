"""The product of two schedules."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from preheat.core.registry import SCHEDULES
from preheat.schedules.combine.combined import Combined
from preheat.schedules.combine.forms import Ahead, Both, Times, ahead, clipped, stretch
from preheat.schedules.form import Segment, Span
from preheat.schedules.horizon import Horizon
from preheat.schedules.pieces import Piece
from preheat.schedules.rule import Rule
from preheat.schedules.sampling import AT


@SCHEDULES.register("product")
@dataclass(frozen=True)
class product(Combined):
    """The product of two schedules at every position, written `first * second`.

    s(t) = first(t) second(t). It may stay below 1: a warmup that is over when the decay has begun never
    reaches the peak. Its mean is a quadrature (1e-14), not a closed form. A level given as a rate is a rate
    of its own part. Where the parts differ in `at`, each keeps its own: update k sees first(k + a) second(k +
    b), as where pytorch_warmup's factor (right) damps a scheduler of torch's (left).

    >>> from preheat.schedules import linear, untuned_linear
    >>> (untuned_linear(beta2=0.5, at="right") * linear(at="right")).resolve(4).table()
    array([0.1875, 0.25  , 0.1875, 0.    ])
    >>> (untuned_linear(beta2=0.5, at="right") * linear(at="left")).resolve(4).table()
    array([0.25 , 0.375, 0.375, 0.25 ])
    """

    shared: ClassVar[tuple[str, ...]] = ("every",)

    first: Rule
    second: Rule

    @property
    def at(self) -> str:  # type: ignore[override]
        """Where an update takes its factor; the leftmost of the two where the parts differ."""
        return min(self.first.at, self.second.at, key=AT.__getitem__)

    def segments(self, run: Horizon) -> tuple[Segment, ...]:
        one, two = (self._placed(part, run) for part in (self.first, self.second))
        bounds = sorted({0.0, float(run.total), *(s.span.begin for s in (*one, *two))})
        cut = [(stretch(one, a, b)[0], stretch(two, a, b)[0]) for a, b in pairwise(bounds)]
        return tuple(_times(a, b) for a, b in cut)

    def _placed(self, part: Rule, run: Horizon) -> tuple[Segment, ...]:
        """The segments of a part; those of one that keeps an `at` of its own are ahead."""
        own, by = part.segments(run), ahead((self.at, part.at), self.every, run)
        if not by:
            return own
        whole = Segment(Span(0.0, float(run.total)), "", Ahead(own, by, part.at != "right"))
        bounds = [0.0, *(s.span.end - by for s in own[:-1]), whole.span.end]
        spans = [Span(max(a, 0.0), min(b, whole.span.end)) for a, b in pairwise(bounds)]
        cut = [(s.kind, span) for s, span in zip(own, spans, strict=True) if span.begin < span.end]
        return tuple(clipped(whole, span)._replace(kind=kind) for kind, span in cut)

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
