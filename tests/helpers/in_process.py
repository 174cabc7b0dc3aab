"""An executor that trains in this process, one unit after the other, with claims of its own."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from preheat.core.registry import EXECUTORS
from preheat.lab.executors.base import Event, Queue
from preheat.lab.plan import Unit
from preheat.lab.work import Job, attempt

TAKEN: dict[str, str] = {}  # run id: who has it


class Named:
    """Claims that are kept in memory, by the name of who has them."""

    def __init__(self, root: Path, who: str = "me") -> None:
        self.who = who

    def take(self, run_id: str) -> bool:
        return TAKEN.setdefault(run_id, self.who) == self.who

    def drop(self, run_id: str) -> None:
        if TAKEN.get(run_id) == self.who:
            del TAKEN[run_id]

    def free(self, run_id: str) -> bool:
        return TAKEN.get(run_id, self.who) == self.who

    def close(self) -> None:
        for run_id in [r for r, who in TAKEN.items() if who == self.who]:
            self.drop(run_id)


class Said(list):
    """All that was said."""

    def __call__(self, kind: str, **facts: object) -> None:
        self.append((kind, facts))


@dataclass(frozen=True)
class Here:
    """Units one after the other in this process."""

    def claims(self, root: Path) -> Named:
        return Named(root)

    def execute(self, units: Sequence[Unit], job: Job, *, workers: int) -> Generator[Event, None, None]:
        queue = Queue(units, job.root)
        while queue.todo:
            unit, said = queue.todo.popleft(), Said()
            failure = attempt(job, unit, say=said, stop=bool)
            yield from (Event(kind, unit, **facts) for kind, facts in said)
            if failure:
                yield queue.failed(unit, failure)


@contextmanager
def registered() -> Iterator[str]:
    """The executor's name while it is registered."""
    EXECUTORS.register("here")(Here)
    try:
        yield "here"
    finally:
        for known in (EXECUTORS._objects, EXECUTORS._said):
            known.pop("here")
