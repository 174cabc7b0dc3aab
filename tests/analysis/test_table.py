"""Each seed's own nuisance, what a run without a number scores, panels that have a twin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
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
from fake_results import RATES, noisy, results, study

from preheat.analysis.effects import cells
from preheat.analysis.notes import notes
from preheat.analysis.results import Results, Row
from preheat.analysis.table import UNPLANNED
from preheat.analysis.tabulate import tabulate


def test_every_seed_takes_the_nuisance_that_it_likes_best_and_reports_its_own_test_score() -> None:
    validation, test = np.full((2, 5, 5, 4, 6), 0.5), noisy()
    validation[..., 1, :3], validation[..., 2, 3:] = 0.6, 0.9
    table = tabulate(results(validation, test))
    assert (table.picks[..., :3] == 1).all() and (table.picks[..., 3:] == 2).all()
    assert (table.judged[..., :3] == test[..., 1, :3]).all()
    assert (table.judged[..., 3:] == test[..., 2, 3:]).all()
    assert cells(table)[0].chosen == {"peak_lr": "0.1 (3), 0.2 (3)"}
    assert cells(table)[0].values == (*test[0, 0, 0, 1, :3], *test[0, 0, 0, 2, 3:])
    least = replace(table, study=replace(table.study, goal="min"))
    assert (least.picks == 0).all(), "of a loss the lowest, of equal ones the lower rate"


def test_missing_and_failed_runs_are_never_chosen_and_a_seed_without_results_chooses_nothing() -> None:
    validation = np.full((1, 1, 2, 3, 3), 0.5)
    validation[..., 1, :] = 0.05
    outcome = np.full(validation.shape, "missing", dtype="U8")
    outcome[0, 0, 0, 1] = "done"
    outcome[0, 0, 0, :2, 1] = "failed", "diverged"
    outcome[0, 0, 0, :, 2] = "failed"
    outcome[0, 0, 1] = "done"
    table = tabulate(results(validation, outcome=outcome))
    assert table.picks[0, 0, 0].tolist() == [1, 1, -1], "below chance, but the only one with a result"
    assert table.judged[0, 0, 0, :2].tolist() == [0.05, 0.1] and np.isnan(table.judged[0, 0, 0, 2])
    assert np.isnan(table.picked(table.state)[0, 0, 0, 2])
    assert table.picks[0, 0, 1].tolist() == [0, 0, 0], "ties go to the lower rate"


def test_a_diverged_run_scores_chance_and_is_lost_and_a_missing_one_is_left_out() -> None:
    outcome = np.full((1, 1, 2, 1, 6), "done", dtype="U8")
    outcome[0, 0, 0, 0, 3], outcome[0, 0, 0, 0, 4] = "diverged", "missing"
    found = cells(tabulate(results(np.full(outcome.shape, 0.9), outcome=outcome)))[0]
    assert found.values == (0.9, 0.9, 0.9, 0.1, 0.9)
    assert (found.diverged, found.runs) == (1, 5)
    assert (found.lost.k, found.lost.n) == (1, 5) and found.lost.lo == pytest.approx(0.00505, abs=1e-5)
    assert found.survivors.mean == pytest.approx(0.9) and found.survivors.n == 4


def test_the_mean_over_rates_is_that_of_the_rates_that_all_treatments_have() -> None:
    test = np.linspace(0.2, 0.9, 2 * 3 * 4 * 5).reshape(1, 2, 3, 4, 5)
    table = tabulate(results(test))
    x = np.log2(RATES)
    assert table.rated is not None
    by_hand = np.trapezoid(np.moveaxis(test, 3, -1), x, axis=-1) / (x[-1] - x[0])
    assert np.allclose(table.rated, by_hand, atol=1e-12)
    state = table.state.copy()
    state[0, 0, 1, 0] = UNPLANNED
    fewer = replace(table, state=state)
    assert fewer.rated is not None and np.allclose(fewer.rated[0, 1], by_hand[0, 1])
    shared = np.trapezoid(np.moveaxis(test[..., 1:, :], 3, -1), x[1:], axis=-1) / (x[-1] - x[1])
    assert np.allclose(fewer.rated[0, 0], shared[0, 0])
    one = tabulate(results(test[..., :1, :], rates=(0.1,)))
    assert one.rated is None and one.sensitivity is None, "one rate has no mean over rates"
    lost = replace(table, test=np.where(np.arange(5) == 2, np.nan, test))
    assert lost.rated is not None and (np.isnan(lost.rated) == (np.arange(5) == 2)).all()


def test_the_sensitivity_is_wortsmans_of_the_metric_as_a_loss() -> None:
    test = noisy((1, 1, 2, 4, 3), noise=0.3)
    x = np.log2(RATES)
    for goal, sign in (("max", 1.0), ("min", -1.0)):
        table = tabulate(results(test, of=study(seeds=3, goal=goal)))
        losses = -sign * np.moveaxis(test, 3, -1)
        start = -sign * table.chance[..., 0, :]
        capped = np.minimum(losses, start[..., None])
        by_hand = np.trapezoid(capped, x, axis=-1) / (x[-1] - x[0]) - losses.min(axis=-1)
        assert table.sensitivity is not None and np.allclose(table.sensitivity, by_hand, atol=1e-12), goal


def test_the_training_loss_and_that_of_chance_are_read_from_done_runs() -> None:
    outcome = np.full((1, 1, 1, 1, 3), "done", dtype="U8")
    outcome[..., 1], outcome[..., 2] = "diverged", "missing"
    made = results(np.full(outcome.shape, 0.9), train=np.full(outcome.shape, 0.3), outcome=outcome)
    table = tabulate(made)
    assert table.train[0, 0, 0, 0, 0] == 0.3 and np.isnan(table.train[0, 0, 0, 0, 1:]).all()
    assert table.start[0, 0, 0, 0, :2] == pytest.approx(np.log(10)), "-log of the share of right answers"
    told = replace(made.rows[0], summary={**made.rows[0].summary, "chance_loss": 5.0})
    assert tabulate(Results(made.study, (told, *made.rows[1:]))).start[0, 0, 0, 0, 0] == 5.0


def test_seeds_that_once_chose_are_reported_like_all_others_and_a_note_says_so() -> None:
    bare = results(noisy((1, 1, 2, 2, 5)))
    assert tabulate(replace(bare, study=replace(bare.study, choosing=2))).seeds == (0, 1, 2, 3, 4)
    assert any("every seed chooses its own" in n for n in replace(bare.study, choosing=2).notes)


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
