"""`ScheduleLR`: one integer of state, exact in every restore order, and none of the defects of torch's own schedulers."""

from __future__ import annotations

import copy
import functools
import io
import pickle
import warnings
import weakref

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


# Rates -----------------------------------------------------------------------------------------------------------------


def test_it_is_a_scheduler_and_gives_the_schedules_rates_past_the_end_too():
    opt = optimizer()
    scheduler = ScheduleLR(opt, SHAPE, TOTAL)
    assert isinstance(scheduler, reference.LRScheduler)
    assert scheduler.base_lrs == list(PEAKS) == [g["initial_lr"] for g in opt.param_groups]
    table = wanted()
    np.testing.assert_array_equal(played(opt, scheduler, TOTAL + 9), np.vstack([table, np.repeat(table[-1:], 9, 0)]))
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
    expected = np.stack([0.5 * cosine(warmup=10).resolve(100).table(), 0.1 * linear().resolve(100).table()], 1)
    np.testing.assert_array_equal(played(opt, scheduler, 100), expected)
    assert played(opt, ScheduleLR(opt, "cosine", 100, peak=2.0), 1)[0].tolist() == [2.0 * cosine().resolve(100)(0)] * 2


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
        ("unknown hyperparameter of the optimizer's groups 'lr'", {"also": {"lr": Between("linear", 0.9, 0.8)}}),
        ("whole number >= 0, got -1", {"last_epoch": -2}),
    ],
)
def test_what_is_wrong_is_said_when_it_is_built(words, options):
    with pytest.raises(UserError, match=words):
        ScheduleLR(optimizer(), **{"schedule": linear(), "total_steps": 10, **options})


def test_only_an_optimizer_is_scheduled():
    with pytest.raises(UserError, match=r"must be a torch\.optim\.Optimizer, got list"):
        ScheduleLR([], linear(), 10)


# Resuming --------------------------------------------------------------------------------------------------------------


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


ORDERS = [build_load_both, load_optimizer_first, by_last_epoch, without_the_optimizers_state, load_scheduler_first]


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
        opt, scheduler = order(copy.deepcopy(checkpoints[k]), lambda o, **kw: ScheduleLR(o, SHAPE, TOTAL, peak=5e-4, **kw))
        np.testing.assert_array_equal(played(opt, scheduler, TOTAL - k), wanted(peaks=(5e-4, 5e-4))[k:])


def test_the_state_is_one_integer_and_a_hash(checkpoints):
    state = checkpoints[120][1]
    assert state["last_epoch"] == 120 and list(state) == ["last_epoch", "fingerprint"]
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


def test_the_state_of_a_torch_scheduler_gives_the_update():
    opt = optimizer()
    old = reference.CosineAnnealingLR(opt, TOTAL)
    for _ in range(100):
        opt.step()
        old.step()
    with pytest.warns(UserWarning, match="another schedule"):
        _, scheduler = load_optimizer_first(
            (opt.state_dict(), old.state_dict()), lambda o: ScheduleLR(o, cosine(at="left"), TOTAL)
        )
    np.testing.assert_allclose(scheduler.get_last_lr(), rates(opt), rtol=1e-12)


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
    assert load_optimizer_first(states, lambda o: ScheduleLR(o, SHAPE, TOTAL))[1].base_lrs == [5e-2, 5e-2]
    with pytest.raises(UserError, match=r"lr=0.05 and initial_lr=0.01.*write peak=0.01 or peak=0.05"):
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


# What counts as an update ----------------------------------------------------------------------------------------------


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
    with pytest.warns(UserWarning, match=r"called 3 times .* schedule.resolve\(n\).table\(\); .* count='calls'") as told:
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
    """pytorch issues 44511, 55585, 67590, torchtune 2263: false alarms, and an AttributeError, of the patched optimizer.step."""
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


# Groups ----------------------------------------------------------------------------------------------------------------


def test_a_group_added_later_is_scheduled_with_its_own_rate_as_peak():
    opt = optimizer()
    scheduler = ScheduleLR(opt, SHAPE, TOTAL)
    played(opt, scheduler, 20)
    opt.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))], "lr": 0.7})
    opt.step()
    scheduler.step()
    table = wanted(peaks=(*PEAKS, 0.7))
    np.testing.assert_array_equal(played(opt, scheduler, 50), table[21:71])
    opt.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))], "lr": 0.1})
    scheduler.assign(-1, linear(), peak=0.2)
    assert rates(opt) == [*table[71], 0.2 * linear().resolve(TOTAL)(71)]
    states = saved(opt, scheduler)
    again = optimizer(*PEAKS, 0.7, 0.2)
    resumed = ScheduleLR(again, [SHAPE, SHAPE, SHAPE, linear()], TOTAL)
    again.load_state_dict(states[0])
    resumed.load_state_dict(states[1])
    np.testing.assert_array_equal(played(again, resumed, 40), played(opt, scheduler, 40))


def test_a_group_that_is_gone_is_an_error():
    opt = optimizer()
    scheduler = ScheduleLR(opt, SHAPE, TOTAL)
    opt.param_groups.pop()
    opt.step()
    with pytest.raises(UserError, match="added, not removed, got 1 of 2"):
        scheduler.step()


# Tensors and torch.compile ---------------------------------------------------------------------------------------------


def test_a_tensor_rate_stays_the_same_tensor_and_holds_the_rounded_float64_value():
    opt = optimizer(
        made=torch.optim.Adam, tensor=True, betas=(torch.tensor(0.9), torch.tensor(0.999)), capturable=True, foreach=False
    )
    before = [(g["lr"], g["betas"][0]) for g in opt.param_groups]
    scheduler = ScheduleLR(opt, SHAPE, TOTAL, also={"beta1": Between(SHAPE, 0.95, 0.85)}, peak=PEAKS, count="calls")
    for k in range(TOTAL):
        assert [g["lr"].item() for g in opt.param_groups] == wanted()[k].astype(np.float32).tolist()
        scheduler.step()
    assert all(g["lr"] is lr and g["betas"][0] is beta for g, (lr, beta) in zip(opt.param_groups, before, strict=True))


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
    import torch._dynamo.testing

    def ours(opt):
        return ScheduleLR(opt, cosine(warmup=3), 100)

    assert frames(ours, torch.tensor(1e-3)) == 1
    assert frames(ours, torch.tensor(1e-3), compiled_first=True) == 1
    torchs = frames(lambda o: reference.CosineAnnealingLR(o, 100), 1e-3)
    assert frames(ours, 1e-3) <= torchs
    assert frames(ours, 1e-3, compiled_first=True) <= torchs  # torch: AttributeError


# More than the rate ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("made", "name"), [(torch.optim.SGD, "momentum"), (torch.optim.Adam, "beta1")])
def test_one_cycles_rate_and_momentum_are_torchs(made, name):
    """torch reaches the peak at step 0.3 T - 1 and the end at T - 1."""
    options = {"momentum": 0.9} if name == "momentum" else {}
    theirs, opt = (optimizer(0.1, made=made, **options) for _ in range(2))
    old = reference.OneCycleLR(theirs, 0.1, TOTAL)
    up_and_down = one_cycle(warmup=89, warmup_start=0, final=0, at="left")
    scheduler = ScheduleLR(opt, one_cycle(warmup=89, at="left"), 299, also={name: Between(up_and_down, 0.95, 0.85)})
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
        assert [g["weight_decay"] for g in opt.param_groups] == [moves.value(linear(at="left").resolve(10)(k)), 0.0]
        opt.step()
        scheduler.step()


# Changing the plan -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schedule", "options"),
    [(wsd(cooldown=30), {"how": "continue"}), (cosine(), {"how": "rescale"}), (constant(), {"how": "cooldown", "length": 20})],
)
def test_a_run_is_extended_without_a_jump(schedule, options):
    opt = optimizer()
    scheduler = ScheduleLR(opt, schedule, 100, also={"momentum": Between(schedule, 0.95, 0.85)})
    first = played(opt, scheduler, 60)
    scheduler.extend(200, **options)
    longer = schedule.resolve(100).extend(200, at=60, **options)
    np.testing.assert_array_equal(np.vstack([first, played(opt, scheduler, 140)]), np.multiply.outer(longer.table(), PEAKS))
    scheduler.set(150)
    assert opt.param_groups[0]["momentum"] == Between(schedule, 0.95, 0.85).value(longer(150))
    again = ScheduleLR(optimizer(), longer, also={"momentum": Between(longer.schedule, 0.95, 0.85)})
    again.load_state_dict(scheduler.state_dict())
    assert again.get_last_lr() == scheduler.get_last_lr()


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
