"""Aggregates over tasks: the examples of rliable's own tests, scipy's twins, and how often intervals hold."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import mannwhitneyu, trim_mean

from preheat.stats.aggregates import better, better_estimate, iqm, iqm_estimate, normalised, ranking

X, Y = [[1, 2], [2, 2], [1, 1], [2, 1]], [[1, 1], [2, 2], [3, 3]]  # rliable, tests/rliable/metrics_test.py


def test_the_examples_of_rliable():
    assert (iqm(X), iqm(Y)) == (1.5, 2.0)
    assert better(X, Y) == pytest.approx(1 / 3)


@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (5, 4), (10, 7)])
def test_the_definitions_of_rliable(shape):
    rng = np.random.default_rng(shape[0])
    x, y = rng.normal(size=shape).round(1), rng.normal(size=(shape[0] + 2, shape[1])).round(1)
    assert iqm(x) == pytest.approx(trim_mean(x, 0.25, axis=None))
    counts = [mannwhitneyu(a, b, alternative="greater").statistic for a, b in zip(x.T, y.T, strict=True)]
    assert better(x, y) == pytest.approx(np.mean(counts) / (len(x) * len(y)))
    assert better(x, x) == 0.5 and better(x, y) + better(y, x) == pytest.approx(1)


def test_a_bootstrap_draws_runs_within_tasks():
    """Runs that agree within each task leave nothing to draw, however far the tasks are apart."""
    x = np.array([[0.0, 5.0, 9.0]] * 4)
    found = iqm_estimate(x, draws=50)
    assert found.lo == found.mean == found.hi == iqm(x)
    sure = better_estimate(x + 1, x, draws=50)
    assert (sure.lo, sure.mean, sure.hi) == (1.0, 1.0, 1.0)


def test_the_bootstrap_of_a_win_is_that_of_the_runs():
    """Its spread is that of drawing the runs one by one."""
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(5, 2)), rng.normal(size=(6, 2))
    slow = [
        better(*(np.take_along_axis(v, rng.integers(len(v), size=v.shape), axis=0) for v in (x, y)))
        for _ in range(4000)
    ]
    found = better_estimate(x, y, draws=4000)
    assert (found.lo, found.hi) == pytest.approx(np.quantile(slow, [0.025, 0.975]), abs=0.035)


def test_intervals_hold_about_as_often_as_stated():
    """Of 10 runs on 4 tasks; a percentile bootstrap of few runs is somewhat short."""
    rng = np.random.default_rng(4)
    means = np.array([0.0, 1.0, 2.0, 3.0])
    truth = iqm(means + rng.normal(size=(20000, 4)))
    held = [
        found.lo <= truth <= found.hi
        for found in (iqm_estimate(means + rng.normal(size=(10, 4)), draws=200) for _ in range(200))
    ]
    assert 0.85 <= np.mean(held) <= 0.99


def test_ranks_with_their_doubt():
    base = np.random.default_rng(5).normal(size=(5, 3))
    best, tied, other, worst = ranking([base + 10, base, base, base - 10], draws=100)
    assert (best.rank.lo, best.rank.mean, best.rank.hi) == (1, 1, 1)
    assert tied.rank.mean == other.rank.mean == 2.5  # the same runs are drawn for all
    assert (tied.rank.lo, tied.rank.hi) == (2.5, 2.5) and worst.rank.mean == 4
    assert best.iqm.mean == pytest.approx(iqm(base) + 10)


def test_one_run_has_no_interval():
    assert iqm_estimate([[1.0, 2.0]]).lo is None and better_estimate([[1.0]], [[2.0]]).hi is None
    (only,) = ranking([[[1.0]]])
    assert only.rank.mean == 1 and only.rank.lo is None


def test_scores_are_0_for_a_guess_and_1_for_the_best():
    losses = np.array([[1e-2, 0.7], [1e-6, 0.9]])
    np.testing.assert_allclose(normalised(losses, [1e-2, 0.1], [1e-6, 0.9])[1], [1, 1])
    np.testing.assert_allclose(normalised([[1e-4]], [1e-2], [1e-6], log=True), [[0.5]])


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: iqm([1.0, 2.0]),
        lambda: iqm([[np.nan]]),
        lambda: better([[1.0]], [[1.0, 2.0]]),
        lambda: ranking([[[1.0]], [[1.0, 2.0]]]),
        lambda: normalised([[1.0]], [1.0], [1.0]),
        lambda: normalised([[0.0]], [1.0], [2.0], log=True),
    ],
)
def test_scores_that_do_not_fit_together(wrong):
    with pytest.raises(ValueError, match=r"scores|arms"):
        wrong()
