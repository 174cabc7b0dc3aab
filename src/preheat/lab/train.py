"""Train one run in this process, from Python."""

from __future__ import annotations

from collections import deque

from preheat.core.record import Record
from preheat.core.run import Run
from preheat.engine import loop
from preheat.engine.finish import records
from preheat.engine.placement import Placement, single
from preheat.lab.plan import Choice, Unit
from preheat.lab.unit import provenance


def train(run: Run, where: Placement | None = None) -> Record:
    """The record of one run: status, trace, summary. Nothing is written to disk.

    >>> from preheat import Run
    >>> record = train(Run(task="quadratic", optimizer="sgd", peak_lr=0.5, length="50"))
    >>> record.status.outcome, len(record.trace["train_loss"].values)
    ('done', 50)
    """
    where, unit = where or single(), Unit((run,), Choice(1, "eager", 0.0, 0.0, 0))
    setup = loop.set_up(unit.runs, where)
    last = deque(loop.train(setup), maxlen=1).pop()
    (record,) = records(setup, last, provenance=provenance(str(where.device), last.seconds, unit))
    return record
