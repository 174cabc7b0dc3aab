"""A schedule that is only a part as high."""

from __future__ import annotations

from dataclasses import dataclass

from preheat.core.registry import SCHEDULES
from preheat.schedules.combine.combined import Combined
from preheat.schedules.combine.forms import Times
from preheat.schedules.form import Segment
from preheat.schedules.horizon import Horizon
from preheat.schedules.named import above_0_to_1
from preheat.schedules.rule import Rule


@SCHEDULES.register("scaled")
@dataclass(frozen=True)
class scaled(Combined):
    """A schedule `by` times as high, written `schedule.scaled(by)`.

    s(t) = by * schedule(t), 0 < by <= 1. A level given as a rate stays that rate.

    >>> from preheat.schedules import cosine
    >>> cosine(at="left").scaled(0.5).resolve(2).table()
    array([0.5 , 0.25])
    """

    schedule: Rule
    by: float

    def __post_init__(self) -> None:
        super().__post_init__()
        above_0_to_1("by", self.by, "0.5 for half")

    def segments(self, run: Horizon) -> tuple[Segment, ...]:
        own = run if run.peak is None else run._replace(peak=run.peak * self.by)
        return tuple(s._replace(form=Times(s.form, self.by)) for s in self.schedule.segments(own))

    def __str__(self) -> str:
        return f"{self.by:g} of {self.schedule}"
