"""Each seed's own best setting at other lengths."""

from __future__ import annotations

import pytest
from carried import trained
from reported import found

from preheat.analysis.results import collect
from preheat.core.errors import UserError
from preheat.core.grid import Block
from preheat.core.study import Study
from preheat.report.report import report
from preheat.store.store import Store
from preheat.studies.stages.own_best import OwnBest


def a_study(**stage) -> Study:
    product = {"schedule.name": ["C", "S"], "peak_lr": [0.05, 0.2, 0.5]}
    task = {"name": "quadratic", "dim": 4, "examples": 64, "sigma": 0.5}
    fixed = {"task": task, "optimizer": "sgd", "length": "4ep", "schedule": {"name": "C"}, "evaluate": "1ep"}
    points = [{"schedule": {"name": "C"}}, {"schedule": {"name": "S", "period": 2}}]
    del product["schedule.name"]
    options = {"changes": [{"length": "8ep"}, {"length": "12ep"}], "scaled": ["schedule.period"], **stage}
    return Study(
        "budgets",
        "?",
        (Block(product=product, points=points),),
        fixed,
        scientific=("schedule.name", "length"),
        nuisance=("peak_lr",),
        treatment="schedule.name",
        condition="length",
        seeds=(0, 1, 2),
        metric="loss",
        stages=({"name": "own_best", **options},),
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    root = tmp_path_factory.mktemp("own_best")
    return root, *trained(a_study(), root)


def test_every_seed_takes_its_own_best_to_every_length(done):
    _, points, records = done
    for seed in (0, 1, 2):
        for name in ("C", "S"):
            mine = [p for p in points if p.seed == seed and p.axes["schedule.name"] == name]
            short = [p for p in mine if not p.stage]
            best = min(short, key=lambda p: records[p.run.id].summary["validation_loss"])
            late = {str(p.run.length): p for p in mine if p.stage}
            assert set(late) == {"8ep", "12ep"}
            assert {p.run.peak_lr for p in late.values()} == {best.run.peak_lr}
            assert {p.run.seed for p in late.values()} == {seed}


def test_what_depends_on_the_length_is_built_anew_and_counts_grow_if_asked(done):
    _, points, _ = done
    periods = {str(p.run.length): p.run.schedule.period for p in points if p.axes["schedule.name"] == "S"}
    assert periods == {"4ep": 2, "8ep": 4, "12ep": 6}
    cosine = next(p.run for p in points if p.axes["schedule.name"] == "C" and str(p.run.length) == "12ep")
    assert cosine.factor(cosine.total_steps - 1) < 0.1
    again = OwnBest([{"length": "8ep"}])
    step = next(p for p in points if p.axes["schedule.name"] == "S" and not p.stage)
    assert again._changed(step, {"length": "8ep"}).run.schedule.period == 2, "as published: absolute"


def test_the_seeds_stay_independent_so_the_report_concludes(done):
    root, points, _ = done
    study, store = a_study(), Store.open(root, create=False)
    made = report(collect(study, [(p.axes, p.seed, p.run.id) for p in points], store.heads()), store.load)
    assert not made.table.biased and len(made.table.conditions) == 3
    assert all(len(c.values) == 3 for c in found(made, "metric", "cells"))


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ({"changes": []}, "needs changes of a setting, got"),
        ({"changes": [{"batch_size": 8}]}, "changes batch_size, by which .* add batch_size to scientific"),
    ],
)
def test_bad_changes_are_errors_before_anything_is_trained(stage, message, tmp_path):
    with pytest.raises(UserError, match=message):
        trained(a_study(**stage), tmp_path)
