"""A probe measures a moment of training and never changes it.

Its file registers a frozen dataclass, a `Probe`, with `measure(moment, memory)`: a pure function of one
run's tensors, so it works alone and in a fleet. `draw` gives it random numbers, keyed by the run's seed, the
probe's name and the step, so they are the same alone, in a fleet and resumed. What it needs to know of
earlier moments is its memory, which is kept in checkpoints.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from preheat.core.errors import UserError
from preheat.core.lengths import Length, length, steps
from preheat.core.registry import PROBES
from preheat.core.spec import LATER

if TYPE_CHECKING:
    from torch import Generator, Size, Tensor

Tensors = dict[str, "Tensor"]
Scalar = Callable[[Tensors, Tensors, Tensors], "Tensor"]


def _same(tensors: Any) -> Any:
    return tensors


def _none(params: Tensors, buffers: Tensors, batch: Tensors) -> Tensors:
    return {}


class Moment(NamedTuple):
    """One run at update k. grads: of this batch's loss, before clipping; after: the parameters after the
    update (before it, where a rate rule looks, which decides on the update); opt, opt_after: the optimizer's
    state before and after the update ({} for a rate rule); hyper: its numbers, `lr` among them.

    drawn: what the probe's `draw` gave, {} without one. function(params, buffers, batch): the training loss,
    which can be differentiated twice, in the parameters' dtype (never under autocast): this process's part
    of it. joined: what makes the whole of such parts, where several processes share a batch. outputs(the
    same): what the network gives in training mode, {name: tensor}; {} where the task has no network.
    at(lr): the parameters after this update at another rate; None in a rate rule's moment. preconditioner,
    threshold: of the run's optimizer (preheat.optim.base.Optimizer), None where it has none.
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
    opt: dict[str, Any] = {}  # noqa: RUF012
    hyper: Mapping[str, Tensor] = {}
    joined: Callable[[Any], Any] = _same
    outputs: Callable[[Tensors, Tensors, Tensors], Tensors] = _none
    opt_after: dict[str, Any] = {}  # noqa: RUF012
    preconditioner: Callable[[dict[str, Any], Mapping[str, Tensor]], Tensors] | None = None
    threshold: Callable[[Mapping[str, Tensor]], tuple[Tensor, Tensor]] | None = None
    at: Callable[[Tensor], Tensors] | None = None


@dataclass(frozen=True)
class Probe(ABC):
    """every: the distance between measurements, or "10/decade": 10 while the steps grow tenfold; until: it
    measures only before that step, and a limit beyond the run's end means the whole run. ratios: {a series:
    (numerator, denominator)}, two other series; their means over runs and steps are divided, as a mean of
    ratios whose denominator may be near 0 says nothing.

    >>> @dataclass(frozen=True)
    ... class LossDrop(Probe):
    ...     def start(self, moment):
    ...         return {"first": moment.loss}
    ...     def measure(self, moment, memory):
    ...         return {"loss_drop": memory["first"] - moment.loss}, memory
    >>> LossDrop(every="1ep").every
    Length(value=1.0, unit='epochs')
    """

    ratios: ClassVar[Mapping[str, tuple[str, str]]] = {}

    every: Length = steps(10)
    until: Length | None = field(default=None, metadata=LATER)

    def __post_init__(self) -> None:
        object.__setattr__(self, "every", interval(self.every))
        object.__setattr__(self, "until", limit(self.until))

    def start(self, moment: Moment) -> Tensors:
        """The memory before the first measurement, {name: tensor}; {} where nothing is kept. The names and
        shapes stay the same all along."""
        return {}

    def draw(self, generator: Generator, shapes: Mapping[str, Size]) -> Tensors:
        """{name: tensor}: random numbers for `moment.drawn`; shapes are those of the parameters."""
        return {}

    @abstractmethod
    def measure(self, moment: Moment, memory: Tensors) -> tuple[Tensors, Tensors]:
        """({name: scalar}, the memory for the next measurement)."""


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


def at_least(least: int, value: int, name: str, probe: str, *, why: str = "") -> None:
    """Errors: UserError where the option `name` of a registered probe is below `least`."""
    if value < least:
        reason = f" ({why})" if why else ""
        default = getattr(PROBES[probe], name) if probe in PROBES.names() else least
        raise UserError(
            f"{name} of probe {probe!r} must be at least {least}{reason}, got {value}: write {default}"
        )


def norm(tensors: Tensors) -> Tensor:
    """The Euclidean norm of all entries of all tensors."""
    total = sum((t * t).sum() for t in tensors.values())
    assert not isinstance(total, int)
    return total.sqrt()
