"""trackio as a tracker: a SQLite file in a folder, read by its dashboard."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from preheat.adapters.trackers.base import Listener, Told, Tracker
from preheat.adapters.trackers.packages import Waiting, no_mode, not_installed, numbers, with_epoch
from preheat.core.registry import TRACKERS


@TRACKERS.register("trackio")
@dataclass(frozen=True)
class Trackio(Tracker):
    """Local files for the dashboard of trackio, no server and no account. It has no modes.

    Files: `PROJECT.db` in the folder, or in `TRACKIO_DIR`. trackio has one folder in a process, that of the
    first use: where a program imported it before, its folder is taken.

    Look at them with `TRACKIO_DIR=FOLDER trackio show --project PROJECT`. Nothing is uploaded, whatever
    `TRACKIO_SPACE_ID` says; `trackio sync --project PROJECT --space-id USER/SPACE` does that later.

    Project: the study's name. Runs have the id of their record, a group, and their settings as config, with
    their tags and at the end their outcome. The step is the number of updates; `epoch` is logged with it. The
    summary is logged with the last step, as `summary/NAME`. A run that goes on is continued: what is there
    already is not written twice. Rows are written within about a second. Infinities and NaN are kept.
    """

    def __post_init__(self) -> None:
        no_mode("trackio", self.mode, "`trackio sync` uploads to a Hugging Face Space afterwards")

    def open(self, project: str, folder: Path) -> Listener:
        home = Path(os.environ.get("TRACKIO_DIR") or folder).resolve()
        home.mkdir(parents=True, exist_ok=True)
        try:
            with _environment("TRACKIO_DIR", str(home)):  # read when trackio is imported, never again
                from trackio.sqlite_storage import SQLiteStorage
        except ImportError as error:
            raise not_installed("trackio", error)
        SQLiteStorage.validate_project_name(project)
        SQLiteStorage.init_db(project)
        return _Tables(SQLiteStorage, project)


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


@dataclass
class _Open:
    """known: (name, step) that is written or waits; step: the last."""

    told: Told
    config: dict[str, Any]
    known: set[tuple[str, int]]
    step: int


class _Tables(Listener):
    """Rows go to trackio's tables by the function that its importers use: `trackio.log` writes in a thread of
    each run, prints, and only warns of a full disk."""

    def __init__(self, storage: Any, project: str) -> None:
        self._storage, self._project = storage, project
        self._open: dict[str, _Open] = {}
        self._waiting: Waiting[tuple[int, str, dict[str, float]]] = Waiting(self._write)

    def begin(self, one: Told) -> None:
        if one.run.id in self._open:
            return
        rows = self._storage.get_logs(self._project, run_id=one.run.id)
        own = {"_Group": one.group, "_Username": None, "_Created": _now()}
        config = {**one.settings, "tags": list(one.tags), **own}
        known = {(name, row["step"]) for row in rows for name in row}
        self._open[one.run.id] = _Open(one, config, known, max((row["step"] for row in rows), default=0))

    def log(self, run_id: str, step: int, values: Mapping[str, float]) -> None:
        one = self._open[run_id]
        one.step = step
        every = {_name(k): v for k, v in with_epoch(values, step, one.told.per_epoch).items()}
        if new := {name: value for name, value in every.items() if (name, step) not in one.known}:
            one.known |= {(name, step) for name in new}
            self._waiting.add(run_id, (step, _now(), new))

    def end(self, run_id: str, outcome: str, summary: Mapping[str, Any]) -> None:
        one = self._open[run_id]
        one.config["outcome"] = outcome
        told = numbers(summary, "summary/")
        new = {name: value for name, value in told.items() if (name, one.step) not in one.known}
        self._waiting.add(run_id, (one.step, _now(), new))  # even without numbers, for the outcome
        self._waiting.flush(run_id)
        del self._open[run_id]

    def close(self) -> None:
        self._waiting.flush_all()

    def _write(self, run_id: str, rows: list[tuple[int, str, dict[str, float]]]) -> None:
        one = self._open[run_id]
        steps, times, values = map(list, zip(*rows, strict=True))
        self._storage.bulk_log(
            project=self._project,
            run=one.told.name,
            run_id=run_id,
            metrics_list=values,
            steps=steps,
            timestamps=times,
            config=one.config,
        )


def _name(name: str) -> str:
    """A name that trackio lets through: a few are its own columns."""
    return f"__{name}" if name in ("project", "run", "timestamp", "step", "time", "metrics") else name


def _now() -> str:
    return datetime.now(UTC).isoformat()
