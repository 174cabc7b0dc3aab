"""What a classifier minimises: the cross entropy, or the squared distance from one-hot targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

OBJECTIVES = ("cross_entropy", "mse")


def objective(name: str, logits: Tensor, y: Tensor, *, reduction: str = "mean") -> Tensor:
    """The objective of logits [B, C] and labels [B]: its mean or sum over the examples, or "none", [B].

    "cross_entropy", or "mse": the `half_square` distance from the labels' one-hot vectors.
    """
    from torch.nn.functional import cross_entropy

    if name == "cross_entropy":
        return cross_entropy(logits, y, reduction=reduction)
    each = half_square(logits, one_hot(y, logits))
    if reduction == "none":
        return each
    return each.sum() if reduction == "sum" else each.mean()


def chance_loss(name: str, classes: int) -> float | None:
    """The least objective that one answer for all examples has, where the C classes are equally frequent.

    (1/C)(1 - 1/C) / 2 for "mse". None for the cross entropy: -log of the share of right answers, 1/C, tells
    it.

    >>> chance_loss("mse", 10), chance_loss("cross_entropy", 10)
    (0.045, None)
    """
    return (1 - 1 / classes) / classes / 2 if name == "mse" else None


def half_square(logits: Tensor, target: Tensor) -> Tensor:
    """[B]: half the mean over the C outputs of (f - y)^2, of f and y [B, C].

    The mean over outputs, not the sum, sets the size of the sharpness (Kalra and Barkeshli 2024, arXiv
    2406.09405, in their code).

    >>> import torch
    >>> half_square(torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, 0.0]]))
    tensor([0.2500])
    """
    return (logits - target).square().mean(-1) / 2


def one_hot(y: Tensor, like: Tensor) -> Tensor:
    """[B, C] in the type of `like` [B, C]: 1 at the label of each example, 0 elsewhere."""
    import torch

    return (y[:, None] == torch.arange(like.shape[-1], device=y.device)).to(like.dtype)
