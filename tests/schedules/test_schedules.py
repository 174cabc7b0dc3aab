"""Laws over the registered schedules, drawn pieces, and equality with torch's own schedulers."""

import json
import math
import subprocess
import sys
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from schedule_cases import BODIES, CODES, COMBINED, LOOSE, OF_CODES, SOME, SOME_OF_ANY

from preheat.core.errors import UserError
from preheat.core.lengths import Length, epochs, fraction, snug, steps
from preheat.core.registry import SCHEDULES
from preheat.schedules import (
    CURVES,
    Piece,
    Pieces,
    constant,
    cosine,
    one_cycle,
    polynomial,
    step,
)
from preheat.schedules.named import Named

KNOWN = {"per_epoch": 50, "peak": 1e-2}
SAMPLINGS = [(at, every) for at in ("left", "mid", "right") for every in ("step", "epoch")]


def built(name, options, **more):
    """The schedule; a combination is sampled as its parts are, a code of the experiments in its own way."""
    if name in CODES:
        return SCHEDULES.build(name, options)
    if name not in COMBINED:
        return SCHEDULES.build(name, {**options, **more})
    parts = {k: {**v, **more} for k, v in options.items() if k in ("first", "second", "schedule")}
    return SCHEDULES.build(name, {**options, **parts})


def label(case):
    return f"{case[0]}-{json.dumps(case[1])}"


every_case = pytest.mark.parametrize("case", SOME, ids=label)
any_case = pytest.mark.parametrize("case", [*SOME_OF_ANY, *OF_CODES], ids=label)


def test_every_registered_schedule_has_cases():
    shipped = {n for n in SCHEDULES.names() if SCHEDULES[n].__module__.startswith("preheat.schedules.")}
    assert shipped == set(BODIES) | set(LOOSE) | set(CODES)


@any_case
def test_factors_are_finite_in_0_to_1_and_the_peak_is_1(case):
    for at, every in SAMPLINGS:
        rate = built(*case, at=at, every=every).resolve(1000, **KNOWN)
        table = rate.table()
        assert table.shape == (1000,) and table.dtype == np.float64
        assert np.isfinite(table).all() and table.min() >= 0 and table.max() <= 1
    t = np.union1d(np.linspace(0, 1000, 4001), [b.step for b in rate.boundaries()])
    highest = max(rate.curve(t).max(), rate.curve(t, after=False).max())
    assert highest <= 1.0 if not rate.schedule.peaks else highest == 1.0


@any_case
def test_json_round_trip(case):
    for at, every in SAMPLINGS:
        schedule = built(*case, at=at, every=every)
        data = json.loads(json.dumps(schedule.json(), allow_nan=False))
        name = data.pop("name")
        again = SCHEDULES.build(name, data)
        assert name == case[0]
        assert again == schedule and hash(again) == hash(schedule) and again.json() == schedule.json()
        one, other = (made.resolve(77, 10, peak=1e-2) for made in (again, schedule))
        assert one == other and np.array_equal(one.table(), other.table())


@any_case
def test_random_access_equals_the_table_and_the_end_holds(case):
    for at, every in SAMPLINGS:
        rate = built(*case, at=at, every=every).resolve(157, per_epoch=10, peak=1e-2)
        table = rate.table()
        one_by_one = [rate(k) for k in range(157)]
        assert all(type(x) is float for x in one_by_one)
        np.testing.assert_allclose(one_by_one, table, rtol=4e-16, atol=0)
        shuffled = np.random.default_rng(0).permutation(157).reshape(157, 1)
        assert rate(shuffled).shape == (157, 1)
        np.testing.assert_allclose(rate(shuffled)[:, 0], table[shuffled[:, 0]], rtol=4e-16, atol=0)
        np.testing.assert_allclose(rate(np.array([157, 158, 10**9])), table[-1], rtol=4e-16, atol=0)


@any_case
def test_mean_is_the_integral(case):
    rate = built(*case).resolve(1000, **KNOWN)
    assert rate.mean() == pytest.approx(_quadrature(rate), rel=1e-9)


@every_case
def test_mid_sampling_wastes_nothing(case):
    """The mean factor of the updates approaches the integral: exactly for lines, as 1/T^2 for curves."""
    rate = built(*case).resolve(10_000)
    smooth = (
        not any(word in json.dumps(case) for word in ("sqrt", "hyperbolic", "k_decay"))
        and case[1].get("power") != 0.5
    )
    assert rate.table().mean() == pytest.approx(rate.mean(), rel=2e-6 if smooth else 2e-5)


def _quadrature(rate):
    """Gauss-Legendre between boundaries, with t = begin + n sin^2 to tame the roots at the ends."""
    nodes, weights = np.polynomial.legendre.leggauss(60)
    angle = (nodes + 1) * math.pi / 4
    bounds = [b.step for b in rate.boundaries()]
    # where an early warmup is over, and a late one begins
    bounds = sorted({*bounds, *(x for x in (0.5, rate.warmup - 1) if 0 < x < rate.total)})
    total = 0.0
    for a, b in pairwise(bounds):
        t = a + (b - a) * np.sin(angle) ** 2
        total += (rate.curve(t) * weights * np.sin(2 * angle)).sum() * (b - a) * math.pi / 4
    return total / rate.total


@every_case
def test_scale_invariance(case):
    """Lengths in fractions: s depends on t/T only, so every third step of a run three times as long is the
    same."""
    name, options = case
    short, long = (built(name, options, at="left").resolve(t).table() for t in (200, 600))
    np.testing.assert_allclose(short, long[::3], rtol=1e-12, atol=1e-15)


@every_case
def test_epochs_hold_one_value_taken_at_the_epochs_place(case):
    name, options = case
    for at in ("left", "mid", "right"):
        held = built(name, options, at=at, every="epoch").resolve(1000, per_epoch=50).table().reshape(20, 50)
        assert (held == held[:, :1]).all()
        as_steps = built(name, options, at=at).resolve(20).table()
        np.testing.assert_allclose(held[:, 0], as_steps, rtol=1e-12, atol=1e-15)


@every_case
def test_repr_str_and_pieces_are_written(case):
    schedule = built(*case)
    assert repr(schedule).lower().startswith(case[0]) and str(schedule).startswith(case[0])
    assert "segments" not in repr(schedule.resolve(100))
    assert schedule.resolve(100).json() == {"schedule": schedule.json(), "total": 100, "per_epoch": None}


@every_case
def test_a_named_schedule_is_its_pieces_or_says_that_it_has_none(case):
    """Every one of the registry: pieces that are not the schedule would be a wrong answer."""
    named = built(*case, at="left")
    if case[0] == "pieces":
        return
    if type(named).segments is not Named.segments or type(named).decay is not Named.decay:
        with pytest.raises(
            UserError, match=f"{case[0]} can't be written as pieces, got {case[0]}.*: use the schedule itself"
        ):
            named.pieces()
        return
    assert isinstance(named.pieces(), Pieces)
    assert np.array_equal(named.resolve(300).table(), named.pieces().resolve(300).table())
    if named.warmup_curve != "constant":  # which does not rise, but jumps
        assert named.pieces().warmup == named.warmup


# drawn pieces


@st.composite
def drawn_pieces(draw):
    """Pieces that fit: fractions and steps in a run of 400 steps, one rest, any curves, at least one peak."""
    n = draw(st.integers(1, 5))
    rest, peak = draw(st.integers(0, n - 1)), draw(st.integers(0, n - 1))
    factor = st.floats(0, 1).map(lambda x: round(x, 6))
    out = []
    for i in range(n):
        curve = draw(st.sampled_from(sorted(CURVES)))
        low = draw(factor)
        low = max(low, 1e-6) if curve == "exponential" else low
        high = 1.0 if i == peak else max(draw(factor), low)
        start, end = draw(st.permutations([low, high]))
        power = draw(st.floats(0.2, 5)) if curve == "polynomial" else None
        span = draw(st.floats(0.01, 0.19) | st.integers(1, 70) | st.floats(0.1, 7).map(epochs))
        out.append(Piece(None if i == rest else span, start, end, curve, power))
    return Pieces(
        out,
        at=draw(st.sampled_from(["left", "mid", "right"])),
        every=draw(st.sampled_from(["step", "epoch"])),
    )


@settings(max_examples=100, deadline=None)
@given(drawn_pieces())
def test_drawn_pieces_keep_every_law(schedule):
    rate = schedule.resolve(400, per_epoch=10)
    table = rate.table()
    assert np.isfinite(table).all() and table.min() >= 0 and table.max() <= 1
    data = json.loads(json.dumps(schedule.json()))
    assert SCHEDULES.build(data.pop("name"), data) == schedule
    assert rate.mean() == pytest.approx(_quadrature(rate), rel=1e-6)
    k = np.array([399, 0, 17, 212])
    np.testing.assert_allclose(rate(k), table[k], rtol=4e-16, atol=0)
    spans = [s.span for s in rate.segments]
    assert spans[0].begin == 0 and spans[-1].end == 400
    assert all(a.end == b.begin for a, b in pairwise(spans))
    for s in rate.segments:
        ends = rate.curve(np.array([s.span.begin])), rate.curve(np.array([s.span.end]), after=False)
        assert (ends[0][0], ends[1][0]) == pytest.approx((s.form.start, s.form.end), rel=1e-15)


def test_boundaries_are_real_numbers():
    rate = cosine(warmup="5%").resolve(333)
    assert rate.warmup == pytest.approx(16.65, rel=1e-15)
    assert rate(16) == 16.5 / rate.warmup
    assert constant(warmup=0.07, at="left").resolve(100).warmup == 7.0
    assert [snug(x) for x in (0.07 * 100, 6.9999999999, 16.65)] == [7.0, 6.9999999999, 16.65]


def test_percent_splits_that_fill_the_run_are_accepted():
    """Another library's `sum(...) == 1` refuses 204 of these 4,851 splits."""
    for a in range(1, 99):
        for b in range(1, 100 - a):
            spans = [x / 100 for x in (a, b, 100 - a - b)]
            schedule = Pieces([Piece(spans[0], 0, 1), Piece(spans[1], 1, 1), Piece(spans[2], 1, 0)])
            assert [s.span for s in schedule.resolve(100).segments] == [(0, a), (a, a + b), (a + b, 100)]
            assert schedule.resolve(333).segments[-1].span.end == 333


def test_jumps_are_seen_from_the_updates_side():
    for at in ("left", "mid", "right"):
        for one in (
            step(milestones=[30, 60], at=at),
            step(milestones=["7%", "14%"], at=at),
            step(period=10, gamma=0.5, at=at),
        ):
            rate = one.resolve(100)
            drops = [int(b.step) for b in rate.boundaries() if b.label == "drop"]
            assert np.flatnonzero(np.diff(rate.table())).tolist() == [d - 1 for d in drops], (at, one)


def test_cosine_is_exact_to_the_last_step():
    """Against pi and the sine in exact rational arithmetic: 1e-15 relative, where (1 + cos)/2 loses 8
    digits."""
    total = 100_000
    table = cosine(at="left").resolve(total).table()
    pi = Fraction(31415926535897932384626433832795028841971, 10**40)
    for left in (1, 2, 3, 10, 1000):
        x, sine, term = pi * left / (2 * total), Fraction(0), Fraction(0)
        term = x
        for n in range(1, 8):
            sine += term
            term *= -x * x / ((2 * n) * (2 * n + 1))
        assert table[total - left] == pytest.approx(float(sine * sine), rel=1e-15)
    naive = (1 + math.cos(math.pi * (total - 1) / total)) / 2
    assert abs(naive / table[-1] - 1) > 1e-9


def test_boundaries_name_what_begins():
    marks = step(milestones=["50%", "75%"], warmup="10%").resolve(200).boundaries()
    assert [(b.step, b.label) for b in marks] == [
        (0, "start"),
        (20, "warmup ends"),
        (100, "drop"),
        (150, "drop"),
        (200, "end"),
    ]
    assert [b.factor for b in marks] == pytest.approx([0, 1, 0.1, 0.01, 0.01])
    assert [b.step for b in step(period=60).resolve(200).boundaries()] == [0, 60, 120, 180, 200]
    assert [b.label for b in one_cycle().resolve(10).boundaries()] == ["start", "warmup ends", "end"]


def test_warmup_is_the_length_of_the_initial_rise():
    assert cosine(warmup="5ep").warmup == epochs(5)
    assert constant(warmup="0ep").warmup == constant(warmup=0.0).warmup == steps(0)
    assert constant(warmup="0ep") == constant() and constant(warmup="0%").json() == constant().json()
    assert Pieces(
        [Piece("5%", 0, 0.5), Piece("10%", 0.5, 1), Piece(None, 1, 0)]
    ).warmup.value == pytest.approx(0.15)
    assert Pieces([Piece(0, 1, 1), Piece("5%", 0, 1), Piece(None, 1, 0)]).warmup == fraction(0.05)
    assert Pieces([Piece(None, 1, 1)]).warmup == steps(0)
    with pytest.raises(UserError, match="no single length"):
        _ = Pieces([Piece("5%", 0, 0.5), Piece(10, 0.5, 1), Piece(None, 1, 0)]).warmup
    with pytest.raises(UserError, match="no single length"):
        _ = Pieces([Piece(None, 0, 1), Piece("10%", 1, 0)]).warmup


def test_whole_and_real_numbers_declare_the_same_schedule():
    assert json.dumps(cosine(final=0, warmup_start=1).json()) == json.dumps(
        cosine(final=0.0, warmup_start=1.0).json()
    )
    assert json.dumps(Piece(1, 0, 1).json()) == json.dumps(Piece(1, 0.0, 1.0).json())
    assert polynomial(power=2) == polynomial(power=2.0)


def test_lengths_of_every_kind_mean_the_same():
    same = [
        cosine(warmup=w).resolve(1000, per_epoch=20)
        for w in (50, 0.05, "5%", "2.5ep", {"epochs": 2.5}, Length(50, "steps"))
    ]
    assert all(np.array_equal(r.table(), same[0].table()) for r in same)


def test_importing_schedules_loads_nothing_heavy():
    heavy = ("torch", "scipy", "matplotlib", "pydantic")
    code = f"import sys, preheat.schedules; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
