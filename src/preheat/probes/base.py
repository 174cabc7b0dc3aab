"""A probe measures a moment of training and never changes it.

Its file registers a frozen dataclass with `every` (a length) and `measure(moment) -> {name: scalar}`, a pure function
of one run's tensors, so it works alone and in a fleet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from preheat.core.errors import UserError
from preheat.core.lengths import Length, length

if TYPE_CHECKING:
    from torch import Tensor

Tensors = dict[str, "Tensor"]


class Moment(NamedTuple):
    """One run at update k. grads: of this batch's loss, before clipping; after: the parameters after the update."""

    params: Tensors
    buffers: Tensors
    batch: Tensors
    grads: Tensors
    after: Tensors
    start: Tensors
    lr: Tensor
    loss: Tensor


class Probe(Protocol):
    """every: the distance between measurements; measure: what is measured, by name."""

    @property
    def every(self) -> Length:
        """The distance between two measurements."""
        ...

    def measure(self, moment: Moment) -> Tensors:
        """{name: scalar tensor}."""
        ...


def interval(value: object) -> Length:
    """A probe's `every` as a length above 0."""
    found = length(value)
    if not found:
        raise UserError(f"a probe's every must be above 0, got {found}: write 10 (steps), 1ep or 5%")
    return found


def norm(tensors: Tensors) -> Tensor:
    """The Euclidean norm of all entries of all tensors."""
    total = sum((t * t).sum() for t in tensors.values())
    assert not isinstance(total, int)
    return total.sqrt()
