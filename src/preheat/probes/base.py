"""A probe measures a moment of training and never changes it.

Its file registers a frozen dataclass with `every` (a length) and `measure(moment) -> {name: scalar}`, a pure
function of one run's tensors, so it works alone and in a fleet. It may also have

`until: Length | None = field(default=None, metadata=LATER)`: it measures only before that step. A limit: one
that lies beyond the run's end means the whole run. `draw(generator, shapes) -> {name: tensor}`: random
numbers for `moment.drawn`; shapes are those of the parameters. The generator is keyed by the run's seed, the
probe's name and the step, so they are the same alone, in a fleet and resumed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from preheat.core.errors import UserError
from preheat.core.lengths import Length, length

if TYPE_CHECKING:
    from torch import Tensor

Tensors = dict[str, "Tensor"]
Scalar = Callable[[Tensors, Tensors, Tensors], "Tensor"]


class Moment(NamedTuple):
    """One run at update k. grads: of this batch's loss, before clipping; after: the parameters after the
    update.

    drawn: what the probe's `draw` gave, {} without one. function(params, buffers, batch): the training loss,
    which can be differentiated twice, in the parameters' dtype (never under autocast).
    """

    params: Tensors
    buffers: Tensors
    batch: Tensors
    grads: Tensors
    after: Tensors
    start: Tensors
    lr: Tensor
    loss: Tensor
    drawn: Tensors
    function: Scalar


class Probe(Protocol):
    """every: the distance between measurements; measure: what is measured, by name."""

    @property
    def every(self) -> Length:
        """The distance between two measurements."""
        ...

    def measure(self, moment: Moment) -> Tensors:
        """{name: scalar tensor}."""
        ...


def timed(probe: Any) -> None:
    """For a probe's __post_init__: its `every` and `until` as lengths above 0, or an error."""
    object.__setattr__(probe, "every", interval(probe.every))
    object.__setattr__(probe, "until", limit(probe.until))


def interval(value: object) -> Length:
    """A probe's `every` as a length above 0."""
    found = length(value)
    if not found:
        raise UserError(f"a probe's every must be above 0, got {found}: write 10 (steps), 1ep or 5%")
    return found


def limit(value: object) -> Length | None:
    """A probe's `until` as a length above 0, or None."""
    found = None if value is None else length(value)
    if found is not None and not found:
        raise UserError(
            f"a probe's until must be above 0, got {found}: write 10ep, leave it out, or leave out the probe"
        )
    return found


def norm(tensors: Tensors) -> Tensor:
    """The Euclidean norm of all entries of all tensors."""
    total = sum((t * t).sum() for t in tensors.values())
    assert not isinstance(total, int)
    return total.sqrt()
