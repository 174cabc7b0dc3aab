"""What a search may try: the values of an option, as a range or a list.

Something registered says how it is searched by a classmethod:

    @classmethod
    def space(cls, epochs: int, per_epoch: int) -> Values: ...

{option: values}, for a run of so many epochs with so many updates in each. What has none is searched as it
stands.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from preheat.core.canon import canonical, plain
from preheat.core.errors import UserError, unknown
from preheat.core.lengths import is_number


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included.

    low, high: the bounds. `1e-4`
    log: evenly spread in their logarithm, else evenly. `true`
    step: low, low + step, ... only; whole numbers where it and the bounds are, null for all between. `1`
    start: what is tried first, null for the middle. `0.01`

    >>> Range(1e-4, 1e-2, log=True).first, Range(1, 10, step=1).first, Range(0.5, 3.0, start=0.5).first
    (0.001, 5, 0.5)

    Errors: UserError for bounds that are not finite numbers, or cross, for log with a bound of 0 or below or
    with a step, and for a start outside.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    start: float | None = None

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            if not is_number(getattr(self, name)):
                raise UserError(f"{name} of a range must be a finite number, got {getattr(self, name)!r}")
        if not isinstance(self.log, bool):
            raise UserError(f"log of a range must be true or false, got {self.log!r}: write log: true")
        if not self.low < self.high:
            raise UserError(
                f"low of a range must be below high, got low {self.low:g} and high {self.high:g}: write "
                f"low: {self.high:g}, high: {self.low:g}, or a list with the one value"
            )
        if self.log and (self.low <= 0 or self.step is not None):
            raise UserError(
                f"a range with log must lie above 0 and have no step, got low {self.low:g} and step "
                f"{self.step}: leave log out"
            )
        if self.step is not None and (not is_number(self.step) or self.step <= 0):
            raise UserError(f"step of a range must be a number above 0, got {self.step!r}: write 1")
        if self.start is not None and not (is_number(self.start) and self.low <= self.start <= self.high):
            raise UserError(
                f"start of a range must lie in it, from {self.low:g} to {self.high:g}, got {self.start!r}"
            )
        if self.start is not None and not self.holds(self.start):
            raise UserError(
                f"start of a range must be low and a whole number of steps, got {self.start:g} with low "
                f"{self.low:g} and step {self.step}"
            )

    @property
    def whole(self) -> bool:
        """Whether it holds whole numbers only."""
        return all(isinstance(x, int) for x in (self.low, self.high, self.step))

    def holds(self, value: Any) -> bool:
        """Whether a value is one of it.

        >>> Range(1, 9, step=2).holds(3), Range(1, 9, step=2).holds(4), Range(0.0, 1.0).holds("x")
        (True, False, False)
        """
        if not is_number(value) or not self.low <= value <= self.high:
            return False
        steps = 0.0 if self.step is None else (value - self.low) / self.step
        return bool(abs(steps - round(steps)) < 1e-6)

    @property
    def first(self) -> float:
        """What is tried first."""
        if self.start is not None:
            return self.start
        if self.log:
            return float(f"{math.sqrt(self.low * self.high):.6g}")
        middle = (self.low + self.high) / 2
        return middle if self.step is None else self.low + self.step * round((middle - self.low) / self.step)

    def place(self, value: float) -> float:
        """Where a value lies, from 0 at `low` to 1 at `high`.

        >>> Range(0.0, 2.0).place(0.5), round(Range(1e-4, 1e-2, log=True).place(1e-3), 3)
        (0.25, 0.5)
        """
        low, high, at = (math.log(x) if self.log else x for x in (self.low, self.high, value))
        return (at - low) / (high - low)

    def at(self, place: float) -> float:
        """The value at a place from 0 (`low`) to 1 (`high`), to six significant digits, or on a step.

        >>> Range(1e-4, 1e-2, log=True).at(0.5), Range(1, 9, step=2).at(0.5)
        (0.001, 5)
        """
        low, high = (math.log(x) if self.log else x for x in (self.low, self.high))
        value = low + (high - low) * place
        if self.step is not None:
            return self.low + self.step * round((value - self.low) / self.step)
        return self.rounded(math.exp(value) if self.log else value)

    def rounded(self, value: float) -> float:
        """A number of the range to six significant digits, so that it can be read and written."""
        return min(max(float(f"{value:.6g}"), self.low), self.high)

    def json(self) -> dict[str, Any]:
        """What differs from the defaults."""
        return {f.name: v for f in fields(self) if (v := getattr(self, f.name)) != f.default}


@dataclass(frozen=True)
class Among:
    """One of `values`, the first of which is tried first.

    >>> Among((250, 200, 300)).first
    250
    """

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(self.values))
        texts = [canonical(plain(v)) for v in self.values]
        if len(set(texts)) < len(texts):
            twice = next(v for v in self.values if texts.count(canonical(plain(v))) > 1)
            raise UserError(f"a list of values to try holds each once, got {twice!r} twice: leave one out")
        if not self.values:
            raise UserError("a list of values to try must hold at least one, got []")

    @property
    def first(self) -> Any:
        """What is tried first."""
        return self.values[0]

    def json(self) -> list[Any]:
        """The values."""
        return list(self.values)


Space = Mapping[str, Range | Among]
Values = dict[str, Range | Among]  # of the options of one thing


def space(data: Mapping[str, Any]) -> dict[str, Range | Among]:
    """A space from its JSON: {path: {low: ..., high: ..., log: true} or [values]}.

    >>> space({"peak_lr": {"low": 1e-4, "high": 0.05, "log": True}, "schedule.upper": [200, 250]})
    {'peak_lr': Range(low=0.0001, high=0.05, log=True, step=None, start=None), \
'schedule.upper': Among(values=(200, 250))}
    """
    return {path: _values(path, one) for path, one in data.items()}


def _values(path: str, one: Any) -> Range | Among:
    if isinstance(one, Range | Among):
        return one
    known = [f.name for f in fields(Range)]
    if isinstance(one, Mapping):
        for key in one:
            if key not in known:
                raise unknown(f"key of the range of {path}", key, known)
        if {"low", "high"} <= set(one):
            try:
                return Range(**one)
            except UserError as error:
                raise UserError(f"{path}: {error}") from None
    elif isinstance(one, Sequence) and not isinstance(one, str) and one:
        return Among(tuple(one))
    raise UserError(
        f"what a search may try of {path} is a range or a list, got {one!r}: write {{low: 1e-4, high: 0.05, "
        "log: true} or [200, 250]"
    )


def candidates(tried: Space, n: int) -> list[dict[str, Any]]:
    """n settings that fill a space evenly: its start, then the points of Halton's sequence. None comes twice,
    so there may be fewer.

    The first option of the space has base 2, the next 3, 5, ...: neighbours in one differ in the others.

    >>> [one["peak_lr"] for one in candidates({"peak_lr": Range(1e-4, 1e-2, log=True)}, 4)]
    [0.001, 0.000316228, 0.00316228, 0.000177828]

    Halton 1960, Numerische Mathematik 2, 84.
    """
    if len(tried) > len(_BASES):
        raise UserError(
            f"candidates fill a space of at most {len(_BASES)} options, got {len(tried)}: fix some"
        )
    out: list[dict[str, Any]] = []
    k, texts = 0, set[str]()
    while len(out) < n and k < 50 * n:
        pairs = zip(tried.items(), _BASES, strict=False)
        one = {p: v.first if k == 0 else _at(v, _halton(k, base)) for (p, v), base in pairs}
        text = canonical(plain(one))
        if text not in texts:
            texts.add(text)
            out.append(one)
        k += 1
    return out


_BASES = (2, 3, 5, 7, 11, 13, 17, 19)


def _halton(k: int, base: int) -> float:
    """The digits of k in a base, mirrored behind the point."""
    value, part = 0.0, 1.0
    while k:
        k, digit = divmod(k, base)
        part /= base
        value += digit * part
    return value


def _at(one: Range | Among, place: float) -> Any:
    return one.at(place) if isinstance(one, Range) else one.values[int(place * len(one.values))]
