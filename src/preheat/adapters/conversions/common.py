"""What all conversions share: the result, how arguments are read, and schedules drawn or joined in rates."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from itertools import pairwise
from typing import Any, NamedTuple

from preheat.core.errors import UserError, unknown
from preheat.core.lengths import Length, epochs, fraction, is_number, steps
from preheat.schedules.algebra import excerpt
from preheat.schedules.decays import constant, cosine, exponential, linear, polynomial
from preheat.schedules.kdecay import k_decay
from preheat.schedules.pieces import Piece, Pieces
from preheat.schedules.rational import inverse_time
from preheat.schedules.recipe import Recipe
from preheat.schedules.roots import inverse_sqrt
from preheat.schedules.rule import Rule
from preheat.schedules.stable import wsd
from preheat.schedules.tables import tabulated
from preheat.schedules.tangents import tanh
from preheat.schedules.warm_restarts import restarts


class Clock(NamedTuple):
    """What the other library counts: updates, or epochs of `per_epoch` updates with one rate each."""

    per_epoch: int | None = None

    def length(self, t: float, total: float) -> Length:
        """`t` of the `total` counts of a run as a length."""
        if self.per_epoch is not None:
            return epochs(t)
        return steps(int(t)) if t == int(t) else fraction(t / total)

    @property
    def sampling(self) -> dict[str, Any]:
        """The options that make a schedule follow this clock."""
        return {"at": "left", "every": "step" if self.per_epoch is None else "epoch"}

    def made(self, schedule: Rule, peak: float, total: float) -> Recipe:
        """The schedule for a run of `total` counts."""
        return Recipe(schedule, peak, int(total) * (self.per_epoch or 1), self.per_epoch)


STEPS = Clock()
Maker = Callable[[Any], Recipe]


class Known(NamedTuple):
    """A schedule of a library: what converts it, and its arguments with their defaults, `...` where there is
    none."""

    make: Maker
    options: Mapping[str, Any]


class Library(NamedTuple):
    """A library's schedules, those refused and why, and what to write for arguments that others of its calls
    have."""

    name: str
    known: Mapping[str, Known]
    refused: Mapping[str, str]
    hints: Mapping[str, str]

    @property
    def its(self) -> str:
        """The name as an owner: torch's, transformers'."""
        return self.name + ("'" if self.name.endswith("s") else "'s")


def library(
    name: str, known: Mapping[str, Known], common: Mapping[str, Any], **more: Mapping[str, str]
) -> Library:
    """A library whose schedules all have the arguments `common` too; more: `refused` and `hints`."""
    full = {key: Known(one.make, {**one.options, **common}) for key, one in known.items()}
    return Library(name, full, more.get("refused", {}), more.get("hints", {}))


class Arguments:
    """Arguments by name, which remembers what was asked for: what no one asks for must not be accepted."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values, self._asked = values, set[str]()

    def __getattr__(self, name: str) -> Any:
        if name not in self._values:
            raise AttributeError(name)
        self._asked.add(name)
        return self._values[name]

    def idle(self, names: Iterable[str]) -> list[str]:
        """Those of `names` that nobody asked for."""
        return [name for name in names if name not in self._asked]


def read(of: Library, name: Any, given: Mapping[str, Any], told: Collection[str] | None = None) -> Recipe:
    """The converted schedule `name`; the errors name what is unknown, missing, of no use or can't be
    converted.

    told: the arguments that the user wrote, where these are not all of `given`.
    """
    if not isinstance(name, str):
        kind = type(name)
        fix = (
            "from_torch(scheduler, total=1000)"
            if kind.__module__.startswith("torch.optim.")
            else "its name and arguments"
        )
        raise UserError(
            f"a schedule of {of.name} is asked for by name, got an object, {kind.__name__}: write {fix}"
        )
    if name in of.refused:
        raise UserError(f"{of.its} {name} can't be converted: {of.refused[name]}")
    if name not in of.known:
        raise unknown(f"schedule of {of.name}", name, [*of.known, *of.refused])
    make, options = of.known[name]
    for key in given:
        if key not in options and key in of.hints:
            raise UserError(f"unknown argument of {of.its} {name} {key!r}: write {of.hints[key]}")
        if key not in options:
            raise unknown(f"argument of {of.its} {name}", key, options)
    missing = [key for key, value in options.items() if value is ... and key not in given]
    if missing:
        raise UserError(f"{of.its} {name} needs {', '.join(missing)}: write {missing[0]}=...")
    made = make(arguments := Arguments({**options, **given}))
    idle = arguments.idle(key for key in (given if told is None else told) if given[key] != options[key])
    if idle:
        values = ", ".join(f"{key}={given[key]!r}" for key in idle)
        raise UserError(
            f"{of.its} {name} ignores {' and '.join(idle)}, got {values}: leave {' and '.join(idle)} out"
        )
    return made


def positive(what: str, value: Any) -> float:
    """`value` as a float above 0."""
    if not is_number(value) or value <= 0:
        raise UserError(f"{what} must be a finite number > 0, got {value!r}: write 0.1")
    return float(value)


def whole(what: str, value: Any, least: int = 1) -> int:
    """`value` as a whole number, at least `least`."""
    if not is_number(value) or value != int(value) or value < least:
        raise UserError(f"{what} must be a whole number >= {least}, got {value!r}: write {max(least, 10)}")
    return int(value)


def within(what: str, value: Any, low: float, high: float) -> float:
    """`value` as a float in [low, high]."""
    if not is_number(value) or not low <= value <= high:
        raise UserError(
            f"{what} must lie between {low:g} and {high:g}, got {value!r}: write {min(high, 0.1):g}"
        )
    return float(value)


def rising(begins: Sequence[int]) -> None:
    """Raise `UserError` unless each part begins after the one before it."""
    if any(b <= a for a, b in pairwise(begins)):
        raise UserError(
            f"the places where schedules begin must be rising, got {list(begins)[1:]}: write [5, 10]"
        )


class Line(NamedTuple):
    """A piece in rates: its length (None: the rest of the run), the rates at its ends, its curve."""

    length: float | None
    start: float
    end: float
    curve: str = "linear"
    power: float | None = None


def draw(total: float, lines: Iterable[Line], clock: Clock = STEPS) -> Recipe:
    """The lines one after the other; those of no length, or without any time left, are dropped."""
    kept = [x for x in lines if x.length is None or x.length > 0]
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
        return clock.made(constant(**clock.sampling), peak, total)
    pieces = []
    for n, start, end, curve, power in kept:
        span, straight = None if n is None else clock.length(n, total), curve == "polynomial" and power == 1
        shape = ("linear", None) if straight else (curve, power)
        pieces.append(Piece(span, start / peak, end / peak, *shape))
    return clock.made(Pieces(tuple(pieces), **clock.sampling), peak, total)


def levels(total: float, drops: Iterable[tuple[float, float]], clock: Clock = STEPS) -> Recipe:
    """The rates held from given places on: (place, rate), the first at 0, in order; those beyond the run are
    left out."""
    kept: list[tuple[float, float]] = []
    for place, level in drops:
        if place < total and (not kept or level != kept[-1][1]):
            kept.append((place, level))
    ends = [*(place for place, _ in kept[1:]), total]
    lines = [Line(b - a, r, r) for (a, r), b in zip(kept, ends, strict=True)]
    return draw(total, [*lines[:-1], lines[-1]._replace(length=None)], clock)


def table(rates: Iterable[float], clock: Clock = STEPS) -> Recipe:
    """A table of rates, one for each count of the clock: what no schedule of preheat's says."""
    schedule, peak = tabulated.of(rates, **clock.sampling)
    return clock.made(schedule, peak, len(schedule.values))


def join(parts: Sequence[Recipe], places: Sequence[int]) -> Recipe:
    """One after the other: part i + 1 begins at count places[i] with a clock of its own; the last one ends
    the run.

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
    return Recipe(out, peak, begins[-1] * (clock.per_epoch or 1) + parts[-1].total, clock.per_epoch)


def _fit(made: Recipe, n: int, clock: Clock) -> Recipe:
    """A part on its stretch of `n` counts."""
    updates = n * (clock.per_epoch or 1)
    if made.total < updates:
        raise UserError(
            f"a schedule for {made.total} updates can't fill a stretch of {updates}: convert it with "
            f"total={updates}"
        )
    return cut(made, n)


def cut(made: Recipe, total: int | None) -> Recipe:
    """The first `total` counts of a recipe (updates, or epochs where it has any), or all where it has no
    more."""
    updates = made.total if total is None else total * int(made.per_epoch or 1)
    if updates >= made.total:
        return made
    also = {name: replace(one, schedule=_excerpt(one.schedule, made)) for name, one in made.also.items()}
    return replace(made, schedule=_excerpt(made.schedule, made), total=updates, also=also)


def _excerpt(schedule: Any, of: Recipe) -> Rule:
    return excerpt(schedule, was=of.total)


_AFTER_A_WARMUP = (
    constant
    | linear
    | cosine
    | polynomial
    | exponential
    | inverse_sqrt
    | inverse_time
    | k_decay
    | restarts
    | tanh
    | wsd
    | tabulated
)


def _folded(first: Recipe, second: Recipe, place: Length) -> Recipe | None:
    """Both as one named schedule, where the first is the warmup of the second."""
    rise, rest = first.schedule, second.schedule
    if not isinstance(rise, constant) or rise.warmup != place or first.peak != second.peak:
        return None
    if isinstance(rest, Pieces) and all(p.length is None or p.length.unit != "fraction" for p in rest.pieces):
        made: Rule = replace(rest, pieces=(*rise.warmup_pieces(), *rest.pieces))
    elif (
        isinstance(rest, _AFTER_A_WARMUP)
        and not rest.warmup
        and not _fractions(rest)
        and getattr(rest, "values", (1,))[0] == 1
    ):
        made = replace(rest, **{name: getattr(rise, name) for name in _WARMUP})
    else:
        return None
    return Recipe(made, first.peak, first.total + second.total, first.per_epoch)


_WARMUP = ("warmup", "warmup_curve", "warmup_start", "warmup_power")


def _fractions(made: Any) -> bool:
    """Whether a length is a fraction of the run, which a warmup in front would change."""
    return any(
        isinstance(x, Length) and x.unit == "fraction" and x
        for x in (getattr(made, f.name) for f in fields(made))
    )
