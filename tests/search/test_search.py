"""A search as a study: its trials are ordinary runs, the best of each arm is trained on other seeds."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from carried import trained

from preheat.analysis.stages import staged
from preheat.core.errors import UserError
from preheat.core.grid import Block
from preheat.core.spec import as_spec, build
from preheat.core.study import Study
from preheat.report.stored import reported
from preheat.search.arms import arms
from preheat.search.declare import Searched
from preheat.search.shared import SearchStorage, going_on
from preheat.search.stage import Search
from preheat.store.store import Store
from preheat.studyfiles.reader import read_study

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
    assert "on 2 fresh seeds; of 2 arms it was best in validation" in report.answer
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
    study = searched(pruner="pfl", epochs=20, schedules=("cosine",), trials=10)
    assert [build("stage", as_spec(one, "stage")).most(study) for one in study.stages] == [18, 2]


def test_the_study_file_of_the_docs_is_read_and_asks_for_its_trials(tmp_path):
    text = (Path(__file__).parents[2] / "docs" / "search.md").read_text(encoding="utf-8")
    file = tmp_path / "mine.yaml"
    file.write_text(re.search(r"```yaml\n(.*?)```", text, flags=re.DOTALL)[1], encoding="utf-8")
    study = read_study(file)
    assert staged(study, study.points(), tmp_path).most == 11 + 3


@pytest.mark.parametrize(
    ("grid", "space", "message"),
    [
        (
            {"peak_lr": 0.003},
            {"peak_lr": {"low": 0.01, "high": 0.1}},
            "within its space, got none of arm 'all'",
        ),
        ({"peak_lr": 0.003}, {"peak_lr": {"low": 0.001, "high": 0.1, "step": 0.01}}, "within its space"),
        ({"clip_norm": 0.5}, {"clip_norm": [1.0, None]}, "within its space"),
    ],
)
def test_a_first_trial_outside_the_space_is_an_error_before_anything_is_trained(grid, space, message):
    study = own(nuisance=tuple(grid))
    stage = {**study.stages[0], "spaces": [{"space": space}]}
    study = replace(study, grid=(Block(points=[grid]),), stages=(stage,))
    with pytest.raises(UserError, match=message):
        staged(study, study.points(), Path("nowhere"))


def test_no_value_may_be_among_what_is_tried(tmp_path):
    study = own(nuisance=("clip_norm",))
    stage = {"name": "search", "trials": 3, "spaces": [{"space": {"clip_norm": [1.0, None, 0.1]}}]}
    points, _ = trained(replace(study, grid=(Block(points=[{"clip_norm": 1.0}]),), stages=(stage,)), tmp_path)
    assert {p.run.clip_norm for p in points} == {1.0, None, 0.1}


def test_arms_that_no_setting_tells_apart_are_an_error():
    study = own()
    spaces = [
        {"name": n, "space": {"peak_lr": {"low": low, "high": 1.0}}} for n, low in (("a", 0.01), ("b", 0.05))
    ]
    with pytest.raises(
        UserError, match="must differ in a setting that the study tells apart, got 'a' and 'b'"
    ):
        Search(spaces).most(study)


def test_a_trial_counts_when_all_its_seeds_have_a_value(tmp_path):
    study = searched(search_seeds=2, trials=3, batch=1, schedules=("cosine",))
    points, records = trained(study, tmp_path / "all")
    some = tmp_path / "some"
    first = [p for p in points if p.stage == 0]
    with Store.open(some).writer() as writer:
        writer.append([records[first[0].run.id]])
    (arm, ended), *_ = SearchStorage(study, some)._trials(first)
    assert arm.name == "cosine" and [t.state for t in ended] == ["running"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"settings": {"peak_lr": 3.0}}, "peak_lr is searched, got --set peak_lr"),
        (
            {"free": ("adamw",)},
            "optimizers that set their rate themselves are dadapt_adam and prodigy, got 'adamw'",
        ),
        ({"pruner": "hyperband", "epochs": 1}, "a pruner needs runs of at least 2 epochs"),
    ],
)
def test_what_can_not_be_searched_is_said(change, message):
    with pytest.raises(UserError, match=message):
        searched(**change)


def test_an_optimizer_that_sets_its_rate_has_rate_1_in_every_arm():
    given = Searched(TASK, schedules=("C",), optimizer={"name": "prodigy"}, free=("dadapt_adam",), epochs=4)
    points = given.study("own").points()
    assert {p.run.peak_lr for p in points} == {1.0}
    with pytest.raises(UserError, match="schedule 'N' has nothing to try with prodigy"):
        Searched(TASK, schedules=("N",), optimizer={"name": "prodigy"}).study("own")


def test_a_search_goes_on_as_it_began_and_in_its_own_folder(done):
    root, study, *_ = done
    said = []
    on = going_on(searched(batch=3, trials=2), root, say=said.append)
    assert [on.stages[0][name] for name in ("batch", "trials")] == [2, 4] and len(said) == 2
    assert going_on(study, root) == study
    more = going_on(searched(trials=9), root).stages[0]
    assert (more["trials"], more["batch"]) == (9, 2)
    for other, message in (
        (searched(epochs=9), "holds another study"),
        (searched(peak_lr=0.02), "another space"),
    ):
        with pytest.raises(UserError, match=message):
            going_on(other, root)
