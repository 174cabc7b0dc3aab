"""Half a cosine wave to the end of the run.

u = (t - W) / (T - W) is the progress after a warmup of W steps of T, at the position t of the update.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from preheat.core.levels import Level
from preheat.core.registry import SCHEDULES
from preheat.core.space import Range, Values
from preheat.core.spec import LATER
from preheat.schedules.named import Named
from preheat.schedules.pieces import Piece


@SCHEDULES.register("cosine")
@dataclass(frozen=True, kw_only=True)
class cosine(Named):
    """Half a cosine wave from the peak to `final` at the end of the run.

    s = final + (1 - final) c^power, c = sin^2(pi (1 - u) / 2), which is (1 + cos(pi u)) / 2 without its loss
    of digits near the end. A power above 1 falls sooner and ends flatter.

    >>> cosine(at="left").resolve(4).table().round(6)
    array([1.      , 0.853553, 0.5     , 0.146447])

    Equal to torch's CosineAnnealingLR(T_max=T, eta_min=final * lr) with at="left", and to optax's
    cosine_decay_schedule(1, T, alpha=final, exponent=power).
    Loshchilov and Hutter 2016, arXiv 1608.03983.
    """

    final: Level = 0.0
    power: float = field(default=1.0, metadata=LATER)

    @classmethod
    def space(cls, epochs: int, per_epoch: int) -> Values:
        return {**super().space(epochs, per_epoch), "final": Range(0.0, 0.2, start=0.0)}

    def body(self) -> tuple[Piece, ...]:
        power = None if self.power == 1 else self.power
        return (Piece(None, 1.0, self.final, "cosine", power),)
