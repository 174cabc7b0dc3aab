"""TFONet (TraONet in the paper): the operator transformer of the experiments on HyperbolicLR (Kim 2024, arXiv
2407.15200)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from preheat.core.errors import UserError
from preheat.core.registry import MODELS
from preheat.models.attention import attention
from preheat.models.base import Model, at_least_one, sensors
from preheat.models.parts import sinusoids

if TYPE_CHECKING:
    from torch import Tensor, nn


@MODELS.register("tfonet")
@dataclass(frozen=True)
class TFONet(Model):
    """An operator transformer, sensors encoded and points decoded: 1,389,185 parameters.

    Sensor values and points are tokens, each sqrt(d_model) times a linear layer of one number, plus
    sinusoidal positions by their place in the list. `num_layers` encoder layers over the sensors and as many
    decoder layers over the points, of self-attention and attention to the encoded sensors, without masks,
    with `nhead` heads, `dim_feedforward` units (ReLU), LayerNorm after each sum, no dropout; a linear layer
    to one number. Layers have torch's initialisation and names, and each is drawn anew: torch's stacks start
    from one draw. The original holds 462,848 parameters more that nothing uses. d_model must be even, and a
    multiple of nhead. Vaswani et al. 2017, arXiv 1706.03762.

    >>> import torch
    >>> net = TFONet(d_model=8, dim_feedforward=16, num_layers=1).network((5,), 4)
    >>> net(torch.zeros(2, 5), torch.zeros(2, 4)).shape
    torch.Size([2, 4])
    """

    takes: ClassVar[str] = "functions"
    small: ClassVar[Mapping[str, Any]] = {"d_model": 8, "dim_feedforward": 16, "num_layers": 2}

    d_model: int = 128
    nhead: int = 2
    dim_feedforward: int = 512
    num_layers: int = 3

    def __post_init__(self) -> None:
        at_least_one("tfonet", d_model=self.d_model, nhead=self.nhead)
        at_least_one("tfonet", dim_feedforward=self.dim_feedforward, num_layers=self.num_layers)
        if self.d_model % self.nhead:
            fits = ", ".join(str(h) for h in range(1, min(self.d_model, 32) + 1) if self.d_model % h == 0)
            raise UserError(
                f"nhead of model 'tfonet' must divide d_model, got nhead={self.nhead} and "
                f"d_model={self.d_model}: write one of {fits}"
            )
        if self.d_model % 2:
            raise UserError(
                f"d_model of model 'tfonet' must be even (each position is sines and cosines), got "
                f"{self.d_model}"
            )

    def check(self, shape: tuple[int, ...]) -> None:
        sensors("tfonet", shape)

    def network(self, shape: tuple[int, ...], outputs: int) -> nn.Module:
        """outputs: the number of points."""
        made: nn.Module = _net()(self, sensors("tfonet", shape), outputs)
        return made


@lru_cache(maxsize=1)
def _attention() -> Any:
    import torch
    from torch import nn
    from torch.nn.functional import linear

    class Attention(nn.Module):
        """x [B, L, dim] attends to y [B, S, dim], None: to itself; parameters as in torch's
        MultiheadAttention."""

        def __init__(self, dim: int, heads: int) -> None:
            super().__init__()
            self.dim, self.heads = dim, heads
            self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
            self.in_proj_bias = nn.Parameter(torch.zeros(3 * dim))
            self.out_proj = nn.Linear(dim, dim)
            nn.init.xavier_uniform_(self.in_proj_weight)
            nn.init.zeros_(self.out_proj.bias)

        def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
            if y is None:
                given = linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, -1)
            else:
                sizes = [self.dim, 2 * self.dim]
                (w_x, w_y), (b_x, b_y) = (
                    torch.split(t, sizes) for t in (self.in_proj_weight, self.in_proj_bias)
                )
                given = linear(x, w_x, b_x), *linear(y, w_y, b_y).chunk(2, -1)
            q, k, v = (t.reshape(*t.shape[:2], self.heads, -1).transpose(1, 2) for t in given)
            out: Tensor = self.out_proj(attention(q, k, v).transpose(1, 2).flatten(2))
            return out

    return Attention


@lru_cache(maxsize=1)
def _layer() -> Any:
    from torch import nn
    from torch.nn.functional import relu

    class Layer(nn.Module):
        """A layer of the encoder, or (decodes) of the decoder; parameters as in torch's."""

        def __init__(self, model: TFONet, *, decodes: bool) -> None:
            super().__init__()
            dim, inside = model.d_model, model.dim_feedforward
            self.self_attn = _attention()(dim, model.nhead)
            self.linear1, self.linear2 = nn.Linear(dim, inside), nn.Linear(inside, dim)
            self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
            self.decodes = decodes
            if decodes:
                self.multihead_attn, self.norm3 = _attention()(dim, model.nhead), nn.LayerNorm(dim)

        def forward(self, x: Tensor, memory: Tensor | None = None) -> Tensor:
            x, last = self.norm1(x + self.self_attn(x)), self.norm2
            if self.decodes:
                x, last = self.norm2(x + self.multihead_attn(x, memory)), self.norm3
            out: Tensor = last(x + self.linear2(relu(self.linear1(x))))
            return out

    return Layer


@lru_cache(maxsize=1)
def _embedding() -> Any:
    from torch import nn

    class Embedding(nn.Module):
        """[B, L] -> [B, L, dim]."""

        positions: Tensor

        def __init__(self, length: int, dim: int) -> None:
            super().__init__()
            self.linear, self.scale = nn.Linear(1, dim), dim**0.5
            self.register_buffer("positions", sinusoids(length, dim))

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.linear(x[..., None]) * self.scale + self.positions
            return out

    return Embedding


@lru_cache(maxsize=1)
def _net() -> Any:
    from torch import nn

    class Net(nn.Module):
        def __init__(self, model: TFONet, count: int, points: int) -> None:
            super().__init__()
            several = range(model.num_layers)
            self.branch = _embedding()(count, model.d_model)
            self.trunk = _embedding()(points, model.d_model)
            self.encoder = nn.Sequential(*[_layer()(model, decodes=False) for _ in several])
            self.decoder = nn.ModuleList([_layer()(model, decodes=True) for _ in several])
            self.head = nn.Linear(model.d_model, 1)

        def forward(self, u: Tensor, points: Tensor) -> Tensor:
            memory, x = self.encoder(self.branch(u)), self.trunk(points)
            for layer in self.decoder:
                x = layer(x, memory)
            out: Tensor = self.head(x)[..., 0]
            return out

    return Net
