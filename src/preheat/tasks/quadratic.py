"""A noisy quadratic: every answer in closed form, for laws, examples and intuition (Zhang et al., arXiv
1907.04164)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from preheat.core.errors import UserError
from preheat.core.registry import TASKS
from preheat.tasks.base import Data, Task, Tensors

if TYPE_CHECKING:
    from torch import Generator, Tensor


@TASKS.register("quadratic")
@dataclass(frozen=True)
class Quadratic(Task):
    """A noisy quadratic loss whose expected training curve is known exactly.

    loss(theta) = 1/2 sum_i h_i (theta_i - xi_i)^2 averaged over the batch, xi_i ~ N(0, sigma^2) drawn anew
    for each example of each update; h_i is spaced evenly in the logarithm from 1 to 1 / condition; theta
    starts at `start`. Gradient descent without momentum is stable up to the rate 2. The metric `loss` is the
    excess 1/2 sum_i h_i theta_i^2. examples: the nominal length of an epoch.
    """

    dim: int = 10
    condition: float = 100.0
    sigma: float = 0.0
    start: float = 1.0
    examples: int = 1000

    def __post_init__(self) -> None:
        for name, low in (("dim", 1), ("condition", 1), ("sigma", 0), ("examples", 1)):
            if getattr(self, name) < low:
                raise UserError(
                    f"{name} of task 'quadratic' must be at least {low}, got {getattr(self, name)}"
                )

    def curvatures(self) -> np.ndarray:
        """h: [D], the Hessian's eigenvalues; the largest is 1."""
        return np.logspace(0, -np.log10(self.condition), self.dim) if self.dim > 1 else np.ones(1)

    def expected_loss(self, rates: Sequence[float], batch_size: int) -> np.ndarray:
        """[T + 1]: the expectation of the excess loss under SGD without momentum, before each update and at
        the end.

        E theta_i^2 <- (1 - lr h_i)^2 E theta_i^2 + lr^2 h_i^2 sigma^2 / B.
        """
        h, second = self.curvatures(), np.full(self.dim, self.start**2)
        out = [0.5 * h @ second]
        for lr in rates:
            second = (1 - lr * h) ** 2 * second + (lr * h * self.sigma) ** 2 / batch_size
            out.append(0.5 * h @ second)
        return np.array(out)

    def data(self) -> Data:
        """No data but rows to count: everything random is drawn in `noise`."""
        import torch

        return Data({"row": torch.arange(self.examples)}, {"row": torch.arange(1)}, {"row": torch.arange(1)})

    def init(self, generator: Generator) -> tuple[Tensors, Tensors]:
        import torch

        return {"theta": torch.full((self.dim,), self.start, dtype=torch.float64)}, {}

    def noise(self, generator: Generator, batch: int) -> Tensors | None:
        """xi: [B, D]."""
        import torch

        return {"xi": self.sigma * torch.randn(batch, self.dim, generator=generator, dtype=torch.float64)}

    def loss(self, params: Tensors, buffers: Tensors, batch: Tensors) -> tuple[Tensor, Tensors]:
        theta = params["theta"]
        h = theta.new_tensor(self.curvatures())
        return 0.5 * (h * (theta - batch["xi"]) ** 2).sum(-1).mean(), buffers

    def statistics(self, params: Tensors, buffers: Tensors, batch: Tensors) -> Tensors:
        """loss: the excess, the same whatever the rows."""
        theta = params["theta"]
        return {"loss": 0.5 * (theta.new_tensor(self.curvatures()) * theta**2).sum()}

    def metrics(self, sums: Tensors) -> Tensors:
        return sums

    def chance(self) -> dict[str, float]:
        return {"loss": float(0.5 * self.curvatures().sum() * self.start**2)}
