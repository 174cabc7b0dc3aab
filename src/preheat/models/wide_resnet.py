"""WRN-16-4 with LayerNorm: the wide ResNet of Kalra and Barkeshli 2024 (arXiv 2406.09405), without batch
statistics.

A 3 x 3 stem of 16 channels, then three stages of two residual blocks with 64, 128 and 256 channels, a global
mean and a linear layer: convolution, LayerNorm over the channels of each pixel, ReLU; a ReLU after each sum.
Convolutions have biases. Initialisation (their standard parameterisation): truncated normal of variance 2 /
fan_in, 1 / fan_in for the last layer, biases 0; the option `parameterisation` has others. Their model file is
not published with the paper's runs; a shortcut that changes shape is here a 1 x 1 convolution with LayerNorm.
They standardise each image by its own mean and deviation; a task here does with `standardise=image`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from preheat.core.registry import MODELS
from preheat.core.spec import LATER
from preheat.models.base import Model, at_least_one, square
from preheat.models.parameterisation import convolution, initialise, known_parameterisation, linear
from preheat.models.parts import global_mean, residual

if TYPE_CHECKING:
    from torch import nn


@MODELS.register("wrn16_4")
@dataclass(frozen=True)
class WideResNet16(Model):
    """WRN-16-4 with LayerNorm in place of BatchNorm: 2,752,042 parameters with 10 classes.

    width: channels of the stem; widen: the first stage has widen x width channels, doubled in each of the
    next two; parameterisation: "standard", "mu" or "mu_adam", see `preheat.models.parameterisation`.
    """

    small: ClassVar[Mapping[str, Any]] = {"width": 4, "widen": 2}

    width: int = 16
    widen: int = 4
    parameterisation: str = field(default="standard", metadata=LATER)

    def __post_init__(self) -> None:
        at_least_one("wrn16_4", width=self.width, widen=self.widen)
        known_parameterisation("wrn16_4", self.parameterisation)

    def check(self, shape: tuple[int, ...]) -> None:
        square("wrn16_4", shape)

    def network(self, shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Stem, six residual blocks, mean, linear layer."""
        from torch import nn

        channels, _ = square("wrn16_4", shape)
        blocks: list[nn.Module] = []
        wide = self.width
        for stage in range(3):
            out = self.width * self.widen * 2**stage
            blocks += [_block(wide, out, 2 if stage else 1), _block(out, out, 1)]
            wide = out
        ends = [global_mean(), linear(wide, outputs)]
        net = nn.Sequential(*_pair(channels, self.width, 3, 1), nn.ReLU(), *blocks, *ends)
        return initialise(net, self.parameterisation)


def _block(wide: int, out: int, stride: int) -> nn.Module:
    from torch import nn

    shortcut = nn.Sequential(*_pair(wide, out, 1, stride)) if stride > 1 or wide != out else None
    return residual([_pair(wide, out, 3, stride), _pair(out, out, 3, 1)], shortcut, norm="norm")


def _pair(wide: int, out: int, kernel: int, stride: int) -> tuple[nn.Module, nn.Module]:
    return convolution(wide, out, kernel, stride=stride), _channel_norm()(out)


@lru_cache(maxsize=1)
def _channel_norm() -> Any:
    from torch import Tensor, nn

    class ChannelNorm(nn.LayerNorm):
        """LayerNorm over the channels of each pixel: [B, C, H, W]."""

        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.movedim(1, -1)).movedim(-1, 1)

    return ChannelNorm
