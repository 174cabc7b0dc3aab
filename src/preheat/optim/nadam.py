"""NAdam: Adam with Nesterov's momentum (Dozat 2016, *Incorporating Nesterov Momentum into Adam*)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from preheat.core.registry import OPTIMIZERS
from preheat.core.spec import LATER
from preheat.optim.adam import adam_moments, adam_state, check_adam
from preheat.optim.base import Decayed, Hyper, Optimizer, OptState, Params, decayed, in_range, torch_groups

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer as TorchOptimizer


@OPTIMIZERS.register("nadam", label="NAdam")
@dataclass(frozen=True)
class NAdam:
    """Adam with Nesterov's momentum; equals torch.optim.NAdam.

    mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2), M_t = mu_1 ... mu_t;  p <- p - lr ((1 - mu_t) / (1 - M_t)
    g + mu_{t+1} / (1 - M_{t+1}) m) / (sqrt(v / (1 - beta2^t)) + eps), m and v as in Adam. decoupled: weight
    decay as in AdamW. Dozat 2016, *Incorporating Nesterov Momentum into Adam*.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum_decay: float = 4e-3
    decoupled: bool = False
    decay_on: Decayed = field(default="all", metadata=LATER)

    def __post_init__(self) -> None:
        check_adam(self)
        in_range("momentum_decay", self.momentum_decay, 0.0, math.inf)

    def build(self) -> Optimizer:
        """The pure functions. State: m, v, the number of updates t and the product of the momenta."""
        decay_on, decoupled = self.decay_on, self.decoupled

        def init(params: Params) -> OptState:
            return {**adam_state(params), "product": next(iter(params.values())).new_ones(())}

        def update(grads: Params, state: OptState, params: Params, hyper: Hyper) -> tuple[Params, OptState]:
            grads, params = decayed(grads, params, hyper, decay_on=decay_on, decoupled=decoupled)
            state = adam_moments(grads, state, hyper)
            mu, ahead = momenta(state["t"], hyper)
            product = state["product"] * mu
            of_g, of_m = (1 - mu) / (1 - product), ahead / (1 - product * ahead)
            divisor = _divisor(state, hyper)
            steps = {n: (of_g * g + of_m * state["m"][n]) / divisor[n] for n, g in grads.items()}
            new = {n: p.addcmul(steps[n], -hyper["lr"]) for n, p in params.items()}
            return new, {**state, "product": product}

        return Optimizer(
            init,
            update,
            reference=lambda named: _reference(self, named),
            preconditioner=preconditioner,
            threshold=threshold,
        )


def momenta(t: Tensor, hyper: Hyper) -> tuple[Tensor, Tensor]:
    """mu_t and mu_{t+1}."""
    beta1, decay = hyper["beta1"], hyper["momentum_decay"]
    return beta1 * (1 - 0.5 * 0.96 ** (t * decay)), beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * decay))


def _divisor(state: OptState, hyper: Hyper) -> Params:
    scale = (1 - hyper["beta2"] ** state["t"]).rsqrt()
    return {n: v.sqrt() * scale + hyper["eps"] for n, v in state["v"].items()}


def preconditioner(state: OptState, hyper: Hyper) -> Params:
    """P = (1 - M_{t+1}) (sqrt(v / (1 - beta2^t)) + eps): the momentum's part of the update is lr mu_{t+1} m /
    P."""
    left = 1 - state["product"] * momenta(state["t"], hyper)[1]
    return {n: left * d for n, d in _divisor(state, hyper).items()}


def threshold(hyper: Hyper) -> tuple[Tensor, Tensor]:
    """(2 + 2 beta1) / ((1 + 2 beta1) (1 - beta1) lr): of Nesterov's momentum beta1 at the rate (1 - beta1)
    lr, since mu_t tends to beta1. The first step is p <- p - lr (1 - M_2 + mu_2 (1 - beta1)) g / P."""
    lr, beta1 = hyper["lr"], hyper["beta1"]
    mu, ahead = momenta(lr.new_ones(()), hyper)
    first = 2 / (lr * (1 - mu * ahead + ahead * (1 - beta1)))
    return first, (2 + 2 * beta1) / ((1 + 2 * beta1) * (1 - beta1) * lr)


def _reference(made: NAdam, named: Params) -> TorchOptimizer:
    """torch.optim.NAdam, whose product of the momenta is made in float64: it keeps float32."""
    import torch

    groups = torch_groups(named, made.weight_decay, made.decay_on)
    nadam = torch.optim.NAdam(
        groups,
        lr=1.0,
        betas=(made.beta1, made.beta2),
        eps=made.eps,
        momentum_decay=made.momentum_decay,
        decoupled_weight_decay=made.decoupled,
    )

    def write(*_: Any) -> None:
        for p in named.values():
            if not nadam.state[p]:
                zeros = {key: torch.zeros_like(p) for key in ("exp_avg", "exp_avg_sq")}
                one = torch.ones((), dtype=torch.float64)
                nadam.state[p] = {"step": torch.tensor(0.0), "mu_product": one, **zeros}

    nadam.register_step_pre_hook(write)
    return nadam
