"""Conversions one after the other, and cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from itertools import pairwise
from typing import Any

from preheat.adapters.conversions.rates import Clock, name_of, table
from preheat.core.errors import UserError
from preheat.core.lengths import Length
from preheat.schedules.combine.excerpt import excerpt
from preheat.schedules.pieces import Pieces
from preheat.schedules.recipes.recipe import Recipe
from preheat.schedules.rule import Rule

_SAME = 4e-16  # of a rate: what a peak may miss it by rounding


def rising(begins: Sequence[int]) -> None:
    """Raise `UserError` unless each part begins after the one before it."""
    if any(b <= a for a, b in pairwise(begins)):
        raise UserError(
            f"the places where schedules begin must be rising, got {list(begins)[1:]}: write [5, 10]"
        )


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


def standing(made: Recipe, lr: float | None) -> Recipe:
    """The recipe with the optimizer's rate as its peak where no rate is above it.

    A chain of which one part rises while another falls may stay below it although its peak does not: it
    becomes a table.
    """
    if lr is None:
        return made
    if made.peak > lr * (1 + _SAME):
        rates = made.rates()
        if rates.max() > lr * (1 + _SAME):
            return made
        clock = Clock(None if made.per_epoch is None else int(made.per_epoch))
        made = table(rates[:: clock.size].tolist(), clock)
    if made.peak >= lr * (1 - _SAME):
        return replace(made, peak=lr)
    return replace(made, schedule=made.schedule.scaled(made.peak / lr), peak=lr)


def _excerpt(schedule: Any, of: Recipe) -> Rule:
    return excerpt(schedule, was=of.total)


# names of schedules in front of which a warmup can be put
_DECAYS = "constant linear cosine polynomial exponential inverse_sqrt inverse_time"
_AFTER_A_WARMUP = f"{_DECAYS} k_decay restarts tanh wsd tabulated".split()
_WARMUP = ("warmup", "warmup_curve", "warmup_start", "warmup_power", "warmup_at")


def _folded(first: Recipe, second: Recipe, place: Length) -> Recipe | None:
    """Both as one named schedule, where the first is the warmup of the second."""
    rise: Any = first.schedule
    rest: Any = second.schedule
    if name_of(rise) != "constant" or rise.warmup != place or first.peak != second.peak:
        return None
    if (rise.at, rise.every) != (rest.at, rest.every):
        return None
    known = isinstance(rest, Pieces) and all(not p.length or p.length.unit != "fraction" for p in rest.pieces)
    if known and rise.warmup_at is None:
        made: Rule = replace(rest, pieces=(*rise.warmup_pieces(), *rest.pieces))
    elif name_of(rest) in _AFTER_A_WARMUP and _may_follow(rest):
        made = replace(rest, **{name: getattr(rise, name) for name in _WARMUP})
    else:
        return None
    return Recipe(made, first.peak, first.total + second.total, first.per_epoch)


def _may_follow(rest: Any) -> bool:
    """Whether a warmup can be put in front: none is there, it begins at 1, and no length is of the run."""
    given = [getattr(rest, f.name) for f in fields(rest)]
    relative = any(isinstance(x, Length) and x.unit == "fraction" and x for x in given)
    return not rest.warmup and not relative and getattr(rest, "values", (1,))[0] == 1
