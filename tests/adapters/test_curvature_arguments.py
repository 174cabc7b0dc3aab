"""What is wrong in a call is said, with what to write."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn, optim
from torch.nn.functional import mse_loss
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader

from preheat.adapters.curvature import sharpness
from preheat.adapters.monitor import CurvatureMonitor
from preheat.core.errors import UserError

NET = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
BATCH = torch.randn(8, 4), torch.randn(8, 2)
ADAM = optim.Adam(NET.parameters())


def loss_fn(model, batch):
    return mse_loss(model(batch[0]), batch[1])


def inference():
    with torch.inference_mode():
        return sharpness(NET, loss_fn, (torch.randn(8, 4), torch.randn(8, 2)))


def half_inside():
    last = copy.deepcopy(NET[2]).bfloat16().requires_grad_(False)
    model = nn.Sequential(NET[0], NET[1], last)
    short = lambda m, b: mse_loss(m[2](m[1](m[0](b[0])).bfloat16()).float(), b[1])
    return sharpness(model, short, BATCH)


def reentrant(model, batch):
    return mse_loss(checkpoint(model, batch[0], use_reentrant=True), batch[1])


def sparse():
    return sharpness(nn.Embedding(4, 3, sparse=True), lambda m, x: m(x).square().sum(), torch.arange(3))


WRONG = {
    "order": (lambda: sharpness(NET, BATCH, loss_fn), r"got tuple: write \(model, loss_fn, batch\)"),
    "order of the monitor": (
        lambda: CurvatureMonitor(BATCH, loss_fn),
        r"tuple: write CurvatureMonitor\(loss_fn, b",
    ),
    "model": (lambda: sharpness(loss_fn, NET, BATCH), r"got function: write \(model, loss_fn, batch\)"),
    "step": (
        lambda: CurvatureMonitor(loss_fn, BATCH).step(ADAM, NET),
        r"Adam: write .* monitor.step\(model, opt",
    ),
    "MSELoss": (
        lambda: sharpness(NET, nn.MSELoss(), BATCH),
        r"write lambda model, batch: nn.MSELoss\(\)\(model",
    ),
    "optimizer": (
        lambda: sharpness(NET, loss_fn, ADAM, BATCH),
        r"got Adam: write \(model, loss_fn, batch, opt",
    ),
    "loader": (lambda: sharpness(NET, loss_fn, DataLoader([1])), r"write batch = next\(iter\(loader\)\)"),
    "start": (lambda: sharpness(NET, loss_fn, BATCH, start=3.0), "got the number 3.0: leave it out"),
    "tuple": (lambda: sharpness(NET, lambda m, b: (loss_fn(m, b), 1), BATCH), "tuple: return the loss alone"),
    "None": (lambda: sharpness(NET, lambda m, b: None, BATCH), "`return loss` is missing"),
    "sparse": (sparse, "must be dense, got a sparse one: write nn.Embedding.*sparse=False"),
    "inference": (inference, r"torch.inference_mode\(\): write .clone\(\)"),
    "reentrant": (lambda: sharpness(NET, reentrant, BATCH), "use_reentrant=False"),
    "a module in bfloat16": (half_inside, r"got torch.bfloat16 in '2\.\w+': measure a copy"),
}


@pytest.mark.filterwarnings("ignore:None of the inputs")
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_argument_is_told_with_what_to_write(wrong):
    call, message = WRONG[wrong]
    with pytest.raises(UserError, match=message):
        call()


def test_an_error_inside_the_loss_tells_how_it_was_called():
    with pytest.raises(TypeError) as caught:
        sharpness(NET, lambda batch, model: loss_fn(model, batch), BATCH)
    assert caught.value.__notes__ == ["preheat called loss_fn(model, batch) with a Sequential and a tuple"]


def test_the_advice_for_float16_works():
    model = copy.deepcopy(NET).half()
    optimizer = optim.Adam(model.parameters(), eps=1e-3)
    loss_fn(model, [t.half() for t in BATCH]).backward()
    optimizer.step()
    with pytest.raises(UserError, match=r"own, its = copy.deepcopy\(\(model, optimizer\)\)"):
        sharpness(model, loss_fn, BATCH, optimizer)
    own, its = copy.deepcopy((model, optimizer))
    assert sharpness(own.float(), loss_fn, BATCH, its) > 0
    assert next(model.parameters()).dtype == torch.float16
