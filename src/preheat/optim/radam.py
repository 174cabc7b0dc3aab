"""RAdam: Adam with a rectified variance (Liu et al., arXiv 1908.03265)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from preheat.core.registry import OPTIMIZERS
from preheat.core.spec import LATER
from preheat.optim.adam import adam_moments, adam_state, adam_threshold, check_adam
from preheat.optim.base import Decayed, Hyper, Optimizer, OptState, Params, decayed, torch_groups

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer as TorchOptimizer


@OPTIMIZERS.register("radam", label="RAdam")
@dataclass(frozen=True)
class RAdam:
    """Adam whose step is damped while the variance of v is large; equals torch.optim.RAdam.

    rho_t = rho - 2 t beta2^t / (1 - beta2^t), rho = 2 / (1 - beta2) - 1. While rho_t <= 5, the first 5
    updates at beta2 = 0.999, p <- p - lr m / (1 - beta1^t); later Adam's step, with eps beside sqrt(v) before
    the correction, times sqrt((rho_t - 4) (rho_t - 2) rho / ((rho - 4) (rho - 2) rho_t)). decoupled: weight
    decay as in AdamW. Liu et al. 2020, *On the Variance of the Adaptive Learning Rate and Beyond*, arXiv
    1908.03265.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0
    decoupled: bool = False
    decay_on: Decayed = field(default="all", metadata=LATER)

    def __post_init__(self) -> None:
        check_adam(self)

    def build(self) -> Optimizer:
        """The pure functions. State: m, v and the number of updates t."""
        decay_on, decoupled = self.decay_on, self.decoupled

        def update(grads: Params, state: OptState, params: Params, hyper: Hyper) -> tuple[Params, OptState]:
            grads, params = decayed(grads, params, hyper, decay_on=decay_on, decoupled=decoupled)
            state = adam_moments(grads, state, hyper)
            divisor = preconditioner(state, hyper)
            new = {n: p.addcdiv(-hyper["lr"] * state["m"][n], divisor[n]) for n, p in params.items()}
            return new, state

        def reference(named: Params) -> TorchOptimizer:
            import torch

            groups, betas = torch_groups(named, self.weight_decay, decay_on), (self.beta1, self.beta2)
            return torch.optim.RAdam(
                groups, lr=1.0, betas=betas, eps=self.eps, decoupled_weight_decay=decoupled
            )

        return Optimizer(
            adam_state,
            update,
            reference=reference,
            preconditioner=preconditioner,
            threshold=adam_threshold,
        )


def preconditioner(state: OptState, hyper: Hyper) -> Params:
    """P of the state after update t, with p <- p - lr m / P: 1 - beta1^t alone while rho_t <= 5."""
    import torch

    started, factor = 1 - hyper["beta1"] ** state["t"], rectified(state["t"], hyper["beta2"])
    plain = factor == 0
    scale = 1 / torch.where(plain, 1.0, factor)
    return {
        n: started * torch.where(plain, 1.0, (v.sqrt() + hyper["eps"]) * scale) for n, v in state["v"].items()
    }


def rectified(t: Tensor, beta2: Tensor) -> Tensor:
    """sqrt(1 - beta2^t) times the rectification of update t; 0 while rho_t <= 5.

    In float64, where rho_t, a small difference of large numbers, is exact enough to find the update in which
    it passes 5.
    """
    import torch

    end = 2 / (1 - beta2.double()) - 1
    correction = 1 - beta2.double() ** t.double()
    now = end - 2 * t.double() * (1 - correction) / correction
    share = (now - 4) * (now - 2) * end / ((end - 4) * (end - 2) * now)
    found = torch.where(now > 5, share * correction, 0.0).sqrt()
    return found.to(t.dtype)
