"""MLflow as a tracker: a database in a folder, or a server."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preheat.adapters.trackers.base import Listener, Told, Tracker
from preheat.adapters.trackers.packages import Waiting, cut, no_mode, not_installed, numbers, with_epoch
from preheat.core.registry import TRACKERS

RUN, GROUP, TAGS, OUTCOME = "preheat.run", "preheat.group", "preheat.tags", "preheat.outcome"
PARAMS, METRICS = 100, 1000  # the most of each that MLflow takes at once
PARAM_CHARACTERS, TAG_CHARACTERS, NAME_CHARACTERS = 6000, 8000, 250


@TRACKERS.register("mlflow", label="MLflow")
@dataclass(frozen=True)
class Mlflow(Tracker):
    """A database in the folder, or the server that `MLFLOW_TRACKING_URI` names. It has no modes.

    File: `mlflow.db` in the folder, which takes MLflow some seconds to make. Look at it with
    `mlflow ui --backend-store-uri sqlite:///FOLDER/mlflow.db`. A server that refuses is given up after 3
    retries (about 13 seconds), unless `MLFLOW_HTTP_REQUEST_MAX_RETRIES` is set. MLflow's telemetry is off,
    unless `MLFLOW_DISABLE_TELEMETRY` is set.

    Experiment: the study's name. Runs have their settings as params, of 6,000 characters at most, and the
    tags `preheat.run` (the id of the record), `preheat.group`, `preheat.tags` and `preheat.outcome`. A
    character that MLflow does not take in a name becomes `_`. The step is the number of updates; `epoch` is
    logged with it. The summary is logged with the last step, as `summary/NAME`. Status: FINISHED; FAILED for
    a run that diverged or failed; KILLED for one that is interrupted. A run that goes on is found by
    `preheat.run`, and what is there already is not written twice. Rows are written within about a second.
    NaN is kept; in a database MLflow holds an infinity as 1.8e308.
    """

    def __post_init__(self) -> None:
        no_mode("mlflow", self.mode, "set MLFLOW_TRACKING_URI for a server")

    def open(self, project: str, folder: Path) -> Listener:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
        try:
            from mlflow import MlflowClient
        except ImportError as error:
            raise not_installed("mlflow", error)
        server = os.environ.get("MLFLOW_TRACKING_URI")
        if not server:
            folder.mkdir(parents=True, exist_ok=True)
            logging.getLogger("mlflow.store.db").setLevel(logging.WARNING)  # it tells of every new table
        home = folder.resolve()
        client = MlflowClient(tracking_uri=server or f"sqlite:///{home / 'mlflow.db'}")
        found = client.get_experiment_by_name(project)
        files = None if server else (home / "mlflow-artifacts").as_uri()
        experiment = found.experiment_id if found else client.create_experiment(project, files)
        return _Experiment(client, experiment)


@dataclass
class _Open:
    """own: MLflow's id; known: (name, step) that is written or waits; step: the last."""

    own: str
    per_epoch: int
    known: set[tuple[str, int]]
    step: int


class _Experiment(Listener):
    """All runs of one experiment, by a client: nothing of MLflow's "active run" is touched."""

    def __init__(self, client: Any, experiment: str) -> None:
        self._client, self._experiment = client, experiment
        self._open: dict[str, _Open] = {}
        self._waiting: Waiting[Any] = Waiting(self._write)

    def begin(self, one: Told) -> None:
        if one.run.id in self._open:
            return
        found = self._client.search_runs([self._experiment], f"tags.`{RUN}` = '{one.run.id}'", max_results=1)
        run = found[0] if found else self._create(one)
        own = run.info.run_id
        if found:
            self._client.update_run(own, status="RUNNING")
        told = [m for name in run.data.metrics for m in self._client.get_metric_history(own, name)]
        known = {(metric.key, metric.step) for metric in told}
        self._open[one.run.id] = _Open(own, one.per_epoch, known, max((m.step for m in told), default=0))

    def _create(self, one: Told) -> Any:
        from mlflow.entities import Param

        tags = {RUN: one.run.id, GROUP: one.group, TAGS: ", ".join(one.tags)}
        tags = {name: cut(text, TAG_CHARACTERS) for name, text in tags.items()}
        name = cut(one.name, NAME_CHARACTERS)
        run = self._client.create_run(self._experiment, tags=tags, run_name=name)
        params = [Param(_name(k), cut(str(v), PARAM_CHARACTERS)) for k, v in one.settings.items()]
        for start in range(0, len(params), PARAMS):
            self._client.log_batch(run.info.run_id, params=params[start : start + PARAMS])
        return run

    def log(self, run_id: str, step: int, values: Mapping[str, float]) -> None:
        one = self._open[run_id]
        one.step = step
        self._add(run_id, with_epoch(values, step, one.per_epoch))

    def _add(self, run_id: str, values: Mapping[str, float]) -> None:
        """Values at the run's last step, but for those that are there."""
        from mlflow.entities import Metric

        one, now = self._open[run_id], time.time_ns() // 1_000_000
        for key, value in ((_name(name), value) for name, value in values.items()):
            if (key, one.step) not in one.known:
                one.known.add((key, one.step))
                self._waiting.add(run_id, Metric(key, float(value), now, one.step))

    def _write(self, run_id: str, rows: list[Any]) -> None:
        for start in range(0, len(rows), METRICS):
            self._client.log_batch(self._open[run_id].own, metrics=rows[start : start + METRICS])

    def end(self, run_id: str, outcome: str, summary: Mapping[str, Any]) -> None:
        self._add(run_id, numbers(summary, "summary/"))
        self._waiting.flush(run_id)
        own = self._open.pop(run_id).own
        self._client.set_tag(own, OUTCOME, outcome)
        self._client.set_terminated(own, "FINISHED" if outcome == "done" else "FAILED")

    def close(self) -> None:
        self._waiting.flush_all()
        while self._open:
            self._client.set_terminated(self._open.popitem()[1].own, "KILLED")


def _name(name: str) -> str:
    """Of a param or a metric; MLflow takes letters, digits and `_-. :/`."""
    return re.sub(r"[^\w\-. :/]", "_", name)
