"""`NextToken`: predict each token of a text from those before it."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from preheat.core.errors import UserError
from preheat.core.metrics import Metric, register_metric
from preheat.core.spec import build
from preheat.tasks.base import Data, Networked, Tensors, chosen
from preheat.tasks.corpora import BYTES, MOST_TOKENS, Parts, Tokens, byte_pairs, sha256, tokens

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

register_metric(Metric("bits_per_byte", "min"))


@dataclass(frozen=True)
class NextToken(Networked):
    """What the tasks on texts share; their options and their errors.

    context: how many tokens the network sees; a text is cut into windows of one more, which do not overlap,
    and what is left over at its end is dropped. A window is an example. vocabulary: 256 for bytes, or 257 to
    32,768 for a byte-pair encoding of at most so many tokens, trained on the training part (`pip install
    preheat[text]`). model: a registered model that takes tokens, by name or with options.

    Metrics: loss (mean cross entropy of a token, in nats; its exponential is the perplexity), accuracy (share
    of the tokens that are given the highest logit), for bytes bits_per_byte (loss / ln 2).
    """

    name: ClassVar[str]

    context: int = 64
    vocabulary: int = BYTES
    model: Any = "gpt"

    def __post_init__(self) -> None:
        if self.context < 1:
            raise UserError(f"context of task {self.name!r} must be at least 1, got {self.context}")
        if not BYTES <= self.vocabulary <= MOST_TOKENS:
            raise UserError(
                f"vocabulary of task {self.name!r} must be {BYTES} (bytes) or up to {MOST_TOKENS} (a "
                f"byte-pair encoding), got {self.vocabulary}"
            )
        model = chosen(self.model, (self.context,), default="gpt", takes="tokens")
        object.__setattr__(self, "model", model)

    @abstractmethod
    def text(self) -> Parts:
        """The text for training, validation and test. Errors: UserError where it can't be had."""

    @abstractmethod
    def told(self) -> str:
        """What the text is, with its checksum."""

    def tokens(self) -> Tokens:
        """The tokens of each part, each [N]."""
        return tokens(self.text(), self.vocabulary)

    def lengths(self) -> tuple[int, ...]:
        """How many tokens each part has."""
        return tuple(len(part) for part in self.tokens())

    def windows(self) -> tuple[int, ...]:
        """How many windows each part has. Errors: UserError where one has none."""
        lengths, each = self.lengths(), self.context + 1
        for part, length in zip(("training", "validation", "test"), lengths, strict=True):
            if length < each:
                raise UserError(
                    f"the {part} part of task {self.name!r} must hold a window of context + 1 = {each} "
                    f"tokens, it has {length}: take a longer text, or write a smaller context"
                )
        return tuple(length // each for length in lengths)

    @property
    def examples(self) -> int:
        """Training windows."""
        return self.windows()[0]

    @property
    def evaluated(self) -> tuple[int, int]:
        _, validation, test = self.windows()
        return validation, test

    def ready(self, *, fetch: bool = True) -> None:
        """The text is there, and long enough."""
        self.windows()

    def origin(self) -> dict[str, str]:
        """The text's checksum, and that of the byte-pair encoding where there is one."""
        if self.vocabulary == BYTES:
            return {"data": self.told()}
        made = byte_pairs(self.text()[0], self.vocabulary).to_str()
        return {"data": self.told(), "tokens": f"byte pairs sha256 {sha256(made.encode())}"}

    @property
    def at_hand(self) -> bool:
        return True

    def data(self) -> Data:
        """x and y: [N, context], a window's tokens and each one's successor."""
        self.windows()
        return Data(*(_windows(part, self.context) for part in self.tokens()))

    def network(self) -> nn.Module:
        made: nn.Module = build("model", self.model).network((self.context,), self.vocabulary)
        return made

    def loss(self, params: Tensors, buffers: Tensors, batch: Tensors) -> tuple[Tensor, Tensors]:
        """Mean cross entropy of the batch's tokens in training mode."""
        from torch.nn.functional import cross_entropy

        logits, fresh = self.called(params, buffers, batch, training=True)
        return cross_entropy(logits.flatten(0, 1), batch["y"].flatten().long()), fresh

    def statistics(self, params: Tensors, buffers: Tensors, batch: Tensors) -> Tensors:
        """Sums over the tokens: of the cross entropy, of those that are right, and of all."""
        from torch.nn.functional import cross_entropy

        logits, _ = self.called(params, buffers, batch, training=False)
        y = batch["y"].long()
        if logits.shape != (*y.shape, self.vocabulary):
            raise ValueError(
                f"a network's output must be [B, L, vocabulary], {[*y.shape, self.vocabulary]}, got "
                f"{list(logits.shape)}"
            )
        loss = cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="sum")
        right = (logits.argmax(-1) == y).to(logits.dtype)
        return {"loss": loss, "right": right.sum(), "tokens": logits.new_tensor(y.numel())}

    def metrics(self, sums: Tensors) -> Tensors:
        """loss, accuracy, and for bytes bits_per_byte."""
        loss, accuracy = (sums[name] / sums["tokens"] for name in ("loss", "right"))
        found = {"loss": loss, "accuracy": accuracy}
        return {**found, "bits_per_byte": loss / math.log(2)} if self.vocabulary == BYTES else found

    def chance(self) -> dict[str, float]:
        """Of equal chances for all tokens."""
        return {"loss": math.log(self.vocabulary), "accuracy": 1.0 / self.vocabulary}


def _windows(part: np.ndarray, context: int) -> Tensors:
    """x and y of one part; copies, since a loader's rows must not share memory with the text."""
    import torch

    each = context + 1
    whole = torch.from_numpy(part[: len(part) // each * each].copy()).reshape(-1, each)
    return {"x": whole[:, :-1].contiguous(), "y": whole[:, 1:].contiguous()}
