"""A schedule on a run of known length: a function of the step, closed form, no state.

The schedule is a function s(t) of the real position t in [0, T], in steps. Update k occupies [k, k + 1] and
sees one value of it:

    at      every="step"       every="epoch" (e = floor(k / n), n steps in an epoch)
    left    s(k)               s(e n)
    mid     s(k + 1/2)         s((e + 1/2) n)
    right   s(k + 1)           s((e + 1) n)

never beyond s(T). At a jump `left` and `mid` see the value after it, `right` the value before it: the side on
which the update lies. Past the end the last update's value holds.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple, Protocol, overload

import numpy as np

from preheat.core.errors import UserError, unknown
from preheat.core.lengths import Length, is_number
from preheat.schedules.curves import Array

AT = {"left": 0.0, "mid": 0.5, "right": 1.0}
EVERY = ("step", "epoch")


class Span(NamedTuple):
    """A stretch of the run, in steps."""

    begin: float
    end: float


class Form(Protocol):
    """What a schedule does on a span."""

    def value(self, t: Array, span: Span, *, after: bool) -> Array:
        """Factors at positions `t`; at a jump the value after it, or before it."""
        ...

    def area(self, span: Span) -> float:
        """The exact integral over the span."""
        ...

    def jumps(self, span: Span) -> list[float]:
        """Positions strictly inside the span where the value jumps."""
        ...


class Segment(NamedTuple):
    """A form at its place; `kind` is a word for pictures: warmup, stable, decay, cooldown, ..."""

    span: Span
    kind: str
    form: Form


class Horizon(NamedTuple):
    """What a schedule learns of its run: `total` steps (T), and how many make an epoch."""

    total: int
    per_epoch: float | None

    def steps(self, n: Length) -> float:
        """A length in steps, a real number."""
        return n.resolve(self.total, self.per_epoch)


class Boundary(NamedTuple):
    """A place where something begins or ends: the position in steps, words, the factor there (after a jump)."""

    step: float
    label: str
    factor: float


class Placeable(Protocol):
    """What `resolved` asks of a schedule."""

    @property
    def at(self) -> str:
        """left, mid or right."""
        ...

    @property
    def every(self) -> str:
        """step or epoch."""
        ...

    def segments(self, run: Horizon) -> tuple[Segment, ...]:
        """What it does, and where, on [0, T]."""
        ...

    def json(self) -> dict[str, Any]:
        """Its name and options."""
        ...


@dataclass(frozen=True)
class Resolved:
    """`schedule` on a run of `total` steps (T) with `per_epoch` steps in an epoch.

    Call it with a step (a float comes back) or an array of steps (a float64 array of the same shape).

    >>> from preheat.schedules import linear
    >>> rate = linear(warmup=2).resolve(6)
    >>> rate(0), rate(5), rate(99)
    (0.25, 0.125, 0.125)
    >>> rate.table()
    array([0.25 , 0.75 , 0.875, 0.625, 0.375, 0.125])
    >>> rate.mean()
    0.5
    """

    schedule: Placeable
    total: int
    per_epoch: float | None
    segments: tuple[Segment, ...] = field(repr=False, compare=False)

    @overload
    def __call__(self, step: int | float) -> float: ...
    @overload
    def __call__(self, step: Any) -> Any: ...
    def __call__(self, step: Any) -> Any:
        """The factor of update `step`, or of an array of updates."""
        k = np.minimum(_steps(step), self.total - 1)
        out = self.curve(self.positions(k), after=self.schedule.at != "right")
        return out if out.ndim else float(out)

    def table(self) -> Array:
        """The factors of all updates: [T]."""
        out: Array = self(np.arange(self.total))
        return out

    def positions(self, k: Array) -> Array:
        """Where on [0, T] the updates `k` take their factor (see the module's table)."""
        offset = AT[self.schedule.at]
        if self.schedule.every == "step":
            return k + offset
        assert self.per_epoch is not None
        return np.minimum((np.floor_divide(k, self.per_epoch) + offset) * self.per_epoch, self.total)

    def curve(self, t: Any, after: bool = True) -> Array:
        """s(t) at real positions t in [0, T], before any sampling; at a jump the value after (or before) it."""
        place = np.asarray(t, dtype=np.float64)
        if len(self.segments) == 1:
            return self._on(self.segments[0], place, after=after)
        flat = place.reshape(-1)
        order = np.argsort(flat, kind="stable")
        sorted_t = flat[order]
        inner = [segment.span.begin for segment in self.segments[1:]]
        cuts = [0, *np.searchsorted(sorted_t, inner, side="left" if after else "right"), flat.size]
        out = np.empty_like(flat)
        for segment, (a, b) in zip(self.segments, pairwise(cuts), strict=True):
            if a < b:
                out[order[a:b]] = self._on(segment, sorted_t[a:b], after=after)
        return out.reshape(place.shape)

    def _on(self, segment: Segment, t: Array, *, after: bool) -> Array:
        return np.asarray(segment.form.value(t, segment.span, after=after), dtype=np.float64)

    def mean(self) -> float:
        """(1/T) times the integral of s over the run, exact.

        The mean of `table()` with at="mid" differs from it by O(1/T^2), with "left" or "right" by O(1/T).
        """
        return math.fsum(s.form.area(s.span) for s in self.segments) / self.total

    def boundaries(self) -> list[Boundary]:
        """Start, end, and every change between: (step, label, factor), in order.

        >>> from preheat.schedules import wsd
        >>> for b in wsd(warmup=0.05, cooldown=0.2).resolve(1000).boundaries(): print(*b)
        0.0 start 0.0
        50.0 warmup ends 1.0
        800.0 cooldown starts 1.0
        1000.0 end 0.0
        """
        marks = [(0.0, "start")]
        before = ""
        for s in self.segments:
            if s.span.begin > 0:
                label = f"{before} ends" if before == "warmup" else f"{s.kind} starts"
                marks.append((s.span.begin, "drop" if s.kind == "drop" else label))
            marks += [(x, "drop") for x in s.form.jumps(s.span)]
            before = s.kind
        places = np.array([x for x, _ in marks])
        inner = [Boundary(x, label, float(y)) for (x, label), y in zip(marks, self.curve(places), strict=True)]
        return [*inner, Boundary(float(self.total), "end", float(self.curve(float(self.total), after=False)))]

    @property
    def warmup(self) -> float:
        """The steps of the initial rise, a real number; 0 if there is none."""
        first = self.segments[0]
        return first.span.end if first.kind == "warmup" else 0.0

    def json(self) -> dict[str, Any]:
        """The schedule's JSON with `total` and `per_epoch`: all that is needed to resolve it again."""
        return {"schedule": self.schedule.json(), "total": self.total, "per_epoch": self.per_epoch}


def resolved(schedule: Placeable, run: Horizon) -> Resolved:
    """The schedule on the run, after checking that its highest factor is 1."""
    if run.per_epoch is None and schedule.every == "epoch":
        raise UserError("every='epoch' needs the steps per epoch, got None: give per_epoch=..., or write every='step'")
    segments = schedule.segments(run)
    highest = max((float(s.form.value(np.array(s.span), s.span, after=True).max()) for s in segments), default=0.0)
    if highest != 1.0:
        raise UserError(f"a schedule's highest factor must be 1, got {highest:g}: let it reach 1 and change peak_lr instead")
    return Resolved(schedule, run.total, run.per_epoch, segments)


def horizon(total: int, per_epoch: float | None) -> Horizon:
    """`Horizon`, checked."""
    if isinstance(total, bool) or not hasattr(total, "__index__") or operator.index(total) < 1:
        raise UserError(f"a run's total must be a whole number of steps >= 1, got {total!r}: write total=1000")
    if per_epoch is None:
        return Horizon(operator.index(total), None)
    if not is_number(per_epoch) or per_epoch <= 0:
        raise UserError(f"per_epoch must be a finite number of steps > 0, got {per_epoch!r}: write per_epoch=100")
    return Horizon(operator.index(total), float(per_epoch))


def check_sampling(at: str, every: str) -> None:
    """Raise `UserError` unless `at` and `every` are known."""
    if not isinstance(at, str) or at not in AT:
        raise unknown("at (the place of an update)", at, AT)
    if every not in EVERY:
        raise unknown("every (how often the factor changes)", every, EVERY)


def _steps(step: Any) -> Array:
    """`step` as float64, checked: whole numbers from 0 on."""
    given = np.asarray(step)
    if given.size and given.dtype.kind not in "iuf":
        raise UserError(f"a step must be a whole number >= 0, got {step!r}: write resolved(0)")
    k = given.astype(np.float64)
    if given.dtype.kind == "f" and not (np.isfinite(k) & (k == np.floor(k))).all():
        raise UserError(f"a step must be a whole number >= 0, got {step!r}: the first update is step 0")
    if k.size and k.min() < 0:
        raise UserError(f"a step must be a whole number >= 0, got {k.min():g}: the first update is step 0")
    return k
