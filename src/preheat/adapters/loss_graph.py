"""The gradient of somebody's loss with its graph, from which products with the Hessian come, and the model,
the optimizer and the random numbers stay bitwise as they are.

By plain autograd on the model's own parameters, not by torch.func as the probes of registered tasks do: that
refuses checkpointing, custom functions and whatever else a loop of one's own may hold.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from preheat.adapters import kernels
from preheat.adapters.closure import modules_of, restored, unhooked
from preheat.adapters.losses import (
    LossFn,
    calling,
    generators,
    refuse_iterator,
    restore,
    scalar,
    seed,
    unsteady,
)
from preheat.adapters.processes import averaged, check_parameter
from preheat.core.errors import UserError

Tensors = dict[str, Tensor]
_SEED, _SAME = 0, 1e-5
_SHORT = (torch.float16, torch.bfloat16)


class LossGraph(NamedTuple):
    """loss: its value; grads: {name: gradient}, detached; product: v -> H v, both {name: tensor}."""

    loss: float
    params: Tensors
    grads: Tensors
    product: Callable[[Tensors], Tensors]


def trained(model: nn.Module, optimizer: Any = None) -> Tensors:
    """{name: parameter} of those that train, a shared one once; with an optimizer, of those that it has.

    Errors: UserError where there is none, and for dtypes and places that can't be measured.
    """
    found: Tensors = {n: p for n, p in model.named_parameters() if p.requires_grad}
    if hasattr(optimizer, "param_groups"):
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        if found and not any(id(p) in held for p in found.values()):
            raise UserError(
                "the optimizer must hold parameters of the model, got none of them: build it with "
                "model.parameters(), after the last model.to(...); copy both at once, "
                "model, optimizer = copy.deepcopy((model, optimizer))"
            )
        found = {n: p for n, p in found.items() if id(p) in held}
    if not found:
        raise UserError(
            "the model must have parameters that train, got none: write p.requires_grad_(True) for some"
        )
    for name, p in found.items():
        if p.dtype not in (torch.float32, torch.float64):
            raise _short(p.dtype, name)
        check_parameter(name, p)
    if len(devices := {str(p.device) for p in found.values()}) > 1:
        raise UserError(
            f"parameters must be on one device, got {', '.join(sorted(devices))}: write model.to(...)"
        )
    return found


def _short(dtype: torch.dtype, name: str) -> UserError:
    return UserError(
        f"curvature is measured in float32 or float64, got {dtype} in {name!r}: measure a copy, "
        "own, its = copy.deepcopy((model, optimizer)), by sharpness(own.float(), loss_fn, batch, its), with "
        "a batch in float32; in Lightning write precision='bf16-mixed'"
    )


@contextmanager
def untouched(model: nn.Module, loss_fn: LossFn) -> Iterator[None]:
    """All comes back that a loss may change; autocast and hooks on gradients off, kernels that have a second
    derivative, nothing compiled."""
    device = next(model.parameters()).device
    with ExitStack() as stack:
        stack.callback(restore, generators())
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(torch.autocast(device.type, enabled=False))
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        for place in (torch, sys.modules["torch.nn.utils.weight_norm"]):
            stack.callback(setattr, place, "_weight_norm", place._weight_norm)
            place._weight_norm = _weight_norm  # type: ignore[attr-defined]
        modules = modules_of(model, loss_fn)
        stack.enter_context(unhooked(modules))
        stack.enter_context(restored(modules))  # not sooner: a product may compute a part again
        if any(isinstance(m, nn.RNNBase) for m in modules):
            stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        if "_original_forward" in (own := vars(model)):  # Accelerate's forward holds its autocast
            stack.callback(own.update, forward=own["forward"])
            own["forward"] = own["_original_forward"]
        if "torch._dynamo" in sys.modules:
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        yield


def loss_graph(model: nn.Module, loss_fn: LossFn, batch: Any, params: Tensors, *, group: Any) -> LossGraph:
    """The loss is computed twice, to see that it is one function; inside `untouched`. group: average over
    its processes, all of which call this; the loss is NaN where one of them fails."""
    device = next(iter(params.values())).device
    together = {"loss": torch.tensor(math.nan, device=device, dtype=torch.float64)}
    try:
        value, used = _gradient(model, loss_fn, batch, params)
        together["loss"].fill_(value)
    finally:
        averaged(together, group)
    plain = {n: used[n].detach() if n in used else torch.zeros_like(p) for n, p in params.items()}
    return LossGraph(
        float(together["loss"]),
        params,
        averaged(plain, group),
        lambda v: averaged(_product(used, params, v), group),
    )


def _gradient(model: nn.Module, loss_fn: LossFn, batch: Any, params: Tensors) -> tuple[float, Tensors]:
    """(the loss, {name: gradient with its graph} of those it depends on), of this process."""
    refuse_iterator(batch)
    with restored(modules_of(model, loss_fn)):
        before = _evaluated(model, loss_fn, batch)
    first, custom = float(before.detach()), kernels.kernels(before)
    del before  # one graph at a time
    with kernels.recorded(custom) as calls:
        loss = _evaluated(model, loss_fn, batch)
    value = float(loss.detach())
    if math.isfinite(first) and not math.isclose(first, value, rel_tol=_SAME, abs_tol=1e-12):
        raise unsteady(first, value)
    _full_precision(loss, model)
    try:
        grads = torch.autograd.grad(loss, [*params.values()], create_graph=True, allow_unused=True)
    except RuntimeError as error:
        raise _no_second(error) from error
    if all(g is None for g in grads):
        raise UserError(
            "the loss must depend on parameters that train, got one without a gradient for any of them: let "
            "loss_fn use the model it is given, and write use_reentrant=False where it checkpoints"
        )
    if any(g is not None and g.is_sparse for g in grads):
        raise UserError("gradients must be dense, got a sparse one: write nn.Embedding(..., sparse=False)")
    kernels.check(calls)
    return value, {n: g for n, g in zip(params, grads, strict=True) if g is not None}


def _no_second(error: RuntimeError) -> UserError:
    said = str(error).splitlines()[0]
    return UserError(
        f"the loss must have a second derivative, got: {said}: let the model use torch's own "
        "scaled_dot_product_attention (in transformers attn_implementation='sdpa'), write "
        "use_reentrant=False where it checkpoints, or give a loss_fn without the operation that is named"
    )


def _weight_norm(v: Tensor, g: Tensor, dim: int = 0) -> Tensor:
    """torch's weight normalisation by operations with a second derivative, which torch's own has wrong."""
    return v * (g / torch.norm_except_dim(v, 2, dim))


def _product(grads: Tensors, params: Tensors, v: Tensors) -> Tensors:
    """H v from the gradient's graph, which is kept."""
    curved = {n: g for n, g in grads.items() if g.requires_grad}
    if not curved:
        return {n: torch.zeros_like(p) for n, p in params.items()}
    try:
        found = torch.autograd.grad(
            [*curved.values()],
            [*params.values()],
            [v[n] for n in curved],
            retain_graph=True,
            allow_unused=True,
        )
    except RuntimeError as error:
        raise _no_second(error) from error
    return {
        n: torch.zeros_like(p) if h is None else h.detach()
        for (n, p), h in zip(params.items(), found, strict=True)
    }


def _evaluated(model: nn.Module, loss_fn: LossFn, batch: Any) -> Tensor:
    """The loss, with the random numbers of one seed."""
    seed(_SEED)
    with calling(model, batch):
        out = loss_fn(model, batch)
    if any(p.grad is not None for p in model.parameters()):
        raise UserError("loss_fn must return the loss alone, got a call of .backward() in it: leave that out")
    loss = scalar(out)
    if not loss.requires_grad:
        raise UserError(
            "the loss must have a gradient, got one that is cut off: leave out .detach(), .item() and "
            "torch.no_grad() in loss_fn, let it use the model it is given, and write use_reentrant=False "
            "where it checkpoints"
        )
    return loss


def _full_precision(loss: Tensor, model: nn.Module) -> None:
    """Errors: UserError where a part of the graph is in float16 or bfloat16."""
    own = {p.dtype: name for name, p in model.named_parameters()}
    for node in kernels.nodes(loss):
        for known in (k for k in node._input_metadata if k.dtype in _SHORT):
            if known.dtype in own:
                raise _short(known.dtype, own[known.dtype])
            raise UserError(
                f"curvature is measured in float32 or float64, got a loss with {known.dtype} inside: "
                "leave torch.autocast out of loss_fn and forward; one around this call is switched off"
            )
