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
from preheat.core.lengths import due
from preheat.core.metrics import SPLITS
from preheat.core.registry import edition
from preheat.core.run import Precision, Run
from preheat.core.spec import Spec, build
from preheat.engine.batches import Batches, resident
from preheat.engine.checks import Watch, drawing_nothing, scalars
from preheat.engine.measuring import Measuring, clock, measuring
from preheat.engine.placement import Placement
from preheat.engine.precision import computed
from preheat.engine.prepare import Fleet, prepare
from preheat.engine.step import Kind, State, Step, Tensors, joined_gradients, looked_at, make_step, searching
from preheat.optim.base import TrialRule, functions, shaping
from preheat.tasks.base import Task, losses

CHUNK, EVALUATED = 2048, 16384  # examples evaluated at once: of one run, and of all runs of a fleet
NUMBERS, FEW = 2**20, 128  # on a CPU: numbers of input evaluated at once, and examples of any size
WATCH = "watch."  # a buffer of this prefix is recorded at every step
RATE = "learning_rate"  # watched where a rate rule decides on it
LOOK = 64  # steps between looks whether any run is alive
Points = list[tuple[int, Tensors]]


class Progress(NamedTuple):
    """Training before update `step`: the state, who is alive [R], the losses so far [R, T], what was
    measured.

    watched: {name: [R, T]}, the buffers "watch.<name>" after each update, and the rate used where a rule
    decides on it. memory: of each probe that has begun, by its place. probing: wall seconds spent in
    probes so far, and seconds: in all, without what the runs were prepared in; both go on where a checkpoint
    left off.
    """

    step: int
    state: State
    alive: Tensor
    losses: Tensor
    measured: Points
    watched: Tensors
    memory: dict[int, Tensors]
    probing: float = 0.0
    seconds: float = 0.0


class Functions(NamedTuple):
    """step, the step for an epoch's smaller last batch, gradients, what is evaluated, statistics of a chunk,
    and metrics of their sums; lifted over runs."""

    step: Step
    rest: Step
    grads: Callable[..., Any]
    parameters: Callable[..., Tensors]
    statistics: Callable[..., Tensors]
    metrics: Callable[..., Tensors]


class Setup(NamedTuple):
    """A fleet, its functions, its batches, the steps before which it is evaluated, and its probes."""

    fleet: Fleet
    do: Functions
    batches: Batches
    evaluations: frozenset[int]
    probes: list[Measuring]


def set_up(runs: Sequence[Run], where: Placement) -> Setup:
    """Prepare runs of one stack key for training at a placement."""
    fleet, first = prepare(runs, where), runs[0]
    return Setup(
        fleet,
        _functions(_kind(first), where, edition()),
        resident(fleet),
        frozenset(due(first.evaluate, fleet.total, fleet.per_epoch)),
        [measuring(p, fleet, where) for p in first.probes],
    )


class _RunKind(NamedTuple):
    """What the functions of a run depend on."""

    task: Spec
    optimizer: Spec
    rule: Spec | None
    clip: bool
    precision: Precision


def _kind(run: Run) -> _RunKind:
    shape = Spec(run.optimizer.name, shaping(run.optimizer))
    return _RunKind(run.task, shape, run.rate_rule, run.clip_norm is not None, run.precision)


@lru_cache(maxsize=32)
def _functions(kind: _RunKind, where: Placement, edition: int) -> Functions:
    """The functions of one kind of run; kept, so that a graph is traced once a process and not once a
    fleet."""
    task, optimizer, rule, clip, precision = kind
    made: Task = build("task", task)
    own, plain = losses(made, where.sum)
    loss = computed(own, precision, where)
    updates = functions(optimizer)
    listens = None if rule is None else build("rate rule", rule)
    what = Kind(loss, updates, clip, made.mean_loss, listens, plain)
    statistics = where.rarely(where.lift(computed(made.statistics, precision, where), (0, 0, None)))
    if isinstance(listens, TrialRule):
        full, rest = searching(what, where, where.realise), searching(what, where, where.rarely)
    else:
        step = make_step(what, where)
        full, rest = where.realise(step), where.rarely(step)
    if where.looks:
        full, rest = looked_at(full), looked_at(rest)
    evaluated, metrics = where.lift(updates.parameters, (0, 0)), where.lift(made.metrics, (0,))
    grads = joined_gradients(loss, where, mean=made.mean_loss)
    return Functions(full, rest, grads, evaluated, statistics, metrics)


def begin(setup: Setup) -> Progress:
    """The progress before the first update."""
    rates = setup.fleet.rates
    lead = rates.shape[:-1]
    alive = torch.ones(lead, dtype=torch.bool, device=rates.device)
    names = [n.removeprefix(WATCH) for n in setup.fleet.start.buffers if n.startswith(WATCH)]
    for own in ("loss", RATE):
        if own in names:
            raise UserError(
                f"train_{own} is recorded by preheat itself, got a buffer {WATCH}{own}: choose another name"
            )
    names += [RATE] if setup.fleet.start.rule else []
    losses, *watched = [rates.new_full((*lead, setup.fleet.total), torch.nan) for _ in ["loss", *names]]
    return Progress(0, setup.fleet.start, alive, losses, [], dict(zip(names, watched, strict=True)), {})


def train(setup: Setup, start: Progress | None = None) -> Iterator[Progress]:
    """Every step's progress, then the last one, at step == total, with the final evaluation.

    Training ends early when every run has diverged.
    """
    fleet, now = setup.fleet, start or begin(setup)
    batches, begun = setup.batches(now.step), perf_counter() - now.seconds
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
        probing = now.probing + _measure(setup, now, (state, batch, hyper))
        now.losses[..., k] = value
        for name, series in now.watched.items():
            series[..., k] = state.rule["lr"] if name == RATE else state.buffers[WATCH + name]
        now = now._replace(
            step=k + 1, state=state, alive=alive, probing=probing, seconds=perf_counter() - begun
        )
        if k % LOOK == 0 and not alive.any():
            yield now
            return
    now.measured.append(
        (fleet.total, {**evaluate(setup, now.state, "validation"), **evaluate(setup, now.state, "test")})
    )
    yield now._replace(seconds=clock(fleet.rates.device) - begun)


def _measure(setup: Setup, now: Progress, update: tuple[State, Tensors, Tensors]) -> float:
    """Measure all due probes, and the seconds that takes. update: the state after it, its batch and numbers.

    The gradient is computed again, so that the step itself is the same without probes.
    """
    probes = [(i, p) for i, p in enumerate(setup.probes) if now.step in p.steps]
    if not probes:
        return 0.0
    fleet, k, begun = setup.fleet, now.step, clock(setup.fleet.rates.device)
    after, batch, hyper = update
    lr = after.rule["lr"] if after.rule else hyper["lr"]
    grads, (value, _) = setup.do.grads(now.state.params, now.state.buffers, batch)
    moment = dict(
        params=now.state.params,
        buffers=now.state.buffers,
        batch=batch,
        grads=grads,
        after=after.params,
        start=fleet.start.params,
        lr=lr,
        loss=value,
        opt=now.state.opt,
        opt_after=after.opt,
        hyper={**hyper, "lr": lr},
    )
    found: Tensors = {}
    for i, probe in probes:
        here = {**moment, "drawn": probe.draw(k)}
        name = fleet.runs[0].probes[i].name
        watch = Watch(name, (now.state, after, batch, fleet.start), fleet.rates.shape[:-1])
        with drawing_nothing(f"probe {name!r}", "take them from moment.drawn, which its draw() fills"):
            memory = now.memory[i] if i in now.memory else probe.start(here)
            values, now.memory[i] = probe.measure(here, memory)
        watch.check(values, found, recorded)
        found |= values
    now.measured.append((k, found))
    return clock(fleet.rates.device) - begun


def recorded(name: str) -> bool:
    """Whether a series of that name is the record's own."""
    return name.startswith(tuple(f"{split}_" for split in SPLITS))


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
    """{"validation_loss": [R], ...}: the metrics of the set `part`, "validation" or "test", from
    statistics that are summed, or joined, over its chunks."""
    data: Tensors = getattr(setup.fleet, part)
    n, size = len(next(iter(data.values()))), at_once(data, len(setup.fleet.runs))
    params, found = setup.do.parameters(state.opt, state.params), dict[str, list[Tensor]]()
    for i in range(0, n, size):
        chunk = {name: t[i : i + size] for name, t in data.items()}
        for name, value in setup.do.statistics(params, state.buffers, chunk).items():
            found.setdefault(name, []).append(value)
    each, axis = setup.fleet.task.each, setup.fleet.rates.dim() - 1
    whole = {n: torch.cat(t, axis) if n in each else sum(t[1:], start=t[0]) for n, t in found.items()}
    measured = setup.do.metrics(whole)
    for name, value in measured.items():
        scalars(
            f"metrics of task {setup.fleet.runs[0].task.name!r}", name, value, setup.fleet.rates.shape[:-1]
        )
    return {f"{part}_{name}": value for name, value in measured.items()}
