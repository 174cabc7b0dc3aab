"""A model: from the shape of an input and the number of outputs to a network.

Its file registers a frozen dataclass, `@MODELS.register("resnet18")`, whose fields are the model's options.
Networks are trained alone, under `torch.func.vmap` and traced, so they draw nothing in `forward` (no
dropout), change no tensor in place and look at no value. Models must not import torch when they are imported.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from preheat.core.errors import UserError
from preheat.core.lengths import is_number

if TYPE_CHECKING:
    from torch import nn


class Model(ABC):
    """What a task asks of a model: a frozen dataclass whose fields are the model's options.

    takes: what kind of input it is for, such as "images", "tokens", "series" or "functions"; a task that
    gives another kind refuses it. small: options that make it quick to train on 8 x 8 images or a few tokens,
    values or points, for tests.
    """

    takes: ClassVar[str] = "images"
    small: ClassVar[Mapping[str, Any]] = {}

    @abstractmethod
    def network(self, shape: tuple[int, ...], outputs: int) -> nn.Module:
        """A freshly initialised network: x [B, *shape] -> [B, outputs]; of tokens x [B, L] -> [B, L,
        outputs]; of series, whose shape is (L, F, K), x [B, L, F] -> [B, K, outputs]; of functions (u [B, S],
        points [B, Q]) -> [B, Q], shape [S] and Q outputs: the values of u at S fixed sensors and the points
        at which the network says another function."""

    def check(self, shape: tuple[int, ...]) -> None:  # noqa: B027
        """Raise where an input of this shape can't be taken; by default every shape can."""


def square(model: str, shape: tuple[int, ...]) -> tuple[int, int]:
    """(channels, size) of a square image [channels, size, size].

    >>> square("resnet18", (3, 32, 32))
    (3, 32)
    """
    if len(shape) != 3 or shape[1] != shape[2]:
        raise UserError(
            f"model {model!r} takes square images [channels, size, size], got inputs of shape {list(shape)}: "
            "choose another model"
        )
    return shape[0], shape[1]


def sensors(model: str, shape: tuple[int, ...]) -> int:
    """How many values [S] tell a function.

    >>> sensors("deeponet", (100,))
    100
    """
    if len(shape) != 1:
        raise UserError(
            f"model {model!r} takes a function's values [S] at sensors, got inputs of shape {list(shape)}: "
            "choose another model"
        )
    return shape[0]


def at_least_one(model: str, **numbers: int) -> None:
    """Every number must be at least 1.

    >>> at_least_one("resnet18", width=0)
    Traceback (most recent call last):
    preheat.core.errors.UserError: width of model 'resnet18' must be at least 1, got 0
    """
    for name, value in numbers.items():
        if not is_number(value) or value < 1:
            raise UserError(f"{name} of model {model!r} must be at least 1, got {value!r}")
