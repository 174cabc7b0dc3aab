"""One update, written for one run and lifted to many."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.func import grad_and_value
from torch.utils import _pytree as pytree

from preheat.engine.placement import Placement
from preheat.optim.base import Optimizer

Tensors = dict[str, Tensor]
Loss = Callable[[Tensors, Tensors, Tensors], tuple[Tensor, Tensors]]
Step = Callable[["State", Tensors, Tensors, Tensor], tuple["State", Tensor, Tensor]]


class State(NamedTuple):
    """All that changes during training; in a fleet every tensor has a leading run axis R."""

    params: Tensors
    buffers: Tensors
    opt: dict[str, Any]


def gradients(loss: Loss, where: Placement) -> Callable[..., Any]:
    """(params, buffers, batch) -> (grads, (value, buffers)), lifted over runs."""
    return where.lift(grad_and_value(loss, has_aux=True), (0, 0, 0))


def make_step(loss: Loss, optimizer: Optimizer, where: Placement, *, clip: bool) -> Step:
    """step(state, batch, hyper, alive) -> (state, value, alive).

    hyper: {"lr": [R], "momentum": [R], ...}; value: [R], the batch's loss before the update; alive: [R] bool.
    A run whose loss is not finite is dead from then on and keeps the state it had; the others do not notice.
    """
    grads_of = gradients(loss, where)

    def advance(
        grads: Tensors, value: Tensor, buffers: Tensors, state: State, hyper: Tensors, alive: Tensor
    ) -> tuple[State, Tensor]:
        if clip:
            grads = clipped(grads, hyper["clip_norm"])
        params, opt = optimizer.update(grads, state.opt, state.params, hyper)
        alive = alive & torch.isfinite(value)
        new = State(params, buffers, opt)
        return (new if where.looks else keep(alive, new, state)), alive

    update = where.lift(advance, 0)

    def step(state: State, batch: Tensors, hyper: Tensors, alive: Tensor) -> tuple[State, Tensor, Tensor]:
        grads, (value, buffers) = grads_of(state.params, state.buffers, batch)
        grads, value = where.laid_out(where.mean(grads)), where.mean(value)
        new, alive = update(grads, value, buffers, state, hyper, alive)
        return new, value, alive

    return step


def looked_at(step: Step) -> Step:
    """For one run on a CPU: freeze it by a look at `alive`, which is cheaper there than a `where` over the
    state."""

    def looking(state: State, batch: Tensors, hyper: Tensors, alive: Tensor) -> tuple[State, Tensor, Tensor]:
        new, value, alive = step(state, batch, hyper, alive)
        return (new if alive else state), value, alive

    return looking


def clipped(grads: Tensors, clip_norm: Tensor) -> Tensors:
    """grads * min(1, clip_norm / (||grads|| + 1e-6)), the norm over all parameters (torch's
    clip_grad_norm_)."""
    norm = torch.stack([(g * g).sum() for g in grads.values()]).sum().sqrt()
    scale = (clip_norm / (norm + 1e-6)).clamp(max=1.0)
    return {n: g * scale for n, g in grads.items()}


def keep(alive: Tensor, new: State, old: State) -> State:
    """`new` where the run is alive, else `old`."""
    kept: State = pytree.tree_map(lambda n, o: torch.where(alive, n, o), new, old)
    return kept
