"""A `Record`: one run and what came of it."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from preheat.core.errors import UserError
from preheat.core.run import Run

Outcome = Literal["done", "diverged", "failed"]


class Status(NamedTuple):
    """How a run ended.

    done: all steps were taken. diverged: the loss was not finite at `step` (0-based), and the run was frozen
    there. failed: the program could not train it, `reason` says why.
    """

    outcome: Outcome
    step: int | None = None
    reason: str = ""

    def json(self) -> dict[str, Any]:
        """The status as JSON data."""
        return {"outcome": self.outcome, "step": self.step, "reason": self.reason}


class Series(NamedTuple):
    """Values measured at steps. steps: array('q') [n]; values: array('f') or array('d') [n].

    Step k is measured before update k; step T (the run's total) is the end of training.
    """

    steps: array[int]
    values: array[float]


Trace = Mapping[str, Series]


@dataclass(frozen=True)
class Record:
    """run, status, trace (what was measured, by step), summary (final numbers), provenance.

    summary holds at least `total_steps`, `steps_per_epoch`, and, if the run was trained, the task's metrics
    as `validation_*` and `test_*` at the end. A metric that is not finite is None. provenance: versions,
    device, commit, seconds.
    """

    run: Run
    status: Status
    trace: Trace = field(default_factory=dict)
    summary: Mapping[str, float | None] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.status.outcome not in ("done", "diverged", "failed"):
            raise UserError(f"a record's outcome is done, diverged or failed, got {self.status.outcome!r}")
        for name, series in self.trace.items():
            assert len(series.steps) == len(series.values), name

    @property
    def id(self) -> str:
        """The run's id."""
        return self.run.id
