"""SimpleCNN: the small convolutional network, without norms, of the experiments on HyperbolicLR (Kim 2024,
arXiv 2407.15200)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from preheat.core.errors import UserError
from preheat.core.registry import MODELS
from preheat.models.base import Model, at_least_one, square

if TYPE_CHECKING:
    from torch import nn


@MODELS.register("simplecnn")
@dataclass(frozen=True)
class SimpleCNN(Model):
    """Three convolutions, two linear layers, no norms: 1,352,970 parameters at 32 x 32 with 10 classes.

    (3 x 3 convolution, ReLU, 2 x 2 max-pool) three times, then a linear layer, ReLU and the last linear
    layer; torch's default initialisation. width: channels; hidden: units of the first linear layer. Images
    must be 8 x 8 or larger.
    """

    small: ClassVar[Mapping[str, Any]] = {"width": 4, "hidden": 8}

    width: int = 128
    hidden: int = 512

    def __post_init__(self) -> None:
        at_least_one("simplecnn", width=self.width, hidden=self.hidden)

    def check(self, shape: tuple[int, ...]) -> None:
        """Three poolings need 8 pixels."""
        _, size = square("simplecnn", shape)
        if size < 8:
            raise UserError(
                f"model 'simplecnn' halves an image three times, so it must be 8 x 8 or larger, got {size} x "
                f"{size}"
            )

    def network(self, shape: tuple[int, ...], outputs: int) -> nn.Module:
        from torch import nn

        self.check(shape)
        channels, size = square("simplecnn", shape)
        layers: list[nn.Module] = []
        for wide in (channels, self.width, self.width):
            layers += [nn.Conv2d(wide, self.width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        inside = self.width * (size // 8) ** 2
        ends = [nn.Flatten(), nn.Linear(inside, self.hidden), nn.ReLU(), nn.Linear(self.hidden, outputs)]
        return nn.Sequential(*layers, *ends)
