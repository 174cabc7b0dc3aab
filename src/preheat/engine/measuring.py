"""Probes as the loop needs them: the steps at which each is due, its random numbers, and its measure lifted
over runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from preheat.core.lengths import Length, due
from preheat.core.spec import Spec, build
from preheat.engine.batches import drawn
from preheat.engine.placement import Placement
from preheat.engine.prepare import Fleet
from preheat.engine.step import Tensors, updated
from preheat.optim.base import functions
from preheat.probes.base import Moment, Probe
from preheat.tasks.base import losses


class Measuring(NamedTuple):
    """A probe of a fleet. steps: where it is due; draw(k): {name: [R, ...]}; start(a moment's tensors by
    field): its memory; measure(the same, memory): ({name: [R]}, memory)."""

    steps: frozenset[int]
    draw: Callable[[int], Tensors]
    start: Callable[[dict[str, Any]], Tensors]
    measure: Callable[[dict[str, Any], Tensors], tuple[Tensors, Tensors]]


def measuring(probe: Spec, fleet: Fleet, where: Placement) -> Measuring:
    """The probe `probe` in a fleet."""
    made: Probe = build("probe", probe)
    _, function = losses(fleet.task, where.sum)  # never under autocast
    optimizer = functions(fleet.runs[0].optimizer)
    fixed: dict[str, Any] = {
        "function": function,
        "joined": where.joined(mean=fleet.task.mean_loss),
        "outputs": fleet.task.outputs,
        "preconditioner": optimizer.preconditioner,
        "threshold": optimizer.threshold,
    }

    def moment(tensors: dict[str, Any]) -> Moment:
        found = Moment(**tensors, **fixed)
        return found._replace(at=updated(optimizer, fleet.runs[0].clip_norm is not None, found))

    def start(tensors: dict[str, Any]) -> Tensors:
        return made.start(moment(tensors))

    def measure(tensors: dict[str, Any], memory: Tensors) -> tuple[Tensors, Tensors]:
        return made.measure(moment(tensors), memory)

    steps = until(due(made.every, fleet.total, fleet.per_epoch), made.until, fleet)
    return Measuring(
        steps, _drawing(probe.name, made, fleet), where.lift(start, (0,)), where.lift(measure, (0, 0))
    )


def until(steps: list[int], limit: Length | None, fleet: Fleet) -> frozenset[int]:
    """The steps before a limit; without one, or with one beyond the run, all of them."""
    end = fleet.total if limit is None else limit.resolve(fleet.total, fleet.per_epoch)
    return frozenset(k for k in steps if k < end)


def _drawing(name: str, made: Probe, fleet: Fleet) -> Callable[[int], Tensors]:
    lead = fleet.rates.dim() - 1
    shapes = {n: p.shape[lead:] for n, p in fleet.start.params.items()}
    return lambda k: drawn(fleet, f"probe/{name}", k, lambda seeded: made.draw(seeded, shapes))


def clock(device: torch.device) -> float:
    """Seconds, when the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
