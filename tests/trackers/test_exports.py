"""Records in other people's files: by a tracker, and as CSV."""

from __future__ import annotations

import csv
import importlib.util
import json
import math
from array import array
from pathlib import Path

import pytest
from hearing import calls, curves, fakes

from preheat.cli import main as cli
from preheat.cli.export_command import export
from preheat.core.grid import Block
from preheat.core.record import Record, Series, Status
from preheat.core.study import Study, index_json
from preheat.core.telling import news_of
from preheat.store.store import Store

FIXED = {
    "task": {"name": "quadratic", "dim": 3, "examples": 32},
    "optimizer": "sgd",
    "batch_size": 8,
    "peak_lr": 0.1,
}
LOSS = {0: 4.0, 4: 3.0, 8: 2.0, 12: 1.0}  # before updates; an epoch has 4


def recorded(root: Path, grid: dict, *, name="curves", **roles) -> Study:
    """A study whose records are made up: the loss falls by 1 an epoch and is higher by the seed."""
    block = Block(product=grid, fixed={"schedule": {"name": "cosine"}})
    study = Study(
        name,
        "?",
        (block,),
        FIXED,
        tuple(grid),
        metric="loss",
        treatment=next(iter(grid)),
        seeds=(0, 1),
        **roles,
    )
    store = Store.open(root)
    with store.writer() as writer:
        writer.append([_record(run) for run in study.runs()])
    (root / name).mkdir()
    index = index_json(study, study.points())
    (root / name / "study.json").write_text(json.dumps(index), encoding="utf-8")
    return study


def _record(run) -> Record:
    total = run.total_steps
    at = {k: v + run.seed for k, v in LOSS.items() if k <= total}
    if run.seed == 1 and total == 12:
        at[12] = math.nan
    values = [float(k) for k in range(total)]
    trace = {
        "train_loss": Series(array("q", range(total)), array("f", values)),
        "validation_loss": Series(array("q", at), array("f", at.values())),
        "validation_accuracy": Series(array("q", at), array("f", [0.5] * len(at))),
    }
    summary = {"total_steps": float(total), "steps_per_epoch": 4.0, "test_loss": 0.25, "test_accuracy": None}
    return Record(run, Status("done"), trace, summary)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [*csv.DictReader(file)]


@pytest.fixture
def root(tmp_path):
    recorded(tmp_path, {"schedule.name": ["cosine", "linear"], "length": ["2ep", "3ep"]})
    return tmp_path


def test_a_study_of_schedules_and_epochs_is_a_csv_for_each_schedule(root, capsys):
    assert cli.main(["export", "curves", "--to", "csv", "--results", str(root)]) == 0
    folder = root / "curves" / "csv"
    names = [
        f"Result_quadratic{metric}-{name}.csv"
        for metric in ("", "_ACCURACY")
        for name in ("cosine", "linear")
    ]
    assert sorted(p.name for p in folder.iterdir()) == sorted(names)
    found = rows(folder / "Result_quadratic-linear.csv")
    columns = [f"linear{n}_val_loss{end}" for n in (2, 3) for end in ("", "_min", "_max")]
    assert list(found[0]) == ["epoch", *columns]
    assert [list(row.values()) for row in found] == [
        ["1", "3.5", "3.0", "4.0", "3.5", "3.0", "4.0"],
        ["2", "2.5", "2.0", "3.0", "2.5", "2.0", "3.0"],
        ["3", "", "", "", "1.0", "1.0", "1.0"],
    ]
    assert list(rows(folder / names[2])[0])[1] == "cosine2_val_accuracy"


def test_any_other_study_is_a_csv_with_columns_by_group(tmp_path):
    recorded(tmp_path, {"peak_lr": [0.1, 0.2], "length": ["2ep"]})
    export(tmp_path, "curves", "csv", tmp_path / "out")
    found = rows(tmp_path / "out" / "Result_quadratic.csv")
    groups = [f"sgd_cosine(2)[peak_lr={rate}]" for rate in (0.1, 0.2)]
    assert list(found[0])[1:] == [f"{g} - val_loss{end}" for g in groups for end in ("", "__MIN", "__MAX")]
    assert len(found) == 2


def test_any_tracker_is_told_the_records(root, capsys):
    with fakes("fake"):
        assert cli.main(["export", "curves", "--to", "fake:any", "--results", str(root)]) == 0
        store = Store.open(root)
        assert calls("open") == [("open", "curves", root / "curves" / "fake")] and calls("close")
        for run_id in store.ids():
            expected = {one.step: one.values for one in news_of(store.load(run_id))}
            assert repr(curves()[run_id]) == repr(expected), "equal, NaN too"
        names = {told.run.id: told.name for _, told in calls("begin")}
        assert sorted(names.values())[0] == "sgd_cosine(2)[0]" and len(set(names.values())) == 8
        assert {summary["test_loss"] for *_, summary in calls("end")} == {0.25}
        assert cli.main(["list", "exporters"]) == 0
    said = capsys.readouterr().out
    assert "fake         Remembers." in said and "csv " in said and str(root / "curves" / "fake") in said


@pytest.mark.parametrize(
    ("to", "rule"),
    [
        ("csv:all", "exporter 'csv' has no modes, got 'all': write --to csv"),
        ("tensorbord", "unknown exporter 'tensorbord': did you mean 'tensorboard'?"),
        ("tensorboard:offline", "tracker 'tensorboard' has no modes, got 'offline'"),
        ("fake:nopackage", "tracker 'fake' needs the package fake: pip install fake"),
        ("fake:end", "exporter 'fake' failed in export: OSError"),
    ],
)
def test_mistakes_are_told_with_exit_code_2(root, capsys, to, rule):
    with fakes("fake"):
        assert cli.main(["export", "curves", "--to", to, "--results", str(root)]) == 2
    assert rule in capsys.readouterr().err


def test_a_package_that_is_missing_is_named(root, capsys, monkeypatch):
    import sys

    for name in ("tensorboard", "tensorboard.summary.writer.record_writer"):
        monkeypatch.setitem(sys.modules, name, None)
    assert cli.main(["export", "curves", "--to", "tensorboard", "--results", str(root)]) == 2
    assert "tracker 'tensorboard' needs the package tensorboard" in capsys.readouterr().err


@pytest.mark.skipif(
    importlib.util.find_spec("tensorboard") is None, reason="tensorboard is not installed: tools/track_env.py"
)
def test_tensorboard_reads_what_it_was_told_however_often(root, monkeypatch):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import plugin_data_pb2

    store = Store.open(root)
    for _ in range(2):
        out = export(root, "curves", "tensorboard", None)
    folders = {p.name: p for p in out.iterdir()}
    assert len(folders) == 8
    run_id = next(h.id for h in store.heads() if h.run().seed == 0 and h.run().total_steps == 12)
    (folder,) = [p for name, p in folders.items() if name.endswith(run_id[:8])]
    assert len([*folder.iterdir()]) == 2
    read = EventAccumulator(str(folder), purge_orphaned_data=True).Reload()
    told = {one.step: one.values for one in news_of(store.load(run_id))}
    for name in ("train_loss", "learning_rate", "validation_loss"):
        points = {e.step: e.value for e in read.Scalars(name)}
        assert points == pytest.approx({s: v[name] for s, v in told.items() if name in v}, rel=1e-6), name
        assert len(read.Scalars(name)) == len(points)
    assert [(e.step, e.value) for e in read.Scalars("test_loss")] == [(12, 0.25)]
    tags = read.summary_metadata
    start = plugin_data_pb2.HParamsPluginData.FromString(
        tags["_hparams_/session_start_info"].plugin_data.content
    )
    settings = start.session_start_info.hparams
    assert settings["peak_lr"].number_value == 0.1 and settings["optimizer.name"].string_value == "sgd"
    assert settings["outcome"].string_value == "done"
