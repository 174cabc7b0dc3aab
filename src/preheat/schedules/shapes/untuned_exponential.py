"""Untuned exponential warmup, a damping factor."""

from __future__ import annotations

from dataclasses import dataclass

from preheat.core.lengths import Length
from preheat.core.registry import SCHEDULES
from preheat.schedules.damping import Damping, saturating
from preheat.schedules.form import Segment
from preheat.schedules.horizon import Horizon
from preheat.schedules.named import above_0
from preheat.schedules.pieces import tidy_length


@SCHEDULES.register("untuned_exponential")
@dataclass(frozen=True, kw_only=True)
class untuned_exponential(Damping):
    """Untuned exponential warmup for Adam: a rise that slows down as it nears 1.

    w = 1 - exp(-t / period), with a period of 1 / (1 - beta2) steps unless it is given; then beta2 is not
    used.

    >>> untuned_exponential(beta2=0.5, at="right").resolve(3).table().round(6)
    array([0.393469, 0.632121, 0.77687 ])

    Ma and Yarats 2019, arXiv 1910.04209.
    """

    period: Length | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "period", None if self.period is None else tidy_length(self.period))
        above_0("period", self.period, "period=1000")

    def segments(self, run: Horizon) -> tuple[Segment, ...]:
        return saturating(1 - self.beta2 if self.period is None else 1 / run.steps(self.period), 1.0, run)
