"""Schedules as one draws them: pieces, one after the other, that fill the run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import accumulate, pairwise, takewhile
from typing import Any

import numpy as np

from preheat.core.canon import plain
from preheat.core.errors import UserError, unknown
from preheat.core.lengths import Length, is_number, length, snug, steps
from preheat.core.levels import Level, Rate, level, written
from preheat.core.registry import SCHEDULES
from preheat.schedules.curves import CURVES, Array, check_curve
from preheat.schedules.form import Form, Segment, Span
from preheat.schedules.horizon import Horizon
from preheat.schedules.rule import Rule
from preheat.schedules.sampling import check_sampling

_CLOSE = 1e-9  # of the run: what lengths that should fill it may miss by rounding


def tidy_length(value: Any) -> Length:
    """A `Length`; zero is zero steps in every unit, so that "0%" and "0ep" declare the same run."""
    return length(value) or steps(0)


def real(name: str, value: Any) -> float:
    """`value` as a finite float, or the error that says which option is wrong."""
    if not is_number(value):
        raise UserError(f"{name} must be a finite number, got {value!r}: write {name}=0.1")
    return float(value)


@dataclass(frozen=True)
class Piece(Form):
    """One piece: from factor `start` to factor `end` over `length`, along `curve`.

    length: `0.05` or `"5%"` of the run, `500` steps, `"5ep"`, or None for the rest of the run.
    start, end: factors in [0, 1], or rates such as `"1e-6lr"`.
    curve: linear, cosine (may have a `power`), exponential, polynomial (needs a `power`), sqrt, 1-sqrt,
    square, mirror_cosine; see `preheat.schedules.curves`. A fall is the rise played backwards.

    >>> print(Piece("5%", 0, 1), "|", Piece(None, 1, 0.1, "cosine"))
    5% 0 to 1 | rest 1 to 0.1 cosine
    """

    length: Length | None
    start: Level
    end: Level
    curve: str = "linear"
    power: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "length", None if self.length is None else tidy_length(self.length))
        object.__setattr__(self, "start", level("start of a piece", self.start))
        object.__setattr__(self, "end", level("end of a piece", self.end))
        object.__setattr__(self, "power", None if self.power is None else real("power", self.power))
        check_curve(self.curve, min(written(self.start), written(self.end)), power=self.power)

    @property
    def ends(self) -> tuple[float, float]:
        """Its factors at both ends."""
        assert isinstance(self.start, float) and isinstance(self.end, float), "a piece must be settled first"
        return self.start, self.end

    def settled(self, run: Horizon) -> Piece:
        """The same piece with its levels as factors."""
        if isinstance(self.start, float) and isinstance(self.end, float):
            return self
        return replace(self, start=run.factor(self.start), end=run.factor(self.end))

    def value(self, t: Array, span: Span, *, after: bool) -> Array:
        start, end = self.ends
        low, high = sorted(self.ends)
        if low == high:
            return np.full(np.shape(t), high)
        x = (t - span.begin if start < end else span.end - t) / span.length
        return CURVES[self.curve].value(x, low, high, self.power or 1.0)

    def area(self, span: Span) -> float:
        low, high = sorted(self.ends)
        return span.length * CURVES[self.curve].mean(low, high, self.power or 1.0)

    def json(self) -> dict[str, Any]:
        """The fields; `power` only where the curve has one."""
        span = None if self.length is None else self.length.json()
        data = {"length": span, "start": plain(self.start), "end": plain(self.end), "curve": self.curve}
        return data if self.power is None else {**data, "power": self.power}

    def __str__(self) -> str:
        start, end = (f"{x:g}" if isinstance(x, float) else str(x) for x in (self.start, self.end))
        span = start if start == end else f"{start} to {end}"
        length = "rest" if self.length is None else self.length
        shape = "" if self.curve == "linear" else f" {self.curve}"
        power = f" power {self.power:g}" if self.power else ""
        return f"{length} {span}{shape}{power}"


def piece(value: Any) -> Piece:
    """A `Piece` from a Piece or its JSON; an unknown key names the nearest."""
    if isinstance(value, Piece):
        return value
    if not isinstance(value, Mapping):
        write = "write {length: 5%, start: 0, end: 1}"
        raise UserError(f"a piece is Piece(length, start, end) or its fields, got {value!r}: {write}")
    known = [f.name for f in fields(Piece)]
    for key in value:
        if key not in known:
            raise unknown("field of a piece", key, known)
    for key in ("start", "end"):
        if key not in value:
            raise UserError(f"a piece needs its {key}, got {dict(value)!r}: write {key}: 1")
    return Piece(**{"length": None, **value})


@SCHEDULES.register("pieces")
@dataclass(frozen=True)
class Pieces(Rule):
    """Any list of pieces that fills the run, as one would draw it.

    At most one piece has the length None, "the rest" of the run; without one, the lengths add up to the run.
    The highest factor is 1. Boundaries are real numbers: 5 % of 333 steps is 16.65 steps. at, every: see
    `preheat.schedules.resolved`.

    >>> s = Pieces([Piece(2, 0, 1), Piece(None, 1, 1), Piece("50%", 1, 0, "1-sqrt")], at="left")
    >>> s.resolve(8).table()
    array([0.        , 0.5       , 1.        , 1.        , 1.        ,
           0.5       , 0.29289322, 0.1339746 ])
    """

    pieces: tuple[Piece, ...]
    at: str = "mid"
    every: str = "step"

    def __post_init__(self) -> None:
        if isinstance(self.pieces, str | Mapping | Piece) or not hasattr(self.pieces, "__iter__"):
            raise UserError(
                f"pieces is a list of pieces, got {self.pieces!r}: write [Piece(length, start, end), ...]"
            )
        object.__setattr__(self, "pieces", tuple(piece(p) for p in self.pieces))
        check_sampling(self.at, self.every)
        if not self.pieces:
            raise UserError("a schedule needs at least one piece, got none: write [Piece(None, 1, 1)]")
        rests = [str(p) for p in self.pieces if p.length is None]
        if len(rests) > 1:
            got = f"{len(rests)} ({'; '.join(rests)})"
            raise UserError(f"only one piece can be the rest of the run, got {got}: give lengths")
        levels = [x for p in self.pieces for x in (p.start, p.end)]
        if not any(isinstance(x, Rate) for x in levels) and max(levels) != 1.0:  # type: ignore[type-var]
            raise UserError(
                f"a schedule's highest factor must be 1, got {self}: let a piece reach 1, and change peak_lr"
            )

    @property
    def warmup(self) -> Length:
        """The length of the initial rise, 0 if there is none; an error where it is no single length."""
        rise = [p.length for p in takewhile(lambda p: _rises(p) or p.length == steps(0), self.pieces)]
        given = [n for n in rise if n is None or n]
        units = {n.unit for n in given if n is not None}
        if None in given or len(units) > 1:
            raise UserError(
                f"the warmup of {self} is no single length before it is resolved: use .resolve(total).warmup"
            )
        known = [n for n in given if n is not None]
        return Length(math.fsum(n.value for n in known), units.pop()) if known else steps(0)

    def segments(self, run: Horizon) -> tuple[Segment, ...]:
        return place(self.pieces, run)

    def json(self) -> dict[str, Any]:
        """`{"name": "pieces", "pieces": [...], "at": ..., "every": ...}`."""
        return {**super().json(), "name": "pieces"}

    def __str__(self) -> str:
        more = [
            f"{f.name}={getattr(self, f.name)}"
            for f in fields(self)[1:]
            if getattr(self, f.name) != f.default
        ]
        return f"pieces({', '.join([*map(str, self.pieces), *more])})"


def place(pieces: tuple[Piece, ...], run: Horizon) -> tuple[Segment, ...]:
    """The pieces at their places on [0, T]; those of length 0 vanish.

    >>> place((Piece(20, 0, 1), Piece(None, 1, 0)), Horizon(10, None))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    preheat.core.errors.UserError: a schedule's pieces must fit in the run, got warmup 20 = 20 steps...
    """
    pieces = tuple(p.settled(run) for p in pieces)
    given = [None if p.length is None else run.steps(p.length) for p in pieces]
    used = math.fsum(n for n in given if n is not None)
    parts = [f"{k} {p.length}" for k, p in zip(_kinds(pieces), pieces, strict=True) if p.length]
    got = f"{' + '.join(parts) or 'nothing'} = {used:g} steps of {run.total:g}"
    if used > run.total * (1 + _CLOSE):
        raise UserError(
            f"a schedule's pieces must fit in the run, got {got}: shorten them or lengthen the run"
        )
    if None not in given and used < run.total * (1 - _CLOSE):
        raise UserError(
            f"a schedule's pieces must fill the run, got {got}: write None for the length that is the rest"
        )
    placed = zip(_spans(given, run.total), pieces, strict=True)
    kept = [(span, p) for span, p in placed if _kept(span, p, got=got)]
    kinds = _kinds([p for _, p in kept])
    return tuple(Segment(span, kind, p) for (span, p), kind in zip(kept, kinds, strict=True))


def _rises(one: Piece) -> bool:
    """Whether the piece goes up; a start or an end given as a rate lies below the factor at its other end."""
    if isinstance(one.start, Rate) or isinstance(one.end, Rate):
        start, end = (x.value if isinstance(x, Rate) else math.inf for x in (one.start, one.end))
        return start < end
    return one.start < one.end


def _spans(given: list[float | None], total: float) -> list[Span]:
    """Where the pieces lie: summed from the run's start up to the rest, and from its end down to it.

    Where no piece is the rest, the last one is: it may differ from its own length by rounding.
    """
    rest = given.index(None) if None in given else len(given) - 1
    front = [snug(x) for x in accumulate((n or 0.0 for n in given[:rest]), initial=0.0)]
    back = [snug(total - x) for x in accumulate((n or 0.0 for n in given[:rest:-1]), initial=0.0)][::-1]
    if back[0] - front[-1] <= _CLOSE * total:
        front[-1] = back[0]
    return [Span(a, b) for a, b in pairwise([*front, *back])]


def _kept(span: Span, one: Piece, *, got: str) -> bool:
    """Whether the piece has any length; an error if it was to take the rest from one factor to another and
    none is left."""
    if span.end > span.begin:
        return True
    if one.length is None and one.start != one.end:
        raise UserError(
            f"no step is left for the piece ({one}), got {got}: shorten the others or lengthen the run"
        )
    return False


def _kinds(pieces: Sequence[Piece]) -> Iterator[str]:
    """A word for each piece: what it is in the schedule's story."""
    rising, held = True, False
    for p in pieces:
        rises = _rises(p)
        rising = rising and rises
        if rises:
            yield "warmup" if rising else "rise"
        elif p.start == p.end:
            held = True
            yield "stable" if p.end == 1.0 else "hold"
        else:
            yield "cooldown" if held else "decay"
