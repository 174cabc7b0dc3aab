"""Choosing and judging, what a run without a number scores, panels that have a twin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from fake_regimes import (
    IN_EPOCHS,
    OPTIMIZER,
    SELECTION,
    SIZE,
    TASK,
    WARMUP,
    both_optimizers,
    hill,
    joined,
    level,
    regimes,
)
from fake_results import blank, noisy, results

from preheat.analysis.effects import cells
from preheat.analysis.notes import notes
from preheat.analysis.results import Results, Row
from preheat.analysis.tabulate import tabulate


def test_the_nuisance_is_chosen_by_validation_on_the_first_seeds_only() -> None:
    validation, test = np.full((2, 5, 5, 4, 6), 0.5), noisy()
    validation[..., 1, :3] = 0.6
    validation[..., 2, 3:] = 0.9
    table = tabulate(results(validation, test))
    assert (table.chosen == 1).all()
    assert cells(table)[0].values == tuple(test[0, 0, 0, 1, 3:])
    assert cells(table)[0].chosen == {"peak_lr": "0.1"}


def test_diverged_and_missing_runs_count_as_the_worst_where_a_rate_is_chosen() -> None:
    validation = np.full((1, 1, 1, 3, 3), 0.5)
    validation[..., 1, :], validation[..., 2, :] = 0.9, 0.8
    outcome = np.full(validation.shape, "done")
    outcome = outcome.astype("U8")
    outcome[..., 1, 0] = "diverged"
    table = tabulate(results(validation, outcome=outcome))
    assert table.chosen.item() == 2
    outcome[..., 1, 0] = "missing"
    assert tabulate(results(validation, outcome=outcome)).chosen.item() == 2


def test_a_diverged_judging_run_scores_chance_and_a_missing_one_is_left_out() -> None:
    outcome = np.full((1, 1, 2, 1, 6), "done", dtype="U8")
    outcome[0, 0, 0, 0, 3], outcome[0, 0, 0, 0, 4] = "diverged", "missing"
    found = cells(tabulate(results(np.full(outcome.shape, 0.9), outcome=outcome)))[0]
    assert found.values == (0.1, 0.9)
    assert (found.diverged, found.runs) == (1, 5)


def test_ties_go_to_the_lower_rate() -> None:
    assert (blank((1, 1, 1, 4, 3)).chosen == 0).all()


def test_a_metric_that_is_there_but_not_finite_is_a_result() -> None:
    made = results(noisy((1, 2, 2, 1, 4)))
    lost = replace(
        made.rows[0], summary={**made.rows[0].summary, "validation_accuracy": None, "test_accuracy": None}
    )
    table = tabulate(Results(made.study, (lost, *made.rows[1:])))
    assert table.test[0, 0, 0, 0, 0] == 0.1 and not table.others


def test_sizes_of_several_panels_keep_their_direction() -> None:
    a, b = (
        regimes(hill(lambda n: None), IN_EPOCHS, seeds=1, sizes=sizes)
        for sizes in ((1000, 100, 50), (5000, 500))
    )
    assert tabulate(joined(a, b)).conditions.labels == (
        "5000",
        "1000",
        "500",
        "100",
        "50",
    )


def test_only_a_twin_takes_a_panel_out() -> None:
    other = both_optimizers(level, "test", task="cifar100")
    table = tabulate(
        joined(
            *both_optimizers(level, "test", sizes=(5000, 100)),
            *both_optimizers(level, "validation", sizes=(1000, 100)),
            *other,
        )
    )
    pairs = [(table.panels.values[p], table.panels.values[q]) for p, q in table.twins.items()]
    assert len(pairs) == 2 and all(a[SELECTION] == "test" and b[SELECTION] == "validation" for a, b in pairs)
    assert all(a[TASK] == b[TASK] == "cifar10" and a[OPTIMIZER] == b[OPTIMIZER] for a, b in pairs)
    fair = table.claimed
    assert [(v[TASK], v[SELECTION]) for v in fair.panels.values] == [("cifar10", "validation")] * 2 + [
        ("cifar100", "test")
    ] * 2
    assert set(fair.conditions.labels) == {"1000", "500", "100"} and fair.test.shape == (4, 3, 6, 1, 3)
    assert fair.claimed is fair


def test_a_diverged_run_scores_its_own_tasks_chance() -> None:
    parts = [
        regimes(level, IN_EPOCHS[:2], seeds=2, sizes=(100, 50), **{TASK: t}) for t in ("cifar10", "cifar100")
    ]
    rows: list[Row] = []
    for chance, part in zip((0.1, 0.01), parts, strict=True):
        rows += [replace(r, summary={**r.summary, "chance_accuracy": chance}) for r in part.rows]
    lost = [
        i for i, r in enumerate(rows) if r.axes[SIZE] == 50 and r.axes[WARMUP]["epochs"] == 1 and r.seed == 0
    ]
    for i in lost:
        rows[i] = replace(
            rows[i],
            outcome="diverged",
            diverged=3,
            summary={k: rows[i].summary[k] for k in ("chance_accuracy",)},
        )
    whole = tabulate(joined(*(replace(p, rows=tuple(rows[8 * i : 8 * i + 8])) for i, p in enumerate(parts))))
    low = {c.panel: min(c.values) for c in cells(whole) if c.diverged}
    assert low == {"cifar10": 0.1, "cifar100": 0.01}
    assert any(
        "2 of 16 runs diverged and count with 10.0\xa0% and 1.0\xa0% (by task)" in n for n in notes(whole)
    )
    silent = [replace(r, summary={}) if i == lost[0] else r for i, r in enumerate(rows)]
    table = tabulate(
        joined(*(replace(p, rows=tuple(silent[8 * i : 8 * i + 8])) for i, p in enumerate(parts)))
    )
    assert np.nanmin(table.test[1]) == 0.01 and np.nanmin(table.test[0]) == 0.1, (
        "its panel's where its own summary lacks it"
    )
