"""What an executor is: units go in, events come out.

An executor trains units (`lab.work.attempt` is one unit's work, in whatever process), and is a generator of
what happens to them. Closing the generator stops it: every unit that is being trained writes a checkpoint
first. It brings its own claims, so that a run is trained by one process at a time wherever its processes are.
What follows a failure is not its decision: `Queue` asks `lab.retry`.

    @EXECUTORS.register("somewhere")
    @dataclass(frozen=True)
    class Somewhere: ...
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from preheat.core.errors import UserError
from preheat.core.telling import News
from preheat.lab.claims import Claiming
from preheat.lab.plan import Unit
from preheat.lab.retry import after
from preheat.lab.work import Failure, Job
from preheat.store.store import Store


class Event(NamedTuple):
    """What happened to a unit.

    beat: run-steps were taken; news: what is new of each run, where the job asks for it. done: records were
    stored, by us or by another process. failed: runs were recorded as failed. busy: another process has some
    of the runs. retry: what failed is tried again: a unit, in halves where memory ran out, or a checkpoint
    that could not be written. unkept: a run trained again for its weights has other losses than its record.
    """

    kind: Literal["beat", "done", "failed", "busy", "retry", "unkept"]
    unit: Unit
    run_steps: int = 0
    runs: int = 0
    diverged: int = 0
    text: str = ""
    news: Sequence[News] = ()


class Executor(Protocol):
    """Whoever trains units, somewhere."""

    def claims(self, root: Path) -> Claiming:
        """The claims of the process that asks, on the results folder `root`; sent to workers, so it can be
        pickled."""
        ...

    def execute(self, units: Sequence[Unit], job: Job, *, workers: int) -> Generator[Event, None, None]:
        """Train `units` on so many workers, and tell what happens; closing the generator stops cleanly."""
        ...


class Queue:
    """The units that an executor has still to train, first come first served, and how often each has
    failed."""

    def __init__(self, units: Sequence[Unit], root: Path) -> None:
        self.todo = deque(units)
        self._root, self._tries = root, dict[str, int]()

    def failed(self, unit: Unit, failure: Failure) -> Event:
        """What is tried in place of a unit that failed goes to the end of the queue; with nothing left to try
        it is recorded as failed. Errors: UserError where the failure is the user's to mend."""
        if failure.user:
            raise UserError(failure.text)
        if failure.memory:
            unit = failure.todo  # what another process had of it, or had done, is not ours
        tries = self._tries[unit.id] = self._tries.get(unit.id, 0) + 1
        units, text = after(unit, failure.text, tries, memory=failure.memory)
        if units:
            self.todo.extend(units)
            return Event("retry", unit, text=text)
        from preheat.lab.unit import failed

        with Store.open(self._root).writer() as writer:
            writer.append(failed(unit, text))
        return Event("failed", unit, runs=1, text=text)
