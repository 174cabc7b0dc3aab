"""The rows of somebody's own training loop told to trackers, as one run."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from preheat.adapters.trackers.base import Told
from preheat.adapters.trackers.hub import Hub
from preheat.adapters.trackers.tracking import complain

STEP = "update"


class HasRows(Protocol):
    """What tells its rows to `told`."""

    told: Callable[[dict[str, float]], None] | None


class OwnRun(NamedTuple):
    """A run that is not declared here."""

    id: str


@contextmanager
def rows_told(
    whose: HasRows, trackers: Sequence[str], settings: Mapping[str, Any], *, project: str, folder: Path
) -> Iterator[None]:
    """While it lasts each row is told to the trackers, its number of updates as the step. Errors: as of
    `Hub`."""
    hub, run = Hub(trackers, project, folder), OwnRun(secrets.token_hex(8))

    def told(row: dict[str, float]) -> None:
        hub.log(run.id, int(row[STEP]), {name: value for name, value in row.items() if name != STEP})
        for note in hub.notes():
            complain(note)

    hub.begin(Told(run, project, f"{project} {time.strftime('%Y-%m-%d %H:%M:%S')}", settings, 0))
    whose.told = told
    outcome = "failed"
    try:
        yield
        outcome = "done"
    finally:
        whose.told = None
        hub.end(run.id, outcome, {})
        for note in hub.close():
            complain(note)
