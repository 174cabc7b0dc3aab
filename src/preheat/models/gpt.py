"""GPT: the small language model of Kalra and Barkeshli 2024 (arXiv 2406.09405), after GPT-2.

Published are: blocks, width and context (4, 128, 64), GELU, sinusoidal positions, the places of LayerNorm and
"standard parameterisation". Not published are the heads, the variances, and whether the last layer shares the
embedding's weights: here 4 heads, variance 1 / fan_in for every linear layer, 1 for the embedding, biases 0,
and a last layer of its own, since only so do a vocabulary of 4,096 tokens and these sizes come near the
published 2 million parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from preheat.core.errors import UserError, unknown
from preheat.core.registry import MODELS
from preheat.models.attention import attention
from preheat.models.base import Model, at_least_one
from preheat.models.parts import sinusoids, truncated_normal

if TYPE_CHECKING:
    from torch import Tensor, nn

NORMS = ("pre", "post")


@MODELS.register("gpt")
@dataclass(frozen=True)
class Gpt(Model):
    """A causal transformer over tokens: 859,136 parameters with 256 tokens.

    tokens [B, L] -> logits [B, L, vocabulary]; place i sees tokens 0 to i. Sinusoidal positions, `depth`
    blocks of `heads` heads and a feed-forward part of 4 x `width` units (GELU), a linear layer; no dropout.
    norm: "pre", x + f(LayerNorm(x)), or "post", LayerNorm(x + f(x)). final_norm: whether a LayerNorm stands
    before the last linear layer; with "post" that is the last block's own. width must be even, and a multiple
    of heads. Radford et al. 2019; Vaswani et al. 2017, arXiv 1706.03762.

    >>> import torch
    >>> net = Gpt(depth=1, width=8, heads=2).network((5,), 11)
    >>> net(torch.zeros(3, 5, dtype=torch.int64)).shape
    torch.Size([3, 5, 11])
    """

    takes: ClassVar[str] = "tokens"
    small: ClassVar[Mapping[str, Any]] = {"depth": 2, "width": 8, "heads": 2}

    depth: int = 4
    width: int = 128
    heads: int = 4
    norm: str = "pre"
    final_norm: bool = True

    def __post_init__(self) -> None:
        at_least_one("gpt", depth=self.depth, width=self.width, heads=self.heads)
        if self.norm not in NORMS:
            raise unknown("norm of model 'gpt'", self.norm, NORMS)
        if self.width % self.heads:
            fits = ", ".join(str(h) for h in range(1, min(self.width, 32) + 1) if self.width % h == 0)
            raise UserError(
                f"heads of model 'gpt' must divide width, got heads={self.heads} and width={self.width}: "
                f"write one of {fits}"
            )
        if self.width % 2:
            raise UserError(
                f"width of model 'gpt' must be even (each position is sines and cosines), got {self.width}"
            )

    def check(self, shape: tuple[int, ...]) -> None:
        """Tokens come as [L]."""
        if len(shape) != 1:
            raise UserError(
                f"model 'gpt' takes tokens [L], got inputs of shape {list(shape)}: choose another model"
            )

    def network(self, shape: tuple[int, ...], outputs: int) -> nn.Module:
        """outputs: how many tokens there are to read and to predict."""
        self.check(shape)
        made: nn.Module = _gpt()(self, shape[0], outputs)
        return made


@lru_cache(maxsize=1)
def _block() -> Any:
    from torch import nn
    from torch.nn.functional import gelu

    class Block(nn.Module):
        """x: [B, L, width]. last: the second LayerNorm of "post" is left to the network."""

        def __init__(self, model: Gpt, last: bool) -> None:
            super().__init__()
            width = model.width
            self.heads, self.first = model.heads, model.norm == "pre"
            self.norm1 = nn.LayerNorm(width)
            self.norm2 = nn.Identity() if last and not self.first else nn.LayerNorm(width)
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def mixed(self, x: Tensor) -> Tensor:
            q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
            out: Tensor = self.out(attention(q, k, v, causal=True).transpose(1, 2).flatten(2))
            return out

        def forward(self, x: Tensor) -> Tensor:
            if self.first:
                x = x + self.mixed(self.norm1(x))
                out: Tensor = x + self.fc2(gelu(self.fc1(self.norm2(x))))
                return out
            x = self.norm1(x + self.mixed(x))
            out = self.norm2(x + self.fc2(gelu(self.fc1(x))))
            return out

    return Block


@lru_cache(maxsize=1)
def _gpt() -> Any:
    from torch import nn

    class Net(nn.Module):
        positions: Tensor

        def __init__(self, model: Gpt, length: int, vocabulary: int) -> None:
            super().__init__()
            width, depth = model.width, model.depth
            self.embed = nn.Embedding(vocabulary, width)
            self.register_buffer("positions", sinusoids(length, width))
            self.blocks = nn.Sequential(*[_block()(model, i == depth - 1) for i in range(depth)])
            self.norm = nn.LayerNorm(width) if model.final_norm else nn.Identity()
            self.head = nn.Linear(width, vocabulary)
            for layer in self.modules():
                if isinstance(layer, nn.Linear):
                    truncated_normal(layer.weight, 1 / layer.in_features)
                    nn.init.zeros_(layer.bias)
            truncated_normal(self.embed.weight, 1.0)

        def forward(self, tokens: Tensor) -> Tensor:
            x = self.embed(tokens.long()) + self.positions
            logits: Tensor = self.head(self.norm(self.blocks(x)))
            return logits

    return Net
