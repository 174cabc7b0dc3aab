"""GI-Adam: Adam whose second moment starts at the first gradient (Kalra & Barkeshli, arXiv 2406.09405)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from preheat.core.registry import OPTIMIZERS
from preheat.optim.adam import Adam, adam_functions, adam_update
from preheat.optim.base import Hyper, Optimizer, OptState, Params, coupled, torch_groups

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer as TorchOptimizer


@OPTIMIZERS.register("gi_adam", label="GI-Adam")
@dataclass(frozen=True)
class GradientInitAdam(Adam):
    """Adam whose second moment starts at the square of the first gradient, v_0 = g_1^2, instead of 0.

    All else is Adam's, both bias corrections included. With v_1 = g_1^2 the first update is
    lr g_1 / (|g_1| / sqrt(1 - beta2) + eps), which is sqrt(1 - beta2) of Adam's, 1/32 at beta2 = 0.999. While
    gradients keep their size the factor is sqrt(1 - beta2^t), the schedule `gi_adam`. An entry whose first
    gradient is 0 starts as in Adam. The authors take v_0 from a batch that they then discard; here the first
    update's own batch gives it, so no batch is lost. Kalra & Barkeshli 2024, *Why Warmup the Learning Rate?*,
    arXiv 2406.09405.
    """

    def build(self) -> Optimizer:
        """The pure functions. State: m, v and the number of updates t."""
        decay_on = self.decay_on

        def update(grads: Params, state: OptState, params: Params, hyper: Hyper) -> tuple[Params, OptState]:
            grads = coupled(grads, params, hyper["weight_decay"], decay_on)
            return adam_update(grads, begun(state, grads), params, hyper)

        return adam_functions(update, lambda named: _reference(self, named))


def begun(state: OptState, grads: Params) -> OptState:
    """The state of the update about to be done: before the first one v is grads^2, then it stays."""
    import torch

    first = state["t"] == 0
    return {**state, "v": {n: torch.where(first, g * g, state["v"][n]) for n, g in grads.items()}}


def _reference(made: GradientInitAdam, named: Params) -> TorchOptimizer:
    """torch.optim.Adam whose state is written before its first step."""
    import torch

    groups = torch_groups(named, made.weight_decay, made.decay_on)
    adam = torch.optim.Adam(groups, lr=1.0, betas=(made.beta1, made.beta2), eps=made.eps)

    def write(*_: Any) -> None:
        for group in adam.param_groups:
            for p in group["params"]:
                if not adam.state[p]:
                    adam.state[p] = _written(p, group["weight_decay"])

    adam.register_step_pre_hook(write)
    return adam


def _written(p: Tensor, decay: float) -> dict[str, Tensor]:
    import torch

    assert p.grad is not None
    g = p.grad + decay * p.detach()
    return {"step": torch.tensor(0.0), "exp_avg": torch.zeros_like(p), "exp_avg_sq": g * g}
