"""Numbers among the arguments, checked: the errors say which one is wrong."""

from __future__ import annotations

from typing import Any

from preheat.core.errors import UserError
from preheat.core.lengths import is_number


def positive(what: str, value: Any) -> float:
    """`value` as a float above 0."""
    if not is_number(value) or value <= 0:
        raise UserError(f"{what} must be a finite number > 0, got {value!r}: write 0.1")
    return float(value)


def whole_number(what: str, value: Any, *, least: int = 1) -> int:
    """`value`, also a float such as 5.0, as a whole number of at least `least`."""
    if not is_number(value) or value != int(value) or value < least:
        raise UserError(f"{what} must be a whole number >= {least}, got {value!r}: write {max(least, 10)}")
    return int(value)


def bounded(what: str, value: Any, low: float, high: float) -> float:
    """`value` as a float in [low, high]."""
    if not is_number(value) or not low <= value <= high:
        between = f"between {low:g} and {high:g}"
        raise UserError(f"{what} must lie {between}, got {value!r}: write {min(high, 0.1):g}")
    return float(value)


def base_rate(a: Any, its: str) -> float:
    """The optimizer's rate, `lr`. its: the library as an owner."""
    if a.lr is None:
        raise UserError(f"{its} schedulers start from the optimizer's rate, got none: write lr=0.1")
    return positive("lr", a.lr)


def asked_total(a: Any, least: int = 1) -> int:
    """The run's length where the schedule has none of its own; at least `least`."""
    if a.total is None:
        write = "write total=1000, the updates (or epochs) of the run"
        raise UserError(f"this schedule has no end of its own, got no total: {write}")
    return max(whole_number("total", a.total), least)
