"""The arguments of a measurement, checked before it computes, and what a call of the loss function raises."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.nn.modules.loss import _Loss
from torch.utils.data import DataLoader

from preheat.core.errors import UserError

ORDER = "write (model, loss_fn, batch)"


def check_loss(loss_fn: Any, batch: Any, *, order: str = ORDER) -> None:
    """Errors: UserError for what is no loss function, or no batch."""
    name = type(loss_fn).__name__
    if isinstance(loss_fn, _Loss):
        raise UserError(
            f"loss_fn(model, batch) must call the model itself, got {name}: write "
            f"lambda model, batch: nn.{name}()(model(batch[0]), batch[1])"
        )
    if not callable(loss_fn):
        raise UserError(f"loss_fn must be a function of (model, batch), got {name}: {order}")
    if hasattr(batch, "param_groups"):
        raise UserError(
            f"the batch comes before the optimizer, got {type(batch).__name__}: {ORDER[:-1]}, optimizer)"
        )
    if isinstance(batch, DataLoader):
        raise UserError("the batch must be one batch, got a DataLoader: write batch = next(iter(loader))")


@contextmanager
def calling(model: nn.Module, batch: Any) -> Iterator[None]:
    """Around loss_fn(model, batch): what it raises says how it was called. Errors: UserError for a batch from
    inference mode."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if "Inference tensors" in str(error):
            raise UserError(
                "the batch must hold normal tensors, got some from torch.inference_mode(): write .clone() of "
                "each, outside of it"
            ) from error
        error.add_note(
            f"preheat called loss_fn(model, batch) with a {type(model).__name__} and a {type(batch).__name__}"
        )
        raise


def check_tol(tol: Any) -> None:
    """Errors: UserError unless it is above 0 and below 1."""
    if not isinstance(tol, int | float) or not 0 < tol < 1:
        raise UserError(f"tol must be above 0 and below 1, got {tol!r}: write tol=1e-2")
