"""Products with the training loss's Hessian, for every probe of curvature."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from preheat.probes.base import Moment, Tensors

if TYPE_CHECKING:
    from torch import Tensor


def hessian(moment: Moment, batch: Tensors) -> Callable[[Tensors], Tensors]:
    """v -> H v, both shaped like the parameters, for the Hessian H of the training loss on `batch`.

    H v is the derivative of <grad, v>, reverse over reverse: one graph of the gradient serves all vectors,
    and unlike forward over reverse it passes every layer (BatchNorm in training mode, LSTM), alone and in a
    fleet. A product costs about 3 gradients. B. A. Pearlmutter, Neural Computation 6 (1994) 147.
    """
    import torch
    from torch.func import grad, vjp

    def loss(params: Tensors) -> Tensor:
        return moment.function(params, moment.buffers, batch)

    pull = vjp(grad(loss), moment.params)[1]

    def product(v: Tensors) -> Tensors:
        with torch.no_grad():  # else the product would keep a graph of its own, for third derivatives
            (found,) = pull(v)
        out: Tensors = moment.joined(found)
        return out

    return product


def dot(a: Tensors, b: Tensors) -> Tensor:
    """The inner product over all entries of all tensors, a scalar."""
    import torch

    return torch.stack([(t * b[n]).sum() for n, t in a.items()]).sum()


def first(batch: Tensors, examples: int) -> Tensors:
    """The first examples of a batch."""
    return rows(batch, 0, examples)


def rows(batch: Tensors, start: int, stop: int) -> Tensors:
    """The examples from `start` up to `stop` of a batch. What is drawn for the batch as a whole (its first
    axis is not the batch) stays whole.

    The batch's own data come first in it, so the first entry says how many examples it holds.
    """
    size = len(next(iter(batch.values())))
    return {n: t[start:stop] if t.dim() and len(t) == size else t for n, t in batch.items()}
