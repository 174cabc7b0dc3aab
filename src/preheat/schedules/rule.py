"""What every schedule here can do: resolve itself, and be combined with others. An abstract base; schedules
are final.

    a * b               the product of the factors, each on the whole run
    a.then(b, at=500)   a for 500 steps, as if they were its whole run; then b, with a clock of its own, for
    the rest a.scaled(0.5)       half of a

(`excerpt` takes a stretch of a longer run, and `Resolved.extend` changes a run's length on the way.)

`then` is associative, bit for bit: a.then(b, at=p).then(c, at=q) == a.then(b.then(c, at=q - p), at=p).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import fields
from typing import Any, ClassVar

from preheat.core.canon import plain
from preheat.schedules.resolved import Horizon, Resolved, Segment, horizon, resolved


class Rule(ABC):
    """A rule from progress to a factor of the peak rate.

    peaks: whether the highest factor is 1; a damping factor, or a combination, may stay below it.
    """

    peaks: ClassVar[bool] = True
    at: str
    every: str

    @abstractmethod
    def segments(self, run: Horizon) -> tuple[Segment, ...]:
        """What it does, and where, on [0, T]."""

    def json(self) -> dict[str, Any]:
        """`{"name": ..., **fields}` of a dataclass named as it is registered; fields gained later only where
        used."""
        own = [f for f in fields(self) if not f.metadata or getattr(self, f.name) != f.default]  # type: ignore[arg-type]
        return {"name": type(self).__name__, **{f.name: plain(getattr(self, f.name)) for f in own}}

    def resolve(
        self,
        total: Any,
        per_epoch: float | None = None,
        *,
        peak: float | None = None,
        samples: float | None = None,
        tokens: float | None = None,
    ) -> Resolved:
        """The schedule on a run of `total` steps; `total` is a number of steps or a length such as "90ep" or
        "3e9tok".

        per_epoch: steps in an epoch. peak: the peak rate, for levels given as rates. samples, tokens: how
        many a step holds, for lengths given in them. A total in samples or tokens is rounded up to whole
        steps. Errors: UserError where the schedule does not fit the run.
        """
        return resolved(self, horizon(total, per_epoch, peak=peak, samples=samples, tokens=tokens))

    def __mul__(self, other: Rule | float) -> Rule:
        """The product of both factors at every position; times a number it is `scaled`."""
        from preheat.schedules.algebra import product

        if isinstance(other, Rule):
            return product(self, other)
        return self.scaled(other) if isinstance(other, int | float) else NotImplemented

    __rmul__ = __mul__

    def then(self, other: Rule, *, at: Any) -> Rule:
        """This schedule on a run of `at` steps, then `other` on a run of what is left. `at`: a length of the
        whole run."""
        from preheat.schedules.algebra import then

        return then(self, other, at)

    def scaled(self, by: float) -> Rule:
        """`by` times this schedule, 0 < by <= 1."""
        from preheat.schedules.algebra import scaled

        return scaled(self, by)
