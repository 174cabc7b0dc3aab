"""What ResNets and wide ResNets share: the residual block and the global mean."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

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


@lru_cache(maxsize=1)
def _mean_class() -> Any:
    from torch import Tensor, nn

    class GlobalMean(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mean((2, 3))

    return GlobalMean


@lru_cache(maxsize=1)
def _residual_class() -> Any:
    from torch import Tensor, nn
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
