"""Sharpness and trace in a loop of one's own: against dense float64 Hessians, in everybody's loops, and nothing
is touched."""

from __future__ import annotations

import copy
import random

import numpy as np
import pytest
import torch
from torch import nn, optim
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy, mse_loss, scaled_dot_product_attention

from preheat.adapters.curvature import Curvature, hessian_trace, sharpness
from preheat.adapters.preconditioners import RULES, preconditioner
from preheat.core.errors import UserError


class Attends(nn.Module):
    """Self-attention with dropout inside torch's fused kernel."""

    def __init__(self):
        super().__init__()
        self.mix, self.out = nn.Linear(3, 9), nn.Linear(3, 2)

    def forward(self, x):
        q, k, v = self.mix(x).chunk(3, -1)
        return self.out(scaled_dot_product_attention(q, k, v).mean(1))


class Recurs(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.out = nn.LSTM(3, 3, batch_first=True), nn.Linear(3, 2)

    def forward(self, x):
        return self.out(self.lstm(x)[0][:, -1])


def norms():
    first = nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.BatchNorm1d(4), nn.Tanh())
    return nn.Sequential(first, nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2))


def drops():
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.Tanh(), nn.Dropout(0.3), nn.Linear(4, 2))


NETS = {"BatchNorm": norms, "dropout": drops, "attention": Attends, "LSTM": Recurs}


def loss_fn(model, batch):
    return cross_entropy(model(batch[0]), batch[1])


def made(name, seed=0):
    """(model in training mode, batch), float64."""
    random = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    model = NETS[name]().double()
    x = torch.randn(12, 4, 3, generator=random, dtype=torch.float64)
    return model, (x, torch.randint(2, (12,), generator=random))


def dense(model, batch, loss_fn=loss_fn):
    """The Hessian [P, P] by torch.func, its dropout mask that of seed 0."""
    names, sizes = zip(*[(n, p.shape) for n, p in model.named_parameters() if p.requires_grad], strict=True)
    buffers = {n: b.clone() for n, b in model.named_buffers()}

    def loss(flat):
        parts = flat.split([s.numel() for s in sizes])
        params = {n: p.view(s) for n, p, s in zip(names, parts, sizes, strict=True)}
        torch.manual_seed(0)
        call = lambda x: functional_call(
            model, {**params, **{n: b.clone() for n, b in buffers.items()}}, (x,)
        )
        return loss_fn(call, batch)

    flat = torch.cat([p.detach().reshape(-1) for n, p in model.named_parameters() if n in names])
    with torch.random.fork_rng(), sdpa_kernel(SDPBackend.MATH):
        return torch.autograd.functional.hessian(loss, flat), names


def flat(tensors, names):
    return torch.cat([tensors[n].detach().reshape(-1) for n in names])


# --- against the dense Hessian ---------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [0, 20])
@pytest.mark.parametrize("name", NETS)
def test_it_is_the_dense_hessian_s(name, steps):
    model, batch = made(name)
    optimizer = optim.Adam(model.parameters(), lr=3e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        loss_fn(model, batch).backward()
        optimizer.step()
    matrix, names = dense(model, batch)
    top = float(torch.linalg.eigvalsh(matrix)[-1])
    found = sharpness(model, loss_fn, batch, tol=1e-7)
    assert found == pytest.approx(top, rel=1e-9) and found.error <= 1e-7 * top
    v = flat(found.vector, names)
    assert (matrix @ v - top * v).norm() < 1e-6 * top
    loose = sharpness(model, loss_fn, batch)
    assert loose.products < found.products and abs(loose - top) <= loose.error
    again = sharpness(model, loss_fn, batch, start=found)
    assert again.products <= loose.products and again == pytest.approx(top, rel=1e-2)

    scaled = sharpness(model, loss_fn, batch, optimizer, tol=1e-7)
    p = flat(stepped(model, optimizer, batch), names)
    matrix = matrix / (p[:, None] * p[None, :]).sqrt()
    assert scaled == pytest.approx(float(torch.linalg.eigvalsh(matrix)[-1]), rel=1e-7)


def stepped(model, optimizer, batch):
    """Adam's P, from the step that a copy takes: -lr m / (change of theta)."""
    other, taking = copy.deepcopy((model, optimizer))
    with torch.random.fork_rng(), sdpa_kernel(SDPBackend.MATH):
        torch.manual_seed(0)
        taking.zero_grad()
        loss_fn(other, batch).backward()
    taking.step()
    olds, lr = dict(model.named_parameters()), taking.param_groups[0]["lr"]
    return {n: -lr * taking.state[p]["exp_avg"] / (p - olds[n]).detach() for n, p in other.named_parameters()}


# --- the preconditioner ----------------------------------------------------------------------------------

OPTIONS = {
    optim.Adam: [{"weight_decay": 0.1}, {"amsgrad": True, "betas": (0.8, 0.9)}],
    optim.AdamW: [{}, {"weight_decay": 0.0}],
    optim.RAdam: [{}, {"betas": (0.9, 0.5)}],
    optim.Adagrad: [{"lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.2}],
    optim.RMSprop: [{}, {"centered": True}],
    optim.Adafactor: [{"lr": 1e-2, "weight_decay": 0.0}, {"lr": 0.9, "d": 1.0, "weight_decay": 0.0}],
}
MOMENTS = {optim.Adagrad: None, optim.RMSprop: None, optim.Adadelta: None, optim.Adafactor: None}


@pytest.mark.parametrize(
    "kind,options",
    [(k, o) for k in RULES for o in OPTIONS.get(k, [{}])],
    ids=lambda v: getattr(v, "__name__", str(v)),
)
@pytest.mark.parametrize("steps", [0, 7])
def test_p_is_that_of_the_step_about_to_be_taken(kind, options, steps):
    model, batch = made("BatchNorm")
    optimizer = kind(model.parameters(), **{"lr": 1e-2, **options})
    for _ in range(steps):
        optimizer.zero_grad()
        loss_fn(model, batch).backward()
        optimizer.step()
    optimizer.zero_grad()
    loss_fn(model, batch).backward()
    params = dict(model.named_parameters())
    grads = {n: p.grad.clone() for n, p in params.items()}
    state = copy.deepcopy(optimizer.state_dict())
    found = preconditioner(optimizer, params, grads)
    assert str(optimizer.state_dict()) == str(state)

    other, taking = copy.deepcopy((model, optimizer))
    for n, p in other.named_parameters():
        p.grad = grads[n].clone()
    taking.step()
    group, now = optimizer.param_groups[0], dict(other.named_parameters())
    for n, p in params.items():
        decay = group["weight_decay"]
        apart = group.get("decoupled_weight_decay", kind is optim.Adafactor)
        moved = now[n] - p * (1 - group["lr"] * decay if apart else 1)
        g, last = grads[n] + (0 if apart else decay) * p, taking.state[now[n]]
        m = g if kind in MOMENTS else last["exp_avg"]
        if kind is optim.NAdam:  # two parts: the gradient's, and the momentum's by which P is defined
            t, psi = float(last["step"]), group["momentum_decay"]
            mu, ahead = (0.9 * (1 - 0.5 * 0.96 ** (k * psi)) for k in (t, t + 1))
            done = float(last["mu_product"])
            m = ahead * m + (1 - mu) * g * (1 - done * ahead) / (1 - done)
        sure = g.abs() > 1e-9  # a bias before BatchNorm has no gradient but rounding
        assert sure.any() or "bias" in n
        assert torch.allclose(-group["lr"] * m[sure], (found[n] * moved)[sure], rtol=1e-6, atol=0), n


def test_plain_steps_have_p_1_and_a_wrapped_optimizer_is_the_one_inside():
    model, batch = made("dropout")
    plain = sharpness(model, loss_fn, batch, tol=1e-6)
    for kind in (optim.SGD, optim.ASGD):
        assert sharpness(model, loss_fn, batch, kind(model.parameters(), lr=0.1), tol=1e-6) == plain
    adam = optim.Adam(model.parameters())

    class Wraps:
        def __init__(self):
            self.optimizer, self.param_groups = adam, adam.param_groups

    assert sharpness(model, loss_fn, batch, Wraps()) == sharpness(model, loss_fn, batch, adam)
    own = {n: torch.full_like(p, 4.0) for n, p in model.named_parameters()}
    assert sharpness(model, loss_fn, batch, own, tol=1e-6) == pytest.approx(plain / 4, rel=1e-6)


def test_an_optimizer_without_a_known_p_is_refused_with_what_to_write():
    model, batch = made("dropout")

    class Mine(optim.Adam):
        pass

    for one in (Mine(model.parameters()), optim.LBFGS(model.parameters()), optim.Rprop(model.parameters())):
        with pytest.raises(UserError, match=rf"got \w+'s {type(one).__name__}: write in its place a dict"):
            sharpness(model, loss_fn, batch, one)
    with pytest.raises(UserError, match=r"P of '1.weight' must have the shape \(4, 12\), got none"):
        sharpness(model, loss_fn, batch, {})
    zeros = {n: torch.zeros_like(p) for n, p in model.named_parameters()}
    with pytest.raises(
        UserError, match=r"above 0, got 48 other entries in .1.weight.: give the optimizer an eps"
    ):
        sharpness(model, loss_fn, batch, zeros)
    for kind in (optim.Adam, optim.SGD, optim.ASGD):
        with pytest.raises(UserError, match="maximize=True: build it without, and give loss_fn the opposite"):
            sharpness(model, loss_fn, batch, kind(model.parameters(), lr=0.1, maximize=True))
    with pytest.raises(
        UserError, match=r"P of '1.weight' must be a tensor, got float: write torch.full_like"
    ):
        sharpness(model, loss_fn, batch, {"1.weight": 1.0})
    with pytest.raises(UserError, match="hold parameters of the model, got none of them"):
        sharpness(model, loss_fn, batch, optim.Adam(drops().parameters()))


# --- the trace, and negative curvature -------------------------------------------------------------------


def test_the_trace_lies_within_its_error_of_the_dense_hessian_s():
    model, batch = made("attention")
    exact = float(dense(model, batch)[0].trace())
    many = hessian_trace(model, loss_fn, batch, vectors=300)
    assert abs(many - exact) < 4 * many.error and many.products == 300
    few = [hessian_trace(model, loss_fn, batch, vectors=8, seed=s) for s in range(12)]
    assert np.std(few) == pytest.approx(np.mean([f.error for f in few]), rel=0.6)
    assert np.mean([f.error for f in few]) / many.error == pytest.approx((300 / 8) ** 0.5, rel=0.4)
    with pytest.raises(UserError, match="vectors must be at least 2"):
        hessian_trace(model, loss_fn, batch, vectors=1)


def test_it_is_the_largest_also_where_a_negative_eigenvalue_is_larger_in_size():
    model, batch = made("BatchNorm")
    wrong = lambda model, batch: -loss_fn(model, batch)
    values = torch.linalg.eigvalsh(dense(model, batch, wrong)[0])
    assert -values[0] > 2 * values[-1] > 0
    assert sharpness(model, wrong, batch, tol=1e-7) == pytest.approx(float(values[-1]), rel=1e-9)


@pytest.mark.parametrize("wrap", [nn.utils.weight_norm, nn.utils.parametrizations.weight_norm])
@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated")
def test_torchs_weight_norm_counts_by_its_formula(wrap):
    model, (x, _) = wrap(nn.Linear(3, 2)).double(), made("LSTM")[1]
    bias, g, v = (p.detach() for p in model.parameters())
    given = torch.cat([bias, g.reshape(-1), 0.3 * v.reshape(-1)])
    with torch.no_grad():
        v.mul_(0.3)

    def loss(flat):
        bias, g, v = flat[:2], flat[2:4, None], flat[4:].view(2, 3)
        weight = g * v / v.square().sum(1, keepdim=True).sqrt()
        return (x @ weight.T + bias).square().mean()

    true = float(torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, given))[-1])
    found = sharpness(model, lambda model, x: model(x).square().mean(), x, tol=1e-6)
    assert found == pytest.approx(true, rel=1e-6)


def test_a_number_is_a_float_that_keeps_its_error():
    model, batch = made("dropout")
    found = sharpness(model, loss_fn, batch)
    again = copy.deepcopy(found)
    assert isinstance(again, Curvature) and (again, again.error) == (found, found.error)
    assert f"{found:.3g}" == f"{float(found):.3g}" and f"error={found.error:.2g}" in repr(found)
    with pytest.raises(UserError, match="start must be an earlier sharpness of this model, got none for"):
        sharpness(made("LSTM")[0], loss_fn, batch, start=found)
    for tol in (0, 1, -0.1):
        with pytest.raises(UserError, match="tol must be above 0 and below 1"):
            sharpness(model, loss_fn, batch, tol=tol)


# --- nothing is touched, and what is refused -------------------------------------------------------------


def everything(model, optimizer):
    """All state as bytes."""
    tensors = [*model.parameters(), *model.buffers(), *(p.grad for p in model.parameters())]
    return (
        [t.detach().numpy().tobytes() for t in tensors],
        [m.training for m in model.modules()],
        [id(b) for b in model.buffers()],
        str(optimizer.state_dict()),
        torch.get_rng_state().numpy().tobytes(),
        (random.getstate(), str(np.random.get_state())),
        torch.is_grad_enabled(),
    )


@pytest.mark.parametrize("name", NETS)
def test_all_state_comes_back_bitwise(name):
    model, batch = made(name)
    optimizer = optim.Adam(model.parameters())
    loss_fn(model, batch).backward()
    optimizer.step()
    before = everything(model, optimizer)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found = sharpness(model, loss_fn, batch, optimizer)
        assert hessian_trace(model, loss_fn, batch, vectors=2) == hessian_trace(
            model, loss_fn, batch, vectors=2
        )
    assert everything(model, optimizer) == before and found == sharpness(model, loss_fn, batch, optimizer)
    with pytest.raises(ZeroDivisionError):
        sharpness(model, lambda model, batch: loss_fn(model, batch) / 0 if 1 / 0 else 0, batch)
    assert everything(model, optimizer)[:4] == before[:4]


def test_measuring_between_backward_and_step_changes_no_training():
    ends = []
    for measured in (False, True):
        model, batch = made("BatchNorm")
        optimizer = optim.Adam(model.parameters(), lr=1e-2)
        for k in range(6):
            loss = loss_fn(model, batch) / 2  # two micro-batches to an update
            if measured:
                sharpness(model, loss_fn, batch, optimizer)
            loss.backward()
            if k % 2:
                optimizer.step()
                optimizer.zero_grad()
        ends.append(model.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(ends[0].values(), ends[1].values(), strict=True))


def autocast(model, batch):
    with torch.autocast("cpu", torch.bfloat16):
        return loss_fn(model, batch)


own = torch.Generator().manual_seed(0)
BAD = {
    "a vector": (lambda m, b: m(b[0]).square().mean(0), r"a scalar, got the shape \(2,\): write .mean\(\)"),
    "a float": (
        lambda m, b: loss_fn(m, b).item(),
        r"must return a scalar tensor.* got float: return the loss before",
    ),
    "nothing": (lambda m, b: None, "got NoneType"),
    "cut off": (lambda m, b: loss_fn(m, b).detach(), "cut off: leave out .detach"),
    "another model's": (lambda m, b: loss_fn(made("dropout")[0], b), "got one without a gradient for any"),
    "not deterministic": (
        lambda m, b: loss_fn(m, b) * torch.rand((), generator=own),
        "the same each time, got .* for one batch and the same random numbers: draw from torch's global generator",
    ),
    "NaN": (lambda m, b: loss_fn(m, b) * torch.nan, "the loss must be finite, got nan: look at the batch"),
    "no second derivative": (
        lambda m, b: (m(b[0]) * 0).abs().sqrt().sum(),
        "the Hessian must be finite, got nan from a product",
    ),
    "bfloat16": (autocast, "got a loss with torch.bfloat16 inside: leave torch.autocast out of loss_fn"),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_loss_is_refused(bad):
    model, batch = made("dropout")
    function, message = BAD[bad]
    with pytest.raises(UserError, match=message):
        sharpness(
            model.float() if bad == "bfloat16" else model,
            function,
            (batch[0].to(next(model.parameters())), batch[1]),
        )


def test_a_bad_model_or_batch_is_refused():
    model, batch = made("dropout")
    for broken in (model.half, model.bfloat16):
        with pytest.raises(
            UserError, match=r"float32 or float64, got .*float16 in '1.weight': measure a copy, own, its ="
        ):
            sharpness(broken(), loss_fn, batch)
    model = made("dropout")[0]
    with pytest.raises(
        UserError, match=r"must stay the same, got .*iterator: write batch = next\(iterator\)"
    ):
        sharpness(model, loss_fn, iter([batch]))
    with pytest.raises(UserError, match=r"a torch.nn.Module, got function"):
        sharpness(loss_fn, model, batch)
    with pytest.raises(UserError, match=r"that train, got none: write p.requires_grad_\(True\)"):
        sharpness(model.requires_grad_(False), loss_fn, batch)
    moved = made("dropout")[0]
    moved[1] = moved[1].to("meta")
    with pytest.raises(UserError, match="on one device, got cpu, meta"):
        sharpness(moved, loss_fn, batch)


def test_frozen_shared_and_unused_parameters():
    model, batch = made("dropout")
    model[1].weight.requires_grad_(False)
    matrix, names = dense(model, batch)
    assert sharpness(model, loss_fn, batch, tol=1e-6) == pytest.approx(
        float(torch.linalg.eigvalsh(matrix)[-1])
    )
    assert set(sharpness(model, loss_fn, batch).vector) == set(names)

    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(1, 1, bias=False)
            self.b, self.unused = nn.Linear(1, 1, bias=False), nn.Linear(1, 1)
            self.b.weight = self.a.weight
            nn.init.constant_(self.a.weight, 2.0)

        def forward(self, x):
            return self.b(self.a(x))

    found = sharpness(Tied(), lambda model, x: mse_loss(model(x), 0 * x), torch.ones(1, 1), tol=1e-6)
    assert found == pytest.approx(12 * 2.0**2) and set(found.vector) == {
        "a.weight",
        "unused.weight",
        "unused.bias",
    }
    straight = sharpness(nn.Linear(1, 1), lambda model, x: model(x).sum(), torch.ones(1, 1))
    assert (straight, straight.error) == (0, 0)
