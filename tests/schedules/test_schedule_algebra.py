"""Schedules made of schedules: product, then, scaled, and a budget that changes on the way."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preheat.core.errors import UserError
from preheat.core.lengths import epochs
from preheat.core.levels import level, rate
from preheat.core.registry import SCHEDULES
from preheat.schedules import (
    Pieces,
    constant,
    cosine,
    excerpt,
    exponential,
    inverse_sqrt,
    linear,
    polynomial,
    step,
    wsd,
)

SIMPLE = [
    cosine(warmup="7%"),
    linear(final=0.2),
    wsd(cooldown=0.4),
    step(),
    polynomial(power=0.5),
    inverse_sqrt(timescale=20),
]
some = st.sampled_from(SIMPLE)


def table(schedule, total, per_epoch=None, **more):
    return schedule.resolve(total, per_epoch, **more).table()


def rebuilt(schedule):
    data = json.loads(json.dumps(schedule.json()))
    return SCHEDULES.build(data.pop("name"), data)


@settings(max_examples=60, deadline=None)
@given(some, some, some, st.integers(20, 90), st.integers(1, 60), st.integers(1, 60))
def test_then_is_associative_bit_for_bit(a, b, c, p, gap, rest):
    q = p + gap
    left = a.then(b, at=p).then(c, at=q)
    right = a.then(b.then(c, at=gap), at=p)
    try:
        one, two = table(left, q + rest), table(right, q + rest)
    except UserError:
        pytest.skip("a part does not fit its stretch")
    assert np.array_equal(one, two)
    own = [table(s, n) for s, n in ((a, p), (b, gap), (c, rest))]
    np.testing.assert_allclose(one, np.concatenate(own), rtol=3e-16, atol=0)


@settings(max_examples=40, deadline=None)
@given(some, some, some, st.integers(50, 200))
def test_products_are_pointwise_commutative_and_associative(a, b, c, total):
    one = table(a * b, total)
    np.testing.assert_allclose(one, table(a, total) * table(b, total), rtol=3e-16)
    assert np.array_equal(one, table(b * a, total))
    np.testing.assert_allclose(table(a * (b * c), total), table((a * b) * c, total), rtol=1e-15)
    assert rebuilt(a * b) == a * b


def test_scaled_scales_its_mean_and_keeps_rates_absolute():
    half = linear(at="left").scaled(0.5)
    assert half.resolve(4).table().tolist() == [0.5, 0.375, 0.25, 0.125]
    assert half.resolve(4).mean() == 0.25
    floor = cosine(final="1e-3lr", at="right").scaled(0.5).resolve(10, peak=0.1)
    assert floor(9) * 0.1 == pytest.approx(1e-3, rel=1e-15)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: cosine().then(cosine(at="left"), at=5), "must agree in at"),
        (lambda: cosine() * cosine(every="epoch"), "agree in every"),
        (lambda: cosine().then(cosine(every="epoch"), at=5), "agree in every"),
        (lambda: cosine().scaled(0), "by must be above 0"),
        (lambda: cosine().scaled(2), "by must be above 0"),
        (lambda: cosine().then(linear(), at=0).resolve(10), "begin inside the run"),
        (lambda: cosine().then(linear(), at=10).resolve(10), "begin inside the run"),
        (lambda: cosine().then("bananas", at=1), "unknown schedule"),
        (lambda: cosine(every="epoch").then(cosine(every="epoch"), at=5).resolve(20, 10), "whole epochs"),
    ],
)
def test_combinations_that_mean_nothing_are_errors(make, words):
    with pytest.raises(UserError, match=words):
        make()


@settings(max_examples=60, deadline=None)
@given(
    some,
    st.integers(10, 120),
    st.integers(0, 60),
    st.integers(1, 60),
    st.sampled_from(["left", "mid", "right"]),
)
def test_an_excerpt_is_a_stretch_of_the_longer_run(schedule, spare, begin, total, at):
    was = begin + total + spare
    long = replace(schedule, at=at)
    one = excerpt(long, was=was, begin=begin)
    assert np.array_equal(table(one, total), table(long, was)[begin : begin + total])
    assert rebuilt(one) == one
    with pytest.raises(UserError, match="must lie in the longer run"):
        one.resolve(was - begin + 1)


def test_excerpts_of_held_epochs_begin_with_an_epoch():
    held = cosine(every="epoch")
    assert np.array_equal(table(excerpt(held, was=100, begin="2ep"), 50, 10), table(held, 100, 10)[20:70])
    with pytest.raises(UserError, match="whole epochs"):
        excerpt(held, was=100, begin=15).resolve(50, 10)


def test_schedules_multiply_schedules_and_numbers_up_to_1():
    assert 0.5 * cosine() == cosine() * 0.5 == cosine().scaled(0.5)
    with pytest.raises(UserError, match="at most 1"):
        cosine() * 2
    with pytest.raises(TypeError):
        cosine() * "half"


HOWS = [
    {"how": "rescale"},
    {"how": "cooldown"},
    {"how": "cooldown", "length": 5, "curve": "1-sqrt"},
    {"how": "continue"},
]


SAMPLED = st.tuples(
    st.sampled_from(["left", "mid", "right"]),
    st.sampled_from(["step", "epoch"]),
    st.sampled_from([10, 7, 12.5]),
)


@settings(max_examples=400, deadline=None)
@given(some, st.sampled_from(HOWS), st.integers(0, 100), st.integers(30, 300), SAMPLED)
def test_an_extension_keeps_the_past_and_does_not_jump(schedule, how, at, total, sampled):
    where, every, per_epoch = sampled
    before = replace(schedule, at=where, every=every).resolve(100, per_epoch)
    if every == "epoch":
        at = int(at / per_epoch) * int(per_epoch) if per_epoch != 12.5 else at // 25 * 25
    try:
        after = before.extend(total, at=at, **how)
    except UserError:
        return
    assert after.total == total
    assert np.array_equal(after.table()[:at], before.table()[:at]), "the past"
    end = at == 100 and how["how"] != "continue"
    side = not (at == 0 or how["how"] == "rescale" or how["how"] == "continue") or end
    assert after.curve(float(at)) == pytest.approx(before.curve(float(at), after=not side), abs=1e-9), (
        "no jump"
    )
    assert np.isfinite(after.table()).all() and 0 <= after.table().min() <= after.table().max() <= 1
    assert rebuilt(after.schedule) == after.schedule


@settings(max_examples=60, deadline=None)
@given(some, st.sampled_from(HOWS), st.integers(0, 60), st.integers(90, 300))
def test_an_extension_can_be_extended(schedule, how, at, total):
    try:
        after = schedule.resolve(100).extend(total, at=at, **how)
    except UserError:
        return
    again = min(at + 5, total)
    if after.curve(float(again), after=False) == 0:
        with pytest.raises(UserError, match="nothing is left to cool down"):
            after.extend(total + 50, at=again, how="cooldown")
        return
    twice = after.extend(total + 50, at=again, how="cooldown")
    assert np.array_equal(twice.table()[:again], after.table()[:again])


def test_held_epochs_are_extended_where_an_epoch_begins():
    held = cosine(every="epoch", at="right").resolve(100, 10)
    with pytest.raises(UserError, match=r"where an epoch begins, got update 53 with 10.*write 50"):
        held.extend(200, at=53, how="cooldown")
    rates = held.extend(200, at=50, how="rescale").table().reshape(20, 10)
    assert (rates == rates[:, :1]).all() and np.array_equal(rates[:5].ravel(), held.table()[:50])


def test_a_small_jump_is_a_jump():
    with pytest.raises(UserError, match="which is a jump"):
        linear().resolve(1000).extend(1001, at=100)


def test_continue_is_the_rule_itself_where_it_can_be():
    stable = wsd(warmup=10, cooldown=20).resolve(100).extend(200, at=60)
    assert np.array_equal(stable.table(), table(wsd(warmup=10, cooldown=20), 200))
    assert np.array_equal(
        constant(warmup=5).resolve(10).extend(50, at=10).table(), table(constant(warmup=5), 50)
    )
    with pytest.raises(UserError, match=r"0\.345492 with a total of 100 and 0\.793893 with 200.*rescale"):
        cosine().resolve(100).extend(200, at=60)
    with pytest.raises(UserError, match="can't go on"):
        wsd(cooldown=20).resolve(100).extend(200, at=90)


def test_rescale_plays_what_was_left_at_another_speed():
    old, new = linear().resolve(100), linear().resolve(100).extend(150, at=50, how="rescale")
    t = np.linspace(50, 150, 11)
    np.testing.assert_allclose(new.curve(t), old.curve(50 + (t - 50) / 2), rtol=1e-14, atol=1e-16)
    assert new.mean() * 150 == pytest.approx(37.5 + 2 * 12.5)


def test_cooldown_from_here_ends_at_its_floor():
    new = exponential().resolve(100).extend(80, at=40, how="cooldown", length=10, final=0.05, curve="cosine")
    now = exponential().resolve(100).curve(40.0)
    assert new.table()[45] == pytest.approx(now) and new.curve(80.0, after=False) == pytest.approx(0.05)
    assert [b.label for b in new.boundaries()] == ["start", "hold starts", "cooldown starts", "end"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"total": 50, "at": 60, "how": "cooldown"}, "above 60"),
        ({"total": 200, "at": 101, "how": "cooldown"}, "in the run of 100"),
        ({"total": 200, "at": -1}, "at must be a whole number"),
        ({"total": 200, "at": 1.5}, "at must be a whole number"),
        ({"total": 200, "at": 50, "how": "stretch"}, "rescale"),
        ({"total": 200, "at": 100, "how": "rescale"}, "nothing is left"),
        ({"total": 200, "at": 90, "how": "cooldown", "final": 0.9}, "above its beginning"),
        ({"total": 200, "at": 50, "how": "rescale", "final": 0.1}, "belong to a cooldown"),
        ({"total": 200, "at": 50, "how": "cooldown", "length": 500}, "fit in the run"),
        ({"total": 0, "at": 0}, "total must be"),
    ],
)
def test_extensions_that_cannot_be_are_errors(options, words):
    with pytest.raises(UserError, match=words):
        cosine().resolve(100).extend(**options)


def test_levels_as_rates():
    assert level("final", "1e-6lr") == level("final", {"rate": 1e-6}) == rate(1e-6)
    floor = cosine(final=rate(1e-5), warmup=5, warmup_start="1e-4lr", at="left")
    rates = 1e-2 * floor.resolve("20ep", 10, peak=1e-2).table()
    assert rates[0] == pytest.approx(1e-4) and rates[-1] == pytest.approx(1e-5, rel=0.1)
    assert rebuilt(floor) == floor
    with pytest.raises(UserError, match="needs the peak rate"):
        floor.resolve(100)
    with pytest.raises(UserError, match=r"above the peak rate 1e-06.*1e-05lr"):
        cosine(final=rate(1e-5)).resolve(100, peak=1e-6)
    pieces = Pieces(
        [{"length": 5, "start": "1e-4lr", "end": 1}, {"start": 1, "end": "1e-5lr", "curve": "exponential"}]
    )
    assert rebuilt(pieces) == pieces
    assert pieces.resolve(50, peak=1e-2).boundaries()[-1].factor == pytest.approx(1e-3)
    assert str(pieces) == "pieces(5 0.0001lr to 1, rest 1 to 1e-05lr exponential)"
    for wrong in ("lr", "-1e-6lr", "1e-6 lr lr", "nanlr"):
        with pytest.raises(UserError):
            cosine(final=wrong)


def test_totals_and_lengths_in_samples_and_tokens():
    run = {"per_epoch": 50.0, "samples": 20, "tokens": 1000.0}
    assert cosine().resolve("2ep", **run).total == 100
    assert cosine().resolve("1e3sp", **run).total == 50
    assert cosine().resolve("1.5e4tok", **run).total == 15
    assert cosine().resolve("15001tok", **run).total == 16, "the updates that see all of them"
    assert linear(warmup="4000tok").resolve(100, **run).warmup == 4
    assert linear(warmup="200sp").resolve(100, **run).warmup == 10
    assert linear(warmup="0.1dur").resolve(100).warmup == 10 and linear(warmup="7ba").resolve(100).warmup == 7
    for length, words in (
        ("5tok", "tokens per step"),
        ("5sp", "samples per step"),
        ("5ep", "steps per epoch"),
    ):
        with pytest.raises(UserError, match=words):
            linear(warmup=length).resolve(100)
    for total in ("50%", "1.5x", "0", 2.5, True, None, epochs(0.33)):
        with pytest.raises(UserError):
            cosine().resolve(total, **run)
