"""What all conversions draw with: schedules in rates, as pieces, levels, drops and tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from preheat.adapters.conversions.checks import positive
from preheat.core.errors import UserError
from preheat.core.lengths import Length, epochs, fraction, is_number, steps
from preheat.core.registry import SCHEDULES
from preheat.schedules.pieces import Piece
from preheat.schedules.recipes.recipe import Recipe
from preheat.schedules.rule import Rule
from preheat.schedules.shapes.tabulated import tabulated


class Clock(NamedTuple):
    """What the other library counts: updates, or epochs of `per_epoch` updates with one rate each."""

    per_epoch: int | None = None

    def length(self, t: float, total: float) -> Length:
        """`t` of the `total` counts of a run as a length."""
        if self.per_epoch is not None:
            return epochs(t)
        return steps(int(t)) if t == int(t) else fraction(t / total)

    @property
    def size(self) -> int:
        """The updates in a count."""
        return self.per_epoch or 1

    def counts(self, made: Recipe) -> int:
        """How many counts a recipe is for."""
        return made.total // self.size

    @property
    def sampling(self) -> dict[str, Any]:
        """The options that make a schedule follow this clock."""
        return {"at": "left", "every": "step" if self.per_epoch is None else "epoch"}

    def made(self, schedule: Rule, peak: float, total: float) -> Recipe:
        """The schedule for a run of `total` counts."""
        return Recipe(schedule, peak, int(total) * self.size, self.per_epoch)

    def rule(self, name: str, **options: Any) -> Rule:
        """The schedule `name` that follows this clock."""
        made: Rule = SCHEDULES[name](**{**self.sampling, **options})
        return made

    def of(self, name: str, peak: float, total: float, **options: Any) -> Recipe:
        """The same for a run of `total` counts."""
        return self.made(self.rule(name, **options), peak, total)


STEPS = Clock()


def name_of(rule: Rule) -> str:
    """The name that a schedule is registered under."""
    return type(rule).__name__


class Leg(NamedTuple):
    """A piece in rates: its length (None: the rest of the run), the rates at its ends, its curve."""

    length: float | None
    start: float
    end: float
    curve: str = "linear"
    power: float | None = None


def follow(total: float, legs: Iterable[Leg], *, clock: Clock = STEPS) -> Recipe:
    """The legs one after the other; those of no length, or without any time left, are dropped."""
    kept = [x for x in legs if x.length is None or x.length > 0]
    if sum(x.length for x in kept if x.length is not None) >= total:
        kept = [x for x in kept if x.length is not None]
    ends = [y for x in kept for y in (x.start, x.end)]
    for y in ends:
        if not is_number(y) or y < 0:
            raise UserError(
                f"a rate must be a finite number >= 0, got {y!r}: this schedule can't be trained with"
            )
    peak = positive("the highest rate", max(ends))
    if min(ends) == peak:
        return clock.of("constant", peak, total)
    pieces = []
    for n, start, end, curve, power in kept:
        span = None if n is None else clock.length(n, total)
        shape = ("linear", None) if curve == "polynomial" and power == 1 else (curve, power)
        pieces.append(Piece(span, start / peak, end / peak, *shape))
    return clock.of("pieces", peak, total, pieces=tuple(pieces))


def levels(total: float, drops: Iterable[tuple[float, float]], *, clock: Clock = STEPS) -> Recipe:
    """The rates held from given places on: (place, rate), the first at 0, in order; none beyond the run."""
    kept: list[tuple[float, float]] = []
    for place, level in drops:
        if place < total and (not kept or level != kept[-1][1]):
            kept.append((place, level))
    ends = [*(place for place, _ in kept[1:]), total]
    legs = [Leg(b - a, r, r) for (a, r), b in zip(kept, ends, strict=True)]
    return follow(total, [*legs[:-1], legs[-1]._replace(length=None)], clock=clock)


def multistep(
    peak: float, total: int, places: Sequence[int], *, gamma: float, clock: Clock = STEPS
) -> Recipe:
    """The rate multiplied by gamma at the places, which rise and may repeat; as a step where that says it."""
    inside = [m for m in places if m < total]
    if 0 < gamma < 1 and inside and inside[0] > 0 and len(set(inside)) == len(inside):
        milestones = tuple(clock.length(m, total) for m in inside)
        return clock.of("step", peak, total, milestones=milestones, gamma=gamma)
    drops = ((p, peak * gamma ** sum(m <= p for m in places)) for p in sorted({0, *inside}))
    return levels(total, drops, clock=clock)


def stairs(peak: float, total: int, period: float, *, gamma: float, clock: Clock = STEPS) -> Recipe:
    """The rate multiplied by gamma after every period; as a step where that says it."""
    whole = period == int(period)
    if 0 < gamma < 1 and period < total and (clock.per_epoch or whole):
        return clock.of("step", peak, total, period=clock.length(period, total), gamma=gamma)
    places = range(0, total, int(period) if whole else 1)
    return levels(total, ((t, peak * gamma ** (t // period)) for t in places), clock=clock)


def power_fall(peak: float, total: float, power: float, *, clock: Clock = STEPS, **options: Any) -> Recipe:
    """A power of the remaining time; a straight line is one of its own."""
    if power == 1:
        return clock.of("linear", peak, total, **options)
    return clock.of("polynomial", peak, total, power=power, **options)


def table(rates: Iterable[float], clock: Clock = STEPS) -> Recipe:
    """A table of rates, one for each count of the clock: what no schedule of preheat's says."""
    schedule, peak = tabulated.of(rates, **clock.sampling)
    return clock.made(schedule, peak, len(schedule.values))
