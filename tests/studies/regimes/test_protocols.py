"""Two protocols: what choosing on the test split adds, and what is claimed of which."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_regimes import (
    IN_EPOCHS,
    OPTIMIZER,
    SELECTION,
    SIZE,
    WARMUP,
    both_optimizers,
    hill,
    joined,
    level,
    loader,
    peaked,
    record,
    regimes,
    trace,
    two_protocols,
)
from reported import found

from preheat.analysis.results import Results
from preheat.report.report import Report, report
from preheat.report.write import write_report


def told(results: Results) -> Report:
    return report(results, loader(results))


@pytest.fixture(scope="module")
def alone() -> Report:
    return told(joined(*both_optimizers(level, "validation")))


@pytest.fixture(scope="module")
def both() -> Report:
    """The original protocol with a benefit of 10 points, the honest one without any."""
    original = both_optimizers(peaked, "test", sizes=(5000, 500, 100))
    return told(joined(*original, *both_optimizers(level, "validation")))


def test_claims_of_both_protocols_are_those_of_the_honest_one(both: Report, alone: Report) -> None:
    assert both.answer == alone.answer and both.verdicts == alone.verdicts and len(both.verdicts) > 80
    for chapter, kind in (
        ("main", "main"),
        ("benefit", "effects"),
        ("best", "best"),
        ("inside_edge", "inside"),
        ("rule", "rules"),
        ("hypotheses", "hypotheses"),
        ("updates", "exponents"),
        ("updates", "hypotheses_in_updates"),
    ):
        assert found(both, chapter, kind) and found(both, chapter, kind) == found(alone, chapter, kind), kind
    assert not any(v.differs for v in both.verdicts.values()), (
        "what only the original's runs show is not said"
    )
    same = {
        e.treatment: e.estimate
        for e in found(both, "benefit", "effects")
        if e.condition == "100" and "sgd" in e.panel
    }
    assert same["5ep"] == same["40"]


def test_the_originals_panels_stay_where_cells_and_protocols_are_shown(both: Report, tmp_path: Path) -> None:
    labels = {frozenset({"cifar10", optimizer, "test"}) for optimizer in ("sgd", "adamw")}
    for chapter, kind in (("metric", "cells"), ("curves", "curves"), ("protocols", "protocols")):
        assert labels <= {frozenset(x.panel.split(", ")) for x in found(both, chapter, kind)}, kind
    gaps = found(both, "protocols", "protocols")
    assert [g.condition for g in gaps][:3] == ["5000 / 1000", "500", "100"]
    assert any("count in no comparison" in n and n.startswith("2 combinations") for n in both.notes)
    kept = [c for c in both.chapters if c.name in ("metric", "benefit", "protocols")]
    bare = [replace(c, shown=c.shown._replace(plates=())) if c.name != "metric" else c for c in kept]
    path = write_report(replace(both, chapters=tuple(bare)), tmp_path, provenance={})
    text = re.sub(r"\s+", " ", path.read_text(encoding="utf-8"))
    assert f"of {len(both.verdicts)}" not in text and "count in no comparison" in text
    assert "The test split also chose" not in text
    assert len(list((tmp_path / "figures").glob("accuracy*.svg"))) == 4


def test_the_originals_protocol_alone_is_what_there_is_and_the_answer_says_so() -> None:
    bare = joined(*both_optimizers(peaked, "test"))
    f = told(bare)
    assert f.answer.startswith("The test split also chose")
    shown = [v.name for v in f.verdicts.values() if v.differs and v.family == "benefit"]
    assert shown and all("/500/" in name for name in shown)
    axes = [{k: v for k, v in r.axes.items() if k != SELECTION} for r in bare.rows]
    kept = replace(bare.study, scientific=tuple(p for p in bare.study.scientific if p != SELECTION))
    hidden = Results(kept, tuple(replace(r, axes=a) for r, a in zip(bare.rows, axes, strict=True)))
    assert report(hidden, loader(bare)).answer == f.answer, "records tell it where the axes do not"
    assert "test split" not in report(hidden).answer, "without records nothing tells"


@pytest.mark.parametrize("selection", ["test", "validation"])
def test_a_pair_of_which_either_run_diverged_is_left_out_of_the_gap_and_counted(selection: str) -> None:
    given = joined(*both_optimizers(level, "test"), *both_optimizers(level, "validation"))
    want = {SELECTION: selection, OPTIMIZER: "sgd", SIZE: 500, WARMUP: {"epochs": 5.0}}
    (gone,) = [i for i, r in enumerate(given.rows) if r.seed == 1 and {k: r.axes[k] for k in want} == want]
    rows = list(given.rows)
    rows[gone] = replace(rows[gone], outcome="diverged", diverged=7, summary={"chance_accuracy": 0.1})
    lost = replace(given, rows=tuple(rows))
    f = report(lost, loader(lost), chapters=("protocols",))
    gaps = found(f, "protocols", "protocols")
    g = next(g for g in gaps if g.condition == "500" and "sgd" in g.panel)
    assert (g.runs, g.dropped) == (17, 1)
    assert g.gap.mean == pytest.approx(0.02) and g.rest.mean == pytest.approx(0, abs=1e-9)
    assert sum(x.dropped for x in gaps) == 1 and any("leaves out 1 of 108 pairs" in n for n in f.notes)
    assert next(r for r in f.tables()["protocols"] if r["dropped"])["runs"] == 17


def test_protocols_are_paired_and_split() -> None:
    given, records = two_protocols()
    f = report(given, records.__getitem__)
    optimism, gaps = found(f, "protocols", "optimism"), found(f, "protocols", "protocols")
    assert {(o.condition, o.selection, o.runs) for o in optimism} == {
        (c, s, 6)
        for s, c in (("validation", "1000"), ("validation", "100"), ("test", "5000"), ("test", "100"))
    }
    o = next(x for x in optimism if x.selection == "test")
    assert (o.best, o.last, o.over) == (pytest.approx(0.93), pytest.approx(0.905), "seeds")
    assert o.optimism.mean == pytest.approx(0.025) and o.optimism.n == 2
    assert [g.condition for g in gaps] == ["5000 / 1000", "100"]
    for g in gaps:
        assert g.panel == "test" and g.honest == pytest.approx(0.85) and g.gap.mean == pytest.approx(0.08)
        assert g.gap.mean == pytest.approx(g.optimism.mean + g.rest.mean)
    assert {x.panel for x in found(f, "updates", "warmup_lengths")} == {"validation", "test"}
    assert [e.panel for e in found(f, "updates", "exponents")] == ["validation"], (
        "what chose on the test split is told, not tested"
    )
    at_end = {c.estimate.mean for c in found(f, "metric", "cells") if c.panel == "test"}
    assert np.allclose(list(at_end), 0.905), "the headline stays the value at the end"
    assert any("selection test" in n for n in f.notes)


def test_one_protocol_one_seed_and_a_loss() -> None:
    given, records = two_protocols(metric="accuracy", goal="min")
    lone = tuple(r for r in given.rows if r.axes[SELECTION] == "test" and r.seed == 0)
    study = replace(given.study, scientific=(SIZE, WARMUP), seeds=(0,))
    rows = tuple(replace(r, axes={k: v for k, v in r.axes.items() if k != SELECTION}) for r in lone)
    f = report(Results(study, rows), records.__getitem__)
    optimism = found(f, "protocols", "optimism")
    assert not found(f, "protocols", "protocols")
    assert {o.over for o in optimism} == {"settings"} and {o.optimism.n for o in optimism} == {3}
    assert optimism[0].best == pytest.approx(0.9), (
        "of a loss the best is the lowest, and the untrained step does not count"
    )


def test_tasks_that_do_not_select_have_no_protocols() -> None:
    given = regimes(hill(lambda n: None), IN_EPOCHS[:2], seeds=1, sizes=(100, 50))
    f = report(given, lambda i: record(given.rows[0], validation_accuracy=trace([0, 9], [0.1, 0.9])))
    assert not {"protocols", "first_epochs"} & {c.name for c in f.chapters}
    assert any("Nothing to say here on: " in n and "protocols" in n and "first epochs" in n for n in f.notes)
