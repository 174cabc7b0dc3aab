"""Regression: any number of outputs, squared error or another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from preheat.core.metrics import Metric, register_metric
from preheat.tasks.base import Networked, Tensors

if TYPE_CHECKING:
    from torch import Tensor

register_metric(Metric("log10_loss", goal="min"))


class Regression(Networked):
    """Mean squared error, or another `misfit`, over the examples and their outputs.

    A subclass is a frozen dataclass with `examples`, `data()` and `network()`: x [B, ...] -> [B, D, ...], or
    [B]. Data hold `x` [N, ...] (or what `inputs` names) and `y` of the network's shape. A loss that ranges
    over decades is compared by `log10_loss`: the mean of such losses is ruled by the worst seed, and halfway
    between two of them means nothing.
    """

    def misfit(self, error: Tensor) -> Tensor:
        """What an error of any shape costs, each entry for itself: its square."""
        return error.square()

    def loss(self, params: Tensors, buffers: Tensors, batch: Tensors) -> tuple[Tensor, Tensors]:
        """The mean misfit in training mode."""
        out, fresh = self.called(params, buffers, batch, training=True)
        return self.misfit(shaped(out, batch["y"]) - batch["y"]).mean(), fresh

    def statistics(self, params: Tensors, buffers: Tensors, batch: Tensors) -> Tensors:
        """Sums over the entries: of the misfits, and of all."""
        out, _ = self.called(params, buffers, batch, training=False)
        wrong = self.misfit(shaped(out, batch["y"]) - batch["y"])
        return {"loss": wrong.sum(), "entries": wrong.new_tensor(wrong.numel())}

    def metrics(self, sums: Tensors) -> Tensors:
        """loss (the mean misfit) and log10_loss."""
        loss = sums["loss"] / sums["entries"]
        return {"loss": loss, "log10_loss": loss.log10()}


def shaped(out: Tensor, y: Tensor) -> Tensor:
    """What a network gave, in the shape of its targets: [B, 1] is [B] there. Anything else would be
    broadcast, [B] against [B, 1] to [B, B].

    Errors: ValueError where the shapes differ.
    """
    if out.shape == y.shape:
        return out
    if out.shape == (*y.shape, 1) or (*out.shape, 1) == y.shape:
        return out.reshape(y.shape)
    raise ValueError(f"a network's output must have the shape of y, {list(y.shape)}, got {list(out.shape)}")
