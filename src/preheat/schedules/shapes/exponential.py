"""The same ratio from each update to the next.

u = (t - W) / (T - W) is the progress after a warmup of W steps of T, at the position t of the update.
"""

from __future__ import annotations

from dataclasses import dataclass

from preheat.core.levels import Level
from preheat.core.registry import SCHEDULES
from preheat.core.space import Range, Values
from preheat.schedules.named import Named
from preheat.schedules.pieces import Piece


@SCHEDULES.register("exponential")
@dataclass(frozen=True, kw_only=True)
class exponential(Named):
    """The same ratio from each update to the next, from the peak to `final` (above 0) at the end.

    s = final^u, and from one update to the next it falls by the factor final^(1 / (T - W)).

    >>> exponential(final=1/16, at="left").resolve(4).table()
    array([1.   , 0.5  , 0.25 , 0.125])

    Equal to torch's ExponentialLR(gamma) with at="left" and final = gamma^T.
    Li, Zhuang and Orabona 2020, arXiv 2002.05273.
    """

    final: Level = 0.01

    @classmethod
    def space(cls, epochs: int, per_epoch: int) -> Values:
        return {**super().space(epochs, per_epoch), "final": Range(1e-4, 0.3, log=True, start=0.01)}

    def body(self) -> tuple[Piece, ...]:
        return (Piece(None, 1.0, self.final, "exponential"),)
