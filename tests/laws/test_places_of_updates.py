"""Laws over the registry: a warmup may have a place of its own, a product keeps that of each part, a floor
cuts."""

import json
from dataclasses import fields

import numpy as np
import pytest
from schedule_cases import SOME, SOME_OF_ANY

from preheat.core.errors import UserError
from preheat.core.registry import SCHEDULES
from preheat.schedules import linear, step, untuned_linear

T, W, N = 200, 20, 10  # a run, its warmup, and an epoch
PLACES = [(at, early) for at in ("left", "mid", "right") for early in ("left", "mid", "right")]
NAMED = [c for c in SOME if "warmup_at" in {f.name for f in fields(SCHEDULES[c[0]])}]


def label(case):
    return f"{case[0]}-{json.dumps(case[1])}"


def built(case, **more):
    name, options = case
    return SCHEDULES.build(name, {**options, **more})


@pytest.mark.parametrize("case", NAMED, ids=label)
def test_the_updates_of_a_warmup_take_their_own_place(case):
    for every in ("step", "epoch"):
        run = {"total": T if every == "step" else T * N, "per_epoch": N}
        known = {"every": every, "warmup": W if every == "step" else f"{W}ep"}
        tables = {
            at: built(case, at=at, **known).resolve(**run).table()[:: N if every == "epoch" else 1]
            for at in ("left", "mid", "right")
        }
        for at, early in PLACES:
            made = built(case, at=at, warmup_at=early, **known)
            mixed = made.resolve(**run)
            table = mixed.table()[:: N if every == "epoch" else 1]
            np.testing.assert_allclose(table[:W], tables[early][:W], rtol=1e-12, atol=1e-15)
            np.testing.assert_array_equal(table[W:], tables[at][W:])
            assert mixed.warmup == (W if every == "step" else W * N)
            assert at == early or "written as pieces" in refusal(made.pieces)


def refusal(call):
    with pytest.raises(UserError) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize("case", SOME_OF_ANY, ids=label)
def test_each_part_of_a_product_keeps_its_place(case):
    first = SCHEDULES.build(*case)
    where = first.at
    for at in ("left", "mid", "right"):
        for other in (linear(at=at, final=0.2), step(at=at, milestones=[50, 60])):
            parts = first.resolve(157).table() * other.resolve(157).table()
            for both in (first * other, other * first):
                np.testing.assert_allclose(both.resolve(157).table(), parts, rtol=1e-14, atol=1e-300)
                assert both.at == min(where, at, key=("left", "mid", "right").index)
    epochs = first.every == "step" and "must agree in every" in refusal(lambda: first * linear(every="epoch"))
    assert epochs or first.every == "epoch"


@pytest.mark.parametrize("case", SOME_OF_ANY, ids=label)
def test_a_floor_cuts_what_comes_after_the_warmup(case):
    plain = SCHEDULES.build(*case)
    before = plain.resolve(157)
    for floor in (0.0, 0.07, 0.4, 1.0):
        after, t = plain.floored(floor).resolve(157), np.linspace(0, 157, 999)
        late = (t >= before.warmup) & (before.warmup < 157)
        np.testing.assert_array_equal(after.curve(t)[~late], before.curve(t)[~late])
        np.testing.assert_array_equal(after.curve(t)[late], np.maximum(before.curve(t)[late], floor))
        fine = after.curve((np.arange(100_000) + 0.5) * 157 / 100_000).mean()
        assert after.mean() == pytest.approx(fine, rel=1e-4)
    rated = plain.floored("0.02lr").resolve(157, peak=0.1)
    np.testing.assert_allclose(rated.table(), plain.floored(0.2).resolve(157).table(), rtol=1e-15)


def test_a_damping_that_is_ahead_ends_where_it_ends():
    damped = (untuned_linear(beta2=0.9, at="right") * linear(at="left")).resolve(100)
    assert [(b.step, b.label) for b in damped.boundaries()] == [
        (0, "start"),
        (19, "warmup ends"),
        (100, "end"),
    ]
    assert damped.warmup == 19
