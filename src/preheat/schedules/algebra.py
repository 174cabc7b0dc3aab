"""Schedules made of schedules: product, then, scaled, excerpt. Registered, so that they are data like all others."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

from preheat.core.errors import UserError
from preheat.core.lengths import Length, is_number, steps
from preheat.core.registry import SCHEDULES
from preheat.core.spec import as_spec
from preheat.schedules.forms import Both, Times, between, moved
from preheat.schedules.pieces import Piece, tidy_length
from preheat.schedules.resolved import Horizon, Segment
from preheat.schedules.rule import Rule
from preheat.schedules.sampling import whole


def schedule(value: Any) -> Rule:
    """A schedule from itself, its name, or its JSON; only one of preheat's own kind can be combined."""
    made = value
    if not isinstance(value, Rule) and not hasattr(value, "segments"):
        one = as_spec(value, "schedule", "constant")
        made = SCHEDULES.build(one.name, one.options)
    if not isinstance(made, Rule):
        raise UserError(f"only schedules that have segments can be combined, got {value!r}: subclass preheat.schedules.rule.Rule")
    return made


def _alike(what: str, first: Rule, second: Rule) -> None:
    for name in ("at", "every"):
        one, two = getattr(first, name), getattr(second, name)
        if one != two:
            raise UserError(f"both parts of a {what} must agree in {name}, got {one!r} and {two!r}: write {name}={one!r} in both")


class _Joined(Rule):
    """What the combinations share: sampling from their first part, and no promise to reach 1."""

    peaks: ClassVar[bool] = False


@SCHEDULES.register("product")
@dataclass(frozen=True)
class product(_Joined):
    """The product of two schedules at every position, written `first * second`.

    s(t) = first(t) second(t). It may stay below 1: a warmup that is over when the decay has begun never reaches the
    peak. Its mean is a quadrature (1e-14), not a closed form. A level given as a rate is a rate of its own part.

    >>> from preheat.schedules import linear, untuned_linear
    >>> (untuned_linear(beta2=0.5, at="right") * linear(at="right")).resolve(4).table()
    array([0.1875, 0.25  , 0.1875, 0.    ])
    """

    first: Rule
    second: Rule

    def __post_init__(self) -> None:
        object.__setattr__(self, "first", schedule(self.first))
        object.__setattr__(self, "second", schedule(self.second))
        _alike("product", self.first, self.second)

    @property
    def at(self) -> str:  # type: ignore[override]
        """Where an update takes its factor."""
        return self.first.at

    @property
    def every(self) -> str:  # type: ignore[override]
        """How often the factor changes."""
        return self.first.every

    def segments(self, run: Horizon) -> tuple[Segment, ...]:
        """The product on every stretch between the boundaries of both."""
        one, two = self.first.segments(run), self.second.segments(run)
        bounds = sorted({0.0, float(run.total), *(s.span.begin for s in (*one, *two))})
        cut = [(between(one, a, b)[0], between(two, a, b)[0]) for a, b in pairwise(bounds)]
        return tuple(_times(a, b) for a, b in cut)

    def json(self) -> dict[str, Any]:
        """`{"name": "product", "first": {...}, "second": {...}}`."""
        return {"name": "product", "first": self.first.json(), "second": self.second.json()}

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
class then(_Joined):
    """One schedule, and after `place` another with a clock of its own, written `first.then(second, at=place)`.

    s(t) = first(t) on a run of P steps for t < P, second(t - P) on a run of T - P steps after it; 0 < P < T.
    It may jump at P, and it may stay below 1. With every="epoch", P is a whole number of epochs.

    >>> from preheat.schedules import constant, linear
    >>> linear(at="left").then(constant(at="left").scaled(0.1), at=2).resolve(4).table()
    array([1. , 0.5, 0.1, 0.1])
    """

    first: Rule
    second: Rule
    place: Length

    def __post_init__(self) -> None:
        object.__setattr__(self, "first", schedule(self.first))
        object.__setattr__(self, "second", schedule(self.second))
        object.__setattr__(self, "place", tidy_length(self.place))
        _alike("sequence", self.first, self.second)

    @property
    def at(self) -> str:  # type: ignore[override]
        """Where an update takes its factor."""
        return self.first.at

    @property
    def every(self) -> str:  # type: ignore[override]
        """How often the factor changes."""
        return self.first.every

    def segments(self, run: Horizon) -> tuple[Segment, ...]:
        """Those of both, the second moved."""
        p = run.steps(self.place)
        if not 0 < p < run.total:
            raise UserError(
                f"the second schedule must begin inside the run of {run.total:g} steps, got {self.place} = {p:g}: "
                f"write a place above 0 and below {run.total:g}"
            )
        if self.every == "epoch" and run.per_epoch is not None and p % run.per_epoch:
            raise UserError(f"with every='epoch' the second schedule begins with an epoch, got {self.place}: write whole epochs")
        later = self.second.segments(run._replace(total=run.total - p))
        return (*self.first.segments(run._replace(total=p)), *moved(later, p, lambda k: "rise" if k == "warmup" else k))

    def json(self) -> dict[str, Any]:
        """`{"name": "then", "first": {...}, "second": {...}, "place": {...}}`."""
        both = {"first": self.first.json(), "second": self.second.json()}
        return {"name": "then", **both, "place": self.place.json()}

    def __str__(self) -> str:
        return f"{self.first}, from {self.place} {self.second}"


@SCHEDULES.register("scaled")
@dataclass(frozen=True)
class scaled(_Joined):
    """A schedule `by` times as high, written `schedule.scaled(by)`.

    s(t) = by * schedule(t), 0 < by <= 1. A level given as a rate stays that rate.

    >>> from preheat.schedules import cosine
    >>> cosine(at="left").scaled(0.5).resolve(2).table()
    array([0.5 , 0.25])
    """

    schedule: Rule
    by: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "schedule", schedule(self.schedule))
        if not is_number(self.by) or not 0 < self.by <= 1:
            raise UserError(f"by must be above 0 and at most 1, got {self.by!r}: write 0.5 for half")
        object.__setattr__(self, "by", float(self.by))

    @property
    def at(self) -> str:  # type: ignore[override]
        """Where an update takes its factor."""
        return self.schedule.at

    @property
    def every(self) -> str:  # type: ignore[override]
        """How often the factor changes."""
        return self.schedule.every

    def segments(self, run: Horizon) -> tuple[Segment, ...]:
        """The schedule's, lower."""
        own = run if run.peak is None else run._replace(peak=run.peak * self.by)
        return tuple(s._replace(form=Times(s.form, self.by)) for s in self.schedule.segments(own))

    def json(self) -> dict[str, Any]:
        """`{"name": "scaled", "schedule": {...}, "by": ...}`."""
        return {"name": "scaled", "schedule": self.schedule.json(), "by": self.by}

    def __str__(self) -> str:
        return f"{self.by:g} of {self.schedule}"


@SCHEDULES.register("excerpt")
@dataclass(frozen=True)
class excerpt(_Joined):
    """A stretch of a longer run: the updates from `begin` on of the schedule on `was` steps.

    s(t) = schedule(begin + t) on a run of `was` steps, begin + T <= was. A curve that is begun late or left early, such as
    a cosine whose first part another schedule's warmup has covered. With every="epoch", `begin` is a whole number of epochs.

    >>> from preheat.schedules import constant, linear
    >>> late = excerpt(linear(at="left"), was=8, begin=2)
    >>> constant(warmup=2, at="left").then(late, at=2).resolve(8).table()
    array([0.   , 0.5  , 0.75 , 0.625, 0.5  , 0.375, 0.25 , 0.125])
    """

    schedule: Rule
    was: int
    begin: Length = steps(0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "schedule", schedule(self.schedule))
        object.__setattr__(self, "was", whole("was", self.was, 1))
        object.__setattr__(self, "begin", tidy_length(self.begin))

    @property
    def at(self) -> str:  # type: ignore[override]
        """Where an update takes its factor."""
        return self.schedule.at

    @property
    def every(self) -> str:  # type: ignore[override]
        """How often the factor changes."""
        return self.schedule.every

    def segments(self, run: Horizon) -> tuple[Segment, ...]:
        """What of the longer run's lies in the stretch."""
        long = run._replace(total=self.was)
        begin = long.steps(self.begin)
        if begin + run.total > self.was:
            raise UserError(
                f"an excerpt must lie in the longer run of {self.was} steps, got {run.total:g} steps from {begin:g} on: "
                "write a larger was"
            )
        if self.every == "epoch" and run.per_epoch is not None and begin % run.per_epoch:
            raise UserError(f"with every='epoch' an excerpt begins with an epoch, got {self.begin}: write whole epochs")
        return tuple(moved(between(self.schedule.segments(long), begin, begin + run.total), -begin))

    def json(self) -> dict[str, Any]:
        """`{"name": "excerpt", "schedule": {...}, "was": ..., "begin": {...}}`."""
        return {"name": "excerpt", "schedule": self.schedule.json(), "was": self.was, "begin": self.begin.json()}

    def __str__(self) -> str:
        return f"from update {self.begin} of {self.schedule} on {self.was}"
