"""Adam (Kingma & Ba, arXiv 1412.6980) and AdamW (Loshchilov & Hutter, arXiv 1711.05101)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

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
    decayed,
    in_range,
    torch_groups,
    zeros,
)

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer as TorchOptimizer


@OPTIMIZERS.register("adam", label="Adam")
@dataclass(frozen=True)
class Adam:
    """Adam with bias correction and coupled (L2) weight decay; equals torch.optim.Adam.

    g <- g + weight_decay p;  m <- beta1 m + (1 - beta1) g;  v <- beta2 v + (1 - beta2) g^2;
    p <- p - lr / (1 - beta1^t) m / (sqrt(v / (1 - beta2^t)) + eps), t = 1, 2, ...
    """

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0
    decay_on: Decayed = field(default="all", metadata=LATER)

    def __post_init__(self) -> None:
        check_adam(self)

    def build(self) -> Optimizer:
        """The pure functions. State: m, v and the number of updates t."""
        decay_on = self.decay_on

        def update(grads: Params, state: OptState, params: Params, hyper: Hyper) -> tuple[Params, OptState]:
            grads = coupled(grads, params, hyper["weight_decay"], decay_on)
            return adam_update(grads, state, params, hyper)

        return adam_functions(update, lambda named: _reference("Adam", self, named))


@OPTIMIZERS.register("adamw", label="AdamW", default=True)
@dataclass(frozen=True)
class AdamW:
    """Adam with decoupled weight decay; equals torch.optim.AdamW.

    p <- (1 - lr weight_decay) p, then Adam's update of the undecayed gradient.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.01
    decay_on: Decayed = field(default="all", metadata=LATER)

    def __post_init__(self) -> None:
        check_adam(self)

    def build(self) -> Optimizer:
        """The pure functions. State: m, v and the number of updates t."""
        decay_on = self.decay_on

        def update(grads: Params, state: OptState, params: Params, hyper: Hyper) -> tuple[Params, OptState]:
            grads, params = decayed(grads, params, hyper, decay_on=decay_on, decoupled=True)
            return adam_update(grads, state, params, hyper)

        return adam_functions(update, lambda named: _reference("AdamW", self, named))


def adam_functions(
    update: Callable[[Params, OptState, Params, Hyper], tuple[Params, OptState]],
    reference: Callable[[Params], TorchOptimizer],
) -> Optimizer:
    """The functions of an optimizer with Adam's state, preconditioner and threshold."""
    return Optimizer(
        adam_state,
        update,
        reference=reference,
        preconditioner=adam_preconditioner,
        threshold=adam_threshold,
    )


def _reference(kind: str, made: Adam | AdamW, named: Params) -> TorchOptimizer:
    import torch

    groups = torch_groups(named, made.weight_decay, made.decay_on)
    found: TorchOptimizer = getattr(torch.optim, kind)(
        groups, lr=1.0, betas=(made.beta1, made.beta2), eps=made.eps
    )
    return found


def check_adam(made: Any) -> None:
    """Raise unless the options that every Adam has (betas, eps, weight decay) are in range."""
    in_range("beta1", made.beta1, 0.0, 1.0)
    in_range("beta2", made.beta2, 0.0, 1.0)
    in_range("eps", made.eps, 0.0, math.inf)
    in_range("weight_decay", made.weight_decay, 0.0, math.inf)
    check_decayed(made.decay_on)


def adam_state(params: Params) -> OptState:
    """The state before the first update: m = v = 0, t = 0."""
    first = next(iter(params.values()))
    return {"m": zeros(params), "v": zeros(params), "t": first.new_zeros(())}


def adam_update(grads: Params, state: OptState, params: Params, hyper: Hyper) -> tuple[Params, OptState]:
    """One update of Adam without weight decay: (params, state)."""
    state = adam_moments(grads, state, hyper)
    m, v, t = state["m"], state["v"], state["t"]
    down = -hyper["lr"] / (1 - hyper["beta1"] ** t)
    scale, eps = (1 - hyper["beta2"] ** t).rsqrt(), hyper["eps"]
    return {n: p.addcmul(down, m[n] / (v[n].sqrt() * scale + eps)) for n, p in params.items()}, state


def adam_moments(grads: Params, state: OptState, hyper: Hyper) -> OptState:
    """The state with m, v and t after this gradient."""
    beta1, beta2 = hyper["beta1"], hyper["beta2"]
    m = {n: state["m"][n].lerp(g, 1 - beta1) for n, g in grads.items()}
    v = {n: state["v"][n].lerp(g * g, 1 - beta2) for n, g in grads.items()}
    return {**state, "m": m, "v": v, "t": state["t"] + 1}


def adam_preconditioner(state: OptState, hyper: Hyper) -> Params:
    """P = (1 - beta1^t) (sqrt(v / (1 - beta2^t)) + eps), of the state after update t: p <- p - lr m / P."""
    t = state["t"]
    scale, started = (1 - hyper["beta2"] ** t).rsqrt(), 1 - hyper["beta1"] ** t
    return {n: started * (v.sqrt() * scale + hyper["eps"]) for n, v in state["v"].items()}


def adam_threshold(hyper: Hyper) -> tuple[Tensor, Tensor]:
    """2 / ((1 - beta1) lr) for the first step, whose m is (1 - beta1) g; later (2 + 2 beta1) / ((1 - beta1)
    lr), where v hardly changes from step to step. J. Cohen et al., arXiv 2207.14484."""
    unit = 1 / ((1 - hyper["beta1"]) * hyper["lr"])
    return 2 * unit, (2 + 2 * hyper["beta1"]) * unit
