"""Probes of sharpness against dense float64 Hessians, at the start, after 20 steps, alone and in a fleet."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import grad
from trainings import DIGITS, a_run, finish

from preheat.core.errors import UserError
from preheat.core.registry import OPTIMIZERS, TASKS
from preheat.core.run import Run
from preheat.core.spec import spec
from preheat.engine import checkpoint
from preheat.engine.keys import generator
from preheat.engine.loop import set_up, train
from preheat.engine.placement import fleet, single
from preheat.models.attention import attention
from preheat.models.lstm import lstm
from preheat.optim.base import functions
from preheat.probes.base import Moment
from preheat.probes.critical import CriticalSharpness
from preheat.probes.hessian import first
from preheat.tasks.base import Classification, Data


class Sequence(nn.Module):
    """Attention or an LSTM over three places, and the mean."""

    def __init__(self, inside):
        super().__init__()
        self.inside, self.head = inside, nn.Linear(4, 3)

    def forward(self, x):
        out = self.inside(x)
        mixed = out[0] if isinstance(out, tuple) else attention(*out.chunk(3, -1))
        return self.head(mixed.mean(1))


def block(i, o):
    return [nn.Conv2d(i, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU()]


NETS = {
    "BatchNorm": lambda: nn.Sequential(
        *block(1, 3), *block(3, 3), nn.MaxPool2d(2), *block(3, 3), *block(3, 3), nn.Flatten(), nn.Linear(12, 3)
    ),
    "dropout": lambda: nn.Sequential(nn.Linear(4, 12), nn.Tanh(), nn.Dropout(0.4), nn.Linear(12, 3)),
    "attention": lambda: Sequence(nn.Linear(4, 12)),
    "lstm": lambda: Sequence(lstm(4, 4)),
}
SHAPES = {"BatchNorm": (1, 4, 4), "dropout": (4,)}


@dataclass(frozen=True)
class Tiny(Classification):
    """Random data of three classes for each kind of network."""

    kind: str = "dropout"
    examples, classes = 48, 3

    def data(self):
        random = generator(0, "tiny")
        x = torch.randn(48, *SHAPES.get(self.kind, (3, 4)), generator=random, dtype=torch.float64)
        part = {"x": x, "y": torch.randint(3, (48,), generator=random)}
        return Data(part, part, part)

    def network(self):
        return NETS[self.kind]()


@pytest.fixture(autouse=True, scope="module")
def tiny():
    TASKS.register("tiny")(Tiny)
    yield
    TASKS._objects.pop("tiny")


EACH = [spec(n, every=20, products=30, examples=24) for n in ("sharpness", "preconditioned_sharpness")]
EACH.append(spec("critical_sharpness", every=20, passes=40))


def a_tiny(kind, seed=0, **changes):
    fixed = {"optimizer": "adamw", "schedule": "constant", "peak_lr": 0.01, "length": "21", "batch_size": 32}
    return a_run(task=spec("tiny", kind=kind), seed=seed, **{**fixed, "probes": EACH, **changes})


def dense(loss, params):
    """[P, P] float64, by autograd alone."""
    sizes = [p.numel() for p in params.values()]

    def flat(vector):
        parts = vector.split(sizes)
        return loss({n: t.view(p.shape) for (n, p), t in zip(params.items(), parts, strict=True)})

    return torch.autograd.functional.hessian(flat, torch.cat([p.reshape(-1) for p in params.values()]))


@cache
def alone(kind):
    """(one run's record, {step: (state before the update, batch, state after it)})."""
    setup = set_up([a_tiny(kind)], single())
    seen, batches = {}, setup.batches(0)
    states = [now.state for now in train(setup)]
    for k in range(21):
        batch = next(batches)
        if k in (0, 20):
            seen[k] = states[k], batch, states[k + 1]
    return setup, finish([a_tiny(kind)], single())[2][0], seen


def spectrum(kind, step, *, adam):
    """The eigenvalues of the dense Hessian on the first 24 examples, of P^-1/2 H P^-1/2 if adam."""
    setup, _, seen = alone(kind)
    state, batch, after = seen[step]
    part = first(batch, 24)
    h = dense(lambda p: setup.fleet.task.plain_loss(p, state.buffers, part), state.params)
    torch.testing.assert_close(h, h.T, rtol=1e-8, atol=1e-10)
    if adam:
        v = torch.cat([t.reshape(-1) for t in after.opt["v"].values()])
        t = step + 1
        p = (1 - 0.9**t) * ((v / (1 - 0.999**t)).sqrt() + 1e-8)
        h = h / p.sqrt() / p.sqrt()[:, None]
    return torch.linalg.eigvalsh(h)


@pytest.mark.parametrize("kind", NETS)
@pytest.mark.parametrize("step", [0, 20])
@pytest.mark.parametrize("name", ["sharpness", "preconditioned_sharpness"])
def test_it_is_the_largest_eigenvalue_of_the_dense_hessian(kind, step, name):
    values, (_, record, _) = spectrum(kind, step, adam=name != "sharpness"), alone(kind)
    place = record.trace[name].steps.tolist().index(step)
    found, error = (record.trace[n].values[place] for n in (name, f"{name}_error"))
    print(kind, step, name, found, float(values[-1]), float(values[0]), error)
    assert found == pytest.approx(float(values[-1]), rel=1e-6) and error < 1e-2


@pytest.mark.parametrize("kind", NETS)
def test_a_fleet_measures_what_its_runs_do_alone(kind):
    runs = [a_tiny(kind), a_tiny(kind, seed=1, peak_lr=0.02)]
    together = finish(runs, fleet())[2]
    for name, series in alone(kind)[1].trace.items():
        np.testing.assert_allclose(series.values, together[0].trace[name].values, rtol=1e-7, err_msg=name)
