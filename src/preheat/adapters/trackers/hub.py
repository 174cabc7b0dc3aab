"""Who listens, each in a thread of its own: a slow tracker slows no run, and one that fails stops none."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Condition, Event, Thread
from typing import Any

from preheat.adapters.trackers.base import Listener, Told, Tracker
from preheat.core.errors import UserError
from preheat.core.registry import TRACKERS
from preheat.core.words import count

MOST = 10_000  # values that wait for a tracker, by steps; more are dropped
OPEN_SECONDS = 30.0  # that training waits for a tracker to open
PATIENCE, CLOSE_SECONDS = 10.0, 30.0  # at the end: without a sign of life, and in all
LOOK_SECONDS = 0.05

Call = Callable[[Listener], None]


def tracker(asked: str) -> tuple[str, Tracker]:
    """The name and the tracker of NAME or NAME:MODE. Errors: UserError for an unknown name."""
    name, _, mode = asked.partition(":")
    return name, TRACKERS.build(name, {"mode": mode})


class Hub:
    """Listeners of a project, and what they were told of each run.

    asked: NAME or NAME:MODE of each tracker; folder: where each has a folder of its name for its files.
    Errors: UserError for an unknown name or mode, a name given twice, a package that is not installed.
    What else goes wrong drops the tracker, and is one of the notes.
    """

    def __init__(self, asked: Sequence[str], project: str, folder: Path) -> None:
        built = [tracker(one) for one in asked]
        names = [name for name, _ in built]
        if twice := [n for n in names if names.count(n) > 1]:
            raise UserError(f"each tracker is named once, got {twice[0]!r} twice: leave one out")
        self._ears = [_Ear(name, partial(one.open, project, folder / name)) for name, one in built]
        self._last: dict[str, int] = {}  # the last step told of each run that has begun
        self._over: set[str] = set()
        begun = time.monotonic()
        for ear in self._ears:
            ear.opened.wait(max(begun + OPEN_SECONDS - time.monotonic(), 0))
        if wrong := next((e.error for e in self._ears if isinstance(e.error, UserError)), None):
            self.close()
            raise wrong

    def begin(self, one: Told) -> None:
        """A run begins, or goes on; said again it is not told again."""
        if one.run.id not in self._last:
            self._last[one.run.id] = -1
            self._tell(lambda listener: listener.begin(one))

    def log(self, run_id: str, step: int, values: Mapping[str, float]) -> None:
        """Values of a run after `step` updates. What it was told before, as by a run that is trained again,
        is not told again."""
        if step > self._last[run_id] and run_id not in self._over:
            self._last[run_id] = step
            self._tell(lambda listener: listener.log(run_id, step, values), droppable=True)

    def end(self, run_id: str, outcome: str, summary: Mapping[str, Any]) -> None:
        """A run is over."""
        if run_id not in self._over:
            self._over.add(run_id)
            self._tell(lambda listener: listener.end(run_id, outcome, summary))

    def last(self, run_id: str) -> int:
        """The last step told of a run, -1 for none."""
        return self._last.get(run_id, -1)

    def notes(self) -> list[str]:
        """What went wrong since the last look, a line each."""
        return [note for ear in self._ears for note in ear.notes()]

    def close(self) -> list[str]:
        """No more is told. Waits for those who are behind, some seconds; gives the notes that are left."""
        for ear in self._ears:
            ear.tell(None)
        begun = time.monotonic()
        for ear in self._ears:
            ear.wait(begun + CLOSE_SECONDS)
        return [note for ear in self._ears for note in (*ear.notes(), *ear.missed())]

    def _tell(self, call: Call, *, droppable: bool = False) -> None:
        for ear in self._ears:
            ear.tell(call, droppable=droppable)


class _Ear:
    """One tracker's thread, and what waits for it. A call of None closes it."""

    def __init__(self, name: str, opens: Callable[[], Listener]) -> None:
        self.name, self.opened = name, Event()
        self.error: BaseException | None = None
        self._opens = opens
        self._calls: deque[tuple[Call | None, bool]] = deque()
        self._new = Condition()
        self._waiting = self._lost = self._heard = 0
        self._said = False
        self._thread = Thread(target=self._live, name=f"tracker {name}", daemon=True)
        self._thread.start()

    def tell(self, call: Call | None, *, droppable: bool = False) -> None:
        """Put a call at the end of the queue; where that is full, one that may be dropped is, and counted."""
        with self._new:
            if self.error is None and droppable and self._waiting >= MOST:
                self._lost += 1
            elif self.error is None:
                self._waiting += droppable
                self._calls.append((call, droppable))
                self._new.notify()

    def wait(self, deadline: float) -> None:
        """Until it is done, gives no sign of life, or the time is over."""
        heard, since = -1, 0.0
        while self._thread.is_alive():
            now = time.monotonic()
            if self._heard != heard:
                heard, since = self._heard, now
            if now > min(deadline, since + PATIENCE):
                return
            self._thread.join(LOOK_SECONDS)

    def notes(self) -> list[str]:
        """What went wrong, once."""
        if self.error is None or self._said:
            return []
        self._said = True
        text = " ".join(str(self.error).split())
        kind = "" if isinstance(self.error, UserError) else f"{type(self.error).__name__}: "
        return [f"tracker {self.name} is dropped: {kind}{text}; training goes on"]

    def missed(self) -> list[str]:
        """What it was too slow for, at the end."""
        if self.error is not None:
            return []
        left = f"; it is still busy, and {count(len(self._calls), 'call')} of it are left"
        busy = left if self._thread.is_alive() else ""
        lost = f"{count(self._lost, 'step')} were not told" if self._lost else ""
        if not busy and not lost:
            return []
        return [f"tracker {self.name} was too slow: {lost or 'training is over'}{busy}"]

    def _live(self) -> None:
        listener = None
        try:
            listener = self._opens()
            self.opened.set()
            while (call := self._next()) is not None:
                call(listener)
                self._heard += 1
            listener.close()
        except (Exception, SystemExit) as error:
            self._fail(error)
            if listener is not None:
                with suppress(Exception, SystemExit):
                    listener.close()
        finally:
            self.opened.set()

    def _next(self) -> Call | None:
        with self._new:
            while not self._calls:
                self._new.wait()
            call, droppable = self._calls.popleft()
            self._waiting -= droppable
            return call

    def _fail(self, error: BaseException) -> None:
        with self._new:
            self.error = error
            self._calls.clear()
            self._waiting = 0
