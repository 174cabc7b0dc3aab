"""SLCD: published values from the published curves, and closed forms."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.interpolate import CubicHermiteSpline
from scipy.signal import savgol_filter

from preheat.stats.slcd import savitzky_golay, slcd, slcd_sum

CURVES = Path(__file__).parent / "hyperboliclr"


def curves(name: str) -> dict[int, np.ndarray]:
    with (CURVES / name).open(encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    columns = zip(*rows, strict=True)
    next(columns)
    made = (np.array([float(v) for v in column if v]) for column in columns)
    return {int(name[2:].partition("_")[0]): values for name, values in zip(head[1:], made, strict=True)}


PUBLISHED = {
    (50, 100): (6.88e-4, 5e-7),
    (50, 150): (6.37e-4, 5e-7),
    (50, 200): (8.53e-4, 5e-7),
    (100, 150): (6.48e-4, 5e-7),
    (100, 200): (1.02e-3, 5e-6),
    (150, 200): (6.46e-4, 5e-7),
}


@pytest.mark.parametrize("pair", PUBLISHED)
def test_the_published_sums_of_accuracies(pair):
    known = curves("Result_CIFAR10_CNN_ACC-EH.csv")
    printed, half = PUBLISHED[pair]
    assert [len(known[b]) for b in known] == [50, 100, 150, 200]
    assert slcd_sum(*(known[b] for b in pair)) == pytest.approx(printed, abs=half)


@pytest.mark.parametrize(("budget", "printed"), [(100, 0.216), (150, 0.277), (200, 0.384)])
def test_the_published_integrals_of_losses(budget, printed):
    """Of the longer runs the first 60 epochs are enough: the 50 that count reach as far as epoch 55."""
    known = curves("Result_OSC_LSTM-EH-60.csv")
    assert slcd(known[50], known[budget]) == pytest.approx(printed, abs=0.0005 + 1e-9)
    longer = np.concatenate([known[budget], known[budget][::-1]])
    assert slcd(known[50], longer) == slcd(longer, known[50]) == slcd(known[50], known[budget])


def test_the_smoother_is_scipys():
    y = np.random.default_rng(0).normal(size=40)
    np.testing.assert_allclose(savitzky_golay(y)[4:-4], savgol_filter(y, 9, 2)[4:-4], rtol=1e-12)
    assert (savitzky_golay(y)[[*range(4), *range(-4, 0)]] == y[[*range(4), *range(-4, 0)]]).all()
    assert (savitzky_golay(y[:8]) == y[:8]).all()


def test_the_integral_is_that_of_its_definition():
    rng = np.random.default_rng(1)
    x, y = np.exp(rng.normal(size=30)), np.exp(rng.normal(size=45))
    t, s = np.arange(1.0, 46), [savitzky_golay(np.log(v)) for v in (x, y)]
    one, two = (CubicHermiteSpline(t[: len(v)], v, np.gradient(v, edge_order=2)) for v in s)

    def apart(at):
        a, b = np.exp(one(at)), np.exp(two(at))
        return abs(a - b) / (a + b)

    parts = [quad(apart, k, k + 1, limit=200, epsabs=1e-10)[0] for k in range(10, 30)]
    assert slcd(x, y) == pytest.approx(sum(parts) / 30, abs=1e-8)


@pytest.mark.parametrize("times", [1.0, 1.5, 3.0, 1e3])
def test_a_curve_and_a_multiple_of_it(times):
    x = np.exp(np.random.default_rng(2).normal(size=64))
    apart = (times - 1) / (times + 1)
    assert slcd(x, times * x) == pytest.approx(apart * 54 / 64, rel=1e-12)
    assert slcd_sum(x + 9, times * (x + 9)) == pytest.approx(apart, rel=1e-12)


def test_curves_that_cross_are_measured_on_both_sides():
    """d = 0.1 (t - 20.5): the integral of |tanh(d / 2)| is 20 ln cosh(d / 2), from 10 to 20.5 and on to 30."""
    x = np.exp(0.1 * (np.arange(1, 31) - 20.5))
    exact = 20 * (math.log(math.cosh(0.525)) + math.log(math.cosh(0.475))) / 30
    assert slcd(x, np.ones(30)) == pytest.approx(exact, rel=1e-12)


def test_where_training_failed_there_is_no_number():
    x = np.ones(20)
    for bad in (0.0, -1.0, math.nan, math.inf):
        y = np.where(np.arange(20) == 12, bad, x)
        assert math.isnan(slcd(x, y))
    assert math.isnan(slcd_sum(x, np.where(np.arange(20) == 12, math.nan, x)))


def test_short_curves_have_none():
    assert slcd(np.ones(11), np.ones(30)) == 0
    with pytest.raises(ValueError, match="at least 11 epochs, got one of 10"):
        slcd(np.ones(10), np.ones(30))
    with pytest.raises(ValueError, match="at least 1 epochs"):
        slcd_sum(np.ones(0), np.ones(3))
