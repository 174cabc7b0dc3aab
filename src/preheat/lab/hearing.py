"""Whoever listens while a plan is carried out, and what they are told of its events."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Protocol, get_args

from preheat.core.errors import UserError
from preheat.core.record import Outcome, Record
from preheat.core.run import Run
from preheat.core.telling import News, always_told
from preheat.lab.executors.base import Event
from preheat.lab.study import Todo
from preheat.store.store import Store


class Hearer(Protocol):
    """Who is told of runs. No method waits or raises."""

    def expect(self, runs: Sequence[Run], *, always: Collection[str] = ()) -> None:
        """These runs belong together, and may be told of. always: paths that their names tell."""
        ...

    def begin(self, run: Run) -> None:
        """An expected run begins, or goes on; it may be said again."""
        ...

    def log(self, news: Iterable[News]) -> None:
        """What is new of runs that have begun; what is not new is passed over."""
        ...

    def over(self, record: Record) -> None:
        """An expected run has a record, of which is told what was not told before."""
        ...

    def notes(self) -> list[str]:
        """What a person must be told since the last look."""
        ...


class Hearing:
    """Tells a hearer of the events of one plan."""

    def __init__(self, made: Todo, root: Path, hearer: Hearer) -> None:
        self.made, self.root, self.hearer = made, root, hearer
        self._store: Store | None = None
        self._notes: list[str] = []
        self._over: set[str] = set()
        hearer.expect([p.run for p in made.points], always=always_told(made.study))

    def hear(self, event: Event) -> None:
        """Tell of an event."""
        if event.kind == "beat":
            told = {one.run_id for one in event.news}
            for run in (r for r in event.unit.runs if r.id in told):
                self.hearer.begin(run)
            self.hearer.log(event.news)
        elif event.kind in ("done", "failed"):
            self._records(event.unit.runs)

    def end(self) -> None:
        """Tell of what other processes trained."""
        self._records([run for unit in self.made.units for run in unit.runs])

    def _records(self, runs: Iterable[Run]) -> None:
        self._store = self._store or Store.open(self.root, create=False)
        wanted = [run.id for run in runs if run.id not in self._over]
        outcomes = get_args(Outcome)
        for run_id in sorted(self._store.ids(outcomes, among=wanted)):
            self._over.add(run_id)
            try:
                self.hearer.over(self._store.load(run_id))
            except UserError as error:  # a damaged trace
                self._notes.append(f"trackers are not told how run {run_id} ended: {error}")

    def notes(self) -> list[str]:
        """What a person must be told since the last look."""
        found, self._notes = [*self._notes, *self.hearer.notes()], []
        return found
