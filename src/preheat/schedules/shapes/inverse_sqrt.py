"""Inverse square root: no end is built in, so the run can be stopped or prolonged anywhere."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from preheat.core.errors import UserError
from preheat.core.lengths import Length, steps
from preheat.core.levels import Level
from preheat.core.registry import SCHEDULES
from preheat.core.space import Range, Values
from preheat.core.spec import LATER
from preheat.schedules.combine.forms import Both, Window
from preheat.schedules.curves import Array
from preheat.schedules.form import Form, Segment, Span
from preheat.schedules.horizon import Horizon
from preheat.schedules.named import Named, above_0
from preheat.schedules.pieces import Piece

_NONE = steps(0)
_CLOSE = 1e-12  # what `final` may lie above the law by rounding


@dataclass(frozen=True)
class Root(Form):
    """sqrt(timescale / (timescale + t - begin))."""

    timescale: float

    def value(self, t: Array, span: Span, *, after: bool) -> Array:
        out: Array = np.sqrt(self.timescale / (self.timescale + (t - span.begin)))
        return out

    def area(self, span: Span) -> float:
        """2 sqrt(c) (sqrt(c + n) - sqrt(c)) on n steps."""
        n, c = span.length, self.timescale
        return 2 * math.sqrt(c) * n / (math.sqrt(c + n) + math.sqrt(c))


@SCHEDULES.register("inverse_sqrt")
@dataclass(frozen=True, kw_only=True)
class inverse_sqrt(Named):
    """A warmup, then one over the square root of time (Transformer, "Noam").

    With W steps of warmup and the timescale c: s = sqrt(c / (c + t - W)) after the warmup. c is W unless
    given, and then s = sqrt(W / t): min(t / W, sqrt(W / t)) with a linear warmup. With no warmup a timescale
    is needed. The larger c, the slower the fall; it has no end. Over the last `cooldown` steps it is
    multiplied by a fall along `cooldown_curve` that ends at `final` of the peak. With a floor:
    `inverse_sqrt(...).floored(0.1)`.

    >>> inverse_sqrt(warmup=4, at="right").resolve(16).table()[[0, 3, 8, 15]].round(6)
    array([0.25    , 1.      , 0.666667, 0.5     ])

    Vaswani et al. 2017, arXiv 1706.03762; timescale apart from the warmup: Zhai et al. 2022, arXiv
    2106.04560.
    """

    timescale: Length | None = None
    cooldown: Length = field(default=_NONE, metadata=LATER)
    cooldown_curve: str = field(default="linear", metadata=LATER)
    cooldown_power: float | None = field(default=None, metadata=LATER)
    final: Level = field(default=0.0, metadata=LATER)

    @classmethod
    def space(cls, epochs: int, per_epoch: int) -> Values:
        return {"warmup": Range(0.01, 0.2, start=0.05)}  # its timescale where none is given

    def body(self) -> tuple[Piece, ...]:
        if self.timescale is None and not self.warmup:
            write = "write warmup='5%' or timescale=1000"
            raise UserError(f"inverse_sqrt takes its timescale from the warmup, got warmup 0: {write}")
        above_0("timescale", self.timescale, "timescale=1000")
        given = (self.cooldown_curve, self.cooldown_power, self.final)
        if not self.cooldown and given != ("linear", None, 0.0):
            write = "write cooldown='10%', or inverse_sqrt(...).floored(0.1) for a floor"
            raise UserError(f"cooldown_curve and final belong to a cooldown, got cooldown 0: {write}")
        fall = Piece(self.cooldown, 1.0, self.final, self.cooldown_curve, self.cooldown_power)
        return (Piece(None, 1.0, 1.0), *([fall] if self.cooldown else []))

    def segments(self, run: Horizon) -> tuple[Segment, ...]:
        warm, left = self.warmed(run)
        root, end = Root(run.steps(self.timescale or self.warmup)), np.array(left.end)
        body = super().segments(run)[len(warm) :]
        if not self.cooldown:
            return (*warm, *(s._replace(kind="decay", form=root) for s in body))
        reached = float(root.value(end, left, after=True))
        return (*warm, *(self._under(root, left, s, final=run.factor(self.final) / reached) for s in body))

    def _under(self, root: Root, left: Span, segment: Segment, *, final: float) -> Segment:
        """A segment times the root, which begins with `left`; `final`: of its last value."""
        law = root if segment.span == left else Window(root, left)
        if segment.span.end < left.end or not isinstance(segment.form, Piece):
            return segment._replace(kind="decay", form=law)
        if final > 1 + _CLOSE:
            write = "write a lower final, or a floor: inverse_sqrt(...).floored(0.1)"
            raise UserError(f"final must not lie above the law's own end, got {self.final}: {write}")
        return segment._replace(kind="cooldown", form=Both(law, replace(segment.form, end=min(final, 1.0))))
