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
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple, overload

import numpy as np

from preheat.core.errors import UserError
from preheat.core.registry import SCHEDULES
from preheat.schedules.curves import Array
from preheat.schedules.form import Segment
from preheat.schedules.horizon import Horizon
from preheat.schedules.sampling import AT, whole_steps

_BLOCK = 32_768  # updates tabulated at once: their arrays stay in the cache


class Boundary(NamedTuple):
    """Where something begins or ends: the position in steps, words, the factor there (after a jump)."""

    step: float
    label: str
    factor: float


class Placeable(ABC):
    """What `resolved` asks of a schedule.

    peaks: whether the highest factor is 1. at: left, mid or right. every: step or epoch.
    """

    peaks: ClassVar[bool] = True
    at: str
    every: str

    @abstractmethod
    def segments(self, run: Horizon) -> tuple[Segment, ...]:
        """What it does, and where, on [0, T]."""

    @abstractmethod
    def json(self) -> dict[str, Any]:
        """Its name and options."""


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
    run: Horizon
    segments: tuple[Segment, ...] = field(repr=False, compare=False)

    @property
    def total(self) -> int:
        """The number of updates, T."""
        return int(self.run.total)

    @property
    def per_epoch(self) -> float | None:
        """The steps in an epoch, or None."""
        return self.run.per_epoch

    @overload
    def __call__(self, step: int | float) -> float: ...
    @overload
    def __call__(self, step: Any) -> Any: ...
    def __call__(self, step: Any) -> Any:
        """The factor of update `step`, or of an array of updates."""
        k = np.minimum(whole_steps(step), self.total - 1)
        out = self.curve(self.positions(k), after=self.schedule.at != "right")
        return out if out.ndim else float(out)

    def table(self) -> Array:
        """The factors of all updates: [T]."""
        out, after = np.empty(self.total), self.schedule.at != "right"
        for begin in range(0, self.total, _BLOCK):
            k = np.arange(begin, min(begin + _BLOCK, self.total), dtype=np.float64)
            out[begin : begin + k.size] = self._in_order(self.positions(k), after=after)
        return out

    def positions(self, k: Array) -> Array:
        """Where on [0, T] the updates `k` take their factor (see the module's table)."""
        offset = AT[self.schedule.at]
        if self.schedule.every == "step":
            return k + offset
        assert self.per_epoch is not None
        return np.minimum((np.floor_divide(k, self.per_epoch) + offset) * self.per_epoch, self.total)

    def curve(self, t: Any, after: bool = True) -> Array:
        """s(t) at real positions t in [0, T], before any sampling; at a jump the value after, or before."""
        place = np.asarray(t, dtype=np.float64)
        if len(self.segments) == 1:
            return self._on(self.segments[0], place, after=after)
        flat = place.reshape(-1)
        order = np.argsort(flat, kind="stable")
        out = np.empty_like(flat)
        out[order] = self._in_order(flat[order], after=after)
        return out.reshape(place.shape)

    def _in_order(self, t: Array, *, after: bool) -> Array:
        """s(t) at positions that do not fall."""
        inner = [segment.span.begin for segment in self.segments[1:]]
        cuts = [0, *np.searchsorted(t, inner, side="left" if after else "right").tolist(), t.size]
        parts = [
            self._on(s, t[a:b], after=after)
            for s, (a, b) in zip(self.segments, pairwise(cuts), strict=True)
            if a < b
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts or [t])

    def _on(self, segment: Segment, t: Array, *, after: bool) -> Array:
        return np.asarray(segment.form.value(t, segment.span, after=after), dtype=np.float64)

    def mean(self) -> float:
        """(1/T) times the integral of s over the run, exact.

        The mean of `table()` with at="mid" differs from it by O(1/T^2), with "left" or "right" by O(1/T).
        """
        return math.fsum(s.form.area(s.span) for s in self.segments) / self.total

    def extend(self, total: int, *, at: int, how: str = "continue", **options: Any) -> Resolved:
        """The same schedule until update `at`, and from there to a new `total`, without a jump.

        how: "continue" (the rule itself under the new total; only where it has the same factor at `at`),
        "rescale" (what was left is stretched or shrunk to what is left now), "cooldown" (from the factor at
        `at` to `final` along `curve`; with `length` only over the last `length` steps). Errors: UserError
        where that would jump or leave the run.

        >>> from preheat.schedules import cosine
        >>> longer = cosine(at="left").resolve(100).extend(200, at=50, how="rescale")
        >>> [round(longer(k), 3) for k in (0, 49, 50, 53, 199)]
        [1.0, 0.516, 0.5, 0.484, 0.0]
        """
        options |= {"was": self.total, "place": at, "how": how}
        longer = SCHEDULES["extended"](self.schedule, **options)
        known = {k: v for k, v in self.run._asdict().items() if k != "total"}
        out: Resolved = longer.resolve(total, **known)
        return out

    def sparkline(self, width: int = 60) -> str:
        """The shape as one line of text.

        >>> from preheat.schedules import wsd
        >>> wsd(warmup=0.25, cooldown=0.5).resolve(1000).sparkline(16)
        '▂▄▆██████▇▆▅▄▃▂▁'
        """
        y = self.curve((np.arange(width) + 0.5) * self.total / width)
        return "".join("▁▂▃▄▅▆▇█"[min(int(v * 8), 7)] for v in y)

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
            for x in s.form.jumps(s.span):
                falls = self.curve(x, after=False) >= self.curve(x)
                marks.append((x, "drop" if falls else "jump"))
            before = s.kind
        factors = self.curve([x for x, _ in marks]).tolist()
        inner = [Boundary(x, label, y) for (x, label), y in zip(marks, factors, strict=True)]
        end = float(self.total)
        return [*inner, Boundary(end, "end", float(self.curve(end, after=False)))]

    @property
    def warmup(self) -> float:
        """The steps of the initial rise, a real number; 0 if there is none."""
        first = self.segments[0]
        return first.span.end if first.kind == "warmup" else 0.0

    def json(self) -> dict[str, Any]:
        """The schedule's JSON, `total`, `per_epoch` and what else was given: enough to resolve it again."""
        told = self.run._asdict()
        kept = {k: v for k, v in told.items() if k in ("total", "per_epoch") or v is not None}
        return {"schedule": self.schedule.json(), **kept}


def resolved(schedule: Placeable, run: Horizon) -> Resolved:
    """The schedule on the run, after checking that its highest factor is 1."""
    if run.per_epoch is None and schedule.every == "epoch":
        instead = ", or write every='step'" if "every" in schedule.json() else ""
        raise UserError(f"every='epoch' needs the steps per epoch, got None: give per_epoch=...{instead}")
    segments = schedule.segments(run)
    ends = [float(s.form.value(np.array(s.span), s.span, after=True).max()) for s in segments]
    highest = max(ends, default=0.0)
    if highest > 1.0 or (schedule.peaks and highest != 1.0):
        raise UserError(
            f"a schedule's highest factor must be 1, got {highest:g}: let it reach 1, and change peak_lr"
        )
    return Resolved(schedule, run, segments)
