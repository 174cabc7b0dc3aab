"""The critical rate of an update: equal to a scan with the optimizer itself, and nothing is changed."""

from __future__ import annotations

import contextlib
import copy
import functools
import math
import pickle
import random
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn, optim
from torch.utils.checkpoint import checkpoint
from two_processes import in_two_processes
from untouched import loss_fn, picture, setting

from preheat.adapters import critical
from preheat.adapters.critical import CriticalRate, critical_lr, initial_rate, steps_saved
from preheat.adapters.curvature import sharpness
from preheat.adapters.gi_adam import GIAdam
from preheat.adapters.range_test import lr_range_test
from preheat.adapters.torch import ScheduleLR
from preheat.core.errors import UserError
from preheat.schedules import constant


class Lion(optim.Optimizer):
    """As people write them: decoupled decay, the sign of an interpolation."""

    def __init__(self, params, lr=1e-3):
        super().__init__(params, {"lr": lr})
        self.betas = (0.9, 0.99)

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    m = self.state[p].setdefault("m", torch.zeros_like(p))
                    p.mul_(1 - group["lr"] * 0.1).add_(m.lerp(p.grad, 0.1).sign(), alpha=-group["lr"])
                    m.lerp_(p.grad, 0.01)


class Capped(optim.Optimizer):
    """Not linear in the rate: no entry moves by more than 0.3."""

    def __init__(self, params, lr=1e-3):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        for p in self.param_groups[0]["params"]:
            if p.grad is not None:
                p.sub_((self.param_groups[0]["lr"] * p.grad).clamp(-0.3, 0.3))


OPTIMIZERS = {
    "sgd": lambda ps: optim.SGD(ps, lr=0.1),
    "momentum": lambda ps: optim.SGD(ps, lr=0.1, momentum=0.9, weight_decay=0.01, foreach=True),
    "nesterov": lambda ps: optim.SGD(ps, lr=0.1, momentum=0.9, nesterov=True, foreach=False),
    "adam": lambda ps: optim.Adam(ps, lr=0.01, amsgrad=True),
    "adamw": lambda ps: optim.AdamW(ps, lr=0.01, weight_decay=0.3, foreach=True),
    "fused": lambda ps: optim.AdamW(ps, lr=0.01, fused=True),
    "rate in a tensor": lambda ps: optim.Adam(ps, lr=torch.tensor(0.01), foreach=False),
    "rmsprop": lambda ps: optim.RMSprop(ps, lr=0.01, momentum=0.5, centered=True),
    "adagrad": lambda ps: optim.Adagrad(ps, lr=0.01, lr_decay=0.1),
    "gi_adam": lambda ps: GIAdam(ps, lr=0.01),
    "lion": Lion,
    "capped": lambda ps: Capped(ps, lr=0.1),
    "rprop": lambda ps: optim.Rprop(ps, lr=0.01),
}


def scanned(model, batch, optimizer, rate):
    """Loss after the optimizer's own step at a rate, of deep copies, with the noise of now; and before it."""
    model, optimizer_state = copy.deepcopy(model), copy.deepcopy(optimizer.state_dict())
    other = optimizer.__class__.__new__(optimizer.__class__)
    other.__dict__.update({k: v for k, v in vars(optimizer).items() if k not in ("state", "param_groups")})
    own = [p for p in model.parameters() if p.requires_grad]
    other.state, other.param_groups = {}, []
    other.__setstate__({"state": {}, "param_groups": [{**optimizer.param_groups[0], "params": own}]})
    other.state = type(optimizer.state)(dict)
    other.load_state_dict(optimizer_state)
    random_state = torch.get_rng_state()
    model.zero_grad()
    before = loss_fn(model, batch)
    before.backward()
    other.param_groups[0]["lr"] = rate
    other.step()
    torch.set_rng_state(random_state)
    with torch.no_grad():
        found = float(loss_fn(model, batch))
    torch.set_rng_state(random_state)
    return found, float(before.detach())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_everything_is_as_it_was_and_the_optimizers_own_step_agrees(name):
    model, batch, optimizer = setting(OPTIMIZERS[name])
    counted = []
    optimizer.register_step_post_hook(lambda *_: counted.append(1))
    before = picture(model, optimizer)
    try:
        found = critical_lr(model, loss_fn, batch, optimizer)
    except UserError as error:
        assert name in ("rprop", "capped") and "did not up to" in str(error), "a step of bounded length"
        found = None
    assert picture(model, optimizer) == before and not counted
    if found is not None:
        low, high = found.bracket
        assert found.error == (high - low) / 2 and found.error <= found / 32
        after, start = scanned(model, batch, optimizer, low)
        assert after <= start + 1e-12
        after, start = scanned(model, batch, optimizer, high)
        assert after > start


def test_a_linear_update_needs_three_trial_steps(monkeypatch):
    counts = []
    real = critical.after
    monkeypatch.setattr(critical, "after", lambda *a: counts.append(1) or real(*a))
    model, batch, optimizer = setting(OPTIMIZERS["adamw"])
    found = critical_lr(model, loss_fn, batch, optimizer)
    assert len(counts) == 3
    warm = critical_lr(model, loss_fn, batch, optimizer, start=found)
    assert len(counts) == 6 and warm.passes <= 9 and float(warm) == pytest.approx(float(found), rel=0.07)


def test_what_is_not_linear_takes_trial_steps():
    """The loss along clamped steps, against the closed form: x^4 from 1 by steps of at most 0.3 stays low."""
    p = nn.Parameter(torch.tensor([1.0, 0.0], dtype=torch.float64))
    model = nn.Module()
    model.p = p

    def valley(model, batch):
        x, y = model.p
        return x**2 / 2 + 50 * (y - 0.01) ** 2

    found = critical_lr(model, valley, None, Capped([p], lr=0.01), tolerance=1e-6)
    # y moves by min(rate, 0.3) and x by min(rate, 0.3): the loss is that before where y overshoots
    rates = np.linspace(1e-3, 0.3, 300_000)
    loss = (1 - rates) ** 2 / 2 + 50 * (rates - 0.01) ** 2
    assert float(found) == pytest.approx(rates[np.argmax(loss > 0.5 + 50 * 0.01**2)], rel=1e-4)


def test_on_a_quadratic_it_is_two_over_the_curvature_along_the_step():
    torch.manual_seed(1)
    a = torch.randn(6, 6, dtype=torch.float64)
    h, model = a @ a.T, nn.Linear(6, 1, bias=False).double()
    quadratic = lambda model, h: model.weight[0] @ h @ model.weight[0] / 2
    g = (h @ model.weight[0]).detach()
    expected = float(2 * g @ g / (g @ h @ g))
    found = critical_lr(model, quadratic, h, optim.SGD(model.parameters(), lr=1.0), tolerance=1e-6)
    assert float(found) == pytest.approx(expected, rel=1e-6)
    assert found >= 2 / float(torch.linalg.eigvalsh(h)[-1])


def test_float32_and_bfloat16_agree_with_float64():
    wide, single, half = (
        float(critical_lr(m, loss_fn, b, o, tolerance=0.01))
        for dtype in (torch.float64, torch.float32, torch.bfloat16)
        for m, b, o in [deterministic(dtype)]
    )
    assert single == pytest.approx(wide, rel=0.02) and half == pytest.approx(wide, rel=0.2)


def test_an_autocast_around_it_is_one_inside_loss_fn():
    model, batch, optimizer = deterministic(torch.float32)
    mixed = torch.autocast("cpu", torch.bfloat16)
    inside = critical_lr(model, mixed(loss_fn), batch, optimizer)
    with mixed:
        loss_fn(model, batch)
        around = critical_lr(model, loss_fn, batch, optimizer)
        assert torch.is_autocast_cache_enabled()
    assert around == inside and around.passes == inside.passes


def test_rounding_inside_an_autocast_is_no_rise():
    """From starts at which an update changes the loss by less than bfloat16 shows."""
    for seed in range(6):
        model, batch, _ = deterministic(torch.float32)
        torch.manual_seed(seed)
        [m.reset_parameters() for m in model if isinstance(m, nn.Linear)]
        optimizer = optim.AdamW(model.parameters(), lr=1e-6)
        wide = critical_lr(model, loss_fn, batch, optimizer)
        mixed = critical_lr(model, torch.autocast("cpu", torch.bfloat16)(loss_fn), batch, optimizer)
        assert 0.9 < mixed / wide < 1.3


def deterministic(dtype):
    g = torch.Generator().manual_seed(5)
    torch.manual_seed(2)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).to(dtype)
    batch = torch.randn(64, 4, generator=g).to(dtype), torch.randint(3, (64,), generator=g)
    return model, batch, optim.SGD(model.parameters(), lr=0.5, momentum=0.9)


def test_groups_keep_their_ratio_also_where_a_schedule_begins_at_zero():
    found = []
    for schedule in (None, constant(warmup="50%", at="left")):
        model, batch, _ = deterministic(torch.float64)
        groups = [{"params": model[0].parameters(), "lr": 0.01}, {"params": model[2].parameters()}]
        optimizer = optim.SGD(groups, lr=0.1)
        if schedule:
            scheduler = ScheduleLR(optimizer, schedule, total_steps=10)
            assert optimizer.param_groups[0]["lr"] == 0.0
        found.append(critical_lr(model, loss_fn, batch, optimizer, tolerance=1e-4, start=0.1))
        if schedule:
            assert scheduler.last_epoch == 0
    assert float(found[0]) == pytest.approx(float(found[1]), rel=1e-3)


def test_torchs_own_scheduler_and_a_pending_graph_are_left_alone():
    model, batch, optimizer = setting(OPTIMIZERS["adam"])
    scheduler = optim.lr_scheduler.StepLR(optimizer, 5)
    pending = loss_fn(model, batch)
    critical_lr(model, loss_fn, batch, optimizer)
    pending.backward()
    assert scheduler.last_epoch == 0 and not getattr(optimizer, "_opt_called", False)


def test_the_first_update_of_an_optimizer_without_state():
    model, batch, _ = deterministic(torch.float64)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    critical_lr(model, loss_fn, batch, optimizer)
    assert not optimizer.state


def test_a_loss_that_writes_gradients_and_flags_and_fails_changes_nothing():
    model, batch, optimizer = setting(OPTIMIZERS["adam"])
    before = picture(model, optimizer)

    def wild(model, batch):
        model.eval()
        model.body[1].running_mean = model.body[1].running_mean + 1
        np.random.rand(), random.random()
        with torch.enable_grad():
            loss_fn(model, batch).backward()
        model.train()
        wild.calls += 1
        if wild.calls == 4:
            raise KeyboardInterrupt
        return loss_fn(model, batch)

    wild.calls = 0
    with pytest.raises(KeyboardInterrupt):
        critical_lr(model, wild, batch, optimizer)
    assert picture(model, optimizer) == before


class Averaging(nn.Module):
    """BatchNorm, and what others than buffers hold."""

    def __init__(self):
        super().__init__()
        self.norm, self.calls, self.mean, self.last = nn.BatchNorm1d(3), 0, torch.zeros(3).double(), None

    def forward(self, x):
        self.calls, self.last = self.calls + 1, x.detach()
        self.mean.lerp_(x.detach().mean(0), 0.1)
        return self.norm(x)


HELD = Averaging().double()


def test_modules_that_only_the_loss_reaches_stay_as_they_were():
    """A discriminator with BatchNorm; by name, in a closure, bound, in a partial, in a dict, in a callable."""
    inside = copy.deepcopy(HELD)
    closed = lambda model, batch: inside(model(batch[0])).square().mean()
    named = lambda model, batch: HELD(model(batch[0])).square().mean()

    class Bound:
        def __init__(self):
            self.nets = {"d": inside}

        def loss(self, model, batch):
            return self.nets["d"](model(batch[0])).square().mean()

        __call__ = loss

    through = lambda net, model, batch: net(model(batch[0])).square().mean()
    ways = closed, named, Bound().loss, Bound(), functools.partial(through, inside)
    for loss in (*ways, lambda model, batch: 2 * closed(model, batch)):
        model, batch, optimizer = deterministic(torch.float64)
        model.append(own := Averaging().double())
        before = [pickle.dumps(vars(m)) for m in (own, inside, HELD)]
        with contextlib.suppress(UserError):  # a loss after normalisation need not rise
            critical_lr(model, loss, batch, optimizer)
        lr_range_test(model, loss, [batch], optimizer, repeats=2)
        assert own.calls == inside.calls == HELD.calls == 0 and own.last is None
        assert [pickle.dumps(vars(m)) for m in (own, inside, HELD)] == before


IMPORTS = """
from torch.utils.checkpoint import checkpoint
from preheat.adapters.critical import critical_lr
from preheat.adapters.range_test import lr_range_test
"""
DDP = """
optimizer = optim.AdamW(model.parameters(), lr=0.01)
whole = critical_lr(model, loss_fn, x, optimizer, tolerance=1e-6)
rates = [1e-4 * 1.2 ** k for k in range(20)]
tested = lr_range_test(model, loss_fn, [x], optimizer, rates=rates, repeats=2)
wrapped, mine = nn.parallel.DistributedDataParallel(model), x.chunk(2)[rank]
part = critical_lr(wrapped, loss_fn, mine, optimizer, tolerance=1e-6)
assert abs(whole - part) < 1e-5 * whole, (whole, part)
shared = lr_range_test(wrapped, loss_fn, [mine], optimizer, rates=rates, repeats=2)
assert abs(tested.losses - shared.losses).max() < 1e-9 and tested.losses[0, -1] < tested.losses[0, 0]
for call in (critical_lr, lambda model, loss_fn, x, o: lr_range_test(model, loss_fn, [mine, x], o)):
    try:
        call(wrapped, loss_fn, mine * (float("nan") if rank else 1), optimizer)
    except ValueError as error:
        assert "must be finite before" in str(error), error
    else:
        sys.exit("a loss that is not finite was measured")
loss_fn(wrapped, mine).backward()
dist.barrier()
if rank:
    os._exit(0)
if os.waitpid(child, 0)[1]:
    sys.exit("the second process failed")
"""


def test_under_ddp_the_processes_measure_their_batches_together():
    done = in_two_processes(IMPORTS, DDP)
    assert done.returncode == 0, done.stderr


def test_a_rate_is_a_float_that_copies_and_pickles():
    rate = CriticalRate((1.0, 1.5), 7)
    for other in (pickle.loads(pickle.dumps(rate)), copy.deepcopy(rate)):
        assert other == 1.25 and other.error == 0.25 and other.passes == 7 and other.bracket == (1.0, 1.5)


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
@pytest.mark.parametrize(
    "loss,text",
    [
        (lambda m, b: m(b[0]).sum() * math.nan, "must be finite before the update"),
        (lambda m, b: m(b[0]), r"must be a scalar, got the shape \(64, 3\): write .mean\(\)"),
        (lambda m, b: 1.0, r"must return a scalar tensor, .* got float: return the loss before .item"),
        (lambda m, b: loss_fn(m, next(b[2])), "must be the same each time, got .* for one batch"),
        (lambda m, b: m(b[0]).sum(), "did not up to 5.5e\\+11 \\(40 doublings of 0.5\\): write start="),
        (lambda m, b: b[0].sum(), "must depend on a parameter of the optimizer"),
        (lambda m, b: (loss_fn(m, b), 1), "got tuple: return the loss alone"),
        (lambda m, b: None, "got NoneType: its `return loss` is missing"),
        (lambda m, b: loss_fn(m, b).detach(), "leave .detach"),
        (
            lambda m, b: loss_fn(lambda x: checkpoint(m, x, use_reentrant=True), b),
            "use_reentrant=False where",
        ),
        (
            lambda m, b: loss_fn(lambda x: m[2](checkpoint(m[1], m[0](x), use_reentrant=True)), b),
            "without .backward",
        ),
        (lambda m, b: 0 * loss_fn(m, b), "the gradient is 0 or not finite"),
    ],
)
def test_losses_that_have_no_critical_rate_are_told_in_words(loss, text):
    model, batch, optimizer = deterministic(torch.float64)
    rows = iter([(torch.randn(8, 4, dtype=torch.float64), torch.zeros(8).long()) for _ in range(9)])
    with pytest.raises(UserError, match=text):
        critical_lr(model, loss, (*batch, rows), optimizer)


def test_a_loss_inside_an_output_counts():
    model, batch, optimizer = deterministic(torch.float64)
    found = [
        critical_lr(model, lambda m, b, give=give: give(loss_fn(m, b)), batch, optimizer)
        for give in (lambda loss: loss, lambda loss: {"loss": loss.reshape(1)})
    ]
    assert found[0] == found[1]


def test_other_mistakes_are_told_in_words():
    model, batch, optimizer = deterministic(torch.float64)
    for text, call in {
        "closure, got LBFGS": lambda: critical_lr(model, loss_fn, batch, optim.LBFGS(model.parameters())),
        "a rate above 0, got -1": lambda: critical_lr(model, loss_fn, batch, optimizer, start=-1.0),
        "tolerance must be": lambda: critical_lr(model, loss_fn, batch, optimizer, tolerance=0.0),
        "torch.optim.Optimizer, got str": lambda: critical_lr(model, loss_fn, batch, "sgd"),
        "a rate above 0, got '3.0'": lambda: critical_lr(model, loss_fn, batch, optimizer, start="3.0"),
        "as a number, got '5%': write 500": lambda: steps_saved(0.02, 0.1, "5%"),
        "must be a function of .model, batch., got tuple: write .model, loss_fn": lambda: critical_lr(
            model, batch, loss_fn, optimizer
        ),
        r"got list: write .model, loss_fn, batches, optimizer": lambda: lr_range_test(
            model, loss_fn, optimizer, [batch]
        ),
        "got maximize=True": lambda: critical_lr(
            model, loss_fn, batch, optim.SGD(model.parameters(), lr=0.1, maximize=True)
        ),
        "must not be float16": lambda: lr_range_test(
            m := nn.Linear(2, 1).half(), loss_fn, [batch], optim.SGD(m.parameters())
        ),
        "torch.nn.Module, got function": lambda: critical_lr(loss_fn, loss_fn, batch, optimizer),
        r"stay the same, got list_iterator: write batch = next": lambda: critical_lr(
            model, loss_fn, iter([batch]), optimizer
        ),
        "not be float16, whose rounding": lambda: critical_lr(
            m := nn.Linear(2, 1).half(), loss_fn, batch, optim.SGD(m.parameters())
        ),
        "at least one step": lambda: steps_saved(0.1, 0.1, 0),
        "above 0, got critical=0": lambda: initial_rate(0.0, 0.1),
    }.items():
        with pytest.raises(UserError, match=text):
            call()


def test_inference_mode_and_a_call_in_another_order_are_told_in_words():
    model, batch, optimizer = deterministic(torch.float64)
    with torch.inference_mode():
        x = batch[0] + 0
        critical_lr(model, loss_fn, batch, optimizer)
    with pytest.raises(
        UserError, match=r"normal tensors, got some from torch.inference_mode.*: write .clone"
    ):
        critical_lr(model, loss_fn, (x, batch[1]), optimizer)
    with pytest.raises(UserError, match="must call the model itself, got CrossEntropyLoss"):
        critical_lr(model, nn.CrossEntropyLoss(), batch, optimizer)
    with pytest.raises(IndexError) as raw:
        lr_range_test(model, loss_fn, [x.new_zeros(())], optimizer)
    assert "with a Sequential and a Tensor, one of the list that it was given" in raw.value.__notes__[0]


def test_parameters_from_inference_mode_are_told_in_words_and_state_with_a_graph_is_copied():
    with torch.inference_mode():
        model, batch, optimizer = deterministic(torch.float64)
        for call in (critical_lr, sharpness):
            with pytest.raises(UserError, match=r"got '0.weight' from torch.inference_mode\(\): build the"):
                call(model, loss_fn, batch, optimizer)
    model, batch, optimizer = deterministic(torch.float64)
    loss_fn(model, batch).backward()
    optimizer.step()
    plain = critical_lr(model, loss_fn, batch, optimizer)
    for p in model.parameters():
        buffer = optimizer.state[p]["momentum_buffer"]
        optimizer.state[p]["momentum_buffer"] = buffer.requires_grad_() * 1
    assert critical_lr(model, loss_fn, batch, optimizer) == plain


def test_momentum_that_points_uphill_is_told_in_words():
    model, batch, optimizer = deterministic(torch.float64)
    for p in model.parameters():
        optimizer.state[p] = OrderedDict(momentum_buffer=torch.zeros_like(p))
    loss_fn(model, batch).backward()
    for p in model.parameters():
        optimizer.state[p]["momentum_buffer"] = -10 * p.grad
    with pytest.raises(UserError, match="goes uphill"):
        critical_lr(model, loss_fn, batch, optimizer)
