"""Catapults, on the two-layer linear network whose loss and sharpness follow an exact recursion, and on traces
made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from preheat.stats.catapults import catapults, sharpness_drift

WIDTH = 256


def start(seeds):
    """u, v: [S, WIDTH], the layers of f = v.u / sqrt(WIDTH) with target 0 and loss f^2 / 2."""
    drawn = [np.random.default_rng(s).standard_normal((2, WIDTH)) for s in seeds]
    return np.array([d[0] for d in drawn]), np.array([d[1] for d in drawn])


def outputs(u, v):
    """f and the sharpness lam = (|u|^2 + |v|^2) / WIDTH, which is the tangent kernel."""
    return (u * v).sum(-1) / WIDTH**0.5, ((u * u).sum(-1) + (v * v).sum(-1)) / WIDTH


def descend(u, v, eta):
    """One step of gradient descent."""
    f = outputs(u, v)[0]
    c = (eta * f / WIDTH**0.5)[..., None]
    return u - c * v, v - c * u


def recurse(f, lam, eta):
    """The same step of f and lam alone (Lewkowycz et al. 2020, arXiv 2003.02218)."""
    return (1 - eta * lam + eta**2 * f**2 / WIDTH) * f, lam + eta * f**2 / WIDTH * (eta * lam - 4)


def diverges(update, state, targets, warmup):
    """[S]: whether |f| passes 1e6 within the warmup and 200 steps more. update(state, eta) -> (state, f)."""
    dead = np.zeros(len(targets), bool)
    with np.errstate(all="ignore"):
        for k in range(warmup + 200):
            state, f = update(state, targets * min((k + 1) / warmup, 1.0))
            dead |= ~(np.abs(f) < 1e6)
    return dead


def boundary(update, state, lam0, warmup):
    """[S]: the least target rate, in units of 1 / lam0, that a bisection between 1 and 128 finds to
    diverge."""
    low, high = np.ones(len(lam0)), np.full(len(lam0), 128.0)
    for _ in range(12):
        mid = np.sqrt(low * high)
        dead = diverges(update, state, mid / lam0, warmup)
        low, high = np.where(dead, low, mid), np.where(dead, mid, high)
    return high


def of_layers(seeds, warmup):
    u, v = start(seeds)

    def update(state, eta):
        new = descend(*state, eta)
        return new, outputs(*new)[0]

    return boundary(update, (u, v), outputs(u, v)[1], warmup)


def of_recursion(seeds, warmup):
    state = outputs(*start(seeds))

    def update(state, eta):
        new = recurse(*state, eta)
        return new, new[0]

    return boundary(update, state, state[1], warmup)


def trace(target, steps=60, warmup=1, seed=0):
    """steps, loss and sharpness of one run at target / lam0."""
    f, lam = (x[0] for x in outputs(*start([seed])))
    scale, found = target / lam, []
    for k in range(steps):
        found.append((f * f / 2 + 1e-300, lam, scale * min((k + 1) / warmup, 1.0)))
        f, lam = recurse(f, lam, found[-1][2])
    return np.arange(steps), *np.array(found).T


def test_the_recursion_is_gradient_descent():
    u, v = start(range(4))
    f, lam = outputs(u, v)
    for _ in range(12):
        f, lam = recurse(f, lam, 1.4)
        u, v = descend(u, v, np.full(4, 1.4))
        np.testing.assert_allclose(outputs(u, v), (f, lam), rtol=1e-11)


@pytest.mark.parametrize(
    "warmup,low,high", [(1, 3.99, 4.01), (64, 3.99, 4.1), (256, 10.0, 17.0), (1024, 35.0, 65.0)]
)
def test_a_longer_warmup_moves_the_boundary_to_the_right(warmup, low, high):
    """Of the network in float64, over 8 seeds. Between 2 and 4 times 1 / lam the output grows from what is
    left of it; in float64 rounding leaves 1e-16 of it, so a long warmup gives it time to grow and to lower
    the sharpness before the limit 4."""
    assert low < np.median(of_layers(range(8), warmup)) < high


def test_without_rounding_no_warmup_moves_it():
    """The recursion has no floor: after a long contraction too little of f is left when the rate comes to 4."""
    for warmup in (1, 256):
        np.testing.assert_allclose(of_recursion(range(8), warmup), 4.0, rtol=0.02)


@pytest.mark.parametrize("target,drop", [(2.1, 0.07), (3.0, 0.9), (3.95, 0.95)])
def test_a_rate_between_2_and_4_catapults_once(target, drop):
    found = catapults(*trace(target, steps=150)[:3], drop=0.05)
    assert len(found.found) == 1 and found.uncoupled == 0 and found.cadence == 1
    (one,) = found.found
    assert one.begin < one.peak <= one.end and one.drop > drop and one.rise > 2


def test_a_rate_below_2_does_not():
    assert catapults(*trace(1.9)[:3]) == ((), 1, 0)


def test_momentum_below_the_limit_is_no_catapult():
    """Heavy ball on a quadratic: its loss oscillates, its sharpness stays."""
    x, m, losses = 1.0, 0.0, []
    for _ in range(60):
        losses.append(x * x / 2)
        m = 0.95 * m + x
        x -= 0.2 * m
    found = catapults(range(60), losses, np.ones(60))
    assert not found.found and found.uncoupled == 3


@pytest.mark.parametrize("first,long", [(1, 1), (2, 1), (3, 1), (1, 3), (2, 3), (3, 3), (18, 2)])
def test_nor_is_one_near_an_end_of_the_trace(first, long):
    loss = np.ones(20)
    loss[first : first + long] = 2.0
    assert catapults(range(20), loss, 100 * 0.8 ** np.arange(20)).found == ()


def test_a_spike_in_a_run_whose_sharpness_falls_all_along_is_none():
    steps, sharp = np.arange(40), 0.9 ** np.arange(40)
    loss = np.where(steps % 13 == 12, 2.0, 1.0)
    assert catapults(steps, loss, sharp).found == ()
    sharp[25:] *= 0.5
    assert [c.begin for c in catapults(steps, loss, sharp).found] == [24]


def test_a_rise_that_never_comes_back_and_the_cadence():
    found = catapults([0, 10, 20, 50], [1.0, 1.0, 5.0, 9.0], [4.0, 4.0, 4.0, 1.0])
    assert found.cadence == 30 and found.found[0][:4] == (10, 50, 50, 9.0)


def test_the_drift_of_each_regime():
    steps, rates = np.arange(0, 200, 10), np.linspace(0.01, 1.0, 20)
    for kind, growth in (
        ("progressive sharpening", 1.05),
        ("sharpness reduction", 0.95),
        ("constant sharpness", 1),
    ):
        sharp = 8.0 * float(growth) ** np.arange(20)
        found = sharpness_drift(steps, sharp, rates)
        crossing = np.flatnonzero(sharp * rates > 2.0)[0]
        assert found.kind == kind and found.crossing == steps[crossing] and found.measured == crossing
        assert found.change == pytest.approx(growth ** (crossing - 1) - 1)
    assert sharpness_drift(steps, np.full(20, 500.0), rates).kind == "not decided"
    assert sharpness_drift(steps, np.full(20, 1e-3), rates).crossing is None


def test_the_wide_toy_keeps_its_sharpness_until_it_crosses():
    steps, _, sharp, rates = trace(3.0, steps=40, warmup=40, seed=1)
    found = sharpness_drift(steps, sharp, rates)
    assert found.kind == "constant sharpness" and found.crossing == 26


@pytest.mark.parametrize(
    "given,text",
    [
        (([0, 1], [1.0], [1.0, 1.0]), "as long as each other"),
        (([1, 0], [1.0, 1.0], [1.0, 1.0]), "must ascend"),
        (([0, 1], [1.0, np.nan], [1.0, 1.0]), "before the first NaN"),
        (([0, 1], [1.0, -1.0], [1.0, 1.0]), "above 0"),
    ],
)
def test_bad_traces_are_refused_in_words(given, text):
    with pytest.raises(ValueError, match=text):
        catapults(*given)
