"""Schedules made of schedules: product, then, scaled, excerpt. Registered, so that they are data like all
others."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from preheat.core.errors import UserError
from preheat.core.lengths import Length, steps
from preheat.core.registry import SCHEDULES
from preheat.schedules.combined import Combined
from preheat.schedules.forms import Both, Times, between, moved
from preheat.schedules.pieces import Piece
from preheat.schedules.resolved import Horizon, Segment
from preheat.schedules.rule import Rule
from preheat.schedules.sampling import whole


@SCHEDULES.register("product")
@dataclass(frozen=True)
class product(Combined):
    """The product of two schedules at every position, written `first * second`.

    s(t) = first(t) second(t). It may stay below 1: a warmup that is over when the decay has begun never
    reaches the peak. Its mean is a quadrature (1e-14), not a closed form. A level given as a rate is a rate
    of its own part.

    >>> from preheat.schedules import linear, untuned_linear
    >>> (untuned_linear(beta2=0.5, at="right") * linear(at="right")).resolve(4).table()
    array([0.1875, 0.25  , 0.1875, 0.    ])
    """

    first: Rule
    second: Rule

    def segments(self, run: Horizon) -> tuple[Segment, ...]:
        """The product on every stretch between the boundaries of both."""
        one, two = self.first.segments(run), self.second.segments(run)
        bounds = sorted({0.0, float(run.total), *(s.span.begin for s in (*one, *two))})
        cut = [(between(one, a, b)[0], between(two, a, b)[0]) for a, b in pairwise(bounds)]
        return tuple(_times(a, b) for a, b in cut)

    def __str__(self) -> str:
        return f"{self.first} * {self.second}"


_TELLING = ("warmup", "cooldown", "drop", "decay", "rise", "hold")  # what names a product first


def _times(a: Segment, b: Segment) -> Segment:
    """Two segments of one span, multiplied; it is named after the one that says more."""
    kind = next((k for k in _TELLING if k in (a.kind, b.kind)), a.kind)
    for one, other in ((a, b), (b, a)):
        if isinstance(one.form, Piece) and one.form.start == one.form.end:
            by = one.form.ends[0]
            return Segment(a.span, kind, other.form if by == 1.0 else Times(other.form, by))
    return Segment(a.span, kind, Both(a.form, b.form))


@SCHEDULES.register("then")
@dataclass(frozen=True)
class then(Combined):
    """One schedule, and after `place` another with a clock of its own, written `first.then(second,
    at=place)`.

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
        """Those of both, the second moved."""
        p = run.steps(self.place)
        if not 0 < p < run.total:
            raise UserError(
                f"the second schedule must begin inside the run of {run.total:g} steps, got {self.place} = "
                f"{p:g}: "
                f"write a place above 0 and below {run.total:g}"
            )
        if self.splits_epoch(run, p):
            raise UserError(
                f"with every='epoch' the second schedule begins with an epoch, got {self.place}: write whole "
                "epochs"
            )
        later = self.second.segments(run._replace(total=run.total - p))
        return (
            *self.first.segments(run._replace(total=p)),
            *moved(later, p, lambda k: "rise" if k == "warmup" else k),
        )

    def __str__(self) -> str:
        return f"{self.first}, from {self.place} {self.second}"


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
        if not 0 < self.by <= 1:
            raise UserError(f"by must be above 0 and at most 1, got {self.by:g}: write 0.5 for half")

    def segments(self, run: Horizon) -> tuple[Segment, ...]:
        """The schedule's, lower."""
        own = run if run.peak is None else run._replace(peak=run.peak * self.by)
        return tuple(s._replace(form=Times(s.form, self.by)) for s in self.schedule.segments(own))

    def __str__(self) -> str:
        return f"{self.by:g} of {self.schedule}"


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
        object.__setattr__(self, "was", whole("was", self.was, 1))

    def segments(self, run: Horizon) -> tuple[Segment, ...]:
        """What of the longer run's lies in the stretch."""
        long = run._replace(total=self.was)
        begin = long.steps(self.begin)
        if begin + run.total > self.was:
            raise UserError(
                f"an excerpt must lie in the longer run of {self.was} steps, got {run.total:g} steps from "
                f"{begin:g} on: "
                "write a larger was"
            )
        if self.splits_epoch(run, begin):
            raise UserError(
                f"with every='epoch' an excerpt begins with an epoch, got {self.begin}: write whole epochs"
            )
        return tuple(moved(between(self.schedule.segments(long), begin, begin + run.total), -begin))

    def __str__(self) -> str:
        return f"from update {self.begin} of {self.schedule} on {self.was}"
