"""Which runs trained: by the training loss, on a scale that rises with what was learnt."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fake_results import noisy, results, study

from preheat.analysis.edges import found_edges
from preheat.analysis.effects import cells
from preheat.analysis.notes import unlearnt
from preheat.analysis.results import Results
from preheat.analysis.table import Table
from preheat.analysis.tabulate import tabulate
from preheat.analysis.training import HALFWAY, NEARLY, did_train, learnt, overfitted, progress, trained


def made(
    train: Any, score: Any = 0.9, *, metric: str = "accuracy", chance: float | None = None, right: Any = None
) -> Table:
    """One panel, one size, one warmup: train [V, S] are the training losses; chance: a model's that learnt
    nothing; right [V, S]: training accuracies, NaN where none was recorded."""
    train = np.asarray(train, dtype=float)[None, None, None]
    scores = np.broadcast_to(np.asarray(score, dtype=float), train.shape)
    of = study(seeds=train.shape[-1], metric=metric)
    rates = tuple(0.1 * 2.0 ** np.arange(train.shape[3]))
    rows = results(scores, train=train, of=of, rates=rates).rows
    known = {} if chance is None else {"chance_loss": chance}
    left = {"chance_accuracy"} if metric != "accuracy" else set()
    told = [{k: v for k, v in {**r.summary, **known}.items() if k not in left} for r in rows]
    if right is not None:  # rows go as the arrays do
        told = [
            {**s, "train_accuracy": a} if np.isfinite(a) else s
            for s, a in zip(told, np.ravel(right), strict=True)
        ]
    return tabulate(Results(of, tuple(replace(r, summary=s) for r, s in zip(rows, told, strict=True))))


def test_where_the_metric_is_a_share_the_loss_is_read_as_the_probability_of_the_right_answer() -> None:
    right = np.array([[0.9, 0.7], [0.5, 0.3], [0.1, 0.05]])
    table = made(-np.log(right))
    seen = progress(table)[0, 0, 0]
    assert seen == pytest.approx((right - 0.1) / (0.8 - 0.1)), "from chance to the best mean over seeds"
    assert (trained(table)[0, 0, 0] == [[True, True], [True, False], [False, False]]).all()
    assert (trained(table, NEARLY)[0, 0, 0] == [[True, False], [False, False], [False, False]]).all()


def test_losses_over_decades_are_compared_on_a_logarithmic_scale() -> None:
    table = made([[1e-6], [2e-4], [0.05], [0.8]], 0.5, metric="loss", chance=1.0)
    assert progress(table)[0, 0, 0, :, 0] == pytest.approx(np.log([1e-6, 2e-4, 0.05, 0.8]) / np.log(1e-6))
    assert trained(table)[0, 0, 0, :, 0].tolist() == [True, True, False, False]


def test_a_classifiers_squared_error_by_chance_is_no_probability() -> None:
    """0.045 of ten classes: exp(-0.045) would be 96 % of right answers."""
    squared = [[0.0445], [0.046], [0.02], [0.002]]
    table = made(squared, [[0.1], [0.1], [0.5], [0.9]], chance=0.045)
    seen = progress(table)[0, 0, 0, :, 0]
    assert seen == pytest.approx(np.log(np.ravel(squared) / 0.045) / np.log(0.002 / 0.045))
    assert trained(table)[0, 0, 0, :, 0].tolist() == [False, False, False, True]
    assert learnt(table).all() and not learnt(made([[0.0445], [0.046]], 0.1, chance=0.045)).any()
    entropy = made(-np.log([[0.9], [0.3]]), chance=float(-np.log(0.1)))
    assert progress(entropy)[0, 0, 0, :, 0] == pytest.approx([1, 0.25]), "a task that tells -log(1 / classes)"


def test_losses_that_are_not_all_above_zero_are_compared_on_a_linear_scale() -> None:
    table = made([[-3.0], [-1.5], [-0.5], [1.0]], 0.5, metric="loss", chance=1.0)
    assert progress(table)[0, 0, 0, :, 0] == pytest.approx([1.0, 0.625, 0.375, 0.0])
    assert trained(table)[0, 0, 0, :, 0].tolist() == [True, True, False, False]


def test_without_a_known_chance_a_loss_is_measured_from_the_worst_run_and_a_share_from_nothing() -> None:
    table = made([[0.01], [0.05], [0.5], [1.0]], 0.5, metric="loss")
    assert np.isnan(table.start).all()
    assert progress(table)[0, 0, 0, :, 0] == pytest.approx(np.log([0.01, 0.05, 0.5, 1.0]) / np.log(0.01))
    share = replace(made(-np.log([[0.8], [0.2]])), start=np.full((1, 1, 1, 2, 1), np.nan))
    assert progress(share)[0, 0, 0, :, 0] == pytest.approx([1.0, 0.25])


def test_the_worst_run_of_another_panel_says_nothing_of_this_one() -> None:
    loss = np.array([[0.01, 0.05, 0.5, 1.0], [0.1, 0.2, 0.3, 40.0]])[:, None, None, :, None] * np.ones(
        (2, 1, 1, 1, 2)
    )
    both = tabulate(
        results(np.full(loss.shape, 0.5), train=loss, of=study(seeds=2, metric="loss", goal="min"))
    )
    seen = progress(replace(both, start=np.full_like(both.start, np.nan)))[:, 0, 0, :, 0]
    for panel, own in zip(seen, loss[:, 0, 0, :, 0], strict=True):
        assert panel == pytest.approx(np.log(own / own[-1]) / np.log(own[0] / own[-1]))


def test_a_run_that_did_not_finish_has_not_trained_and_where_all_are_alike_none_has() -> None:
    outcome = np.full((1, 1, 2, 2, 3), "done", dtype="U8")
    outcome[..., 1, :] = "diverged"
    table = tabulate(results(np.full(outcome.shape, 0.9), outcome=outcome))
    assert (trained(table)[..., 0, :]).all() and not trained(table)[..., 1, :].any()
    assert np.isnan(progress(table)[..., 1, :]).all()
    same = made(np.full((3, 2), np.log(10)), 0.1)
    assert (progress(same) == 0).all() and not trained(same).any(), "nobody got beyond chance"


def test_a_setting_that_fits_well_and_generalises_badly_has_trained_and_overfitted() -> None:
    """As `overfitting_regression`, with its numbers: the higher the rate the lower the training loss, and the
    validation loss is lowest at the lowest rate."""
    train = np.array([0.466, 0.372, 0.254, 0.198])[:, None] * (1 + 0.01 * np.arange(4))
    validation = np.array([0.433, 0.481, 0.61, 0.761])[:, None] * (1 + 0.01 * np.arange(4))
    table = made(train, validation, metric="loss", chance=1.0)
    assert (table.picks == 0).all() and trained(table).all(), "also the setting that is best has trained"
    assert trained(table, NEARLY).all(), (
        "though halfway to the lowest training loss is 0.445, which the best setting misses"
    )
    assert overfitted(table)[0, 0, 0].sum(axis=-1).tolist() == [0, 0, 0, 4]
    assert cells(table)[0].lost.k == 0 and cells(table)[0].survivors.n == 4
    found = found_edges(table)
    assert found is not None and found.edges[0].edge.mean == pytest.approx(0.8), "the end of the grid"


def test_progress_does_not_depend_on_the_order_of_the_settings() -> None:
    score = noisy((1, 2, 3, 4, 5), noise=0.2).clip(0.05, 0.99)
    table, turned = (tabulate(results(x)) for x in (score, score[:, :, ::-1, :, ::-1]))
    assert progress(turned) == pytest.approx(progress(table)[:, :, ::-1, :, ::-1])
    assert (trained(table, HALFWAY) >= trained(table, NEARLY)).all(), "90 % of the way is beyond halfway"


def test_where_it_was_recorded_the_training_accuracy_tells_which_runs_trained() -> None:
    """A run with a millionth of another's squared error may have no more right answers, and one that fits a
    little better than chance by its loss none."""
    loss, score = [[1e-9], [1e-3], [0.043], [0.0445]], [[0.9], [0.9], [0.3], [0.1]]
    table = made(loss, score, chance=0.045, right=[[1.0], [1.0], [0.4], [0.1]])
    assert trained(table)[0, 0, 0, :, 0].tolist() == [True, False, False, False]
    assert did_train(table)[0, 0, 0, :, 0].tolist() == [True, True, True, False]
    lacking = made(loss, score, chance=0.045, right=[[1.0], [np.nan], [0.4], [0.1]])
    assert (did_train(lacking) == trained(lacking)).all(), "one run that recorded none: by the loss"
    assert not overfitted(made(loss, 0.1, chance=0.045, right=[[0.2]] * 4))[0, 0, 0, 1:].any()


def test_a_panel_of_dead_networks_learnt_nothing_and_a_small_gain_in_loss_hides_no_learning() -> None:
    small = [[0.0440], [0.0435]]  # less than 5 % below that of chance
    assert not learnt(made(small, 0.3, chance=0.045)).any()
    assert learnt(made(small, 0.3, chance=0.045, right=[[0.1], [0.3]])).all()
    dead = made([[0.040], [0.030]], 0.1, chance=0.045, right=[[0.1], [0.12]])
    assert not learnt(dead).any() and not did_train(dead).any() and trained(dead).any()
    assert unlearnt(dead)[0] == (
        "No setting of this study learnt anything: the highest training accuracy is 1.2 times that of chance."
    )
    sure = replace(dead, times_chance=np.full(dead.state.shape, np.nan))
    assert learnt(sure).all() and (did_train(sure) == trained(sure)).all()
