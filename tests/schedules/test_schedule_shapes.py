"""The schedules' shapes against exact arithmetic, other libraries' schedulers, and what they refuse."""

import math
from itertools import accumulate, pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import median_filter
from torch.optim import lr_scheduler as theirs

from preheat.core.errors import UserError
from preheat.core.lengths import fraction
from preheat.core.registry import SCHEDULES
from preheat.schedules.curves import CURVES
from preheat.schedules.pieces import Piece, Pieces
from preheat.schedules.recipes.refined import refined
from preheat.schedules.recipes.rules_of_thumb import (
    adjusted_infimum,
    noam_peak,
    scaled_rate,
    untuned_period,
)
from preheat.schedules.shapes.cosine import cosine
from preheat.schedules.shapes.exp_hyperbolic import exp_hyperbolic
from preheat.schedules.shapes.exponential import exponential
from preheat.schedules.shapes.gi_adam import gi_adam
from preheat.schedules.shapes.hyperbolic import hyperbolic
from preheat.schedules.shapes.inverse_sqrt import inverse_sqrt
from preheat.schedules.shapes.inverse_time import inverse_time
from preheat.schedules.shapes.k_decay import k_decay
from preheat.schedules.shapes.linear import linear
from preheat.schedules.shapes.one_cycle import one_cycle
from preheat.schedules.shapes.power_law import power_law
from preheat.schedules.shapes.radam import radam
from preheat.schedules.shapes.restarts import restarts
from preheat.schedules.shapes.rex import rex
from preheat.schedules.shapes.spline import spline
from preheat.schedules.shapes.tabulated import tabulated
from preheat.schedules.shapes.tanh import tanh
from preheat.schedules.shapes.triangular import triangular
from preheat.schedules.shapes.untuned_exponential import untuned_exponential
from preheat.schedules.shapes.untuned_linear import untuned_linear
from preheat.schedules.shapes.wsd import wsd

mp = pytest.importorskip("mpmath")
T = 997


def at(schedule, place):
    data = {**schedule.json(), "at": place}
    return SCHEDULES.build(data.pop("name"), data)


# closed forms in 50 digits


def _h(x, n, upper):
    return mp.sqrt((n - x) / mp.mpf(upper) * (2 - (n + x) / mp.mpf(upper)))


def _hyperbolic(upper, infimum):
    return lambda t: 1 - (1 - mp.mpf(infimum)) * (_h(0, T, upper) - _h(t, T, upper))


def _exp_hyperbolic(upper, infimum):
    return lambda t: mp.mpf(infimum) ** (_h(0, T, upper) - _h(t, T, upper))


def _tanh(begin, end, final):
    def value(t):
        y = begin + (mp.mpf(end) - begin) * t / T
        g = (mp.tanh(end) - mp.tanh(y)) / (mp.tanh(end) - mp.tanh(begin))
        return final + (1 - mp.mpf(final)) * g

    return value


def _rectifier(beta2):
    b = mp.mpf(beta2)

    def rho(n):
        return 2 / (1 - b) - 1 - 2 * n * b**n / (1 - b**n)

    first = next(n for n in range(1, 99) if rho(mp.mpf(n)) > 4)

    def value(t):
        most = 2 / (1 - b) - 1
        r = rho(mp.mpf(t) + first - 1) if t + first > 1 else mp.mpf(0)
        return mp.sqrt((r - 4) * (r - 2) * most / ((most - 4) * (most - 2) * r)) if r > 4 else mp.mpf(0)

    return value


def _starts_at(beta2, shift):
    b = mp.mpf(beta2)
    with mp.workdps(30):
        return mp.findroot(
            lambda t: 2 / (1 - b) - 5 - 2 * (t + shift) * b ** (t + shift) / (1 - b ** (t + shift)), 0.5
        )


def _law(onset, exponent, cooldown, final):
    def value(t):
        s = (onset / mp.mpf(max(t, onset))) ** exponent
        v = max(0, (t - T + cooldown) / mp.mpf(cooldown))
        return s * (final / (onset / mp.mpf(T)) ** exponent) ** v

    return value


def _k_decay(k, final):
    return lambda t: final + (1 - mp.mpf(final)) * (1 + mp.cos(mp.pi * (mp.mpf(t) / T) ** k)) / 2


CLOSED = {
    "hyperbolic": (hyperbolic(upper=2500, infimum=1e-3), _hyperbolic(2500, 1e-3)),
    "hyperbolic-far": (hyperbolic(upper=10**9, infimum=0), _hyperbolic(10**9, 0)),
    "hyperbolic-near": (hyperbolic(upper=998, infimum=1e-9), _hyperbolic(998, 1e-9)),
    "hyperbolic-linear": (hyperbolic(upper=T, infimum=1e-9), _hyperbolic(T, 1e-9)),
    "exp_hyperbolic": (exp_hyperbolic(upper=2500, infimum=1e-3), _exp_hyperbolic(2500, 1e-3)),
    "exp_hyperbolic-near": (exp_hyperbolic(upper=T, infimum=1e-4), _exp_hyperbolic(T, 1e-4)),
    "inverse_time": (inverse_time(timescale=50), lambda t: 1 / (1 + t / mp.mpf(50))),
    "inverse_time-power": (inverse_time(timescale=50, power=1.5), lambda t: (1 + t / mp.mpf(50)) ** -1.5),
    "rex": (rex(), lambda t: (1 - t / mp.mpf(T)) / (1 - t / mp.mpf(2 * T))),
    "rex-convex": (
        rex(beta=-3, final=0.25),
        lambda t: 0.25 + 0.75 * (1 - t / mp.mpf(T)) / (1 + 3 * t / mp.mpf(T)),
    ),
    "tanh": (tanh(), _tanh(-7, 3, 0)),
    "tanh-steep": (tanh(begin=-40, end=60, final=0.01), _tanh(-40, 60, 0.01)),
    "tanh-half": (tanh(begin=0.5, end=4), _tanh(0.5, 4, 0)),
    "k_decay": (k_decay(k=2.5, final=0.01), _k_decay(2.5, 0.01)),
    "k_decay-early": (k_decay(k=0.5), _k_decay(0.5, 0)),
    "power_law": (power_law(onset=100, cooldown=200), _law(100, 0.51, 200, 0.01)),
    "cosine-power": (cosine(power=2.5), lambda t: ((1 + mp.cos(mp.pi * t / T)) / 2) ** 2.5),
    "untuned_linear": (untuned_linear(beta2=0.99), lambda t: min(mp.mpf(1), t / mp.mpf(200))),
    "untuned_linear-cut": (untuned_linear(), lambda t: t / mp.mpf(2000)),
    "untuned_exponential": (untuned_exponential(beta2=0.99), lambda t: 1 - mp.exp(-t * (1 - mp.mpf(0.99)))),
    "untuned_exponential-period": (untuned_exponential(period=300), lambda t: 1 - mp.exp(-t / mp.mpf(300))),
    "gi_adam": (gi_adam(), lambda t: mp.sqrt(1 - mp.mpf(0.999) ** t)),
    "radam": (radam(), _rectifier(0.999)),
    "radam-short": (radam(beta2=0.7), _rectifier(0.7)),
}


KNOTS = {  # where the oracle's own quadrature needs a cut: a root of rho - 4, a steep place
    "radam": [_starts_at(0.999, 4), 1, 30],
    "radam-short": [_starts_at(0.7, 5), 1, 30],
    "tanh": [698],
    "tanh-steep": [350, 398.8, 450],
}


@pytest.mark.parametrize("name", CLOSED)
def test_closed_form_to_the_last_step(name):
    schedule, formula = CLOSED[name]
    points = [0, 1, 2, 7, 100, 101, 250, 500, 697, 698, 800, 950, T - 3, T - 2, T - 1]
    with mp.workdps(50):
        for place, offset in (("left", 0), ("mid", 0.5), ("right", 1)):
            ours = at(schedule, place).resolve(T).table()[points]
            exact = [float(formula(mp.mpf(k + offset))) for k in points]
            bound = 1e-14 if name == "radam-short" else 2e-15  # its second value lies by a root of rho - 4
            np.testing.assert_allclose(ours, exact, rtol=bound, atol=1e-300)


@pytest.mark.parametrize("name", CLOSED)
def test_mean_is_the_exact_integral(name):
    schedule, formula = CLOSED[name]
    rate = schedule.resolve(T)
    knots = {0, T, *(b.step for b in rate.boundaries()), *KNOTS.get(name, ())}
    with mp.workdps(25):
        exact = mp.quad(formula, sorted(knots)) / T
    assert rate.mean() == pytest.approx(float(exact), rel=2e-14, abs=0)


def test_a_mean_of_short_and_long_runs():
    """Where the closed forms of other schedules lose their digits: far bounds, a run much shorter or longer
    than a scale."""
    with mp.workdps(80):
        for n in (3, 10**5):
            rate = gi_adam().resolve(n)
            w = mp.sqrt(1 - mp.mpf(0.999) ** n)
            assert rate.mean() == pytest.approx(
                float((mp.atanh(w) - w) * -2 / mp.log(mp.mpf(0.999)) / n), rel=2e-14, abs=0
            )
        for upper in (11, 10**12):
            s, u = mp.sqrt(mp.mpf(upper) ** 2 - (mp.mpf(upper) - 10) ** 2), mp.mpf(upper)
            under = (u * s - (u - 10) ** 2 * mp.acosh(u / (u - 10))) / 2 / u  # the integral of h
            exact = 1 - _h(0, 10, upper) + under / 10
            assert hyperbolic(upper=upper, infimum=0).resolve(10).mean() == pytest.approx(
                float(exact), rel=2e-14, abs=0
            )


# limits


def test_a_hyperbola_whose_bound_is_the_run_is_the_straight_line():
    for warmup, bound in ((0, 1000), ("10%", 900)):
        for place in ("left", "mid", "right"):
            options = {"warmup": warmup, "at": place}
            ours = hyperbolic(upper=bound, infimum=0.03, **options).resolve(1000)
            assert np.array_equal(ours.table(), linear(final=0.03, **options).resolve(1000).table())
            ours = exp_hyperbolic(upper=bound, infimum=0.03, **options).resolve(1000)
            np.testing.assert_allclose(
                ours.table(), exponential(final=0.03, **options).resolve(1000).table(), rtol=2e-15
            )


def test_early_on_hyperbolas_of_long_runs_agree():
    """The point of the schedule: slopes at the begin differ by -1/(U h(0)), 4.08e-3 against 4.00e-3 from N =
    200 on."""
    first = [1 - hyperbolic(upper=250, infimum=0, at="left").resolve(n)(1) for n in (50, 100, 200, 250)]
    assert first == pytest.approx([6.69e-3, 5.005e-3, 4.082e-3, 4.0e-3], rel=1e-3)


def test_special_cases_are_the_simple_schedules():
    cases = [
        (rex(beta=0), linear()),
        (k_decay(k=1), cosine()),
        (
            k_decay(k=1, curve="polynomial", power=3, final=0.2),
            Pieces([Piece(None, 1, 0.2, "polynomial", 3)]),
        ),
        (restarts(period="100%", final=0.1), cosine(final=0.1)),
        (inverse_time(timescale=77, power=0.5), inverse_sqrt(timescale=77)),
        (cosine(power=1), cosine()),
        (triangular(rise=400, fall=600), Pieces([Piece(400, 0, 1), Piece(None, 1, 0)])),
        (spline(places=[0, "100%"], factors=[1, 0.5]), linear(final=0.5)),
        (tabulated(values=[1]), Pieces([Piece(None, 1, 1)])),
        (power_law(onset="100%", final=0.1), wsd(cooldown=0.1, cooldown_curve="exponential", final=0.1)),
    ]
    for one, other in cases:
        np.testing.assert_allclose(
            one.resolve(1000).table(), other.resolve(1000).table(), rtol=2e-15, err_msg=str(one)
        )
        assert one.resolve(1000).mean() == pytest.approx(other.resolve(1000).mean(), rel=1e-14, abs=0)
    assert cosine(power=1) == cosine()


@pytest.mark.parametrize(
    "make",
    [
        lambda **o: hyperbolic(upper=1500, **o),
        lambda **o: exp_hyperbolic(upper=1500, **o),
        lambda **o: restarts(period=100, mult=2, **o),
        lambda **o: inverse_time(timescale=100, **o),
        rex,
        tanh,
        lambda **o: k_decay(k=2, **o),
        lambda **o: tabulated(values=[1, 0.5, 0.7], **o),
    ],
)
def test_a_warmup_only_moves_what_follows_it(make):
    for place in ("left", "mid", "right"):
        moved = make(warmup=100, at=place).resolve(1000).table()
        alone = make(at=place).resolve(900).table()
        np.testing.assert_allclose(moved[100:], alone, rtol=1e-14)
        assert np.array_equal(moved[:99], linear(warmup=100, at=place).resolve(1000).table()[:99])


def test_levels_may_be_rates():
    for make in (
        rex,
        tanh,
        cosine,
        lambda **o: k_decay(k=2, **o),
        lambda **o: restarts(period=5, **o),
        power_law_of_5,
    ):
        by_rate, by_factor = make(final="1e-4lr"), make(final=0.01)
        assert np.array_equal(by_rate.resolve(20, peak=1e-2).table(), by_factor.resolve(20).table())
    for make in (lambda **o: hyperbolic(upper=30, **o), lambda **o: exp_hyperbolic(upper=30, **o)):
        assert np.array_equal(
            make(infimum="1e-4lr").resolve(20, peak=1e-2).table(), make(infimum=0.01).resolve(20).table()
        )
    ours = triangular(rise=3, base="1e-4lr").resolve(20, peak=1e-2).table()
    assert np.array_equal(ours, triangular(rise=3, base=0.01).resolve(20).table())


def power_law_of_5(**options):
    return power_law(onset=5, **options)


# restarts


@pytest.mark.parametrize(("period", "mult"), [(1, 3), (1, 10), (1, 2), (10, 3), (7, 5), (11, 1), (3, 1)])
def test_every_restart_is_on_its_step(period, mult):
    """Where the logarithm of torch and timm is a cycle late: steps 121 (1, 3), 1210 (10, 3), 111 (1, 10)."""
    total = 5000
    lengths = [period * mult**i for i in range(1 + (total // period if mult == 1 else 12))]
    places = [n for n in accumulate(lengths, initial=0) if n < total]
    left = restarts(period=period, mult=mult, at="left").resolve(total)
    assert np.flatnonzero(left.table() == 1).tolist() == places
    assert [b.step for b in left.boundaries()] == [*places, total]
    assert all(b.factor == 1 for b in left.boundaries()[:-1])
    right = restarts(period=period, mult=mult, final=0.25, at="right").resolve(total).table()
    ends = [n for n in accumulate(lengths) if n <= total]
    assert (right[np.array(ends) - 1] == 0.25).all() and (right == 0.25).sum() == len(ends)


def test_restarts_of_torch_where_torch_is_right():
    for t0, mult in ((10, 1), (10, 2), (7, 2), (50, 1)):
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        scheduler = theirs.CosineAnnealingWarmRestarts(optimizer, T_0=t0, T_mult=mult, eta_min=0.01)
        np.testing.assert_allclose(
            restarts(period=t0, mult=mult, final=0.01, at="left").resolve(500).table(),
            _stepped(scheduler, optimizer, 500),
            rtol=1e-12,
        )


def _stepped(scheduler, optimizer, n, peak=1.0):
    """The factor of each of n updates under a scheduler of torch's."""
    out = []
    for _ in range(n):
        out.append(optimizer.param_groups[0]["lr"] / peak)
        optimizer.step()
        scheduler.step()
    return np.array(out)


def test_each_cycle_is_the_first_one_lowered_and_stretched():
    for curve, power in (("cosine", None), ("polynomial", 2.0), ("exponential", None), ("1-sqrt", None)):
        options = {"mult": 1.5, "peak_mult": 0.6, "final": 0.1, "curve": curve, "power": power, "at": "left"}
        rate = restarts(period=40, **options).resolve(190)  # cycles of 40, 60 and 90 steps
        first, second, third = (
            rate.curve(np.arange(40)),
            rate.curve(40 + np.arange(40) * 1.5),
            rate.curve(100 + np.arange(40) * 2.25),
        )
        np.testing.assert_allclose(second, 0.1 + 0.6 * (first - 0.1), rtol=1e-14)
        np.testing.assert_allclose(third, 0.1 + 0.36 * (first - 0.1), rtol=1e-14)
        mean = CURVES[curve].mean(0.1, 1.0, power or 1.0)
        area = sum(n * (0.1 + 0.6**i * (mean - 0.1)) for i, n in enumerate((40, 60, 90)))
        assert rate.mean() == pytest.approx(area / 190, rel=1e-14, abs=0)


def test_cycles_that_shrink_or_are_cut_off():
    rate = restarts(period="40%", mult=0.7, at="left").resolve(1000)
    assert [b.step for b in rate.boundaries()] == pytest.approx([0, 400, 680, 876, 1000])
    cut = restarts(period=400, at="left").resolve(1000)
    assert np.array_equal(cut.table()[800:], cut.table()[:200]) and len(cut.boundaries()) == 4
    whole, part = cosine().resolve(400), restarts(period=400).resolve(1000)
    quarter = float(mp.quad(lambda t: (1 + mp.cos(mp.pi * t / 400)) / 2, [0, 200]))
    assert part.mean() == pytest.approx((800 * whole.mean() + quarter) / 1000, rel=1e-14, abs=0)
    for mult in (1, 2, 0.9):
        first = restarts(period=400, mult=mult, at="left").resolve(200)
        assert np.array_equal(first.table(), cut.table()[:200]) and len(first.boundaries()) == 2
        assert first.mean() == pytest.approx(quarter / 200, rel=1e-14, abs=0)
    thirds = restarts(period=fraction(1 / 3), at="left").resolve(1000)
    assert len(thirds.boundaries()) == 4, "a sliver of a fourth cycle"
    assert thirds.segments[0].form.jumps(thirds.segments[0].span) == pytest.approx([1000 / 3, 2000 / 3])


# triangles

CYCLIC = {
    "triangular": ({"mode": "triangular"}, {}),
    "triangular2": ({"mode": "triangular2"}, {"cycle_mult": 0.5}),
    "exp_range": ({"mode": "exp_range", "gamma": 0.99}, {"step_mult": 0.99}),
}


@pytest.mark.parametrize("mode", CYCLIC)
@pytest.mark.parametrize(("up", "down"), [(20, None), (30, 13), (5, 60)])
def test_triangles_are_torchs(mode, up, down):
    options, ours = CYCLIC[mode]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    made = theirs.CyclicLR(
        optimizer, 0.1, 1.1, step_size_up=up, step_size_down=down, cycle_momentum=False, **options
    )
    top = 0.1 + 0.99**up if mode == "exp_range" else 1.1
    rates = _stepped(made, optimizer, 300) / top
    rate = triangular(rise=up, fall=down, base=0.1 / top, at="left", **ours).resolve(300)
    np.testing.assert_allclose(rate.table(), rates, rtol=1e-12)
    assert rate(up) == 1.0 and rate.warmup == up


def test_a_fast_step_mult_has_its_highest_point_inside_the_rise():
    """At -1 / ln(gamma) = 49.5 steps of 200, where the first top would lie lower; that point is 1."""
    rate = triangular(rise=200, step_mult=0.98, at="left").resolve(900)
    peak = -1 / math.log(0.98)
    assert rate.curve(peak) == 1.0 and rate.table().max() <= 1 and rate(200) < 0.3
    assert rate.table().argmax() in (49, 50)
    exact = sum(
        mp.quad(lambda t: _tri(t, 200) * mp.mpf(0.98) ** (t - peak) * 200 / peak, [a, a + 100])
        for a in range(0, 900, 100)
    )
    assert rate.mean() == pytest.approx(float(exact) / 900, rel=1e-13, abs=0)


def _tri(t, rise):
    x = t % (2 * rise)
    return min(x, 2 * rise - x) / rise


def test_a_warmup_takes_the_place_of_the_first_rise():
    rate = triangular(rise=30, fall=20, base=0.2, cycle_mult=0.5, warmup=10, at="left").resolve(100)
    assert [rate(k) for k in (0, 5, 10, 20, 30, 60, 80)] == pytest.approx(
        [0, 0.5, 1, 0.6, 0.2, 0.6, 0.2], rel=1e-15
    )
    assert rate.mean() == pytest.approx((5 + 12 + 12 + 8 + 16 / 3) / 100, rel=1e-15)
    labels = [b.label for b in rate.boundaries()]
    assert labels == ["start", "warmup ends", "rise starts", "decay starts", "rise starts", "end"]
    odd = triangular(rise="7.7%", warmup="3.1%", step_mult=0.999).resolve(333)
    assert odd.curve(odd.warmup) == 1.0 and odd.table().max() <= 1


# tables and splines


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=40),
    st.sampled_from(["left", "mid", "right"]),
    st.integers(1, 5),
)
def test_a_table_comes_back(values, place, per_epoch):
    schedule, peak = tabulated.of([*values, 1.0], at=place)
    n = len(values) + 1
    assert peak == 1.0 and schedule.resolve(n).table().tolist() == [*values, 1.0]
    epochs = (
        at(tabulated(values=[*values, 1.0], every="epoch"), place)
        .resolve(n * per_epoch, per_epoch=per_epoch)
        .table()
    )
    assert epochs.tolist() == [v for v in [*values, 1.0] for _ in range(per_epoch)]
    mean = math.fsum([*values, 1.0]) / n
    assert schedule.resolve(97).mean() == pytest.approx(mean, rel=1e-13)
    between = tabulated(values=[*values, 1.0], between="linear")
    np.testing.assert_allclose(between.resolve(n).table(), [*values, 1.0], rtol=1e-12, atol=1e-12)
    knots = (np.arange(n) + 0.5) / n
    np.testing.assert_allclose(
        between.resolve(333).table(),
        np.interp((np.arange(333) + 0.5) / 333, knots, [*values, 1.0]),
        rtol=1e-12,
        atol=1e-12,
    )
    assert between.resolve(333).mean() == pytest.approx(mean, rel=1e-12)


def test_a_table_of_rates():
    schedule, peak = tabulated.of(np.array([1e-3, 3e-3, 1e-3, 0.0]), at="right")
    assert peak == 3e-3 and schedule.values == (1e-3 / 3e-3, 1.0, 1e-3 / 3e-3, 0.0)
    assert schedule.resolve(4).warmup == 1.0
    assert str(schedule) == "tabulated(values=[0.333333, 1, 0.333333, ...], at=right)"
    marks = tabulated(values=[0.5, 0.5, 1, 1, 0.25]).resolve(10).boundaries()
    assert [(b.step, b.label, b.factor) for b in marks] == [
        (0, "start", 0.5),
        (4, "warmup ends", 1.0),
        (8, "drop", 0.25),
        (10, "end", 0.25),
    ]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 500), st.floats(0, 1)), min_size=2, max_size=8, unique_by=lambda p: p[0]
    )
)
def test_a_spline_is_scipys_monotone_cubic(points):
    x = [p[0] for p in sorted(points)]
    y = [round(p[1], 3) for p in sorted(points)]
    y[0] = 1.0
    rate = spline(places=x, factors=y).resolve(500)
    t = np.linspace(x[0], x[-1], 301)
    reference = PchipInterpolator(x, y)
    np.testing.assert_allclose(rate.curve(t, after=False), reference(t), rtol=1e-9, atol=1e-12)
    area = float(reference.integrate(x[0], x[-1])) + x[0] * y[0] + (500 - x[-1]) * y[-1]
    assert rate.mean() == pytest.approx(area / 500, rel=1e-11)
    for (a, b), (low, high) in zip(pairwise(x), pairwise(y), strict=True):
        part = rate.curve(np.linspace(a, b, 50), after=False)[1:]
        assert min(low, high) <= part.min() and part.max() <= max(low, high)


# the refined schedule


def test_refined_is_the_formula_over_its_highest():
    norms = np.random.default_rng(0).lognormal(size=200)
    for power in (1, 2):
        w = [mp.mpf(float(g)) ** -power for g in norms]
        exact = [w[t] * mp.fsum(w[t + 1 :]) for t in range(200)]
        ours = refined(norms, power=power)
        np.testing.assert_allclose(ours.values, [float(v / max(exact)) for v in exact], rtol=1e-13)
        assert np.array_equal(ours.resolve(200).table(), ours.values)


def test_refined_norms_pass_a_median_filter():
    norms = np.random.default_rng(1).lognormal(size=9000)
    clean = median_filter(norms, size=7, mode="mirror")
    np.testing.assert_allclose(refined(norms, smooth=7).values, refined(clean).values, rtol=1e-12)
    assert refined(norms, smooth=7, at="right", between="linear").between == "linear"


def test_refined_falls_straight_for_equal_norms_and_warms_up_for_large_ones():
    flat = refined([0.7] * 101).values
    np.testing.assert_allclose(flat, 1 - np.arange(101) / 100, atol=1e-15)
    early = refined(np.r_[np.linspace(10, 1, 30), np.ones(200)]).resolve(230)
    assert early(0) < 0.05 and 29 <= early.warmup <= 31


# damping factors

WARMUPS = {
    "RAdamWarmup": (radam, {}),
    "ExponentialWarmup": (untuned_exponential, {"warmup_period": 1000}),
    "LinearWarmup": (untuned_linear, {"warmup_period": 2000}),
}


@pytest.mark.parametrize("name", WARMUPS)
def test_damping_is_pytorch_warmups(name):
    """With at="right", that counts updates from 1. Its untuned periods are cut to 1999 and 999; these are the
    ones it means."""
    library = pytest.importorskip("pytorch_warmup")
    make, options = WARMUPS[name]
    optimizer = torch.optim.Adam([torch.zeros(1, requires_grad=True)], lr=1.0, betas=(0.9, 0.999))
    damping = getattr(library, name)(optimizer, **options)
    factors = [damping.warmup_factor(k, **damping.warmup_params[0]) for k in range(3000)]
    np.testing.assert_allclose(make(at="right").resolve(3000).table(), factors, rtol=1e-10)


def test_damping_takes_part_in_products():
    both = (radam(at="right") * cosine(at="right")).resolve(1000)
    np.testing.assert_allclose(
        both.table(),
        radam(at="right").resolve(1000).table() * cosine(at="right").resolve(1000).table(),
        rtol=1e-15,
    )
    with mp.workdps(25):
        exact = (
            mp.quad(
                lambda t: _rectifier(0.999)(t) * (1 + mp.cos(mp.pi * t / 1000)) / 2,
                [*KNOTS["radam"], 300, 1000],
            )
            / 1000
        )
    assert both.mean() == pytest.approx(float(exact), rel=2e-14, abs=0)
    waits = radam(beta2=0.7, at="left").resolve(9)
    assert waits(0) == 0 < waits(1) and [b.label for b in waits.boundaries()] == [
        "start",
        "damping starts",
        "end",
    ]
    printed = [gi_adam(at="right").resolve(4000)(t - 1) for t in (1, 10, 100, 500, 1000, 2000, 4000)]
    assert printed == pytest.approx([0.0316, 0.0998, 0.309, 0.627, 0.795, 0.930, 0.991], abs=6e-4)


# the libraries of the hyperbolic schedules

GOLDEN = {  # the original program's rates in epochs 1, 2, 6, 11, 25, 40, 50 of 50
    "hyperbolic": [1e-2, 9.933100e-3, 9.660423e-3, 9.306669e-3, 8.209882e-3, 6.689866e-3, 4.801519e-3],
    "exp_hyperbolic": [1e-2, 9.402372e-3, 7.314009e-3, 5.280072e-3, 1.922566e-3, 4.740390e-4, 8.325297e-5],
}


@pytest.mark.parametrize("name", GOLDEN)
def test_hyperbolas_have_their_authors_rates(name):
    schedule = SCHEDULES.build(name, {"upper": "250ep", "infimum": "1e-6lr", "at": "left", "every": "epoch"})
    rate = schedule.resolve("50ep", per_epoch=124, peak=1e-2)
    epochs = np.array([1, 2, 6, 11, 25, 40, 50])
    np.testing.assert_allclose(1e-2 * rate((epochs - 1) * 124), GOLDEN[name], rtol=6e-7)


@pytest.mark.parametrize(
    ("name", "theirs_is"),
    [("hyperbolic", "HyperbolicLRScheduler"), ("exp_hyperbolic", "ExpHyperbolicLRScheduler")],
)
def test_hyperbolas_are_pytorch_schedulers(name, theirs_is):
    library = pytest.importorskip("pytorch_scheduler")
    for warmup, upper in ((0, 300), (30, 1000), (0, 200)):
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
        made = getattr(library, theirs_is)(
            optimizer, total_steps=200, upper_bound=upper, min_lr=1e-4, warmup_steps=warmup
        )
        rates = _stepped(made, optimizer, 200, peak=0.1)
        options = {"upper": upper, "infimum": 1e-3, "warmup": warmup, "warmup_start": 1e-3, "at": "left"}
        np.testing.assert_allclose(SCHEDULES.build(name, options).resolve(200).table(), rates, rtol=1e-10)


# one cycle, rules


def test_three_phases_of_one_cycle():
    rate = one_cycle(three_phase=True, warmup=30, warmup_start=0.1, final=0.001, at="left").resolve(100)
    drawn = [Piece(30, 0.1, 1, "cosine"), Piece(30, 1, 0.1, "cosine"), Piece(None, 0.1, 0.001, "cosine")]
    assert np.array_equal(rate.table(), Pieces(drawn, at="left").resolve(100).table())
    assert one_cycle(three_phase=True).pieces().resolve(100).table().max() <= 1


def test_rules():
    n = np.arange(1, 9001)
    noam = 512**-0.5 * np.minimum(n**-0.5, n * 4000**-1.5)
    ours = noam_peak(512, 4000) * inverse_sqrt(warmup=4000, at="right").resolve(9000).table()
    np.testing.assert_allclose(ours, noam, rtol=1e-14)
    assert scaled_rate(0.3, 64, 256) == pytest.approx(0.075)
    assert scaled_rate(0.3, 64, 256, rule="sqrt") == pytest.approx(0.15)
    line = adjusted_infimum(1e-2, 1e-6, last=1e-3, total=50, upper=250, weights=(1, 0))
    assert line == pytest.approx(1e-2 * 0.1**5)  # where exponential decay to 1e-3 at 50 is at 250
    mixed = adjusted_infimum(1e-2, 1e-6, last=1e-3, total=50, upper=250, weights=(1, 3))
    assert mixed == pytest.approx(line**0.25 * 1e-6**0.75)
    periods = [untuned_period(b) for b in (0.9, 0.95, 0.98, 0.99, 0.999, 0.9995, 0.9999)]
    assert periods == [20, 40, 100, 200, 2000, 4000, 20000]
    assert untuned_period(1e-9) == 2 and untuned_linear(beta2=0.95).resolve(100).warmup == 40.0


BAD = {
    "bound below the run": (
        lambda: hyperbolic(upper=99).resolve(100),
        "at least the length of the decay, 100 steps, got 99 = 99",
    ),
    "bound below the epochs": (
        lambda: exp_hyperbolic(upper="9ep").resolve(100, per_epoch=10),
        "got 9ep = 90 steps",
    ),
    "no bound": (lambda: SCHEDULES.build("hyperbolic", {}), "needs upper"),
    "infimum above the peak": (lambda: hyperbolic(upper=9, infimum=1.5), "infimum is a factor .* got 1.5"),
    "rate above the peak": (
        lambda: hyperbolic(upper=9, infimum="1e-1lr").resolve(9, peak=1e-2),
        "above the peak rate",
    ),
    "rate without a peak": (lambda: hyperbolic(upper=9, infimum="1e-1lr").resolve(9), "needs the peak"),
    "exponential infimum 0": (
        lambda: exp_hyperbolic(upper=9, infimum=0),
        "infimum of an exponential .* above 0, got 0",
    ),
    "exponential rate 0": (lambda: exp_hyperbolic(upper=9, infimum="0lr"), "above 0, got 0lr"),
    "no hyperbola left": (lambda: hyperbolic(upper=9, warmup=9).resolve(9), "no step is left"),
    "period 0": (lambda: restarts(period=0), "period must be above 0, got 0"),
    "no period": (lambda: SCHEDULES.build("restarts", {"mult": 2}), "needs period"),
    "mult 0": (lambda: restarts(period=5, mult=0), "mult must be above 0"),
    "mult nan": (lambda: restarts(period=5, mult=math.nan), "mult must be a finite number"),
    "mult infinite": (lambda: restarts(period=5, mult=math.inf), "mult must be a finite number"),
    "peak_mult above 1": (
        lambda: restarts(period=5, peak_mult=1.1),
        "peak_mult must be above 0 and at most 1, got 1.1",
    ),
    "peak_mult 0": (lambda: restarts(period=5, peak_mult=0), "peak_mult"),
    "cycles die out": (lambda: restarts(period=10, mult=0.5).resolve(20), "never pass 20 of 20 steps"),
    "cycle's curve": (lambda: restarts(period=5, curve="cosin"), "did you mean 'cosine'"),
    "cycle's floor": (lambda: restarts(period=5, final=2), "final"),
    "cycle exponential to 0": (lambda: restarts(period=5, curve="exponential"), "exponential curve can't"),
    "rise 0": (lambda: triangular(rise=0), "rise must be above 0, got 0"),
    "no rise": (lambda: SCHEDULES.build("triangular", {}), "needs rise"),
    "fall 0": (lambda: triangular(rise=3, fall="0%"), "fall must be above 0"),
    "rise beyond": (
        lambda: triangular(rise=30).resolve(20),
        "first rise must fit in the run of 20 steps, got 30",
    ),
    "base above": (lambda: triangular(rise=3, base=2), "base is a factor"),
    "cycle_mult above 1": (
        lambda: triangular(rise=3, cycle_mult=2),
        "cycle_mult must be above 0 and at most 1, got 2",
    ),
    "gamma above 1": (lambda: triangular(rise=3, step_mult=1.01), "step_mult .* got 1.01"),
    "gamma 0": (lambda: triangular(rise=3, step_mult=0), "step_mult"),
    "timescale 0": (lambda: inverse_time(timescale=0), "timescale must be above 0"),
    "inverse power 0": (lambda: inverse_time(timescale=3, power=0), "power must be above 0"),
    "inverse power text": (lambda: inverse_time(timescale=3, power="two"), "power must be a finite number"),
    "beta 1": (lambda: rex(beta=1), "beta must be below 1, got 1"),
    "beta nan": (lambda: rex(beta=math.nan), "beta must be a finite"),
    "tanh backwards": (lambda: tanh(begin=3, end=-7), "begin must be below end, got begin=3 and end=-7"),
    "tanh of one point": (lambda: tanh(begin=1, end=1), "begin must be below end"),
    "tanh flat": (lambda: tanh(begin=40, end=50), "tanh is flat"),
    "k 0": (lambda: k_decay(k=0), "k must be above 0"),
    "k without its curve's power": (lambda: k_decay(k=2, curve="polynomial"), "write power=2"),
    "onset 0": (lambda: power_law(onset=0), "onset must be above 0"),
    "exponent 0": (lambda: power_law(onset=3, exponent=0), "exponent must be above 0"),
    "warmup over the onset": (
        lambda: power_law(onset=5, warmup=9).resolve(100),
        "over at the onset, step 5, got 9 steps",
    ),
    "cooldown above the law": (
        lambda: power_law(onset=1, final=0.5).resolve(100),
        "own end, factor 0.0954993, got 0.5",
    ),
    "cooldown to 0": (lambda: power_law(onset=1, final=0), "exponential curve can't"),
    "cooldown too long": (lambda: power_law(onset=9, cooldown=200).resolve(100), "must fit in the run"),
    "table empty": (lambda: tabulated(values=[]), "at least one number"),
    "table a text": (lambda: tabulated(values="1"), "list of numbers, got '1'"),
    "table a number": (lambda: tabulated(values=3), "list of numbers, got 3"),
    "table nan": (lambda: tabulated(values=[1, math.nan]), "finite numbers >= 0, got nan among"),
    "table negative": (lambda: tabulated(values=[1, -0.1]), "got -0.1"),
    "table true": (lambda: tabulated(values=[True]), "got True"),
    "table too high": (lambda: tabulated(values=[1, 3]), "highest of the values must be 1, got 3"),
    "table too low": (
        lambda: tabulated(values=[0.5]),
        "must be 1, got 0.5: divide by the highest, or write tabulated.of",
    ),
    "table between": (lambda: tabulated(values=[1], between="liner"), "did you mean 'linear'"),
    "table after a warmup": (lambda: tabulated(values=[0.5, 1], warmup=3), "must begin at 1, got 0.5"),
    "rates of 0": (lambda: tabulated.of([0, 0]), "highest of the rates must be above 0"),
    "places unsorted": (
        lambda: spline(places=[0, 9, 5], factors=[1, 0.5, 0]).resolve(10),
        "places must rise .* got 0, 9, 5",
    ),
    "places twice": (lambda: spline(places=[5, "50%"], factors=[1, 0]).resolve(10), "places must rise"),
    "places beyond": (
        lambda: spline(places=[0, 11], factors=[1, 0]).resolve(10),
        "inside the run of 10 steps",
    ),
    "places a text": (lambda: spline(places="50%", factors=[1]), "list of lengths"),
    "one point": (lambda: spline(places=[0], factors=[1]), "two or more, got 1 and 1"),
    "points missing": (lambda: spline(places=[0, 5], factors=[1, 0.5, 0]), "got 2 and 3"),
    "no point at the peak": (
        lambda: spline(places=[0, 5], factors=[0.9, 0]),
        "highest of the factors must be 1, got 0.9",
    ),
    "spline over the warmup": (
        lambda: spline(places=[0, 9], factors=[1, 0], warmup=3).resolve(10),
        "over at the first place, step 0",
    ),
    "spline after a warmup": (
        lambda: spline(places=[5, 9], factors=[0.5, 1], warmup=3),
        "must begin at 1, got 0.5",
    ),
    "one norm": (lambda: refined([1.0]), "two or more, got 1"),
    "norm 0": (lambda: refined([1.0, 0.0]), "norms must be above 0"),
    "norms nan": (lambda: refined([1.0, math.nan]), "norms must be finite"),
    "norms' power": (lambda: refined([1.0, 1.0], power=3), "power must be 2 .* got 3"),
    "even filter": (lambda: refined([1.0] * 9, smooth=4), "odd number of steps >= 1, got 4"),
    "wide filter": (lambda: refined([1.0] * 9, smooth=11), "wider than the run of 9 steps, got 11"),
    "half a filter": (lambda: refined([1.0] * 9, smooth=1.5), "odd number of steps"),
    "beta2 1": (lambda: gi_adam(beta2=1), "beta2 must be above 0 and below 1, got 1"),
    "beta2 nan": (lambda: untuned_linear(beta2=math.nan), "beta2"),
    "radam's beta2": (lambda: radam(beta2=0.6), "beta2 must be above 0.6 and below 1, got 0.6"),
    "damping's at": (lambda: radam(at="middle"), "did you mean 'mid'"),
    "damping's period": (lambda: untuned_exponential(period=0), "period must be above 0"),
    "three phases without a rise": (
        lambda: one_cycle(three_phase=True, warmup=0),
        "three phases need a rise",
    ),
    "three phases too long": (
        lambda: one_cycle(three_phase=True, warmup="60%").resolve(10),
        "must fit in the run",
    ),
    "cosine power 0": (lambda: cosine(power=0), "power > 0"),
    "noam without width": (lambda: noam_peak(0, 10), "d_model must be a finite number > 0, got 0"),
    "noam without warmup": (lambda: noam_peak(512, 0), "warmup must be a finite number > 0"),
    "batch rule": (lambda: scaled_rate(0.1, 1, 1, rule="square"), "did you mean 'sqrt'"),
    "adjusted infimum above the peak": (
        lambda: adjusted_infimum(1e-3, 1e-2, last=1e-4, total=50, upper=250),
        "infimum must be below the peak, 0.001, got 0.01",
    ),
    "infimum for too short a bound": (
        lambda: adjusted_infimum(1e-2, 1e-6, last=1e-4, total=50, upper=40),
        "upper must be at least the total, 50, got 40",
    ),
    "infimum without weights": (
        lambda: adjusted_infimum(1e-2, 1e-6, last=1e-4, total=50, upper=250, weights=(0, 0)),
        "not both 0",
    ),
    "batch of 0": (lambda: scaled_rate(0.1, 0, 1), "batch_size"),
    "period of beta2 1": (lambda: untuned_period(1.0), "beta2"),
}


@pytest.mark.parametrize("name", BAD)
def test_nothing_is_repaired(name):
    do, words = BAD[name]
    with pytest.raises(UserError, match=words):
        do()


def test_tables_and_norms_may_be_tensors():
    torch = pytest.importorskip("torch")
    values = torch.tensor([1.0, 0.5, 0.25], dtype=torch.float64)
    assert tabulated(values=values) == tabulated(values=list(values)) == tabulated(values=(1.0, 0.5, 0.25))
    assert refined(values) == refined(values.tolist())


def test_restarts_of_broken_lengths_are_found_exactly():
    """Cycle floor(k c / T) by whole numbers, whatever the rounding of the quotients."""
    for total in range(5, 61):
        for cycles in range(1, total + 1):
            table = restarts(period=1 / cycles, at="left", curve="linear").resolve(total).table()
            exact = [1 - (k * cycles % total) / total for k in range(total)]
            np.testing.assert_allclose(
                table, exact, rtol=1e-12, atol=1e-12, err_msg=f"{cycles} cycles in {total} steps"
            )


def test_a_splines_last_slope_is_bent_back_like_scipys():
    interpolate = pytest.importorskip("scipy.interpolate")
    for factors in ([0.8, 1.0, 0.0], [0.0, 1.0, 0.8], [0.5, 0.55, 1.0, 0.1], [1.0, 0.2, 0.25]):
        places = np.linspace(0, 1, len(factors))
        theirs = interpolate.PchipInterpolator(places * 1000, factors)
        ours = spline(places=[f"{p * 100}%" for p in places], factors=factors).resolve(1000)
        t = np.linspace(0, 1000, 777)
        np.testing.assert_allclose(ours.curve(t), theirs(t), rtol=1e-12, atol=1e-13)
