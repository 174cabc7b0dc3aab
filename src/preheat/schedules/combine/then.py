"""One schedule, and another after it."""

from __future__ import annotations

from dataclasses import dataclass

from preheat.core.errors import UserError
from preheat.core.lengths import Length
from preheat.core.registry import SCHEDULES
from preheat.schedules.combine.combined import Combined
from preheat.schedules.combine.forms import moved
from preheat.schedules.form import Segment
from preheat.schedules.horizon import Horizon
from preheat.schedules.rule import Rule


@SCHEDULES.register("then")
@dataclass(frozen=True)
class then(Combined):
    """One schedule, and after `place` another with a clock of its own: `first.then(second, at=place)`.

    s(t) = first(t) on a run of P steps for t < P, second(t - P) on a run of T - P steps after it; 0 < P < T.
    It may jump at P, and it may stay below 1. With every="epoch", P is a whole number of epochs.

    >>> from preheat.schedules import constant, linear
    >>> linear(at="left").then(constant(at="left").scaled(0.1), at=2).resolve(4).table()
    array([1. , 0.5, 0.1, 0.1])
    """

    first: Rule
    second: Rule
    place: Length

    def segments(self, run: Horizon) -> tuple[Segment, ...]:
        p = run.steps(self.place)
        if not 0 < p < run.total:
            got = f"got {self.place} = {p:g}: write a place above 0 and below {run.total:g}"
            raise UserError(f"the second schedule must begin inside the run of {run.total:g} steps, {got}")
        if self.splits_epoch(run, p):
            got = f"got {self.place}: write whole epochs"
            raise UserError(f"with every='epoch' the second schedule begins with an epoch, {got}")
        first = self.first.segments(run._replace(total=p))
        later = self.second.segments(run._replace(total=run.total - p))
        return (*first, *moved(later, p, kind=lambda kind: "rise" if kind == "warmup" else kind))

    def __str__(self) -> str:
        return f"{self.first}, from {self.place} {self.second}"
