"""Claims of papers beside what was tested here."""

from __future__ import annotations

import pytest
from fake_regimes import both_optimizers, joined, level, loader

from preheat.analysis.results import Results, Row
from preheat.core.errors import UserError
from preheat.core.grid import Block
from preheat.core.record import Record, Status
from preheat.core.spec import as_spec, build
from preheat.core.study import Study
from preheat.report.report import report
from preheat.studies.regimes.published import PUBLISHED

ONE = {"claim": "Warmup peaks.", "source": "A. Author 2025", "setting": "images", "test": "hypotheses/H1"}
HERE = {"task.name": ["cifar10"]}


@pytest.fixture(scope="module")
def made_up():
    return joined(*both_optimizers(level, "validation"))


def told(made_up, *claims):
    chapters = ("hypotheses", {"name": "published", "claims": claims})
    made = report(made_up, loader(made_up), chapters=chapters)
    assert not made.failed
    return made, next(c for c in made.chapters if c.name == "published")


def test_a_claim_has_the_pages_verdict_and_n(made_up):
    made, chapter = told(made_up, {**ONE, "where": HERE})
    row = dict(zip(chapter.shown.tables[0].columns, chapter.shown.tables[0].rows[0], strict=True))
    judged = made.verdicts["hypotheses/H1"]
    assert row["verdict here"].startswith(str(judged.verdict)) and row["n"] == str(judged.effect.n)
    assert row["tested here in"] == "the source's setting" and len(chapter.shown.tables) == 1


def test_another_setting_is_told_with_both_values(made_up):
    _, chapter = told(made_up, {**ONE, "where": {"task.name": ["digits"], "peak_lr": [0.1]}})
    assert chapter.found.published[0].other == ("task.name",)
    assert "No claim was tested in its source's setting." in chapter.shown.lead
    assert chapter.shown.tables[1].rows == (("Task", "cifar10", "digits"),)


def test_runs_that_are_not_read_are_not_said_to_have_the_papers_setting(made_up):
    made = report(made_up, chapters=("hypotheses", {"name": "published", "claims": [{**ONE, "where": HERE}]}))
    shown = next(c.shown for c in made.chapters if c.name == "published")
    assert shown.tables[0].rows[0][5] == "not known" and shown.tables[1].rows[0][1] == "unknown"


def test_runs_that_stages_look_at_are_no_part_of_the_setting():
    """A measurement at rate 0.001 on seed 0, then three reported seeds at 0.1."""
    stage = {"name": "in_sharpness", "blocks": [{"points": [{"peak_lr": 0.1}]}]}
    study = Study(
        **{"name": "measured", "question": "?", "seeds": (0, 1, 2, 3), "choosing": 1, "stages": (stage,)},
        grid=(
            Block(points=({"peak_lr": 1e-3},), seeds=(0,)),
            Block(points=({"peak_lr": 0.1},), seeds=(1, 2, 3)),
        ),
        nuisance=("peak_lr",),
        chapters=({"name": "published", "claims": [{**ONE, "where": {"peak_lr": [0.1]}}]},),
    )
    summary = {"validation_accuracy": 0.5, "test_accuracy": 0.5}
    points = {p.run.id: p for p in study.points()}
    rows = tuple(Row(i, p.axes, p.seed, "done", None, summary) for i, p in points.items())
    read = {i: Record(p.run, Status("done"), {}, summary, {}) for i, p in points.items()}
    made = report(Results(study, rows), read.__getitem__)
    assert "peak learning rate 0.1;" in made.setting and "0.001" not in made.setting
    assert not made.chapters[0].found.published[0].other
    assert [row["role"] for row in made.tables()["runs"]] == ["choosing", *["reported"] * 3]


@pytest.mark.parametrize("test", ["", "hypotheses/H9", "hypotheses/H3"])
def test_what_was_not_run_is_a_state_without_a_verdict(made_up, test):
    """H3 needs two tasks."""
    _, chapter = told(made_up, {**ONE, "test": test, "where": HERE})
    assert chapter.shown.tables[0].rows[0][1:6] == ("not tested here", "", "", "", "")


def test_the_studys_own_claims_are_tested_by_claims_that_it_makes(made_up):
    made, chapter = told(made_up, *PUBLISHED)
    assert {t.test for t in chapter.found.published} <= set(made.verdicts)


@pytest.mark.parametrize(
    ("claims", "says"),
    [
        (["H1"], "a published claim has claim, source"),
        ([{**ONE, "tset": ""}], "did you mean 'test'"),
        ([{"claim": "Warmup peaks."}], "source of a published claim must be a text"),
        ([{**ONE, "where": {"task.name": "digits"}}], "paths with lists of values"),
    ],
)
def test_what_is_no_claim_is_refused(claims, says):
    with pytest.raises(UserError, match=says):
        build("chapter", as_spec({"name": "published", "claims": claims}, "chapter"))
