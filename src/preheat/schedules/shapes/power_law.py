"""Power law: the power scheduler, whose rate depends on the tokens seen and not on the length of the run."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from preheat.core.errors import UserError
from preheat.core.lengths import Length, fraction
from preheat.core.levels import Level
from preheat.core.registry import SCHEDULES
from preheat.schedules.combine.forms import Both, clipped
from preheat.schedules.curves import Array
from preheat.schedules.form import Form, Segment, Span
from preheat.schedules.horizon import Horizon
from preheat.schedules.named import Named, above_0
from preheat.schedules.pieces import Piece

_FALL = fraction(0.1)
_CLOSE = 1e-12  # what `final` may lie above the law by rounding


@dataclass(frozen=True)
class Law(Form):
    """(onset / t)^exponent for t >= onset."""

    onset: float
    exponent: float

    def value(self, t: Array, span: Span, *, after: bool) -> Array:
        out: Array = np.power(self.onset / np.maximum(t, self.onset), self.exponent)
        return out

    def area(self, span: Span) -> float:
        """Exact also where the exponent is 1."""
        grown, a = math.log(span.end / span.begin), 1 - self.exponent
        scale = span.begin * float((self.onset / span.begin) ** self.exponent)
        return scale * (math.expm1(a * grown) / a if a else grown)


@SCHEDULES.register("power_law")
@dataclass(frozen=True, kw_only=True)
class power_law(Named):
    """Power scheduler: the peak until `onset`, then a power of the time, and a cooldown.

    s = min(1, (onset / t)^exponent), t counted from the start of the run, warmup included: it does not know
    the run's length. Over the last `cooldown` steps it is multiplied by a fall along `cooldown_curve` that
    ends at `final` of the peak. The warmup must be over at the onset; a cooldown of 0 leaves it out.

    >>> power_law(onset=2, exponent=0.5, cooldown=0, at="right").resolve(8).table().round(6)
    array([1.      , 1.      , 0.816497, 0.707107, 0.632456, 0.57735 ,
           0.534522, 0.5     ])

    With a rate of a n^-b at n tokens and the peak p: onset (p / a)^(-1/b) tokens, exponent b.
    Shen et al. 2024, arXiv 2408.13359.
    """

    onset: Length
    exponent: float = 0.51
    cooldown: Length = _FALL
    cooldown_curve: str = "exponential"
    cooldown_power: float | None = None
    final: Level = 0.01

    def body(self) -> tuple[Piece, ...]:
        above_0("onset", self.onset, "'10%' or '1e9tok'")
        above_0("exponent", self.exponent, "0.51")
        fall = Piece(self.cooldown, 1.0, self.final, self.cooldown_curve, self.cooldown_power)
        return (Piece(None, 1.0, 1.0), *([fall] if self.cooldown else []))

    def segments(self, run: Horizon) -> tuple[Segment, ...]:
        law = Law(run.steps(self.onset), self.exponent)
        out: list[Segment] = []
        for s in super().segments(run):
            if s.kind == "warmup" and s.span.end > law.onset:
                onset = f"step {law.onset:g}, got {s.span.end:g} steps"
                raise UserError(f"the warmup must be over at the onset, {onset}: shorten the warmup")
            out += [s] if s.kind == "warmup" else self._under(law, s, run)
        return tuple(out)

    def _under(self, law: Law, segment: Segment, run: Horizon) -> list[Segment]:
        """A segment times the law, cut at the onset."""
        begin, end = segment.span
        if isinstance(segment.form, Piece) and end == run.total and self.cooldown:
            reached = float(law.value(np.array(end), segment.span, after=True))
            final = run.factor(self.final) / reached
            if final > 1 + _CLOSE:
                end_of_law = f"factor {reached:.6g}, got {self.final}"
                raise UserError(
                    f"final must not lie above the power law's own end, {end_of_law}: write a lower final, "
                    "or cooldown=0"
                )
            segment = segment._replace(form=replace(segment.form, end=min(final, 1.0)))
        bounds = sorted({begin, min(max(law.onset, begin), end), end})
        parts = [clipped(segment, Span(a, b)) for a, b in pairwise(bounds)]
        return [s if s.span.end <= law.onset else _times(law, s) for s in parts]


def _times(law: Law, segment: Segment) -> Segment:
    if segment.kind == "stable":
        return segment._replace(kind="decay", form=law)
    return segment._replace(form=Both(law, segment.form))
