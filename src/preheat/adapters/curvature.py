"""The sharpness and the trace of the training loss's Hessian in a loop of your own.

    sharpness(model, loss_fn, batch)               the largest eigenvalue of H
    sharpness(model, loss_fn, batch, optimizer)    of P^-1/2 H P^-1/2, P the optimizer's next diagonal
    hessian_trace(model, loss_fn, batch)

loss_fn(model, batch) returns the loss, a scalar tensor (or an output that holds it as `loss`), computed with
the model it is given: the one inside DDP and torch.compile. The model's mode counts: in training mode
BatchNorm uses the batch's statistics, and dropout draws one mask, the same in every call. Model, optimizer,
gradients, buffers and random numbers come back bitwise as they were.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from preheat.adapters.loss_graph import LossGraph, Tensors, loss_graph, trained, untouched
from preheat.adapters.losses import LossFn, check_loss
from preheat.adapters.preconditioners import preconditioner
from preheat.adapters.processes import bare
from preheat.core.errors import UserError
from preheat.probes.hessian import dot
from preheat.probes.lanczos import largest_eigenvalue, warmed

MOST = 64  # products of one measurement


class Curvature(float):
    """A number with its error, in its own units; products: with the Hessian, what it cost; vector: {name:
    tensor}, the eigenvector of length 1, empty for a trace.

    >>> Curvature(2.0, error=0.5) + 1, Curvature(2.0, error=0.5)
    (3.0, Curvature(2, error=0.5, products=0))
    """

    error: float
    products: int
    vector: Mapping[str, Tensor]

    def __new__(
        cls,
        value: float,
        *,
        error: float = math.nan,
        products: int = 0,
        vector: Mapping[str, Tensor] | None = None,
    ) -> Curvature:
        self = super().__new__(cls, value)
        self.error, self.products, self.vector = error, products, vector or {}
        return self

    def __repr__(self) -> str:
        return f"Curvature({float(self):g}, error={self.error:.2g}, products={self.products})"


def sharpness(
    model: Any,
    loss_fn: LossFn,
    batch: Any,
    optimizer: Any = None,
    *,
    tol: float = 1e-2,
    start: Curvature | Mapping[str, Tensor] | None = None,
) -> Curvature:
    """The largest eigenvalue of the Hessian H of loss_fn on the batch, over the parameters that train.

    optimizer: then of P^-1/2 H P^-1/2, with P of the step that it would take on this batch, over its own
    parameters; or P itself, {name: tensor}. SGD has P = 1. Different rates of several groups are not in P. In
    Adam's first 10 steps or so P holds little but eps where gradients are small. tol: Lanczos stops where the
    residual |H v - value v| is at most tol |value|, or no larger than float32's rounding of H, or after 64
    products; `.error` is the residual, so an eigenvalue lies that near. start: an earlier result, or its
    vector, on the same batch: fewer products where training moved little. One product costs about 3
    gradients, and each keeps a vector of the size of the parameters. Under DDP it is of the mean of the
    processes' losses, and every process calls this. Errors: UserError.

    >>> from torch import nn, optim
    >>> model = nn.Linear(1, 1, bias=False)
    >>> x = torch.tensor([[1.0], [3.0]])  # the loss is mean(x^2) w^2, so H = 2 mean(x^2) = 10
    >>> found = sharpness(model, lambda model, x: model(x).square().mean(), x)
    >>> round(found, 4), found.error < 1e-4
    (10.0, True)

    C. Lanczos, J. Res. Natl. Bur. Stand. 45 (1950) 255; Kalra & Barkeshli 2024, arXiv 2406.09405.
    """
    check_loss(loss_fn, batch)
    inner, group = bare(model)
    params = trained(inner, optimizer)
    with untouched(inner, loss_fn):
        graph = finite(loss_graph(inner, loss_fn, batch, params, group=group))
        scale = None if optimizer is None else preconditioner(optimizer, params, graph.grads)
        found = largest(graph, scale, tol=tol, start=start)
    return _sound(found)


def hessian_trace(model: Any, loss_fn: LossFn, batch: Any, *, vectors: int = 32, seed: int = 0) -> Curvature:
    """The trace of that Hessian: the mean of v'Hv over random sign vectors v, `.error` its standard error.

    seed: of the signs. At the start of training the error is often as large as the trace; it falls with the
    square root of `vectors`. Errors: UserError.

    >>> from torch import nn
    >>> x = torch.tensor([[1.0, 3.0]])
    >>> found = hessian_trace(nn.Linear(2, 1), lambda model, x: model(x).square().mean(), x, vectors=2000)
    >>> abs(found - 22) < 4 * found.error  # 2 (1 + 9 + 1), the bias's part last
    True

    M. F. Hutchinson, Communications in Statistics 18 (1989) 1059.
    """
    if vectors < 2:
        raise UserError(
            f"vectors must be at least 2, one has no standard error, got {vectors}: write vectors=32"
        )
    check_loss(loss_fn, batch)
    inner, group = bare(model)
    params = trained(inner)
    generator = torch.Generator().manual_seed(seed)
    with untouched(inner, loss_fn):
        graph, found = finite(loss_graph(inner, loss_fn, batch, params, group=group)), []
        for _ in range(vectors):
            v = {n: (torch.randint(2, p.shape, generator=generator) * 2 - 1).to(p) for n, p in params.items()}
            found.append(dot(v, graph.product(v)).double())
    values = torch.stack(found)
    return _sound(Curvature(float(values.mean()), error=float(values.std()) / vectors**0.5, products=vectors))


def largest(
    graph: LossGraph, scale: Tensors | None, *, tol: float, start: Any = None, seed: int = 0
) -> Curvature:
    """The largest eigenvalue of P^-1/2 H P^-1/2 with P = scale, inside `untouched`; NaN for what is not
    finite. seed: of the start, or of the noise on a given one."""
    check_tol(tol)
    generator = torch.Generator().manual_seed(seed)
    begin = {n: torch.randn(p.shape, generator=generator).to(p) for n, p in graph.params.items()}
    if start is not None:
        begin = warmed(_fitting(start, graph.params), begin)
    roots = {n: p.rsqrt() for n, p in scale.items()} if scale else None

    def product(v: Tensors) -> Tensors:
        if roots is None:
            return graph.product(v)
        found = graph.product({n: t * roots[n] for n, t in v.items()})
        return {n: t * roots[n] for n, t in found.items()}

    with torch.no_grad():
        pair = largest_eigenvalue(product, begin, products=MOST, tol=tol)
    value = float(pair.value)
    return Curvature(
        value, error=float(pair.error) * abs(value), products=int(pair.products), vector=pair.vector
    )


def finite(graph: LossGraph) -> LossGraph:
    """Errors: UserError for a loss that is not finite."""
    if not math.isfinite(graph.loss):
        raise UserError(
            f"the loss must be finite, got {graph.loss:g}: look at the batch, which must not be empty, and "
            "at the parameters; under DDP at those of every process"
        )
    return graph


def _sound(found: Curvature) -> Curvature:
    if not math.isfinite(found):
        raise UserError(
            f"the Hessian must be finite, got {float(found)} from a product with it: leave out "
            "what has no second derivative there, as a square root at 0, or scale a very large loss down"
        )
    return found


def _fitting(start: Any, params: Tensors) -> Tensors:
    vector = start.vector if isinstance(start, Curvature) else start
    if not isinstance(vector, Mapping):
        raise UserError(
            f"start must be an earlier sharpness, which has its vector, got the number {vector}: leave it out"
        )
    for name, p in params.items():
        if name not in vector or vector[name].shape != p.shape:
            got = tuple(vector[name].shape) if name in vector else "none"
            raise UserError(
                f"start must be an earlier sharpness of this model, got {got} for {name!r} of shape "
                f"{tuple(p.shape)}: leave it out"
            )
    return {n: vector[n].to(p) for n, p in params.items()}


def check_tol(tol: Any) -> None:
    """Errors: UserError unless it is above 0 and below 1."""
    if not isinstance(tol, int | float) or not 0 < tol < 1:
        raise UserError(f"tol must be above 0 and below 1, got {tol!r}: write tol=1e-2")
