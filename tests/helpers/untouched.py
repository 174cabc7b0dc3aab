"""A model in the middle of training, and all of it that a measurement must leave as it was."""

from __future__ import annotations

import pickle
import random

import numpy as np
import torch
from torch import nn


class Noisy(nn.Module):
    """BatchNorm and dropout in training mode, one part in evaluation mode, a frozen and an unused layer."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.2))
        self.frozen, self.unused = nn.Linear(8, 8).requires_grad_(False), nn.Linear(8, 1)
        self.still, self.out = nn.Dropout(0.5).eval(), nn.Linear(8, 3)

    def forward(self, x):
        return self.out(self.still(self.frozen(self.body(x))))


def loss_fn(model, batch):
    return nn.functional.cross_entropy(model(batch[0]), batch[1])


def setting(make, dtype=torch.float64, steps=3):
    """A model three steps into training, with a gradient left in .grad."""
    torch.manual_seed(0)
    model = Noisy().to(dtype)
    optimizer = make([p for p in model.parameters() if p.requires_grad])
    batch = torch.randn(24, 4, dtype=dtype), torch.randint(3, (24,))
    for _ in range(steps):
        optimizer.zero_grad()
        loss_fn(model, batch).backward()
        optimizer.step()
    loss_fn(model, batch).backward()
    return model, batch, optimizer


def picture(model, optimizer):
    """All that must stay, as bytes and identities."""
    tensors = [*model.parameters(), *model.buffers()]
    grads = [p.grad for p in model.parameters()]
    state = optimizer.state_dict()
    return (
        [id(t) for t in [*tensors, *grads]],
        [id(v) for s in optimizer.state.values() for v in s.values()],
        [id(v) for g in optimizer.param_groups for v in g.values() if isinstance(v, torch.Tensor)],
        pickle.dumps([t.detach().numpy().tobytes() for t in tensors]),
        [None if g is None else g.numpy().tobytes() for g in grads],
        [
            [v.numpy().tobytes() if isinstance(v, torch.Tensor) else v for v in s.values()]
            for s in state["state"].values()
        ],
        repr(state["param_groups"]),
        [m.training for m in model.modules()],
        torch.get_rng_state().numpy().tobytes(),
        np.random.get_state()[1].tobytes(),
        random.getstate(),
        sorted(vars(optimizer)),
    )
