"""Norms of the gradient, of the update and of the way from the start."""

from __future__ import annotations

from dataclasses import dataclass

from preheat.core.registry import PROBES
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
    """The Euclidean norm of one update, absolute and relative to the parameters' norm."""

    def measure(self, moment: Moment, memory: Tensors) -> tuple[Tensors, Tensors]:
        """update_norm: ||p' - p||; update_ratio: ||p' - p|| / ||p||."""
        size = norm({n: moment.after[n] - p for n, p in moment.params.items()})
        return {"update_norm": size, "update_ratio": size / norm(moment.params)}, memory


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
