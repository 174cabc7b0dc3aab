"""A study that asks for more: a random search, then the best three again on the seeds that are reported."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
import pytest
from in_process import Here, registered

from preheat.analysis.results import collect, read_index
from preheat.analysis.stages import staged
from preheat.cli import main as cli
from preheat.core.errors import UserError
from preheat.core.grid import Block
from preheat.core.registry import EXECUTORS, STAGES, STUDIES
from preheat.core.study import Study, index_json
from preheat.lab import measure, unit
from preheat.lab import study as lab
from preheat.lab.plan import Choice
from preheat.lab.study import How, carry_out, plans
from preheat.lab.train import train
from preheat.report.report import Report, report
from preheat.store.store import Store

ALONE = Choice(1, "eager", 1e-4, 0.0, 1000)
WARMUPS = [{"steps": 0}, {"steps": 3}]


@dataclass(frozen=True)
class RandomSearch:
    """Peak rates drawn evenly in the log, each for every warmup, on the seeds that stages look at."""

    low: float = 0.05
    high: float = 1.0
    trials: int = 4
    batch: int = 2

    def more(self, table, points):
        known = len({p.axes["peak_lr"] for p in points if p.stage})
        draw = np.random.default_rng([7, known]).random(min(self.batch, self.trials - known))
        rates = [float(r) for r in self.low * (self.high / self.low) ** draw]
        grid = (
            replace(b, product={**b.product, "peak_lr": rates}, seeds=table.seeds) for b in table.study.grid
        )
        return table.study.placed(grid) if rates else ()

    def most(self, study):
        return self.trials * len(WARMUPS) * (study.choosing or len(study.seeds))


@dataclass(frozen=True)
class BestAgain:
    """The settings with the best mean validation score, with the seeds that are reported."""

    top: int = 3

    def more(self, table, points):
        assert np.isnan(table.test).all(), "what is reported chooses nothing"
        mean = table.sign * table.validation.mean(axis=-1)
        settings = {table.where[p.run.id][:4]: p for p in points if p.run.id in table.where}
        best = sorted(settings, key=lambda at: -mean[at])[: self.top]
        return [settings[at].again(seed) for at in best for seed in table.study.seeds[table.study.choosing :]]

    def most(self, study):
        return self.top * (len(study.seeds) - study.choosing)


@dataclass(frozen=True)
class Staged:
    """Which rate?"""

    def study(self):
        return a_study()


def a_study(**changes) -> Study:
    said = {
        "question": "Which rate?",
        "grid": (Block(product={"schedule.warmup": WARMUPS, "peak_lr": [0.1]}, seeds=(0,)),),
        "fixed": {
            "task": {"name": "quadratic", "dim": 3, "sigma": 0.3},
            "optimizer": "sgd",
            "length": 8,
            "evaluate": 4,
        },
        "nuisance": ("peak_lr",),
        "seeds": (0, 1, 2),
        "choosing": 1,
        "metric": "loss",
        "stages": ("random_search", {"name": "best_again", "top": 3}),
    }
    return Study("searched", **{**said, **changes})


ALL = {0: 2, 1: 4, 2: 4, 3: 6}  # runs of each batch


@pytest.fixture(scope="module", autouse=True)
def known():
    """The stages, the study and the executor are registered, and every run is trained alone, unmeasured."""
    mine = (
        (STAGES, "random_search", RandomSearch),
        (STAGES, "best_again", BestAgain),
        (STUDIES, "staged", Staged),
    )
    with pytest.MonkeyPatch.context() as patch, registered():
        patch.setattr(measure, "choices", lambda runs, known, **how: {r.stack_key: ALONE for r in runs})
        for registry, name, made in mine:
            registry.register(name)(made)
        yield
        for registry, name, _ in mine:
            registry._objects.pop(name)
            registry._said.pop(name)


@pytest.fixture(scope="module")
def whole(known, tmp_path_factory):
    """Where the study was carried out and nothing interrupted it."""
    root = tmp_path_factory.mktemp("whole")
    assert go_on(a_study(), root) == {"done": 16, "beat": 0} and batches(root) == ALL
    return root


def go_on(study: Study, root, *, events: int = 10**6) -> Counter:
    """Carry out a study until so many events are past; {kind: how many}."""
    seen: Counter = Counter()
    how = How(executor="here", device="cpu")
    for made in plans(study, lambda: staged(study, study.points(), root), root, how):
        with closing(carry_out(made, root, how)) as said:
            for event in said:
                seen[event.kind] += event.kind != "beat"
                if seen.total() == events:
                    return seen
    return seen


def index(root) -> dict:
    return json.loads((root / "searched" / "study.json").read_text())


def batches(root) -> dict[int, int]:
    return dict(Counter(p.get("stage", 0) for p in index(root)["points"]))


def losses(root) -> dict[str, bytes]:
    store = Store.open(root, create=False)
    assert {len(store.attempts(h.id)) for h in store.heads()} == {1}, "nothing is trained twice"
    return {h.id: store.load(h.id).trace["train_loss"].values.tobytes() for h in store.heads()}


def reported(root) -> Report:
    """The report, as one makes it later of study.json and the records alone."""
    return report(collect(*read_index(index(root)), Store.open(root, create=False).heads()))


def test_a_search_and_the_best_again_are_ordinary_runs_and_stand_in_the_report(whole, monkeypatch):
    study = a_study()
    store = Store.open(whole, create=False)
    points = staged(study, study.points(), whole).points
    searched = [p for p in points if p.stage < 3]
    best = sorted(searched, key=lambda p: store.load(p.run.id).summary["validation_loss"])[:3]
    assert {p.run.id for p in points if p.stage == 3} == {p.run.but(seed=s).id for p in best for s in (1, 2)}
    alone, stored = train(points[-1].run), store.load(points[-1].run.id)
    assert alone.trace["train_loss"].values.tobytes() == stored.trace["train_loss"].values.tobytes()
    for name in ("random_search", "best_again"):
        monkeypatch.delitem(STAGES._objects, name)
    made = reported(whole)
    summary, table = made.summary(), made.table
    assert summary["counts"]["done"] == 6 and (summary["seeds"], table.seeds) == ((1, 2), (1, 2))
    told = {p["peak_lr"] for p in (dict(v) for v in table.nuisances.values)}
    assert told == {p.axes["peak_lr"] for p in best} and np.isfinite(table.judged).any()
    assert not table.biased


def test_a_study_that_is_stopped_in_any_stage_goes_on_with_the_same_runs(whole, tmp_path):
    study = a_study()
    planned = []
    while sum(go_on(study, tmp_path, events=3).values()) == 3:
        planned.append(batches(tmp_path))  # a stage stands in study.json before its first run is trained
    assert planned[0] == {0: 2, 1: 4} and {0: 2, 1: 4, 2: 4} in planned and planned[-1] == ALL
    assert losses(tmp_path) == losses(whole) and len(losses(whole)) == 16
    assert index(tmp_path) == index(whole)


def test_a_run_that_fails_holds_no_stage_up_and_is_tried_again_by_the_next_command(tmp_path, monkeypatch):
    study, train_unit = a_study(), unit.train_unit
    (bad, _) = study.runs()

    def cursed(some, *args, **kwargs):
        if some.runs[0].id == bad.id:
            raise RuntimeError("cursed")
        return train_unit(some, *args, **kwargs)

    monkeypatch.setattr(unit, "train_unit", cursed)
    assert (
        go_on(study, tmp_path) == {"beat": 0, "retry": 1, "failed": 1, "done": 15}
        and batches(tmp_path) == ALL
    )
    monkeypatch.setattr(unit, "train_unit", train_unit)
    assert go_on(study, tmp_path)["failed"] == 0 and batches(tmp_path) == ALL
    assert len(Store.open(tmp_path, create=False).attempts(bad.id)) == 2


def test_a_dry_run_says_how_many_runs_may_follow_at_most(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(EXECUTORS._objects, "processes", Here)
    words = ["study", "staged", "--device", "cpu", "--no-report", "--results", str(tmp_path)]
    assert cli.main([*words, "--dry-run"]) == 0 and not any(tmp_path.iterdir())
    assert (
        "  then at most 14 runs more, which stages choose by their records; memory, time and operations "
        in (out := capsys.readouterr().out)
        and "are told without these\n" in out
    )
    go_on(a_study(), tmp_path, events=4)
    assert cli.main([*words, "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "4 have records, 2 to train:" in out and "then at most 10 runs more" in out
    assert cli.main(words) == 0 and batches(tmp_path) == ALL
    assert "10 have records, 6 to train:" in (out := capsys.readouterr().out) and out.count("at most") == 2
    assert cli.main([*words, "--dry-run"]) == 0
    *_, told, able = capsys.readouterr().out.splitlines()
    assert told == "16 have records, 0 to train." and able.startswith("  2 seeds can show ")
    assert cli.main([*words, "--limit", "1"]) == 0
    assert "at most" not in capsys.readouterr().out, "the first runs only"


def test_what_a_stage_may_not_do_is_said(tmp_path, monkeypatch):
    study = a_study(stages=("best_again",))
    go_on(study, tmp_path)
    monkeypatch.setattr(BestAgain, "most", lambda self, study: 1)
    with pytest.raises(
        UserError, match=r"its most\(\) says, got 4 from stage 'best_again', whose most\(\) says 1: let"
    ):
        staged(study, study.points(), tmp_path)
    monkeypatch.setattr(BestAgain, "most", lambda self, study: 9)
    for given, said in (
        (None, "must give points in more, .* got None: return table.study.placed"),
        ([1], "must give points in more, .* got 1: return"),
        ((1 / 0 for _ in "1"), "failed in more: ZeroDivisionError: division by zero .test_stages.py, line"),
    ):
        monkeypatch.setattr(BestAgain, "more", lambda self, table, points, given=given: given)
        with pytest.raises(UserError, match=f"stage 'best_again' {said}"):
            staged(study, study.points(), tmp_path)
    nowhere = tmp_path / "none"
    for most in (None, 1.5, True, -1):
        monkeypatch.setattr(BestAgain, "most", lambda self, study, most=most: most)
        with pytest.raises(UserError, match=f"'best_again' must give a whole number .* got {most}: return"):
            staged(study, study.points(), nowhere)
    monkeypatch.delattr(BestAgain, "most")
    with pytest.raises(UserError, match=r"'best_again' must have most\(study\): write def most\(self, study"):
        staged(study, study.points(), nowhere)
    with pytest.raises(UserError, match="did you mean 'best_again'"):
        staged(a_study(stages=("best_agian",)), study.points(), tmp_path)
    with pytest.raises(UserError, match=r"a stage is a name or \{name: ...*got 3: write stages: \[name\]"):
        a_study(stages=(3,))
    judging = a_study(grid=(replace(study.grid[0], seeds=(1,)),), stages=("random_search",))
    with pytest.raises(UserError, match=r"the seeds that choose, \[0\], and no run has one of them"):
        go_on(judging, tmp_path)


def test_a_stage_that_sees_what_is_reported_leaves_the_report_without_conclusions(tmp_path):
    study = a_study(
        seeds=(0,),
        choosing=0,
        stages=("random_search",),
        nuisance=(),
        scientific=("schedule.warmup", "peak_lr"),
    )
    go_on(study, tmp_path)
    summary = reported(tmp_path).summary()
    assert any(
        note.startswith("Later runs were asked for by what the reported seeds had scored")
        for note in summary["notes"]
    )


def test_a_study_without_stages_is_declared_and_stored_as_before():
    plain, more = a_study(stages=(), choosing=0).json(), a_study(choosing=0).json()
    assert "stages" not in plain and {**plain, "stages": more["stages"]} == more
    assert Study.from_json(plain).json() == plain and Study.from_json(more).json() == more
    rows = index_json(a_study(), a_study().points())["points"]
    assert all(set(row) == {"axes", "seed", "run", "names"} for row in rows)


def test_a_metric_that_no_task_measures_is_told_before_anything_is_timed(tmp_path, monkeypatch):
    monkeypatch.setattr(lab, "_fastest", None)
    study = a_study(metric="los", goal="min", stages=())
    with pytest.raises(
        UserError, match=r"asks for the metric 'los', .* it measures loss; write --set metric=loss"
    ):
        lab.plan(study, study.points(), tmp_path, How(device="cpu"))
