"""GI-Adam as a warmup, a damping factor."""

from __future__ import annotations

from dataclasses import dataclass

from preheat.core.registry import SCHEDULES
from preheat.schedules.damping import Damping, saturating
from preheat.schedules.form import Segment
from preheat.schedules.horizon import Horizon


@SCHEDULES.register("gi_adam")
@dataclass(frozen=True, kw_only=True)
class gi_adam(Damping):
    """The warmup that GI-Adam amounts to: Adam whose second moment starts from the first gradient.

    w = sqrt(1 - beta2^t).

    >>> gi_adam(beta2=0.75, at="right").resolve(3).table().round(6)
    array([0.5     , 0.661438, 0.760345])

    Kalra and Barkeshli 2024, arXiv 2406.09405.
    """

    def segments(self, run: Horizon) -> tuple[Segment, ...]:
        return saturating(self.rate, 0.5, run)
