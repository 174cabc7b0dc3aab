"""Looks at a question are counted in study.json, across the seeds that a study was run with, and paid for."""

import json

import pytest

from preheat.analysis.results import Results, Row
from preheat.core.grid import Block
from preheat.core.saying import kept
from preheat.core.study import Study, index_json
from preheat.report.looks import changed, looked, question, remember
from preheat.report.report import report
from preheat.stats.claims import budget

SCORES = {"validation_accuracy": 0.9, "test_accuracy": 0.9, "train_loss": 0.1}


def study(n, **changes):
    made = Study(
        **{"name": "s", "question": "q", "grid": (Block(product={"schedule.warmup": [0, 2]}),), **changes}
    )
    return made.with_seeds(n)


def written(root, one, *, missing=0):
    """Its study.json, and results in which all but the last `missing` runs have records."""
    points = one.points()
    data = index_json(one, points)
    (root / one.name).mkdir(exist_ok=True)
    (root / one.name / "study.json").write_text(json.dumps(data))
    rows = [
        Row(p.run.id, p.axes, p.seed, "missing" if i >= len(points) - missing else "done", None, dict(SCORES))
        for i, p in enumerate(points)
    ]
    return data, Results(one, tuple(rows))


def test_a_look_is_told_by_the_runs_it_saw(tmp_path):
    data, results = written(tmp_path, study(4))
    first = looked(tmp_path, data, results)
    assert first.number == 0
    remember(tmp_path, "s", first)
    remember(tmp_path, "s", first)
    data = json.loads((tmp_path / "s" / "study.json").read_text())
    assert data["looks"] == [list(first)] and looked(tmp_path, data, results) == first
    more, wider = written(tmp_path, study(6, name="s-seeds6"))
    second = looked(tmp_path, more, wider)
    assert second.number == 1 and question(more) == question(data)
    remember(tmp_path, "s-seeds6", second)
    assert looked(tmp_path, data, results).number == 0, "written again, it is the look it was"
    other, rows = written(tmp_path, study(4, name="other", metric="loss"))
    assert looked(tmp_path, other, rows).number == 0, "another question"


def test_looks_stay_when_a_study_is_planned_again_and_changes_are_told(tmp_path):
    data, results = written(tmp_path, study(4))
    remember(tmp_path, "s", looked(tmp_path, data, results))
    before = json.loads((tmp_path / "s" / "study.json").read_text())
    again = study(6, margin=0.002)
    made = index_json(again, again.points(), before=before)
    assert made["looks"] == before["looks"]
    assert changed(made) == ["The margin was changed from 0.01 to 0.002 after the first run."]
    assert "changed" not in kept(before, before) and changed(
        index_json(again, again.points(), before=made)
    ) == changed(made)


@pytest.mark.parametrize("look", [0, 1, 2])
def test_a_later_look_has_less_to_spend_and_says_so(look, tmp_path):
    _, results = written(tmp_path, study(4))
    made = report(results, look=look, told=("The margin was changed.",))
    assert made.summary()["look"] == look + 1 and made.notes[0] == "The margin was changed."
    said = " ".join(made.sure)
    assert (f"This is look {look + 1}" in said) == (look > 0)
    assert sum(budget(k) for k in range(50)) <= 0.05 + 1e-12
