"""GI-Adam for a training loop of your own (Kalra & Barkeshli 2024, arXiv 2406.09405)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam

from preheat.core.errors import UserError


class GIAdam(Adam):
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

    def __init__(self, params: Any, lr: float | Tensor = 1e-3, *more: Any, **options: Any) -> None:
        if options.get("fused"):
            raise UserError(
                "GIAdam must see the gradients of its first step, which a fused step may hold scaled, got "
                "fused=True: write foreach=True, or leave both out"
            )
        super().__init__(params, lr, *more, **options)

    def _init_group(self, group: dict[str, Any], *lists: Any) -> Any:
        """Where torch.optim.Adam makes its state, after the closure: v of what is new is written here."""
        new = [p for p in group["params"] if p.grad is not None and not self.state[p]]
        found = super()._init_group(group, *lists)  # type: ignore[no-untyped-call]
        with torch.no_grad():
            for p in new:
                g = -p.grad if group["maximize"] else p.grad
                if group["weight_decay"] and not group.get("decoupled_weight_decay"):
                    g = g.add(p, alpha=group["weight_decay"])
                self.state[p]["exp_avg_sq"].copy_(_squared(g))
        return found


def _squared(g: Tensor) -> Tensor:
    """g^2; of the real and the imaginary part each, which Adam keeps as a complex number."""
    if not torch.is_complex(g):
        return g * g
    parts = torch.view_as_real(g)
    return torch.view_as_complex(parts * parts)
