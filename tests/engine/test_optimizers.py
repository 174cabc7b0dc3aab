"""Optimizers beyond the laws of the registry: in float32, and against what they are defined by."""

from __future__ import annotations

import pytest
import torch

from preheat.core.spec import build, spec
from preheat.optim.base import functions


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
    kind = params["w"].dtype
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
