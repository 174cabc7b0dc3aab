"""Trial updates of a model in training, after which it, its optimizer and all randomness are as they were."""

from __future__ import annotations

import copy
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from preheat.adapters.closure import modules_of, restored
from preheat.adapters.groups import get_number, nested, put_number
from preheat.adapters.losses import LossFn, generators, restore
from preheat.adapters.trial_loss import TrialLoss
from preheat.core.errors import UserError

Again = Callable[[], AbstractContextManager[None]]


@contextmanager
def kept(loss: TrialLoss, optimizer: Optimizer, loss_fn: LossFn) -> Iterator[Again]:
    """Parameters, their .grad and the generators come back at the end. It gives a context for one
    computation of the loss, or more: there the generators begin as they are now, and at its end the modules
    that the loss reaches, and the parameters, are again what they were."""
    _check(optimizer)
    modules = modules_of(loss.model, loss_fn)
    every = {id(p): p for p in [*loss.model.parameters(), *trained(optimizer)]}
    held = [(p, p.detach().clone(), p.grad) for p in every.values()]
    states, cached = generators(), _cached()

    @contextmanager
    def again() -> Iterator[None]:
        restore(states)
        try:
            with restored(modules):
                yield
        finally:
            for p, value, _ in held:
                p.data.copy_(value)

    with torch.inference_mode(False):
        torch.set_autocast_cache_enabled(False)  # a cast of the parameters would outlive their change
        torch.clear_autocast_cache()
        try:
            for p, _, _ in held:
                p.grad = None
            yield again
        finally:
            torch.set_autocast_cache_enabled(cached)
            restore(states)
            for p, _, grad in held:
                p.grad = grad


def _cached() -> bool:
    return bool(torch.is_autocast_cache_enabled())


def _check(optimizer: Optimizer) -> None:
    if any(p.dtype == torch.float16 for p in trained(optimizer)):
        raise UserError(
            "parameters must not be float16, whose rounding hides a step, got some: keep them in float32 "
            "(model.float()) and use torch.autocast in loss_fn"
        )
    if any(group.get("maximize") for group in optimizer.param_groups):
        raise UserError(
            "the optimizer must make the loss smaller, got maximize=True: give loss_fn the opposite sign, "
            "and an optimizer without maximize"
        )


def innermost(optimizer: Any, batch: str = "batch") -> Optimizer:
    """The optimizer itself, where one wraps it; batch: the argument before it. Errors: UserError where it
    has no groups."""
    found: Any = nested(optimizer)[-1] if hasattr(optimizer, "param_groups") else optimizer
    if not isinstance(found, Optimizer):
        raise UserError(
            f"optimizer must be a torch.optim.Optimizer, got {type(found).__name__}: write (model, loss_fn, "
            f"{batch}, optimizer)"
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
    for t in [t for held in optimizer.state.values() for t in held.values() if isinstance(t, Tensor)]:
        if not t.is_leaf:  # as by mistake: it can't be copied with its graph
            memo[id(t)] = t.detach().clone()
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
