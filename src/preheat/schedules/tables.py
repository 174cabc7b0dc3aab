"""A table as a schedule: whatever was measured, searched for or taken from another library."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np

from preheat.core.errors import UserError, unknown
from preheat.core.lengths import is_number
from preheat.core.registry import SCHEDULES
from preheat.schedules.curves import Array
from preheat.schedules.named import Named
from preheat.schedules.pieces import Piece
from preheat.schedules.resolved import Form, Horizon, Segment, Span

BETWEEN = ("hold", "linear")


@dataclass(frozen=True, eq=False)
class Stretches:
    """values[i] held from edges[i] to edges[i + 1]. A form (see `preheat.schedules.resolved`)."""

    values: Array
    edges: Array

    def value(self, t: Array, span: Span, *, after: bool) -> Array:
        """The factors at positions `t`."""
        return self.values[np.searchsorted(self.edges[1:-1], t, side="right" if after else "left")]

    def area(self, span: Span) -> float:
        """Value times length, summed."""
        return math.fsum((np.diff(np.clip(self.edges, *span)) * self.values).tolist())

    def jumps(self, span: Span) -> list[float]:
        """The edges at which the value changes."""
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

    def body(self) -> tuple[Piece, ...]:
        """The stretch of the table; its form is in `segments`."""
        if self.between not in BETWEEN:
            raise unknown("between (the values of a table)", self.between, BETWEEN)
        highest(self.values, "values", "tabulated.of(rates)")
        if self.warmup and self.values[0] != 1:
            raise UserError(
                f"after a warmup a table must begin at 1, got {self.values[0]:g}: put the rise into the "
                "values"
            )
        return (Piece(None, 1.0, 1.0),)

    def segments(self, run: Horizon) -> tuple[Segment, ...]:
        """The warmup, then the table: stretches, cut at the highest value, or lines."""
        made = self._lines if self.between == "linear" else self._stretches
        out: list[Segment] = []
        for s in super().segments(run):
            out += [s] if s.kind == "warmup" else made(s.span)
        return tuple(out)

    def _lines(self, span: Span) -> list[Segment]:
        n, values = len(self.values), self.values
        middles = (span.begin + (span.end - span.begin) * (np.arange(n) + 0.5) / n).tolist()
        return through(middles, values, span, [Piece(None, a, b) for a, b in pairwise(values)])

    def _stretches(self, span: Span) -> list[Segment]:
        values, n = np.array(self.values), len(self.values)
        edges = span.begin + (span.end - span.begin) * np.arange(n + 1) / n
        top, form = int(values.argmax()), Stretches(values, edges)
        rises = "warmup" if bool((np.diff(values[: top + 1]) >= 0).all()) else "rise"
        falls = "stable" if bool((values[top:] == 1).all()) else "decay"
        parts = [
            Segment(Span(span.begin, float(edges[top])), rises, form),
            Segment(Span(float(edges[top]), span.end), falls, form),
        ]
        return [s for s in parts if s.span.begin < s.span.end]

    def __str__(self) -> str:
        values = f"[{', '.join(f'{v:g}' for v in self.values[:3])}{', ...' * (len(self.values) > 3)}]"
        rest = [(f.name, getattr(self, f.name), f.default) for f in fields(self) if f.name != "values"]
        more = [f", {name}={value}" for name, value, usual in rest if value != usual]
        return f"tabulated(values={values}{''.join(more)})"


def through(x: Sequence[float], y: Sequence[float], span: Span, forms: Sequence[Form]) -> list[Segment]:
    """A form between every two of the points (x, y), and the factors of the first and the last held outside
    of them."""
    bounds = [span.begin, *x, span.end]
    held = [Piece(None, y[0], y[0]), *forms, Piece(None, y[-1], y[-1])]
    heights = [y[0], *y, y[-1]]
    out, rising = [], True
    for (a, b), (low, high), form in zip(pairwise(bounds), pairwise(heights), held, strict=True):
        if a < b:
            rising = rising and low < high
            out.append(Segment(Span(a, b), _kind(low, high, rising), form))
    return out


def _kind(start: float, end: float, rising: bool) -> str:
    if start == end:
        return "stable" if start == 1 else "hold"
    return "decay" if start > end else "warmup" if rising else "rise"


def numbers(name: str, given: Any) -> tuple[float, ...]:
    """A list of finite numbers >= 0 as floats, or the error that says which option is wrong."""
    if isinstance(given, str) or not hasattr(given, "__iter__"):
        raise UserError(f"{name} is a list of numbers, got {given!r}: write [1, 0.5, 0.25]")
    items = [x.item() if hasattr(x, "item") else x for x in given]  # numbers of numpy and torch
    for x in items:
        if not is_number(x) or x < 0:
            raise UserError(f"{name} must be finite numbers >= 0, got {x!r} among them: write [1, 0.5, 0.25]")
    if not items:
        raise UserError(f"{name} needs at least one number, got none: write [1, 0.5, 0.25]")
    return tuple(map(float, items))


def highest(factors: tuple[float, ...], name: str, instead: str) -> None:
    """Raise `UserError` unless the highest of the factors is 1."""
    if max(factors) != 1:
        raise UserError(
            f"the highest of the {name} must be 1, got {max(factors):g}: divide by the highest, or write "
            f"{instead}"
        )
