"""Myrtle networks at constant width: Shankar et al. 2020, Neural Kernels Without Tangents (arXiv
2003.02237)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from preheat.core.errors import UserError
from preheat.core.registry import MODELS
from preheat.models.base import Model, at_least_one, square
from preheat.models.parameterisation import convolution, initialise, known_parameterisation, linear
from preheat.models.parts import global_mean

if TYPE_CHECKING:
    from torch import nn

_STAGES = {5: (2, 1, 1), 7: (2, 2, 2), 10: (3, 3, 3)}  # depth: convolutions before each pooling


@MODELS.register("myrtle")
@dataclass(frozen=True)
class Myrtle(Model):
    """Convolutions and average pooling, no norms (Myrtle-5): 113,226 parameters with 10 classes.

    Three stages of 3 x 3 convolutions with biases and ReLUs, each ending in 2 x 2 average pooling, then the
    mean over the image and a linear layer. depth: 5, 7 or 10 layers with 2-1-1, 2-2-2 or 3-3-3 convolutions;
    width: channels; parameterisation: "standard", "mu" or "mu_adam", see `preheat.models.parameterisation`.
    Images must be 8 x 8 or larger.
    """

    small: ClassVar[Mapping[str, Any]] = {"width": 4}

    depth: int = 5
    width: int = 64
    parameterisation: str = "standard"

    def __post_init__(self) -> None:
        at_least_one("myrtle", depth=self.depth, width=self.width)
        if self.depth not in _STAGES:
            raise UserError(f"depth of model 'myrtle' must be 5, 7 or 10, got {self.depth}")
        known_parameterisation("myrtle", self.parameterisation)

    def check(self, shape: tuple[int, ...]) -> None:
        """Three poolings need 8 pixels."""
        _, size = square("myrtle", shape)
        if size < 8:
            raise UserError(
                f"model 'myrtle' halves an image three times, so it must be 8 x 8 or larger, got {size} x "
                f"{size}"
            )

    def network(self, shape: tuple[int, ...], outputs: int) -> nn.Module:
        from torch import nn

        self.check(shape)
        wide, _ = square("myrtle", shape)
        layers: list[nn.Module] = []
        for count in _STAGES[self.depth]:
            for _ in range(count):
                layers += [convolution(wide, self.width, 3), nn.ReLU()]
                wide = self.width
            layers.append(nn.AvgPool2d(2))
        net = nn.Sequential(*layers, global_mean(), linear(wide, outputs))
        return initialise(net, self.parameterisation)
