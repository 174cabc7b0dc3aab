"""Attention in plain operations: fused kernels have no second derivative and no rule under vmap."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def attention(q: Tensor, k: Tensor, v: Tensor, *, causal: bool = False) -> Tensor:
    """softmax(q k' / sqrt(d)) v; q [..., L, d], k [..., S, d], v [..., S, e] -> [..., L, e].

    causal: position i looks at positions up to i only (L == S). Vaswani et al. 2017, arXiv 1706.03762.

    >>> import torch
    >>> q, k, v = torch.randn(3, 2, 5, 4).unbind(0)
    >>> attention(q, k, v, causal=True).shape
    torch.Size([2, 5, 4])
    """
    import torch

    scores: Tensor = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
    if causal:
        past = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril()
        scores = scores.masked_fill(~past, float("-inf"))
    mixed: Tensor = scores.softmax(-1) @ v
    return mixed
