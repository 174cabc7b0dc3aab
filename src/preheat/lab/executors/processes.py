"""Units of work in local worker processes.

A unit that fails is tried again (`lab.retry`), and the rest go on. A worker that dies is replaced, and so is
one whose GPU failed: nothing more can be computed in it. Stopping (closing the generator) lets every worker
write a checkpoint first.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from types import ModuleType

from preheat.core.errors import UserError
from preheat.core.registry import EXECUTORS, import_again
from preheat.lab.claims import Claims
from preheat.lab.executors.base import Event, Queue
from preheat.lab.plan import Unit
from preheat.lab.work import GONE, Failure, Job, attempt


@EXECUTORS.register("processes", default=True)
@dataclass(frozen=True)
class Processes:
    """Worker processes on this machine."""

    claims = Claims  # locks on the bytes of a file of the results folder

    def execute(self, units: Sequence[Unit], job: Job, *, workers: int) -> Generator[Event, None, None]:
        """Train `units` on `workers` processes."""
        queue = Queue(units, job.root)
        hands = [_Hand(job) for _ in range(min(workers, len(units)))]
        try:
            while queue.todo or any(h.unit for h in hands):
                for hand in hands:
                    if hand.unit is None and queue.todo:
                        hand.give(queue.todo.popleft())
                ready = wait([h.pipe for h in hands if h.unit], timeout=0.5)
                for hand in [h for h in hands if h.pipe in ready]:
                    yield from _hear(hand, hands, job, queue)
        finally:
            _stop(hands)


def live(pipe: Connection, job: Job) -> None:
    """A worker's life: take a unit, work, say what happened; end when told to, or when the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import torch

    torch.set_num_threads(1)
    wrong = ""
    try:
        for one in job.imports:
            import_again(one)
    except UserError as error:
        wrong = str(error)

    def say(kind: str, **facts: object) -> None:
        pipe.send((kind, facts))

    def asked() -> bool:
        return pipe.poll() and pipe.recv() is None

    with suppress(*GONE):
        while (unit := pipe.recv()) is not None:
            mended = Failure(wrong, unit, user=True) if wrong else None
            if failure := mended or attempt(job, unit, say=say, stop=asked):
                say("error", failure=failure)
                if failure.broken:
                    return


class _Hand:
    """One worker process and its pipe."""

    def __init__(self, job: Job) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=live, args=(theirs, job), daemon=True)
        with _one_thread(), _no_interrupt(), _no_main():
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


@contextmanager
def _no_main() -> Iterator[None]:
    """A spawned process begins by running the main script again, which may be what started it: a job says
    what its workers import, and there is no script for them to see."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _hear(hand: _Hand, hands: list[_Hand], job: Job, queue: Queue) -> Iterator[Event]:
    unit = hand.unit
    assert unit is not None
    try:
        kind, facts = hand.pipe.recv()
    except (EOFError, ConnectionResetError):
        hand.process.join(1)
        text = f"the worker process died (exit code {hand.process.exitcode})"
        kind, facts = "error", {"failure": Failure(text, unit, broken=True)}
    if kind in ("beat", "retry", "unkept"):  # it goes on
        yield Event(kind, unit, **facts)
        return
    hand.unit = None
    if kind == "error":
        failure: Failure = facts["failure"]
        if failure.broken:
            _end(hand)
            hands[hands.index(hand)] = _Hand(job)
        yield queue.failed(unit, failure)
    elif kind != "stopped":
        yield Event(kind, unit, **facts)


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
