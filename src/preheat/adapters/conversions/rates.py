"""What all conversions draw with: schedules in rates, as pieces, levels, drops and tables, and joined."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from itertools import pairwise
from typing import Any, NamedTuple

from preheat.adapters.conversions.arguments import positive
from preheat.core.errors import UserError
from preheat.core.lengths import Length, epochs, fraction, is_number, steps
from preheat.schedules.combine.excerpt import excerpt
from preheat.schedules.pieces import Piece, Pieces
from preheat.schedules.recipes.recipe import Recipe
from preheat.schedules.rule import Rule
from preheat.schedules.shapes.constant import constant
from preheat.schedules.shapes.cosine import cosine
from preheat.schedules.shapes.exponential import exponential
from preheat.schedules.shapes.inverse_sqrt import inverse_sqrt
from preheat.schedules.shapes.inverse_time import inverse_time
from preheat.schedules.shapes.k_decay import k_decay
from preheat.schedules.shapes.linear import linear
from preheat.schedules.shapes.polynomial import polynomial
from preheat.schedules.shapes.restarts import restarts
from preheat.schedules.shapes.step import step
from preheat.schedules.shapes.tabulated import tabulated
from preheat.schedules.shapes.tanh import tanh
from preheat.schedules.shapes.wsd import wsd


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

    def of(self, kind: type[Rule], peak: float, total: float, **options: Any) -> Recipe:
        """The schedule of a kind that follows this clock, for a run of `total` counts."""
        return self.made(kind(**options, **self.sampling), peak, total)


STEPS = Clock()


def rising(begins: Sequence[int]) -> None:
    """Raise `UserError` unless each part begins after the one before it."""
    if any(b <= a for a, b in pairwise(begins)):
        raise UserError(
            f"the places where schedules begin must be rising, got {list(begins)[1:]}: write [5, 10]"
        )


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
        return clock.of(constant, peak, total)
    pieces = []
    for n, start, end, curve, power in kept:
        span = None if n is None else clock.length(n, total)
        shape = ("linear", None) if curve == "polynomial" and power == 1 else (curve, power)
        pieces.append(Piece(span, start / peak, end / peak, *shape))
    return clock.of(Pieces, peak, total, pieces=tuple(pieces))


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
        return clock.of(step, peak, total, milestones=milestones, gamma=gamma)
    drops = ((p, peak * gamma ** sum(m <= p for m in places)) for p in sorted({0, *inside}))
    return levels(total, drops, clock=clock)


def stairs(peak: float, total: int, period: float, *, gamma: float, clock: Clock = STEPS) -> Recipe:
    """The rate multiplied by gamma after every period; as a step where that says it."""
    whole = period == int(period)
    if 0 < gamma < 1 and period < total and (clock.per_epoch or whole):
        return clock.of(step, peak, total, period=clock.length(period, total), gamma=gamma)
    places = range(0, total, int(period) if whole else 1)
    return levels(total, ((t, peak * gamma ** (t // period)) for t in places), clock=clock)


def power_fall(peak: float, total: float, power: float, *, clock: Clock = STEPS, **options: Any) -> Recipe:
    """A power of the remaining time; a straight line is one of its own."""
    if power == 1:
        return clock.of(linear, peak, total, **options)
    return clock.of(polynomial, peak, total, power=power, **options)


def table(rates: Iterable[float], clock: Clock = STEPS) -> Recipe:
    """A table of rates, one for each count of the clock: what no schedule of preheat's says."""
    schedule, peak = tabulated.of(rates, **clock.sampling)
    return clock.made(schedule, peak, len(schedule.values))


def join(parts: Sequence[Recipe], places: Sequence[int]) -> Recipe:
    """One after the other: part i + 1 begins at places[i] with a clock of its own; the last ends the run.

    A part written for more than its stretch is cut.
    """
    epoch = parts[0].per_epoch
    clock, begins = Clock(None if epoch is None else int(epoch)), [0, *places]
    if len(places) != len(parts) - 1:
        raise UserError(
            f"{len(parts)} schedules need {len(parts) - 1} places, got {list(places)}: say where each begins"
        )
    rising(begins)
    if places and (one := _folded(parts[0], parts[1], clock.length(places[0], places[0]))):
        return join([one, *parts[2:]], places[1:])
    lengths = [b - a for a, b in pairwise(begins)]
    fitted = [*(_fit(p, n, clock) for p, n in zip(parts, lengths, strict=False)), parts[-1]]
    peak = max(p.peak for p in fitted)
    rules = [p.schedule if p.peak == peak else p.schedule.scaled(p.peak / peak) for p in fitted]
    out = rules[-1]
    for rule, n in zip(rules[-2::-1], lengths[::-1], strict=True):
        out = rule.then(out, at=clock.length(n, n))
    return Recipe(out, peak, begins[-1] * clock.size + parts[-1].total, clock.per_epoch)


def _fit(made: Recipe, n: int, clock: Clock) -> Recipe:
    """A part on its stretch of `n` counts."""
    updates = n * clock.size
    if made.total < updates:
        raise UserError(
            f"a schedule for {made.total} updates can't fill a stretch of {updates}: convert it with "
            f"total={updates}"
        )
    return shortened(made, n)


def shortened(made: Recipe, total: int | None) -> Recipe:
    """The first `total` counts of a recipe (updates, or epochs where it has any), or all where it has no
    more."""
    updates = made.total if total is None else total * int(made.per_epoch or 1)
    if updates >= made.total:
        return made
    also = {name: replace(one, schedule=_excerpt(one.schedule, made)) for name, one in made.also.items()}
    return replace(made, schedule=_excerpt(made.schedule, made), total=updates, also=also)


def _excerpt(schedule: Any, of: Recipe) -> Rule:
    return excerpt(schedule, was=of.total)


_DECAYS = constant | linear | cosine | polynomial | exponential | inverse_sqrt | inverse_time
_AFTER_A_WARMUP = _DECAYS | k_decay | restarts | tanh | wsd | tabulated
_WARMUP = ("warmup", "warmup_curve", "warmup_start", "warmup_power")


def _folded(first: Recipe, second: Recipe, place: Length) -> Recipe | None:
    """Both as one named schedule, where the first is the warmup of the second."""
    rise, rest = first.schedule, second.schedule
    if not isinstance(rise, constant) or rise.warmup != place or first.peak != second.peak:
        return None
    if isinstance(rest, Pieces) and all(p.length is None or p.length.unit != "fraction" for p in rest.pieces):
        made: Rule = replace(rest, pieces=(*rise.warmup_pieces(), *rest.pieces))
    elif isinstance(rest, _AFTER_A_WARMUP) and _may_follow(rest):
        made = replace(rest, **{name: getattr(rise, name) for name in _WARMUP})
    else:
        return None
    return Recipe(made, first.peak, first.total + second.total, first.per_epoch)


def _may_follow(rest: Any) -> bool:
    """Whether a warmup can be put in front: none is there, it begins at 1, and no length is of the run."""
    given = [getattr(rest, f.name) for f in fields(rest)]
    relative = any(isinstance(x, Length) and x.unit == "fraction" and x for x in given)
    return not rest.warmup and not relative and getattr(rest, "values", (1,))[0] == 1
