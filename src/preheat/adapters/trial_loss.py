"""The loss of a model in somebody's loop and its gradient, of all processes that share a batch."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from preheat.adapters.losses import LossFn, scalar
from preheat.core.errors import UserError

Gradients = dict[Tensor, Tensor | None]


class NotFinite(UserError):
    """The loss is NaN or infinite."""


class TrialLoss:
    """loss_fn(model, batch). Where the model is DDP's, the mean over its processes, all of which call this,
    computed without DDP's hooks."""

    def __init__(self, model: Any, loss_fn: LossFn) -> None:
        if not callable(loss_fn):
            raise UserError(
                f"loss_fn must be a function, got {type(loss_fn).__name__}: write (model, loss_fn, ...), "
                "with loss_fn(model, batch)"
            )
        if not isinstance(model, nn.Module):
            raise UserError(
                f"model must be a torch.nn.Module, got {type(model).__name__}: write (model, loss_fn, ...)"
            )
        within, self._group = getattr(model, "_orig_mod", model), None
        if isinstance(within, nn.parallel.DistributedDataParallel):
            model, self._group = within.module, within.process_group
        self.model, self._loss_fn = model, loss_fn
        _whole(model)

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
        try:
            return scalar(self._loss_fn(self.model, batch))
        except UserError:
            raise
        except Exception as error:
            if "Inference tensors" in str(error):
                raise UserError(
                    "the batch must have no tensor of torch.inference_mode, got one: write x.clone() outside"
                ) from error
            error.add_note(
                f"loss_fn(model, batch) was called with {type(self.model).__name__} and a batch of type "
                f"{type(batch).__name__}. The order is (model, loss_fn, batch, optimizer); lr_range_test "
                "takes a list of batches, [batch] for one."
            )
            raise

    def _joined(self, loss: Tensor) -> Tensor:
        """The mean over the processes."""
        if self._group is None:
            return loss
        total = loss.double()
        torch.distributed.all_reduce(total, group=self._group)
        return (total / self._group.size()).to(loss.dtype)

    def _averaged(
        self, parameters: Sequence[Tensor], grads: Sequence[Tensor | None]
    ) -> Sequence[Tensor | None]:
        """Their means over the processes; None where none of them has one."""
        if self._group is None:
            return grads
        has = torch.tensor([g is not None for g in grads], dtype=torch.float32, device=parameters[0].device)
        torch.distributed.all_reduce(has, group=self._group)
        out: list[Tensor | None] = []
        for p, g, some in zip(parameters, grads, has.tolist(), strict=True):
            if not some:
                out.append(None)
                continue
            dense = torch.zeros_like(p)
            if g is not None:
                dense += g.to_dense() if g.is_sparse else g
            torch.distributed.all_reduce(dense, group=self._group)
            out.append(dense / self._group.size())
        return out


def _whole(model: nn.Module) -> None:
    """Raise for parameters of which a process has a part only."""
    tensors = sys.modules.get("torch.distributed.tensor")
    for name, p in model.named_parameters():
        if tensors is not None and isinstance(p, tensors.DTensor):
            raise UserError(
                f"parameters must be whole, got a sharded {name!r} (FSDP or a DTensor): measure a copy of "
                "the model on one device"
            )


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
