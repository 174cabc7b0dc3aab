"""What the trackers of other people's packages share: errors that say what to do, and rows that are written
together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any, Generic, TypeVar

from preheat.core.errors import UserError

Row = TypeVar("Row")


def not_installed(package: str, error: ImportError) -> UserError:
    """The error where a tracker's package can't be imported.

    >>> print(not_installed("wandb", ImportError("No module named 'wandb'")))
    tracker 'wandb' needs the package wandb, got: No module named 'wandb': pip install wandb, or pip install
    'preheat[track]' for all trackers
    """
    return UserError(
        f"tracker {package!r} needs the package {package}, got: {error}: pip install {package}, or pip "
        "install 'preheat[track]' for all trackers"
    )


def no_mode(tracker: str, mode: str, instead: str) -> None:
    """Errors: UserError where a tracker without modes is given one. instead: what else there is.

    >>> no_mode("trackio", "", "")
    """
    if mode:
        raise UserError(f"tracker {tracker!r} has no modes, got {mode!r}: write {tracker}; {instead}")


def with_epoch(values: Mapping[str, float], step: int, per_epoch: int) -> dict[str, float]:
    """The values, and `epoch` = step / per_epoch where the updates of an epoch are known.

    >>> with_epoch({"loss": 0.5}, 30, 20), with_epoch({"loss": 0.5}, 30, 0)
    ({'epoch': 1.5, 'loss': 0.5}, {'loss': 0.5})
    """
    return {**({"epoch": step / per_epoch} if per_epoch else {}), **values}


def numbers(summary: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """What of a summary is there, with a prefix to its names.

    >>> numbers({"best": 0.5, "reached": None}, "summary/")
    {'summary/best': 0.5}
    """
    return {f"{prefix}{name}": value for name, value in summary.items() if value is not None}


def cut(text: str, most: int) -> str:
    """A text of at most so many characters, which loses its middle: what differs is often at the end.

    >>> cut("cosine(5%)[lr=0.1][0]", 12), cut("cosine", 12)
    ('cosin...][0]', 'cosine')
    """
    half = (most - 3) // 2
    return text if len(text) <= most else f"{text[: most - 3 - half]}...{text[-half:]}"


class Waiting(Generic[Row]):
    """Rows of runs that wait to be written together: a database takes as long for many as for one.

    write: is given a run and its rows; seconds: how old rows may grow before the next one has all of them
    written. They wait for that next row, for `flush` or for `flush_all`: there is no clock of its own.

    >>> waiting = Waiting(lambda run, rows: print(run, rows), seconds=60)
    >>> waiting.add("a", 1); waiting.add("b", 2); waiting.add("a", 3)
    >>> waiting.flush("a"); waiting.flush_all()
    a [1, 3]
    b [2]
    """

    def __init__(self, write: Callable[[str, list[Row]], None], seconds: float = 1.0) -> None:
        self._write, self._seconds = write, seconds
        self._rows: dict[str, list[Row]] = {}
        self._since = monotonic()

    def add(self, run_id: str, row: Row) -> None:
        """Keep a row, and write all where the oldest is old."""
        if not self._rows:
            self._since = monotonic()
        self._rows.setdefault(run_id, []).append(row)
        if monotonic() - self._since >= self._seconds:
            self.flush_all()

    def flush(self, run_id: str) -> None:
        """Write what waits of one run."""
        if rows := self._rows.pop(run_id, None):
            self._write(run_id, rows)

    def flush_all(self) -> None:
        """Write all that waits."""
        for run_id in list(self._rows):
            self.flush(run_id)
