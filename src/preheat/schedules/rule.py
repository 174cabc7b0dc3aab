"""What every schedule here can do: resolve itself, and be combined with others. An abstract base; schedules
are final.

    a * b               the product of the factors, each on the whole run
    a.then(b, at=500)   a for 500 steps, as if they were its whole run; then b, with a clock of its own
    a.scaled(0.5)       half of a
    a.floored(0.1)      a, cut off at a tenth of the peak

(`excerpt` takes a stretch of a longer run, and `Resolved.extend` changes a run's length on the way.)

`then` is associative, bit for bit: a.then(b, at=p).then(c, at=q) == a.then(b.then(c, at=q - p), at=p).
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from preheat.core.canon import plain
from preheat.core.levels import Rate
from preheat.core.registry import SCHEDULES
from preheat.core.space import Values
from preheat.schedules.horizon import horizon
from preheat.schedules.resolved import Placeable, Resolved, resolved


class Rule(Placeable):
    """A rule from progress to a factor of the peak rate."""

    def json(self) -> dict[str, Any]:
        """`{"name": class, **fields}`, a class named as it is registered; later fields only where used."""
        own = [f for f in fields(self) if not f.metadata or getattr(self, f.name) != f.default]  # type: ignore[arg-type]
        return {"name": type(self).__name__, **{f.name: plain(getattr(self, f.name)) for f in own}}

    @classmethod
    def space(cls, epochs: int, per_epoch: int) -> Values:
        """What a search may try of its options, on a run of so many epochs with so many updates in each."""
        return {}

    def resolve(
        self,
        total: Any,
        per_epoch: float | None = None,
        *,
        peak: float | None = None,
        samples: float | None = None,
        tokens: float | None = None,
    ) -> Resolved:
        """The schedule on a run of `total` steps: a number, or a length such as "90ep" or "3e9tok".

        per_epoch: steps in an epoch. peak: the peak rate, for levels given as rates. samples, tokens: how
        many a step holds, for lengths given in them. A total in samples or tokens is rounded up to whole
        steps. Errors: UserError where the schedule does not fit the run.
        """
        return resolved(self, horizon(total, per_epoch, peak=peak, samples=samples, tokens=tokens))

    def __mul__(self, other: Rule | float) -> Rule:
        """The product of both factors at every position; times a number it is `scaled`."""
        if isinstance(other, Rule):
            return _combined("product", self, other)
        return self.scaled(other) if isinstance(other, int | float) else NotImplemented

    __rmul__ = __mul__

    def then(self, other: Rule, *, at: Any) -> Rule:
        """This schedule on a run of `at` steps (any length), then `other` on a run of what is left."""
        return _combined("then", self, other, at)

    def scaled(self, by: float) -> Rule:
        """`by` times this schedule, 0 < by <= 1."""
        return _combined("scaled", self, by)

    def floored(self, floor: float | str | Rate) -> Rule:
        """This schedule, cut off at a floor (a factor, or a rate such as "1e-5lr") after its warmup."""
        return _combined("floored", self, floor)


def _combined(name: str, *parts: Any) -> Rule:
    made: Rule = SCHEDULES[name](*parts)
    return made
