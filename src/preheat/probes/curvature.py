"""Curvature of the training loss, by Hessian-vector products."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from preheat.core.lengths import Length, steps
from preheat.core.registry import PROBES
from preheat.probes.base import Moment, Probe, Tensors, at_least
from preheat.probes.hessian import dot, first, hessian

if TYPE_CHECKING:
    from torch import Generator, Size, Tensor


@PROBES.register("hessian_trace")
@dataclass(frozen=True)
class HessianTrace(Probe):
    """The trace of the training loss's Hessian, estimated without bias, with its standard error.

    tr H = E[v'Hv] for v of independent random signs. hessian_trace: the mean of v'Hv over `vectors` of them;
    hessian_trace_se: their standard deviation / sqrt(vectors). One v'Hv has the variance 2 sum_{i != j}
    H_ij^2: 0 if H is diagonal. The loss is that of training (its mode, augmentation and noise) on the first
    `examples` of the batch, in float32 or float64. H v is the derivative of <grad, v>, reverse over reverse:
    one graph of the gradient serves all vectors, and unlike forward over reverse it passes every layer
    (BatchNorm in training mode, LSTM), alone and in a fleet. The cost is about 3 training steps of `examples`
    examples a vector.

    M. F. Hutchinson, Communications in Statistics 18 (1989) 1059; B. A. Pearlmutter, Neural Computation 6
    (1994) 147.
    """

    every: Length = steps(250)
    vectors: int = 8
    examples: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(2, self.vectors, "vectors", "hessian_trace", why="one vector has no standard error")
        at_least(1, self.examples, "examples", "hessian_trace", why="the loss needs one")

    def draw(self, generator: Generator, shapes: Mapping[str, Size]) -> Tensors:
        """{parameter: [vectors, ceil(entries / 8)] uint8}: a bit for each sign."""
        import torch

        sizes = {n: (self.vectors, -(-shape.numel() // 8)) for n, shape in shapes.items()}
        return {
            n: torch.randint(256, size, generator=generator, dtype=torch.uint8) for n, size in sizes.items()
        }

    def measure(self, moment: Moment, memory: Tensors) -> tuple[Tensors, Tensors]:
        """hessian_trace and hessian_trace_se."""
        import torch

        product = hessian(moment, first(moment.batch, self.examples))
        found = []
        for i in range(self.vectors):
            v = {n: signs(moment.drawn[n][i], p) for n, p in moment.params.items()}
            found.append(dot(v, product(v)))
        values = torch.stack(found)
        return {"hessian_trace": values.mean(), "hessian_trace_se": values.std() / self.vectors**0.5}, memory


def signs(bits: Tensor, like: Tensor) -> Tensor:
    """+1 or -1 of the shape and dtype of `like`, from a bit each. bits: [ceil(entries / 8)] uint8.

    >>> import torch
    >>> signs(torch.tensor([5], dtype=torch.uint8), torch.zeros(2, 2))
    tensor([[ 1., -1.],
            [ 1., -1.]])
    """
    import torch

    each = bits.unsqueeze(-1).bitwise_right_shift(torch.arange(8, dtype=torch.uint8, device=bits.device)) & 1
    return each.reshape(-1)[: like.numel()].reshape(like.shape).to(like.dtype) * 2 - 1
