"""Forms made of forms: moved in time, cut, scaled, multiplied. What the combined schedules are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from preheat.schedules.curves import Array
from preheat.schedules.form import Form, Segment, Span
from preheat.schedules.horizon import Horizon
from preheat.schedules.pieces import Piece
from preheat.schedules.quadrature import integral
from preheat.schedules.sampling import AT

_SAME = 1e-12  # factors that differ by less are one: what is no jump


@dataclass(frozen=True)
class Moved(Form):
    """A form written for the span `own`, `by` steps later.

    The span is kept, not computed back: (0.07 + 20) - 20 is not 0.07.
    """

    form: Form
    own: Span
    by: float

    def value(self, t: Array, span: Span, *, after: bool) -> Array:
        return self.form.value(np.clip(t - self.by, *self.own), self.own, after=after)

    def area(self, span: Span) -> float:
        return self.form.area(self.own)

    def jumps(self, span: Span) -> list[float]:
        return [x + self.by for x in self.form.jumps(self.own)]


def moved(segments: Sequence[Segment], by: float, *, kind: Callable[[str], str] = str) -> list[Segment]:
    """The segments `by` steps later; kind: what a segment is called there."""
    later = [Span(s.span.begin + by, s.span.end + by) for s in segments]
    forms = [Moved(s.form, s.span, by) for s in segments]
    return [Segment(new, kind(s.kind), form) for new, form, s in zip(later, forms, segments, strict=True)]


@dataclass(frozen=True)
class Ahead(Form):
    """Segments that fill the span, `by` steps ahead of their time, or behind it: s(t + by), held at the ends.

    after: the value that is taken at their own jumps.
    """

    segments: tuple[Segment, ...]
    by: float
    after: bool

    def value(self, t: Array, span: Span, *, after: bool) -> Array:
        place, inner = np.clip(t + self.by, *span), [s.span.begin for s in self.segments[1:]]
        which = np.searchsorted(inner, place, side="right" if self.after else "left")
        out = np.empty_like(place)
        for i, (own, _, form) in enumerate(self.segments):
            out[which == i] = form.value(place[which == i], own, after=self.after)
        return out

    def area(self, span: Span) -> float:
        own = [x for s in self.segments for x in (*s.span, *s.form.jumps(s.span))]
        return integral(lambda t: self.value(t, span, after=True), *span, splits=self._inside(own, span))

    def jumps(self, span: Span) -> list[float]:
        own = [x for s in self.segments for x in s.form.jumps(s.span)]
        for one, other in pairwise(self.segments):
            x = np.array(other.span.begin)
            low, high = (float(s.form.value(x, s.span, after=s is other)) for s in (one, other))
            own += [other.span.begin] if abs(high - low) > _SAME else []
        return list(self._inside(own, span))

    def _inside(self, own: Sequence[float], span: Span) -> tuple[float, ...]:
        """Places of the segments as places of the span."""
        return tuple(sorted({x - self.by for x in own if span.begin < x - self.by < span.end}))


def ahead(at: tuple[str, str], every: str, run: Horizon) -> float:
    """The steps from the place of an update by the first of two conventions to its place by the second."""
    one, other = at
    return (AT[other] - AT[one]) * (run.per_epoch or 1.0 if every == "epoch" else 1.0)


@dataclass(frozen=True)
class Window(Form):
    """A part of a form that was written for the span `whole`."""

    form: Form
    whole: Span

    def value(self, t: Array, span: Span, *, after: bool) -> Array:
        return self.form.value(t, self.whole, after=after)

    def area(self, span: Span) -> float:
        """Exact where the part is the whole, by quadrature elsewhere."""
        return self.form.area(span) if span == self.whole else super().area(span)

    def jumps(self, span: Span) -> list[float]:
        return [x for x in self.form.jumps(self.whole) if span.begin < x < span.end]


@dataclass(frozen=True)
class Times(Form):
    """A form, `by` times as high."""

    form: Form
    by: float

    def value(self, t: Array, span: Span, *, after: bool) -> Array:
        return self.by * self.form.value(t, span, after=after)

    def area(self, span: Span) -> float:
        return self.by * self.form.area(span)

    def jumps(self, span: Span) -> list[float]:
        return self.form.jumps(span)


@dataclass(frozen=True)
class Both(Form):
    """The product of two forms."""

    first: Form
    second: Form

    def value(self, t: Array, span: Span, *, after: bool) -> Array:
        return self.first.value(t, span, after=after) * self.second.value(t, span, after=after)

    def jumps(self, span: Span) -> list[float]:
        return sorted({*self.first.jumps(span), *self.second.jumps(span)})


def clipped(segment: Segment, span: Span) -> Segment:
    """What of the segment lies on `span`."""
    if segment.span == span:
        return segment
    if isinstance(segment.form, Piece) and segment.form.start == segment.form.end:
        return segment._replace(span=span)
    return Segment(span, segment.kind, Window(segment.form, segment.span))


def stretch(segments: tuple[Segment, ...], begin: float, end: float) -> list[Segment]:
    """What of the segments lies on [begin, end]."""
    spans = [(s, Span(max(s.span.begin, begin), min(s.span.end, end))) for s in segments]
    return [clipped(s, span) for s, span in spans if span.begin < span.end]
