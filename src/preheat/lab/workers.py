"""An executor: units of work in local worker processes.

It is a generator of events. A unit that fails is tried again (`lab.retry`), and the rest go on. A worker that
dies is replaced, and so is one whose GPU failed: nothing more can be computed in it. Stopping (closing the
generator) lets every worker write a checkpoint first.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from typing import Any, Literal, NamedTuple

from preheat.core.errors import UserError
from preheat.lab.plan import Unit
from preheat.lab.retry import after
from preheat.lab.worker import Job, live
from preheat.store.store import Store


class Event(NamedTuple):
    """What happened to a unit.

    beat: run-steps were taken. done: records were stored, by us or by another process. failed: runs were
    recorded as failed. busy: another process has some of the runs. retry: what failed is tried again: a unit,
    in halves where memory ran out, or a checkpoint that could not be written. unkept: a run trained again for
    its weights has other losses than its record.
    """

    kind: Literal["beat", "done", "failed", "busy", "retry", "unkept"]
    unit: Unit
    run_steps: int = 0
    runs: int = 0
    diverged: int = 0
    text: str = ""


class _Hand:
    """One worker process and its pipe."""

    def __init__(self, job: Job) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=live, args=(theirs, job), daemon=True)
        with _one_thread(), _no_interrupt():
            self.process.start()
        theirs.close()
        self.unit: Unit | None = None

    def give(self, unit: Unit) -> None:
        self.unit = unit
        with suppress(
            OSError
        ):  # it died while it had nothing to do: its end of the pipe is closed, which `_hear` sees
            self.pipe.send(unit)


class _one_thread:
    """Children read these when they load their numerical libraries: one thread in each of several workers."""

    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

    def __enter__(self) -> None:
        self.old = {n: os.environ.get(n) for n in self.names}
        os.environ.update(dict.fromkeys(self.names, "1"))

    def __exit__(self, *_: object) -> None:
        for name, value in self.old.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Ctrl-C at a terminal reaches children too; they are born deaf to it, until they say that they ignore
    it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)


def execute(units: Sequence[Unit], job: Job, jobs: int) -> Generator[Event, None, None]:
    """Train `units` on `jobs` local worker processes."""
    todo = deque(units)
    hands = [_Hand(job) for _ in range(min(jobs, len(units)))]
    tries: dict[str, int] = {}
    try:
        while todo or any(h.unit for h in hands):
            for hand in hands:
                if hand.unit is None and todo:
                    hand.give(todo.popleft())
            ready = wait([h.pipe for h in hands if h.unit], timeout=0.5)
            for hand in [h for h in hands if h.pipe in ready]:
                yield from _hear(hand, hands, job, (todo, tries))
    finally:
        _stop(hands)


def _hear(
    hand: _Hand, hands: list[_Hand], job: Job, queue: tuple[deque[Unit], dict[str, int]]
) -> Iterator[Event]:
    unit = hand.unit
    assert unit is not None
    try:
        kind, facts = hand.pipe.recv()
    except (EOFError, ConnectionResetError):
        hand.process.join(1)
        kind, facts = (
            "error",
            {"text": f"the worker process died (exit code {hand.process.exitcode})", "broken": True},
        )
    if kind in ("beat", "retry", "unkept"):  # it goes on
        yield Event(kind, unit, **facts)
        return
    hand.unit = None
    if facts.get("broken"):
        _end(hand)
        hands[hands.index(hand)] = _Hand(job)
    if kind == "error":
        if facts.get("user"):
            raise UserError(facts["text"])
        yield _again(unit, facts, job, queue)
    elif kind != "stopped":
        yield Event(kind, unit, **facts)


def _again(unit: Unit, facts: dict[str, Any], job: Job, queue: tuple[deque[Unit], dict[str, int]]) -> Event:
    """What is tried in place of a unit that failed goes to the end of the queue; with nothing left to try it
    is recorded as failed."""
    todo, tries = queue
    if facts.get("memory"):
        unit = facts["todo"]  # what another process had of it, or had done, is not ours
    tries[unit.id] = tries.get(unit.id, 0) + 1
    units, text = after(unit, facts["text"], tries[unit.id], memory=bool(facts.get("memory")))
    if units:
        todo.extend(units)
        return Event("retry", unit, text=text)
    from preheat.lab.unit import failed

    with Store.open(job.root).writer() as writer:
        writer.append(failed(unit, text))
    return Event("failed", unit, runs=1, text=text)


def _stop(hands: list[_Hand]) -> None:
    """Ask every worker to write a checkpoint and end; kill those that do not within a few seconds."""
    for hand in hands:
        with suppress(OSError, ValueError):
            hand.pipe.send(None)
            if hand.unit:
                hand.pipe.send(None)
    for hand in hands:
        _drain(hand)
        _end(hand)


def _end(hand: _Hand) -> None:
    """Until the worker is gone."""
    hand.process.join(1)
    if hand.process.is_alive():
        hand.process.kill()


def _drain(hand: _Hand) -> None:
    """Read on until the worker is gone, so that it never blocks on a full pipe."""
    with suppress(EOFError, OSError):
        while hand.process.is_alive() and hand.pipe.poll(10):
            hand.pipe.recv()
