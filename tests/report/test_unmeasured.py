"""Runs whose task has another metric than the study: no number, no verdict, and what to write instead."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from analysed import Analysed, analyse
from fake_results import noisy, results

from preheat.analysis.results import Results, Row
from preheat.analysis.tabulate import tabulate
from preheat.report.plates import Plate
from preheat.report.write import write_report

ADVICE = "The records have no accuracy: write metric: loss and goal: min."


def with_loss(row: Row) -> Row:
    """As a task without accuracy writes it."""
    kept = {k: v for k, v in row.summary.items() if "accuracy" not in k}
    done = {"validation_loss": 0.5, "test_loss": 0.5, "train_loss": 0.4} if row.outcome == "done" else {}
    return replace(row, summary={**kept, **done})


def of_loss(*, diverged: bool = False, panels: tuple[str, ...] = ("sgd", "adamw")) -> Results:
    shape = (2, 2, 2, 3, 4)
    outcome = np.full(shape, "done", dtype=object)
    outcome[..., 2, :] = "diverged" if diverged else "done"
    made = results(noisy(shape), outcome=outcome)
    return Results(
        made.study, tuple(with_loss(r) if r.axes["optimizer.name"] in panels else r for r in made.rows)
    )


def plates(made: Analysed) -> list[Plate]:
    return [p for c in made.chapters for p in c.shown.plates]


@pytest.mark.parametrize("diverged", [False, True])
def test_a_study_of_a_metric_that_no_record_has_gets_no_number_and_no_verdict(
    diverged: bool, tmp_path: Path
) -> None:
    found = analyse(of_loss(diverged=diverged))
    assert found.answer == ADVICE and found.notes[0] == ADVICE
    assert (found.counts.planned, found.counts.done, found.counts.diverged) == (
        (96, 64, 32) if diverged else (96, 96, 0)
    )
    assert not (found.cells or found.effects or found.best or found.edges or found.pooled or found.hypotheses)
    assert plates(found) == []
    page = write_report(found.report, tmp_path, provenance={}).read_text()
    assert (
        ADVICE in page
        and "0.0" not in page.partition("<script")[0].partition('id="answer"')[2]
        and "did not train" not in found.answer
    )


def test_a_panel_without_the_metric_is_left_out_and_the_other_is_judged() -> None:
    mixed = of_loss(diverged=True, panels=("adamw",))
    table, found = tabulate(mixed), analyse(mixed)
    assert (
        np.isnan(table.validation[1]).all()
        and np.isnan(table.test[1]).all()
        and np.isfinite(table.test[0]).all()
    )
    assert found.answer.startswith("32 of 64 records have no accuracy, only loss, and are left out.")
    assert all(p.runs == 0 for e in found.edges if e.panel == "adamw" for p in e.points)
    assert all(e.edge.n == 0 for e in found.edges if e.panel == "adamw") and {
        p.panel for p in found.pooled
    } <= {"sgd"}
    assert {p.title for p in plates(found)} <= {"", "SGD"} and found.counts.diverged == 32
    assert {c.panel for c in found.cells if c.estimate.n} == {"sgd"}
