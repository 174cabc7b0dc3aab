"""Defects of the schedules of optax, Keras, transformers, timm, Composer, fastai and others that preheat does
not have.

`docs/defects.md` lists them with their threads. Each test shows what the defect lacks, against a closed form;
where the library is installed and shows the defect in a line or two, that is asserted too, so that the test
proves a difference.
"""

from __future__ import annotations

import ast
import copy
import functools
import io
import math
import re
import tokenize
import warnings
from collections import defaultdict
from dataclasses import dataclass, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pytest
import torch

from peers import go, optimizer, ours, rates, stepped, timm_schedulers
from preheat.adapters.optax import as_optax
from preheat.adapters.torch import ScheduleLR
from preheat.core.between import Between
from preheat.core.errors import UserError
from preheat.core.lengths import length
from preheat.core.levels import rate
from preheat.core.registry import SCHEDULES
from preheat.schedules import (
    Piece,
    Pieces,
    constant,
    cosine,
    linear,
    one_cycle,
    polynomial,
    radam,
    restarts,
    rex,
    step,
    untuned_exponential,
    untuned_linear,
    untuned_period,
    wsd,
)
from preheat.schedules.form import Segment, Span
from preheat.schedules.named import Named
from preheat.schedules.rule import Rule


def measured(package, release):
    """Whether the release is installed whose defects are asserted."""
    try:
        return version(package).startswith(release)
    except PackageNotFoundError:
        return False


OPTAX, TRANSFORMERS, TIMM = (
    measured("optax", "0.2.8"),
    measured("transformers", "5."),
    measured("timm", "1.0."),
)
PYTORCH_WARMUP = measured("pytorch-warmup", "0.2.0")


def transformers_factor(name, *arguments):
    """The factor of a step, from a schedule of transformers."""
    home = pytest.importorskip("transformers.optimization")
    return getattr(home, name)(optimizer(1.0), *arguments).lr_lambdas[0]


# --- The first update and the last -----------------------------------------------------------------------

NEEDED = {
    "hyperbolic": {"upper": 100},
    "exp_hyperbolic": {"upper": 100},
    "hyperboliclr": {"upper": 100},
    "restarts": {"period": 90},
    "triangular": {"rise": 20},
    "inverse_sqrt": {"timescale": 30},
    "inverse_time": {"timescale": 50},
    "k_decay": {"k": 2},
    "power_law": {"onset": 20},
    "tabulated": {"values": [1, 0.5]},
    "spline": {"places": ["20%", "100%"], "factors": [1, 0]},
}


def named():
    """Every schedule of the registry that has the warmup options, by name."""
    kinds = {name: SCHEDULES[name] for name in SCHEDULES.names()}
    return [name for name, kind in kinds.items() if isinstance(kind, type) and issubclass(kind, Named)]


def made(name, **options):
    return SCHEDULES.build(name, {**NEEDED.get(name, {}), **options})


@pytest.mark.parametrize("name", named())
def test_34754_1293_58_1373_3674_10582_578_1261_10981_no_update_is_wasted_at_rate_0(name):
    """With the defaults the first update of a warmup over 10 is at 1/20; at="left", on request, it is at
    0."""
    rise = {"warmup": 10, "warmup_curve": "linear", "warmup_start": 0.0}
    tables = {at: made(name, at=at, **rise).resolve(100).table() for at in ("mid", "left", "right")}
    np.testing.assert_allclose(tables["mid"][:10], (np.arange(10) + 0.5) / 10, rtol=1e-14)
    np.testing.assert_allclose(tables["left"][:10], np.arange(10) / 10, rtol=1e-14)
    np.testing.assert_allclose(tables["right"][:10], (np.arange(10) + 1) / 10, rtol=1e-14)
    assert (tables["mid"] > 0).all() and made(name, **rise).at == "mid"


def test_34754_what_others_do_with_the_first_update():
    if TRANSFORMERS:
        assert transformers_factor("get_linear_schedule_with_warmup", 10, 100)(0) == 0
    if OPTAX:
        assert float(pytest.importorskip("optax").warmup_cosine_decay_schedule(0.0, 1.0, 10, 100)(0)) == 0
    assert cosine(warmup=10).resolve(100)(0) == 0.05


def test_642_which_update_sees_the_end_is_said_by_one_option():
    """T or T - 1: at="right" the last update is on the floor, at="left" one step before it, the default half
    a step."""
    last = {at: linear(final=0.1, at=at).resolve(10)(9) for at in ("left", "mid", "right")}
    assert last == {"left": pytest.approx(0.1 + 0.9 / 10), "mid": pytest.approx(0.1 + 0.9 / 20), "right": 0.1}


@pytest.mark.parametrize("name", named())
def test_905_past_the_end_the_last_value_holds(name):
    """Found here: cosines of transformers, torch and pytorch_optimizer climb again, linear ones turn
    negative. The formula in optax's documentation climbed too."""
    for at in ("left", "mid", "right"):
        rate_of = made(name, at=at).resolve(100, per_epoch=10)
        assert rate_of([100, 101, 150, 200, 10**6]).tolist() == [rate_of(99)] * 5
    if TRANSFORMERS and name == "cosine":
        assert transformers_factor("get_cosine_schedule_with_warmup", 0, 100)(200) == pytest.approx(1)


# --- optax and Keras -------------------------------------------------------------------------------------


def test_835_one_vocabulary_for_all_schedules():
    """In optax warmup and decay are called and counted differently from schedule to schedule."""
    common = ["warmup", "warmup_curve", "warmup_start", "warmup_power", "at", "every"]
    for name in named():
        assert [f.name for f in fields(SCHEDULES[name])][:6] == common
        assert not {"init_value", "alpha", "eta_min", "total", "decay_steps"} & {
            f.name for f in fields(SCHEDULES[name])
        }


def test_835_1289_the_total_is_the_whole_run_and_the_warmup_is_part_of_it_once():
    """Megatron-style code subtracted the warmup twice; whether optax's decay_steps include it depends on the
    schedule."""
    for warmup in (0, 1, 10, 99):
        table = linear(warmup=warmup, at="right").resolve(100).table()
        k = np.arange(1, 101)
        want = np.where(k < warmup, k / max(warmup, 1), (100 - k) / (100 - warmup))
        np.testing.assert_allclose(table, want, rtol=1e-13)


def test_1781_one_cycle_ends_where_it_says():
    assert one_cycle(at="right").resolve(100)(99) == one_cycle().final == 4e-6
    assert one_cycle(final=1e-4, at="right").resolve(100)(99) == 1e-4
    if OPTAX:  # documented: the peak over final_div_factor, 1e-4
        assert float(pytest.importorskip("optax").linear_onecycle_schedule(100, 1.0)(100)) == pytest.approx(
            4e-6
        )


@pytest.mark.parametrize("total", [1, 2, 3])
def test_a_cycle_of_few_steps_has_a_rise(total):
    """Found here: optax's start at the peak, for the rise is cut to no step."""
    assert one_cycle(at="left").resolve(total)(0) == 0.04
    if OPTAX and total == 3:
        optax = pytest.importorskip("optax")
        assert (
            float(optax.linear_onecycle_schedule(3, 1.0)(0))
            == float(optax.cosine_onecycle_schedule(2, 1.0)(0))
            == 1
        )


def test_1426_16696_weight_decay_and_momentum_follow_schedules_by_group():
    opt = optimizer([1.0, 1.0], 2)
    opt.param_groups[0]["weight_decay"] = 0.1
    moves = Between(cosine(at="left"), 0.0, 0.1)
    scheduler = ScheduleLR(opt, linear(at="left"), 10, also={"weight_decay": [moves, None]})
    go(opt, scheduler, 5)
    assert [g["weight_decay"] for g in opt.param_groups] == [pytest.approx(0.05), 0] and rates(opt) == [
        0.5,
        0.5,
    ]


def test_415_update_k_uses_the_rate_of_update_k():
    jax, optax = pytest.importorskip("jax"), pytest.importorskip("optax")
    sgd = optax.inject_hyperparams(optax.sgd)(learning_rate=as_optax(linear(at="left"), 4, peak=1.0))
    params, moved = jax.numpy.zeros(()), []
    state = sgd.init(params)
    for _ in range(4):
        change, state = sgd.update(jax.numpy.ones(()), state, params)
        moved.append(-float(change))
    assert moved == [1.0, 0.75, 0.5, 0.25]


def test_boundaries_of_a_sequence_are_checked():
    """Found here: optax takes places in any order, and fewer of them than schedules."""
    one, two, three = (constant(at="left").scaled(f) for f in (0.1, 0.2, 0.3))
    with pytest.raises(UserError, match="must begin inside the run of 5 steps, got 10 = 10"):
        one.then(two, at=10).then(three, at=5).resolve(20)
    with pytest.raises(TypeError):
        one.then(two)
    np.testing.assert_array_equal(
        one.then(two, at=5).then(three, at=10).resolve(20)([3, 7, 12]), [0.1, 0.2, 0.3]
    )
    if OPTAX:
        joined = pytest.importorskip("optax").join_schedules(
            [lambda s: 1.0, lambda s: 2.0, lambda s: 3.0], [10, 5]
        )
        assert float(joined(7)) == 3


@dataclass(frozen=True)
class Counted(Rule):
    """A constant that notes every evaluation."""

    calls: tuple[list[int], ...]
    at: str = "left"
    every: str = "step"

    def segments(self, run):
        return (Segment(Span(0.0, float(run.total)), "stable", self),)

    def value(self, t, span, *, after):
        self.calls[0].append(1)
        return np.ones(np.shape(t))

    def area(self, span):
        return span.end - span.begin

    def jumps(self, span):
        return []

    def json(self):
        return {"name": "counted"}


def test_only_the_stage_at_hand_is_evaluated():
    """Found here: optax.join_schedules evaluates all of 20 at every step."""
    notes = [[] for _ in range(20)]
    joined = Counted((notes[0],))
    for i in range(1, 20):
        joined = joined.then(Counted((notes[i],)), at=5 * i)
    rate_of = joined.resolve(100)
    for note in notes:
        note.clear()
    assert rate_of(57) == 1.0
    assert [len(n) for n in notes] == [int(i == 11) for i in range(20)]


def test_the_last_updates_of_a_float32_cosine_are_not_0():
    """Found here: optax computes in float32, and the last 7 of 100,000 updates are at rate 0."""
    pytest.importorskip("jax")
    k = np.arange(99_990, 100_000)
    got = np.asarray(as_optax(cosine(at="left"), 100_000, peak=1e-3)(k), dtype=np.float64)
    np.testing.assert_allclose(got, 1e-3 * np.sin(np.pi / 2 * (100_000 - k) / 100_000) ** 2, rtol=4e-7)
    if OPTAX:
        theirs = np.asarray(pytest.importorskip("optax").cosine_decay_schedule(1e-3, 100_000)(k))
        assert (theirs[-7:] == 0).all()


def test_lengths_beyond_32_bits():
    """Found here: optax.polynomial_schedule of 3e9 steps is an OverflowError."""
    assert linear(at="left").resolve(3_000_000_000)(1_500_000_000) == 0.5
    assert polynomial(at="left").resolve(4 * 10**12)(3 * 10**12) == 0.0625


def test_21772_a_floor_is_a_ratio_or_says_that_it_is_a_rate():
    assert 1e-3 * cosine(final=0.1, at="right").resolve(10, peak=1e-3)(9) == 1e-4
    assert 1e-3 * cosine(final="1e-4lr", at="right").resolve(10, peak=1e-3)(9) == 1e-4
    with pytest.raises(UserError, match="needs the peak rate"):
        cosine(final="1e-4lr").resolve(10)


@pytest.mark.parametrize("name", named())
def test_a_warmup_is_never_ignored(name):
    """Found here: Keras drops warmup_steps without a word where warmup_target is missing."""
    bare = made(name, warmup=10).resolve(100)
    assert bare.warmup == 10 and bare(0) < bare(9) <= 1


@pytest.mark.parametrize("at", ["left", "mid", "right"])
def test_a_milestone_is_the_first_update_at_the_new_rate(at):
    """Found here: Keras' PiecewiseConstantDecay drops one update later than torch."""
    assert step(milestones=[10], at=at).resolve(20)([9, 10, 11]).tolist() == [1, 0.1, 0.1]
    assert step(period=10, at=at).resolve(20)([9, 10, 11]).tolist() == [1, 0.1, 0.1]


@pytest.mark.parametrize("name", named())
def test_warmups_are_evaluated_on_arrays_of_any_shape(name):
    """Found here: Keras' CosineDecay with a warmup raises on an array."""
    rate_of = made(name, warmup=10).resolve(100)
    k = np.array([[0, 5, 99], [10, 9, 11]])
    np.testing.assert_array_equal(rate_of(k), [[rate_of(int(i)) for i in row] for row in k])


# --- transformers, Accelerate, Lightning, Megatron -------------------------------------------------------


def test_35942_the_last_rate_is_the_one_that_the_next_update_uses():
    """And a logger that reads it before the update logs what the update uses, not the rate of its
    neighbour."""
    opt, logged, used = optimizer(1.0), [], []
    scheduler = ScheduleLR(opt, linear(at="left"), 4)
    opt.register_step_pre_hook(lambda *_: used.append(rates(opt)))
    for _ in range(4):
        logged.append(scheduler.get_last_lr())
        go(opt, scheduler, 1)
    assert logged == used == [[1.0], [0.75], [0.5], [0.25]]


@pytest.mark.parametrize("at", ["left", "mid", "right"])
def test_siblings_share_their_convention(at):
    """Found here: cosine_warmup_with_min_lr starts at 1/W and ends at T - 1, cosine_with_min_lr at 0 and
    T."""
    floored, plain = (cosine(warmup=10, final=f, at=at).resolve(100) for f in (0.1, 0.0))
    np.testing.assert_allclose(floored.table()[10:], 0.1 + 0.9 * plain.table()[10:], rtol=1e-14)
    np.testing.assert_array_equal(floored.table()[:10], plain.table()[:10])
    if TRANSFORMERS and at == "left":
        arguments = {"min_lr_rate": 0.1}
        home = pytest.importorskip("transformers.optimization")
        one, other = (
            home.get_scheduler(n, optimizer(1.0), 10, 100, arguments).lr_lambdas[0]
            for n in ("cosine_with_min_lr", "cosine_warmup_with_min_lr")
        )
        assert (one(0), other(0)) == (0, pytest.approx(0.1)) and other(120) > other(99) == pytest.approx(0.1)


def test_a_floor_is_each_groups_own_ratio_or_one_rate_for_all():
    """Found here: transformers divides lr_end by the first group's rate: groups of 1e-3 and 1e-1 end at 1e-4
    and 1e-2."""
    for final, want in ((0.1, [1e-4, 1e-2]), (rate(1e-4), [1e-4, 1e-4])):
        opt = optimizer([1e-3, 1e-1], 2)
        ScheduleLR(opt, linear(final=final, at="right"), 10).set(9)
        assert rates(opt) == pytest.approx(want, rel=1e-14)
    if TRANSFORMERS:
        opt = optimizer([1e-3, 1e-1], 2)
        opt.defaults["lr"] = 1e-3
        home = pytest.importorskip("transformers.optimization")
        go(opt, home.get_scheduler("polynomial", opt, 0, 10, {"lr_end": 1e-4}), 10)
        assert rates(opt) == pytest.approx([1e-4, 1e-2])


def test_a_trapezoid_that_does_not_fit_is_an_error():
    """Found here: transformers jumps from 0.975 to 0.854 where warmup and decay are longer than the run."""
    with pytest.raises(
        UserError, match=r"must fit in the run, got warmup 40 \+ cooldown 80 = 120 steps of 100"
    ):
        wsd(warmup=40, cooldown=80).resolve(100)
    table = wsd(warmup=40, cooldown=60, at="left").resolve(100).table()
    assert np.abs(np.diff(table)).max() == pytest.approx(1 / 40)
    if TRANSFORMERS:
        factor = transformers_factor("get_wsd_schedule", 40, 80, 100)
        assert factor(39) - factor(40) > 0.1


def resumed(schedule, k, total=100):
    """An optimizer and its scheduler, restored before update k."""
    opt = optimizer(0.1)
    scheduler = ScheduleLR(opt, schedule, total)
    go(opt, scheduler, k)
    saved = [copy.deepcopy(p.state_dict()) for p in (opt, scheduler)]
    again = optimizer(0.1)
    new = ScheduleLR(again, schedule, total)
    again.load_state_dict(saved[0])
    new.load_state_dict(saved[1])
    return again, new


def test_1547_1627_47115_a_step_after_loading_does_not_count_twice():
    """Trainers that step on resume moved the schedule; Keras began at the wrong step."""
    opt, scheduler = resumed(linear(at="left"), 40)
    assert rates(opt) == [pytest.approx(0.06)]
    scheduler.step()
    scheduler.step()
    assert scheduler.last_epoch == 40 and rates(opt) == [pytest.approx(0.06)]
    go(opt, scheduler, 1)
    assert rates(opt) == [pytest.approx(0.059)]


def test_3882_a_state_is_a_place_and_all_that_moves_is_there_at_once():
    """Automodel added the saved step to the step at hand, and moved the weight decay one update too late."""
    moves = {"weight_decay": Between(linear(at="left"), 0.0, 0.5)}
    opt = optimizer(0.1)
    opt.param_groups[0]["weight_decay"] = 0.5
    scheduler = ScheduleLR(opt, linear(at="left"), 100, also=moves)
    scheduler.set(40)
    saved = copy.deepcopy(scheduler.state_dict())
    go(opt, scheduler, 7)
    for _ in range(2):
        scheduler.load_state_dict(copy.deepcopy(saved))
        assert scheduler.last_epoch == 40 and rates(opt) == [pytest.approx(0.06)]
        assert opt.param_groups[0]["weight_decay"] == pytest.approx(0.3)


def test_1138_1284_5213_7468_what_is_given_now_wins_over_what_was_saved():
    """Megatron's override flags mixed old and new rates, and restored a stale weight decay."""
    old = optimizer(0.1)
    old.param_groups[0]["weight_decay"] = 0.5
    first = ScheduleLR(
        old, linear(at="left"), 100, also={"weight_decay": Between(linear(at="left"), 0.0, 0.5)}
    )
    go(old, first, 40)
    again = optimizer(0.01)
    moves = {"weight_decay": Between(cosine(at="left"), 0.0, 0.2)}
    new = ScheduleLR(again, cosine(final="1e-4lr", at="left"), 200, peak=0.01, also=moves)
    again.load_state_dict(copy.deepcopy(old.state_dict()))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        new.load_state_dict(copy.deepcopy(first.state_dict()))
    assert "another schedule or total" in " ".join(str(w.message) for w in told)
    factor = math.sin(math.pi / 2 * 0.8) ** 2
    assert rates(again) == [pytest.approx(1e-4 + (0.01 - 1e-4) * factor, rel=1e-13)]
    assert again.param_groups[0]["weight_decay"] == pytest.approx(0.2 * factor, rel=1e-13)


def test_17544_21926_periods_of_updates_go_on_over_the_end_of_an_epoch():
    """Lightning's frequency counts inside an epoch: 30 batches never come in epochs of 24. Here the schedule
    counts."""
    table = ours(step(period=30, gamma=0.5), 72)
    assert [k for k in range(1, 72) if table[k] != table[k - 1]] == [30, 60]
    held = linear(every="epoch", at="left").resolve(72, per_epoch=24).table()
    np.testing.assert_allclose(held, np.repeat([1, 2 / 3, 1 / 3], 24), rtol=1e-15)


def test_1476_a_step_call_at_every_batch_goes_on_at_every_update():
    opt = optimizer(1.0)
    opt.param_groups[0]["params"][0].grad = torch.zeros(1)
    scheduler = ScheduleLR(opt, linear(at="left"), 18)
    for batch in range(72):
        if batch % 4 == 3:
            opt.step()
        scheduler.step()
    assert scheduler.last_epoch == 18


def test_21491_lengths_say_their_unit_and_a_clock_of_batches_is_one():
    """A run whose accumulation changes is compared by batches: 4 batches an update, then 2, then 1."""
    run = {"per_epoch": 50, "samples": 8, "tokens": 4096}
    for text in ("25ba", "0.25dur", "0.5ep", "200sp", "102400tok"):
        assert cosine(warmup=text).resolve(100, **run).warmup == 25
    assert cosine().resolve("409600tok", tokens=4096).total == 100
    opt = optimizer(1.0)
    scheduler = ScheduleLR(opt, linear(at="left"), 24, count="calls")
    used = []
    for batch in range(24):
        if (batch + 1) % (4, 2, 1)[batch // 8] == 0:
            used.append((batch, rates(opt)[0]))
            opt.step()
        scheduler.step()
    assert len(used) == 2 + 4 + 8
    assert used == [(batch, pytest.approx(1 - batch / 24)) for batch, _ in used]


# --- timm, Composer, fastai, ignite, fvcore, mmengine ----------------------------------------------------


@pytest.mark.parametrize("name", named())
def test_1242_2312_the_rate_does_not_drop_where_the_warmup_ends(name):
    """timm's cosine has run on meanwhile: 0.95, 0.9045."""
    curve = made(name, warmup=20, warmup_curve="linear", warmup_start=0.0, at="left").resolve(100)
    assert curve(19) == pytest.approx(0.95) and curve(20) == 1.0
    floored = cosine(warmup=20, final=0.1, at="right").resolve(100)
    assert floored(99) == 0.1 < floored(98)  # timm's, moved behind the warmup, ends above its floor
    if TIMM and name == "cosine":
        theirs = timm_schedulers().CosineLRScheduler(optimizer(1.0), 100, warmup_t=20, t_in_epochs=False)
        assert theirs._get_lr(20)[0] < theirs._get_lr(19)[0]
        moved = timm_schedulers().CosineLRScheduler(
            optimizer(1.0), 100, lr_min=0.1, warmup_t=20, warmup_prefix=True, t_in_epochs=False
        )
        assert moved._get_lr(99)[0] > 0.15


def test_2745_2753_a_drop_at_epoch_10_is_at_epoch_10():
    """timm's MultiStepLRScheduler drops one epoch before."""
    table = step(milestones=["10ep"]).resolve("20ep", per_epoch=3).table()
    np.testing.assert_array_equal(table, np.repeat([1, 0.1], 30))
    if TIMM:
        theirs = timm_schedulers().MultiStepLRScheduler(
            optimizer(1.0), decay_t=[10], decay_rate=0.1, t_in_epochs=True
        )
        assert theirs._get_lr(9)[0] == pytest.approx(0.1)


@pytest.mark.parametrize(("period", "mult", "k"), [(1, 3, 121), (10, 3, 1210), (1, 10, 111)])
def test_cycles_found_without_a_logarithm(period, mult, k):
    """Found here: timm's cycle index is a float logarithm: the lowest rate where a cycle begins."""
    assert restarts(period=period, mult=mult, at="left").resolve(20_000)(k) == 1.0
    if TIMM:
        scheduler = timm_schedulers().CosineLRScheduler(
            optimizer(1.0), period, cycle_mul=float(mult), cycle_limit=10**6, t_in_epochs=False
        )
        assert scheduler._get_lr(k)[0] < 1e-6


def test_2458_3115_3099_1350_units_mix_and_are_resolved_once():
    for text, unit, value in (
        ("5ep", "epochs", 5),
        ("2.5ep", "epochs", 2.5),
        ("0.1dur", "fraction", 0.1),
        ("1e3tok", "tokens", 1000),
    ):
        assert (length(text).unit, length(text).value) == (unit, value)
    mixed = wsd(warmup="1e6tok", cooldown="1.5ep").resolve("0.01e9tok", per_epoch=40, tokens=1e5)
    assert mixed.total == 100 and [b.step for b in mixed.boundaries()] == [0, 10, 40, 100]
    assert mixed(150) == mixed(99)  # a run may be longer than its schedule
    with pytest.raises(UserError, match="needs the steps per epoch"):
        wsd(warmup="1ep").resolve(100)  # units that nothing converts are told when the run is known
    whole = constant(warmup="100%", at="right").resolve(10).table()
    np.testing.assert_allclose(whole, np.arange(1, 11) / 10, rtol=1e-14)  # as long as the run
    for wrong in ("-5ep", "banana", "0.5ba", "1h"):
        with pytest.raises(UserError, match=r"steps must be whole|not a length"):
            length(wrong)


def test_1384_a_resume_past_the_old_end_follows_the_new_total():
    _, scheduler = resumed(cosine(at="left"), 100)
    longer = (
        cosine(final=0.1, at="left").resolve(100).extend(200, at=100, how="cooldown", length=50, final=0.0)
    )
    assert scheduler.get_last_lr() == [0.1 * cosine(at="left").resolve(100)(99)] and longer(175) < longer(
        150
    ) == longer(100)
    opt = optimizer(0.1)
    again = ScheduleLR(opt, cosine(at="left"), 200)
    with pytest.warns(UserWarning, match="another schedule or total"):
        again.load_state_dict(scheduler.state_dict())
    assert rates(opt) == [pytest.approx(0.05)]


def test_1268_a_shorter_run_shortens_fractions_and_keeps_steps():
    for total in (100, 50):
        assert cosine(warmup="10%").resolve(total).warmup == total / 10
        assert cosine(warmup="10ba").resolve(total).warmup == 10


def test_259_463_schedules_have_no_state():
    rate_of = restarts(period=7, mult=2).resolve(100)
    order = np.random.default_rng(0).permutation(100)
    np.testing.assert_array_equal([rate_of(int(k)) for k in order], rate_of.table()[order])


def test_schedules_stack_multiplicatively():
    """Found here: Composer says so, and two factors of one half give one half."""
    half = constant(at="left").scaled(0.5)
    np.testing.assert_array_equal(ours(half * half, 3), [0.25] * 3)


def test_a_short_warmup_is_not_cut_to_nothing():
    """Found here: Composer makes no step of 0.05 of 10 batches."""
    rate_of = linear(warmup="5%", at="left").resolve(10)
    assert rate_of.warmup == 0.5 and rate_of(0) == 0.0 and rate_of(1) == pytest.approx(9 / 9.5)


def test_341_all_splits_in_whole_percents_are_accepted():
    """Found here: fastai asserts that the parts sum to exactly 1.0, and refuses 204 of 4851 splits in
    three."""
    refused = 0
    for a in range(1, 99):
        for b in range(1, 100 - a):
            parts = [a / 100, b / 100, (100 - a - b) / 100]
            refused += sum(parts) != 1.0
            pieces = (Piece(parts[0], 0, 1), Piece(parts[1], 1, 1), Piece(parts[2], 1, 0))
            rate_of = Pieces(pieces, at="right").resolve(1000)
            assert rate_of(999) == 0 and rate_of(10 * a - 1) == pytest.approx(1)
            assert rate_of(1000) == 0  # fastai's index was out of bounds at the end
    assert refused == 204


def test_cycles_of_equal_length_divide_by_nothing():
    """Found here: fastai's fit_sgdr(cycle_mult=1) divides by 0."""
    table = restarts(period=10, mult=1, at="left").resolve(40).table()
    np.testing.assert_array_equal(np.flatnonzero(table == 1), [0, 10, 20, 30])


def test_any_update_can_be_the_first():
    """Found here: fastai's fit_flat_cos ignores its start_epoch."""
    opt = optimizer(1.0)
    schedule = wsd(cooldown=0.25, cooldown_curve="cosine", at="left")
    scheduler = ScheduleLR(opt, schedule, 100, peak=1.0, last_epoch=86)
    assert scheduler.last_epoch == 87
    assert rates(opt) == [pytest.approx(math.sin(math.pi / 2 * 13 / 25) ** 2, rel=1e-14)]


def test_645_2910_a_warmup_is_as_long_as_it_says_and_what_follows_begins_at_its_own_first_rate():
    """ignite's was one update too long and skipped the first rate after it; restarts came to nothing."""
    np.testing.assert_allclose(
        ours(constant(warmup=3, at="left").then(step(period=2, gamma=0.5, at="left"), at=3), 8),
        [0, 1 / 3, 2 / 3, 1, 1, 0.5, 0.5, 0.25],
        rtol=1e-14,
    )
    table = ours(restarts(period=10, warmup=5, at="left"), 35)
    np.testing.assert_allclose(table[:5], np.arange(5) / 5, rtol=1e-14)
    np.testing.assert_allclose(
        table[5:], np.tile(np.sin(np.pi / 2 * (10 - np.arange(10)) / 10) ** 2, 3), rtol=1e-12
    )


def test_438_667_any_number_of_the_optimizer_moves_and_a_state_restores_it():
    """Adam's momentum is a part of a pair, which ignite's schedulers could not move; they had no state."""
    schedule = {"beta1": Between(linear(at="left"), 0.95, 0.85)}
    opt = adamw(betas=(0.85, 0.99))
    scheduler = ScheduleLR(opt, linear(at="left"), 10, also=schedule)
    go(opt, scheduler, 5)
    saved = copy.deepcopy(scheduler.state_dict())
    again = adamw(betas=(0.85, 0.99))
    ScheduleLR(again, linear(at="left"), 10, also=schedule).load_state_dict(saved)
    assert (rates(again), again.param_groups[0]["betas"]) == ([0.5], (pytest.approx(0.9), 0.99))


def test_a_callers_list_is_left_as_it_is():
    """Found here: fvcore rewrites the caller's lengths."""
    pieces, places, values = [Piece(0.5, 0, 1), Piece(0.5, 1, 0)], ["50%", "75%"], [1, 0.5]
    before = copy.deepcopy((pieces, places, values))
    Pieces(pieces).resolve(10).table()
    step(milestones=places).resolve(10).table()
    SCHEDULES.build("tabulated", {"values": values}).resolve(10).table()
    assert (pieces, places, values) == before


def test_a_switch_is_on_its_step_in_ten_million():
    """Found here: fvcore switches 9 steps early, by its WHERE_EPSILON."""
    halves = Pieces([Piece(0.5, 1, 1), Piece(0.5, 0.5, 0.5)], at="left").resolve(10_000_000)
    assert halves([4_999_990, 4_999_999, 5_000_000]).tolist() == [1, 1, 0.5]


def test_the_end_of_a_constant_has_a_value():
    """Found here: fvcore's constant raises at 1.0."""
    assert constant().resolve(10).curve(10.0) == 1.0 and constant().resolve(10)(10) == 1.0


def test_a_warmup_from_0_starts():
    """Found here: mmengine takes start_factor=0 and then divides by it."""
    np.testing.assert_allclose(ours(constant(warmup=5, at="left"), 7), [0, 0.2, 0.4, 0.6, 0.8, 1, 1])


# --- pytorch_warmup, pytorch_optimizer, schedule_free ----------------------------------------------------


def adamw(lr=1.0, **options):
    return torch.optim.AdamW([torch.zeros(1, requires_grad=True)], lr=lr, **options)


def test_26_14_1_a_warmup_is_a_factor_and_order_changes_nothing():
    """pytorch_warmup built before the scheduler that it damps leaves the rate at a fifth."""
    rise, falls = untuned_linear(beta2=0.6, at="right"), cosine(at="right")
    np.testing.assert_array_equal(ours(rise * falls, 20), ours(falls * rise, 20))
    np.testing.assert_allclose(
        ours(rise * constant(at="right"), 8), [0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1], rtol=1e-15
    )
    if PYTORCH_WARMUP:
        warmup = pytest.importorskip("pytorch_warmup")
        opt, got = adamw(), []
        damped = warmup.LinearWarmup(opt, 5)
        scheduler = torch.optim.lr_scheduler.LambdaLR(opt, lambda k: 1.0)
        for _ in range(8):
            opt.step()
            with damped.dampening():
                scheduler.step()
            got.append(rates(opt)[0])
        assert got[-1] == pytest.approx(0.2)


def test_8_a_warmup_needs_no_hook_of_its_own():
    """One step() does warmup and schedule: what Lightning calls is enough."""
    opt = optimizer(1.0)
    scheduler = ScheduleLR(opt, radam() * cosine(), 100)
    go(opt, scheduler, 50)
    assert rates(opt) == [pytest.approx(radam().resolve(100)(50) * cosine().resolve(100)(50), rel=1e-14)]


def test_a_tensor_rate_is_not_damped_twice():
    """Found here: pytorch_warmup multiplies the tensor that it keeps: 0.2, 0.08, 0.048, 0.0384 for ever."""
    opt = adamw(torch.tensor(1.0), betas=(0.9, 0.6))
    scheduler = ScheduleLR(opt, untuned_linear(beta2=0.6, at="right"), 8)
    np.testing.assert_allclose(stepped(opt, scheduler, 8), [0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1], rtol=1e-7)
    if PYTORCH_WARMUP:
        warmup = pytest.importorskip("pytorch_warmup")
        opt = adamw(torch.tensor(1.0))
        damped = warmup.LinearWarmup(opt, 5)
        for _ in range(8):
            with damped.dampening():
                pass
        assert rates(opt)[0] == pytest.approx(0.0384)


@pytest.mark.parametrize(
    ("beta2", "exact"), [(0.999, 2000), (0.99, 200), (0.95, 40), (0.9, 20), (0.9999, 20000)]
)
def test_untuned_periods_are_rounded_not_cut(beta2, exact):
    """Found here: pytorch_warmup's int(2 / (1 - beta2)) is 1999, 199, 39."""
    assert untuned_period(beta2) == exact
    assert untuned_linear(beta2=beta2).resolve(10**6).warmup == pytest.approx(exact, rel=1e-12)
    assert untuned_exponential(beta2=beta2, at="right").resolve(10**6)(exact // 2 - 1) == pytest.approx(
        1 - math.exp(-1), rel=1e-9
    )
    if PYTORCH_WARMUP and exact in (40, 200, 2000):
        warmup = pytest.importorskip("pytorch_warmup")
        (found,) = warmup.UntunedLinearWarmup(adamw(betas=(0.9, beta2))).warmup_params
        assert found["warmup_period"] == exact - 1


def test_217_247_382_rex_and_1_sqrt():
    k = np.arange(100)
    p = k / 100
    np.testing.assert_allclose(rex(at="left").resolve(100).table(), (1 - p) / (1 - p / 2), rtol=1e-14)
    falls = wsd(cooldown=100, cooldown_curve="1-sqrt", at="left").resolve(100).table()
    np.testing.assert_allclose(falls, 1 - np.sqrt(p), rtol=1e-12)
    assert rex(at="left").resolve(100)(0) == 1  # found here: pytorch_optimizer's first update is at rate 0


@pytest.mark.parametrize("power", [0.5, 1, 2, 9])
def test_a_polynomial_falls(power):
    """Found here: pytorch_optimizer's PolyScheduler grows to 9.5 times its max_lr, its LinearScheduler falls
    below 0."""
    got = ours(polynomial(power=power, warmup=10), 200, total=100)
    assert (np.diff(got[10:]) <= 0).all() and got.max() <= 1 and got.min() > 0


@pytest.mark.parametrize(
    "curve", ["linear", "cosine", "1-sqrt", "sqrt", "square", "mirror_cosine", "exponential"]
)
def test_a_cooldown_keeps_to_its_floor(curve):
    """Found here: pytorch_optimizer's 1-sqrt falls below min_lr_ratio=0.3 to 0.051 and jumps back."""
    for at in ("left", "right"):
        got = ours(wsd(warmup=10, cooldown=10, cooldown_curve=curve, final=0.3, at=at), 40, total=30)
        assert got[10:].min() >= 0.3 and (np.diff(got[20:]) <= 0).all()
    assert got[29] == got[39] == 0.3


def test_317_groups_keep_their_own_rates():
    """pytorch_optimizer (found here) and ignite write one value to every group."""
    opt = optimizer([1e-3, 1e-1], 2)
    ScheduleLR(opt, cosine(at="left"), 10).set(5)
    assert rates(opt) == pytest.approx([5e-4, 5e-2], rel=1e-15)


def test_69_a_cooldown_can_begin_at_any_update():
    """schedule_free can't be cooled down at the end; a constant rate can, whenever the end is decided."""
    opt = optimizer(1.0)
    scheduler = ScheduleLR(opt, constant(at="left"), 10**6)
    go(opt, scheduler, 50)
    scheduler.extend(70, how="cooldown", curve="1-sqrt")
    np.testing.assert_allclose(stepped(opt, scheduler, 20), 1 - np.sqrt(np.arange(20) / 20), rtol=1e-12)


def test_1667_1250_18_a_schedule_has_no_mode_to_switch():
    """schedule_free's weights differ between training and evaluation; here the weights are the optimizer's
    business."""
    opt = torch.optim.AdamW([torch.ones(1, requires_grad=True)], lr=0.1)
    (weight,) = opt.param_groups[0]["params"]
    scheduler = ScheduleLR(opt, cosine(), 10, count="calls")
    before = copy.deepcopy(opt.state_dict()["state"])
    for _ in range(20):
        scheduler.step()
    assert weight.item() == 1.0 and opt.state_dict()["state"] == before
    assert not {"train", "eval"} & set(dir(scheduler))


# --- The table of all defects ----------------------------------------------------------------------------

HOME = Path(__file__).parents[1]
PAGE = HOME.parent / "docs" / "defects.md"
# repository: the threads that the comparison of libraries found about how schedules behave
THREADS = {
    "AReaL": "1289",
    "Automodel": "3882",
    "DeepLabCut": "2788",
    "GrowSP": "11",
    "LlamaFactory": "10141 10144",
    "Megatron-LM": "1138 1284 5213 7468",
    "Soup": "336",
    "Speech": "10582",
    "TimeMIL": "6",
    "accelerate": "662 1382 2142 2165 2318 2773 2926 4242",
    "bert": "1293",
    "big_transfer": "58",
    "composer": "259 463 1268 1350 1384 2458 3099 3115",
    "diffusers": "9633",
    "fastai2": "341",
    "flair": "2954",
    "gpt-neox": "1373",
    "ignite": "317 438 645 667 2910",
    "insightface": "2143",
    "keras": "16696 18747 18748 21772",
    "lightning-flash": "1321",
    "miles": "1627",
    "ms-swift": "8299",
    "nanoGPT": "578",
    "optax": "415 835 905 1426 1781",
    "prodigy-plus-schedule-free": "18",
    "pytorch": (
        "17913 20527 21460 21965 22107 22343 22798 23480 24352 26179 26423 29697 37916 38170 44511 "
        "47561 50282 55585 60265 62475 65342 67586 67590 67761 67957 68332 78003 83159 86454 86695 "
        "88684 88791 90414 94450 95122 104361 107076 110493 110497 119168 120934 124544 125531 "
        "130467 132745 133663 133898 156846 162360 162591 163093 163098 163103 163120 168044 171515 "
        "180187 180200 180594 185872 187814 193682 194712 195853 196242 196243"
    ),
    "pytorch-gradual-warmup-lr": "1",
    "pytorch-image-models": "1242 2312 2532 2745 2753",
    "pytorch-lightning": "1476 10759 17544 19774 20436 21339 21491 21926",
    "pytorch_optimizer": "122 217 247 382",
    "pytorch_warmup": "1 8 14 26",
    "schedule_free": "69",
    "sd-scripts": "1250 1667",
    "slime": "1547",
    "spd": "642",
    "tensorflow": "47115",
    "tinygrad": "10981",
    "torchtitan": "1261",
    "torchtune": "2263 2681",
    "transformers": "20029 21689 23099 24088 27749 29417 34053 34754 35942 43692",
    "verl": "3674",
    "vortex": "70",
}


def rows():
    """The cells of each row of docs/defects.md."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    table = [line for line in lines if line.startswith("| ") and not line.startswith("| library ")]
    return [re.split(r" \| ", line.strip("| ")) for line in table]


def test_the_page_of_defects_has_every_thread():
    told = set(
        re.findall(
            r"\[([\w.-]+)#(\d+)\]\(https://github\.com/[\w.-]+/\1/(?:issues|pull)/\2\)",
            PAGE.read_text(encoding="utf-8"),
        )
    )
    assert told == {(repository, n) for repository, numbers in THREADS.items() for n in numbers.split()}


@functools.cache
def defined_in(file):
    """{name of a test function: its name, docstring and comments} of a file."""
    source = next(HOME.rglob(file)).read_text(encoding="utf-8")
    tree, said = ast.parse(source), defaultdict(list)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            said[token.start[0]].append(token.string)
    return {
        n.name: " ".join(
            [
                n.name,
                ast.get_docstring(n) or "",
                *(comment for i in range(n.lineno, n.end_lineno + 1) for comment in said[i]),
            ]
        )
        for n in tree.body
        if isinstance(n, ast.FunctionDef) and n.name.startswith("test_")
    }


def test_every_row_of_the_page_names_a_test_that_exists():
    found = rows()
    assert len(found) > 100
    for row in found:
        assert len(row) == 5 and all(row), row
        file, test = re.fullmatch(r"`(test_\w+\.py)::(test_\w+)`", row[4]).groups()
        assert test in defined_in(file), (file, test)


def test_every_thread_of_a_row_is_named_by_its_test():
    """So that who reads a test can read the thread, and a thread is not beside a test of something else."""
    for row in rows():
        file, test = re.search(r"(\w+\.py)::(\w+)", row[4]).groups()
        told = set(re.findall(r"\d+", defined_in(file)[test].replace("_", " ")))
        cited = set(re.findall(r"#(\d+)\]", row[2]))
        assert cited <= told, (test, cited - told)


def test_every_test_of_a_defect_is_in_a_row():
    named_in_rows = {re.search(r"::(\w+)", row[4])[1] for row in rows()}
    others = {
        "test_the_page_of_defects_has_every_thread",
        "test_every_row_of_the_page_names_a_test_that_exists",
        "test_every_thread_of_a_row_is_named_by_its_test",
        "test_every_test_of_a_defect_is_in_a_row",
        "test_34754_what_others_do_with_the_first_update",
        "test_a_group_with_parameters_may_not_vanish",
    }
    for file in ("test_defects_torch.py", "test_defects_others.py", "test_others_write.py"):
        assert defined_in(file).keys() - others <= named_in_rows
