"""Damping factors: warmups that follow from Adam's beta2 and are multiplied with any schedule.

    radam(beta2=0.999) * cosine()

t is the position in the run, in steps. The papers count updates from 1: at="right" gives their values. Some
of these factors approach 1 and never reach it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from preheat.core.errors import UserError
from preheat.core.lengths import Length, snug
from preheat.core.registry import SCHEDULES
from preheat.schedules.curves import Array
from preheat.schedules.pieces import Piece, tidy_length
from preheat.schedules.quadrature import integral
from preheat.schedules.resolved import Horizon, Segment, Span
from preheat.schedules.rule import Rule
from preheat.schedules.rules import beta
from preheat.schedules.sampling import check_sampling


@dataclass(frozen=True, kw_only=True)
class Damping(Rule):
    """What the damping factors share: beta2 of Adam and the sampling options. An abstract base."""

    beta2: float = 0.999
    at: str = "mid"
    every: str = "step"

    peaks: ClassVar[bool] = False
    least: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "beta2", beta("beta2", self.beta2, self.least))
        check_sampling(self.at, self.every)

    @property
    def rate(self) -> float:
        """-ln beta2."""
        return -math.log1p(-(1 - self.beta2))

    def __str__(self) -> str:
        said = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        return type(self).__name__ + (f"({', '.join(f'{k}={v}' for k, v in said.items())})" if said else "")


@dataclass(frozen=True)
class Saturating:
    """(1 - exp(-rate t))^power. A form (see `preheat.schedules.resolved`), as the next one is."""

    rate: float
    power: float

    def value(self, t: Array, span: Span, *, after: bool) -> Array:
        """The factors at positions `t`."""
        out: Array = -np.expm1(-self.rate * t)
        return out if self.power == 1 else np.sqrt(out)

    def area(self, span: Span) -> float:
        """By quadrature: the closed form loses its digits in a short run."""
        return integral(lambda t: self.value(t, span, after=True), *span)

    def jumps(self, span: Span) -> list[float]:
        """None."""
        return []


@dataclass(frozen=True)
class Rectifier:
    """The rectification of RAdam at t + shift updates, 0 where it is not defined. A form.

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
        """The factors at positions `t`."""
        rho, most = np.maximum(self.rho(t + self.shift), 4.0), 1 / math.tanh(self.q)
        out: Array = np.sqrt((rho - 4) / (most - 4) * ((rho - 2) / (most - 2)) * (most / rho))
        return np.minimum(out, 1.0)

    def area(self, span: Span) -> float:
        """By quadrature."""
        return integral(lambda t: self.value(t, span, after=True), *span)

    def jumps(self, span: Span) -> list[float]:
        """None."""
        return []


def _langevin(y: Any) -> Any:
    """coth y - 1/y for 0 <= y <= 1, by its continued fraction y / (3 + y^2 / (5 + ...))."""
    square, tail = y * y, 19.0
    for odd in (17, 15, 13, 11, 9, 7, 5, 3):
        tail = odd + square / tail
    return y / tail


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
        """The rise and what follows it."""
        period, end = snug(2 / (1 - self.beta2)), float(run.total)
        if end <= period:
            return (Segment(Span(0.0, end), "warmup", Piece(None, 0.0, end / period)),)
        rise = Segment(Span(0.0, period), "warmup", Piece(None, 0.0, 1.0))
        return (rise, Segment(Span(period, end), "stable", Piece(None, 1.0, 1.0)))


@SCHEDULES.register("untuned_exponential")
@dataclass(frozen=True, kw_only=True)
class untuned_exponential(Damping):
    """Untuned exponential warmup for Adam: a rise that slows down as it nears 1.

    w = 1 - exp(-t / period), with a period of 1 / (1 - beta2) steps unless it is given; then beta2 is not
    used.

    >>> untuned_exponential(beta2=0.5, at="right").resolve(3).table().round(6)
    array([0.393469, 0.632121, 0.77687 ])

    Ma and Yarats 2019, arXiv 1910.04209.
    """

    period: Length | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.period is not None:
            object.__setattr__(self, "period", tidy_length(self.period))
        if self.period is not None and not self.period:
            raise UserError(f"period must be above 0, got {self.period}: write period=1000")

    def segments(self, run: Horizon) -> tuple[Segment, ...]:
        """One rise."""
        rate = 1 - self.beta2 if self.period is None else 1 / run.steps(self.period)
        return (Segment(Span(0.0, float(run.total)), "damping", Saturating(rate, 1.0)),)


@SCHEDULES.register("gi_adam")
@dataclass(frozen=True, kw_only=True)
class gi_adam(Damping):
    """The warmup that GI-Adam amounts to: Adam whose second moment starts from the first gradient.

    w = sqrt(1 - beta2^t).

    >>> gi_adam(beta2=0.75, at="right").resolve(3).table().round(6)
    array([0.5     , 0.661438, 0.760345])

    Kalra and Barkeshli 2024, arXiv 2406.09405.
    """

    def segments(self, run: Horizon) -> tuple[Segment, ...]:
        """One rise."""
        return (Segment(Span(0.0, float(run.total)), "damping", Saturating(self.rate, 0.5)),)


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
        """Nothing while it is not defined, then one rise."""
        shift = 0
        while Rectifier(self.rate / 2, shift).rho(1 + shift) <= 4:
            shift += 1
        form, end = Rectifier(self.rate / 2, shift), float(run.total)
        begin = min(form.begin(), end)
        off = Segment(Span(0.0, begin), "hold", Piece(None, 0.0, 0.0))
        return tuple(
            s for s in (off, Segment(Span(begin, end), "damping", form)) if s.span.begin < s.span.end
        )
