"""Stochastic gradient descent with momentum (Polyak 1964; Sutskever et al. 2013 for Nesterov's form)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from preheat.core.registry import OPTIMIZERS
from preheat.core.spec import LATER
from preheat.optim.base import (
    Decayed,
    Hyper,
    Optimizer,
    OptState,
    Params,
    check_decayed,
    coupled,
    in_range,
    torch_groups,
    zeros,
)

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer as TorchOptimizer


@OPTIMIZERS.register("sgd", label="SGD")
@dataclass(frozen=True)
class SGD:
    """SGD with momentum, optional Nesterov form and coupled weight decay; equals torch.optim.SGD.

    g <- g + weight_decay p;  b <- momentum b + g;  p <- p - lr b, or with nesterov p <- p - lr (g + momentum
    b). Stable up to the eigenvalue (2 + 2 momentum) / lr, with nesterov divided by 1 + 2 momentum; in a first
    step 2 / lr, with nesterov divided by 1 + momentum.
    """

    momentum: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False
    decay_on: Decayed = field(default="all", metadata=LATER)

    def __post_init__(self) -> None:
        in_range("momentum", self.momentum, 0.0, 1.0)
        in_range("weight_decay", self.weight_decay, 0.0, math.inf)
        check_decayed(self.decay_on)

    def build(self) -> Optimizer:
        """The pure functions. State: one momentum buffer a parameter."""
        nesterov, decay_on = self.nesterov, self.decay_on

        def init(params: Params) -> OptState:
            return {"momentum": zeros(params)}

        def update(grads: Params, state: OptState, params: Params, hyper: Hyper) -> tuple[Params, OptState]:
            down, mu = -hyper["lr"], hyper["momentum"]
            grads = coupled(grads, params, hyper["weight_decay"], decay_on)
            moved = {n: g.addcmul(state["momentum"][n], mu) for n, g in grads.items()}
            steps = {n: grads[n].addcmul(m, mu) for n, m in moved.items()} if nesterov else moved
            return {n: p.addcmul(steps[n], down) for n, p in params.items()}, {"momentum": moved}

        def reference(named: Params) -> TorchOptimizer:
            import torch

            groups = torch_groups(named, self.weight_decay, decay_on)
            return torch.optim.SGD(groups, lr=1.0, momentum=self.momentum, nesterov=nesterov)

        def threshold(hyper: Hyper) -> tuple[Tensor, Tensor]:
            lr, mu = hyper["lr"], hyper["momentum"]
            first, lasting = 2 / lr, (2 + 2 * mu) / lr
            return (first / (1 + mu), lasting / (1 + 2 * mu)) if nesterov else (first, lasting)

        return Optimizer(init, update, reference=reference, threshold=threshold)
