"""What models share: the residual block, the global mean, positions, the truncated normal that weights start
from."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

_CUT = 0.87962566103423978  # the standard deviation of a unit normal cut at -2 and 2
Pairs = list[tuple["nn.Module", "nn.Module"]]  # (convolution, normalisation)


def residual(pairs: Pairs, shortcut: nn.Module | None, *, norm: str = "bn") -> nn.Module:
    """relu(body(x) + shortcut(x)), the body being conv, norm, relu, conv, norm, ...: no relu after the last
    norm.

    Parts are named as in torchvision: conv1, bn1 (`norm` and a number), conv2, ..., downsample.
    """
    made: nn.Module = _residual_class()(pairs, shortcut, norm=norm)
    return made


def global_mean() -> nn.Module:
    """[B, C, H, W] -> [B, C]. AdaptiveAvgPool2d restrides images whose channels lie last, which vmap has no
    rule for."""
    made: nn.Module = _mean_class()()
    return made


def truncated_normal(weight: Tensor, variance: float) -> None:
    """Draw `weight` anew, in place: a normal cut at two of its deviations, with this variance after the cut.

    >>> import torch
    >>> weight = torch.empty(400, 100)
    >>> truncated_normal(weight, 0.01)
    >>> abs(float(weight.std()) - 0.1) < 0.002
    True
    """
    from torch import nn

    deviation = variance**0.5 / _CUT
    nn.init.trunc_normal_(weight, std=deviation, a=-2 * deviation, b=2 * deviation)


def sinusoids(length: int, width: int) -> Tensor:
    """[length, width], float32: sin(i w_k) in the even columns 2k, cos(i w_k) in the odd ones, with w_k =
    10000^(-2k / width). Vaswani et al. 2017, arXiv 1706.03762, section 3.5.

    >>> sinusoids(2, 4)[0].tolist()
    [0.0, 1.0, 0.0, 1.0]
    """
    import torch

    speeds = 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angles = torch.arange(length, dtype=torch.float64)[:, None] * speeds
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1).float()


@lru_cache(maxsize=1)
def _mean_class() -> Any:
    from torch import nn

    class GlobalMean(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mean((2, 3))

    return GlobalMean


@lru_cache(maxsize=1)
def _residual_class() -> Any:
    from torch import nn
    from torch.nn.functional import relu

    class Residual(nn.Module):
        def __init__(self, pairs: Pairs, shortcut: nn.Module | None, norm: str) -> None:
            super().__init__()
            self.parts = [(f"conv{i}", f"{norm}{i}") for i in range(1, len(pairs) + 1)]
            for names, modules in zip(self.parts, pairs, strict=True):
                for name, module in zip(names, modules, strict=True):
                    self.add_module(name, module)
            self.downsample = shortcut

        def forward(self, x: Tensor) -> Tensor:
            out = x
            for i, (conv, norm) in enumerate(self.parts):
                out = self.get_submodule(norm)(self.get_submodule(conv)(relu(out) if i else out))
            return relu(out + (x if self.downsample is None else self.downsample(x)))

    return Residual
