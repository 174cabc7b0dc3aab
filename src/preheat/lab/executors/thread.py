"""Units of work one after the other in a thread of this process: nothing is imported again.

What a session or a notebook registers is known here and nowhere else. A unit that fails is tried again
(`lab.retry`). Stopping (closing the generator) writes a checkpoint first.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from preheat.core.registry import EXECUTORS
from preheat.lab.claims import Claims
from preheat.lab.devices import one_thread
from preheat.lab.executors.base import Event, Queue
from preheat.lab.plan import Unit
from preheat.lab.work import Failure, Job, attempt, let_go


@EXECUTORS.register("thread")
@dataclass(frozen=True)
class InThread:
    """One unit after the other in a thread of this process."""

    claims = Claims  # locks on the bytes of a file of the results folder

    def execute(self, units: Sequence[Unit], job: Job, *, workers: int) -> Generator[Event, None, None]:
        """Train `units`, whatever `workers` is."""
        queue, stop = Queue(units, job.root), threading.Event()
        told: SimpleQueue[Event | None] = SimpleQueue()

        def work(unit: Unit) -> Failure | None:
            def say(kind: Any, **facts: Any) -> None:
                told.put(Event(kind, unit, **facts))

            try:
                with one_thread():
                    return attempt(job, unit, say=say, stop=stop.is_set)
            finally:
                told.put(None)

        with ThreadPoolExecutor(1) as pool:
            try:
                while queue.todo:
                    unit = queue.todo.popleft()
                    done = pool.submit(work, unit)
                    yield from iter(told.get, None)
                    if failure := done.result():
                        yield queue.failed(unit, failure)
            finally:
                stop.set()
                pool.submit(let_go, job).result()
