"""The training loop: for each batch the probes that are due, the step, the trace.

It is a generator. The caller takes as many steps as it likes, looks at what it gets, saves it, or stops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from time import perf_counter
from typing import Any, NamedTuple

import torch
from torch import Tensor

from preheat.core.errors import UserError
from preheat.core.run import Precision, Run
from preheat.core.spec import Spec, build
from preheat.engine.measuring import Measuring, clock, measuring
from preheat.engine.placement import Placement
from preheat.engine.precision import computed
from preheat.engine.prepare import Fleet, due, noise, order, prepare
from preheat.engine.step import State, Step, Tensors, gradients, looked_at, make_step
from preheat.tasks.base import Task

CHUNK, EVALUATED = 2048, 16384  # examples evaluated at once: of one run, and of all runs of a fleet
NUMBERS, FEW = 2**20, 128  # on a CPU: numbers of input evaluated at once, and examples of any size
WATCH = "watch."  # a buffer of this prefix is recorded at every step
LOOK = 64  # steps between looks whether any run is alive
Points = list[tuple[int, Tensors]]


class Progress(NamedTuple):
    """Training before update `step`: the state, who is alive [R], the losses so far [R, T], what was
    measured.

    watched: {name: [R, T]}, the buffers "watch.<name>" after each update. probing: wall seconds spent in
    probes so far, and seconds: in all, without what the runs were prepared in; both go on where a checkpoint
    left off.
    """

    step: int
    state: State
    alive: Tensor
    losses: Tensor
    measured: Points
    watched: Tensors
    probing: float = 0.0
    seconds: float = 0.0


class Functions(NamedTuple):
    """step, the step for an epoch's smaller last batch, gradients, and metrics; lifted over runs."""

    step: Step
    rest: Step
    grads: Callable[..., Any]
    metrics: Callable[..., Tensors]


class Setup(NamedTuple):
    """A fleet, its functions, the steps before which it is evaluated, and its probes."""

    fleet: Fleet
    do: Functions
    evaluations: frozenset[int]
    probes: list[Measuring]


def set_up(runs: Sequence[Run], where: Placement) -> Setup:
    """Prepare runs of one stack key for training at a placement."""
    fleet, first = prepare(runs, where), runs[0]
    shape = Spec(
        first.optimizer.name, {k: v for k, v in first.optimizer.options.items() if not isinstance(v, float)}
    )
    return Setup(
        fleet,
        _functions(first.task, shape, first.clip_norm is not None, first.precision, where),
        frozenset(due(first.evaluate, fleet.total, fleet.per_epoch)),
        [measuring(p, fleet, where) for p in first.probes],
    )


@lru_cache(maxsize=32)
def _functions(task: Spec, optimizer: Spec, clip: bool, precision: Precision, where: Placement) -> Functions:
    """The functions of one kind of run; kept, so that a graph is traced once a process and not once a
    fleet."""
    made: Task = build("task", task)
    loss = computed(made.loss, precision, where)
    step = make_step(loss, build("optimizer", optimizer).build(), where, clip=clip)
    metrics = where.rarely(where.lift(computed(made.metrics, precision, where), (0, 0, None)))
    full, rest = where.realise(step), where.rarely(step)
    if where.looks:
        full, rest = looked_at(full), looked_at(rest)
    return Functions(full, rest, gradients(loss, where), metrics)


def begin(setup: Setup) -> Progress:
    """The progress before the first update."""
    rates = setup.fleet.rates
    lead = rates.shape[:-1]
    alive = torch.ones(lead, dtype=torch.bool, device=rates.device)
    names = [n.removeprefix(WATCH) for n in setup.fleet.start.buffers if n.startswith(WATCH)]
    if "loss" in names:
        raise UserError(
            f"train_loss is recorded anyway, got a buffer {WATCH}loss: leave it out, or choose another name"
        )
    losses, *watched = [rates.new_full((*lead, setup.fleet.total), torch.nan) for _ in ["loss", *names]]
    return Progress(0, setup.fleet.start, alive, losses, [], dict(zip(names, watched, strict=True)))


def train(setup: Setup, start: Progress | None = None) -> Iterator[Progress]:
    """Every step's progress, then the last one, at step == total, with the final evaluation.

    Training ends early when every run has diverged.
    """
    fleet, now = setup.fleet, start or begin(setup)
    batches, begun = _batches(fleet, now.step), perf_counter() - now.seconds
    moves = {"lr": fleet.rates, **fleet.moves}
    ragged = fleet.subset.shape[-1] % fleet.runs[0].batch_size != 0
    for k in range(now.step, fleet.total):
        yield now
        if k in setup.evaluations:
            now.measured.append((k, evaluate(setup, now.state, "validation")))
        batch = next(batches)
        hyper = {
            **fleet.hyper,
            **{n: t[..., k].contiguous() for n, t in moves.items()},
        }  # one layout for runs of every length
        step = setup.do.rest if ragged and (k + 1) % fleet.per_epoch == 0 else setup.do.step
        state, value, alive = step(now.state, batch, hyper, now.alive)
        probes = [p for p in setup.probes if k in p.steps]
        probing = now.probing + (_measure(setup, probes, now, state, batch) if probes else 0.0)
        now.losses[..., k] = value
        for name, series in now.watched.items():
            series[..., k] = state.buffers[WATCH + name]
        now = Progress(
            k + 1, state, alive, now.losses, now.measured, now.watched, probing, perf_counter() - begun
        )
        if k % LOOK == 0 and not alive.any():
            yield now
            return
    now.measured.append(
        (fleet.total, {**evaluate(setup, now.state, "validation"), **evaluate(setup, now.state, "test")})
    )
    yield now._replace(seconds=clock(fleet.rates.device) - begun)


def _batches(fleet: Fleet, k: int) -> Iterator[Tensors]:
    """The batches from update k on; the last batch of an epoch is what is left."""
    size = fleet.runs[0].batch_size
    epoch, done = divmod(k, fleet.per_epoch)
    while True:
        rows = order(fleet, epoch)
        for i in range(done, fleet.per_epoch):
            part = rows[..., i * size : (i + 1) * size]
            flat = part.reshape(-1)
            batch = {
                n: t.index_select(0, flat).view(*part.shape, *t.shape[1:]) for n, t in fleet.train.items()
            }
            yield {**batch, **noise(fleet, epoch * fleet.per_epoch + i, part.shape[-1])}
        epoch, done = epoch + 1, 0


def _measure(setup: Setup, probes: list[Measuring], now: Progress, after: State, batch: Tensors) -> float:
    """Measure all due probes, and the seconds that takes.

    The gradient is computed again, so that the step itself is the same without probes.
    """
    fleet, k, begun = setup.fleet, now.step, clock(setup.fleet.rates.device)
    grads, (value, _) = setup.do.grads(now.state.params, now.state.buffers, batch)
    moment = dict(
        params=now.state.params,
        buffers=now.state.buffers,
        batch=batch,
        grads=grads,
        after=after.params,
        start=fleet.start.params,
        lr=fleet.rates[..., k],
        loss=value,
    )
    found: Tensors = {}
    for probe in probes:
        found |= probe.measure({**moment, "drawn": probe.draw(k)})
    now.measured.append((k, found))
    return clock(fleet.rates.device) - begun


def at_once(data: Tensors, runs: int) -> int:
    """How many examples are evaluated at once: fewer of large ones on a CPU, where a model's activations fill
    the memory.

    >>> digit, photo = {"x": torch.zeros(1, 64)}, {"x": torch.zeros(1, 3, 32, 32)}
    >>> at_once(digit, 1), at_once(digit, 64), at_once(photo, 1)
    (2048, 256, 341)
    """
    together = EVALUATED
    if all(t.device.type == "cpu" for t in data.values()):
        together = min(together, max(NUMBERS // max(t[:1].numel() for t in data.values()), FEW))
    return min(CHUNK, max(together // runs, 1))


def evaluate(setup: Setup, state: State, part: str) -> Tensors:
    """{"validation_loss": [R], ...}: the metrics' means over the set `part`, "validation" or "test"."""
    data: Tensors = getattr(setup.fleet, part)
    n = len(next(iter(data.values())))
    total: Tensors = {}
    size = at_once(data, len(setup.fleet.runs))
    for i in range(0, n, size):
        chunk = {name: t[i : i + size] for name, t in data.items()}
        share = min(size, n - i) / n
        for name, value in setup.do.metrics(state.params, state.buffers, chunk).items():
            total[f"{part}_{name}"] = total.get(f"{part}_{name}", 0) + share * value
    return total
