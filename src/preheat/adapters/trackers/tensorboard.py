"""TensorBoard's event files: a folder for each run, its curves, its settings and its final numbers."""

from __future__ import annotations

import math
import re
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

from preheat.adapters.trackers.base import Listener, Told, Tracker
from preheat.core.errors import UserError
from preheat.core.registry import TRACKERS

WRITER, HPARAMS = "tensorboard.summary.writer.record_writer", "torch.utils.tensorboard.summary"
EVENTS, SUMMARIES = "tensorboard.compat.proto.event_pb2", "tensorboard.compat.proto.summary_pb2"
VERSION = "brain.Event:2"
LONGEST = 180  # characters of a folder's name


@TRACKERS.register("tensorboard")
@dataclass(frozen=True)
class TensorBoard(Tracker):
    """Event files for `tensorboard --logdir`, with the tab of hyperparameters. It has no modes."""

    def __post_init__(self) -> None:
        if self.mode:
            raise UserError(f"tracker 'tensorboard' has no modes, got {self.mode!r}: write tensorboard")

    def open(self, project: str, folder: Path) -> Listener:
        try:
            for name in (WRITER, EVENTS, SUMMARIES):
                import_module(name)
        except ImportError as error:
            raise UserError(
                f"tracker 'tensorboard' needs the package tensorboard ({error}): pip install tensorboard"
            ) from error
        return _Files(folder)


class _Files(Listener):
    """A file of events for each run that has begun."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told: dict[str, Told] = {}
        self.open: dict[str, _Events] = {}
        self.last: dict[str, int] = {}

    def begin(self, one: Told) -> None:
        self.told[one.run.id] = one

    def log(self, run_id: str, step: int, values: Mapping[str, float]) -> None:
        self._events(run_id, step).scalars(step, values)
        self.last[run_id] = step

    def end(self, run_id: str, outcome: str, summary: Mapping[str, Any]) -> None:
        """Test metrics are curves of one point, at the last step."""
        step = self.last.get(run_id, 0)
        events, known = self._events(run_id, step), {k: float(v) for k, v in summary.items() if v is not None}
        events.scalars(step, {k: v for k, v in known.items() if k.startswith("test_")})
        metrics = {k: v for k, v in known.items() if k.startswith(("validation_", "test_"))}
        events.settings({**self.told[run_id].settings, "outcome": outcome}, metrics)
        self.open.pop(run_id).close()

    def close(self) -> None:
        while self.open:
            self.open.popitem()[1].close()

    def _events(self, run_id: str, step: int) -> _Events:
        """The run's file, begun anew at a step: what older files of the run have from there on is void."""
        if run_id not in self.open:
            name = re.sub(r"[^\w.,=()\[\]+-]+", "_", self.told[run_id].name)[:LONGEST]
            self.open[run_id] = _Events(self.folder / f"{name}-{run_id[:8]}", step)
        return self.open[run_id]


class _Events:
    """One file of events."""

    def __init__(self, folder: Path, step: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time_ns() / 1e9:017.6f}.{socket.gethostname()}"
        self.file: BinaryIO = (folder / name).open("xb")
        self.writer = import_module(WRITER).RecordWriter(self.file)
        self._write(file_version=VERSION)
        start = import_module(EVENTS).SessionLog
        self._write(step=step, session_log=start(status=start.START))

    def _write(self, **event: Any) -> None:
        self.writer.write(import_module(EVENTS).Event(wall_time=time.time(), **event).SerializeToString())
        self.file.flush()

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Values after so many updates."""
        made = import_module(SUMMARIES).Summary
        points = [made.Value(tag=name, simple_value=value) for name, value in values.items()]
        if points:
            self._write(step=step, summary=made(value=points))

    def settings(self, settings: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        """The row in the tab of hyperparameters."""
        shown = {k: v for k, v in settings.items() if isinstance(v, str | int | float | bool)}
        fine = {k: v for k, v in metrics.items() if math.isfinite(v)}
        for part in import_module(HPARAMS).hparams(shown, fine):
            self._write(summary=part)

    def close(self) -> None:
        """Nothing more is written."""
        self.file.close()
