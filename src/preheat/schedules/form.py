"""Forms: what a schedule does on a stretch of its run. Resolved, it is a row of forms at their places."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from preheat.schedules.curves import Array
from preheat.schedules.quadrature import integral


class Span(NamedTuple):
    """A stretch of the run, in steps."""

    begin: float
    end: float

    @property
    def length(self) -> float:
        """Its steps, a real number."""
        return self.end - self.begin


class Form(ABC):
    """What a schedule does on a span."""

    @abstractmethod
    def value(self, t: Array, span: Span, *, after: bool) -> Array:
        """Factors at positions `t`; at a jump the value after it, or before it."""

    def area(self, span: Span) -> float:
        """The integral over the span; by quadrature where no closed form keeps its digits."""
        return integral(lambda t: self.value(t, span, after=True), *span, splits=tuple(self.jumps(span)))

    def jumps(self, span: Span) -> list[float]:
        """Positions strictly inside the span where the value jumps."""
        return []

    def asymptote(self, t: Array, span: Span) -> Array | None:
        """The straight line, on the axis where it is one, to which the form would tend; None for most."""
        return None


class Segment(NamedTuple):
    """A form at its place; `kind` is a word for pictures: warmup, stable, decay, cooldown, ..."""

    span: Span
    kind: str
    form: Form
