"""The trackio tracker with the real package: what it wrote is read by trackio's own functions."""

from __future__ import annotations

import importlib.util
import os
import resource
import subprocess
import sys

import pytest
from tracked_runs import SETTINGS, VALUES, tell_two, told

from preheat.adapters.trackers.trackio import Trackio
from preheat.core.errors import UserError

if importlib.util.find_spec("trackio") is None:  # its import would choose the folder
    pytest.skip("the package trackio is not installed", allow_module_level=True)


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory):
    """Where trackio writes: the process has one folder for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRACKIO_DIR", str(tmp_path_factory.mktemp("trackio")))
        import trackio.utils

        patch.setenv("TRACKIO_DIR", str(trackio.utils.TRACKIO_DIR))
        yield trackio.utils.TRACKIO_DIR


def rows(project, run_id):
    from trackio.sqlite_storage import SQLiteStorage

    found = SQLiteStorage.get_logs(project, run_id=run_id)
    return [{k: v for k, v in row.items() if k != "timestamp"} for row in found]


def config(project, run_id):
    from trackio.sqlite_storage import SQLiteStorage

    return SQLiteStorage.get_run_config(project, run_id=run_id)


def test_two_runs_at_once_are_written_whole(tmp_path):
    import trackio

    tell_two(Trackio().open("two", tmp_path))
    assert [(row["step"], row["epoch"]) for row in rows("two", "a1b2")[:3]] == [(0, 0), (10, 0.5), (20, 1)]
    assert [row["loss"] for row in rows("two", "c3d4")[:3:2]] == [3.5, 1.5]
    assert (
        str(rows("two", "a1b2")[1]["loss"]).lower() == "nan"
        and "inf" in str(rows("two", "a1b2")[2]["val_loss"]).lower()
    )
    assert rows("two", "a1b2")[3:] == [{"step": 20, "summary/best": 0.5}]
    known = config("two", "a1b2")
    assert {k: known[k] for k in SETTINGS} == SETTINGS
    assert (known["_Group"], known["tags"], known["outcome"]) == ("cosine", ["digits", "adamw"], "done")
    assert config("two", "c3d4")["outcome"] == "diverged"
    assert {run.name for run in trackio.Api().runs("two")} == {"cosine s0", "cosine s1"}


def test_a_run_that_goes_on_has_each_row_once(tmp_path):
    """Rows that were lost are filled in: what is told again and is not there is written."""
    for steps in ((0, 20), (10, 20, 30)):
        listener = Trackio().open("again", tmp_path)
        listener.begin(told())
        for step in steps:
            listener.log("a1b2", step, {"loss": float(step), "step": 7.0})
        listener.close()
    found = sorted((row["step"], row["loss"], row["__step"]) for row in rows("again", "a1b2"))
    assert found == [(step, step, 7) for step in (0, 10, 20, 30)]
    tell_two(Trackio().open("again", tmp_path))
    tell_two(Trackio().open("again", tmp_path))
    assert len([row for row in rows("again", "c3d4") if "loss" in row]) == len(VALUES)
    assert len([row for row in rows("again", "c3d4") if "summary/best" in row]) == 1


def test_alone_in_a_process_it_writes_to_the_folder_and_says_nothing(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from tracked_runs import tell_two\n"
        "from preheat.adapters.trackers.trackio import Trackio\n"
        "tell_two(Trackio().open('quiet', Path(sys.argv[1]))); assert 'TRACKIO_DIR' not in os.environ"
    )
    env = {k: v for k, v in os.environ.items() if not k.startswith("TRACKIO_")} | {
        "TRACKIO_SPACE_ID": "some/space"
    }
    env["PYTHONPATH"] = os.pathsep.join(sys.path)
    call = [sys.executable, "-c", code, str(tmp_path / "here")]
    done = subprocess.run(call, capture_output=True, text=True, env=env, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "here" / "quiet.db").is_file()


def test_a_full_disk_raises(tmp_path):
    listener = Trackio().open("full", tmp_path)
    listener.begin(told(settings={"long": "x" * 1_000_000}))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    try:
        with pytest.raises(Exception, match=r"disk|full|I/O"):
            listener.end("a1b2", "done", {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_folder_that_cannot_be_made_raises(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "file" / "in"))
    with pytest.raises(OSError):
        Trackio().open("nowhere", tmp_path)


def test_names_that_trackio_keeps_for_itself_are_refused(tmp_path):
    with pytest.raises(ValueError, match="reserved"):
        Trackio().open("mine_system", tmp_path)
    with pytest.raises(UserError, match="no modes, got 'online': write trackio"):
        Trackio("online")
