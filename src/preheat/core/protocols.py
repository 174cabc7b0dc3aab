"""What the data column knows of a schedule. The classes are in `preheat.schedules`."""

from __future__ import annotations

from typing import Any, Protocol


class ResolvedLike(Protocol):
    """A schedule whose lengths are known: `factor(k)` for a step or an array of steps, float64."""

    def __call__(self, step: Any) -> Any:
        """The factor of the peak rate before update `step`."""
        ...


class Schedule(Protocol):
    """A pure rule from progress to a factor of the peak rate."""

    def resolve(
        self,
        total: int,
        per_epoch: float | None = None,
        *,
        peak: float | None = None,
        samples: float | None = None,
        tokens: float | None = None,
    ) -> ResolvedLike:
        """The schedule on a run of `total` steps; raises `UserError` where it does not fit.

        per_epoch: steps in an epoch; peak: the peak rate; samples, tokens: how many a step holds.
        """
        ...

    def json(self) -> dict[str, Any]:
        """`{"name": registered name, **options}`; `SCHEDULES.build` of it gives an equal schedule."""
        ...
