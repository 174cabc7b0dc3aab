"""The boundary of failures: closed cases, and what it says of data drawn with a known boundary."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from preheat.stats.boundary import falling, logistic, spearman_kaerber

X = np.arange(8.0)


def drawn(middle, seeds, random, slope=2.5, spread=0.3):
    """works [V, S] of seeds whose own boundary lies around `middle`, each run with chance of its own."""
    own = middle + spread * random.standard_normal(seeds)
    return (random.random((len(X), seeds)) < expit(slope * (own - X[:, None]))).astype(float)


@pytest.mark.parametrize("seeds", [3, 8])
def test_the_checks_interval_of_one_group_covers(seeds):
    random, inside, n = np.random.default_rng(seeds), 0, 200
    x, seed = np.repeat(X, seeds), np.tile(np.arange(seeds), 8)
    for _ in range(n):
        one = logistic(x, drawn(3.4, seeds, random).ravel(), np.zeros(8 * seeds, dtype=int), seed)
        low, high = one.interval(0)
        inside += low < 3.4 < high
    assert inside / n > 0.9


@pytest.mark.parametrize("seed", range(20))
def test_falling_is_the_nearest_falling_sequence(seed):
    y = np.random.default_rng(seed).random(7)
    best = falling(y)
    assert (np.diff(best) <= 0).all() and best.mean() == pytest.approx(y.mean())
    bounds = {"type": "ineq", "fun": lambda z: z[:-1] - z[1:]}
    found = minimize(lambda z: ((z - y) ** 2).sum(), np.full(7, y.mean()), constraints=[bounds])
    np.testing.assert_allclose(best, found.x, atol=1e-3)


@pytest.mark.parametrize(
    "works,value,width,side",
    [
        ([1, 1, 1, 0, 0, 0, 0, 0], 2.5, 1, 0),
        ([1, 1, 0, 1, 0, 0, 0, 0], 2.5, 3, 0),
        ([1, 1, np.nan, 0, 0, 0, 0, 0], 2.0, 2, 0),
        ([1] * 8, 7.0, 1, 1),
        ([0] * 8, 0.0, 1, -1),
        ([0, 1, 0, 0, 0, 0, 0, 0], 1.5, 1, 0),
        ([1, 0, 0, 0, 0, 0, 0, 1], 0.5, 7, 0),
        ([1, 1, 1, 1, 1, 0, 1, 1], 7.0, 1, 1),
        ([np.nan] * 7 + [1], np.nan, np.nan, 0),
    ],
)
def test_the_boundary_of_one_seed(works, value, width, side):
    found = spearman_kaerber(X, np.array(works, dtype=float)[:, None])
    np.testing.assert_equal([found.value[0], found.width[0], found.side[0]], [value, width, side])


def test_both_estimates_find_the_boundary_that_was_drawn():
    random = np.random.default_rng(0)
    works = drawn(3.7, 400, random)
    by_seed = spearman_kaerber(X, works)
    assert by_seed.value[by_seed.side == 0].mean() == pytest.approx(3.7, abs=0.06)
    x, seed = np.repeat(X, 400), np.tile(np.arange(400), 8)
    found = logistic(x, works.ravel(), np.zeros(3200, dtype=int), seed)
    assert found.midpoint[0] == pytest.approx(3.7, abs=0.06)
    low, high = found.interval(0)
    assert low < 3.7 < high and 0.03 < high - low < 0.3


def test_the_clustered_interval_covers_as_it_says():
    """8 seeds a group: errors over seeds, which a plain logistic regression would take for independent."""
    random, inside, n = np.random.default_rng(1), 0, 300
    x, seed = np.tile(np.repeat(X, 8), 2), np.tile(np.arange(8), 16)
    group = np.repeat([0, 1], 64)
    for _ in range(n):
        works = np.concatenate([drawn(3.0, 8, random).ravel(), drawn(4.0, 8, random).ravel()])
        found = logistic(x, works, group, seed)
        difference, low, high = found.difference(1, 0)
        assert low < difference < high
        inside += low < 1.0 < high
    assert 0.85 < inside / n < 0.99


def test_separation_has_a_finite_answer_and_nothing_to_separate_none():
    works = (X < 3).astype(float)
    two = logistic(np.tile(X, 2), np.tile(works, 2), np.zeros(16, dtype=int), np.repeat([0, 1], 8))
    assert two.midpoint[0] == pytest.approx(2.5, abs=0.1)
    rising = logistic(np.tile(X, 2), 1 - np.tile(works, 2), np.zeros(16, dtype=int), np.repeat([0, 1], 8))
    assert rising is None, "it works better at higher rates: there is no boundary above which it fails"
