"""Forms made of forms: moved in time, cut, scaled, multiplied. What the combined schedules are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from preheat.schedules.curves import Array
from preheat.schedules.pieces import Piece
from preheat.schedules.quadrature import integral
from preheat.schedules.resolved import Form, Segment, Span


class Moved(NamedTuple):
    """A form written for the span `own`, `by` steps later. A form (see `preheat.schedules.resolved`), as the
    next are.

    The span is kept, not computed back: (0.07 + 20) - 20 is not 0.07.
    """

    form: Form
    own: Span
    by: float

    def value(self, t: Array, span: Span, *, after: bool) -> Array:
        """The factors at positions `t`."""
        return self.form.value(np.clip(t - self.by, *self.own), self.own, after=after)

    def area(self, span: Span) -> float:
        """The form's own."""
        return self.form.area(self.own)

    def jumps(self, span: Span) -> list[float]:
        """The form's own, as late."""
        return [x + self.by for x in self.form.jumps(self.own)]


def moved(segments: Sequence[Segment], by: float, kind: Callable[[str], str] = str) -> list[Segment]:
    """The segments `by` steps later; kind: what a segment is called there."""
    spans = [Span(s.span.begin + by, s.span.end + by) for s in segments]
    return [
        Segment(span, kind(s.kind), Moved(s.form, s.span, by))
        for span, s in zip(spans, segments, strict=True)
    ]


class Window(NamedTuple):
    """A part of a form that was written for the span `whole`."""

    form: Form
    whole: Span

    def value(self, t: Array, span: Span, *, after: bool) -> Array:
        """The factors at positions `t`."""
        return self.form.value(t, self.whole, after=after)

    def area(self, span: Span) -> float:
        """Exact where the part is the whole, by quadrature elsewhere."""
        if span == self.whole:
            return self.form.area(span)
        return integral(lambda t: self.value(t, span, after=True), *span, splits=tuple(self.jumps(span)))

    def jumps(self, span: Span) -> list[float]:
        """Those inside the part."""
        return [x for x in self.form.jumps(self.whole) if span.begin < x < span.end]


class Times(NamedTuple):
    """A form, `by` times as high."""

    form: Form
    by: float

    def value(self, t: Array, span: Span, *, after: bool) -> Array:
        """The factors at positions `t`."""
        return self.by * self.form.value(t, span, after=after)

    def area(self, span: Span) -> float:
        """`by` times the form's."""
        return self.by * self.form.area(span)

    def jumps(self, span: Span) -> list[float]:
        """The form's."""
        return self.form.jumps(span)


class Both(NamedTuple):
    """The product of two forms."""

    first: Form
    second: Form

    def value(self, t: Array, span: Span, *, after: bool) -> Array:
        """The factors at positions `t`."""
        return self.first.value(t, span, after=after) * self.second.value(t, span, after=after)

    def area(self, span: Span) -> float:
        """By quadrature."""
        return integral(lambda t: self.value(t, span, after=True), *span, splits=tuple(self.jumps(span)))

    def jumps(self, span: Span) -> list[float]:
        """Those of both."""
        return sorted({*self.first.jumps(span), *self.second.jumps(span)})


def part(segment: Segment, span: Span) -> Segment:
    """What of the segment lies on `span`."""
    if segment.span == span:
        return segment
    if isinstance(segment.form, Piece) and segment.form.start == segment.form.end:
        return segment._replace(span=span)
    return Segment(span, segment.kind, Window(segment.form, segment.span))


def between(segments: tuple[Segment, ...], begin: float, end: float) -> list[Segment]:
    """What of the segments lies on [begin, end]."""
    spans = [(s, Span(max(s.span.begin, begin), min(s.span.end, end))) for s in segments]
    return [part(s, span) for s, span in spans if span.begin < span.end]
