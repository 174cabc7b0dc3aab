"""Trackers that only remember, that fail, and that are slow."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preheat.adapters.trackers.base import Listener, Told, Tracker
from preheat.core.errors import UserError
from preheat.core.registry import TRACKERS

CALLS: list[tuple[Any, ...]] = []  # all that the trackers here were told
NOW = [0]  # which `fakes` are registered: one that is left behind remembers nothing for the next


def calls(kind: str) -> list[tuple[Any, ...]]:
    return [call for call in CALLS if call[0] == kind]


def curves() -> dict[str, dict[int, dict[str, float]]]:
    """{run id: {step: values}}."""
    found: dict[str, dict[int, dict[str, float]]] = {}
    for _, run_id, step, values in calls("log"):
        at = found.setdefault(run_id, {})
        assert not at or step > max(at), "steps of a run rise"
        at[step] = dict(values)
    return found


class Remembers(Listener):
    def __init__(self, fails: str = "", waits: float = 0.0) -> None:
        self.fails, self.waits, self.thread, self.now = fails, waits, threading.current_thread(), NOW[0]

    def told(self, kind: str, *what: Any) -> None:
        assert threading.current_thread() is self.thread, "one thread"
        time.sleep(self.waits)
        if self.fails == kind:
            raise OSError(28, "No space left on device")
        if self.now == NOW[0]:
            CALLS.append((kind, *what))

    def begin(self, one: Told) -> None:
        self.told("begin", one)

    def log(self, run_id: str, step: int, values: Mapping[str, float]) -> None:
        self.told("log", run_id, step, values)

    def end(self, run_id: str, outcome: str, summary: Mapping[str, Any]) -> None:
        self.told("end", run_id, outcome, summary)

    def close(self) -> None:
        self.told("close")


@dataclass(frozen=True)
class Fake(Tracker):
    """Remembers. Its modes: a method that raises, slow, nokey, nopackage."""

    def open(self, project: str, folder: Path) -> Listener:
        if self.mode == "nokey":
            raise ConnectionError("no key")
        if self.mode == "nopackage":
            raise UserError("tracker 'fake' needs the package fake: pip install fake")
        CALLS.append(("open", project, folder))
        return Remembers(self.mode, 0.2 if self.mode == "slow" else 0.0)


@contextmanager
def fakes(*names: str) -> Iterator[None]:
    """The trackers' names while they are registered."""
    NOW[0] += 1
    CALLS.clear()
    for name in names:
        TRACKERS.register(name)(Fake)
    try:
        yield
    finally:
        for known in (TRACKERS._objects, TRACKERS._said):
            for name in names:
                known.pop(name)
