"""The W&B tracker with the real package, offline: what it wrote is read from the .wandb files."""

from __future__ import annotations

import json
import math
import os
import shutil
import time

import pytest
from tracked_runs import SETTINGS, VALUES, tell_two, told

from preheat.adapters.trackers.wandb import Wandb

pytest.importorskip("wandb", reason="the package wandb is not installed")


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """No key, mode or folder of this machine's user, and nothing of what a test before set."""
    for name in [n for n in os.environ if n.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    yield
    import wandb

    wandb.teardown()


def records(path):
    """What a .wandb file holds: a log in blocks of 32 KiB, as LevelDB's, after a header of 7 bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, whole = path.read_bytes(), 7, b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        size, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        whole += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # whole, or the last part
            yield Record.FromString(whole)
            whole = b""


def history(items):
    rows = (r.history for r in items if r.HasField("history"))
    return [{i.key or i.nested_key[0]: json.loads(i.value_json) for i in row.item} for row in rows]


def written(folder, run_id):
    """The records of each file of a run, the oldest first; W&B's own process may be writing until it is ended."""
    import wandb

    wandb.teardown()
    paths = sorted(
        folder.glob(f"wandb/*run-*{run_id}*/run-{run_id}.wandb"), key=lambda p: p.stat().st_mtime_ns
    )
    return [list(records(path)) for path in paths]


def test_two_runs_at_once_are_written_whole(tmp_path):
    tell_two(Wandb("offline").open("warmups", tmp_path))
    (first,), (second,) = written(tmp_path, "a1b2"), written(tmp_path, "c3d4")
    run = next(r.run for r in first if r.HasField("run"))
    assert (run.project, run.run_id, run.run_group, run.display_name) == (
        "warmups",
        "a1b2",
        "cosine",
        "cosine s0",
    )
    assert {*run.tags} == {"digits", "adamw"}
    config = {u.key or u.nested_key[0]: json.loads(u.value_json) for u in run.config.update}
    assert {k: config[k] for k in SETTINGS} == SETTINGS
    rows = history(first)
    assert [row["_step"] for row in rows] == list(VALUES) and [row["epoch"] for row in rows] == [0, 0.5, 1]
    assert (
        rows[0]["loss"] == 2.5
        and math.isnan(float(rows[1]["loss"]))
        and float(rows[2]["val_loss"]) == -math.inf
    )
    assert [row["loss"] for row in history(second)][::2] == [3.5, 1.5]
    assert [next(r.exit.exit_code for r in one if r.HasField("exit")) for one in (first, second)] == [0, 1]
    assert summary(first) == {"best": 0.5, "outcome": "done"}
    assert summary(second) == {"best": 1.5, "outcome": "diverged"}


def summary(items):
    updates = [u for r in items if r.HasField("summary") for u in r.summary.update]
    return {
        u.key or u.nested_key[0]: json.loads(u.value_json) for u in updates if u.key in ("best", "outcome")
    }


def test_a_run_that_is_interrupted_goes_on_under_its_id(tmp_path):
    for steps in ((0, 10), (20, 30)):
        listener = Wandb("offline").open("warmups", tmp_path)
        listener.begin(told())
        for step in steps:
            listener.log("a1b2", step, {"loss": 1.0})
        listener.log("a1b2", steps[-1], {"loss": 9.0})  # told twice
        listener.close()
    files = written(tmp_path, "a1b2")
    assert [[row["_step"] for row in history(items)] for items in files] == [[0, 10], [20, 30]]
    for items in files:
        assert any(r.HasField("preempting") for r in items)
        assert [r.exit.exit_code for r in items if r.HasField("exit")] == [1]


@pytest.mark.parametrize(
    ("asked", "said", "files"), [("", "offline", 1), ("offline", "disabled", 1), ("", "disabled", 0)]
)
def test_a_mode_that_is_written_wins_over_the_environment(tmp_path, monkeypatch, asked, said, files):
    monkeypatch.setenv("WANDB_MODE", said)
    listener = Wandb(asked).open("warmups", tmp_path)
    listener.begin(told())
    listener.log("a1b2", 1, {"loss": 1.0})
    listener.end("a1b2", "done", {})
    assert len(written(tmp_path, "a1b2")) == files


def test_wandb_dir_is_where_the_files_go(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_DIR", str(tmp_path / "there"))
    tell_two(Wandb("offline").open("warmups", tmp_path / "here"))
    assert len(written(tmp_path / "there", "a1b2")) == 1 and not (tmp_path / "here").exists()


@pytest.mark.parametrize("said", ["online", "offline"])
def test_online_without_a_key_raises_and_asks_nobody(tmp_path, monkeypatch, said):
    monkeypatch.setenv("WANDB_MODE", said)
    monkeypatch.setattr("wandb.errors.term.can_use_terminput", lambda: True)  # as in a terminal
    monkeypatch.setattr("wandb.errors.term.terminput", lambda *a, **k: pytest.fail("it asks"))
    from wandb.errors import UsageError

    begun = time.monotonic()
    with pytest.raises(UsageError, match=r"no API key.*wandb login"):
        Wandb("online").open("warmups", tmp_path)
    assert time.monotonic() - begun < 5


def test_a_folder_that_cannot_be_made_raises(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        Wandb("offline").open("warmups", tmp_path / "file" / "in")


def test_a_full_disk_raises(tmp_path, monkeypatch):
    """W&B itself writes what fits and says nothing."""
    listener = Wandb("offline").open("warmups", tmp_path)
    listener.begin(told())
    listener.log("a1b2", 1, {"loss": 1.0})
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage._replace(free=4096))
    with pytest.raises(OSError, match="no room: less than 1 MiB is free"):
        listener.log("a1b2", 2, {"loss": 1.0})
    listener.close()


def test_long_names_and_tags_are_cut_to_what_the_server_takes(tmp_path):
    listener = Wandb("offline").open("warmups", tmp_path)
    listener.begin(told(name="n" * 200 + "[0]", group="g" * 200, tags=("t" * 100,)))
    listener.close()
    ((*items,),) = written(tmp_path, "a1b2")
    run = next(r.run for r in items if r.HasField("run"))
    assert [len(run.display_name), len(run.run_group), len(run.tags[0])] == [128, 128, 64]
    assert run.display_name.endswith("n[0]")
