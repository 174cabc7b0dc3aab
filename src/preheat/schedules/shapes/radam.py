"""RAdam's rectification as a warmup, a damping factor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from preheat.core.registry import SCHEDULES
from preheat.schedules.curves import Array
from preheat.schedules.damping import Damping
from preheat.schedules.form import Form, Segment, Span
from preheat.schedules.horizon import Horizon
from preheat.schedules.pieces import Piece


@dataclass(frozen=True)
class Rectifier(Form):
    """The rectification of RAdam at t + shift updates, 0 where it is not defined.

    With q = -ln(beta2) / 2 and L(y) = coth y - 1/y the paper's rho_t is t (1 - L(q t)) + L(q), where nothing
    cancels.
    """

    q: float
    shift: int

    def rho(self, n: Any) -> Any:
        """rho after `n` updates."""
        y = self.q * n
        near = n * (1 - _langevin(np.minimum(y, 1.0)))
        far = 1 / self.q - 2 * n / np.expm1(2 * np.minimum(np.maximum(y, 1.0), 300.0))
        return np.where(y < 1, near, far) + _langevin(self.q)

    def begin(self) -> float:
        """The position at which rho passes 4, by bisection: it lies in [0, 1)."""
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if self.rho(middle + self.shift) < 4 else (low, middle)
        return high if low else 0.0

    def value(self, t: Array, span: Span, *, after: bool) -> Array:
        rho, most = np.maximum(self.rho(t + self.shift), 4.0), 1 / math.tanh(self.q)
        out: Array = np.sqrt((rho - 4) / (most - 4) * ((rho - 2) / (most - 2)) * (most / rho))
        return np.minimum(out, 1.0)


def _langevin(y: Any) -> Any:
    """coth y - 1/y for 0 <= y <= 1, by its continued fraction y / (3 + y^2 / (5 + ...))."""
    square, tail = y * y, 19.0
    for odd in (17, 15, 13, 11, 9, 7, 5, 3):
        tail = odd + square / tail
    return y / tail


@SCHEDULES.register("radam")
@dataclass(frozen=True, kw_only=True)
class radam(Damping):
    """RAdam's rectification as a warmup for Adam, from the first update at which it is defined.

    With rho_n = rho - 2 n beta2^n / (1 - beta2^n), rho = 2 / (1 - beta2) - 1, and n = t + d - 1, where d is
    the first whole number with rho_d > 4 (5 for usual beta2):

        w = sqrt((rho_n - 4)(rho_n - 2) rho / ((rho - 4)(rho - 2) rho_n))        0 where rho_n <= 4

    RAdam itself has no shift and takes its first d - 1 updates without the second moment. beta2 is above 0.6.

    >>> radam(at="right").resolve(1000).table()[[0, 9, 99, 999]].round(4)
    array([0.0173, 0.0655, 0.2198, 0.6464])

    Liu et al. 2019, arXiv 1908.03265; as a warmup: Ma and Yarats 2019, arXiv 1910.04209.
    """

    least: ClassVar[float] = 0.6

    def segments(self, run: Horizon) -> tuple[Segment, ...]:
        shift = 0
        while Rectifier(self.rate / 2, shift).rho(1 + shift) <= 4:
            shift += 1
        form, end = Rectifier(self.rate / 2, shift), float(run.total)
        begin = min(form.begin(), end)
        off = Segment(Span(0.0, begin), "hold", Piece(None, 0.0, 0.0))  # while it is not defined
        rise = Segment(Span(begin, end), "damping", form)
        return tuple(s for s in (off, rise) if s.span.begin < s.span.end)
