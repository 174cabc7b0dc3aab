"""Power laws and improvements: the published tables, scipy, and the corners."""

from __future__ import annotations

import math

import numpy as np
import pytest
from published_trends import FINALS, TRENDS, half_a_digit
from scipy.stats import linregress

from preheat.stats.trends import improvement, power_fit

BUDGETS = [50, 100, 150, 200]


def trends(task: str, finals: list[float]) -> np.ndarray:
    """The seven numbers of a row of the table."""
    gain, fit = improvement(finals, relative=task != "CNN"), power_fit(BUDGETS, finals)
    return np.array([gain.mean, gain.sd, fit.a, fit.b, fit.r2, fit.adjusted, fit.p])


def row(key: tuple[str, str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(ours less printed, what the rounding of the printed number explains, what that of the finals does)."""
    texts = FINALS[key].split()
    finals, steps = [float(t) for t in texts], [half_a_digit(t) for t in texts]
    ours, moved = trends(key[0], finals), np.zeros(7)
    for i, step in enumerate(steps):
        ends = [trends(key[0], [*finals[:i], finals[i] + s, *finals[i + 1 :]]) for s in (-step, step)]
        moved += np.max(np.abs(np.array(ends) - ours), axis=0)
    printed = TRENDS[key].split()
    own = np.array([half_a_digit(t) for t in printed])
    return ours - np.array([float(t) for t in printed]), own, moved


@pytest.mark.parametrize("key", TRENDS, ids="-".join)
def test_the_published_table_follows_from_the_published_finals(key):
    off, own, moved = row(key)
    assert (np.abs(off) <= 1.01 * (own + moved)).all()


def test_most_of_the_table_comes_out_to_the_printed_digit():
    off, own, _ = (np.array(part) for part in zip(*map(row, TRENDS), strict=True))
    assert off.size == 168 and (np.abs(off) <= 1.0001 * own).sum() == 133


@pytest.mark.parametrize("n", [3, 4, 7])
def test_a_fit_is_scipys(n):
    rng = np.random.default_rng(n)
    x, y = np.arange(1, n + 1) * 50.0, np.exp(rng.normal(size=n))
    fit, known = power_fit(x, y), linregress(np.log(x), np.log(y))
    theirs = (known.intercept, known.slope, known.rvalue**2, known.pvalue)
    assert (fit.a, fit.b, fit.r2, fit.p) == pytest.approx(theirs, rel=1e-10)


def test_what_no_fit_can_tell_is_nan():
    line = power_fit([1, 2], [4.0, 1.0])
    assert (line.b, line.r2) == pytest.approx((-2.0, 1.0)) and math.isnan(line.p)
    flat = power_fit(BUDGETS, [0.5] * 4)
    assert flat.b == 0 and math.isnan(flat.r2) and math.isnan(flat.p)
    failed = power_fit(BUDGETS, [1.0, math.nan, 1.0, 1.0])
    assert all(map(math.isnan, (failed.a, failed.b, failed.r2, failed.adjusted, failed.p)))
    assert math.isnan(improvement([1.0, math.nan, 2.0], relative=True).mean)
    assert math.isnan(improvement([1.0, 2.0], relative=False).sd)


@pytest.mark.parametrize(
    ("x", "y"), [([1, 2], [1, 0]), ([1, 1], [1, 2]), ([1, 2, 3], [1, 2]), ([0, 1], [1, 2])]
)
def test_no_power_law_of_what_has_no_logarithm_or_no_spread(x, y):
    with pytest.raises(ValueError, match="a power law needs"):
        power_fit(x, y)


def test_no_improvement_of_one_value_or_over_0():
    with pytest.raises(ValueError, match="an improvement needs two values"):
        improvement([1.0], relative=False)
    assert math.isnan(improvement([0.0, 1.0], relative=True).mean)
