"""k-decay: any curve of the library, with its progress bent by a power."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from preheat.core.levels import Level
from preheat.core.registry import SCHEDULES
from preheat.core.space import Range, Values
from preheat.schedules.curves import CURVES, Array
from preheat.schedules.form import Form, Span
from preheat.schedules.horizon import Horizon
from preheat.schedules.named import Named, above_0
from preheat.schedules.pieces import Piece


@dataclass(frozen=True)
class Bent(Form):
    """The curve at the progress u^k."""

    k: float
    curve: str
    power: float
    final: float

    def value(self, t: Array, span: Span, *, after: bool) -> Array:
        left = (span.end - t) / span.length
        with np.errstate(divide="ignore"):  # at the very start ln(0) is right: nothing is over
            x = -np.expm1(self.k * np.log1p(-left))  # 1 - u^k
        return CURVES[self.curve].value(x, self.final, 1.0, self.power)


@SCHEDULES.register("k_decay")
@dataclass(frozen=True, kw_only=True)
class k_decay(Named):
    """A curve whose progress u is u^k: for k above 1 the rate stays high for longer.

    s is the fall along `curve` (cosine; `power` where the curve has one) from 1 to `final`, taken at u^k in
    place of u in [0, 1], the progress after the warmup. k = 1 is the curve itself.

    >>> k_decay(k=2, at="left").resolve(4).table().round(6)
    array([1.      , 0.990393, 0.853553, 0.402455])

    timm: CosineLRScheduler(k_decay=k) and PolyLRScheduler(k_decay=k). Zhang and Li 2020, arXiv 2004.05909.
    """

    k: float
    curve: str = "cosine"
    power: float | None = None
    final: Level = 0.0

    @classmethod
    def space(cls, epochs: int, per_epoch: int) -> Values:
        return {**super().space(epochs, per_epoch), "k": Range(0.5, 3.0, start=1.5)}

    def body(self) -> tuple[Piece, ...]:
        above_0("k", self.k, "2, or 1 for the curve itself")
        return (Piece(None, 1.0, self.final, self.curve, self.power),)

    def decay(self, span: Span, run: Horizon) -> Form:
        return Bent(self.k, self.curve, self.power or 1.0, run.factor(self.final))
