"""The loss_fn of somebody's loop: what it must be, what it gives and raises, the random numbers it draws."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.loss import _Loss
from torch.utils.data import DataLoader

from preheat.core.errors import UserError

LossFn = Callable[[Any, Any], Any]
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
def calling(model: nn.Module, batch: Any, *, listed: bool = False) -> Iterator[None]:
    """Around loss_fn(model, batch): what it raises says how it was called. listed: with one of several
    batches. Errors: UserError for a batch from inference mode."""
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
            f"{', one of the list that it was given' if listed else ''}"
        )
        raise


def scalar(out: Any) -> Tensor:
    """The loss in what loss_fn returns: a tensor of one element, or what holds one as `loss`.

    Errors: UserError where there is none.
    """
    loss = out
    if not isinstance(out, Tensor):
        loss = out.get("loss") if isinstance(out, Mapping) else getattr(out, "loss", None)
    if not isinstance(loss, Tensor):
        write = {tuple: "return the loss alone", type(None): "its `return loss` is missing"}
        raise UserError(
            f"loss_fn(model, batch) must return a scalar tensor, or an output with .loss, got "
            f"{type(out).__name__}: {write.get(type(out), 'return the loss before .item() or float()')}"
        )
    if loss.numel() != 1:
        raise UserError(f"the loss must be a scalar, got the shape {tuple(loss.shape)}: write .mean()")
    return loss.reshape(())


def refuse_iterator(batch: Any) -> None:
    """Errors: UserError for a batch that is another at each look."""
    if hasattr(batch, "__next__"):
        raise UserError(
            f"the batch must stay the same, got {type(batch).__name__}: write batch = next(iterator)"
        )


def unsteady(*losses: float) -> UserError:
    """The error where losses of one batch, with the same random numbers, differ."""
    return UserError(
        f"the loss must be the same each time, got {', '.join(f'{v:.7g}' for v in losses)} for one batch and "
        "the same random numbers: draw from torch's global generator, random or numpy.random, and let "
        "loss_fn use the batch it is given"
    )


def generators() -> tuple[Any, ...]:
    """The states of the global generators of torch, CUDA where it is in use, NumPy and Python."""
    cuda = torch.cuda.get_rng_state_all() if cuda_in_use() else None
    return torch.get_rng_state(), cuda, np.random.get_state(), random.getstate()


def restore(states: tuple[Any, ...]) -> None:
    """Put what `generators` gave back."""
    cpu, cuda, numpy, python = states
    torch.set_rng_state(cpu)
    if cuda is not None:
        torch.cuda.set_rng_state_all(cuda)
    np.random.set_state(numpy)
    random.setstate(python)


def seed(number: int) -> None:
    """Seed all of them. torch.manual_seed would also seed a CUDA that is set up later."""
    random.seed(number)
    np.random.seed(number)
    torch.default_generator.manual_seed(number)
    if cuda_in_use():
        torch.cuda.manual_seed_all(number)


def cuda_in_use() -> bool:
    """Whether this process has set CUDA up."""
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]
