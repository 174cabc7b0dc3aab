"""Groups within the data: accuracy of the worst group, and training that looks at it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

from preheat.core.metrics import register_metric, share
from preheat.tasks.base import Classification, Tensors
from preheat.tasks.objectives import objective

if TYPE_CHECKING:
    from torch import Generator, Tensor

register_metric(share("worst_group_accuracy"))
WEIGHTS = "group_weights"


class Grouped(Classification):
    """A classifier whose examples belong to groups, `g` [N] int64 in 0..G-1 beside `x` and `y`.

    It measures loss, accuracy, that of each group (`group_0_accuracy`, ...) and of the worst one. robust: 0
    for the mean loss, or the step size eta of group DRO: the loss is sum_g q_g l_g with the mean loss l_g of
    the batch's examples of group g, 0 where it has none, and the weights q_g <- q_g exp(eta l_g) / sum, which
    are a buffer. Sagawa et al. 2020, arXiv 1911.08731.
    """

    @property
    @abstractmethod
    def groups(self) -> int:
        """The number of groups G."""

    @property
    def robust(self) -> float:
        """eta; a field or a property."""
        return 0.0

    @property
    def mean_loss(self) -> bool:  # type: ignore[override]
        """Whether the loss is the mean over examples."""
        return not self.robust

    def init(self, generator: Generator) -> tuple[Tensors, Tensors]:
        """The network's, and equal weights of the groups."""
        import torch

        params, buffers = super().init(generator)
        return params, {
            **buffers,
            **({WEIGHTS: torch.full((self.groups,), 1 / self.groups)} if self.robust else {}),
        }

    def loss(
        self,
        params: Tensors,
        buffers: Tensors,
        batch: Tensors,
        *,
        total: Callable[[Tensor], Tensor] = lambda t: t,
    ) -> tuple[Tensor, Tensors]:
        """The mean objective, or sum_g q_g l_g with the new q."""
        if not self.robust:
            return super().loss(params, buffers, batch)
        logits, fresh = self.called(params, buffers, batch, training=True)
        each = objective(self.objective, logits, batch["y"], reduction="none")
        of = self._of(batch["g"], each)
        count, summed = total(of.sum(0)).clamp(min=1), of.T @ each
        q = buffers[WEIGHTS] * (self.robust * total(summed.detach()) / count).exp()
        q = q / q.sum()
        return (q * summed / count).sum(), {**fresh, WEIGHTS: q}

    def statistics(self, params: Tensors, buffers: Tensors, batch: Tensors) -> Tensors:
        """Those of a classifier; by group those that are right, and all: [G]."""
        logits, _ = self.called(params, buffers, batch, training=False)
        right = (logits.argmax(-1) == batch["y"]).to(logits.dtype)
        of = self._of(batch["g"], right)
        return {
            **self.scored(logits, batch["y"]),
            "group_right": of.T @ right,
            "group_examples": of.sum(0),
        }

    def metrics(self, sums: Tensors) -> Tensors:
        """loss, accuracy, group_<g>_accuracy (NaN without examples) and worst_group_accuracy (of those
        with)."""
        each = sums["group_right"] / sums["group_examples"]
        worst = each.nan_to_num(nan=float("inf")).min()
        named = {f"group_{g}_accuracy": each[g] for g in range(self.groups)}
        return {**super().metrics(sums), **named, "worst_group_accuracy": worst}

    def chance(self) -> dict[str, float]:
        return {**super().chance(), "worst_group_accuracy": 1.0 / self.classes}

    def _of(self, g: Tensor, like: Tensor) -> Tensor:
        """[B, G]: 1 where an example belongs to a group."""
        import torch

        return (g[:, None] == torch.arange(self.groups, device=g.device)).to(like.dtype)
