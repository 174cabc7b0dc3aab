"""A power of the remaining time.

u = (t - W) / (T - W) is the progress after a warmup of W steps of T, at the position t of the update.
"""

from __future__ import annotations

from dataclasses import dataclass

from preheat.core.levels import Level
from preheat.core.registry import SCHEDULES
from preheat.core.space import Range, Values
from preheat.schedules.named import Named
from preheat.schedules.pieces import Piece


@SCHEDULES.register("polynomial")
@dataclass(frozen=True, kw_only=True)
class polynomial(Named):
    """A power of the remaining time, from the peak to `final` at the end of the run.

    s = final + (1 - final)(1 - u)^power. power 1 is linear; above 1 the fall is steep first and flat last.

    >>> polynomial(power=2, at="left").resolve(4).table()
    array([1.    , 0.5625, 0.25  , 0.0625])

    Equal to torch's PolynomialLR(total_iters=T, power) with at="left" and final=0.
    The "poly" policy: Liu et al. 2015, arXiv 1506.04579.
    """

    power: float = 2.0
    final: Level = 0.0

    @classmethod
    def space(cls, epochs: int, per_epoch: int) -> Values:
        return {**super().space(epochs, per_epoch), "power": Range(0.5, 3.0, start=2.0)}

    def body(self) -> tuple[Piece, ...]:
        return (Piece(None, 1.0, self.final, "polynomial", self.power),)
