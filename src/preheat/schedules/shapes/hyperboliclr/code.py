"""What the 13 schedules of the HyperbolicLR experiments share. Each is registered under its code: N P C E L S
OC CY H EH WH WEH WC. Kim 2024, arXiv 2407.15200.

E are a run's epochs, T its updates, W = max(1, E // 10) the epochs of a warmup. A code is another schedule of
this package with the options that the experiments give it for that run, sampled as they do: the rate is set
after an epoch, of OC and CY after a batch. The first epoch of WH and WEH is at the infimum; that of the
experiments, at the full peak, is an option of the recipe `hyperboliclr`.

An infimum is a rate, not a factor, so a code that has one needs the peak rate. What a search may try is that
of the experiments.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, fields
from typing import Any

from preheat.core.between import Between
from preheat.core.errors import UserError
from preheat.core.lengths import is_number
from preheat.core.levels import Rate
from preheat.core.space import Range, Values
from preheat.schedules.form import Segment
from preheat.schedules.horizon import Horizon
from preheat.schedules.named import above_0, above_0_to_1, called, tidied
from preheat.schedules.rule import Rule

# the options' bounds, and what to write
_ABOVE_0 = {"power": "0.5", "upper": "250", "period": "16"}
_ABOVE_0_TO_1 = {"gamma": "0.96", "end": "1e-4", "pct_start": "0.3"}
_COUNTS = ("rise", "tuned_at")
INFIMUM: Values = {"infimum": Range(1e-7, 1e-4, log=True, start=1e-6)}


@dataclass(frozen=True, kw_only=True)
class Code(Rule):
    """What the codes share: each is built for its run. An abstract base."""

    at = "left"
    every = "epoch"

    def __post_init__(self) -> None:
        for f in fields(self):
            value = tidied(f.name, getattr(self, f.name), str(f.type))
            if f.name in _COUNTS and value is not None:
                value = _count(f.name, value)
            elif f.name in _ABOVE_0:
                above_0(f.name, value, _ABOVE_0[f.name])
            elif f.name in _ABOVE_0_TO_1 and value is not None:
                above_0_to_1(f.name, value, _ABOVE_0_TO_1[f.name])
            elif f.name == "infimum" and value < 0:
                raise UserError(f"infimum is a rate of at least 0, got {value:g}: write 1e-6")
            object.__setattr__(self, f.name, value)

    @abstractmethod
    def built(self, run: Horizon) -> Rule:
        """The schedule that the code stands for on a run."""

    def segments(self, run: Horizon) -> tuple[Segment, ...]:
        return self.built(run).segments(run)

    def also(self, total: float, per_epoch: float | None = None) -> dict[str, Between]:
        """The numbers of Adam that the experiments move with the rate: `also` of a `Run` of `total` updates.

        A schedule moves the rate alone, so a run has to be given them. Only OC and CY have one.

        >>> from preheat.schedules import EH, OC
        >>> print(OC().also(100)["beta1"].at_peak, EH().also(100))
        0.85 {}
        """
        return {}

    def __str__(self) -> str:
        return called(self, lambda value: f"{value:g}")

    def in_epochs(self, run: Horizon) -> float:
        """E, a real number."""
        if run.per_epoch is None:
            raise UserError(
                f"{type(self).__name__} counts epochs and needs the steps per epoch, got None: give "
                "per_epoch=..."
            )
        return run.total / run.per_epoch

    def warmup(self, run: Horizon) -> int:
        """W."""
        return max(1, math.floor(self.in_epochs(run) / 10))

    def lowest(self, infimum: float, run: Horizon) -> Rate:
        """The infimum, where the peak rate is known."""
        if run.peak is None:
            raise UserError(
                f"the infimum of {type(self).__name__} is a rate, {infimum:g}, and needs the peak rate, got "
                "None: give peak=..."
            )
        return Rate(infimum)


def _count(name: str, value: Any) -> int:
    if not is_number(value) or value < 1 or value != int(value):
        raise UserError(f"{name} must be a whole number >= 1, got {value!r}: write {name}=50")
    return int(value)
