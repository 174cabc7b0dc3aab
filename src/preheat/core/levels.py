"""Levels: how high a schedule stands, as a factor of the peak rate or as a rate of its own.

Python           command line, YAML     meaning
`0.1`            `0.1`                  a tenth of the peak rate
`rate(1e-6)`     `1e-6lr`               the learning rate 1e-6, whatever the peak is

A rate becomes a factor when the schedule is resolved, and then the peak must be known and not below it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from preheat.core.errors import UserError
from preheat.core.lengths import is_number

_PATTERN = r"\s*([-+0-9.eE]+)\s*lr\s*"


@dataclass(frozen=True)
class Rate:
    """An absolute learning rate, `value` >= 0.

    >>> print(Rate(0.001), Rate(0.001).factor(0.01))
    0.001lr 0.1
    """

    value: float

    def __post_init__(self) -> None:
        if not is_number(self.value) or self.value < 0:
            write = "write 1e-6lr, in Python rate(1e-6)"
            raise UserError(f"a rate must be a finite number >= 0, got {self.value!r}: {write}")
        object.__setattr__(self, "value", float(self.value))

    def factor(self, peak: float | None) -> float:
        """The rate as a factor of the peak."""
        if peak is None:
            give = "give peak=..., or write a factor such as 0.1"
            raise UserError(f"a level given as a rate ({self}) needs the peak rate: {give}")
        if self.value > peak:
            write = f"write a rate of at most {peak:g}"
            raise UserError(f"a level can't lie above the peak rate {peak:g}, got {self}: {write}")
        return self.value / peak

    def json(self) -> dict[str, float]:
        """`{"rate": value}`."""
        return {"rate": self.value}

    def __str__(self) -> str:
        return f"{self.value:g}lr"


Level = float | Rate


def written(value: Level) -> float:
    """The number that stands in a level, be it a factor or a rate."""
    return value.value if isinstance(value, Rate) else value


def rate(value: float) -> Rate:
    """The absolute learning rate `value`."""
    return Rate(value)


def level(name: str, value: Any) -> Level:
    """`value` as a factor in [0, 1] or a `Rate`; the error says which option `name` is wrong.

    >>> level("final", 0.1), level("final", "1e-6lr"), level("final", {"rate": 1e-6})
    (0.1, Rate(value=1e-06), Rate(value=1e-06))
    """
    if isinstance(value, Rate):
        return value
    if isinstance(value, Mapping) and set(value) == {"rate"}:
        return Rate(value["rate"])
    if isinstance(value, str) and (found := re.fullmatch(_PATTERN, value)):
        try:
            return Rate(float(found[1]))
        except ValueError:
            pass
    if not is_number(value) or not 0 <= value <= 1:
        raise UserError(
            f"{name} is a factor of the peak rate, from 0 to 1, or a rate such as 1e-6lr, got {value!r}: "
            "write 0.1 for a tenth of the peak"
        )
    return float(value)
