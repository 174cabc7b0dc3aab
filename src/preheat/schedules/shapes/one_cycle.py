"""One cycle: up and down once."""

from __future__ import annotations

from dataclasses import dataclass, field

from preheat.core.errors import UserError
from preheat.core.lengths import Length, fraction
from preheat.core.levels import Level
from preheat.core.registry import SCHEDULES
from preheat.core.space import Range, Values
from preheat.core.spec import LATER
from preheat.schedules.named import Named
from preheat.schedules.pieces import Piece

_RISE = fraction(0.3)


@SCHEDULES.register("one_cycle")
@dataclass(frozen=True, kw_only=True)
class one_cycle(Named):
    """A long rise over the first 30 %, then a fall far below the start (super-convergence).

    From warmup_start = 1/25 to 1 along `warmup_curve` (cosine), then to `final` = 4e-6 along `curve` (cosine;
    `power` where the curve has one). three_phase: from 1 back to warmup_start in as many steps as the rise
    took, and from there to `final`. The defaults are those of torch's OneCycleLR: div_factor 25,
    final_div_factor 1e4, pct_start 0.3.

    >>> [round(float(x), 3) for x in one_cycle(at="left").resolve(10).table()]
    [0.04, 0.28, 0.76, 1.0, 0.95, 0.812, 0.611, 0.389, 0.188, 0.05]

    torch reaches the peak at step pct_start T - 1 and `final` at step T - 1. The same table, for whole
    W = pct_start T: Pieces([Piece(W - 1, 1/25, 1, "cosine"), Piece(None, 1, 4e-6, "cosine"), Piece(1, 4e-6,
    4e-6)], at="left"). Smith and Topin 2017, arXiv 1708.07120.
    """

    warmup: Length = _RISE
    warmup_curve: str = "cosine"
    warmup_start: Level = 0.04
    curve: str = "cosine"
    power: float | None = None
    final: Level = 4e-6
    three_phase: bool = field(default=False, metadata=LATER)

    @classmethod
    def space(cls, epochs: int, per_epoch: int) -> Values:
        return {"warmup": Range(0.1, 0.5, start=0.3)}

    def body(self) -> tuple[Piece, ...]:
        if not self.three_phase:
            return (Piece(None, 1.0, self.final, self.curve, self.power),)
        if not self.warmup:
            write = "write warmup='30%', or three_phase=False"
            raise UserError(f"three phases need a rise, got warmup {self.warmup}: {write}")
        back = Piece(self.warmup, 1.0, self.warmup_start, self.curve, self.power)
        return (back, Piece(None, self.warmup_start, self.final, self.curve, self.power))
