"""Untuned linear warmup, a damping factor."""

from __future__ import annotations

from dataclasses import dataclass

from preheat.core.lengths import snug
from preheat.core.registry import SCHEDULES
from preheat.schedules.damping import Damping
from preheat.schedules.form import Segment, Span
from preheat.schedules.horizon import Horizon
from preheat.schedules.pieces import Piece


@SCHEDULES.register("untuned_linear")
@dataclass(frozen=True, kw_only=True)
class untuned_linear(Damping):
    """Untuned linear warmup for Adam: a straight rise over 2 / (1 - beta2) steps.

    w = min(1, t (1 - beta2) / 2). A factor for products; `untuned_period(beta2)` is its length as a whole
    number, for the warmup of any schedule.

    >>> untuned_linear(beta2=0.5, at="right").resolve(5).table()
    array([0.25, 0.5 , 0.75, 1.  , 1.  ])

    Ma and Yarats 2019, arXiv 1910.04209.
    """

    def segments(self, run: Horizon) -> tuple[Segment, ...]:
        period, end = snug(2 / (1 - self.beta2)), float(run.total)
        if end <= period:
            return (Segment(Span(0.0, end), "warmup", Piece(None, 0.0, end / period)),)
        rise = Segment(Span(0.0, period), "warmup", Piece(None, 0.0, 1.0))
        return (rise, Segment(Span(period, end), "stable", Piece(None, 1.0, 1.0)))
