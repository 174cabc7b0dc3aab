"""FCN-d-n: the fully connected network of Kalra and Barkeshli 2024 (arXiv 2406.09405)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar

from preheat.core.registry import MODELS
from preheat.models.base import Model, at_least_one
from preheat.models.parameterisation import initialise, known_parameterisation, linear

if TYPE_CHECKING:
    from torch import nn


@MODELS.register("fcn")
@dataclass(frozen=True)
class FullyConnected(Model):
    """Fully connected layers with ReLUs between them: 2,103,818 parameters at 32 x 32 with 10 classes.

    Inputs of any shape, flattened. depth: layers, the last one included; width: units of all but the last;
    parameterisation: "standard", "mu" or "mu_adam", see `preheat.models.parameterisation`. Biases start at 0.
    """

    small: ClassVar[Mapping[str, Any]] = {"depth": 3, "width": 8}

    depth: int = 4
    width: int = 512
    parameterisation: str = "standard"

    def __post_init__(self) -> None:
        at_least_one("fcn", depth=self.depth, width=self.width)
        known_parameterisation("fcn", self.parameterisation)

    def network(self, shape: tuple[int, ...], outputs: int) -> nn.Module:
        from torch import nn

        layers: list[nn.Module] = [nn.Flatten()]
        wide = prod(shape)
        for _ in range(self.depth - 1):
            layers += [linear(wide, self.width), nn.ReLU()]
            wide = self.width
        return initialise(nn.Sequential(*layers, linear(wide, outputs)), self.parameterisation)
