"""Claims: a run is trained by one process at a time, on one results folder, without a server.

A claim is a lock on one byte of the file `claims`, at an offset given by the run's id. The system drops it
when the process ends, however it ends, so there are no stale claims. Where the system has no such locks
(Windows), every claim succeeds: two commands at once then may train a run twice, and the store keeps one
record.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from preheat.core.errors import explain

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


class Claiming(Protocol):
    """The claims of one process, wherever they are kept; an executor brings them."""

    def take(self, run_id: str) -> bool:
        """Whether the run is ours now; False if another process has it."""
        ...

    def drop(self, run_id: str) -> None:
        """Give the run back."""
        ...

    def free(self, run_id: str) -> bool:
        """Whether no other process has the run."""
        if not self.take(run_id):
            return False
        self.drop(run_id)
        return True

    def close(self) -> None:
        """Drop every claim of this process."""
        ...


class Sharing(Protocol):
    """Others with whom a study's runs are shared, beyond one results folder."""

    @property
    def claims(self) -> Callable[[Path], Claiming] | None:
        """The claims of a process that trains in a results folder, in place of the executor's; None for
        those. It is sent to workers, so it can be pickled."""
        ...

    def exchange(self, *, now: bool = False) -> None:
        """Take over what others have, and give them what is here. Called often, so it may do nothing where it
        did so a moment ago, but for `now`. Errors: UserError where they can't be reached."""
        ...


class Claims(Claiming):
    """The claims of this process on one results folder. Keep one for the life of the process."""

    def __init__(self, root: Path) -> None:
        try:
            self._fd = os.open(root / "claims", os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise explain("claim runs", root, error) from error

    def take(self, run_id: str) -> bool:
        """Whether the run is ours now; False if another process has it."""
        return self._lock(run_id, fcntl.LOCK_EX | fcntl.LOCK_NB) if fcntl else True

    def drop(self, run_id: str) -> None:
        """Give the run back."""
        if fcntl:
            self._lock(run_id, fcntl.LOCK_UN)

    def close(self) -> None:
        """Drop every claim of this process."""
        os.close(self._fd)

    def _lock(self, run_id: str, how: int) -> bool:
        try:
            fcntl.lockf(self._fd, how, 1, int(run_id, 16) >> 2, os.SEEK_SET)
        except (BlockingIOError, PermissionError):
            return False
        return True
