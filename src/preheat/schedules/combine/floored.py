"""A schedule that is cut off at a floor."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from preheat.core.levels import Level
from preheat.core.registry import SCHEDULES
from preheat.schedules.combine.combined import Combined
from preheat.schedules.combine.forms import clipped
from preheat.schedules.curves import Array
from preheat.schedules.form import Form, Segment, Span
from preheat.schedules.horizon import Horizon
from preheat.schedules.rule import Rule

_GRID = 64  # parts of a span in which a crossing of the floor is looked for


@dataclass(frozen=True)
class AtLeast(Form):
    """max(floor, form)."""

    form: Form
    floor: float

    def value(self, t: Array, span: Span, *, after: bool) -> Array:
        return np.maximum(self.form.value(t, span, after=after), self.floor)

    def jumps(self, span: Span) -> list[float]:
        return self.form.jumps(span)


def _above(segment: Segment, floor: float) -> list[Segment]:
    """The segment above the floor, cut where it passes it."""
    bounds = [segment.span.begin, *segment.form.jumps(segment.span), segment.span.end]
    passed = [x for a, b in pairwise(bounds) for x in _crossings(segment, floor, a, b)]
    cut = [clipped(segment, Span(a, b)) for a, b in pairwise([bounds[0], *passed, bounds[-1]]) if a < b]
    return [s._replace(kind=_kind(s, floor), form=AtLeast(s.form, floor)) for s in cut]


def _kind(segment: Segment, floor: float) -> str:
    """What it is called: a hold where it lies below the floor."""
    middle = np.array((segment.span.begin + segment.span.end) / 2)
    return segment.kind if segment.form.value(middle, segment.span, after=True) > floor else "hold"


def _crossings(segment: Segment, floor: float, begin: float, end: float) -> list[float]:
    """Where the segment passes the floor between two places, by bisection."""

    def above(t: Array, after: bool = True) -> NDArray[np.bool_]:
        out: NDArray[np.bool_] = segment.form.value(t, segment.span, after=after) > floor
        return out

    grid = np.linspace(begin, end, _GRID + 1)
    before = np.append(above(grid[:-1]), above(grid[-1:], after=False))
    found = np.flatnonzero(before[:-1] != before[1:])
    low, high = grid[found], grid[found + 1]
    for _ in range(60):
        middle = (low + high) / 2
        same = above(middle) == before[found]
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return [float(x) for x in high]


@SCHEDULES.register("floored")
@dataclass(frozen=True)
class floored(Combined):
    """A schedule that is cut off at a floor, written `schedule.floored(floor)`.

    s(t) = max(floor, schedule(t)), and the warmup at its start as it is. The curve keeps its shape above the
    floor; `final` of a cosine bends all of it. floor: a factor of the peak, or a rate such as "1e-5lr".

    >>> from preheat.schedules import inverse_sqrt
    >>> inverse_sqrt(warmup=1, at="left").floored(0.5).resolve(8).table().round(4)
    array([0.    , 1.    , 0.7071, 0.5774, 0.5   , 0.5   , 0.5   , 0.5   ])
    """

    schedule: Rule
    floor: Level

    def segments(self, run: Horizon) -> tuple[Segment, ...]:
        floor, own = run.factor(self.floor), self.schedule.segments(run)
        warm = own[0].kind == "warmup"
        return (*own[:warm], *(part for s in own[warm:] for part in _above(s, floor)))

    def __str__(self) -> str:
        floor = f"{self.floor:g}" if isinstance(self.floor, float) else self.floor
        return f"{self.schedule}, at least {floor}"
