"""Warm restarts: one curve again and again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from preheat.core.errors import UserError
from preheat.core.lengths import Length, snug
from preheat.core.levels import Level
from preheat.core.registry import SCHEDULES
from preheat.schedules.curves import CURVES, Array
from preheat.schedules.form import Form, Span
from preheat.schedules.horizon import Horizon
from preheat.schedules.named import Named, above_0, above_0_to_1
from preheat.schedules.pieces import Piece
from preheat.schedules.quadrature import integral

_ROUNDING = 1e-14  # of a quotient of two steps
_CLOSE = 1e-9  # of the run: a cycle that would begin this near to the end is rounding, not a cycle


@dataclass(frozen=True)
class Cycles(Form):
    """Cycle n falls along `curve` between starts[n] and starts[n + 1].

    starts: counted from the span's begin, the last one at or behind its end; sums, so that whole numbers are
    exact. For cycles of one length they are multiples of `period`, and n is a floor; else n is found among
    the starts.
    """

    period: float
    starts: tuple[float, ...]
    peak_mult: float
    final: float
    curve: str
    power: float

    def value(self, t: Array, span: Span, *, after: bool) -> Array:
        n, left = (self._found if self.starts else self._floor)(t - span.begin, span, after)
        fall = CURVES[self.curve].value(np.clip(left, 0.0, 1.0), self.final, 1.0, self.power)
        if self.peak_mult == 1:
            return fall
        high = self.peak_mult**n
        out: Array = high * fall + (1 - high) * self.final
        return out

    def _found(self, x: Array, span: Span, after: bool) -> tuple[Any, Array]:
        """The number of the cycle at x steps, and the part of it that remains."""
        bounds = np.array(self.starts)
        n = np.searchsorted(bounds[1:-1], x, side="right" if after else "left")
        left: Array = (bounds[n + 1] - x) / np.diff(bounds)[n]
        return n, left

    def _floor(self, x: Array, span: Span, after: bool) -> tuple[Any, Array]:
        """The same for cycles of one length; a quotient that misses a whole number by rounding is that."""
        q = x / self.period
        whole = np.rint(q)
        n = np.where(np.abs(q - whole) <= _ROUNDING * whole, whole - (not after), np.floor(q))
        n = np.clip(n, 0.0, self._count(span) - 1)
        left: Array = ((n + 1) * self.period - x) / self.period
        return n, left

    def _count(self, span: Span) -> int:
        if self.starts:
            return len(self.starts) - 1
        return math.ceil(span.length / self.period * (1 - _CLOSE))

    def _bounds(self, span: Span) -> Array:
        if self.starts:
            return np.array(self.starts)
        return self.period * np.arange(self._count(span) + 1, dtype=np.float64)

    def area(self, span: Span) -> float:
        """Whole cycles in closed form, a last one that the run cuts off by quadrature."""
        bounds = self._bounds(span)
        whole = len(bounds) - (2 if bounds[-1] > span.length * (1 + _CLOSE) else 1)
        high = self.peak_mult ** np.arange(whole)
        mean = CURVES[self.curve].mean(self.final, 1.0, self.power)
        total = math.fsum((np.diff(bounds)[:whole] * (high * mean + (1 - high) * self.final)).tolist())
        if whole == len(bounds) - 1:
            return total
        last = span.begin + float(bounds[whole])
        return total + integral(lambda t: self.value(t, span, after=True), last, span.end)

    def jumps(self, span: Span) -> list[float]:
        """The restarts."""
        return [snug(span.begin + x) for x in self._bounds(span)[1:-1].tolist()]


@SCHEDULES.register("restarts")
@dataclass(frozen=True, kw_only=True)
class restarts(Named):
    """Warm restarts (SGDR): a fall from the peak to `final`, again and again.

    After the warmup cycle n = 0, 1, ... takes period * mult^n steps, and falls along `curve` (cosine; `power`
    where the curve has one) from its peak to `final`. Its factor is final + peak_mult^n (c - final), with c
    that of the first cycle at the same progress: with peak_mult below 1 each cycle is lower. The run may cut
    off its last cycle; it ends at `final` where the cycles add up to the run. With mult below 1 they must
    reach its end.

    >>> restarts(period=2, mult=2, at="left").resolve(6).table().round(6)
    array([1.      , 0.5     , 1.      , 0.853553, 0.5     , 0.146447])

    torch: CosineAnnealingWarmRestarts(T_0=period, T_mult=mult). Loshchilov and Hutter 2016, arXiv 1608.03983.
    """

    period: Length
    mult: float = 1.0
    peak_mult: float = 1.0
    final: Level = 0.0
    curve: str = "cosine"
    power: float | None = None

    def body(self) -> tuple[Piece, ...]:
        above_0("period", self.period, "'30ep' or '25%'")
        above_0("mult", self.mult, "2 for cycles that double, 1 for equal ones")
        above_0_to_1("peak_mult", self.peak_mult, "0.5 to halve each peak")
        return (Piece(None, 1.0, self.final, self.curve, self.power),)

    def decay(self, span: Span, run: Horizon) -> Form:
        period = run.steps(self.period)
        starts = () if self.mult == 1 else tuple(_starts(period, self.mult, span.length))
        return Cycles(period, starts, self.peak_mult, run.factor(self.final), self.curve, self.power or 1.0)


def _starts(period: float, mult: float, n: float) -> list[float]:
    """Where cycles begin, until one would begin at the end of `n` steps or behind it.

    >>> _starts(10.0, 2.0, 100.0)
    [0.0, 10.0, 30.0, 70.0, 150.0]
    """
    if mult < 1 and period / (1 - mult) <= n:
        raise UserError(
            f"cycles that shrink must reach the end of the run, got mult={mult:g} from {period:g} steps, "
            f"which never pass {period / (1 - mult):g} of {n:g} steps: write a larger mult or period"
        )
    out = [0.0]
    while out[-1] < n * (1 - _CLOSE):
        out.append(snug(out[-1] + period))
        period *= mult
    return out
