"""Trial updates of a model in training, after which it, its optimizer and all randomness are as they were."""

from __future__ import annotations

import copy
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from preheat.adapters.groups import get_number, nested, put_number
from preheat.adapters.losses import LossFn, generators, restore, scalar
from preheat.core.errors import UserError


class NotFinite(UserError):
    """The loss is NaN or infinite."""


class Snapshot:
    """A model as it is now. again(): buffers, training flags and the generators of torch, NumPy and Python as
    they were; rewind(): the parameters as well; back(): every .grad as well, which is None until then."""

    def __init__(self, model: nn.Module, parameters: Sequence[Tensor]) -> None:
        every = {id(p): p for p in [*model.parameters(), *parameters]}
        self._parameters = [(p, p.detach().clone(), p.grad) for p in every.values()]
        self._flags = [(m, m.training) for m in model.modules()]
        self._buffers = [
            (m._buffers, n, b, b.detach().clone())
            for m in model.modules()
            for n, b in m._buffers.items()
            if b is not None
        ]
        self._random = generators()
        for p, _, _ in self._parameters:
            p.grad = None

    def again(self) -> None:
        """All but the parameters."""
        for module, flag in self._flags:
            module.training = flag
        for buffers, name, tensor, value in self._buffers:
            buffers[name] = tensor
            tensor.data.copy_(value)
        restore(self._random)

    def rewind(self) -> None:
        """The parameters too, without a .grad."""
        for p, value, _ in self._parameters:
            p.data.copy_(value)
            p.grad = None
        self.again()

    def back(self) -> None:
        """Everything."""
        self.rewind()
        for p, _, grad in self._parameters:
            p.grad = grad


@contextmanager
def kept(model: nn.Module, optimizer: Optimizer) -> Iterator[Snapshot]:
    """A `Snapshot` whose back() is called at the end, whatever happens."""
    if not isinstance(model, nn.Module):
        raise UserError(
            f"model must be a torch.nn.Module, got {type(model).__name__}: write (model, loss_fn, ...)"
        )
    found, cached = Snapshot(model, trained(optimizer)), torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(False)  # a cast of the parameters would outlive their change
    torch.clear_autocast_cache()
    try:
        yield found
    finally:
        torch.set_autocast_cache_enabled(cached)
        found.back()


def innermost(optimizer: Any) -> Optimizer:
    """The optimizer itself, where one wraps it. Errors: UserError where it has no groups."""
    found: Any = nested(optimizer)[-1] if hasattr(optimizer, "param_groups") else optimizer
    if not isinstance(found, Optimizer):
        raise UserError(
            f"optimizer must be a torch.optim.Optimizer, got {type(found).__name__}: write (model, loss_fn, "
            "batch, optimizer)"
        )
    return found


def trained(optimizer: Optimizer) -> list[Tensor]:
    """The parameters of all groups."""
    return [p for group in optimizer.param_groups for p in group["params"]]


def ratios(optimizer: Optimizer) -> list[float]:
    """Each group's rate over the largest one, which is "the rate" of a measurement; by `initial_lr` where a
    schedule has all of them at 0, and 1 where there is none."""
    for name in ("lr", "initial_lr"):
        if all(name in group for group in optimizer.param_groups):
            rates = [get_number(group, name) for group in optimizer.param_groups]
            if max(rates) > 0:
                return [rate / max(rates) for rate in rates]
    return [1.0 for _ in optimizer.param_groups]


def twin(optimizer: Optimizer, standing: dict[Tensor, Tensor]) -> Optimizer:
    """A copy, without hooks, that trains what stands for each parameter; its state is a copy too."""
    made: Optimizer = type(optimizer).__new__(type(optimizer))
    memo: dict[int, Any] = {id(p): other for p, other in standing.items()}
    for name, value in vars(optimizer).items():
        if name == "step":
            continue  # a scheduler's counter of calls
        made.__dict__[name] = OrderedDict() if name.endswith("_hooks") else copy.deepcopy(value, memo)
    return made


def advance(optimizer: Optimizer, rate: float, scales: Sequence[float]) -> None:
    """One step of a twin at the rate, without hooks of its class. Errors: UserError where it needs a
    closure."""
    for group, scale in zip(optimizer.param_groups, scales, strict=True):
        put_number(group, "lr", rate * scale)
    step: Any = type(optimizer).step
    step = step.__wrapped__ if getattr(step, "hooked", False) else step
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of capturable steps outside a graph
            step(optimizer)
    except TypeError as error:
        if "closure" not in str(error):
            raise
        raise UserError(
            f"the optimizer must step without a closure, got {type(optimizer).__name__}: measure with the "
            "SGD or Adam that you would use instead"
        ) from error


def after(optimizer: Optimizer, grads: dict[Tensor, Tensor | None], rate: float) -> dict[Tensor, Tensor]:
    """{parameter: its value after the optimizer's next update at a rate}; nothing is changed."""
    standing = {}
    for p, g in grads.items():
        standing[p] = p.detach().clone().requires_grad_(p.requires_grad)
        standing[p].grad = None if g is None else g.clone()
    advance(twin(optimizer, standing), rate, ratios(optimizer))
    return {p: t.detach() for p, t in standing.items()}


def gradients(
    model: nn.Module, loss_fn: LossFn, batch: Any, parameters: Sequence[Tensor]
) -> tuple[float, dict[Tensor, Tensor | None]]:
    """(loss, {parameter: its gradient or None}); .grad is not written. Errors: UserError."""
    with torch.enable_grad():
        loss = scalar(loss_fn(model, batch))
        value, needed = float(loss.detach()), [p for p in parameters if p.requires_grad]
        if not np.isfinite(value):
            raise NotFinite(
                f"the loss must be finite before the update, got {value:g}: look at the batch, and at the "
                "parameters"
            )
        if not needed or not loss.requires_grad:
            raise UserError(
                "the loss must depend on a parameter of the optimizer, got none: give the model whose "
                "parameters the optimizer has, with requires_grad=True"
            )
        found = torch.autograd.grad(loss, needed, allow_unused=True)
    grads: dict[Tensor, Tensor | None] = {p: None for p in parameters}
    grads.update(zip(needed, found, strict=True))
    if all(g is None for g in found):
        raise UserError(
            "the loss must depend on a parameter of the optimizer, got none: give the model whose parameters "
            "the optimizer has"
        )
    return value, grads
