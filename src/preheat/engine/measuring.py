"""Probes as the loop needs them: the steps at which each is due, its random numbers, and its measure lifted
over runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from preheat.core.lengths import Length
from preheat.core.spec import Spec, build
from preheat.engine.placement import Placement
from preheat.engine.prepare import Fleet, drawn, due
from preheat.engine.step import Tensors
from preheat.probes.base import Moment


class Measuring(NamedTuple):
    """A probe of a fleet. steps: where it is due; draw(k): {name: [R, ...]}; measure(a moment's tensors by
    field): {name: [R]}"""

    steps: frozenset[int]
    draw: Callable[[int], Tensors]
    measure: Callable[[dict[str, Any]], Tensors]


def measuring(probe: Spec, fleet: Fleet, where: Placement) -> Measuring:
    """The probe `probe` in a fleet."""
    made, function = build("probe", probe), fleet.task.plain_loss  # never under autocast

    def measure(tensors: dict[str, Any]) -> Tensors:
        found: Tensors = made.measure(Moment(**tensors, function=function))
        return found

    steps = until(due(made.every, fleet.total, fleet.per_epoch), getattr(made, "until", None), fleet)
    return Measuring(steps, _drawing(probe.name, made, fleet), where.lift(measure, (0,)))


def until(steps: list[int], limit: Length | None, fleet: Fleet) -> frozenset[int]:
    """The steps before a limit; without one, or with one beyond the run, all of them."""
    end = fleet.total if limit is None else limit.resolve(fleet.total, fleet.per_epoch)
    return frozenset(k for k in steps if k < end)


def _drawing(name: str, made: Any, fleet: Fleet) -> Callable[[int], Tensors]:
    draw = getattr(made, "draw", None)
    if draw is None:
        return lambda k: {}
    lead = fleet.rates.dim() - 1
    shapes = {n: p.shape[lead:] for n, p in fleet.start.params.items()}
    return lambda k: drawn(fleet, f"probe/{name}", k, lambda seeded: draw(seeded, shapes))


def clock(device: torch.device) -> float:
    """Seconds, when the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
