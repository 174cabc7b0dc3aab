"""A table as a schedule: whatever was measured, searched for or taken from another library."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
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


@dataclass(frozen=True, eq=False)
class Polyline:
    """Straight lines through (knots[i], values[i]), level outside of them. A form."""

    values: Array
    knots: Array

    def value(self, t: Array, span: Span, *, after: bool) -> Array:
        """The factors at positions `t`: both neighbours by their distance, so that a knot is exact."""
        place = np.clip(t, self.knots[0], self.knots[-1])
        i = np.searchsorted(self.knots[1:-1], place, side="right")
        low, high = self.knots[i], self.knots[i + 1]
        out: Array = self.values[i] * ((high - place) / (high - low)) + self.values[i + 1] * ((place - low) / (high - low))
        return np.minimum(out, 1.0)

    def area(self, span: Span) -> float:
        """Trapezoids."""
        inner = self.knots[(self.knots > span.begin) & (self.knots < span.end)]
        t = np.concatenate([[span.begin], inner, [span.end]])
        y = self.value(t, span, after=True)
        return math.fsum((np.diff(t) * (y[1:] + y[:-1]) / 2).tolist())

    def jumps(self, span: Span) -> list[float]:
        """None."""
        return []


@SCHEDULES.register("tabulated")
@dataclass(frozen=True, kw_only=True)
class tabulated(Named):
    """The factors of a table, spread evenly over the run.

    n values share what follows the warmup: value i belongs to the stretch from i/n to (i + 1)/n of it. between: "hold"
    holds it there, "linear" passes through it in the middle of the stretch. So in a run of n steps (or n epochs) the table
    comes back exactly, whatever `at`, with "linear" only for at="mid". Values lie in [0, 1], the highest is 1; after a
    warmup the first is 1. `tabulated.of(rates)` makes one of rates.

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
            raise UserError(f"the highest of the rates must be above 0, got {peak:g}: a run at rate 0 learns nothing")
        return tabulated(values=tuple(x / peak for x in given), **options), peak

    def body(self) -> tuple[Piece, ...]:
        """The stretch of the table; its form is in `segments`."""
        if self.between not in BETWEEN:
            raise unknown("between (the values of a table)", self.between, BETWEEN)
        highest(self.values, "values", "tabulated.of(rates)")
        if self.warmup and self.values[0] != 1:
            raise UserError(f"after a warmup a table must begin at 1, got {self.values[0]:g}: put the rise into the values")
        return (Piece(None, 1.0, 1.0),)

    def segments(self, run: Horizon) -> tuple[Segment, ...]:
        """The warmup, then the table, cut at its highest value."""
        out: list[Segment] = []
        for s in super().segments(run):
            out += [s] if s.kind == "warmup" else self._cut(s.span)
        return tuple(out)

    def _cut(self, span: Span) -> list[Segment]:
        values, n = np.array(self.values), len(self.values)
        top = int(values.argmax())
        length, form = span.end - span.begin, _held(values, span)
        place = span.begin + length * top / n
        if self.between == "linear" and n > 1:
            knots = span.begin + length * (np.arange(n) + 0.5) / n
            form, place = Polyline(values, knots), float(knots[top])
        rises = "warmup" if bool((np.diff(values[: top + 1]) >= 0).all()) else "rise"
        falls = "stable" if bool((values[top:] == 1).all()) else "decay"
        if place == span.begin:
            return [Segment(span, falls, form)]
        return [Segment(Span(span.begin, place), rises, form), Segment(Span(place, span.end), falls, form)]

    def __str__(self) -> str:
        values = f"[{', '.join(f'{v:g}' for v in self.values[:3])}{', ...' * (len(self.values) > 3)}]"
        rest = [(f.name, getattr(self, f.name), f.default) for f in fields(self) if f.name != "values"]
        more = [f", {name}={value}" for name, value, usual in rest if value != usual]
        return f"tabulated(values={values}{''.join(more)})"


def _held(values: Array, span: Span) -> Form:
    edges = span.begin + (span.end - span.begin) * np.arange(len(values) + 1) / len(values)
    return Stretches(values, edges)


def numbers(name: str, given: Any) -> tuple[float, ...]:
    """A list of finite numbers >= 0 as floats, or the error that says which option is wrong."""
    if isinstance(given, str) or not hasattr(given, "__iter__"):
        raise UserError(f"{name} is a list of numbers, got {given!r}: write [1, 0.5, 0.25]")
    items = [x.item() if isinstance(x, np.generic) else x for x in given]
    for x in items:
        if not is_number(x) or x < 0:
            raise UserError(f"{name} must be finite numbers >= 0, got {x!r} among them: write [1, 0.5, 0.25]")
    if not items:
        raise UserError(f"{name} needs at least one number, got none: write [1, 0.5, 0.25]")
    return tuple(map(float, items))


def highest(factors: tuple[float, ...], name: str, instead: str) -> None:
    """Raise `UserError` unless the highest of the factors is 1."""
    if max(factors) != 1:
        raise UserError(f"the highest of the {name} must be 1, got {max(factors):g}: divide by the highest, or write {instead}")
