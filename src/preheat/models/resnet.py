"""ResNets for small images: He et al. 2015 (arXiv 1512.03385) in torchvision's layout, with a 3 x 3 stem.

What differs from torchvision's ImageNet networks, as in most work on CIFAR: the first convolution is 3 x 3
with stride 1, and there is no max-pool, so a 32 x 32 image reaches the last stage at 4 x 4. Parameters have
torchvision's names. Initialisation is torchvision's (He normal over fan_out for convolutions, ones and zeros
for BatchNorm), but the first convolution and the last layer have torch's defaults: Agrawal 2025 replaces
those two after torchvision has initialised, as do most scripts that adapt a torchvision ResNet to CIFAR.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from preheat.core.registry import MODELS
from preheat.models.base import Model, at_least_one, square
from preheat.models.parts import global_mean, residual

if TYPE_CHECKING:
    from torch import nn


@MODELS.register("resnet18")
@dataclass(frozen=True)
class ResNet18(Model):
    """ResNet-18 for small images: 11,173,962 parameters with 10 classes.

    width: channels of the first stage, doubled in each of the next three. 11,220,132 parameters with 100
    classes, 11,173,449 with 9.
    """

    small: ClassVar[Mapping[str, Any]] = {"width": 4}

    width: int = 64

    def __post_init__(self) -> None:
        at_least_one("resnet18", width=self.width)

    def check(self, shape: tuple[int, ...]) -> None:
        square("resnet18", shape)

    def network(self, shape: tuple[int, ...], outputs: int) -> nn.Module:
        return _resnet((2, 2, 2, 2), self.width, 1, square("resnet18", shape)[0], outputs)


@MODELS.register("resnet34")
@dataclass(frozen=True)
class ResNet34(Model):
    """ResNet-34 for small images: 21,282,122 parameters with 10 classes.

    width: channels of the first stage, doubled in each of the next three.
    """

    small: ClassVar[Mapping[str, Any]] = {"width": 2}

    width: int = 64

    def __post_init__(self) -> None:
        at_least_one("resnet34", width=self.width)

    def check(self, shape: tuple[int, ...]) -> None:
        square("resnet34", shape)

    def network(self, shape: tuple[int, ...], outputs: int) -> nn.Module:
        return _resnet((3, 4, 6, 3), self.width, 1, square("resnet34", shape)[0], outputs)


@MODELS.register("resnet50")
@dataclass(frozen=True)
class ResNet50(Model):
    """ResNet-50 for small images: 23,520,842 parameters with 10 classes.

    width: inner channels of the first stage, doubled in each of the next three; a stage gives four times as
    many. The stride of 2 is in a block's 3 x 3 convolution, as in torchvision ("v1.5").
    """

    small: ClassVar[Mapping[str, Any]] = {"width": 2}

    width: int = 64

    def __post_init__(self) -> None:
        at_least_one("resnet50", width=self.width)

    def check(self, shape: tuple[int, ...]) -> None:
        square("resnet50", shape)

    def network(self, shape: tuple[int, ...], outputs: int) -> nn.Module:
        return _resnet((3, 4, 6, 3), self.width, 4, square("resnet50", shape)[0], outputs)


def _resnet(counts: tuple[int, ...], width: int, expansion: int, channels: int, classes: int) -> nn.Module:
    """expansion: 1 for basic blocks, 4 for bottlenecks."""
    from torch import nn

    parts: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(channels, width, 3, padding=1, bias=False), bn1=nn.BatchNorm2d(width), relu=nn.ReLU()
    )
    wide = width
    for stage, count in enumerate(counts):
        inner, blocks = width * 2**stage, []
        for i in range(count):
            blocks.append(_block(wide, inner, expansion, 2 if stage and not i else 1))
            wide = inner * expansion
        parts[f"layer{stage + 1}"] = nn.Sequential(*blocks)
    parts |= {"avgpool": global_mean(), "fc": nn.Linear(wide, classes)}
    return nn.Sequential(parts)


def _block(wide: int, inner: int, expansion: int, stride: int) -> nn.Module:
    """3 x 3, 3 x 3, or 1 x 1, 3 x 3, 1 x 1; a 1 x 1 convolution where the shortcut's shape changes."""
    from torch import nn

    def pair(i: int, o: int, kernel: int, stride: int = 1) -> tuple[nn.Module, nn.Module]:
        conv = nn.Conv2d(i, o, kernel, stride, padding=kernel // 2, bias=False)
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
        return conv, nn.BatchNorm2d(o)

    out = inner * expansion
    if expansion == 1:
        pairs = [pair(wide, inner, 3, stride), pair(inner, out, 3)]
    else:
        pairs = [pair(wide, inner, 1), pair(inner, inner, 3, stride), pair(inner, out, 1)]
    return residual(pairs, nn.Sequential(*pair(wide, out, 1, stride)) if stride > 1 or wide != out else None)
