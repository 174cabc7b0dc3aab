"""The mean over rates and the sensitivity, against dense integrals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from preheat.stats.rates import mean_over_rates, sensitivity

ascending = st.lists(st.floats(-10, 3), min_size=2, max_size=9, unique_by=lambda v: round(v, 2)).map(sorted)


@settings(max_examples=40, deadline=None)
@given(ascending, st.integers(0, 2**32 - 1))
def test_it_is_the_integral_over_log_rate(logs: list[float], seed: int) -> None:
    scores = np.random.default_rng(seed).random(len(logs))
    dense = np.linspace(logs[0], logs[-1], 20_001)
    expected = np.interp(dense, logs, scores).mean()
    assert mean_over_rates(np.exp2(logs), scores) == pytest.approx(expected, abs=2e-3)


def test_of_a_smooth_curve_it_is_scipys_integral() -> None:
    rates = np.geomspace(0.01, 1.0, 4001)
    score = 1 / (1 + rates)
    exact = quad(lambda u: 1 / (1 + 2.0**u), np.log2(0.01), 0.0)[0] / np.log2(100)
    assert mean_over_rates(rates, score) == pytest.approx(exact, rel=1e-7)


def test_it_keeps_axes_and_what_is_unknown() -> None:
    rates = np.array([1.0, 2.0, 8.0])
    scores = np.arange(24.0).reshape(2, 4, 3)
    scores[1, 2, 0] = np.nan
    made = mean_over_rates(rates, scores)
    assert made.shape == (2, 4) and np.argwhere(np.isnan(made)).tolist() == [[1, 2]]
    assert made[0, 0] == pytest.approx((0.5 * 1 + 1.5 * 2) / 3)
    assert mean_over_rates(3 * rates, scores)[0] == pytest.approx(made[0]), (
        "the unit of the rate is no matter"
    )
    assert mean_over_rates(rates, scores + 1)[0] == pytest.approx(made[0] + 1)


def test_sensitivity_is_wortsmans() -> None:
    rates, start = np.array([1.0, 2.0, 4.0, 8.0]), np.array([2.3, 2.3])
    losses = np.array([[0.2, 0.2, 0.2, 0.2], [0.5, 0.1, 1.0, 50.0]])
    made = sensitivity(rates, losses, start)
    dense = np.linspace(0, 3, 30_001)
    cut = np.interp(dense, [0, 1, 2, 3], [0.5, 0.1, 1.0, 2.3]).mean() - 0.1
    assert made == pytest.approx([0.0, cut], abs=1e-4)
    worse = losses.copy()
    worse[1, 3] = np.inf
    assert sensitivity(rates, worse, start) == pytest.approx(made), "how far a run diverged is no matter"
