"""A model: from the shape of an image and the number of classes to a network.

Its file registers a frozen dataclass, `@MODELS.register("resnet18")`, whose fields are the model's options.
Networks are trained alone, under `torch.func.vmap` and traced, so they draw nothing in `forward` (no
dropout), change no tensor in place and look at no value. Models must not import torch when they are imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from preheat.core.errors import UserError
from preheat.core.lengths import is_number

if TYPE_CHECKING:
    from torch import nn


class Model(Protocol):
    """What a task asks of a model. A model that does not take every image size also has `check(size)`, which
    raises."""

    def network(self, channels: int, size: int, classes: int) -> nn.Module:
        """A freshly initialised network: x [B, channels, size, size] -> logits [B, C]."""
        ...


def at_least_one(model: str, **numbers: int) -> None:
    """Every number must be at least 1.

    >>> at_least_one("resnet18", width=0)
    Traceback (most recent call last):
    preheat.core.errors.UserError: width of model 'resnet18' must be at least 1, got 0
    """
    for name, value in numbers.items():
        if not is_number(value) or value < 1:
            raise UserError(f"{name} of model {model!r} must be at least 1, got {value!r}")
