"""A stretch of a longer run."""

from __future__ import annotations

from dataclasses import dataclass

from preheat.core.errors import UserError
from preheat.core.lengths import Length, steps
from preheat.core.registry import SCHEDULES
from preheat.schedules.combine.combined import Combined
from preheat.schedules.combine.forms import moved, stretch
from preheat.schedules.form import Segment
from preheat.schedules.horizon import Horizon
from preheat.schedules.rule import Rule
from preheat.schedules.sampling import step_count


@SCHEDULES.register("excerpt")
@dataclass(frozen=True)
class excerpt(Combined):
    """A stretch of a longer run: the updates from `begin` on of the schedule on `was` steps.

    s(t) = schedule(begin + t) on a run of `was` steps, begin + T <= was. A curve that is begun late or left
    early, such as a cosine whose first part another schedule's warmup has covered. With every="epoch",
    `begin` is a whole number of epochs.

    >>> from preheat.schedules import constant, linear
    >>> late = excerpt(linear(at="left"), was=8, begin=2)
    >>> constant(warmup=2, at="left").then(late, at=2).resolve(8).table()
    array([0.   , 0.5  , 0.75 , 0.625, 0.5  , 0.375, 0.25 , 0.125])
    """

    schedule: Rule
    was: int
    begin: Length = steps(0)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "was", step_count("was", self.was, 1))

    def segments(self, run: Horizon) -> tuple[Segment, ...]:
        long = run._replace(total=self.was)
        begin = long.steps(self.begin)
        if begin + run.total > self.was:
            got = f"got {run.total:g} steps from {begin:g} on: write a larger was"
            raise UserError(f"an excerpt must lie in the longer run of {self.was} steps, {got}")
        if self.splits_epoch(run, begin):
            raise UserError(
                f"with every='epoch' an excerpt begins with an epoch, got {self.begin}: write whole epochs"
            )
        return tuple(moved(stretch(self.schedule.segments(long), begin, begin + run.total), -begin))

    def __str__(self) -> str:
        return f"from update {self.begin} of {self.schedule} on {self.was}"
