"""Norms of the gradient, of the update and of the way from the start."""

from __future__ import annotations

from dataclasses import dataclass, field

from preheat.core.lengths import Length, steps
from preheat.core.registry import PROBES
from preheat.core.spec import LATER
from preheat.probes.base import Moment, Tensors, norm, timed


@PROBES.register("grad_norm")
@dataclass(frozen=True)
class GradNorm:
    """The gradient's Euclidean norm, of all parameters and (layers=true) of each tensor, before clipping."""

    every: Length = steps(10)
    layers: bool = False
    until: Length | None = field(default=None, metadata=LATER)

    def __post_init__(self) -> None:
        timed(self)

    def measure(self, moment: Moment) -> Tensors:
        """grad_norm, and grad_norm.<parameter> for each."""
        each = {f"grad_norm.{n}": norm({n: g}) for n, g in moment.grads.items()} if self.layers else {}
        return {"grad_norm": norm(moment.grads), **each}


@PROBES.register("update_norm")
@dataclass(frozen=True)
class UpdateNorm:
    """The Euclidean norm of one update, absolute and relative to the parameters' norm."""

    every: Length = steps(10)
    until: Length | None = field(default=None, metadata=LATER)

    def __post_init__(self) -> None:
        timed(self)

    def measure(self, moment: Moment) -> Tensors:
        """update_norm: ||p' - p||; update_ratio: ||p' - p|| / ||p||."""
        size = norm({n: moment.after[n] - p for n, p in moment.params.items()})
        return {"update_norm": size, "update_ratio": size / norm(moment.params)}


@PROBES.register("distance")
@dataclass(frozen=True)
class Distance:
    """The Euclidean distance of the parameters from their initialisation."""

    every: Length = steps(10)
    until: Length | None = field(default=None, metadata=LATER)

    def __post_init__(self) -> None:
        timed(self)

    def measure(self, moment: Moment) -> Tensors:
        """distance: ||p - p_0||, before the update."""
        return {"distance": norm({n: p - moment.start[n] for n, p in moment.params.items()})}


@PROBES.register("learning_rate")
@dataclass(frozen=True)
class LearningRate:
    """The learning rate that the update used."""

    every: Length = steps(10)
    until: Length | None = field(default=None, metadata=LATER)

    def __post_init__(self) -> None:
        timed(self)

    def measure(self, moment: Moment) -> Tensors:
        """learning_rate."""
        return {"learning_rate": moment.lr}
