"""What a schedule learns of its run when it is resolved."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from preheat.core.errors import UserError
from preheat.core.lengths import Length, Sizes, is_number, length
from preheat.core.levels import Level, Rate
from preheat.schedules.sampling import step_count

# what must be above 0, in words, and such a number
_ABOVE_0 = {
    "per_epoch": ("a finite number of steps", 100),
    "peak": ("a finite rate", 1e-3),
    "samples": ("a finite number", 100),
    "tokens": ("a finite number", 100),
}


class Horizon(NamedTuple):
    """A run of `total` steps (T): how many make an epoch, the peak rate, what a step holds."""

    total: float
    per_epoch: float | None
    peak: float | None = None
    samples: float | None = None
    tokens: float | None = None

    def steps(self, n: Length) -> float:
        """A length in steps, a real number."""
        return n.resolve(self.total, self.per_epoch, sizes=Sizes(self.samples, self.tokens))

    def factor(self, given: Level) -> float:
        """A level as a factor of the peak rate."""
        return given.factor(self.peak) if isinstance(given, Rate) else given


def horizon(total: Any, per_epoch: float | None, **more: float | None) -> Horizon:
    """`Horizon`, checked. total: whole steps or a length; more: peak, samples, tokens."""
    known: dict[str, float | None] = {}
    for name, value in {"per_epoch": per_epoch, **more}.items():
        what, such = _ABOVE_0[name]
        if value is not None and (not is_number(value) or value <= 0):
            raise UserError(f"{name} must be {what} > 0, got {value!r}: write {name}={such}")
        known[name] = None if value is None else float(value)
    run = Horizon(0, **known)
    return run._replace(total=step_count("a run's total", _total(total, run), 1))


def _total(total: Any, run: Horizon) -> Any:
    """The steps of a total given as a length, whole ones for samples and tokens; other values as they are."""
    if not isinstance(total, str | Length):
        return total
    given = length(total)
    if given.unit == "fraction":
        raise UserError(
            f"a run's total can't be a fraction of the run, got {given}: write 1000, 90ep or 3e9tok"
        )
    steps = run.steps(given)
    if given.unit in ("samples", "tokens"):
        return math.ceil(steps)
    return int(steps) if steps == int(steps) else steps
