"""Optimizers beyond the laws of the registry: in float32, and against what they are defined by."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from preheat.adapters.torch import Lion
from preheat.core.errors import UserError
from preheat.core.spec import build, spec
from preheat.optim.base import functions
from preheat.optim.muon import orthogonal


def parameters(kind=torch.float64):
    """A matrix and a bias, and 8 gradients of each."""
    random = torch.Generator().manual_seed(0)
    shapes = {"w": (5, 3), "b": (5,)}
    drawn = [
        {n: torch.randn(s, generator=random, dtype=torch.float64).to(kind) for n, s in shapes.items()}
        for _ in range(9)
    ]
    return drawn[0], drawn[1:]


def updated(one, params, gradients, **numbers):
    """The parameters after each update by a registered optimizer."""
    kind = next(iter(params.values())).dtype
    made, state = functions(one), functions(one).init(params)
    floats = {n: v for n, v in vars(build("optimizer", one)).items() if isinstance(v, float)}
    hyper = {n: torch.tensor(v, dtype=kind) for n, v in (floats | numbers).items()}
    for grads in gradients:
        params, state = made.update(grads, state, params, hyper)
        yield params


def stepped(optimizer, named, gradients):
    """The parameters after each step of a torch optimizer."""
    for grads in gradients:
        for n, p in named.items():
            p.grad = grads[n].clone()
        optimizer.step()
        yield {n: p.detach().clone() for n, p in named.items()}


@pytest.mark.parametrize("name", ["radam", "nadam"])
def test_in_float32_the_corrections_are_those_of_float64(name):
    """RAdam's rectification begins at the same update, though float32 has no digits for rho_t."""
    params, gradients = parameters(torch.float32)
    wide = [{n: t.double() for n, t in one.items()} for one in (params, *gradients)]
    ours = updated(spec(name), params, gradients, lr=0.1)
    for a, b in zip(ours, updated(spec(name), wide[0], wide[1:], lr=0.1), strict=True):
        for n in a:
            torch.testing.assert_close(a[n].double(), b[n], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_lion_is_algorithm_2_of_its_paper_alone_and_as_a_torch_optimizer(decay):
    params, gradients = parameters()
    ours = updated(spec("lion"), params, gradients, lr=0.1, beta1=0.8, weight_decay=decay)
    named = {n: nn.Parameter(p.clone()) for n, p in params.items()}
    optimizer = Lion(named.values(), lr=0.1, betas=(0.8, 0.99), weight_decay=decay)
    theirs = stepped(optimizer, named, gradients)
    place = {n: p.numpy() for n, p in params.items()}
    momentum = {n: 0 * p for n, p in place.items()}
    for grads, a, b in zip(gradients, ours, theirs, strict=True):
        for n, g in grads.items():
            c = 0.8 * momentum[n] + 0.2 * g.numpy()
            place[n] = place[n] - 0.1 * (np.sign(c) + decay * place[n])
            momentum[n] = 0.99 * momentum[n] + 0.01 * g.numpy()
            np.testing.assert_allclose(a[n], place[n], rtol=1e-12)
            np.testing.assert_allclose(b[n], place[n], rtol=1e-12)


def test_lion_resumes_bitwise_takes_closures_and_ascends():
    params, gradients = parameters()
    named = {n: nn.Parameter(p.clone()) for n, p in params.items()}
    optimizer = Lion(named.values(), lr=0.1)
    list(stepped(optimizer, named, gradients[:4]))
    copies = {n: nn.Parameter(p.detach().clone()) for n, p in named.items()}
    resumed = Lion(copies.values(), lr=1.0)
    resumed.load_state_dict(optimizer.state_dict())
    both = stepped(optimizer, named, gradients[4:]), stepped(resumed, copies, gradients[4:])
    for a, b in zip(*both, strict=True):
        assert all(torch.equal(a[n], b[n]) for n in a)
    z = nn.Parameter(torch.tensor([1 + 1j, 0j]))
    ascending = Lion([z], lr=0.5, maximize=True)

    def closure():
        loss = (z.real - 2 * z.imag).sum()
        loss.backward()
        return loss

    assert ascending.step(closure) == -1.0
    assert z.tolist() == [1.5 + 0.5j, 0.5 - 0.5j]
    with pytest.raises(UserError, match="beta2 must be at least 0 and below 1, got 1"):
        Lion([z], betas=(0.9, 1.0))


@pytest.mark.parametrize(
    "options",
    [{}, {"nesterov": False}, {"adjust": "original"}, {"decay_on": "matrices"}],
    ids=str,
)
def test_muon_is_torchs_for_matrices_and_adamw_for_the_rest(options, monkeypatch):
    """torch's rounds to bfloat16, which is left out here."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda t: t.double().clone())
    params, gradients = parameters()
    for one in (params, *gradients):  # a wide matrix, and a kernel of four axes
        one |= {"wide": one["w"].mT.clone(), "kernel": one["w"].reshape(5, 3, 1, 1)}
    ours = updated(spec("muon", **options), params, gradients, lr=0.1, weight_decay=0.2)
    named = {n: nn.Parameter(p.clone()) for n, p in params.items()}
    nesterov = options.get("nesterov", True)
    muon = torch.optim.Muon(
        [named["w"], named["wide"]],
        lr=0.1,
        weight_decay=0.2,
        nesterov=nesterov,
        adjust_lr_fn=options.get("adjust", "match_rms_adamw"),
    )
    biases = 0.0 if "decay_on" in options else 0.2
    groups = [{"params": [named["b"]], "weight_decay": biases}, {"params": [named["kernel"]]}]
    adamw = torch.optim.AdamW(groups, lr=0.1, weight_decay=0.2)
    muon.register_step_post_hook(lambda *_: adamw.step())
    for a, b in zip(ours, stepped(muon, named, gradients), strict=True):
        for n in a:
            torch.testing.assert_close(a[n], b[n], rtol=1e-10, atol=1e-12, msg=n)


@pytest.mark.parametrize("shape", [(6, 40), (40, 6), (20, 20)])
def test_muons_matrix_keeps_singular_vectors_and_brings_singular_values_near_1(shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    u, s, v = torch.linalg.svd(x, full_matrices=False)
    found = u.mT @ orthogonal(x) @ v.mT
    values = found.diag()
    torch.testing.assert_close(found, values.diag(), rtol=0, atol=1e-10)
    near = values[s > 0.01 * x.norm()]
    assert len(near) >= len(s) - 1 and float(near.min()) > 0.65 and float(near.max()) < 1.25


def test_muon_trains_without_matrices_and_with_matrices_alone():
    params, gradients = parameters()
    for name in ("w", "b"):
        grads = [{name: g[name]} for g in gradients]
        ends = {
            one: next(updated(spec(one), {name: params[name]}, grads, lr=0.1, weight_decay=0.0))[name]
            for one in ("muon", "adamw")
        }
        assert torch.equal(ends["muon"], ends["adamw"]) == (name == "b")
    with pytest.raises(UserError, match="unknown adjust 'orignal': did you mean 'original'"):
        build("optimizer", spec("muon", adjust="orignal"))
