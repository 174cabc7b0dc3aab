"""Runs told to trackers: while they train, and of their records."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from preheat.adapters.trackers.base import Listener, Told
from preheat.adapters.trackers.hub import Hub, tracker
from preheat.adapters.trackers.names import named
from preheat.core.record import Record
from preheat.core.run import Run
from preheat.core.study import Study
from preheat.core.telling import News, always_told, news_of
from preheat.store.store import Store

Say = Callable[[str], None]


def complain(text: str) -> None:
    """Say it on stderr."""
    print(text, file=sys.stderr, flush=True)


def checked(asked: Sequence[str]) -> Sequence[str]:
    """What is asked for. Errors: UserError for the name of no tracker."""
    for one in asked:
        tracker(one)
    return asked


class Tracking:
    """What a hub is told of runs. It takes part in `lab.hearing`, which says what each method is for."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self._told: dict[str, Told] = {}

    def expect(self, runs: Sequence[Run], *, always: Collection[str] = ()) -> None:
        new = named(runs, always=always, spans={run.id: run.steps_per_epoch for run in runs})
        self._told = {**new, **self._told}  # a run keeps the name that it began with

    def begin(self, run: Run) -> None:
        self.hub.begin(self._told[run.id])

    def log(self, news: Iterable[News]) -> None:
        for one in news:
            self.hub.log(one.run_id, one.step, one.values)

    def over(self, record: Record) -> None:
        self.begin(record.run)
        self.log(news_of(record, since=self.hub.last(record.id) + 1))
        self.hub.end(record.id, record.status.outcome, summary(record))

    def notes(self) -> list[str]:
        return self.hub.notes()


def summary(record: Record) -> dict[str, Any]:
    """A record's final numbers, and where it diverged, if it did."""
    at = {} if record.status.step is None else {"diverged_at": record.status.step}
    return {**record.summary, **at}


@contextmanager
def tracking(
    asked: Sequence[str], project: str, root: Path, *, within: str = "", say: Say = complain
) -> Iterator[Tracking | None]:
    """What listens while runs are trained into the results folder `root`, closed at the end; None where
    nobody is asked for. within: the folder of `root` for local files, the project's where it is left out.

    Errors: as of `Hub`.
    """
    if not asked:
        yield None
        return
    Store.open(root)  # before there are files of others in it
    hub = Hub(asked, project, root / (within or project))
    try:
        yield Tracking(hub)
    finally:
        for note in hub.close():
            say(note)


def tell_records(study: Study, ids: Iterable[str], store: Store, listener: Listener) -> int:
    """Tell a study's records to a listener and close it; the number of runs. Those without a record are left
    out."""
    found = {head.id: head for head in store.heads()}
    heads = [found[run_id] for run_id in ids if run_id in found]
    runs = {head.id: head.run() for head in heads}
    spans = {head.id: int(head.summary.get("steps_per_epoch") or 0) for head in heads}
    told = named([*runs.values()], always=always_told(study), spans=spans)
    try:
        for head in heads:
            record = store.load(head)
            listener.begin(told[head.id])
            for one in news_of(record):
                listener.log(one.run_id, one.step, one.values)
            listener.end(head.id, record.status.outcome, summary(record))
    finally:
        listener.close()
    return len(heads)
