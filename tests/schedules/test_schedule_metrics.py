"""Schedules measured without training: against closed forms, published tables, plain double loops and the
theorem itself."""

import json
import math

import numpy as np
import pytest
from paper_schedules import PAPER
from scipy.integrate import quad

from preheat.core.errors import UserError
from preheat.schedules import (
    constant,
    cosine,
    exponential,
    inverse_sqrt,
    linear,
    one_cycle,
    polynomial,
    step,
    wsd,
)
from preheat.schedules.measures.budget import budget, budget_curve
from preheat.schedules.measures.convex_bound import bound_curve, convex_bound, table_bound
from preheat.schedules.measures.decay_rate import decay_rate
from preheat.schedules.measures.difference import difference
from preheat.schedules.measures.insensitivity import insensitivity
from preheat.schedules.measures.shared_start import shared_start
from preheat.schedules.shapes.hyperbolic import hyperbolic
from preheat.schedules.shapes.restarts import restarts
from preheat.schedules.shapes.triangular import triangular

# everything that merely stretches with the run
STRETCHING = {
    "linear": linear(),
    "cosine": cosine(final=0.1),
    "polynomial": polynomial(power=3),
    "exponential": exponential(final=0.01),
    "wsd": wsd(warmup="5%", cooldown="30%", cooldown_curve="1-sqrt"),
    "step": step(warmup="10%"),
    "one_cycle": one_cycle(),
    "inverse_sqrt": inverse_sqrt(warmup="10%"),
    "triangular": triangular(rise="20%"),
    "restarts": restarts(period="25%"),
}

BUDGETS = {
    "poly": [33.33, 66.67, 100.00, 133.33, 166.67, 333.33],
    "cosine": [25.00, 50.00, 75.01, 100.01, 125.01, 250.03],
    "linear": [25.00, 50.00, 75.01, 100.01, 125.01, 250.02],
    "hyperbolic": [44.75, 85.18, 122.82, 158.23, 191.72, 335.54],
    "exp_hyperbolic": [27.18, 44.65, 58.52, 70.20, 80.36, 116.86],
}


@pytest.mark.parametrize("name", BUDGETS)
def test_the_budgets_are_those_published(name):
    """Published by a trapezoid rule of 1000 points, whose rounding at a vertical tangent is up to 0.005."""
    found = budget(PAPER[name], [50, 100, 150, 200, 250, 500])
    assert list(found.values()) == pytest.approx(BUDGETS[name], abs=0.0101)
    for total, printed in zip(found, BUDGETS[name], strict=True):
        curve = PAPER[name].resolve(total).curve(np.linspace(0, total, 1000))
        assert np.trapezoid(curve, dx=total / 999) == pytest.approx(printed, abs=0.00501)


@pytest.mark.parametrize("name", STRETCHING)
def test_a_budget_is_the_integral(name):
    run = STRETCHING[name].resolve(400)
    places = [b.step for b in run.boundaries()][1:-1]
    assert budget(STRETCHING[name], [400])[400] == pytest.approx(
        quad(run.curve, 0, 400, points=places, limit=200)[0], rel=1e-10
    )


@pytest.mark.parametrize("name", STRETCHING)
def test_the_budget_curve_ends_with_all_of_it_and_has_the_rate_as_its_slope(name):
    run = STRETCHING[name].resolve(400)
    curve = budget_curve(STRETCHING[name], 400, points=401)
    assert (curve.share[0], curve.share[-1]) == (0.0, 1.0)
    assert curve.budget == pytest.approx(run.mean() * 400)
    per_step = np.diff(curve.share) * curve.budget
    np.testing.assert_allclose(
        per_step, [quad(run.curve, k, k + 1, points=[k + 0.5])[0] for k in range(400)], atol=1e-9
    )


def test_the_budget_curve_of_a_straight_line():
    curve = budget_curve(linear(), 200, points=5)
    np.testing.assert_allclose(curve.share, 1 - (1 - curve.progress) ** 2, atol=1e-14)


INSENSITIVITY = {
    "poly": ([75, 50, 25, 0], [90, 180, 270, 360]),
    "cosine": ([75, 50, 25, 0], [73.796, 147.592, 221.387, 295.183]),
    "linear": ([75, 50, 25, 0], [50.005, 100.01, 150.015, 200.02]),
    "hyperbolic": ([38.01, 15.31, 3.66, 0], [119.52, 167.34, 192.29, 200.20]),
    "exp_hyperbolic": ([34.46, 13.67, 3.24, 0], [21.07, 27.84, 31.24, 32.30]),
}


@pytest.mark.parametrize("name", INSENSITIVITY)
def test_the_insensitivity_is_that_published(name):
    found = insensitivity(PAPER[name], [250, 500, 750, 1000])
    changes, crossings = INSENSITIVITY[name]
    assert [100 * r.change for r in found.runs] == pytest.approx(changes, abs=0.0051)
    assert [r.crossing for r in found.runs] == pytest.approx(crossings, abs=0.0051)
    assert found.worst == found.runs[0].change
    assert json.loads(json.dumps(found.json()))["runs"][0]["total"] == 250


@pytest.mark.parametrize("total", [250, 500, 750, 1000])
def test_the_area_above_the_level_is_exact(total):
    level, gap, c = 0.8, 1 - 1e-3, 1000.0 - total
    straight, root, hyper = (
        insensitivity(PAPER[n], [total]).runs[0] for n in ("linear", "poly", "hyperbolic")
    )
    assert straight.crossing == pytest.approx(0.2 * total / 0.9999, abs=1e-10)
    assert straight.area == pytest.approx(0.1 * straight.crossing, abs=1e-10)
    assert root.crossing == pytest.approx((1 - level**2) * total, abs=1e-10)
    assert root.area == pytest.approx(total * (2 / 3 * (1 - level**3) - level * (1 - level**2)), abs=1e-10)

    def under(y):  # the integral of sqrt(y^2 - c^2)
        return 0.5 * (y * math.sqrt(y * y - c * c) - (c * c * math.acosh(y / c) if c else 0.0))

    h0 = math.sqrt(1 - (c / 1000) ** 2)
    y = math.hypot(c, 1000 * (h0 - (1 - level) / gap))
    assert hyper.crossing == pytest.approx(1000 - y, abs=1e-10)
    exact = gap * (under(1000.0) - under(y)) / 1000 + (1 - level - gap * h0) * (1000 - y)
    assert hyper.area == pytest.approx(exact, abs=1e-10)


@pytest.mark.parametrize("name", STRETCHING)
def test_what_merely_stretches_changes_with_the_budget_in_full(name):
    found = insensitivity(STRETCHING[name], [100, 300, 400])
    assert [r.change for r in found.runs] == pytest.approx([0.75, 0.25, 0], abs=1e-9)


def test_what_is_measured_begins_after_the_warmup_reaches_the_level_and_ends_at_a_drop():
    (run,) = insensitivity(step(milestones=["50%"], warmup="10%"), [1000]).runs
    assert run.crossing == 500
    assert run.area == pytest.approx(0.5 * 0.2 * 20 + 0.2 * 400, abs=1e-10)
    (never,) = insensitivity(constant(), [70]).runs
    assert (never.crossing, never.area) == (70, pytest.approx(14))


def test_a_bend_that_is_no_boundary_does_not_blur_an_area():
    bends = triangular(rise=37, fall=23)
    curve = budget_curve(bends, 240, points=17)
    assert curve.share * 120 == pytest.approx(
        [
            quad(bends.resolve(240).curve, 0, t, points=[37, 60, 97, 120, 157, 180, 217])[0]
            for t in 240 * curve.progress
        ],
        abs=1e-9,
    )
    (run,) = insensitivity(bends, [240]).runs
    assert (run.crossing, run.area) == (
        pytest.approx(37 + 0.2 * 23),
        pytest.approx(0.2 * 60 * 0.1, abs=1e-10),
    )


def test_a_schedule_may_be_made_for_each_budget():
    kept = insensitivity(lambda n: wsd(cooldown=n - 100), [200, 400], level=0.9999999).runs
    assert [r.crossing for r in kept] == pytest.approx([100, 100], abs=1e-4)
    assert kept[0].change == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("level", [0, 1, -1, math.nan, "a"])
def test_the_level_lies_between_nothing_and_the_peak(level):
    with pytest.raises(UserError, match="level is a factor"):
        insensitivity(linear(), [10], level=level)


def test_what_never_reaches_the_level_is_an_error():
    with pytest.raises(UserError, match="must reach the level"):
        insensitivity(constant().scaled(0.5), [10])
    with pytest.raises(UserError, match="needs the lengths"):
        insensitivity(linear(), [])


def test_the_decay_rate_is_the_slope():
    found = decay_rate(cosine(), 200)
    np.testing.assert_allclose(found.rate, np.sin(np.pi * found.t / 200) * np.pi / 400, atol=1e-11)
    assert found.t.size == 500 and found.jumps == ()
    late = decay_rate(PAPER["hyperbolic"], 250, points=1000)
    y = 1000 - late.t
    np.testing.assert_allclose(late.rate[:-1], (0.999 * y / (1000 * np.sqrt(y**2 - 750**2)))[:-1], rtol=1e-4)
    assert decay_rate(hyperbolic(upper=1000, infimum=1e-9), 250, points=10**5).rate[0] == pytest.approx(
        1.512e-3, abs=1e-6
    )


def test_the_decay_rate_never_reaches_across_a_kink_or_a_jump():
    found = decay_rate(wsd(warmup=20, cooldown=50), 100, points=10000)
    for low, high, slope in ((0, 20, -1 / 20), (20, 50, 0), (50, 100, 1 / 50)):
        np.testing.assert_allclose(found.rate[(found.t > low) & (found.t < high)], slope, atol=1e-10)
    drops = decay_rate(step(milestones=[30, 60]), 100, points=100000)
    assert [(j.step, j.before, j.after) for j in drops.jumps] == [
        (30, 1, 0.1),
        (60, 0.1, pytest.approx(0.01)),
    ]
    assert np.abs(drops.rate).max() == 0


def test_the_difference_of_two_schedules():
    found = difference(wsd(cooldown="50%"), constant(), 100)
    assert (found.largest, found.largest_step, found.first_step) == (pytest.approx(0.99), 99, 50)
    assert found.l1 == pytest.approx(25) and found.budget == pytest.approx(25)
    assert [r.step for r in found.rows] == [0, 50, 99]
    other = difference(constant(), wsd(cooldown="50%"), 100)
    assert (other.l1, other.budget) == (found.l1, -found.budget)
    assert json.loads(json.dumps(found.json()))["rows"][1] == {"step": 50, "a": pytest.approx(0.99), "b": 1.0}


def test_equal_schedules_do_not_differ():
    found = difference(linear(), polynomial(power=1), 50)
    assert (found.first_step, found.budget) == (None, 0) and found.largest < 1e-15


def test_a_thousand_drops_make_a_short_table():
    found = difference(step(period=1, gamma=0.999), cosine(), 1000)
    assert len(found.rows) <= 12 and {0, 999, found.largest_step} <= {r.step for r in found.rows}


def test_lengths_in_epochs_and_levels_as_rates_are_known_everywhere():
    schedule, known = wsd(warmup="1ep", final="1e-4lr"), {"per_epoch": 10, "peak": 1e-2}
    assert budget(schedule, [100], **known)[100] == pytest.approx(5 + 70 + 10 * 1.01)
    assert decay_rate(schedule, 100, points=100, **known).rate[5] == pytest.approx(-0.1)
    assert budget_curve(schedule, 100, points=3, **known).budget == pytest.approx(85.1)
    assert insensitivity(schedule, [100], **known).runs[0].crossing > 80
    assert difference(schedule, schedule, 100, **known).first_step is None
    assert convex_bound(schedule, 100, **known).value > 0.2
    with pytest.raises(UserError, match="steps per epoch"):
        budget(schedule, [100], peak=1e-2)


# ---- the convex bound


def plain(eta, norms, distance):
    """(t1, t2, t3) by the formula as it is printed."""
    total = sum(eta)
    last = 0.0
    for k in range(len(eta) - 1):
        a, b = sum(eta[k + 1 :]), sum(eta[k:])
        last += eta[k] / a * sum((e * g) ** 2 for e, g in zip(eta[k:], norms[k:], strict=True)) / b / 2
    return (
        distance**2 / (2 * total),
        sum((e * g) ** 2 for e, g in zip(eta, norms, strict=True)) / (2 * total),
        last,
    )


@pytest.mark.parametrize("seed", range(6))
def test_the_bound_is_the_formula_as_printed(seed):
    rng = np.random.default_rng(seed)
    eta, norms = rng.uniform(0, 1, 60), rng.uniform(0.1, 5, 60)
    eta[rng.integers(0, 59, 10)] = 0.0
    found = table_bound(eta, distance=1.7, gradient=norms)
    terms = plain(eta.tolist(), norms.tolist(), 1.7)
    assert found.terms == pytest.approx(terms, rel=1e-12)
    assert found.value == pytest.approx(2 * math.sqrt(terms[0] * (terms[1] + terms[2])), rel=1e-12)
    assert found.at(found.best_peak) == pytest.approx(found.value, rel=1e-12)
    assert min(found.at(found.best_peak * c) for c in (0.9, 1.1)) > found.value
    assert json.loads(json.dumps(found.json()))["best_peak"] == found.best_peak


@pytest.mark.parametrize("total", [1, 2, 10, 1000])
def test_a_constant_rate_has_a_logarithm(total):
    harmonic = math.fsum(1 / k for k in range(1, total))
    found = convex_bound(constant(), total, distance=3.0, gradient=2.0)
    assert found.terms == pytest.approx((4.5 / total, 2, 2 * harmonic))
    assert found.value == pytest.approx(6 * math.sqrt((1 + harmonic) / total))


def test_the_cooldown_to_zero_takes_the_logarithm_away():
    def scaled(schedule, total):
        return convex_bound(schedule, total).value * math.sqrt(total)

    for total in (300, 3000, 30000):
        assert (
            scaled(linear(), total)
            < scaled(wsd(), total)
            < scaled(wsd(cooldown="5%"), total)
            < scaled(constant(), total)
        )
    assert scaled(linear(at="left"), 10**5) == pytest.approx(2, abs=1e-3)
    assert scaled(constant(), 10**5) == pytest.approx(
        math.sqrt(1 + math.log(10**5) + np.euler_gamma), abs=1e-3
    )
    assert convex_bound(wsd(), 2000).best_peak < 0.6 * convex_bound(cosine(), 2000).best_peak


def test_the_formula_is_above_the_worst_case_of_the_linear_decay():
    """Its worst case at T = 100 is 0.10004 by performance estimation (D G / sqrt(T) in theory)."""
    found = table_bound(1 - np.arange(100) / 101)
    assert 0.10004 < found.value < 2.1 * 0.10004


@pytest.mark.parametrize("total", [50, 500, 2000])
def test_a_trapezoid_is_below_the_papers_closed_form(total):
    """Theorem 9 of Schaipp et al., for 1 up to step T0 and a straight line to 0 at step T + 1: it puts c_k <=
    b_k on the flat part, and so lies above the formula, by a constant factor."""
    fall = (total + 1) // 5
    start = total + 1 - fall

    def harmonic(n):
        return math.fsum(1 / k for k in range(1, n + 1))

    eta = np.concatenate([np.ones(start), 1 - np.arange(1, fall + 1) / fall])
    n, inner = total - start, 2 / 3 + (total + 2 * start) / (3 * (total + start))
    inner += harmonic(total + start - 2) - harmonic(n + 1) - n * (start - 1) / (3 * (n + 2) * (total + start))
    inner += 1 / n**2 + harmonic(n - 1) / (n + 1)
    closed = math.sqrt(4 * inner / (total + start))
    assert 0.75 * closed < table_bound(eta).value <= closed


def test_the_bound_has_the_units_of_the_theory():
    one, other = convex_bound(wsd(), 300), convex_bound(wsd(), 300, distance=5.0, gradient=0.1)
    assert other.value == pytest.approx(0.5 * one.value)
    assert other.best_peak == pytest.approx(50 * one.best_peak)
    tenth = table_bound(0.1 * wsd().resolve(300).table())
    assert tenth.value == pytest.approx(one.value) and tenth.best_peak == pytest.approx(10 * one.best_peak)
    assert convex_bound(wsd(), 300, gradient=np.ones(300)) == one


def test_rates_of_zero():
    table = linear().resolve(50).table()
    assert table_bound([*table, 0, 0]) == table_bound(table)
    assert table_bound([0, 0, *table]).terms == pytest.approx(table_bound(table).terms, rel=1e-14)
    assert math.isfinite(table_bound([1, 0, 0, 1, 0.5]).value)
    curve = bound_curve([0, 0, 1, 0, 0, 1], distance=2.0, gradient=3.0, peak=0.5)
    assert (
        curve.values[:2].tolist() == [6, 6]
        and curve.values[2] == curve.values[3] == curve.values[4] < math.inf
    )
    with pytest.raises(UserError, match="rate above 0"):
        table_bound([0.0, 0.0])


def test_the_curve_has_the_bound_of_every_prefix_and_falls_in_the_cooldown():
    table = wsd(warmup=5, cooldown="20%").resolve(200).table()
    norms = np.linspace(2, 1, 200)
    best, curve = table_bound(table, gradient=norms), bound_curve(table, gradient=norms)
    assert curve.steps.tolist() == list(range(1, 201)) and curve.peak == best.best_peak
    assert curve.values[-1] == pytest.approx(best.value, rel=1e-12)
    for t in (1, 7, 100, 170):
        start, noise, last = plain(table[:t].tolist(), norms[:t].tolist(), 1.0)
        assert curve.values[t - 1] == pytest.approx(
            start / curve.peak + curve.peak * (noise + last), rel=1e-12
        )
    assert (np.diff(curve.values[160:199]) < 0).all()
    early, late, end = bound_curve(table, at=[120, 160, 200]).values
    assert late - end > 2 * (early - late) > 0
    assert bound_curve(np.ones(5000)).steps.size <= 400


@pytest.mark.parametrize("schedule", [constant(), linear(), cosine(), wsd(warmup="10%")], ids=str)
def test_no_iterate_of_a_subgradient_method_is_above_its_bound(schedule):
    """f = max |x_i|, whose subgradients have norm 1, from a start at distance 1 of its minimum 0."""
    rates, x = schedule.resolve(60).table(), np.full(30, 30**-0.5)
    x[::2] *= -1
    curve = bound_curve(rates)
    for rate, bound in zip(rates, curve.values, strict=True):
        i = int(np.argmax(np.abs(x)))
        assert abs(x[i]) <= bound
        x[i] -= curve.peak * rate * np.sign(x[i])


@pytest.mark.parametrize(
    ("rates", "options", "rule"),
    [
        ([], {}, "rates are a list"),
        ([1, -1], {}, "rates are a list"),
        ([[1.0]], {}, "rates are a list"),
        ([1, math.nan], {}, "rates are a list"),
        ([1, 1], {"distance": 0}, "distance must be"),
        ([1, 1], {"gradient": [1, 0]}, "gradient is a norm"),
        ([1, 1], {"gradient": [1, 1, 1]}, "gradient is a norm"),
    ],
)
def test_what_the_bound_refuses(rates, options, rule):
    for found in (table_bound, bound_curve):
        with pytest.raises(UserError, match=rule):
            found(rates, **options)


def test_what_the_curves_refuse():
    with pytest.raises(UserError, match="from 1 to 2"):
        bound_curve([1, 1], at=[3])
    with pytest.raises(UserError, match="peak must be"):
        bound_curve([1, 1], peak=-1)
    with pytest.raises(UserError, match="points must be"):
        decay_rate(linear(), 10, points=0)
    with pytest.raises(UserError, match="points must be"):
        budget_curve(linear(), 10, points=1)


def test_a_shared_start_is_where_runs_of_two_budgets_part():
    for n in (200, 500):
        short, _ = shared_start(linear(), [n, 1000], tolerance=0.01)
        assert short.steps == pytest.approx(0.01 / (1 / n - 1 / 1000), rel=1e-9), "t/N - t/M = tolerance"
    plateau, whole = shared_start(wsd(warmup=10, cooldown=100), [300, 1000])
    assert plateau.steps == pytest.approx(200 + 0.01 * 100) and whole.part == 1
    assert [s.part for s in shared_start(inverse_sqrt(warmup=20), [100, 400])] == [1.0, 1.0]
    jump, _ = shared_start(step(), [100, 400])
    assert jump.steps == pytest.approx(50)


def test_a_shared_start_needs_budgets_and_a_tolerance():
    for totals, tolerance, words in (
        ([], 0.01, "lengths to compare"),
        ([10], 0, "tolerance"),
        ([10], 2, "tolerance"),
    ):
        with pytest.raises(UserError, match=words):
            shared_start(linear(), totals, tolerance=tolerance)
