"""Warmup, stable, decay: the trapezoid."""

from __future__ import annotations

from dataclasses import dataclass

from preheat.core.lengths import Length, fraction
from preheat.core.levels import Level
from preheat.core.registry import SCHEDULES
from preheat.core.space import Range, Values
from preheat.schedules.named import Named
from preheat.schedules.pieces import Piece

_FALL = fraction(0.2)


@SCHEDULES.register("wsd")
@dataclass(frozen=True, kw_only=True)
class wsd(Named):
    """Warmup, a long stable stretch at the peak, and a cooldown to `final` (the trapezoid).

    With W steps of warmup and D of cooldown: s = 1 from W to T - D, then along `cooldown_curve` to `final` at
    T. v = (t - T + D) / D is the progress through the cooldown:

        linear 1 - v    1-sqrt 1 - sqrt(v)    square 1 - v^2    cosine c = (1 + cos(pi v)) / 2, or
        c^cooldown_power sqrt sqrt(1 - v)    mirror_cosine 2 (1 - v) - c    polynomial (1 - v)^cooldown_power
        exponential final^v, final > 0

    W + D must be at most T; a cooldown of 0 leaves it out.

    >>> wsd(warmup=1, cooldown=0.5, at="left").resolve(8).table()
    array([0.  , 1.  , 1.  , 1.  , 1.  , 0.75, 0.5 , 0.25])

    Hu et al. 2024 (MiniCPM), arXiv 2404.06395; a fifth of the run and 1-sqrt, square, mirror_cosine: Hagele
    et al. 2024, arXiv 2405.18392.
    """

    cooldown: Length = _FALL
    cooldown_curve: str = "linear"
    cooldown_power: float | None = None
    final: Level = 0.0

    @classmethod
    def space(cls, epochs: int, per_epoch: int) -> Values:
        return {**super().space(epochs, per_epoch), "cooldown": Range(0.05, 0.5, start=0.2)}

    def body(self) -> tuple[Piece, ...]:
        fall = Piece(self.cooldown, 1.0, self.final, self.cooldown_curve, self.cooldown_power)
        return (Piece(None, 1.0, 1.0), *([fall] if self.cooldown else []))
