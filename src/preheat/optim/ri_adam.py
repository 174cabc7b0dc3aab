"""RI-Adam: Adam whose second moment starts at the square of a random vector as long as the first gradient
(Kalra & Barkeshli, arXiv 2406.09405)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from preheat.core.registry import OPTIMIZERS
from preheat.optim.adam import Adam, adam_functions, adam_state, adam_update
from preheat.optim.base import Hyper, Optimizer, OptState, Params, coupled, torch_groups

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer as TorchOptimizer

_SEEN = 1024  # the values of each parameter that key the draw


@OPTIMIZERS.register("ri_adam", label="RI-Adam")
@dataclass(frozen=True)
class RandomInitAdam(Adam):
    """Adam whose second moment starts at the square of a random vector as long as the first gradient.

    v_0 = (z |g_1| / |z|)^2, z standard normal, both norms over all parameters together; all else is Adam's.
    Against GI-Adam it tells whether the size of v_0 matters or its direction. z is drawn once, before the
    first update, by a generator that is keyed by the initial parameters, so a run has the same z alone, in a
    fleet and resumed, runs that differ in their initial parameters have another, and no global generator is
    touched. Seeds of a task that always starts at the same parameters share one z. Kalra & Barkeshli 2024,
    *Why Warmup the Learning Rate?*, arXiv 2406.09405.
    """

    def build(self) -> Optimizer:
        """The pure functions. State: m, v and the number of updates t; before the first update v is z."""
        decay_on = self.decay_on

        def init(params: Params) -> OptState:
            drawn = normals(list(params.values()))
            return {**adam_state(params), "v": dict(zip(params, drawn, strict=True))}

        def update(grads: Params, state: OptState, params: Params, hyper: Hyper) -> tuple[Params, OptState]:
            grads = coupled(grads, params, hyper["weight_decay"], decay_on)
            return adam_update(grads, _scaled(state, grads), params, hyper)

        made = adam_functions(update, lambda named: _reference(self, named))
        return made._replace(init=init)


def normals(parts: Sequence[Tensor]) -> list[Tensor]:
    """A standard normal tensor of each shape, keyed by the values of all parts and their order.

    Parts whose values are the same in float32 and float64 get the same numbers, on every device. Of each part
    the first 1024 values count.

    >>> import torch
    >>> first, second = torch.ones(3), torch.ones(3)
    >>> a, b, c = normals([first])[0], normals([second.double()])[0], normals([2 * first])[0]
    >>> torch.equal(a, b.float()), torch.equal(a, c)
    (True, False)
    """
    import torch

    key, drawn = hashlib.sha256(), []
    for p in parts:
        flat = p.detach().reshape(-1)[:_SEEN]
        values = torch.view_as_real(flat) if flat.is_complex() else flat
        key.update(f"{tuple(p.shape)}".encode() + values.double().cpu().numpy().tobytes())
    for i, p in enumerate(parts):
        own = hashlib.sha256(key.digest() + str(i).encode()).digest()
        random = torch.Generator().manual_seed(int.from_bytes(own[:8], "big") >> 1)
        kind = torch.complex64 if p.is_complex() else torch.float32
        drawn.append(torch.randn(p.shape, generator=random, dtype=kind).to(p))
    return drawn


def _scaled(state: OptState, grads: Params) -> OptState:
    """The state of the update about to be done: before the first one v is made as large as the gradient."""
    import torch

    first, v = state["t"] == 0, state["v"]
    ratio = sum((g * g).sum() for g in grads.values()) / sum((z * z).sum() for z in v.values())
    return {**state, "v": {n: torch.where(first, part * part * ratio, part) for n, part in v.items()}}


def _reference(made: RandomInitAdam, named: Params) -> TorchOptimizer:
    """torch.optim.Adam whose state is written before its first step."""
    import torch

    groups = torch_groups(named, made.weight_decay, made.decay_on)
    adam = torch.optim.Adam(groups, lr=1.0, betas=(made.beta1, made.beta2), eps=made.eps)

    def write(*_: Any) -> None:
        if adam.state:
            return
        decay = {p: group["weight_decay"] for group in adam.param_groups for p in group["params"]}
        flat = torch.cat([(p.grad + decay[p] * p.detach()).flatten() for p in named.values()])
        z = torch.cat([part.flatten() for part in normals(list(named.values()))])
        start = (z * flat.norm() / z.norm()).square().split([p.numel() for p in named.values()])
        for p, v in zip(named.values(), start, strict=True):
            zero = torch.zeros_like(p)
            adam.state[p] = {"step": torch.tensor(0.0), "exp_avg": zero, "exp_avg_sq": v.view_as(p).clone()}

    adam.register_step_pre_hook(write)
    return adam
