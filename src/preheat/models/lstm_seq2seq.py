"""The sequence-to-sequence LSTM of the HyperbolicLR experiments (Kim 2024, arXiv 2407.15200): one LSTM reads
what was, another goes on from its state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from preheat.core.errors import UserError
from preheat.core.registry import MODELS
from preheat.models.base import Model, at_least_one
from preheat.models.lstm import Weights, lstm, lstm_step

if TYPE_CHECKING:
    from torch import Tensor, nn


@MODELS.register("lstm_seq2seq")
@dataclass(frozen=True)
class LstmSeq2Seq(Model):
    """An encoder and a decoder LSTM: 662,657 parameters with one quantity in and out.

    x [B, L, F] -> [B, K, D]: the encoder (F -> hidden, `depth` layers) reads x; its last (h, c) are the
    decoder's first. The decoder (D -> hidden, `depth` layers) is given zeros, then K - 1 times what the
    linear layer (hidden -> D) made of its last output; these K are the result. In training too: the true
    values are not fed. So the decoder's input has D entries, those that it predicts. In the original it has
    F, which is the same where F = D, and can't run else. Initialised as torch's. Sutskever et al. 2014, arXiv
    1409.3215.

    >>> import torch
    >>> net = LstmSeq2Seq(hidden=4, depth=1).network((7, 3, 5), 1)
    >>> net(torch.zeros(2, 7, 3)).shape
    torch.Size([2, 5, 1])
    """

    takes: ClassVar[str] = "series"
    small: ClassVar[Mapping[str, Any]] = {"hidden": 3, "depth": 2}

    hidden: int = 128
    depth: int = 3

    def __post_init__(self) -> None:
        at_least_one("lstm_seq2seq", hidden=self.hidden, depth=self.depth)

    def check(self, shape: tuple[int, ...]) -> None:
        """Series come as [L, F, K]."""
        if len(shape) != 3 or min(shape) < 1:
            raise UserError(
                "model 'lstm_seq2seq' takes series [L, F, K] (L values of F quantities, K to predict), got "
                f"{list(shape)}: choose another model"
            )

    def network(self, shape: tuple[int, ...], outputs: int) -> nn.Module:
        """shape: L, F and K; outputs: D."""
        self.check(shape)
        made: nn.Module = _class()(self, shape, outputs)
        return made


@lru_cache(maxsize=1)
def _class() -> Any:
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self, model: LstmSeq2Seq, shape: tuple[int, ...], outputs: int) -> None:
            super().__init__()
            _, given, self.ahead = shape
            self.encoder = lstm(given, model.hidden, layers=model.depth)
            self.decoder = lstm(outputs, model.hidden, layers=model.depth)
            self.head = nn.Linear(model.hidden, outputs)

        def forward(self, x: Tensor) -> Tensor:
            _, (h, c) = self.encoder(x)
            states = list(zip(h.unbind(0), c.unbind(0), strict=True))
            weights: Weights = self.decoder.weights()  # type: ignore[operator]
            last, out = x.new_zeros(len(x), self.head.out_features), []
            for _ in range(self.ahead):
                states = lstm_step(last, states, weights)
                last = self.head(states[-1][0])
                out.append(last)
            return torch.stack(out, 1)

    return Net
