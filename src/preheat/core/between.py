"""`Between`: any hyperparameter that follows a schedule, such as one-cycle's momentum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from preheat.core.errors import UserError, unknown
from preheat.core.lengths import is_number
from preheat.core.protocols import Schedule
from preheat.core.registry import SCHEDULES
from preheat.core.spec import Spec, as_spec


@dataclass(frozen=True)
class Between:
    """A number that moves from `at_zero` to `at_peak` as the schedule's factor s goes from 0 to 1, and back.

    value = at_zero + (at_peak - at_zero) s, so a falling momentum under a rising rate is at_zero=0.95,
    at_peak=0.85.

    schedule: whose factor s moves the number; without rates such as 1e-6lr, as no peak is here. `linear`
    at_zero: the number where s is 0. `0.95`
    at_peak: the number where s is 1. `0.85`

    >>> momentum = Between("linear", at_zero=0.95, at_peak=0.85)
    >>> momentum.value(0.0), momentum.value(0.5)
    (0.95, 0.8999999999999999)

    Smith 2018, arXiv 1803.09820 (cyclical momentum).
    """

    schedule: Schedule
    at_zero: float
    at_peak: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "schedule", as_schedule(self.schedule))
        for name in ("at_zero", "at_peak"):
            value = getattr(self, name)
            if not is_number(value):
                raise UserError(f"{name} must be a finite number, got {value!r}: write {name}=0.95")
            object.__setattr__(self, name, float(value))

    def value(self, factor: Any) -> Any:
        """The number at a factor, or an array of factors."""
        return self.at_zero + (self.at_peak - self.at_zero) * factor

    def json(self) -> dict[str, Any]:
        """`{"schedule": {...}, "at_zero": ..., "at_peak": ...}`."""
        return {"schedule": self.schedule.json(), "at_zero": self.at_zero, "at_peak": self.at_peak}

    def __str__(self) -> str:
        return f"{self.at_zero:g} to {self.at_peak:g} by {self.schedule}"


def between(value: Any) -> Between:
    """A `Between` from a Between or its JSON; an unknown key names the nearest.

    >>> between({"schedule": "cosine", "at_zero": 0.95, "at_peak": 0.85}).at_peak
    0.85
    """
    if isinstance(value, Between):
        return value
    known = [f.name for f in fields(Between)]
    if not isinstance(value, Mapping) or not set(known) <= set(value):
        raise UserError(
            "a hyperparameter that moves is Between(schedule, at_zero, at_peak) or its fields, got "
            f"{value!r}: write {{schedule: cosine, at_zero: 0.95, at_peak: 0.85}}"
        )
    for key in value:
        if key not in known:
            raise unknown("field of a hyperparameter that moves", key, known)
    return Between(**value)


def as_schedule(value: Any) -> Schedule:
    """A schedule from a schedule, a name, or its JSON; options without a name are those of the default
    one."""
    if value is None or isinstance(value, str | Mapping | Spec):
        one = as_spec(value, "schedule")
        return SCHEDULES.build(one.name, one.options)  # type: ignore[no-any-return]
    if isinstance(value, type):
        name = value.__name__
        raise UserError(f"schedule must be a schedule, not its class, got {name}: write {name}()")
    if not hasattr(value, "resolve") or not hasattr(value, "json"):
        write = "write 'cosine' or cosine(warmup=0.05)"
        raise UserError(f"schedule must be a schedule, a name or {{name: ...}}, got {value!r}: {write}")
    return value  # type: ignore[no-any-return]
