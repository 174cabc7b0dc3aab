"""The loss of a model in somebody's loop and its gradient, of all processes that share a batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from preheat.adapters import kernels
from preheat.adapters.losses import LossFn, calling, check_loss, scalar
from preheat.adapters.processes import averaged, bare, check_parameter, reduced
from preheat.core.errors import UserError

Gradients = dict[Tensor, Tensor | None]


class NotFinite(UserError):
    """The loss is NaN or infinite."""


class TrialLoss:
    """loss_fn(model, batch). Where the model is DDP's, the mean over its processes, all of which call this,
    computed without DDP's hooks."""

    def __init__(self, model: Any, loss_fn: LossFn, batch: Any, named: str = "batch") -> None:
        check_loss(loss_fn, batch, order=f"write (model, loss_fn, {named}, optimizer)")
        self.model, self._group = bare(model)
        self.eps = 0.0  # the coarsest rounding in the loss's graph, once there was a gradient
        self._loss_fn, self._listed = loss_fn, named == "batches"
        for name, p in self.model.named_parameters():
            check_parameter(name, p)

    def value(self, batch: Any) -> Tensor:
        """The loss, without its graph."""
        with torch.no_grad():
            return self._joined(self._computed(batch))

    def gradients(self, batch: Any, parameters: Sequence[Tensor]) -> tuple[float, Gradients]:
        """(loss, {parameter: its gradient or None}); .grad is not written. Errors: UserError."""
        with torch.enable_grad():
            loss = self._computed(batch)
            value, needed = float(self._joined(loss.detach())), [p for p in parameters if p.requires_grad]
            if not math.isfinite(value):
                raise NotFinite(
                    f"the loss must be finite before the update, got {value:g}: look at the batch (an empty "
                    "one has no mean), and at the parameters"
                )
            if not needed or not loss.requires_grad:
                raise UserError(
                    "the loss must depend on a parameter of the optimizer, got none: give the model whose "
                    "parameters the optimizer has, with requires_grad=True, leave .detach(), .item() and "
                    "torch.no_grad() out of loss_fn, and write use_reentrant=False where it checkpoints"
                )
            self.eps = max(torch.finfo(dtype).eps for dtype in kernels.dtypes(loss))
            found = _differentiated(loss, needed)
        grads: Gradients = dict.fromkeys(parameters)
        grads.update(zip(needed, self._averaged(needed, found), strict=True))
        if all(g is None for g in grads.values()):
            raise UserError(
                "the loss must depend on a parameter of the optimizer, got none: give the model whose "
                "parameters the optimizer has"
            )
        return value, grads

    def _computed(self, batch: Any) -> Tensor:
        with calling(self.model, batch, listed=self._listed):
            return scalar(self._loss_fn(self.model, batch))

    def _joined(self, loss: Tensor) -> Tensor:
        """The mean over the processes."""
        return averaged({0: loss.double()}, self._group)[0].to(loss.dtype) if self._group else loss

    def _averaged(
        self, parameters: Sequence[Tensor], grads: Sequence[Tensor | None]
    ) -> Sequence[Tensor | None]:
        """Their means over the processes; None where none of them has one."""
        if self._group is None:
            return grads
        has = torch.tensor([g is not None for g in grads], dtype=torch.float32, device=parameters[0].device)
        reduced(has, torch.distributed.ReduceOp.SUM, self._group)
        dense = {k: torch.zeros_like(p) for k, p in enumerate(parameters) if has[k]}
        for k, total in dense.items():
            if (g := grads[k]) is not None:
                total += g.to_dense() if g.is_sparse else g
        averaged(dense, self._group)
        return [dense.get(k) for k in range(len(parameters))]


def _differentiated(loss: Tensor, parameters: Sequence[Tensor]) -> tuple[Tensor | None, ...]:
    try:
        return torch.autograd.grad(loss, parameters, allow_unused=True)
    except RuntimeError as error:
        if "heckpoint" not in str(error):
            raise
        raise UserError(
            "the gradient must be computed without .backward(), which reentrant checkpointing can't: write "
            "torch.utils.checkpoint.checkpoint(..., use_reentrant=False)"
        ) from error
