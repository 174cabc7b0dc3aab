"""`ScheduleLR`: one integer of state, exact in every restore order, and none of the defects of torch's own
schedulers."""

from __future__ import annotations

import copy
import functools
import io
import json
import pickle
import warnings
import weakref
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler as reference

from preheat.adapters.torch import ScheduleLR
from preheat.core.between import Between
from preheat.core.errors import UserError
from preheat.core.levels import rate
from preheat.schedules import constant, cosine, linear, one_cycle, wsd

TOTAL = 300
PEAKS = (1e-2, 3e-3)
CUTS = [*range(1, 290, 8), 30, 50, 60, 120, 150, 200, 250, 280]
SHAPE = wsd(warmup=50, cooldown=0.3, cooldown_curve="1-sqrt", final=0.01)


def optimizer(*rates, made=torch.optim.SGD, tensor=False, **options):
    groups = []
    for lr in rates or PEAKS:
        p = torch.nn.Parameter(torch.ones(2))
        p.grad = torch.ones(2)
        groups.append({"params": [p], "lr": torch.tensor(lr) if tensor else lr})
    return made(groups, lr=torch.tensor(1.0) if tensor else 1.0, **options)


def rates(opt):
    return [float(g["lr"]) for g in opt.param_groups]


def played(opt, scheduler, n):
    """The rates of n updates."""
    out = []
    for _ in range(n):
        out.append(rates(opt))
        opt.step()
        scheduler.step()
    return np.array(out)


def wanted(schedule=SHAPE, peaks=PEAKS, total=TOTAL):
    return np.multiply.outer(schedule.resolve(total).table(), peaks)


def saved(opt, scheduler):
    """Both states, through a file that holds plain data only."""
    file = io.BytesIO()
    torch.save((opt.state_dict(), scheduler.state_dict()), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


# --- Rates -----------------------------------------------------------------------------------------------


def test_it_is_a_scheduler_and_gives_the_schedules_rates_past_the_end_too():
    opt = optimizer()
    scheduler = ScheduleLR(opt, SHAPE, TOTAL)
    assert isinstance(scheduler, reference.LRScheduler)
    assert scheduler.base_lrs == list(PEAKS) == [g["initial_lr"] for g in opt.param_groups]
    table = wanted()
    np.testing.assert_array_equal(
        played(opt, scheduler, TOTAL + 9), np.vstack([table, np.repeat(table[-1:], 9, 0)])
    )
    assert scheduler.last_epoch == TOTAL + 9
    assert scheduler.get_last_lr() == scheduler.get_lr() == scheduler._last_lr == rates(opt)


def test_a_long_run_crosses_blocks_and_any_update_can_be_visited():
    opt = optimizer()
    scheduler = ScheduleLR(opt, SHAPE, 10_000)
    table = wanted(total=10_000)
    for k in (0, 4095, 4096, 9999, 3, 8192, 123_456):
        scheduler.set(k)
        assert rates(opt) == list(table[min(k, 9999)])
    scheduler.step(4090)
    np.testing.assert_array_equal(played(opt, scheduler, 20), table[4090:4110])
    with pytest.raises(UserError, match="whole number >= 0, got -1"):
        scheduler.set(-1)


def test_each_group_may_have_its_own_schedule_and_peak():
    opt = optimizer()
    scheduler = ScheduleLR(opt, [cosine(warmup=10), linear()], 100, peak=[0.5, 0.1])
    expected = np.stack(
        [0.5 * cosine(warmup=10).resolve(100).table(), 0.1 * linear().resolve(100).table()], 1
    )
    np.testing.assert_array_equal(played(opt, scheduler, 100), expected)
    assert (
        played(opt, ScheduleLR(opt, "cosine", 100, peak=2.0), 1)[0].tolist()
        == [2.0 * cosine().resolve(100)(0)] * 2
    )


def test_floors_are_ratios_of_each_groups_peak_and_absolute_rates_are_the_same_for_all():
    """transformers divides the floor by the first rate: groups of 1e-3 and 1e-1 end at 1e-4 and 1e-2."""
    opt = optimizer(1e-3, 1e-1)
    scheduler = ScheduleLR(opt, cosine(final=0.1, at="right"), 50)
    scheduler.set(49)
    assert rates(opt) == pytest.approx([1e-4, 1e-2], rel=1e-14)
    scheduler = ScheduleLR(opt, cosine(final=rate(1e-4), at="right"), 50, peak=[1e-3, 1e-1])
    scheduler.set(49)
    assert rates(opt) == pytest.approx([1e-4, 1e-4], rel=1e-14)
    with pytest.raises(UserError, match=r"above the peak rate 0\.001"):
        ScheduleLR(opt, cosine(final=rate(1e-2)), 50, peak=[1e-3, 1e-1])


def test_a_length_as_total_and_a_resolved_schedule():
    opt = optimizer(1.0)
    ScheduleLR(opt, linear(at="left"), "2ep", per_epoch=5).set(1)
    assert rates(opt) == [0.9]
    scheduler = ScheduleLR(optimizer(1.0), linear(at="left", warmup="20tok").resolve("100tok", tokens=10))
    scheduler.set(1)
    assert scheduler.get_last_lr() == [0.5]
    with pytest.raises(UserError, match="brings its total"):
        ScheduleLR(opt, linear().resolve(10), 20)


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("did you mean 'cosine'", {"schedule": "cosin"}),
        ("total_steps is needed", {"total_steps": None}),
        ("one for each of 2 groups, got 3", {"schedule": [linear()] * 3}),
        ("one for each of 2 groups, got 1", {"peak": [0.1]}),
        ("peak must be a finite rate >= 0, got -0.1", {"peak": -0.1}),
        ("did you mean 'updates'", {"count": "update"}),
        ("did you mean 'momentum'", {"also": {"momentun": Between("linear", 0.9, 0.8)}}),
        ("one entry for each of 2 groups, got 1", {"also": {"momentum": [None]}}),
        (
            "unknown hyperparameter of the optimizer's groups 'lr'",
            {"also": {"lr": Between("linear", 0.9, 0.8)}},
        ),
        ("last_epoch must be a whole number >= -1, got -2", {"last_epoch": -2}),
        ("last_epoch must be a whole number >= -1, got '3'", {"last_epoch": "3"}),
        ("total_steps must be a whole number of steps >= 1, got 0: write total_steps=", {"total_steps": 0}),
        (r"not its class, got cosine: write cosine\(\)", {"schedule": cosine}),
        (
            r"momentum must stay at least 0 and below 1, got .* from 0.9 to 1 by",
            {"also": {"momentum": Between("linear", 0.9, 1)}},
        ),
        ("weight_decay must stay at least 0, got", {"also": {"weight_decay": Between("linear", -5, 0.1)}}),
        (
            "weight_decay must stay at least 0, got",
            {"also": {"weight_decay": [None, Between("linear", 0.1, -1e-9)]}},
        ),
    ],
)
def test_what_is_wrong_is_said_when_it_is_built(words, options):
    with pytest.raises(UserError, match=words):
        ScheduleLR(optimizer(), **{"schedule": linear(), "total_steps": 10, **options})


@pytest.mark.parametrize("name", ["beta1", "beta2", "eps"])
def test_adams_numbers_stay_where_adam_takes_them(name):
    opt = optimizer(made=torch.optim.AdamW)
    for ends in [(-1e-9, 0.5), (0.5, -1.0), *([(0.9, 1.5), (1.0, 0.9)] if name != "eps" else [])]:
        with pytest.raises(UserError, match=f"{name} must stay at least 0"):
            ScheduleLR(opt, linear(), 10, also={name: Between("linear", *ends)})
    ScheduleLR(opt, linear(), 10, also={name: Between("linear", 0.0, 0.999)})
    ScheduleLR(
        optimizer(), linear(), 10, also={"dampening": Between("linear", -2.0, 3.0)}
    )  # whose range nobody states


def test_an_update_beyond_all_counting_is_told_in_one_line():
    scheduler = ScheduleLR(optimizer(), linear(), 10)
    with pytest.raises(
        UserError, match=r"an update must be at most 2\^53, got 10{20}: the first update is 0$"
    ):
        scheduler.set(10**20)
    assert scheduler.last_epoch == 0 and scheduler.get_last_lr() == list(wanted(linear(), total=10)[0])


def test_a_group_without_a_rate_is_named_where_a_floor_is_a_rate():
    opt = optimizer(1e-3, 0.0)
    with pytest.raises(
        UserError, match=r"needs a peak rate above 0, got lr=0 of group 1: give it a peak, peak="
    ):
        ScheduleLR(opt, cosine(final="1e-6lr"), 10)
    with pytest.raises(UserError, match="warmup"):  # what else is wrong is told as it is
        ScheduleLR(opt, cosine(final="1e-6lr", warmup=20), 10)
    scheduler = ScheduleLR(opt, cosine(final="1e-6lr", at="right"), 10, peak=[1e-3, 1e-4])
    scheduler.set(9)
    assert rates(opt) == pytest.approx([1e-6, 1e-6], rel=1e-12)


def test_only_an_optimizer_is_scheduled():
    with pytest.raises(UserError, match=r"must be a torch\.optim\.Optimizer, got list"):
        ScheduleLR([], linear(), 10)


# --- Resuming --------------------------------------------------------------------------------------------


def build_load_both(states, made, fresh=optimizer):
    opt = fresh()
    scheduler = made(opt)
    opt.load_state_dict(states[0])
    scheduler.load_state_dict(states[1])
    return opt, scheduler


def load_optimizer_first(states, made, fresh=optimizer):
    opt = fresh()
    opt.load_state_dict(states[0])
    scheduler = made(opt)
    scheduler.load_state_dict(states[1])
    return opt, scheduler


def by_last_epoch(states, made, fresh=optimizer):
    opt = fresh()
    opt.load_state_dict(states[0])
    return opt, made(opt, last_epoch=states[1]["last_epoch"] - 1)


def without_the_optimizers_state(states, made, fresh=optimizer):
    opt = fresh()
    scheduler = made(opt)
    scheduler.load_state_dict(states[1])
    return opt, scheduler


def load_scheduler_first(states, made, fresh=optimizer):
    opt = fresh()
    scheduler = made(opt)
    scheduler.load_state_dict(states[1])
    opt.load_state_dict(states[0])
    return opt, scheduler


ORDERS = [
    build_load_both,
    load_optimizer_first,
    by_last_epoch,
    without_the_optimizers_state,
    load_scheduler_first,
]


@pytest.fixture(scope="module")
def checkpoints():
    """{k: the states before update k} of a run."""
    opt, out = optimizer(), {}
    scheduler = ScheduleLR(opt, SHAPE, TOTAL)
    for k in range(TOTAL):
        if k in CUTS:
            out[k] = saved(opt, scheduler)
        opt.step()
        scheduler.step()
    return out


@pytest.mark.parametrize("order", ORDERS, ids=lambda f: f.__name__)
def test_resume_is_exact_at_every_cut_in_every_order(order, checkpoints):
    table = wanted()
    for k, states in checkpoints.items():
        opt, scheduler = order(copy.deepcopy(states), lambda o, **kw: ScheduleLR(o, SHAPE, TOTAL, **kw))
        np.testing.assert_array_equal(played(opt, scheduler, TOTAL - k), table[k:])
        assert scheduler.base_lrs == list(PEAKS) == [g["initial_lr"] for g in opt.param_groups]


@pytest.mark.parametrize("order", ORDERS, ids=lambda f: f.__name__)
def test_a_new_peak_given_on_resume_is_taken(order, checkpoints):
    """torch brings the old one back."""
    for k in (9, 120, 281):
        with pytest.warns(UserWarning, match="peak") if order is not by_last_epoch else nullcontext():
            opt, scheduler = order(
                copy.deepcopy(checkpoints[k]), lambda o, **kw: ScheduleLR(o, SHAPE, TOTAL, peak=5e-4, **kw)
            )
        np.testing.assert_array_equal(played(opt, scheduler, TOTAL - k), wanted(peaks=(5e-4, 5e-4))[k:])


def test_the_state_is_an_update_a_hash_and_two_numbers_a_group(checkpoints):
    state = checkpoints[120][1]
    assert state["last_epoch"] == 120 and list(state) == ["last_epoch", "fingerprint", "peaks", "rates"]
    same = ScheduleLR(optimizer(1.0), SHAPE, TOTAL, peak=2.0).state_dict()["fingerprint"]
    others = {
        ScheduleLR(optimizer(), *args, **kw).state_dict()["fingerprint"]
        for args, kw in [
            ((SHAPE, TOTAL + 1), {}),
            ((cosine(), TOTAL), {}),
            ((SHAPE, TOTAL), {"per_epoch": 10}),
            ((SHAPE, TOTAL), {"also": {"momentum": Between("linear", 0.9, 0.8)}}),
            (([SHAPE, cosine()], TOTAL), {}),
        ]
    }
    assert state["fingerprint"] == same and same not in others and len(others) == 5


def test_another_schedules_state_warns_and_overwrites_nothing(checkpoints):
    """In torch a new T_max is silently replaced by the old one."""
    for order in (build_load_both, load_optimizer_first):
        with pytest.warns(UserWarning, match="another schedule or total") as told:
            opt, scheduler = order(copy.deepcopy(checkpoints[250]), lambda o: ScheduleLR(o, cosine(), 600))
        assert len(told) == 1
        np.testing.assert_array_equal(played(opt, scheduler, 350), wanted(cosine(), total=600)[250:])


@pytest.mark.parametrize(
    "made",
    [
        lambda o: reference.CosineAnnealingLR(o, TOTAL),
        lambda o: reference.LambdaLR(o, lambda k: float(cosine(at="left").resolve(TOTAL)(k))),
    ],
    ids=["CosineAnnealingLR", "LambdaLR"],
)
def test_the_state_of_a_torch_scheduler_gives_the_update(made):
    opt = optimizer()
    old = made(opt)
    for _ in range(100):
        opt.step()
        old.step()
    with pytest.warns(
        UserWarning, match="^a state of another scheduler: its update is taken, 100, and nothing else$"
    ):
        _, scheduler = load_optimizer_first(
            (opt.state_dict(), old.state_dict()), lambda o: ScheduleLR(o, cosine(at="left"), TOTAL)
        )
    np.testing.assert_allclose(scheduler.get_last_lr(), rates(opt), rtol=1e-12)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (
            {},
            r"has last_epoch, the update at hand, got the keys \[\]: give what scheduler.state_dict\(\) "
            r"returned",
        ),
        (optimizer().state_dict(), r"got the keys \['state', 'param_groups'\]"),
        (120, "got 120: "),
        ({"last_epoch": "120"}, "last_epoch of a state must be a whole number >= -1, got '120'"),
    ],
)
def test_what_is_no_state_of_a_scheduler_is_an_error_and_changes_nothing(state, words):
    scheduler = ScheduleLR(optimizer(), SHAPE, TOTAL)
    scheduler.set(7)
    with pytest.raises(UserError, match=words):
        scheduler.load_state_dict(state)
    assert scheduler.last_epoch == 7 and scheduler.get_last_lr() == list(wanted()[7])


@pytest.fixture
def forgotten(checkpoints):
    """An optimizer loaded at update 120 of a cosine, and a scheduler built on it whose state nobody
    loaded."""
    opt = optimizer()
    first = ScheduleLR(opt, cosine(), TOTAL)
    first.set(120)
    again = optimizer()
    again.load_state_dict(saved(opt, first)[0])
    return again, ScheduleLR(again, cosine(), TOTAL)


def test_a_forgotten_state_trains_nothing_at_a_made_up_rate(forgotten):
    """A rate from mid-run is no peak. It stays as it was loaded, and the next step() says how to resume."""
    opt, scheduler = forgotten
    left = list(wanted(cosine())[120])
    assert rates(opt) == left == scheduler.get_last_lr()
    assert [g["initial_lr"] for g in opt.param_groups] == list(
        PEAKS
    )  # a state saved now tells the peaks still
    opt.step()
    ways = r"load_state_dict\(.*last_epoch=<the last update done>; .* write peak=0.01 or peak=0.0065"
    with pytest.raises(UserError, match=f"group 0 has lr=0.0065.* at update 0: to resume .*{ways}"):
        scheduler.step()
    assert rates(opt) == left and scheduler.last_epoch == 0


def test_a_forgotten_state_may_come_late_or_as_a_number(forgotten):
    opt, scheduler = forgotten
    with pytest.raises(UserError, match="does not give at update 100"):
        scheduler.set(100)
    scheduler.set(120)
    np.testing.assert_array_equal(played(opt, scheduler, 30), wanted(cosine())[120:150])


def test_a_peak_may_be_told_late_too(forgotten):
    opt, scheduler = forgotten
    scheduler.assign(0, peak=0.5)
    assert rates(opt) == list(wanted(cosine())[120])  # the other group's is not known yet
    scheduler.assign(1, peak=0.25)
    np.testing.assert_array_equal(played(opt, scheduler, 30), wanted(cosine(), peaks=(0.5, 0.25))[:30])


def test_a_scheduler_in_doubt_does_not_answer_for_the_next(forgotten):
    opt, first = forgotten
    second = ScheduleLR(opt, cosine(), TOTAL)
    second.load_state_dict({**first.state_dict(), "last_epoch": 120})
    assert second.base_lrs == list(PEAKS) and rates(opt) == list(wanted(cosine())[120])


def test_an_optimizer_loaded_again_is_still_in_doubt(forgotten, checkpoints):
    opt, scheduler = forgotten
    opt.load_state_dict(checkpoints[250][0])
    assert rates(opt) == list(wanted()[250])
    with pytest.warns(UserWarning, match="another schedule or total"):
        scheduler.load_state_dict(checkpoints[250][1])
    assert rates(opt) == list(wanted(cosine())[250])


def test_a_new_peak_in_the_optimizer_is_lost_where_it_is_loaded_first():
    """Loading an optimizer brings its old rates back, before the scheduler is built: only peak= is seen in
    every order."""
    opt = optimizer(1e-3)
    scheduler = ScheduleLR(opt, cosine(), TOTAL)
    scheduler.set(100)
    states, factor = saved(opt, scheduler), cosine().resolve(TOTAL)(100)

    def fresh():
        return optimizer(2e-3)

    for order, peak, want in (
        (build_load_both, None, 2e-3),
        (load_optimizer_first, None, 1e-3),
        (build_load_both, 2e-3, 2e-3),
        (load_optimizer_first, 2e-3, 2e-3),
    ):
        told = pytest.warns(UserWarning, match="built with the peak 0.001 of group 0, this one with 0.002")
        with told if want == 2e-3 else nullcontext():
            again, _ = order(
                copy.deepcopy(states), lambda o, p=peak: ScheduleLR(o, cosine(), TOTAL, peak=p), fresh
            )
        assert rates(again) == [want * factor]


def test_a_rate_set_by_hand_after_an_earlier_schedule_is_the_peak():
    """torch keeps the stale initial_lr (pytorch issue 21965)."""
    opt = optimizer()
    scheduler = ScheduleLR(opt, SHAPE, TOTAL)
    scheduler.set(120)
    states = saved(opt, scheduler)
    for group in (*opt.param_groups, *states[0]["param_groups"]):
        group["lr"] = 5e-2
    again = ScheduleLR(opt, SHAPE, TOTAL)
    assert again.base_lrs == [5e-2, 5e-2] == [g["initial_lr"] for g in opt.param_groups]
    with pytest.warns(
        UserWarning, match="group . had lr=0.05, which is neither .* write the rate, .* after loading"
    ):
        opt, resumed = load_optimizer_first(states, lambda o: ScheduleLR(o, SHAPE, TOTAL))
    assert resumed.base_lrs == list(PEAKS) and rates(opt) == list(wanted()[120])
    with pytest.raises(
        UserError, match=r"lr=0.05 and initial_lr=0.01, .* at update 120: .* write peak=0.01 or peak=0.05"
    ):
        by_last_epoch(states, lambda o, **kw: ScheduleLR(o, SHAPE, TOTAL, **kw))


def test_schedulers_pickle_and_copy_and_go_on_apart():
    opt = optimizer(made=torch.optim.AdamW)
    scheduler = ScheduleLR(opt, SHAPE, TOTAL, also={"beta1": Between(SHAPE, 0.95, 0.85)})
    played(opt, scheduler, 70)
    for clone in (pickle.loads(pickle.dumps((opt, scheduler))), copy.deepcopy((opt, scheduler))):
        assert clone[1].optimizer is clone[0]
        np.testing.assert_array_equal(played(*clone, TOTAL - 70), wanted()[70:])
    assert scheduler.last_epoch == 70
    np.testing.assert_array_equal(played(opt, scheduler, 5), wanted()[70:75])


def test_a_scheduler_that_is_gone_does_not_write_any_more():
    opt = optimizer()
    old = ScheduleLR(opt, SHAPE, TOTAL)
    states, gone = saved(opt, old), weakref.ref(old)
    del old
    assert gone() is None
    new = ScheduleLR(opt, linear(), TOTAL, peak=1.0)
    opt.load_state_dict(states[0])
    assert rates(opt) == new.get_last_lr()


# --- What counts as an update ----------------------------------------------------------------------------


def test_calls_without_an_update_do_not_run_ahead():
    opt = optimizer(1.0)
    scheduler = ScheduleLR(opt, linear(at="left"), 10)
    for k in range(10):
        assert rates(opt) == [linear(at="left").resolve(10)(k)]
        for micro_batch in range(4):
            if micro_batch == 3:
                opt.step()
            scheduler.step()
    assert scheduler.last_epoch == 10
    scheduler = ScheduleLR(opt, linear(at="left"), 10, count="calls")
    for _ in range(5):
        scheduler.step()
    assert scheduler.last_epoch == 5


def test_updates_that_a_grad_scaler_skips_do_not_count():
    """In torch they advance the schedule (pytorch issue 44511)."""
    opt = optimizer(1.0)
    scheduler = ScheduleLR(opt, linear(), 100)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    (param,) = opt.param_groups[0]["params"]
    opt.zero_grad()
    for k in range(8):
        scaler.scale((param * (torch.inf if k % 4 else 1.0)).sum()).backward()
        scaler.step(opt)
        scaler.update()
        opt.zero_grad()
        scheduler.step()
    assert scheduler.last_epoch == 2


def test_one_warning_for_who_steps_without_an_optimizer():
    opt = optimizer()
    opt.zero_grad()
    scheduler = ScheduleLR(opt, SHAPE, TOTAL)
    with pytest.warns(
        UserWarning, match=r"called 3 times .* schedule.resolve\(n\).table\(\); .* count='calls'"
    ) as told:
        for _ in range(1000):
            scheduler.step()
    assert len(told) == 1 and scheduler.last_epoch == 0


def test_who_collects_gradients_is_told_only_after_many_calls():
    opt = optimizer()
    scheduler = ScheduleLR(opt, SHAPE, TOTAL)
    for _ in range(200):
        scheduler.step()
    with pytest.warns(UserWarning, match="called 256 times"):
        for _ in range(200):
            scheduler.step()


def test_the_order_of_the_first_two_calls_and_a_wrapped_step_are_no_reason_to_warn():
    """pytorch issues 44511, 55585, 67590, torchtune 2263: false alarms, and an AttributeError, of the patched
    optimizer.step."""
    opt = optimizer()
    opt.step = wrapped = functools.partial(opt.step)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scheduler = ScheduleLR(opt, SHAPE, TOTAL)
        assert opt.step is wrapped
        for k in range(5):
            scheduler.step()
            assert rates(opt) == list(wanted()[k])
            opt.step()


# --- Groups ----------------------------------------------------------------------------------------------


def test_a_group_added_later_with_its_peak_is_scheduled_and_resumes():
    opt = optimizer()
    scheduler = ScheduleLR(opt, SHAPE, TOTAL)
    played(opt, scheduler, 20)
    added(opt, lr=0.1, initial_lr=0.7)
    opt.step()
    scheduler.step()
    table = wanted(peaks=(*PEAKS, 0.7))
    np.testing.assert_array_equal(played(opt, scheduler, 50), table[21:71])
    added(opt, lr=0.1)
    scheduler.assign(-1, linear(), peak=0.2)
    assert rates(opt) == [*table[71], 0.2 * linear().resolve(TOTAL)(71)]
    states = saved(opt, scheduler)
    again = optimizer(*PEAKS, 0.7, 0.2)
    resumed = ScheduleLR(again, [SHAPE, SHAPE, SHAPE, linear()], TOTAL)
    again.load_state_dict(states[0])
    resumed.load_state_dict(states[1])
    np.testing.assert_array_equal(played(again, resumed, 40), played(opt, scheduler, 40))


def added(opt, **options):
    opt.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))], **options})


def test_a_group_just_added_gets_its_rate_before_its_first_update_by_assign():
    opt = optimizer()
    scheduler = ScheduleLR(opt, SHAPE, TOTAL)
    played(opt, scheduler, 20)
    added(opt, lr=0.7)
    scheduler.assign(-1, peak=0.7)
    np.testing.assert_array_equal(played(opt, scheduler, 50), wanted(peaks=(*PEAKS, 0.7))[20:70])


def test_a_group_added_where_groups_differ_must_be_told_its_schedule():
    opt = optimizer()
    scheduler = ScheduleLR(opt, [SHAPE, linear()], TOTAL)
    added(opt, lr=0.7)
    opt.step()
    with pytest.raises(UserError, match=r"got 2 groups that differ in theirs: .*assign\(2, schedule, peak\)"):
        scheduler.step()
    scheduler.assign(2, cosine())
    assert rates(opt)[2] == 0.7 * cosine().resolve(TOTAL)(scheduler.last_epoch)
    assert scheduler.schedule == (SHAPE, linear(), cosine())
    added(opt, lr=0.1)
    added(opt, lr=0.2)
    with pytest.raises(UserError, match="after each add_param_group"):
        scheduler.assign(-1, linear())


def test_a_group_added_later_keeps_a_number_that_it_has_for_itself():
    """A weight decay of 0 for a bias; what has the value of the others moves with them."""
    opt = optimizer(made=torch.optim.AdamW, weight_decay=0.1)
    moves = Between(linear(at="left"), 0.0, 0.2)
    scheduler = ScheduleLR(opt, "linear", 10, also={"weight_decay": moves})
    played(opt, scheduler, 3)
    same = scheduler.state_dict()["fingerprint"]
    added(opt)
    played(opt, scheduler, 1)
    assert scheduler.state_dict()["fingerprint"] == same
    added(opt, weight_decay=0.0)
    added(opt)
    played(opt, scheduler, 1)
    now = moves.value(linear(at="left").resolve(10)(5))
    assert [g["weight_decay"] for g in opt.param_groups] == [now, now, now, 0.0, now]
    assert scheduler.also == {"weight_decay": (moves, moves, moves, None, moves)}
    again = optimizer(*rates(opt), made=torch.optim.AdamW, weight_decay=0.1)
    ScheduleLR(again, "linear", 10, also=scheduler.also).load_state_dict(scheduler.state_dict())
    assert [g["weight_decay"] for g in again.param_groups] == [now, now, now, 0.1, now]


def test_what_is_given_as_a_list_does_not_move_in_a_group_added_later():
    opt = optimizer(made=torch.optim.AdamW, weight_decay=0.1)
    scheduler = ScheduleLR(opt, "linear", 10, also={"weight_decay": [Between("linear", 0.0, 0.2), None]})
    added(opt)
    played(opt, scheduler, 4)
    assert [g["weight_decay"] for g in opt.param_groups][1:] == [0.1, 0.1]


def test_a_group_that_is_gone_is_an_error():
    opt = optimizer()
    scheduler = ScheduleLR(opt, SHAPE, TOTAL)
    opt.param_groups.pop()
    opt.step()
    with pytest.raises(UserError, match="added, not removed, got 1 of 2"):
        scheduler.step()


# --- Tensors and torch.compile ---------------------------------------------------------------------------


def test_a_tensor_rate_stays_the_same_tensor_and_holds_the_rounded_float64_value():
    opt = optimizer(
        made=torch.optim.Adam,
        tensor=True,
        betas=(torch.tensor(0.9), torch.tensor(0.999)),
        capturable=True,
        foreach=False,
    )
    before = [(g["lr"], g["betas"][0]) for g in opt.param_groups]
    scheduler = ScheduleLR(
        opt, SHAPE, TOTAL, also={"beta1": Between(SHAPE, 0.95, 0.85)}, peak=PEAKS, count="calls"
    )
    for k in range(TOTAL):
        assert [g["lr"].item() for g in opt.param_groups] == wanted()[k].astype(np.float32).tolist()
        scheduler.step()
    assert all(
        g["lr"] is lr and g["betas"][0] is beta
        for g, (lr, beta) in zip(opt.param_groups, before, strict=True)
    )


@pytest.mark.parametrize("order", ORDERS, ids=lambda f: f.__name__)
def test_tensor_rates_resume_too(order):
    def fresh():
        return optimizer(made=torch.optim.Adam, tensor=True)

    opt = fresh()
    scheduler = ScheduleLR(opt, SHAPE, TOTAL)
    played(opt, scheduler, 30)
    states = saved(opt, scheduler)
    again, resumed = order(states, lambda o, **kw: ScheduleLR(o, SHAPE, TOTAL, **kw), fresh)
    np.testing.assert_allclose(played(again, resumed, 200), played(opt, scheduler, 200), rtol=2e-7)


def frames(made, lr, compiled_first=False):
    """How many frames torch.compile takes for 12 updates."""
    torch._dynamo.reset()
    counter = torch._dynamo.testing.CompileCounter()
    p = torch.nn.Parameter(torch.randn(8))
    p.grad = torch.randn(8)
    opt = torch.optim.AdamW([p], lr=lr)
    if compiled_first:
        opt.step = torch.compile(opt.step, backend=counter)
    scheduler = made(opt)
    step = opt.step if compiled_first else torch.compile(opt.step, backend=counter)
    for _ in range(12):
        step()
        scheduler.step()
    assert scheduler.last_epoch == 12
    return counter.frame_count


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_steps_are_not_compiled_again():
    """pytorch issues 107076, 120934, 130467 and 163093, pull request 124544."""
    import torch._dynamo.testing

    def ours(opt):
        return ScheduleLR(opt, cosine(warmup=3), 100)

    assert frames(ours, torch.tensor(1e-3)) == 1
    assert frames(ours, torch.tensor(1e-3), compiled_first=True) == 1
    torchs = frames(lambda o: reference.CosineAnnealingLR(o, 100), 1e-3)
    assert frames(ours, 1e-3) <= torchs
    assert frames(ours, 1e-3, compiled_first=True) <= torchs  # torch: AttributeError


# --- More than the rate ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("made", "name"), [(torch.optim.SGD, "momentum"), (torch.optim.Adam, "beta1")])
def test_one_cycles_rate_and_momentum_are_torchs(made, name):
    """torch reaches the peak at step 0.3 T - 1 and the end at T - 1."""
    options = {"momentum": 0.9} if name == "momentum" else {}
    theirs, opt = (optimizer(0.1, made=made, **options) for _ in range(2))
    old = reference.OneCycleLR(theirs, 0.1, TOTAL)
    up_and_down = one_cycle(warmup=89, warmup_start=0, final=0, at="left")
    scheduler = ScheduleLR(
        opt, one_cycle(warmup=89, at="left"), 299, also={name: Between(up_and_down, 0.95, 0.85)}
    )
    for _ in range(299):
        want, got = theirs.param_groups[0], opt.param_groups[0]
        assert got["lr"] == pytest.approx(want["lr"], rel=1e-12)
        here, there = [g["momentum"] if name == "momentum" else g["betas"][0] for g in (got, want)]
        assert here == pytest.approx(there, rel=1e-12)
        for o, s in ((theirs, old), (opt, scheduler)):
            o.step()
            s.step()


def test_a_weight_decay_that_moves_leaves_groups_alone_that_have_none():
    opt = optimizer(made=torch.optim.AdamW, weight_decay=0.1)
    opt.param_groups[1]["weight_decay"] = 0.0
    moves = Between(linear(at="left"), 0.0, 0.1)
    with pytest.raises(UserError, match=r"groups differ in weight_decay, got \[0.1, 0.0\]: write a list"):
        ScheduleLR(opt, "linear", 10, also={"weight_decay": moves})
    scheduler = ScheduleLR(opt, "linear", 10, also={"weight_decay": [moves, None]})
    for k in range(10):
        assert [g["weight_decay"] for g in opt.param_groups] == [
            moves.value(linear(at="left").resolve(10)(k)),
            0.0,
        ]
        opt.step()
        scheduler.step()


# --- Changing the plan -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schedule", "options"),
    [
        (wsd(cooldown=30), {"how": "continue"}),
        (cosine(), {"how": "rescale"}),
        (constant(), {"how": "cooldown", "length": 20}),
    ],
)
def test_a_run_is_extended_without_a_jump(schedule, options):
    opt = optimizer()
    scheduler = ScheduleLR(opt, schedule, 100, also={"momentum": Between(schedule, 0.95, 0.85)})
    first = played(opt, scheduler, 60)
    scheduler.extend(200, **options)
    longer = schedule.resolve(100).extend(200, at=60, **options)
    np.testing.assert_array_equal(
        np.vstack([first, played(opt, scheduler, 140)]), np.multiply.outer(longer.table(), PEAKS)
    )
    scheduler.set(150)
    others = {"how": "rescale"} if options["how"] == "cooldown" else options
    moves = Between(schedule.resolve(100).extend(200, at=60, **others).schedule, 0.95, 0.85)
    assert opt.param_groups[0]["momentum"] == moves.value(moves.schedule.resolve(200)(150))
    again = ScheduleLR(optimizer(), longer, also={"momentum": moves})
    again.load_state_dict(scheduler.state_dict())
    assert again.get_last_lr() == scheduler.get_last_lr()


def extended_twice():
    """States at several updates of a run of 100, extended to 200 at 40 and cut to 150 at 120; with its
    table."""
    opt, out, table = optimizer(1e-2, 1e-1), {}, []
    fall = Between(cosine(at="left"), 0.95, 0.85)
    scheduler = ScheduleLR(opt, cosine(final="1e-4lr"), 100, also={"momentum": [fall, None]})
    for k in range(150):
        if k == 40:
            scheduler.extend(200, how="rescale")
        if k == 120:
            scheduler.extend(150, how="cooldown", curve="1-sqrt")
        if k in (39, 41, 99, 130, 149):
            built = {"schedule": scheduler.schedule.json(), "total_steps": scheduler.total}
            built["also"] = {"momentum": [b and b.json() for b in scheduler.also["momentum"]]}
            out[k] = json.loads(json.dumps(built)), saved(opt, scheduler)
        table.append([(g["lr"], g["momentum"]) for g in opt.param_groups])
        opt.step()
        scheduler.step()
    return out, table


def test_an_extended_run_is_built_again_from_what_was_saved_beside_its_state():
    """Silently: the fingerprint is the same. In every order, also after a second extension."""
    checkpoints, table = extended_twice()
    for k, (built, states) in checkpoints.items():
        for order in ORDERS:
            opt, scheduler = order(
                copy.deepcopy(states),
                lambda o, kw=built, **more: ScheduleLR(o, **kw, **more),
                lambda: optimizer(1e-2, 1e-1),
            )
            end = next((end for end in (40, 120) if k < end), 150)
            for row in table[k:end]:
                want = row if order is not without_the_optimizers_state else [row[0], (row[1][0], 0)]
                assert [(g["lr"], g["momentum"]) for g in opt.param_groups] == want
                opt.step()
                scheduler.step()


def test_a_run_is_extended_on_resume_by_the_update_at_which_it_was():
    """Before the state is loaded, and again at each later resume; a state from before the extension fits
    too."""
    opt = optimizer()
    scheduler = ScheduleLR(opt, cosine(), 100)
    played(opt, scheduler, 40)
    states = saved(opt, scheduler)
    longer = cosine().resolve(100).extend(200, at=40, how="rescale")
    table = np.multiply.outer(longer.table(), PEAKS)
    for k in (40, 130):
        for order in (build_load_both, load_optimizer_first, load_scheduler_first):

            def made(o):
                again = ScheduleLR(o, cosine(), 100)
                again.extend(200, at=40, how="rescale")
                return again

            opt, scheduler = order(copy.deepcopy(states), made)
            assert (scheduler.schedule, scheduler.total) == (longer.schedule, 200)
            np.testing.assert_array_equal(played(opt, scheduler, 170 - k), table[k:170])
            build_load_both(copy.deepcopy(states), lambda o: ScheduleLR(o, longer))
        opt, scheduler = build_load_both(states, made)
        played(opt, scheduler, 90)
        states = saved(opt, scheduler)
    early = saved(opt, ScheduleLR(opt, cosine(), 100, peak=PEAKS, last_epoch=40))
    with pytest.warns(
        UserWarning,
        match=r"another schedule or total.* 41, .*scheduler.schedule .* extend\(total, at=<the update of",
    ):
        build_load_both(early, lambda o: ScheduleLR(o, longer))  # its update 40 was another


def test_an_extension_says_where_it_begins():
    """Called before the state is loaded it began at update 0, silently, for transformers' Trainer hides
    warnings."""
    opt = optimizer()
    scheduler = ScheduleLR(opt, cosine(), 100)
    with pytest.raises(UserError, match=r"none is done yet: .* write extend\(200, at=<the updates done>\)"):
        scheduler.extend(200, how="rescale")
    scheduler.set(60)
    with pytest.raises(UserError, match="at the update at hand, 60, or a later one, got at=40: leave at out"):
        scheduler.extend(200, at=40, how="rescale")
    assert scheduler.total == 100 and scheduler.schedule == cosine()
    scheduler.extend(200, at=80, how="rescale")
    np.testing.assert_array_equal(played(opt, scheduler, 20), wanted(cosine(), total=100)[60:80])


def test_it_tells_what_it_follows():
    scheduler = ScheduleLR(
        optimizer(), [cosine(), linear()], "2ep", per_epoch=50, also={"momentum": Between("linear", 0.9, 0.8)}
    )
    assert (scheduler.schedule, scheduler.total) == ((cosine(), linear()), 100)
    assert scheduler.also == {"momentum": Between(linear(), 0.9, 0.8)}
    scheduler.assign(1, cosine())
    assert (
        scheduler.schedule == cosine() and repr(scheduler) == f"ScheduleLR({cosine()}, total=100, update=0)"
    )
    assert not hasattr(scheduler, "total_steps")  # Accelerate would stop there


def test_an_extension_that_would_jump_changes_nothing():
    opt = optimizer()
    scheduler = ScheduleLR(opt, cosine(), 100)
    played(opt, scheduler, 60)
    with pytest.raises(UserError, match="which is a jump: write how='rescale'"):
        scheduler.extend(200)
    np.testing.assert_array_equal(played(opt, scheduler, 40), wanted(cosine(), total=100)[60:])


def test_it_can_be_a_stage_of_torchs_sequence():
    opt = optimizer(1.0)
    stages = [ScheduleLR(opt, linear(at="left"), 5), ScheduleLR(opt, linear(at="left"), 10)]
    sequence = reference.SequentialLR(opt, stages, [5])
    expected = [*linear(at="left").resolve(5).table(), *linear(at="left").resolve(10).table()]
    np.testing.assert_array_equal(played(opt, sequence, 15)[:, 0], expected)


def test_a_cooldown_is_the_rates_alone():
    opt = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=0.1, weight_decay=0.1)
    also = {"weight_decay": Between(constant(), 0.0, 0.1)}
    scheduler = ScheduleLR(opt, constant(), 100, also=also, count="calls")
    scheduler.set(50)
    scheduler.extend(80, how="cooldown", final="1e-3lr")
    scheduler.set(79)
    assert opt.param_groups[0]["weight_decay"] == pytest.approx(0.1)
    assert 1e-3 < opt.param_groups[0]["lr"] < 4e-3
