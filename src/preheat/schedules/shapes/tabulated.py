"""A table as a schedule: whatever was measured, searched for or taken from another library."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from preheat.core.errors import UserError, unknown
from preheat.core.registry import SCHEDULES
from preheat.core.space import Values
from preheat.schedules.curves import Array
from preheat.schedules.form import Form, Segment, Span
from preheat.schedules.horizon import Horizon
from preheat.schedules.named import Named, called
from preheat.schedules.pieces import Piece
from preheat.schedules.points import check_factors, numbers, through

BETWEEN = ("hold", "linear")


@dataclass(frozen=True, eq=False)
class Stretches(Form):
    """values[i] held from edges[i] to edges[i + 1]."""

    values: Array
    edges: Array

    def value(self, t: Array, span: Span, *, after: bool) -> Array:
        return self.values[np.searchsorted(self.edges[1:-1], t, side="right" if after else "left")]

    def area(self, span: Span) -> float:
        """Value times length, summed."""
        return math.fsum((np.diff(np.clip(self.edges, *span)) * self.values).tolist())

    def jumps(self, span: Span) -> list[float]:
        edges = self.edges[1:-1][np.diff(self.values) != 0].tolist()
        return [x for x in edges if span.begin < x < span.end]


@SCHEDULES.register("tabulated")
@dataclass(frozen=True, kw_only=True)
class tabulated(Named):
    """The factors of a table, spread evenly over the run.

    n values share what follows the warmup: value i belongs to the stretch from i/n to (i + 1)/n of it.
    between: "hold" holds it there, "linear" passes through it in the middle of the stretch. So in a run of n
    steps (or n epochs) the table comes back exactly, whatever `at`, with "linear" only for at="mid". Values
    lie in [0, 1], the highest is 1; after a warmup the first is 1. `tabulated.of(rates)` makes one of rates.

    >>> tabulated(values=[1, 0.5, 0.25]).resolve(6).table()
    array([1.  , 1.  , 0.5 , 0.5 , 0.25, 0.25])
    >>> tabulated(values=[1, 0.5, 0.25], between="linear").resolve(6).table()
    array([1.    , 0.875 , 0.625 , 0.4375, 0.3125, 0.25  ])
    """

    values: tuple[float, ...]
    between: str = "hold"

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", numbers("values", self.values))
        super().__post_init__()

    @staticmethod
    def of(rates: Iterable[float], **options: Any) -> tuple[tabulated, float]:
        """The schedule and the peak rate of a list of rates.

        >>> schedule, peak = tabulated.of([0.1, 0.2, 0.05])
        >>> schedule.values, peak
        ((0.5, 1.0, 0.25), 0.2)
        """
        given = numbers("rates", rates)
        peak = max(given)
        if peak <= 0:
            raise UserError(
                f"the highest of the rates must be above 0, got {peak:g}: a run at rate 0 learns nothing"
            )
        return tabulated(values=tuple(x / peak for x in given), **options), peak

    @classmethod
    def space(cls, epochs: int, per_epoch: int) -> Values:
        return {}  # its points are given, and begin with the warmup

    def body(self) -> tuple[Piece, ...]:
        if self.between not in BETWEEN:
            raise unknown("between (the values of a table)", self.between, BETWEEN)
        check_factors("values", self.values, instead="tabulated.of(rates)", warm=bool(self.warmup))
        return (Piece(None, 1.0, 1.0),)

    def segments(self, run: Horizon) -> tuple[Segment, ...]:
        warm, span = self.warmed(run)
        return (*warm, *(self._lines(span) if self.between == "linear" else self._stretches(span)))

    def _lines(self, span: Span) -> list[Segment]:
        n, values = len(self.values), self.values
        middles = (span.begin + span.length * (np.arange(n) + 0.5) / n).tolist()
        return through(middles, values, span, [Piece(None, a, b) for a, b in pairwise(values)])

    def _stretches(self, span: Span) -> list[Segment]:
        """The table, cut at its highest value."""
        values, n = np.array(self.values), len(self.values)
        edges = span.begin + span.length * np.arange(n + 1) / n
        top, form = int(values.argmax()), Stretches(values, edges)
        rises = "warmup" if bool((np.diff(values[: top + 1]) >= 0).all()) else "rise"
        falls = "stable" if bool((values[top:] == 1).all()) else "decay"
        place = float(edges[top])
        parts = [(Span(span.begin, place), rises), (Span(place, span.end), falls)]
        return [Segment(part, kind, form) for part, kind in parts if part.begin < part.end]

    def __str__(self) -> str:
        return called(self, _first_three, first="values")


def _first_three(value: Any) -> str:
    if not isinstance(value, tuple):
        return str(value)
    shown = [f"{v:g}" for v in value[:3]]
    return f"[{', '.join([*shown, '...'] if len(value) > 3 else shown)}]"
