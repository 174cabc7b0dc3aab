"""A search as a study: its trials are ordinary runs, the best of each arm is trained on other seeds."""

from __future__ import annotations

import pytest
from carried import trained

from preheat.analysis.stages import staged
from preheat.core.errors import UserError
from preheat.core.grid import Block
from preheat.core.study import Study
from preheat.report.stored import reported
from preheat.search.arms import arms
from preheat.search.declare import Searched
from preheat.search.stage import Search
from preheat.store.store import Store

TASK = {"name": "quadratic", "dim": 4}


def searched(**more):
    given = {"schedules": ("cosine", "constant"), "epochs": 8, "trials": 4, "batch": 2, "again": 2, **more}
    return Searched(TASK, optimizer={"name": "sgd"}, **given).study("lines")


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    root = tmp_path_factory.mktemp("search")
    study = searched()
    points, records = trained(study, root)
    return root, study, points, records


def test_every_arm_has_so_many_trials_and_its_best_on_fresh_seeds(done):
    _, _, points, records = done
    for name in ("cosine", "constant"):
        mine = [p for p in points if p.axes["schedule.name"] == name]
        tried = [p for p in mine if p.seed == 0]
        fresh = [p for p in mine if p.seed != 0]
        assert len(tried) == 4 and {p.seed for p in fresh} == {1, 2}
        best = min(tried, key=lambda p: records[p.run.id].summary["validation_loss"])
        assert {p.run.but(seed=0).id for p in fresh} == {best.run.id}


def test_the_page_tells_the_best_and_gives_no_verdict(done):
    root, *_ = done
    report, _ = reported(root, "lines")
    assert "on 2 fresh seeds, the best of 2 arms" in report.answer
    assert "no verdict" in report.answer
    found = next(c.found for c in report.chapters if c.name == "search")
    assert [b.trials for b in found.best] == [4, 4] and len(found.tried) == 8
    values = [t.value for t in found.tried if t.arm == found.best[0].arm]
    assert found.best[0].value == min(values)
    assert found.best[0].fresh.n == 2


def test_a_study_that_was_stopped_asks_for_the_same_trials(done, tmp_path):
    _, study, points, records = done
    store = Store.open(tmp_path)
    with store.writer() as writer:
        writer.append([records[p.run.id] for p in points if p.stage <= 1])
    again = staged(study, study.points(), tmp_path).points
    assert [p.run.id for p in again] == [p.run.id for p in points if p.stage <= 2]


def test_a_pruned_trial_is_the_beginning_of_a_whole_one(tmp_path):
    study = searched(pruner="hyperband", epochs=9, trials=6, batch=5, schedules=("cosine",))
    points, records = trained(study, tmp_path)
    short = [p for p in points if p.axes["length"] != "9ep" and p.seed == 0]
    whole = {p.run.peak_lr: p for p in points if p.axes["length"] == "9ep" and p.seed == 0}
    assert short and {p.run.steps_per_epoch for p in points} == {short[0].run.steps_per_epoch}
    both = [(p, whole[p.run.peak_lr]) for p in short if p.run.peak_lr in whole]
    assert both, "some went on"
    for p, q in both:
        a, b = (records[x.run.id].trace["train_loss"].values for x in (p, q))
        assert list(a) == list(b[: len(a)])
    assert len(short) > len(both), "some were stopped"


@pytest.mark.parametrize(
    "change,message",
    [
        ({"pruner": "pfk"}, "did you mean 'pfl'"),
        ({"trials": 0}, "trials of a search must be a whole number of at least 1, got 0"),
        ({"peak_lr": 1.0}, r"must lie in what it tries, 0.0001 to 0.05, got 1"),
        ({"schedules": ()}, "needs at least one schedule"),
        ({"schedules": ("cosin",)}, "did you mean 'cosine'"),
    ],
)
def test_bad_searches_are_errors(change, message):
    with pytest.raises(UserError, match=message):
        searched(**change)


@pytest.mark.parametrize(
    "spaces,message",
    [
        ([], "at least one arm"),
        ([{"space": {"peak_lr": {"low": 1, "high": 0.1}}}], "peak_lr: low of a range must be below high"),
        ([{"settings": {}, "spce": {}}], "did you mean 'space'"),
        ([{"space": {"peak_lr": 0.1}}], "is a range or a list, got 0.1"),
        ([{"name": "a", "space": {}}], "has nothing to try"),
        ([{"name": "a", "space": {"x": [1]}}, {"name": "a", "space": {"x": [1]}}], "a name of its own"),
    ],
)
def test_bad_spaces_are_errors(spaces, message):
    with pytest.raises(UserError, match=message):
        arms(spaces)


def own(**more):
    """A search in a study of one's own."""
    space = {"peak_lr": {"low": 0.01, "high": 1.0, "log": True}}
    stage = {"name": "search", "spaces": [{"space": space}], "trials": 3}
    given = {"nuisance": ("peak_lr",), "treatment": "schedule.warmup", "metric": "loss", **more}
    grid = (Block(points=[{"peak_lr": 0.1}]),)
    fixed = {"task": TASK, "optimizer": "sgd", "length": 20, "schedule": {"name": "constant", "warmup": 0}}
    return Study("own", "?", grid, fixed, seeds=(0, 1), choosing=1, stages=(stage,), **given)


def test_a_study_of_ones_own_can_search(tmp_path):
    points, _ = trained(own(), tmp_path)
    assert len({p.run.peak_lr for p in points}) == 3 and {p.seed for p in points if p.stage} == {0}


def test_what_is_searched_must_be_an_axis(tmp_path):
    with pytest.raises(UserError, match=r"tries peak_lr of arm 'all'.*add peak_lr to nuisance"):
        trained(own(nuisance=()), tmp_path)


def test_most_counts_every_run():
    study = searched(pruner="pfl", epochs=20)
    stage = Search([{"space": {"peak_lr": [0.1, 0.2]}}], trials=10, pruner="pfl")
    assert stage.most(study) == 18
