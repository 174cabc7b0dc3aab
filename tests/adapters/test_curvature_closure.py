"""What a loss reaches besides its model comes back as it was, and hooks change no Hessian."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

from preheat.adapters.curvature import hessian_trace, sharpness
from preheat.core.errors import UserError


class Counts(nn.Module):
    """State of every kind that a forward may change."""

    def __init__(self):
        super().__init__()
        self.line, self.norm = nn.Linear(4, 3), nn.BatchNorm1d(3)
        self.register_buffer("late", None)
        self.calls, self.average, self.inplace, self.seen = 0, torch.zeros(4), torch.zeros(4), []

    def forward(self, x):
        self.calls += 1
        self.average = 0.9 * self.average + 0.1 * x.detach().mean(0)
        self.inplace.add_(x.detach().mean(0))
        self.seen.append(x)
        self.last, self.late = x, x.mean(0)
        return self.norm(self.line(x))


def state(module):
    own = {n: v for n, v in vars(module).items() if n[0] != "_"}
    tensors = [*module.buffers(), own["average"], own["inplace"]]
    return (
        set(own),
        own["calls"],
        len(own["seen"]),
        module._buffers["late"],
        module.training,
        [t.numpy().tobytes() for t in tensors],
        list(map(id, tensors)),
    )


def made():
    torch.manual_seed(0)
    return Counts(), (torch.randn(20, 4), torch.randint(3, (20,)))


OTHER = made()[0]


class Trains:
    def __init__(self, other):
        self.other = other

    def loss(self, model, batch):
        return cross_entropy(model(batch[0]) * self.other(batch[0]).detach(), batch[1])

    __call__ = loss


def reached(other):
    """A loss function for each way to another module."""

    def by_closure(model, batch):
        return Trains(other).loss(model, batch)

    def by_global(model, batch):
        return Trains(OTHER).loss(model, batch)

    def by_default(model, batch, kept={"a": [other]}):  # noqa: B006
        return Trains(kept["a"][0]).loss(model, batch)

    return {
        "closure": by_closure,
        "global": by_global,
        "default": by_default,
        "function": lambda model, batch: 2 * by_closure(model, batch),
        "method": Trains(other).loss,
        "object": Trains(other),
        "partial": functools.partial(lambda other, model, batch: Trains(other).loss(model, batch), other),
    }


@pytest.mark.parametrize("way", reached(None))
def test_modules_that_the_loss_closes_over_come_back(way):
    model, batch = made()
    other = OTHER if way == "global" else made()[0]
    before = state(model), state(other)
    found = sharpness(model, reached(other)[way], batch)
    assert (state(model), state(other)) == before
    assert sharpness(model, reached(other)[way], batch) == found


def loss_fn(model, batch):
    return cross_entropy(model(batch[0]), batch[1])


def test_what_a_product_computes_again_leaves_buffers_alone():
    model, batch = made()
    before = state(model)
    again = lambda model, batch: cross_entropy(checkpoint(model, batch[0], use_reentrant=False), batch[1])
    found = sharpness(model, again, batch)
    assert state(model) == before and found == pytest.approx(sharpness(model, loss_fn, batch), rel=1e-5)


def test_a_loss_that_turns_training_off_leaves_it_on():
    model, batch = made()
    before = state(model)
    sharpness(model, lambda model, batch: loss_fn(model.eval(), batch), batch)
    assert state(model) == before


def test_gradients_come_back_where_the_loss_calls_backward():
    model, batch = made()
    loss_fn(model, batch).backward()
    grads = [p.grad.clone() for p in model.parameters()]

    def steps(model, batch):
        loss = loss_fn(model, batch)
        loss.backward()
        return loss

    with pytest.raises(UserError, match=r"the loss alone, got a call of .backward\(\) in it: leave that out"):
        sharpness(model, steps, batch)
    assert all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), grads, strict=True))


@pytest.mark.filterwarnings("ignore:Full backward hook")
def test_hooks_on_gradients_do_not_count_and_stay():
    model, batch = made()
    true = sharpness(model, loss_fn, batch), hessian_trace(model, loss_fn, batch, vectors=2)
    fired = []
    every = lambda module, into, out: fired.append(3)
    on = [p.register_hook(lambda g: g.clamp(-0.05, 0.05) * 0.1) for p in model.parameters()]
    on.append(model.norm.register_full_backward_hook(lambda m, i, o: fired.append(1) or (3 * i[0],)))
    on.append(model.norm.register_full_backward_pre_hook(lambda m, o: fired.append(2) or (3 * o[0],)))
    on.append(nn.modules.module.register_module_full_backward_hook(every))
    try:
        _measured_without(on, fired, model, batch, true)
    finally:
        on[-1].remove()


def _measured_without(on, fired, model, batch, true):
    def hooked(model, batch):
        out = model(batch[0])
        out.register_hook(lambda g: 2 * g)
        return cross_entropy(out, batch[1])

    assert (sharpness(model, hooked, batch), hessian_trace(model, hooked, batch, vectors=2)) == true
    assert not fired
    hooked(model, batch).backward()
    assert {1, 2, 3} == {*fired} and all(float(p.grad.abs().max()) <= 0.005001 for p in model.parameters())
    for hook in on:
        hook.remove()
    model.zero_grad()
    loss_fn(model, batch).backward()
    assert max(float(p.grad.abs().max()) for p in model.parameters()) > 0.01
