"""Train one run in this process, from Python."""

from __future__ import annotations

from collections.abc import Iterator

from preheat.core.record import Record
from preheat.core.run import Run
from preheat.engine.finish import records
from preheat.engine.loop import Progress, Setup, set_up
from preheat.engine.loop import train as _train
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
    setup = set_up([run], where or single())
    for now in _train(setup):
        last = now
    return finished(setup, last, 0.0)


def watch(run: Run, where: Placement | None = None) -> tuple[Setup, Iterator[Progress]]:
    """The run's setup and its progress, step by step, for a live line."""
    setup = set_up([run], where or single())
    return setup, _train(setup)


def finished(setup: Setup, end: Progress, seconds: float) -> Record:
    """The record of a single run's last progress."""
    unit = Unit(setup.fleet.runs, Choice(1, "eager", 0.0, 0.0, 0))
    return records(setup, end, provenance(str(setup.fleet.rates.device), seconds, unit))[0]
