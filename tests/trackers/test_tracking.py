"""What trackers are told while runs train is what their records tell, in every way of training them."""

from __future__ import annotations

import math

import pytest
from hearing import calls, curves, fakes

from preheat.adapters.trackers.names import named
from preheat.adapters.trackers.tracking import tracking
from preheat.api import run_study
from preheat.cli import main as cli
from preheat.core.grid import Block
from preheat.core.run import Run
from preheat.core.study import Study
from preheat.core.telling import news_of
from preheat.lab import unit
from preheat.lab.follow import follow
from preheat.lab.plan import Choice, Unit
from preheat.lab.study import How, Todo, carry_out
from preheat.store.store import Store

TASK = {"name": "quadratic", "dim": 3, "sigma": 0.1, "examples": 32}
FIXED = {
    "task": TASK,
    "optimizer": "sgd",
    "batch_size": 8,
    "length": "25ep",
    "evaluate": "5ep",
    "probes": ["grad_norm"],
}
LINE = [
    "quadratic",
    "--dim",
    "3",
    "--optimizer",
    "sgd",
    "--peak-lr",
    "0.1",
    "--epochs",
    "25",
    "--set",
    "task.examples=32",
    "--batch-size",
    "8",
]


@pytest.fixture(autouse=True)
def fake():
    with fakes("fake"):
        yield


def a_study(**fixed) -> Study:
    grid = (Block(product={"peak_lr": [0.1, 0.2, 1e4]}),)
    roles = {
        "scientific": ("peak_lr",),
        "treatment": "peak_lr",
        "metric": "loss",
        "margin": 0.01,
        "seeds": (0, 1),
    }
    return Study("three", "?", grid, {**FIXED, **fixed}, **roles)


def told_as_recorded(root, runs) -> None:
    store = Store.open(root, create=False)
    ends = {run_id: (outcome, summary) for _, run_id, outcome, summary in calls("end")}
    assert len(calls("begin")) == len(calls("end")) == len(runs) and set(ends) == {r.id for r in runs}
    for run in runs:
        record = store.load(run.id)
        assert curves()[run.id] == {one.step: one.values for one in news_of(record)}
        assert ends[run.id][0] == record.status.outcome
        assert ends[run.id][1].get("diverged_at") == record.status.step
        assert ends[run.id][1]["total_steps"] == 100
    assert calls("close")


def followed(study: Study, root, choice: Choice, executor: str) -> None:
    runs = tuple(study.runs())
    some = [Unit(runs, choice)] if choice.size > 1 else [Unit((r,), choice) for r in runs]
    made = Todo(study, study.points(), frozenset(), some, {}, {})
    with tracking(["fake"], study.name, root) as hearer:
        assert follow(made, root, How(executor=executor, jobs=1), again="", hearer=hearer) == 0


@pytest.mark.parametrize(("executor", "size"), [("thread", 6), ("processes", 1)])
def test_a_study_is_told_as_its_records_tell_it(tmp_path, monkeypatch, executor, size):
    monkeypatch.setattr(unit, "BEAT_SECONDS", 0.0)
    study = a_study()
    followed(study, tmp_path, Choice(size, "eager", 1e-4, 0.0, 1000), executor)
    told_as_recorded(tmp_path, study.runs())
    outcomes = sorted(outcome for _, _, outcome, _ in calls("end"))
    assert outcomes == ["diverged"] * 2 + ["done"] * 4


def test_what_is_told():
    """After 100 updates of 4 an epoch: each epoch's mean loss, its last rate, each evaluation, each probe."""
    from preheat.lab.train import train

    run = Run.from_json({**FIXED, "schedule": "linear", "peak_lr": 0.1})
    record = train(run)
    told = {one.step: one.values for one in news_of(record)}
    losses = record.trace["train_loss"].values
    assert [s for s, v in told.items() if "train_loss" in v] == [*range(4, 101, 4)]
    assert told[8]["train_loss"] == pytest.approx(sum(losses[4:8]) / 4, rel=1e-12)
    assert told[8]["learning_rate"] == pytest.approx(0.1 * run.factor(7), rel=1e-12)
    assert [s for s, v in told.items() if "validation_loss" in v] == [0, 20, 40, 60, 80, 100]
    assert [s for s, v in told.items() if "grad_norm" in v] == [*record.trace["grad_norm"].steps]
    assert not any(name.startswith("test_") for values in told.values() for name in values)


def test_nobody_listens_and_the_events_are_as_before(tmp_path):
    study = a_study()
    made = Todo(
        study,
        study.points(),
        frozenset(),
        [Unit(tuple(study.runs()), Choice(6, "eager", 1e-4, 0.0, 1000))],
        {},
        {},
    )
    events = [*carry_out(made, tmp_path, How(executor="thread"))]
    assert {e.kind for e in events} == {"beat", "done"} and not any(e.news for e in events)


def test_a_run_that_is_stopped_goes_on_in_the_trackers_from_its_step(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(unit, "BEAT_SECONDS", 0.0)
    line = ["run", *LINE, "--results", str(tmp_path), "--track", "fake"]
    beats = iter(range(10_000))
    from preheat.cli.live_line import LiveLine

    hear = LiveLine.hear
    monkeypatch.setattr(LiveLine, "hear", lambda self, beat: hear(self, beat) or next(beats) == 42)
    assert cli.main(line) == 130
    before = curves()
    assert len(calls("begin")) == 1 and not calls("end")
    assert cli.main(line) == 0
    (run_id,) = before
    assert max(before[run_id]) < 43
    second = [step for _, _, step, _ in calls("log")][sum(map(len, before.values())) :]
    assert second[0] >= 42 and second[-1] == 100
    assert curves()[run_id] == {one.step: one.values for one in news_of(Store.open(tmp_path).load(run_id))}
    assert [outcome for _, _, outcome, _ in calls("end")] == ["done"]
    (_, _, folder), _ = calls("open")
    assert folder == tmp_path / "trackers" / "fake"
    assert calls("begin")[0][1].name == "sgd_constant(25)[peak_lr=0.1][0]"


def test_a_run_that_fails_is_told_so_and_a_tracker_that_fails_stops_nothing(tmp_path, monkeypatch, capsys):
    train = unit.train_unit

    def cursed(some, *args, **kwargs):
        if some.runs[0].seed == 1:
            raise RuntimeError("cursed")
        return train(some, *args, **kwargs)

    monkeypatch.setattr(unit, "train_unit", cursed)
    study = a_study()
    made = Todo(
        study,
        study.points(),
        frozenset(),
        [Unit((r,), Choice(1, "eager", 1e-4, 0.0, 1000)) for r in study.runs()],
        {},
        {},
    )
    with tracking(["fake"], study.name, tmp_path) as hearer:
        assert follow(made, tmp_path, How(executor="thread"), again="", hearer=hearer) == 3
    assert sorted(outcome for _, _, outcome, _ in calls("end")) == [
        "diverged",
        "done",
        "done",
        *["failed"] * 3,
    ]
    assert cli.main(["run", *LINE, "--results", str(tmp_path), "--track", "fake:log"]) == 0
    assert "tracker fake is dropped: OSError: [Errno 28] No space left on device" in capsys.readouterr().err


def test_run_study_tells_trackers_and_what_has_records_is_not_told_again(tmp_path, monkeypatch):
    monkeypatch.setattr("preheat.report.stored.reported", lambda root, name: (None, root))
    study = a_study()
    run_study(study, results=tmp_path, track="fake")
    told_as_recorded(tmp_path, study.runs())
    assert calls("open") == [("open", "three", tmp_path / "three" / "fake")]
    logs = len(calls("log"))
    run_study(study, results=tmp_path, track=["fake"])
    assert len(calls("log")) == logs and len(calls("open")) == 2


@pytest.mark.parametrize(
    ("asked", "rule"),
    [("wandbb", "unknown tracker 'wandbb'"), ("fake:nopackage", "needs the package fake: pip install fake")],
)
def test_an_unknown_tracker_or_a_missing_package_is_exit_code_2_and_nothing_is_trained(
    tmp_path, capsys, asked, rule
):
    assert cli.main(["run", *LINE, "--results", str(tmp_path), "--track", asked]) == 2
    assert rule in capsys.readouterr().err and not calls("begin")
    assert not Store.open(tmp_path).ids()


def test_names_tell_what_differs():
    base = {"task": TASK, "optimizer": "sgd", "length": "50ep", "peak_lr": 0.1}
    settings = [
        {"schedule": {"name": "cosine", "warmup": "5ep"}},
        {"schedule": {"name": "cosine"}},
        {"schedule": {"name": "cosine"}, "seed": 3},
        {"schedule": {"name": "linear"}, "length": 300},
        {"schedule": {"name": "cosine", "warmup": "5ep"}, "peak_lr": 0.001},
    ]
    runs = [Run.from_json({**base, **one}) for one in settings]
    found = named(runs, spans={})
    groups = [found[r.id].group for r in runs]
    assert len(set(groups)) == 4 and groups[1] == groups[2]
    assert groups[0].startswith("sgd_cosine(50)[") and "peak_lr=0.1" in groups[0]
    assert groups[3].startswith("sgd_linear(300 steps)[") and found[runs[2].id].name == f"{groups[2]}[3]"
    assert found[runs[0].id].tags == ("50 epochs", "sgd", "cosine")
    same = named(runs[1:3], spans={})
    assert {t.group for t in same.values()} == {"sgd_cosine(50)"}
    assert {t.group for t in named(runs[1:3], always=["peak_lr"], spans={}).values()} == {
        "sgd_cosine(50)[peak_lr=0.1]"
    }


def test_a_monitor_of_ones_own_loop_tells_its_rows(tmp_path, capsys):
    import torch
    from torch import nn, optim

    from preheat.adapters.monitor import CurvatureMonitor

    model, x = nn.Linear(1, 1, bias=False), torch.tensor([[1.0], [3.0]])
    loss_fn = lambda model, x: model(x).square().mean()
    optimizer, monitor = optim.SGD(model.parameters(), lr=0.01), CurvatureMonitor(loss_fn, x, share=1.0)
    with monitor.track("fake", project="mine", folder=tmp_path):
        for _ in range(5):
            optimizer.zero_grad()
            loss_fn(model, x).backward()
            optimizer.step()
            monitor.step(model, optimizer)
    monitor.step(model, optimizer)
    ((_, told),) = calls("begin")
    assert told.group == "mine" and told.settings["share"] == 1.0
    (curve,) = curves().values()
    rows = {int(row["update"]): row for row in monitor.rows if row["update"] <= 5}
    assert set(curve) == set(rows) and curve[1]["sharpness"] == rows[1]["sharpness"]
    assert math.isclose(curve[1]["sharpness"], 10.0, rel_tol=1e-3)
    assert [c[2] for c in calls("end")] == ["done"] and calls("open") == [("open", "mine", tmp_path / "fake")]
