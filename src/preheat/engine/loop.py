"""The training loop: for each batch the probes that are due, the step, the trace.

It is a generator. The caller takes as many steps as it likes, looks at what it gets, saves it, or stops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from preheat.core.lengths import Length
from preheat.core.run import Run
from preheat.core.spec import Spec, build
from preheat.engine.placement import Placement
from preheat.engine.prepare import Fleet, due, noise, order, prepare
from preheat.engine.step import State, Step, Tensors, gradients, looked_at, make_step
from preheat.probes.base import Moment
from preheat.tasks.base import Task

CHUNK, EVALUATED = 2048, 16384  # examples evaluated at once: of one run, and of all runs of a fleet
LOOK = 64  # steps between looks whether any run is alive
Points = list[tuple[int, Tensors]]


class Progress(NamedTuple):
    """Training before update `step`: the state, who is alive [R], the losses so far [R, T], what was measured."""

    step: int
    state: State
    alive: Tensor
    losses: Tensor
    measured: Points


class Functions(NamedTuple):
    """step, the step for an epoch's smaller last batch, gradients, and metrics; lifted over runs."""

    step: Step
    rest: Step
    grads: Callable[..., Any]
    metrics: Callable[..., Tensors]


class Setup(NamedTuple):
    """A fleet, its functions, and the steps before which it is evaluated and each probe measures."""

    fleet: Fleet
    do: Functions
    evaluations: frozenset[int]
    probes: list[tuple[frozenset[int], Callable[[Moment], Tensors]]]


def set_up(runs: Sequence[Run], where: Placement) -> Setup:
    """Prepare runs of one stack key for training at a placement."""
    fleet, first = prepare(runs, where), runs[0]

    def when(every: Length) -> frozenset[int]:
        return frozenset(due(every, fleet.total, fleet.per_epoch))

    probes = [build("probe", p) for p in first.probes]
    shape = Spec(first.optimizer.name, {k: v for k, v in first.optimizer.options.items() if not isinstance(v, float)})
    return Setup(
        fleet,
        _functions(first.task, shape, first.clip_norm is not None, where),
        when(first.evaluate),
        [(when(p.every), where.lift(p.measure, (0,))) for p in probes],
    )


@lru_cache(maxsize=32)
def _functions(task: Spec, optimizer: Spec, clip: bool, where: Placement) -> Functions:
    """The functions of one kind of run; kept, so that a graph is traced once a process and not once a fleet."""
    made: Task = build("task", task)
    step = make_step(made.loss, build("optimizer", optimizer).build(), where, clip=clip)
    metrics = where.rarely(where.lift(made.metrics, (0, 0, None)))
    full, rest = where.realise(step), where.rarely(step)
    if where.looks:
        full, rest = looked_at(full), looked_at(rest)
    return Functions(full, rest, gradients(made.loss, where), metrics)


def begin(setup: Setup) -> Progress:
    """The progress before the first update."""
    rates = setup.fleet.rates
    lead = rates.shape[:-1]
    alive = torch.ones(lead, dtype=torch.bool, device=rates.device)
    return Progress(0, setup.fleet.start, alive, rates.new_full((*lead, setup.fleet.total), torch.nan), [])


def train(setup: Setup, start: Progress | None = None) -> Iterator[Progress]:
    """Every step's progress, then the last one, at step == total, with the final evaluation.

    Training ends early when every run has diverged.
    """
    fleet, now = setup.fleet, start or begin(setup)
    batches = _batches(fleet, now.step)
    moves = {"lr": fleet.rates, **fleet.moves}
    ragged = fleet.subset.shape[-1] % fleet.runs[0].batch_size != 0
    for k in range(now.step, fleet.total):
        yield now
        if k in setup.evaluations:
            now.measured.append((k, evaluate(setup, now.state, "validation")))
        batch = next(batches)
        hyper = {**fleet.hyper, **{n: t[..., k].contiguous() for n, t in moves.items()}}  # one layout for runs of every length
        step = setup.do.rest if ragged and (k + 1) % fleet.per_epoch == 0 else setup.do.step
        state, value, alive = step(now.state, batch, hyper, now.alive)
        probes = [measure for steps, measure in setup.probes if k in steps]
        if probes:
            now.measured.append((k, _measure(setup, probes, now, state, batch, k)))
        now.losses[..., k] = value
        now = Progress(k + 1, state, alive, now.losses, now.measured)
        if k % LOOK == 0 and not alive.any():
            yield now
            return
    now.measured.append((fleet.total, {**evaluate(setup, now.state, "validation"), **evaluate(setup, now.state, "test")}))
    yield now


def _batches(fleet: Fleet, k: int) -> Iterator[Tensors]:
    """The batches from update k on; the last batch of an epoch is what is left."""
    size = fleet.runs[0].batch_size
    epoch, done = divmod(k, fleet.per_epoch)
    while True:
        rows = order(fleet, epoch)
        for i in range(done, fleet.per_epoch):
            part = rows[..., i * size : (i + 1) * size]
            flat = part.reshape(-1)
            batch = {n: t.index_select(0, flat).view(*part.shape, *t.shape[1:]) for n, t in fleet.train.items()}
            yield {**batch, **noise(fleet, epoch * fleet.per_epoch + i, part.shape[-1])}
        epoch, done = epoch + 1, 0


def _measure(setup: Setup, probes: list[Any], now: Progress, after: State, batch: Tensors, k: int) -> Tensors:
    """All due probes at update k; the gradient is computed again, so that the step itself is the same without probes."""
    grads, (value, _) = setup.do.grads(now.state.params, now.state.buffers, batch)
    start, lr = setup.fleet.start.params, setup.fleet.rates[..., k]
    moment = Moment(now.state.params, now.state.buffers, batch, grads, after.params, start, lr, value)
    return {name: value for measure in probes for name, value in measure(moment).items()}


def evaluate(setup: Setup, state: State, part: str) -> Tensors:
    """{"validation_loss": [R], ...}: the metrics' means over the set `part`, "validation" or "test"."""
    data: Tensors = getattr(setup.fleet, part)
    n = len(next(iter(data.values())))
    total: Tensors = {}
    size = min(CHUNK, max(EVALUATED // len(setup.fleet.runs), 1))
    for i in range(0, n, size):
        chunk = {name: t[i : i + size] for name, t in data.items()}
        share = min(size, n - i) / n
        for name, value in setup.do.metrics(state.params, state.buffers, chunk).items():
            total[f"{part}_{name}"] = total.get(f"{part}_{name}", 0) + share * value
    return total
