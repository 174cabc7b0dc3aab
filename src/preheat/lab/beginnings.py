"""Runs that are the beginning of a longer one: their end is where the longer one goes on.

A run whose schedule is an excerpt, from update 0, of a schedule on a longer run trains the first updates of
that run. A stage may ask for it to see how the run begins, and later for the whole. What it ends with is kept
as `checkpoints/begun-ID`, by the id of the whole run, which then begins there: resumed is uninterrupted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from preheat.core.errors import UserError
from preheat.core.run import Run
from preheat.schedules.combine.beginning import whole
from preheat.store.blobs import write_atomic


def begun(folder: Path, run: Run) -> Path:
    """Where the end of a run's beginning lies, there or not. folder: of the checkpoints; run: the beginning,
    or the whole."""
    return folder / f"begun-{(whole(run) or run).id}"


def begun_by(folder: Path, runs: Sequence[Run]) -> list[bytes]:
    """What the runs' beginnings ended with, of each; [] where one is lacking."""
    with suppress(OSError):
        return [begun(folder, run).read_bytes() for run in runs]
    return []


def hand_over(folder: Path, runs: Sequence[Run], ends: Iterable[bytes]) -> None:
    """Keep what beginnings ended with; where that can't be written the whole run begins anew."""
    with suppress(UserError):
        for run, end in zip(runs, ends, strict=True):
            write_atomic(begun(folder, run), end)


def forget(folder: Path, runs: Iterable[Run]) -> None:
    """Remove what beginnings of these runs left, or of the runs that they begin."""
    for run in runs:
        with suppress(OSError):
            begun(folder, run).unlink(missing_ok=True)
