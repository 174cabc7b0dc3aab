"""Looks at a question are counted in study.json, across the seeds that a study was run with, and paid for."""

import json
from dataclasses import replace

import numpy as np
import pytest
from fake_results import noisy
from fake_results import results as fake

from preheat.analysis.results import Results, Row
from preheat.core.grid import Block
from preheat.core.saying import kept
from preheat.core.study import Study, index_json
from preheat.report.looks import changed, look_at, looked, remember, superseded
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
    assert second.number == 1, "it has the first one's runs"
    ids = [r.run_id for r in wider.rows]
    assert look_at(tmp_path, more["study"], ids) == second, "also before it is looked at"
    remember(tmp_path, "s-seeds6", second)
    assert looked(tmp_path, data, results).number == 0, "written again, it is the look it was"
    assert superseded(tmp_path, "s", first) == [
        "A later look at some of these runs is the report of s-seeds6."
    ]
    assert superseded(tmp_path, "s-seeds6", second) == []
    far = Study("far", "q", (Block(product={"schedule.warmup": [0, 2], "peak_lr": [0.7]}),)).with_seeds(4)
    assert looked(tmp_path, *written(tmp_path, far)).number == 0, "other runs"


@pytest.mark.parametrize(
    "changes",
    [
        {"metric": "loss"},
        {"goal": "min"},
        {"margin": 0.002},
        {"nuisance": ("peak_lr",)},
        {"claims": {"primary": ["main"]}},
        {"baseline": {"epochs": 2}},
        {"seeds": (0, 1, 2)},
        {"seeds": (2, 3, 4, 5)},
    ],
)
def test_another_measure_or_part_of_the_same_runs_is_a_later_look(tmp_path, changes):
    base = replace(study(4), grid=(Block(product={"schedule.warmup": [0, 2], "peak_lr": [0.1]}),))
    remember(tmp_path, "s", looked(tmp_path, *written(tmp_path, base)))
    other = written(tmp_path, replace(base, name="other", **changes))
    assert looked(tmp_path, *other).number == 1
    remember(tmp_path, "other", looked(tmp_path, *other))
    assert looked(tmp_path, *other).number == 1, "written again"
    assert looked(tmp_path, *written(tmp_path, replace(base, name="third", margin=0.3))).number == 2


def test_few_common_runs_or_other_paths_are_another_question(tmp_path):
    remember(tmp_path, "s", looked(tmp_path, *written(tmp_path, study(4))))
    apart = replace(study(4), name="apart", seeds=(3, 4, 5, 6))
    assert looked(tmp_path, *written(tmp_path, apart)).number == 0
    paths = replace(study(4), name="paths", scientific=("schedule.warmup", "peak_lr"))
    assert looked(tmp_path, *written(tmp_path, paths)).number == 0
    none = written(tmp_path, study(4, name="none"), missing=8)
    assert looked(tmp_path, *none).number == 0, "without a record nothing is looked at"


def test_looks_stay_when_a_study_is_planned_again_and_changes_are_told(tmp_path):
    data, results = written(tmp_path, study(4))
    remember(tmp_path, "s", looked(tmp_path, data, results))
    before = json.loads((tmp_path / "s" / "study.json").read_text())
    again = study(6, margin=0.002)
    made = index_json(again, again.points(), before=before)
    assert made["looks"] == before["looks"]
    assert changed(made) == ["The margin was changed after the first run: 1\xa0point -> 0.2\xa0points."]
    assert "changed" not in kept(before, before) and changed(
        index_json(again, again.points(), before=made)
    ) == changed(made)


@pytest.mark.parametrize(
    ("first", "then", "said"),
    [
        (
            {},
            {"claims": {"primary": ["benefit"]}},
            "The primary claims were {}: the standard ones -> benefit.",
        ),
        ({"claims": {"primary": ["main"]}}, {}, "The primary claims were {}: main -> the standard ones."),
        (
            {"chapters": ["main", "edge"]},
            {"chapters": ["main"]},
            "The chapters were {}: main and edge -> main.",
        ),
        ({}, {"chapters": ["main"]}, "The chapters were {}: the standard ones -> main."),
        ({"nuisance": ["peak_lr"]}, {}, "The nuisance was {}: peak learning rate -> none."),
        ({}, {"baseline": {"epochs": 2}}, "The baseline was {}: none -> 2ep."),
        (
            {"claims": {"aside": {"optimizer.name": ["lion", "sam"]}}},
            {},
            "What is left out of the claims was {}: optimizer lion and sam -> nothing.",
        ),
    ],
)
def test_what_was_changed_after_the_first_run_is_told_in_a_sentence(first, then, said):
    grid = (Block(product={"schedule.warmup": [0, 2], "peak_lr": [0.1], "optimizer.name": ["sgd"]}),)
    old, new = (Study("s", "q", grid, **some) for some in (first, then))
    made = index_json(new, new.points(), before=json.loads(json.dumps(index_json(old, old.points()))))
    assert changed(made) == [said.format("changed after the first run")]
    assert "changed" not in index_json(old, old.points(), before=index_json(old, old.points()))


@pytest.mark.parametrize("look", [0, 1, 2])
def test_a_later_look_has_less_to_spend_and_says_so(look, tmp_path):
    _, results = written(tmp_path, study(4))
    made = report(results, look=look, told=("The margin was changed.",))
    assert made.summary()["look"] == look + 1 and made.notes[0] == "The margin was changed."
    said = " ".join(made.sure)
    assert (f"This is look {look + 1}" in said) == (look > 0)
    assert sum(budget(k) for k in range(50)) <= 0.05 + 1e-12


CHAPTERS = ("main", "edge", "metric", "benefit", "best", "inside_edge", "hypotheses", "updates", "rule")


def steep(outcome=None):
    """Results in which warmup raises the edge by an octave."""
    score = noisy((2, 3, 3, 4, 5))
    score[..., 3, :] = 0.1
    score[:, :, 0, 2] = 0.1
    return fake(score, outcome=outcome, sizes=(50, 20, 5), warmups=(0, 1, 5))


def test_every_claim_names_its_runs_and_is_not_judged_while_some_are_missing():
    for one in report(steep(), chapters=CHAPTERS).summary()["verdicts"]:
        assert one["runs"], one["name"]
    outcome = np.full((2, 3, 3, 4, 5), "done", dtype="U8")
    outcome[0, 1, :, 0, 2] = "missing"
    for name, v in report(steep(outcome), chapters=CHAPTERS).verdicts.items():
        if v.family in ("edge", "edge_change"):
            assert (v.p is None and v.why == "runs are missing") == name.split("/")[1].startswith("sgd"), name


def test_a_chapter_that_is_shown_alone_has_the_verdicts_of_the_whole_page():
    whole = report(steep(), chapters=CHAPTERS)
    alone = report(steep(), chapters=CHAPTERS, only=("edge",))
    assert [c.name for c in alone.chapters] == ["edge"] and alone.verdicts == whole.verdicts
    assert alone.chapters[0].shown == next(c.shown for c in whole.chapters if c.name == "edge")
    other = report(steep(), chapters=("main", "edge"), only=("untrained", "edge"))
    assert [c.name for c in other.chapters] in (["untrained", "edge"], ["edge"])
    assert set(other.verdicts) >= {"tuned/sgd/1ep", "edge/sgd/1ep"}
