"""The MLflow tracker with the real package, in a database: what it wrote is read by MLflow's own client."""

from __future__ import annotations

import importlib.util
import math
import resource
import shutil
import time

import pytest
from tracked_runs import SETTINGS, VALUES, tell_two, told

from preheat.adapters.trackers.mlflow import Mlflow
from preheat.adapters.trackers.packages import cut
from preheat.core.errors import UserError

if importlib.util.find_spec("mlflow") is None:  # its import is slow, and sets off threads
    pytest.skip("the package mlflow is not installed", allow_module_level=True)
pytestmark = [
    # MLflow's own use of SQLAlchemy
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
]


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A database of MLflow's, made once: it takes seconds."""
    folder = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Mlflow().open("warmups", folder).close()
    return folder / "mlflow.db"


@pytest.fixture
def folder(tmp_path, empty, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty, tmp_path / "mlflow.db")
    return tmp_path


def client(folder):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")


def runs(folder):
    """{preheat's id: run}."""
    reader = client(folder)
    experiment = reader.get_experiment_by_name("warmups").experiment_id
    return {run.data.tags["preheat.run"]: run for run in reader.search_runs([experiment])}


def history(folder, run, name):
    return [(m.step, m.value) for m in client(folder).get_metric_history(run.info.run_id, name)]


def test_two_runs_at_once_are_written_whole(folder):
    tell_two(Mlflow().open("warmups", folder))
    found = runs(folder)
    first, second = found["a1b2"], found["c3d4"]
    assert (first.info.run_name, first.info.status, second.info.status) == ("cosine s0", "FINISHED", "FAILED")
    tags = {name: first.data.tags[f"preheat.{name}"] for name in ("group", "tags", "outcome")}
    assert tags == {"group": "cosine", "tags": "digits, adamw", "outcome": "done"}
    assert second.data.tags["preheat.outcome"] == "diverged"
    assert first.data.params == {k.replace("(", "_").replace(")", "_"): str(v) for k, v in SETTINGS.items()}
    assert history(folder, first, "epoch") == [(0, 0), (10, 0.5), (20, 1)]
    (_, a), (_, b), (_, c) = history(folder, first, "loss")
    assert (a, c) == (2.5, 0.5) and math.isnan(b)
    assert [abs(value) > 1e308 for _, value in history(folder, first, "val_loss")] == [True, True]
    assert history(folder, first, "summary/best") == [(20, 0.5)]
    assert history(folder, second, "loss")[::2] == [(0, 3.5), (20, 1.5)]


def test_a_run_that_goes_on_has_each_value_once(folder):
    """Values that were lost are filled in: what is told again and is not there is written."""
    for steps in ((0, 20), (10, 20, 30)):
        listener = Mlflow().open("warmups", folder)
        listener.begin(told())
        assert runs(folder)["a1b2"].info.status == "RUNNING"
        for step in steps:
            listener.log("a1b2", step, {"loss": float(step)})
        listener.close()
        assert runs(folder)["a1b2"].info.status == "KILLED"
    assert sorted(history(folder, runs(folder)["a1b2"], "loss")) == [(step, step) for step in (0, 10, 20, 30)]
    tell_two(Mlflow().open("warmups", folder))
    tell_two(Mlflow().open("warmups", folder))
    assert len(runs(folder)) == 2 and len(history(folder, runs(folder)["c3d4"], "loss")) == len(VALUES)
    assert len(history(folder, runs(folder)["c3d4"], "summary/best")) == 1


def test_many_and_long_settings_are_taken(folder):
    settings = {f"option {i}": i for i in range(250)} | {"long": "x" * 7000}
    listener = Mlflow().open("warmups", folder)
    listener.begin(told(name="n" * 300, settings=settings))
    for step in range(1200):
        listener.log("a1b2", step, {"loss": 1.0})
    listener.end("a1b2", "failed", {})
    params = runs(folder)["a1b2"].data.params
    assert runs(folder)["a1b2"].info.run_name == cut("n" * 300, 250)
    assert len(params) == 251 and params["long"] == cut("x" * 7000, 6000)
    assert len(history(folder, runs(folder)["a1b2"], "loss")) == 1200


def test_a_full_disk_raises(folder):
    listener = Mlflow().open("warmups", folder)
    listener.begin(told())
    listener.log("a1b2", 1, {f"metric {i}": 1.0 for i in range(900)})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((folder / "mlflow.db").stat().st_size, hard))
    try:
        with pytest.raises(Exception, match=r"disk|full|I/O"):
            listener.end("a1b2", "done", {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_server_that_does_not_answer_raises(folder, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    begun = time.monotonic()
    with pytest.raises(Exception, match=r"127\.0\.0\.1"):
        Mlflow().open("warmups", folder / "here")
    assert time.monotonic() - begun < 5 and not (folder / "here").exists()


def test_a_folder_that_cannot_be_made_and_a_mode_raise(folder):
    with pytest.raises(OSError):
        Mlflow().open("warmups", folder / "mlflow.db" / "in")
    with pytest.raises(UserError, match="no modes, got 'server': write mlflow; set MLFLOW_TRACKING_URI"):
        Mlflow("server")
