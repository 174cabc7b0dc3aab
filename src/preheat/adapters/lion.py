"""Lion for a training loop of your own (Chen et al. 2023, arXiv 2302.06675)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from preheat.optim.base import in_range


class Lion(Optimizer):
    """p <- (1 - lr weight_decay) p - lr sign(beta1 m + (1 - beta1) g), then m <- beta2 m + (1 - beta2) g.

    lr: 3 to 10 times below AdamW's is usual. maximize: ascend instead. The registered optimizer `lion` is the
    same. Errors: UserError for numbers out of range.

    >>> from torch import nn
    >>> weight = nn.Parameter(torch.tensor([1.0, -1.0, 5.0]))
    >>> optimizer = Lion([weight], lr=0.25)
    >>> (weight[:2] ** 2).sum().backward()
    >>> optimizer.step()
    >>> weight.tolist()
    [0.75, -0.75, 5.0]

    Chen et al. 2023, *Symbolic Discovery of Optimization Algorithms*, arXiv 2302.06675.
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-4,
        *,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        in_range("lr", float(lr), 0.0, math.inf)
        in_range("beta1", betas[0], 0.0, 1.0)
        in_range("beta2", betas[1], 0.0, 1.0)
        in_range("weight_decay", weight_decay, 0.0, math.inf)
        numbers = {"lr": lr, "betas": betas, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, numbers)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update; closure: computes the loss again and returns it."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self._update(p, -p.grad if group["maximize"] else p.grad, group)
        return loss

    def _update(self, p: Tensor, g: Tensor, group: dict[str, Any]) -> None:
        state, (beta1, beta2) = self.state[p], group["betas"]
        if not state:
            state["exp_avg"] = torch.zeros_like(p)
        m = state["exp_avg"]
        p.mul_(1 - group["lr"] * group["weight_decay"])
        sign = _sign(m.lerp(g, 1 - beta1))
        p.sub_(sign * group["lr"])
        m.lerp_(g, 1 - beta2)


def _sign(t: Tensor) -> Tensor:
    """Of the real and the imaginary part each, where there are two."""
    return torch.view_as_complex(torch.view_as_real(t).sign()) if t.is_complex() else t.sign()
