"""Defects of torch.optim.lr_scheduler that preheat does not have. `docs/defects.md` lists them with their
threads.

Each test shows what the defect lacks, against a closed form or torch's own uninterrupted run. Where torch
2.13 shows the defect in a line or two, that is asserted too, so that the test proves a difference.
"""

from __future__ import annotations

import copy
import functools
import io
import json
import math
import pickle
import warnings

import numpy as np
import pytest
import torch
from cases import once
from torch.optim import lr_scheduler as theirs
from torch.utils._python_dispatch import TorchDispatchMode

from peers import go, optimizer, ours, rates, stepped, torch_rates
from preheat.adapters.torch import ScheduleLR
from preheat.core.between import Between
from preheat.core.errors import UserError
from preheat.core.levels import rate
from preheat.core.registry import SCHEDULES
from preheat.schedules import (
    Piece,
    Pieces,
    constant,
    cosine,
    exponential,
    linear,
    one_cycle,
    polynomial,
    restarts,
    step,
    torch_one_cycle,
    triangular,
    wsd,
)

MEASURED = torch.__version__.startswith("2.13.")  # the release whose defects are asserted
TOTAL = 300
PEAKS = [1e-2, 3e-3]
CUTS = [*range(1, 290, 8), 30, 50, 60, 120, 150, 200, 250, 280]


def hold(factor):
    """A constant below the peak."""
    return constant(at="left").scaled(factor)


def states(*parts):
    return [copy.deepcopy(p.state_dict()) for p in parts]


INNER = hold(0.5).then(hold(0.2), at=2)


def torch_inner(opt):
    return theirs.SequentialLR(opt, [theirs.ConstantLR(opt, 0.5, 2), theirs.ConstantLR(opt, 0.2, 10)], [2])


# --- Composition -----------------------------------------------------------------------------------------


def test_196243_196242_a_composite_stage_does_not_advance_when_it_is_built():
    np.testing.assert_array_equal(ours(INNER.then(hold(0.3), at=5), 7), [0.5, 0.5, 0.2, 0.2, 0.2, 0.3, 0.3])
    if MEASURED:
        wrong = torch_rates(lambda o: theirs.SequentialLR(o, [torch_inner(o)], []), 5, lr=1.0)
        np.testing.assert_allclose(wrong, [0.5, 0.2, 0.2, 0.2, 0.2])


def test_67957_132745_composites_may_be_later_stages():
    np.testing.assert_array_equal(
        ours(hold(0.1).then(INNER, at=3), 8), [0.1, 0.1, 0.1, 0.5, 0.5, 0.2, 0.2, 0.2]
    )
    falling = hold(0.5) * exponential(final=0.9**5, at="left")
    np.testing.assert_allclose(
        ours(hold(0.1).then(falling, at=3), 8)[3:], 0.5 * 0.9 ** np.arange(5), rtol=1e-15
    )
    if MEASURED:
        with pytest.raises(NotImplementedError):
            torch_rates(
                lambda o: theirs.SequentialLR(o, [theirs.ConstantLR(o, 0.1, 9), torch_inner(o)], [3]),
                8,
                lr=1.0,
            )


def test_168044_22798_24352_26423_26179_composition_does_not_depend_on_how_it_is_bracketed():
    """torch: closed forms and chainable forms came and went, for every stage changes what the others find."""
    a, b, c = cosine(warmup=3, at="left"), wsd(cooldown=0.5, at="left"), INNER
    left, right = a.then(b, at=20).then(c, at=30), a.then(b.then(c, at=10), at=20)
    np.testing.assert_array_equal(ours(left, 40), ours(right, 40))
    np.testing.assert_array_equal(ours(left, 40)[20:30], b.resolve(10).table())
    np.testing.assert_allclose(ours(a * (b * c), 40), ours((c * a) * b, 40), rtol=1e-15)


def test_22107_20527_the_rate_that_is_asked_for_is_the_rate_in_use():
    """torch's get_lr() is one drop ahead, and step(epoch) given the same epoch again once dropped again."""
    opt = optimizer(0.1)
    scheduler = ScheduleLR(opt, step(milestones=[3, 6], at="left"), 9)
    for k in range(9):
        assert scheduler.get_lr() == rates(opt) == [pytest.approx(0.1 * 0.1 ** (k // 3), rel=1e-14)]
        go(opt, scheduler, 1)
    for epoch in (0, 0, 3, 3, 3, 8, 8, 2, 2):
        scheduler.step(epoch)
        assert rates(opt) == [pytest.approx(0.1 * 0.1 ** (epoch // 3), rel=1e-14)]
    if MEASURED:
        opt = optimizer(0.1)
        ahead = theirs.MultiStepLR(opt, [3, 6])
        go(opt, ahead, 3)
        with pytest.warns(UserWarning, match="get_last_lr"):
            assert ahead.get_lr() == [pytest.approx(0.1 * rates(opt)[0])]


def test_185872_a_stage_of_no_steps_leaves_no_trace():
    with pytest.raises(
        UserError, match="must begin inside the run of 4 steps, got 0 = 0: write a place above 0"
    ):
        hold(0.1).then(exponential(at="left"), at=0).resolve(4)
    empty = Pieces([Piece(0, 0.1, 0.1), Piece(None, 1, 0.5**4, "exponential")], at="left")
    np.testing.assert_allclose(ours(empty, 4), 0.5 ** np.arange(4), rtol=1e-15)


def test_67586_nothing_is_said_while_stages_change():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opt = optimizer(1.0)
        stages = [ScheduleLR(opt, hold(0.5), 2, peak=1.0), ScheduleLR(opt, hold(0.2), 3, peak=1.0)]
        np.testing.assert_array_equal(
            stepped(opt, theirs.SequentialLR(opt, stages, [2]), 5), [0.5, 0.5, 0.2, 0.2, 0.2]
        )
        ours(hold(0.1).then(INNER, at=3), 8)


def test_180594_a_product_is_the_product_of_its_parts():
    k = np.arange(12)
    rise = 0.1 + 0.9 * np.minimum(k, 5) / 5
    fall = 0.1 + 0.9 * np.cos(math.pi * np.minimum(k, 11) / 24) ** 2
    made = constant(warmup=5, warmup_start=0.1, at="left") * cosine(final=0.1, at="left")
    np.testing.assert_allclose(ours(made, 12), rise * fall, rtol=1e-14)
    parts = [constant(warmup=5, warmup_start=0.1, at="left"), exponential(final=0.9**12, at="left")]
    for one, other in (parts, parts[::-1]):  # torch: a LambdaLR erases what came before it
        np.testing.assert_allclose(ours(one * other, 12), rise * 0.9**k, rtol=1e-14)
    if MEASURED:
        chained = torch_rates(
            lambda o: theirs.ChainedScheduler(
                [theirs.LinearLR(o, 0.1, 1.0, 5), theirs.CosineAnnealingLR(o, 10, 0.1)]
            ),
            5,
            lr=1.0,
        )
        assert chained[4] == pytest.approx(0.5814, abs=1e-4)  # the product is 0.5650
        erased = torch_rates(
            lambda o: theirs.ChainedScheduler(
                [theirs.LinearLR(o, 0.1, 1.0, 5), theirs.LambdaLR(o, lambda t: 0.9**t)]
            ),
            5,
            lr=1.0,
        )
        np.testing.assert_allclose(erased[1:], 0.9 ** np.arange(1, 5))


# --- Resuming --------------------------------------------------------------------------------------------


def both(opt, made, saved):
    scheduler = made(opt)
    opt.load_state_dict(saved[0])
    scheduler.load_state_dict(saved[1])
    return scheduler


def optimizer_first(opt, made, saved):
    opt.load_state_dict(saved[0])
    scheduler = made(opt)
    scheduler.load_state_dict(saved[1])
    return scheduler


def last_epoch(opt, made, saved):
    opt.load_state_dict(saved[0])
    return made(opt, last_epoch=saved[1]["last_epoch"] - 1)


def scheduler_only(opt, made, saved):
    scheduler = made(opt)
    scheduler.load_state_dict(saved[1])
    return scheduler


ORDERS = [both, optimizer_first, last_epoch, scheduler_only]
RISE = constant(warmup=50, warmup_start=0.01, at="left")
# torch's class: (torch's scheduler, ours)
PAIRS = {
    "LambdaLR": (
        lambda o: theirs.LambdaLR(o, lambda t: 0.5 * (1 + math.cos(math.pi * t / TOTAL))),
        cosine(at="left"),
    ),
    "StepLR": (lambda o: theirs.StepLR(o, 30, 0.5), step(period=30, gamma=0.5)),
    "MultiStepLR": (lambda o: theirs.MultiStepLR(o, [50, 200], 0.1), step(milestones=[50, 200])),
    "ConstantLR": (
        lambda o: theirs.ConstantLR(o, 0.1, 150),
        constant(warmup=150, warmup_curve="constant", warmup_start=0.1, at="left"),
    ),
    "LinearLR": (
        lambda o: theirs.LinearLR(o, 0.01, 1.0, 250),
        constant(warmup=250, warmup_start=0.01, at="left"),
    ),
    "ExponentialLR": (lambda o: theirs.ExponentialLR(o, 0.98), exponential(final=0.98**TOTAL, at="left")),
    "PolynomialLR": (lambda o: theirs.PolynomialLR(o, TOTAL, 2.0), polynomial(at="left")),
    "CosineAnnealingLR": (
        lambda o: theirs.CosineAnnealingLR(o, TOTAL, 1e-6),
        cosine(final=rate(1e-6), at="left"),
    ),
    "CosineAnnealingWarmRestarts": (
        lambda o: theirs.CosineAnnealingWarmRestarts(o, 20, 2),
        restarts(period=20, mult=2, at="left"),
    ),
    "CyclicLR": (
        lambda o: theirs.CyclicLR(o, [1e-4, 3e-5], PEAKS, 37, cycle_momentum=False),
        triangular(rise=37, base=0.01, at="left"),
    ),
    "OneCycleLR": (
        lambda o: theirs.OneCycleLR(o, PEAKS, TOTAL, cycle_momentum=False),
        torch_one_cycle(TOTAL),
    ),
    "SequentialLR": (
        lambda o: theirs.SequentialLR(
            o, [theirs.LinearLR(o, 0.01, 1.0, 50), theirs.CosineAnnealingLR(o, TOTAL - 50)], [50]
        ),
        RISE.then(cosine(at="left"), at=50),
    ),
    "ChainedScheduler": (
        lambda o: theirs.ChainedScheduler([theirs.LinearLR(o, 0.01, 1.0, 50), theirs.ExponentialLR(o, 0.99)]),
        RISE * exponential(final=0.99**TOTAL, at="left"),
    ),
}


@functools.cache
def uninterrupted(name):
    """The rates of both groups in one run of torch's scheduler: [T, 2]."""
    opt = optimizer(PEAKS, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scheduler, out = PAIRS[name][0](opt), []
        for _ in range(TOTAL):
            out.append(rates(opt))
            go(opt, scheduler, 1)
    return np.array(out)


@functools.cache
def checkpoints(name):
    """{k: both states before update k} of a run of ours."""
    opt, out = optimizer(PEAKS, 2), {}
    scheduler = ScheduleLR(opt, PAIRS[name][1], TOTAL, peak=PEAKS)
    for k in range(TOTAL):
        if k in CUTS:
            out[k] = states(opt, scheduler)
        go(opt, scheduler, 1)
    return out


RESTORED = [(name, ORDERS[(i + j) % len(ORDERS)]) for j in range(len(ORDERS)) for i, name in enumerate(PAIRS)]


@pytest.mark.parametrize(("name", "order"), once(RESTORED, lambda case: case))
def test_168044_125531_every_restore_order_gives_the_uninterrupted_rates_of_torch(name, order):
    """At 45 cuts. In torch only the first order is right for every class, and nothing raises in the other
    three."""
    table = uninterrupted(name)
    for k, saved in checkpoints(name).items():
        opt = optimizer(PEAKS, 2)
        scheduler = order(
            opt, lambda o, **kw: ScheduleLR(o, PAIRS[name][1], TOTAL, **kw), copy.deepcopy(saved)
        )
        assert scheduler.last_epoch == k
        tail = []
        for _ in range(min(4, TOTAL - k)):
            tail.append(rates(opt))
            go(opt, scheduler, 1)
        scheduler.set(TOTAL - 1)
        np.testing.assert_allclose(
            [*tail, rates(opt)], [*table[k : k + 4], table[-1]], rtol=1e-10, atol=1e-16
        )


def torch_resumed(make, k, lr=1.0):
    """(rate before saving at update k, rate after a resume by last_epoch) in torch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        opt = optimizer(lr)
        scheduler = make(opt, -1)
        go(opt, scheduler, k)
        again = optimizer(lr)
        again.load_state_dict(states(opt)[0])
        make(again, k - 1)
    return rates(opt)[0], rates(again)[0]


def ours_resumed(schedule, k, total=TOTAL, lr=1.0):
    """The same with the adapter."""
    opt = optimizer(lr)
    scheduler = ScheduleLR(opt, schedule, total)
    go(opt, scheduler, k)
    again = optimizer(lr)
    again.load_state_dict(states(opt)[0])
    ScheduleLR(again, schedule, total, last_epoch=k - 1)
    return rates(opt)[0], rates(again)[0]


def test_162591_171515_a_sequence_is_restored_at_every_cut():
    schedule = RISE.then(cosine(at="left"), at=50)
    for k in CUTS:
        want = 0.01 + 0.99 * k / 50 if k < 50 else math.sin(math.pi / 2 * (TOTAL - k) / 250) ** 2
        assert ours_resumed(schedule, k) == pytest.approx((want, want), rel=1e-12)
    if MEASURED:

        def make(o, last):
            parts = [theirs.LinearLR(o, 0.01, 1.0, 50), theirs.CosineAnnealingLR(o, TOTAL - 50)]
            return theirs.SequentialLR(o, parts, [50], last_epoch=last)

        assert all(
            before != pytest.approx(after, rel=1e-3)
            for before, after in (torch_resumed(make, k) for k in (9, 120, 280))
        )


def loaded_alone(make):
    """The rates where a scheduler's state of update 10 is all that is loaded, and 5 updates later."""
    opt, again = optimizer(1.0), optimizer(1.0)
    scheduler = make(opt)
    go(opt, scheduler, 10)
    resumed = scheduler_only(again, make, [None, *states(scheduler)])
    at_once = rates(again)
    go(again, resumed, 5)
    return [at_once, rates(again)]


def test_29697_a_drop_is_made_once_also_when_resumed_on_it():
    assert ours_resumed(step(period=10), 20) == pytest.approx((0.01, 0.01), rel=1e-15)
    assert ours_resumed(step(milestones=[20]), 20) == (0.1, 0.1)
    assert ours_resumed(PAIRS["ConstantLR"][1], 150) == (1.0, 1.0)
    alone = loaded_alone(lambda o: ScheduleLR(o, step(milestones=[5]), 15))
    assert alone == [pytest.approx([0.1])] * 2
    if MEASURED:
        assert loaded_alone(lambda o: theirs.MultiStepLR(o, [5])) == [[1.0]] * 2
        for make, k, want in (
            (lambda o, last: theirs.StepLR(o, 10, 0.1, last), 20, 0.1),
            (lambda o, last: theirs.MultiStepLR(o, [20], 0.1, last), 20, 0.1),
            (lambda o, last: theirs.ConstantLR(o, 0.1, 20, last), 20, 10.0),
        ):
            before, after = torch_resumed(make, k)
            assert after == pytest.approx(want * before)


def test_88791_110497_110493_restarts_resume_inside_the_right_cycle():
    """Cycles of 10, 20, 40: update 45 is 15 steps into the third. torch finds 5 steps into one of 20."""
    schedule = restarts(period=10, mult=2, at="left")
    for k, left in ((9, 1 / 10), (10, 1.0), (29, 1 / 20), (30, 1.0), (45, 25 / 40), (69, 1 / 40)):
        want = math.sin(math.pi / 2 * left) ** 2
        assert ours_resumed(schedule, k, 70) == pytest.approx((want, want), rel=1e-14)
    if MEASURED:
        before, after = torch_resumed(
            lambda o, last: theirs.CosineAnnealingWarmRestarts(o, 10, 2, last_epoch=last), 45
        )
        assert abs(before - after) > 0.1


def test_119168_65342_60265_2788_a_restored_rate_is_the_rate_that_is_used():
    """torch's LinearLR, built on a restored optimizer, stays 100 times too low for ever."""
    schedule, saved = PAIRS["LinearLR"][1], checkpoints("LinearLR")[120]
    for order in (optimizer_first, last_epoch, scheduler_only):
        opt = optimizer(PEAKS, 2)
        order(opt, lambda o, **kw: ScheduleLR(o, schedule, TOTAL, **kw), copy.deepcopy(saved))
        assert (
            rates(opt)
            == rates_of(saved)
            == pytest.approx([p * (0.01 + 0.99 * 120 / 250) for p in PEAKS], rel=1e-14)
        )
    if MEASURED:
        opt = optimizer(1.0)
        make = functools.partial(theirs.LinearLR, start_factor=0.01, total_iters=250)
        scheduler = make(opt)
        go(opt, scheduler, 120)
        again = optimizer(1.0)
        resumed = optimizer_first(again, make, states(opt, scheduler))
        go(again, resumed, 5)
        assert rates(again)[0] < 0.02 * rates(opt)[0]


def rates_of(saved):
    return [g["lr"] for g in saved[0]["param_groups"]]


def told(do):
    """What the warnings say while `do` runs."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        do()
    return " ".join(str(w.message) for w in heard)


def test_156846_70_a_new_peak_and_a_new_schedule_given_on_resume_are_used():
    """torch: asked for 1e-3, runs at 1e-2, for the state brings back the old rate and the old arguments."""
    opt = optimizer(1e-2)
    scheduler = ScheduleLR(opt, cosine(at="left"), 10)
    go(opt, scheduler, 3)
    saved, again = states(opt, scheduler), optimizer(1e-3)
    factor = math.sin(math.pi / 2 * 0.7) ** 2
    assert not {"schedule", "total"} & set(saved[1])

    def resume(schedule, total):
        both(again, lambda o: ScheduleLR(o, schedule, total, peak=1e-3), copy.deepcopy(saved))

    assert "peak" in told(lambda: resume(cosine(at="left"), 10))
    assert rates(again) == [pytest.approx(1e-3 * factor, rel=1e-14)]
    again = optimizer(1e-3)
    assert "what was given here stays" in told(lambda: resume(linear(at="left"), 30))
    assert rates(again) == [pytest.approx(1e-3 * 0.9, rel=1e-14)]
    if MEASURED:
        opt = optimizer(1e-2)
        scheduler = theirs.CosineAnnealingLR(opt, 10)
        go(opt, scheduler, 3)
        again = optimizer(1e-3)
        both(again, lambda o: theirs.CosineAnnealingLR(o, 10), states(opt, scheduler))
        assert rates(again) == pytest.approx([1e-2 * factor])


def test_21965_a_second_scheduler_takes_the_rate_that_was_set():
    opt = optimizer(1e-2)
    ScheduleLR(opt, cosine(), 10)
    opt.param_groups[0]["lr"] = 5e-2
    assert ScheduleLR(opt, cosine(), 10).base_lrs == [5e-2] == [opt.param_groups[0]["initial_lr"]]
    if MEASURED:
        opt = optimizer(1e-2)
        theirs.CosineAnnealingLR(opt, 10)
        opt.param_groups[0]["lr"] = 5e-2
        assert theirs.CosineAnnealingLR(opt, 10).base_lrs == [1e-2]


def test_21965_a_second_scheduler_does_not_take_a_warmups_first_rate_for_the_peak():
    """Built twice without an update between: either the peak is 1 still, or somebody is asked which it is."""
    opt = optimizer(1.0)
    ScheduleLR(opt, cosine(warmup=50), 100)
    try:
        again = ScheduleLR(opt, cosine(warmup=50), 100)
        go(opt, again, 50)
    except UserError as error:
        assert "peak" in str(error)
    else:
        assert rates(opt) == pytest.approx([math.sin(math.pi / 2 * 49.5 / 50) ** 2], rel=1e-14)


# --- The end of the run, and edges -----------------------------------------------------------------------


def test_37916_17913_a_cosine_holds_past_its_end_and_needs_a_length():
    got = ours(cosine(final=0.1, at="right"), 11, total=5)
    assert list(got[4:]) == [0.1] * 7 and (np.diff(got) <= 0).all()
    with pytest.raises(UserError, match=r"whole number of steps >= 1.* got 0"):
        cosine().resolve(0)
    if MEASURED:
        climbs = torch_rates(lambda o: theirs.CosineAnnealingLR(o, 5), 11, lr=1.0)
        assert climbs[5] == pytest.approx(0) and climbs[10] == pytest.approx(1)
        with pytest.raises(ZeroDivisionError):
            torch_rates(lambda o: theirs.CosineAnnealingLR(o, 0), 3)


def test_78003_a_new_scheduler_after_the_end_is_not_stuck_at_0():
    opt = optimizer(0.1)
    go(opt, ScheduleLR(opt, cosine(at="right"), 5), 5)
    assert rates(opt) == [0.0]
    again = ScheduleLR(opt, cosine(at="left"), 5)
    assert rates(opt) == [0.1]
    go(opt, again, 1)
    assert rates(opt) == [pytest.approx(0.1 * math.sin(math.pi / 2 * 0.8) ** 2, rel=1e-14)]


def test_47561_95122_restarts_reach_their_floor_and_may_shrink():
    """The last update of each cycle is the floor; torch never comes to eta_min, and wants a whole T_mult >=
    1."""
    got = ours(restarts(period=4, mult=2, final=0.1, at="right"), 12)
    assert got[3] == got[11] == 0.1 == got.min()
    shrinking = ours(restarts(period=8, mult=0.5, at="left"), 14)
    assert [k for k in range(14) if shrinking[k] == 1.0] == [0, 8, 12]
    if MEASURED:
        with pytest.raises(ValueError, match="T_mult"):
            theirs.CosineAnnealingWarmRestarts(optimizer(), 8, 0.5)


@pytest.mark.parametrize(("period", "mult", "k"), [(1, 3, 121), (10, 3, 1210), (1, 10, 111)])
def test_restarts_found_without_a_logarithm(period, mult, k):
    """Found here: torch's step(epoch) takes int(log(...)) and sees the lowest rate where a cycle begins."""
    opt = optimizer(1.0)
    scheduler = ScheduleLR(opt, restarts(period=period, mult=mult, at="left"), 20_000)
    scheduler.step(k)
    assert rates(opt) == [1.0]
    scheduler.step(k - 1)
    last = (
        k - sum(period * mult**n for n in range(20) if sum(period * mult**i for i in range(n + 1)) < k)
    ) or 1
    assert rates(opt)[0] == pytest.approx(math.sin(math.pi / 2 / last) ** 2, rel=1e-12)
    if MEASURED:
        opt = optimizer(1.0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs.CosineAnnealingWarmRestarts(opt, period, mult).step(k)
        assert rates(opt)[0] < 1e-6


def test_23480_a_restart_is_not_one_update_late():
    """Cycles of 1, 2, 4: torch began with an update at the floor, and every restart came one later."""
    table = ours(restarts(period=1, mult=2, at="left"), 9, total=15)
    assert np.flatnonzero(table == 1.0).tolist() == [0, 1, 3, 7]


def test_193682_a_warmup_of_no_steps_is_over():
    np.testing.assert_array_equal(ours(constant(warmup=0, warmup_start=1 / 3), 5), np.ones(5))
    if MEASURED:
        np.testing.assert_allclose(
            torch_rates(lambda o: theirs.LinearLR(o, total_iters=0), 5, lr=1.0), np.full(5, 1 / 3)
        )


def test_86454_86695_a_warmup_may_begin_at_0():
    np.testing.assert_array_equal(ours(constant(warmup=4, at="left"), 6), [0, 0.25, 0.5, 0.75, 1, 1])
    if MEASURED:
        with pytest.raises(ValueError, match="greater than 0"):
            theirs.LinearLR(optimizer(), 0.0)


def test_194712_195853_187814_a_factor_of_0_that_ends():
    idle = constant(warmup=3, warmup_curve="constant", warmup_start=0, at="left")
    np.testing.assert_array_equal(ours(idle, 5), [0, 0, 0, 1, 1])
    if MEASURED:
        with pytest.raises(ZeroDivisionError):
            torch_rates(lambda o: theirs.ConstantLR(o, 0.0, 3), 5)


def test_38170_2954_11_one_cycle_goes_on_past_its_end_and_can_be_extended():
    opt = optimizer(1.0)
    scheduler = ScheduleLR(opt, one_cycle(at="right"), 10)
    go(opt, scheduler, 25)
    assert rates(opt) == [4e-6] and scheduler.last_epoch == 25
    scheduler.set(6)
    scheduler.extend(40, how="rescale")
    go(opt, scheduler, 33)
    assert rates(opt) == [pytest.approx(4e-6, rel=1e-12)]
    if MEASURED:
        with pytest.raises(ValueError, match="Tried to step"):
            torch_rates(lambda o: theirs.OneCycleLR(o, 1.0, 10, cycle_momentum=False), 13)


@pytest.mark.parametrize(("total", "pct"), [(10, 0.1), (100, 0.01), (2, 0.5), (3, 0.3)])
def test_180187_one_cycle_has_no_phase_without_width(total, pct):
    """torch divides by zero where the rise is one step, and starts three steps of 0.3 near the peak."""
    got = ours(one_cycle(warmup=pct, at="left"), total)
    assert got[0] == 0.04 and got.max() <= 1 and (got > 0).all()
    with pytest.raises(UserError, match=r"every phase of a cycle .* must take time"):
        torch_one_cycle(total, pct_start=pct)
    if MEASURED and total == 3:
        assert (
            torch_rates(
                lambda o: theirs.OneCycleLR(o, 1.0, 3, pct_start=0.3, cycle_momentum=False), 1, lr=1.0
            )[0]
            > 0.99
        )
    elif MEASURED:
        with pytest.raises(ZeroDivisionError):
            torch_rates(
                lambda o: theirs.OneCycleLR(o, 1.0, total, pct_start=pct, cycle_momentum=False), total
            )


@pytest.mark.parametrize("curve", ["linear", "cosine"])
def test_one_cycle_is_never_negative(curve):
    """Found here: one update past a linear one of torch's has the rate -0.0143 of the highest."""
    got = ours(one_cycle(curve=curve, warmup_curve=curve, at="left"), 110, total=100)
    assert (got > 0).all() and list(got[99:]) == [got[99]] * 11
    if MEASURED:
        opt = optimizer(1.0)
        scheduler = theirs.OneCycleLR(opt, 1.0, 100, anneal_strategy="linear", cycle_momentum=False)
        go(opt, scheduler, 100)
        assert rates(opt)[0] < -0.01


def test_2143_extending_takes_effect_and_does_not_jump():
    """100 updates made 200 at update 60: torch silently keeps the old total, OneCycleLR raises at its end."""
    opt = optimizer(1e-2)
    scheduler = ScheduleLR(opt, cosine(at="left"), 100)
    go(opt, scheduler, 60)
    before, saved = rates(opt)[0], states(opt, scheduler)
    again = optimizer(1e-2)
    with pytest.warns(UserWarning, match="another schedule or total"):
        both(again, lambda o: ScheduleLR(o, cosine(at="left"), 200), copy.deepcopy(saved))
    assert rates(again) == [pytest.approx(1e-2 * math.sin(math.pi / 2 * 0.7) ** 2, rel=1e-14)]
    scheduler.extend(200, how="rescale")
    assert rates(opt)[0] == before
    go(opt, scheduler, 70)  # half of what was left then, played over 140 updates
    assert rates(opt) == [pytest.approx(1e-2 * math.sin(math.pi / 2 * 0.2) ** 2, rel=1e-13)]
    if MEASURED:
        opt = optimizer(1e-2)
        scheduler = theirs.CosineAnnealingLR(opt, 100)
        go(opt, scheduler, 60)
        again = optimizer(1e-2)
        longer = both(again, lambda o: theirs.CosineAnnealingLR(o, 200), states(opt, scheduler))
        go(again, longer, 39)
        assert rates(again)[0] < 3e-6  # 5.1e-3 with 200 updates


# --- Groups, hooks, tensors ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAIRS)
def test_104361_62475_a_group_may_be_added_under_every_schedule(name):
    """In torch some raise, and LinearLR drives the new group to 5.5 times what it was given."""
    schedule = PAIRS[name][1]
    opt = optimizer(1e-2)
    scheduler = ScheduleLR(opt, schedule, TOTAL)
    go(opt, scheduler, 1)
    own = {"lr": 5e-3, "initial_lr": 5e-3}
    opt.add_param_group({"params": [torch.zeros(1, requires_grad=True)], **own})
    go(opt, scheduler, 49)
    want = [peak * schedule.resolve(TOTAL, peak=peak)(50) for peak in (1e-2, 5e-3)]
    assert rates(opt) == pytest.approx(want, rel=1e-14)
    if MEASURED and name in ("LambdaLR", "CosineAnnealingWarmRestarts", "OneCycleLR", "SequentialLR"):
        opt = optimizer(PEAKS, 2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scheduler = PAIRS[name][0](opt)
            opt.add_param_group({"params": [torch.zeros(1, requires_grad=True)], "lr": 5e-3})
            with pytest.raises((ValueError, KeyError)):
                go(opt, scheduler, 60)


def skipped_then_taken(opt, scheduler):
    """Two batches under a gradient scaler: the gradients of the first overflow, and its update is skipped."""
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    (param,) = opt.param_groups[0]["params"]
    for slope in (math.inf, 1.0):
        opt.zero_grad()
        scaler.scale((param * slope).sum()).backward()
        scaler.step(opt)
        scaler.update()
        scheduler.step()


def test_44511_55585_67590_21339_no_false_alarm_about_the_order_of_calls():
    """torch warns after a skipped AMP step, and where another function stands in for optimizer.step."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opt = optimizer(1.0)
        skipped_then_taken(opt, ScheduleLR(opt, linear(at="left"), 10))
        assert rates(opt) == [0.9]
        opt = optimizer(1.0)
        scheduler = ScheduleLR(opt, linear(at="left"), 10)
        opt.step = functools.partial(opt.step)
        scheduler.step()
        assert scheduler.last_epoch == 0
        go(opt, scheduler, 3)
        assert rates(opt) == [0.7]
    if MEASURED:
        opt = optimizer(1.0)
        with pytest.warns(UserWarning, match=r"`lr_scheduler.step\(\)` before `optimizer.step\(\)`"):
            skipped_then_taken(opt, theirs.StepLR(opt, 1, 0.9))
        assert rates(opt) == pytest.approx([0.81])  # one update was done


def test_2263_2681_21460_the_optimizers_step_is_left_alone():
    """torch replaces it, which fails where torch.compile has done so before."""
    opt = optimizer(1.0)
    before = opt.step
    ScheduleLR(opt, linear(at="left"), 10)
    assert opt.step == before and "step" not in vars(opt)
    opt.step = torch.compile(opt.step, backend="eager")
    scheduler = ScheduleLR(opt, linear(at="left"), 10)
    assert scheduler.get_last_lr() == [1.0]
    if MEASURED:
        with pytest.raises(AttributeError, match="__func__"):
            theirs.CosineAnnealingLR(opt, 10)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_133898_tensor_rates_and_betas_that_move_compile_once():
    import torch._dynamo.testing

    torch._dynamo.reset()
    counter = torch._dynamo.testing.CompileCounter()
    p = torch.nn.Parameter(torch.randn(8))
    p.grad = torch.randn(8)
    betas = (torch.tensor(0.9), torch.tensor(0.999))
    opt = torch.optim.AdamW([p], lr=torch.tensor(1e-3), betas=betas, capturable=True, foreach=False)
    scheduler = ScheduleLR(opt, one_cycle(), 100, also={"beta1": Between(one_cycle(), 0.95, 0.85)})
    update = torch.compile(opt.step, backend=counter)
    for _ in range(12):
        update()
        scheduler.step()
    assert scheduler.last_epoch == 12 and counter.frame_count == 1
    assert float(betas[0]) == pytest.approx(0.95 - 0.1 * one_cycle().resolve(100)(12), rel=1e-6)


def test_163103_162360_163098_163120_a_tensor_rate_stays_the_tensor_it_is():
    """torch once put one tensor into lr, initial_lr, base_lrs and _last_lr: writing one wrote all."""
    tensor = torch.tensor(0.1)
    opt = torch.optim.AdamW([torch.zeros(1, requires_grad=True)], lr=tensor)
    scheduler = ScheduleLR(opt, cosine(at="left"), 10)
    go(opt, scheduler, 5)
    assert opt.param_groups[0]["lr"] is tensor and float(tensor) == pytest.approx(0.05, rel=1e-7)
    assert scheduler.base_lrs == [pytest.approx(0.1, rel=1e-7)] and scheduler.get_last_lr()[0] is not tensor
    assert opt.param_groups[0]["initial_lr"] == pytest.approx(0.1, rel=1e-7)
    scheduler.set(0)
    assert float(tensor) == np.float32(0.1)


def test_162360_a_tensor_rate_in_torchs_sequence_does_not_scale_the_later_stage():
    tensor = torch.tensor(1.0)
    opt = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=tensor)
    stages = [
        ScheduleLR(opt, constant(warmup=4, warmup_start=0.2, at="left"), 4, peak=1.0),
        ScheduleLR(opt, linear(at="left"), 4, peak=1.0),
    ]
    got = stepped(opt, theirs.SequentialLR(opt, stages, [4]), 8)
    np.testing.assert_allclose(got, [0.2, 0.4, 0.6, 0.8, 1.0, 0.75, 0.5, 0.25], rtol=1e-6)
    assert opt.param_groups[0]["lr"] is tensor


class Reads(TorchDispatchMode):
    """Counts the tensors whose value is read: on a GPU each waits for all that was asked of it before."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def test_133663_a_tensor_rate_is_written_without_reading_it():
    opt = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=torch.tensor(1.0))
    scheduler = ScheduleLR(opt, linear(at="left"), 10)
    for _ in range(5):
        opt.step()
        with Reads() as reads:
            scheduler.step()
        assert reads.count == 0
    assert rates(opt) == [0.5]


def test_163103_groups_that_share_one_tensor_have_their_own_rates():
    """AdamW([{...}, {...}], lr=tensor) puts the same tensor into both groups."""
    opt = torch.optim.AdamW(
        [{"params": [torch.zeros(1, requires_grad=True)]} for _ in range(2)], lr=torch.tensor(1e-3)
    )
    assert opt.param_groups[0]["lr"] is opt.param_groups[1]["lr"]
    try:
        scheduler = ScheduleLR(opt, linear(at="left"), 10, peak=[1e-3, 1e-2])
    except UserError as error:
        assert "tensor" in str(error)
    else:
        assert rates(opt) == pytest.approx(scheduler.get_last_lr(), rel=1e-6)


def test_88684_90414_94450_schedules_and_schedulers_pickle():
    """And so does the state: numbers and lists, no optimizer and no function, which torch's may hold."""
    opt = optimizer(1.0)
    scheduler = ScheduleLR(opt, RISE * restarts(period=20, at="left"), TOTAL)
    go(opt, scheduler, 33)
    file = io.BytesIO()
    torch.save(scheduler.state_dict(), file)
    file.seek(0)
    assert torch.load(file, weights_only=True) == scheduler.state_dict()
    again, resumed = pickle.loads(pickle.dumps((opt, scheduler)))
    go(again, resumed, 20)
    go(opt, scheduler, 20)
    assert rates(again) == rates(opt) and resumed.last_epoch == scheduler.last_epoch == 53


@pytest.mark.parametrize("name", PAIRS)
def test_94450_21689_every_schedule_is_data(name):
    """What torch can't save, a lambda, is here a schedule with a JSON form that gives the same table."""
    schedule = PAIRS[name][1]
    text = json.loads(json.dumps(schedule.json()))
    again = SCHEDULES.build(text.pop("name"), text)
    np.testing.assert_array_equal(
        again.resolve(TOTAL, peak=1.0).table(), schedule.resolve(TOTAL, peak=1.0).table()
    )
    assert pickle.loads(pickle.dumps(schedule)) == schedule


# --- Requests --------------------------------------------------------------------------------------------


def test_68332_67761_a_schedule_is_a_function_of_the_step_without_an_optimizer():
    rate_of = cosine(warmup=10, at="left").resolve(100)
    assert rate_of(5) == 0.5 and rate_of(55) == pytest.approx(0.5, rel=1e-15)
    np.testing.assert_array_equal(
        rate_of(np.array([[5, 55], [99, 0]])), [[rate_of(5), rate_of(55)], [rate_of(99), 0.0]]
    )


def test_83159_22343_any_number_of_a_group_follows_a_schedule():
    opt = optimizer(1.0)
    opt.param_groups[0]["weight_decay"] = 0.1
    moves = {
        "weight_decay": Between(linear(at="left"), 0.0, 0.1),
        "momentum": Between(linear(at="left"), 0.95, 0.85),
    }
    scheduler = ScheduleLR(opt, constant(), 10, also=moves)
    go(opt, scheduler, 4)
    group = opt.param_groups[0]
    assert (group["weight_decay"], group["momentum"]) == pytest.approx((0.06, 0.89), rel=1e-14)


def test_50282_each_group_has_a_schedule_of_its_own():
    opt = optimizer([1.0, 1.0], 2)
    scheduler = ScheduleLR(opt, [linear(at="left"), step(period=4, gamma=0.5)], 10)
    go(opt, scheduler, 5)
    assert rates(opt) == [0.5, 0.5]
    go(opt, scheduler, 2)
    assert rates(opt) == [pytest.approx(0.3), 0.5]


def test_180200_warmup_and_cosine_are_one_schedule():
    k = np.arange(100)
    want = np.where(k < 10, k / 10, np.sin(math.pi / 2 * (100 - k) / 90) ** 2)
    np.testing.assert_allclose(ours(cosine(warmup=10, at="left"), 100), want, rtol=1e-14)
