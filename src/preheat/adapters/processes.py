"""The module inside what wraps it, and means over the processes that share a batch."""

from __future__ import annotations

import sys
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from preheat.adapters.losses import ORDER
from preheat.core.errors import UserError

K = TypeVar("K")


def bare(model: Any) -> tuple[nn.Module, Any]:
    """(the module inside DDP, DataParallel and torch.compile, the group of the processes that share a
    batch, None for this one alone)."""
    group = None
    while True:
        if isinstance(model, nn.parallel.DistributedDataParallel):
            model, group = model.module, model.process_group
        elif isinstance(model, nn.DataParallel):
            model = model.module
        elif isinstance(getattr(model, "_orig_mod", None), nn.Module):
            model = model._orig_mod
        elif isinstance(model, nn.Module):
            return model, group
        else:
            raise UserError(
                f"model must be a torch.nn.Module, got {type(model).__name__}: {ORDER}, or "
                "monitor.step(model, optimizer)"
            )


def check_parameter(name: str, p: Tensor) -> None:
    """Errors: UserError for one from inference mode, and one of which each process has a part only."""
    if p.is_inference():
        raise UserError(
            f"parameters must be normal tensors, got {name!r} from torch.inference_mode(): build the model "
            "outside of it"
        )
    distributed = sys.modules.get("torch.distributed.tensor")
    if distributed is not None and isinstance(p, distributed.DTensor):
        raise UserError(
            f"parameters must be whole, got a sharded {name!r} (FSDP or a DTensor): measure a copy of the "
            "model on one device"
        )


def averaged(tensors: dict[K, Tensor], group: Any) -> dict[K, Tensor]:
    """Their means over the processes, in place."""
    if group is not None:
        for t in tensors.values():
            reduced(t, torch.distributed.ReduceOp.SUM, group)
            t /= group.size()
    return tensors


def reduced(t: Tensor, how: Any, group: Any) -> None:
    """Over all processes, in place. Errors: UserError where one does not answer."""
    try:
        torch.distributed.all_reduce(t, how, group=group)
    except RuntimeError as error:
        raise UserError(
            f"every process must measure at the same update, got: {str(error).splitlines()[0]}: call it in "
            "all processes, not under `if rank == 0`"
        ) from error
