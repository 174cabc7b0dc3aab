"""GI-Adam and RI-Adam: the registered optimizer, the torch one and the closed form agree; what it does to the first update."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call

from preheat.adapters.gi_adam import GIAdam
from preheat.adapters.preconditioners import preconditioner
from preheat.adapters.torch import RIAdam, ScheduleLR
from preheat.core.errors import UserError
from preheat.core.spec import build, spec
from preheat.optim.ri_adam import normals
from preheat.schedules import constant
from preheat.schedules.shapes.gi_adam import gi_adam


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()


def batch(k):
    g = torch.Generator().manual_seed(k)
    return torch.randn(16, 4, generator=g, dtype=torch.float64), torch.randint(3, (16,), generator=g)


def loss_of(model, k):
    x, y = batch(k)
    return nn.functional.cross_entropy(model(x), y)


def trained(model, optimizer, steps):
    for k in steps:
        optimizer.zero_grad()
        loss_of(model, k).backward()
        optimizer.step()
    return [p.detach() for p in model.parameters()]


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize(("name", "kind"), [("gi_adam", GIAdam), ("ri_adam", RIAdam)])
def test_the_registered_one_and_torchs_are_the_same(name, kind, decay):
    model = network()
    params = {n: p.detach().clone() for n, p in model.named_parameters()}
    made = build("optimizer", spec(name)).build()
    state = made.init(params)
    hyper = {"lr": 0.05, "beta1": 0.8, "beta2": 0.99, "eps": 1e-8, "weight_decay": decay}
    hyper = {n: torch.tensor(v, dtype=torch.float64) for n, v in hyper.items()}
    for k in range(10):
        grads = torch.func.grad(lambda ps, k=k: loss_of(lambda x: functional_call(model, ps, x), k))(params)
        params, state = made.update(grads, state, params, hyper)
    optimizer = kind(model.parameters(), lr=0.05, betas=(0.8, 0.99), weight_decay=decay)
    found = trained(model, optimizer, range(10))
    for ours, theirs in zip(params.values(), found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)


def test_on_constant_gradients_it_is_the_schedule_of_its_name():
    p = nn.Parameter(torch.zeros(2, dtype=torch.float64))
    optimizer, places = GIAdam([p], lr=1.0, eps=0.0), [p.detach().clone()]
    for _ in range(40):
        p.grad = torch.tensor([3.0, -1e-4], dtype=torch.float64)
        optimizer.step()
        places.append(p.detach().clone())
    moved = -torch.stack(places).diff(dim=0)
    expected = np.sqrt(-np.expm1(np.arange(1, 41) * math.log(0.999)))
    np.testing.assert_allclose(moved.numpy(), expected[:, None] * [1.0, -1.0], rtol=1e-12)
    np.testing.assert_allclose(gi_adam(beta2=0.999, at="right").resolve(40).table(), expected, rtol=1e-12)


@pytest.mark.parametrize(
    "options",
    [{"foreach": True}, {"foreach": False}, {"amsgrad": True}, {"maximize": True}, {"weight_decay": 0.1}],
)
def test_all_of_adams_options_hold(options):
    """Against torch.optim.Adam whose v is written by hand before its first step."""
    ours, theirs = network(), network()
    adam = torch.optim.Adam(theirs.parameters(), lr=0.01, **options)
    loss_of(theirs, 0).backward()
    for p in theirs.parameters():
        g = (-p.grad if options.get("maximize") else p.grad) + options.get("weight_decay", 0.0) * p.detach()
        more = {"max_exp_avg_sq": torch.zeros_like(p)} if options.get("amsgrad") else {}
        adam.state[p] = {
            "step": torch.tensor(0.0),
            "exp_avg": torch.zeros_like(p),
            "exp_avg_sq": g * g,
            **more,
        }
    optimizer = GIAdam(ours.parameters(), lr=0.01, **options)
    for a, b in zip(trained(ours, optimizer, range(5)), trained(theirs, adam, range(5)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


def in_groups(model):
    weights, biases = model.parameters(), [p for p in model.parameters() if p.dim() < 2]
    return [{"params": [p for p in weights if p.dim() > 1], "weight_decay": 0.1}, {"params": biases}]


def test_the_random_start_is_as_long_as_the_gradient_over_all_groups_and_another_for_other_weights():
    starts = []
    for seed in (0, 0, 1):
        model = network(seed)
        optimizer = RIAdam(in_groups(model), lr=0.1)
        loss_of(model, 0).backward()
        groups = optimizer.param_groups
        seen = {p: p.grad + one["weight_decay"] * p.detach() for one in groups for p in one["params"]}
        named = dict(model.named_parameters())
        P = preconditioner(optimizer, named, {n: p.grad.clone() for n, p in named.items()})
        optimizer.step()
        v = {p: (optimizer.state[p]["exp_avg_sq"] - 0.001 * g * g) / 0.999 for p, g in seen.items()}
        for n, p in named.items():
            now = optimizer.state[p]["exp_avg_sq"]
            torch.testing.assert_close(P[n], 0.1 * ((now / 0.001).sqrt() + 1e-8), rtol=1e-9, atol=0)
        total = float(sum(g.square().sum() for g in seen.values()))
        assert float(sum(one.sum() for one in v.values())) == pytest.approx(total, rel=1e-9)
        starts.append(torch.cat([one.flatten() for one in v.values()]) / total)
    torch.testing.assert_close(starts[0], starts[1], rtol=1e-9, atol=0)
    assert float((starts[0] - starts[2]).abs().max()) > 0.01


def test_the_draw_is_normal_and_no_global_generator_is_touched():
    before = torch.random.get_rng_state()
    a, b = normals([torch.zeros(20000), torch.zeros(20000)])
    assert torch.equal(before, torch.random.get_rng_state())
    quantiles = torch.quantile(a, torch.tensor([0.0228, 0.1587, 0.5, 0.8413, 0.9772])).tolist()
    assert quantiles == pytest.approx([-2, -1, 0, 1, 2], abs=0.06)
    assert abs(float((a * b).mean())) < 0.03


@pytest.mark.parametrize("kind", [GIAdam, RIAdam])
def test_it_resumes_bitwise_and_takes_closures_and_late_parameters(kind):
    model = network()
    optimizer = kind(in_groups(model), lr=0.01)
    trained(model, optimizer, range(3))
    other = copy.deepcopy(model)
    resumed = kind(in_groups(other), lr=0.5)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for a, b in zip(
        trained(model, optimizer, range(3, 6)), trained(other, resumed, range(3, 6)), strict=True
    ):
        assert torch.equal(a, b)
    late = nn.Parameter(torch.ones((), dtype=torch.float64))
    optimizer.add_param_group({"params": [late], "lr": 1.0})

    def closure():
        optimizer.zero_grad()
        loss = 5 * late
        loss.backward()
        return loss

    assert optimizer.step(closure) == 5.0
    assert late.item() == pytest.approx(1 - math.sqrt(0.001), rel=1e-6)


def test_a_scheduler_counts_its_updates_once():
    model = network()
    optimizer = GIAdam(model.parameters(), lr=0.5)
    torch.optim.Adam(network().parameters())  # an instance hooks its class's step
    counted = []
    optimizer.register_step_post_hook(lambda *_: counted.append(1))
    scheduler = ScheduleLR(optimizer, constant(warmup="50%"), total_steps=4)
    for k in range(4):
        trained(model, optimizer, [k])
        scheduler.step()
    assert len(counted) == 4 and scheduler.last_epoch == 4


def test_fused_is_refused_in_words():
    for kind in (GIAdam, RIAdam):
        with pytest.raises(UserError, match=f"^{kind.__name__} must see .* fused=True: write foreach=True"):
            kind(network().parameters(), fused=True)


def test_the_first_preconditioned_sharpness_is_a_thirtysecond_of_adams():
    """The largest eigenvalue of P^-1/2 H P^-1/2, H dense, P of the step about to be taken, from each state."""
    tops = {}
    for kind in (torch.optim.Adam, GIAdam):
        model = network(3)
        shapes = {n: p.shape for n, p in model.named_parameters()}
        flat = torch.cat([p.detach().reshape(-1) for p in model.parameters()])

        def loss(v, model=model, shapes=shapes):
            parts = v.split([s.numel() for s in shapes.values()])
            named = {n: part.view(s) for (n, s), part in zip(shapes.items(), parts, strict=True)}
            return loss_of(lambda x: functional_call(model, named, x), 0)

        optimizer = kind(model.parameters(), lr=0.0)
        trained(model, optimizer, [0])
        v = torch.cat([optimizer.state[p]["exp_avg_sq"].reshape(-1) for p in model.parameters()])
        p = (1 - 0.9) * ((v / (1 - 0.999)).sqrt() + 1e-8)
        hessian = torch.autograd.functional.hessian(loss, flat)
        tops[kind] = float(torch.linalg.eigvalsh(hessian / p.sqrt().outer(p.sqrt()))[-1])
    assert tops[GIAdam] / tops[torch.optim.Adam] == pytest.approx(math.sqrt(1 - 0.999), rel=1e-3)


def test_its_arguments_may_be_given_by_place_as_adam_s():
    group = GIAdam([torch.ones(1, requires_grad=True)], 1e-2, (0.8, 0.99), 1e-6).param_groups[0]
    assert (group["lr"], group["betas"], group["eps"]) == (1e-2, (0.8, 0.99), 1e-6)
