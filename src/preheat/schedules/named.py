"""What the named schedules share: a warmup, the sampling options, JSON. An abstract base; every schedule is
final.

A named schedule is a frozen dataclass whose class bears its registered name, so that what a user types, the
repr, the registry and the JSON are one word. It says what follows the warmup in `body`, as pieces; where that
is a form of its own, in `decay`; or it overrides `segments`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

from preheat.core.errors import UserError
from preheat.core.lengths import Length, steps
from preheat.core.levels import Level, level, written
from preheat.core.space import Range, Values
from preheat.core.spec import LATER
from preheat.schedules.combine.forms import Ahead, ahead
from preheat.schedules.curves import check_curve
from preheat.schedules.form import Form, Segment, Span
from preheat.schedules.horizon import Horizon
from preheat.schedules.pieces import Piece, Pieces, place, real, tidy_length
from preheat.schedules.rule import Rule
from preheat.schedules.sampling import check_sampling

_NONE = steps(0)


@dataclass(frozen=True, kw_only=True)
class Named(Rule):
    """A schedule with a name: a rise from `warmup_start` to 1 over `warmup`, then a body.

    warmup: length of the rise (`0.05`, `"5%"`, `500`, `"5ep"`); 0 for none.
    warmup_curve: linear, cosine, exponential, polynomial (with `warmup_power`), sqrt, 1-sqrt, square,
    mirror_cosine, or constant, which holds `warmup_start` and then jumps to 1. warmup_start: the factor at
    the rise's begin, or a rate such as "1e-6lr"; above 0 for an exponential rise. at, every: where and how
    often an update takes its factor, see `preheat.schedules.resolved`. warmup_at: the same of the updates of
    the warmup, where it is not `at`. With at="left" and warmup_at="right" update k sees

        rise(min(k + 1, W) / W) for k < W        the decay at k, its left end, from W on

    so that a linear warmup is (k + 1) / W and the decay begins at 1, as torchtitan has it.
    """

    warmup: Length = _NONE
    warmup_curve: str = "linear"
    warmup_start: Level = 0.0
    warmup_power: float | None = None
    at: str = "mid"
    every: str = "step"
    warmup_at: str | None = field(default=None, metadata=LATER)

    def __post_init__(self) -> None:
        for f in fields(self):
            object.__setattr__(self, f.name, tidied(f.name, getattr(self, f.name), str(f.type)))
        check_sampling(self.at, self.every)
        if self.warmup_at is not None:
            check_sampling(self.warmup_at, self.every, name="warmup_at")
        if self.warmup_curve != "constant":
            names = ("warmup_curve", "warmup_power")
            check_curve(self.warmup_curve, written(self.warmup_start), power=self.warmup_power, called=names)
        elif self.warmup_power is not None:
            given = f"warmup_power={self.warmup_power:g}"
            raise UserError(f"a constant warmup has no power, got {given}: leave warmup_power out")
        self.body()

    @classmethod
    def space(cls, epochs: int, per_epoch: int) -> Values:
        return {"warmup": Range(0.0, 0.2, start=0.05)}

    @abstractmethod
    def body(self) -> tuple[Piece, ...]:
        """The pieces after the warmup; they are built, and so checked, when the schedule is."""

    def decay(self, span: Span, run: Horizon) -> Form | None:
        """The form that a piece of the body stands for on its span; None for the piece itself."""
        return None

    def pieces(self) -> Pieces:
        """The same schedule written as pieces. Errors: UserError where pieces can't say what it does."""
        mine, early = type(self), self.warmup and self.warmup_at not in (None, self.at)
        if early or mine.segments is not Named.segments or mine.decay is not Named.decay:
            raise UserError(
                f"{mine.__name__} can't be written as pieces, got {self}: use the schedule itself"
            )
        return Pieces(self.warmup_pieces() + self.body(), at=self.at, every=self.every)

    def warmup_pieces(self) -> tuple[Piece, ...]:
        """The warmup as a piece, or nothing."""
        if not self.warmup:
            return ()
        if self.warmup_curve == "constant":
            return (Piece(self.warmup, self.warmup_start, self.warmup_start),)
        return (Piece(self.warmup, self.warmup_start, 1.0, self.warmup_curve, self.warmup_power),)

    def segments(self, run: Horizon) -> tuple[Segment, ...]:
        """Warmup and body at their places on [0, T]."""
        first, *rest = place(self.warmup_pieces() + self.body(), run)
        if self.warmup and first.kind in ("hold", "stable"):  # a warmup that holds its start is one too
            first = first._replace(kind="warmup")
        if self.warmup and first.kind == "warmup" and self.warmup_at is not None:
            by = ahead((self.at, self.warmup_at), self.every, run)
            first = first._replace(form=Ahead((first,), by, self.warmup_at != "right")) if by else first
        return tuple(s if s.kind == "warmup" else self._formed(s, run) for s in (first, *rest))

    def _formed(self, segment: Segment, run: Horizon) -> Segment:
        form = self.decay(segment.span, run)
        return segment if form is None else segment._replace(kind="decay", form=form)

    def warmed(self, run: Horizon) -> tuple[tuple[Segment, ...], Span]:
        """The warmup at its place, if there is one, and the span that it leaves."""
        warm = tuple(s for s in Named.segments(self, run) if s.kind == "warmup")
        return warm, Span(warm[0].span.end if warm else 0.0, float(run.total))

    def __str__(self) -> str:
        return called(self, _short)


def called(one: Any, show: Callable[[Any], str] = str, *, first: str = "") -> str:
    """A dataclass as the call that makes it: its name, and what is not at its default, `first` in front."""
    given = {f.name: getattr(one, f.name) for f in fields(one) if getattr(one, f.name) != f.default}
    inside = [f"{name}={show(given[name])}" for name in sorted(given, key=lambda name: name != first)]
    return f"{type(one).__name__}({', '.join(inside)})" if given else type(one).__name__


def above_0(name: str, value: Length | float | None, write: str) -> None:
    """Raise `UserError` where a length or number is given and not above 0. write: what to write instead."""
    if value is not None and (not value if isinstance(value, Length) else value <= 0):
        raise UserError(f"{name} must be above 0, got {_short(value)}: write {write}")


def above_0_to_1(name: str, value: float, write: str) -> None:
    """Raise `UserError` unless 0 < value <= 1."""
    if not 0 < value <= 1:
        raise UserError(f"{name} must be above 0 and at most 1, got {value:g}: write {write}")


def tidied(name: str, value: Any, kind: str) -> Any:
    """An option's value as the type of its field says: lengths, levels and numbers."""
    kind, optional = kind.removesuffix(" | None"), kind.endswith(" | None")
    if optional and value is None:
        return None
    if kind == "Length":
        return tidy_length(value)
    if kind == "Level":
        return level(name, value)
    return real(name, value) if kind == "float" else value


def _short(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_short, value)) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)
