"""DeepONet (Lu, Jin, Pang, Zhang, Karniadakis 2021, arXiv 1910.03193), as in the experiments on HyperbolicLR
(Kim 2024, arXiv 2407.15200)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from preheat.core.registry import MODELS
from preheat.models.base import Model, at_least_one, sensors

if TYPE_CHECKING:
    from torch import Tensor, nn


@MODELS.register("deeponet")
@dataclass(frozen=True)
class DeepONet(Model):
    """An operator network, the product of a branch and a trunk: 8,604,773 parameters with 100 sensors.

    G(u)(y) = sum_p branch_p(u) trunk_p(y) + bias, over `num_branch` products. Branch and trunk have
    `num_layers` linear layers, GELUs between them and `hidden` units inside; torch's initialisation. The bias
    is one number, from a normal of variance 1. The original trains it on a CPU alone: on a GPU it is there no
    parameter.

    >>> import torch
    >>> net = DeepONet(hidden=8, num_layers=2, num_branch=3).network((5,), 4)
    >>> net(torch.zeros(2, 5), torch.zeros(2, 4)).shape
    torch.Size([2, 4])
    """

    takes: ClassVar[str] = "functions"
    small: ClassVar[Mapping[str, Any]] = {"hidden": 8, "num_layers": 3, "num_branch": 4}

    hidden: int = 1024
    num_layers: int = 6
    num_branch: int = 50

    def __post_init__(self) -> None:
        sizes = {"hidden": self.hidden, "num_layers": self.num_layers, "num_branch": self.num_branch}
        at_least_one("deeponet", **sizes)

    def check(self, shape: tuple[int, ...]) -> None:
        sensors("deeponet", shape)

    def network(self, shape: tuple[int, ...], outputs: int) -> nn.Module:
        """It takes points of any number, whatever `outputs`."""
        made: nn.Module = _net()(self, sensors("deeponet", shape))
        return made


def _layers(model: DeepONet, inputs: int) -> nn.Module:
    from torch import nn

    layers: list[nn.Module] = []
    for _ in range(model.num_layers - 1):
        layers += [nn.Linear(inputs, model.hidden), nn.GELU()]
        inputs = model.hidden
    return nn.Sequential(*layers, nn.Linear(inputs, model.num_branch))


@lru_cache(maxsize=1)
def _net() -> Any:
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self, model: DeepONet, count: int) -> None:
            super().__init__()
            self.branch, self.trunk = _layers(model, count), _layers(model, 1)
            self.bias = nn.Parameter(torch.randn(1))

        def forward(self, u: Tensor, points: Tensor) -> Tensor:
            products: Tensor = self.branch(u)[:, None] @ self.trunk(points[..., None]).mT
            return products[:, 0] + self.bias

    return Net
