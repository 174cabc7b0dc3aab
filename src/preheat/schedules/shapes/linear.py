"""A straight line to the end of the run.

u = (t - W) / (T - W) is the progress after a warmup of W steps of T, at the position t of the update.
"""

from __future__ import annotations

from dataclasses import dataclass

from preheat.core.levels import Level
from preheat.core.registry import SCHEDULES
from preheat.core.space import Range, Values
from preheat.schedules.named import Named
from preheat.schedules.pieces import Piece


@SCHEDULES.register("linear")
@dataclass(frozen=True, kw_only=True)
class linear(Named):
    """A straight line from the peak to `final` at the end of the run.

    s = 1 - (1 - final) u: 1 where the warmup ends, `final` at T.

    >>> linear(at="left").resolve(4).table()
    array([1.  , 0.75, 0.5 , 0.25])

    Linear decay to zero as the best default: Defazio et al. 2023, arXiv 2310.07831; Bergsma et al. 2025,
    arXiv 2502.15938.
    """

    final: Level = 0.0

    @classmethod
    def space(cls, epochs: int, per_epoch: int) -> Values:
        return {**super().space(epochs, per_epoch), "final": Range(0.0, 0.2, start=0.0)}

    def body(self) -> tuple[Piece, ...]:
        return (Piece(None, 1.0, self.final),)
