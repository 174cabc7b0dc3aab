"""Lengths of training: a fraction of the run, or a number of steps, epochs, samples or tokens.

Python                 command line, YAML      meaning
`steps(500)`, `500`    `500`, `500ba`          500 updates
`epochs(5)`            `5ep`                   5 passes over the training data
`0.05`                 `5%`, `0.05dur`         the first (or last) twentieth of the run
`"1e6sp"`              `1e6sp`                 the updates that see a million samples
`"3e9tok"`             `3e9tok`                the updates that see 3 billion tokens
`"10/decade"`          `10/decade`             how often: 10 times while the steps grow tenfold

A length is resolved once, when the run's total and what an epoch, or a step, holds are known. Nothing is
rounded: 5 % of 333 steps is 16.65 steps, and the schedule's boundary lies there. Only the rounding of the
product itself is taken back, so that 0.07 epochs of 100 steps are 7 steps.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from preheat.core.errors import UserError

Unit = Literal["fraction", "steps", "epochs", "samples", "tokens", "per_decade"]
_TEXT = {"steps": "", "epochs": "ep", "samples": "sp", "tokens": "tok", "per_decade": "/decade"}
_UNITS: dict[str, Unit] = {
    "dur": "fraction",
    "ba": "steps",
    "ep": "epochs",
    "sp": "samples",
    "tok": "tokens",
    "st": "steps",
    "/decade": "per_decade",
}
_WORDS = "%|dur|ep|epochs?|st|steps?|ba|sp|samples?|tok|tokens?|/decade"
PATTERN = rf"\s*((?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)\s*({_WORDS})?\s*"  # a length as text
_HELP = "write 500 (steps), 5ep (epochs) or 5% (of the run); in Python steps(500), epochs(5) or 0.05"


class Sizes(NamedTuple):
    """What a step holds, in samples and in tokens; None where nobody said."""

    samples: float | None = None
    tokens: float | None = None


def snug(x: float) -> float:
    """`x`, or the half or whole number that it misses by the rounding of a product (as 0.07 * 100 does 7).

    Updates take their factor at whole numbers or halfway between them, so there a boundary must be exact.

    >>> snug(0.07 * 100), snug(0.07 * 50), snug(16.65)
    (7.0, 3.5, 16.65)
    """
    if not math.isfinite(x):
        return x
    near = round(2 * x) / 2
    return near if abs(x - near) <= 8e-15 * abs(x) else x


def is_number(value: Any) -> bool:
    """Whether `value` is a finite int or float; a whole number beyond every float is not, nor is True.

    >>> is_number(0.5), is_number(10**400), is_number(True)
    (True, False, False)
    """
    try:
        return not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value)
    except OverflowError:
        return False


@dataclass(frozen=True)
class Length:
    """`value` in `unit`; see the module's table.

    >>> Length(5, "epochs").resolve(total=1000, per_epoch=20)
    100.0
    >>> print(Length(0.05, "fraction"), Length(5, "epochs"), Length(500, "steps"))
    5% 5ep 500
    """

    value: float
    unit: Unit

    def __post_init__(self) -> None:
        v = self.value
        if not is_number(v) or v < 0:
            raise UserError(f"a length must be a finite number >= 0, got {v!r}: {_HELP}")
        if self.unit != "fraction" and self.unit not in _TEXT:
            raise UserError(f"a length's unit is fraction, {', '.join(_TEXT)}, got {self.unit!r}: {_HELP}")
        if self.unit == "fraction" and v > 1:
            raise UserError(f"a fraction of the run must be at most 1 (100%), got {v!r}: {_HELP}")
        if self.unit == "steps" and v != int(v):
            raise UserError(f"a number of steps must be whole, got {v!r}: {_HELP}")
        object.__setattr__(self, "value", int(v) if self.unit == "steps" else float(v))

    def resolve(self, total: float, per_epoch: float | None, *, sizes: Sizes | None = None) -> float:
        """The length in steps of a run of `total` steps with `per_epoch` steps in an epoch.

        sizes: how many samples and tokens a step holds, where lengths are given in them.
        """
        if self.unit == "per_decade":
            raise UserError(f"{self} says how often, not how long: {_HELP}")
        if self.unit == "steps":
            return float(self.value)
        if self.unit == "fraction":
            return snug(self.value * total)
        if self.unit == "epochs":
            return snug(self.value * self._size("steps per epoch", "per_epoch", per_epoch))
        known = sizes or Sizes()
        if self.unit == "samples":
            return snug(self.value / self._size("samples per step", "samples", known.samples))
        return snug(self.value / self._size("tokens per step", "tokens", known.tokens))

    def _size(self, what: str, name: str, size: float | None) -> float:
        if size is None:
            give = f"give {name}=..., or write steps"
            raise UserError(f"a length in {self.unit} ({self}) needs the {what}: {give}")
        return size

    def __bool__(self) -> bool:
        return self.value > 0

    def __str__(self) -> str:
        if self.unit == "fraction":
            return f"{self.value * 100:g}%"
        return f"{self.value}" if self.unit == "steps" else f"{self.value:g}{_TEXT[self.unit]}"

    def json(self) -> dict[str, float]:
        """The length as JSON data: `{unit: value}`."""
        return {self.unit: self.value}


def steps(n: int) -> Length:
    """`n` optimizer updates."""
    return Length(n, "steps")


def epochs(n: float) -> Length:
    """`n` passes over the training data."""
    return Length(n, "epochs")


def fraction(x: float) -> Length:
    """The fraction `x` of the run, 0 <= x <= 1."""
    return Length(x, "fraction")


def due(every: Length, total: int, per_epoch: int) -> list[int]:
    """The steps before which something happens that is due `every` so often, ascending, from 0 on.

    Evenly: floor(j every) < total. Of n a decade: 0 and floor(10^(j/n)) < total, each once.

    >>> due(Length(0.25, "fraction"), 10, 5), due(Length(2, "per_decade"), 200, 5)
    ([0, 2, 5, 7], [0, 1, 3, 10, 31, 100])
    """
    if every.unit == "per_decade":
        powers = range(math.ceil(every.value * math.log10(total)) + 1)
        found = [0, *(math.floor(snug(10 ** (j / every.value))) for j in powers)]
    else:
        gap = max(every.resolve(total, per_epoch), 1.0)
        found = [math.floor(snug(j * gap)) for j in range(math.ceil(total / gap))]
    return sorted({k for k in found if k < total})


def times_due(every: Length, total: int, per_epoch: int) -> int:
    """How many steps `due` has, without listing those of an even distance."""
    if every.unit == "per_decade":
        return len(due(every, total, per_epoch))
    return math.ceil(total / max(every.resolve(total, per_epoch), 1.0))


def length(value: Any) -> Length:
    """A `Length` from what a user writes: a Length, `0.05`, `500`, `"5ep"`, `"5%"`, `{"epochs": 5}`.

    >>> length("5ep") == epochs(5), length(0.05) == length("5%"), length(500) == steps(500)
    (True, True, True)
    """
    if isinstance(value, Length):
        return value
    if isinstance(value, bool):
        raise UserError(f"a length is not true or false, got {value!r}: {_HELP}")
    if isinstance(value, int):
        return steps(value)
    if isinstance(value, float):
        return fraction(value)
    if isinstance(value, Mapping) and len(value) == 1:
        ((unit, number),) = value.items()
        return Length(number, unit)
    if isinstance(value, str) and (found := re.fullmatch(PATTERN, value)):
        return _from_text(float(found[1]), found[2] or "")
    raise UserError(f"not a length: {value!r}: {_HELP}")


def _from_text(number: float, unit: str) -> Length:
    if unit == "%":
        return fraction(number / 100)
    return Length(number, next((long for short, long in _UNITS.items() if unit.startswith(short)), "steps"))
