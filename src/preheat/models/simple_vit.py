"""SimpleViT: the small vision transformer of the experiments on HyperbolicLR (Kim 2024, arXiv 2407.15200)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from preheat.core.errors import UserError
from preheat.core.registry import MODELS
from preheat.models.attention import attention
from preheat.models.base import Model, at_least_one, square

if TYPE_CHECKING:
    from torch import Tensor, nn


@MODELS.register("simplevit")
@dataclass(frozen=True)
class SimpleViT(Model):
    """A pre-norm vision transformer: 2,693,578 parameters at 32 x 32 with 10 classes.

    Patches of `patch` x `patch` pixels, a class token, learnt positions, `depth` layers of `heads` heads and
    a feed-forward part of 4 x `dim` units (GELU), LayerNorm and a linear layer on the class token; no
    dropout. Initialisation: Xavier uniform for queries, keys and values, truncated normal (0.02) for token
    and positions, else torch's defaults. Every layer is drawn anew: torch's TransformerEncoder, which
    those use, starts all its layers from one draw. patch must divide the image's size, heads must divide dim.
    """

    small: ClassVar[Mapping[str, Any]] = {"patch": 2, "dim": 8, "depth": 2, "heads": 2}

    patch: int = 4
    dim: int = 192
    depth: int = 6
    heads: int = 3

    def __post_init__(self) -> None:
        at_least_one("simplevit", patch=self.patch, dim=self.dim, depth=self.depth, heads=self.heads)
        if self.dim % self.heads:
            raise UserError(
                f"heads of model 'simplevit' must divide dim, got heads={self.heads} and dim={self.dim}"
            )

    def check(self, shape: tuple[int, ...]) -> None:
        """The patch must divide the size."""
        _, size = square("simplevit", shape)
        if size % self.patch:
            fits = ", ".join(str(p) for p in range(1, size + 1) if size % p == 0)
            raise UserError(
                f"patch of model 'simplevit' must divide the image size {size}, got {self.patch}: write one "
                f"of {fits}"
            )

    def network(self, shape: tuple[int, ...], outputs: int) -> nn.Module:
        self.check(shape)
        channels, size = square("simplevit", shape)
        made: nn.Module = _vit()(self, channels, (size // self.patch) ** 2, outputs)
        return made


@lru_cache(maxsize=1)
def _layer() -> Any:
    from torch import nn
    from torch.nn.functional import gelu

    class Layer(nn.Module):
        """x + attention(norm(x)), then x + feed_forward(norm(x)); x: [B, tokens, dim]."""

        def __init__(self, dim: int, heads: int) -> None:
            super().__init__()
            self.heads = heads
            self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
            self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
            self.fc1, self.fc2 = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)
            nn.init.xavier_uniform_(self.qkv.weight)
            nn.init.zeros_(self.qkv.bias)
            nn.init.zeros_(self.out.bias)

        def forward(self, x: Tensor) -> Tensor:
            q, k, v = (
                self.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
            )
            mixed = attention(q, k, v)
            x = x + self.out(mixed.transpose(1, 2).flatten(2))
            out: Tensor = x + self.fc2(gelu(self.fc1(self.norm2(x))))
            return out

    return Layer


@lru_cache(maxsize=1)
def _vit() -> Any:
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self, model: SimpleViT, channels: int, patches: int, classes: int) -> None:
            super().__init__()
            self.embed = nn.Conv2d(channels, model.dim, model.patch, model.patch)
            self.token = nn.Parameter(torch.empty(1, 1, model.dim))
            self.position = nn.Parameter(torch.empty(1, patches + 1, model.dim))
            self.layers = nn.Sequential(*[_layer()(model.dim, model.heads) for _ in range(model.depth)])
            self.norm, self.head = nn.LayerNorm(model.dim), nn.Linear(model.dim, classes)
            nn.init.trunc_normal_(self.token, std=0.02)
            nn.init.trunc_normal_(self.position, std=0.02)

        def forward(self, x: Tensor) -> Tensor:
            patches = self.embed(x).flatten(2).transpose(1, 2)
            tokens = torch.cat([self.token.expand(len(x), -1, -1), patches], 1) + self.position
            logits: Tensor = self.head(self.norm(self.layers(tokens)[:, 0]))
            return logits

    return Net
