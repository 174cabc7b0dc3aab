"""GI-Adam for a training loop of your own (Kalra & Barkeshli 2024, arXiv 2406.09405)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam

from preheat.core.errors import UserError


class StartedAdam(Adam, ABC):
    """torch.optim.Adam whose second moment starts where a subclass's `start` says; fused=True is refused.

    A parameter begins at the first step in which it has a gradient, also one that is added later.
    """

    # v_0 of the parameters that begin in this step and whose group has not had its turn
    _waiting: Mapping[Tensor, Tensor] = {}  # replaced, never changed

    def __init__(self, params: Any, lr: float | Tensor = 1e-3, *more: Any, **options: Any) -> None:
        super().__init__(params, lr, *more, **options)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As torch.optim.Adam does, which calls it for every group."""
        if param_group.get("fused", self.defaults.get("fused")):
            raise UserError(
                f"{type(self).__name__} must see the gradients of its first step, which a fused step may "
                "hold scaled, got fused=True: write foreach=True, or leave both out"
            )
        super().add_param_group(param_group)

    @abstractmethod
    def start(self, seen: Mapping[Tensor, Tensor]) -> Mapping[Tensor, Tensor]:
        """{parameter: v_0} of those that begin together; seen: {parameter: its gradient, with L2 decay}."""

    @torch.no_grad()
    def started(self, grads: Mapping[Tensor, Tensor]) -> Mapping[Tensor, Tensor]:
        """v_0 of the parameters that have no state yet, from {parameter: gradient}, in the groups' order."""
        seen = {}
        for group in self.param_groups:
            decay = 0.0 if group.get("decoupled_weight_decay") else group["weight_decay"]
            for p in group["params"]:
                if p in grads and not self.state.get(p):
                    g = -grads[p] if group["maximize"] else grads[p]
                    seen[p] = g.add(p, alpha=decay) if decay else g
        return self.start(seen) if seen else {}

    @torch.no_grad()
    def _init_group(self, group: dict[str, Any], *lists: Any) -> Any:
        """Where torch.optim.Adam makes its state, after the closure: v of what is new is written here."""
        new = [p for p in group["params"] if p.grad is not None and not self.state[p]]
        if any(p not in self._waiting for p in new):
            every = [p for one in self.param_groups for p in one["params"]]
            self._waiting = self.started({p: p.grad for p in every if p.grad is not None})
        found = super()._init_group(group, *lists)  # type: ignore[no-untyped-call]
        for p in new:
            self.state[p]["exp_avg_sq"].copy_(self._waiting[p])
        self._waiting = {p: v for p, v in self._waiting.items() if not self.state.get(p)}
        return found


class GIAdam(StartedAdam):
    """torch.optim.Adam whose second moment starts at the square of the first gradient, v_0 = g_1^2.

    The arguments are torch.optim.Adam's; fused=True is refused. A parameter begins at the first step in which
    it has a gradient, also one that is added later. Where gradients keep their size the updates are Adam's
    times sqrt(1 - beta2^t): about 1/32 of them at first. The state has Adam's form, so a state of
    either resumes in the other; a state that is loaded goes on from where it was. The registered optimizer
    `gi_adam` is the same.

    >>> from torch import nn
    >>> model = nn.Linear(1, 1, bias=False)
    >>> before, optimizer = model.weight.item(), GIAdam(model.parameters(), lr=0.1)
    >>> (3 * model.weight).sum().backward()
    >>> optimizer.step()
    >>> round((before - model.weight.item()) / 0.1, 4), round((1 - 0.999) ** 0.5, 4)
    (0.0316, 0.0316)

    Kalra & Barkeshli 2024, *Why Warmup the Learning Rate?*, arXiv 2406.09405.
    """

    def start(self, seen: Mapping[Tensor, Tensor]) -> Mapping[Tensor, Tensor]:
        """The square of the gradient."""
        return {p: squared(g) for p, g in seen.items()}


def squared(g: Tensor) -> Tensor:
    """g^2; of the real and the imaginary part each, which Adam keeps as a complex number."""
    if not torch.is_complex(g):
        return g * g
    parts = torch.view_as_real(g)
    return torch.view_as_complex(parts * parts)
