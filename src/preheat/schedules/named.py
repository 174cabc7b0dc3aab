"""What the named schedules share: a warmup, the sampling options, JSON. An abstract base; every schedule is
final.

A named schedule is a frozen dataclass whose class bears its registered name, so that what a user types, the
repr, the registry and the JSON are one word. It says what follows the warmup in `body`, as pieces; or, where
that is not piecewise, overrides `segments`.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, fields
from typing import Any

from preheat.core.errors import UserError
from preheat.core.lengths import Length, steps
from preheat.core.levels import Level, Rate, level
from preheat.schedules.curves import check_curve
from preheat.schedules.pieces import Piece, Pieces, number, place, tidy_length
from preheat.schedules.resolved import Horizon, Segment
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
    often an update takes its factor, see `preheat.schedules.resolved`.
    """

    warmup: Length = _NONE
    warmup_curve: str = "linear"
    warmup_start: Level = 0.0
    warmup_power: float | None = None
    at: str = "mid"
    every: str = "step"

    def __post_init__(self) -> None:
        for f in fields(self):
            object.__setattr__(self, f.name, tidied(f.name, getattr(self, f.name), str(f.type)))
        check_sampling(self.at, self.every)
        if self.warmup_curve == "constant":
            if self.warmup_power is not None:
                raise UserError(
                    f"a constant warmup has no power, got warmup_power={self.warmup_power:g}: leave "
                    "warmup_power out"
                )
        else:
            start = self.warmup_start.value if isinstance(self.warmup_start, Rate) else self.warmup_start
            check_curve(
                self.warmup_curve, start, power=self.warmup_power, called=("warmup_curve", "warmup_power")
            )
        self.body()

    @abstractmethod
    def body(self) -> tuple[Piece, ...]:
        """The pieces after the warmup; they are built, and so checked, when the schedule is."""

    def pieces(self) -> Pieces:
        """The same schedule written as pieces. Errors: UserError where pieces can't say what it does."""
        if type(self).segments is not Named.segments:
            raise UserError(
                f"{type(self).__name__} can't be written as pieces, got {self}: use the schedule itself"
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
        placed = place(self.warmup_pieces() + self.body(), run)
        if self.warmup and placed[0].kind in ("hold", "stable"):  # a warmup that holds its start is one too
            return (placed[0]._replace(kind="warmup"), *placed[1:])
        return placed

    def __str__(self) -> str:
        said = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        return type(self).__name__ + (
            f"({', '.join(f'{k}={_short(v)}' for k, v in said.items())})" if said else ""
        )


def floor_ratio(value: Level) -> Level:
    """`final`, checked: the floor is a factor of the peak rate and not above it, or a rate."""
    if not isinstance(value, Rate) and not 0 <= value <= 1:
        raise UserError(
            f"final is the floor as a factor of the peak rate, from 0 to 1, got {value:g}: write 0.1 for a "
            "tenth of the peak"
        )
    return value


def tidied(name: str, value: Any, kind: str) -> Any:
    """An option's value as the type of its field says: lengths, levels and numbers."""
    kind, optional = kind.removesuffix(" | None"), kind.endswith(" | None")
    if optional and value is None:
        return None
    if kind == "Length":
        return tidy_length(value)
    if kind == "Level":
        return level(name, value)
    return number(name, value) if kind == "float" else value


def _short(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_short, value)) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)
