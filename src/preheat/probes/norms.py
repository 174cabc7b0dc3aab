"""Norms of the gradient, of the update and of the way from the start."""

from __future__ import annotations

from dataclasses import dataclass, field

from preheat.core.registry import PROBES
from preheat.core.spec import LATER
from preheat.probes.base import Moment, Probe, Tensors, norm


@PROBES.register("grad_norm")
@dataclass(frozen=True)
class GradNorm(Probe):
    """The gradient's Euclidean norm, of all parameters and (layers=true) of each tensor, before clipping."""

    layers: bool = False

    def measure(self, moment: Moment, memory: Tensors) -> tuple[Tensors, Tensors]:
        """grad_norm, and grad_norm.<parameter> for each."""
        each = {f"grad_norm.{n}": norm({n: g}) for n, g in moment.grads.items()} if self.layers else {}
        return {"grad_norm": norm(moment.grads), **each}, memory


@PROBES.register("update_norm")
@dataclass(frozen=True)
class UpdateNorm(Probe):
    """The Euclidean norm of one update, absolute and relative to the parameters' norm.

    layers: relative to its own norm for each tensor too; infinite for a tensor that was zero.
    """

    layers: bool = field(default=False, metadata=LATER)

    def measure(self, moment: Moment, memory: Tensors) -> tuple[Tensors, Tensors]:
        """update_norm: ||p' - p||; update_ratio: ||p' - p|| / ||p||, and update_ratio.<parameter> for
        each."""
        moved = {n: moment.after[n] - p for n, p in moment.params.items()}
        size = norm(moved)
        found = {"update_norm": size, "update_ratio": size / norm(moment.params)}
        if self.layers:
            found |= {
                f"update_ratio.{n}": norm({n: d}) / norm({n: moment.params[n]}) for n, d in moved.items()
            }
        return found, memory


@PROBES.register("distance")
@dataclass(frozen=True)
class Distance(Probe):
    """The Euclidean distance of the parameters from their initialisation."""

    def measure(self, moment: Moment, memory: Tensors) -> tuple[Tensors, Tensors]:
        """distance: ||p - p_0||, before the update."""
        return {"distance": norm({n: p - moment.start[n] for n, p in moment.params.items()})}, memory


@PROBES.register("learning_rate")
@dataclass(frozen=True)
class LearningRate(Probe):
    """The learning rate that the update used."""

    def measure(self, moment: Moment, memory: Tensors) -> tuple[Tensors, Tensors]:
        """learning_rate."""
        return {"learning_rate": moment.lr}, memory
