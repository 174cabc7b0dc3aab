"""Drops: the rate is held, and cut by a factor at given places."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from preheat.core.errors import UserError
from preheat.core.lengths import Length, fraction
from preheat.core.registry import SCHEDULES
from preheat.schedules.curves import Array
from preheat.schedules.form import Form, Segment, Span
from preheat.schedules.horizon import Horizon
from preheat.schedules.named import Named, above_0
from preheat.schedules.pieces import Piece
from preheat.schedules.points import lengths


@dataclass(frozen=True)
class Stairs(Form):
    """gamma^floor(t / period), t counted from the start of the run."""

    gamma: float
    period: float

    def value(self, t: Array, span: Span, *, after: bool) -> Array:
        n = np.floor_divide(t, self.period)
        if not after:
            n = n - (n * self.period == t)
        out: Array = self.gamma ** np.maximum(n, 0.0)
        return out

    def area(self, span: Span) -> float:
        """A geometric sum of whole stairs and the parts at both ends."""
        return self._from_zero(span.end) - self._from_zero(span.begin)

    def _from_zero(self, t: float) -> float:
        n = t // self.period
        level = float(self.gamma**n)
        return self.period * (1 - level) / (1 - self.gamma) + (t - n * self.period) * level

    def jumps(self, span: Span) -> list[float]:
        last = math.ceil(span.end / self.period)
        return [x for n in range(1, last + 1) if span.begin < (x := n * self.period) < span.end]


@SCHEDULES.register("step")
@dataclass(frozen=True, kw_only=True)
class step(Named):
    """The rate held, and multiplied by `gamma` at each of some `milestones` or after every `period`.

    s = gamma^n after n drops. Both are counted from the start of the run, warmup included, as recipes state
    them ("divided by 10 at epochs 30, 60, 80"); the warmup must be over at the first drop. Without either the
    drops are at 50 % and 75 % of the run (He et al. 2015). Milestones rise and lie inside the run.

    >>> step(period="1ep", gamma=0.5).resolve(6, per_epoch=2).table()
    array([1.  , 1.  , 0.5 , 0.5 , 0.25, 0.25])
    >>> step(milestones=["50%", "75%"], warmup=1).resolve(4).table()
    array([0.5 , 1.  , 0.1 , 0.01])

    Equal to torch's StepLR and MultiStepLR, whatever `at`. He et al. 2015, arXiv 1512.03385.
    """

    gamma: float = 0.1
    period: Length | None = None
    milestones: tuple[Length, ...] = ()

    def __post_init__(self) -> None:
        milestones = lengths("milestones", self.milestones, "['50%', '75%'] or ['30ep', '60ep']")
        if self.period is None and not milestones:
            milestones = (fraction(0.5), fraction(0.75))
        object.__setattr__(self, "milestones", milestones)
        super().__post_init__()

    def body(self) -> tuple[Piece, ...]:
        if not 0 < self.gamma < 1:
            raise UserError(f"gamma must be above 0 and below 1, got {self.gamma:g}: write 0.1 for a tenth")
        if self.period is not None and self.milestones:
            both = f"{self.period} and {self.milestones}"
            raise UserError(f"a step schedule has a period or milestones, got {both}: leave one out")
        above_0("period", self.period, "'30ep' or '25%'")
        return (Piece(None, 1.0, 1.0),)

    def segments(self, run: Horizon) -> tuple[Segment, ...]:
        places = [run.steps(m) for m in ([self.period] if self.period else self.milestones)]
        warm, (begin, end) = self.warmed(run)
        if not all(a < b for a, b in pairwise([0.0, *places, end])):
            got = ", ".join(f"{p:g}" for p in places)
            raise UserError(
                f"drops must come one after the other inside the run of {run.total} steps, got them at "
                f"{got}: write rising milestones below {run.total}, or a shorter period"
            )
        if begin > places[0]:
            first = f"step {places[0]:g}, got {begin:g} steps"
            raise UserError(f"the warmup must be over at the first drop, {first}: shorten it")
        if self.period is not None:
            return (*warm, Segment(Span(begin, end), "stable", Stairs(self.gamma, places[0])))
        return (*warm, *self._levels([begin, *places, end]))

    def _levels(self, bounds: list[float]) -> list[Segment]:
        spans = [(a, b, self.gamma**n) for n, (a, b) in enumerate(pairwise(bounds)) if a < b]
        return [Segment(Span(a, b), "stable" if y == 1 else "drop", Piece(None, y, y)) for a, b, y in spans]
