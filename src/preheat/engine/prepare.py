"""What a fleet needs before its first step: rates, data on the device, initial states."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from preheat.core.canon import digest
from preheat.core.errors import UserError
from preheat.core.registry import edition
from preheat.core.run import Run
from preheat.core.spec import Spec, build
from preheat.engine.checks import check_optimizer, check_task, checked_data
from preheat.engine.keys import generator
from preheat.engine.placement import Placement
from preheat.engine.precision import DTYPES
from preheat.engine.step import State, Tensors
from preheat.optim.base import RateRule, functions
from preheat.tasks.base import Task


class Fleet(NamedTuple):
    """Runs of one stack key, ready to train. A single run has no run axis: R is then absent.

    rates: [R, T]; hyper: {name: [R]}; moves: {name: [R, T]}, the numbers that move in one of the runs at
    least; subset: [R, N] rows of the training pool; noisy: whether the task draws noise; origin: where its
    data come from, as its `origin()` said when they were read.
    """

    runs: tuple[Run, ...]
    task: Task
    total: int
    per_epoch: int
    rates: Tensor
    hyper: Tensors
    moves: Tensors
    subset: Tensor
    train: Tensors
    validation: Tensors
    test: Tensors
    start: State
    noisy: bool
    origin: Mapping[str, Any]


def prepare(runs: Sequence[Run], where: Placement) -> Fleet:
    """Everything of `runs` on the device; a fleet's runs must share a stack key, a single run stands
    alone."""
    first = runs[0]
    if len({r.stack_key for r in runs}) != 1:
        raise UserError(
            "runs of one fleet must share a stack key: only seeds, rates and the optimizer's numbers may "
            "differ"
        )
    assert where.stacked or len(runs) == 1, "a placement without a run axis takes one run"
    dtype = DTYPES[first.precision]
    join = _joiner(where, dtype)
    task = build("task", first.task)
    names = [*first.hyper, *(["clip_norm"] if first.clip_norm is not None else [])]
    moving = {n for r in runs for n in r.also}
    hyper = {
        n: join([torch.tensor(_number(r, n), dtype=torch.float64) for r in runs])
        for n in names
        if n not in moving
    }
    origin = task.origin()
    stamp = digest(origin)
    train, validation, test = _on_device(_data(first.task, stamp, edition()), dtype, where.device)
    _checked(first.task, stamp, min(first.batch_size, 8), edition())
    start = _start(runs, task, join)
    start = start._replace(params=where.laid_out(start.params), opt=where.laid_out(start.opt))
    return Fleet(
        runs=tuple(runs),
        task=task,
        total=first.total_steps,
        per_epoch=first.steps_per_epoch,
        rates=join([torch.from_numpy(rates(r)) for r in runs]),
        hyper=hyper,
        moves={n: join([torch.from_numpy(_path(r, n)) for r in runs]) for n in names if n in moving},
        subset=join([task.subset(generator(r.seed, "subset")) for r in runs]),
        train=train,
        validation=validation,
        test=test,
        start=start,
        noisy=task.noise(generator(first.seed, "noise"), 1) is not None,
        origin=origin,
    )


def rates(run: Run) -> np.ndarray:
    """[T] float64: the learning rate of every update."""
    factors = run.factor(np.arange(run.total_steps))
    return run.peak_lr * np.asarray(factors, dtype=np.float64)


@lru_cache(maxsize=64)
def _checked(task: Spec, stamp: str, count: int, edition: int) -> None:
    """Looked at once for a task."""
    check_task(task.name, build("task", task), _data(task, stamp, edition), count)


def _path(run: Run, name: str) -> np.ndarray:
    """[T] float64: an optimizer's number at every update."""
    if name not in run.also:
        return np.full(run.total_steps, run.hyper[name])
    return np.asarray(run.moving(name, np.arange(run.total_steps)), dtype=np.float64)


def _number(run: Run, name: str) -> float:
    value = run.clip_norm if name == "clip_norm" else run.hyper[name]
    assert value is not None
    return value


def _joiner(where: Placement, dtype: torch.dtype) -> Callable[[list[Any]], Any]:
    """Stack pytrees of tensors along a new run axis (or take the only one), in dtype, on the device."""

    def leaf(*tensors: Tensor) -> Tensor:
        t = torch.stack(tensors) if where.stacked else tensors[0].clone()
        return t.to(where.device, dtype if t.is_floating_point() else t.dtype)

    return lambda parts: pytree.tree_map(leaf, *parts)


def _start(runs: Sequence[Run], task: Task, join: Callable[[list[Any]], Any]) -> State:
    drawn = {s: task.init(generator(s, "init")) for s in {r.seed for r in runs}}
    check_optimizer(runs[0].optimizer, drawn[runs[0].seed][0])
    optimizer = functions(runs[0].optimizer)
    states = [
        State(*drawn[r.seed], optimizer.init(drawn[r.seed][0]), _rule(r, drawn[r.seed][0])) for r in runs
    ]
    return State(*join([tuple(s) for s in states]))


def _rule(run: Run, params: Tensors) -> dict[str, Any]:
    """What the state holds of a run's rate rule before the first update."""
    if run.rate_rule is None:
        return {}
    made: RateRule = build("rate rule", run.rate_rule)
    return {"state": made.init(params), "lr": torch.tensor(torch.nan)}


@lru_cache(maxsize=8)
def _data(task: Spec, stamp: str, edition: int) -> Any:
    """The task's data on the CPU. stamp: of where they come from, so that other files of the same task are
    read anew; edition: so is a task that is registered again."""
    made = build("task", task)
    data = checked_data(task.name, made)
    if digest(made.origin()) != stamp:
        raise UserError(
            f"the data of task {task.name!r} must not change while they are read, and they did: start again"
        )
    return data


def _on_device(data: Any, dtype: torch.dtype, device: torch.device) -> list[Tensors]:
    """Three sets on the device, floats in dtype; kept there for the next fleet."""
    placed = iter(held(dtype, device, *[t for part in data for t in part.values()]))
    return [{n: next(placed) for n in part} for part in data]


@lru_cache(maxsize=2)
def held(dtype: torch.dtype, device: torch.device, *tensors: Tensor) -> tuple[Tensor, ...]:
    """These very tensors (the key is their identity, not their numbers) on the device; `cache_clear()` lets
    them go."""
    once = {id(t): cast(t, dtype).to(device) for t in {id(t): t for t in tensors}.values()}
    return tuple(once[id(t)] for t in tensors)


def cast(t: Tensor, dtype: torch.dtype) -> Tensor:
    """Floats in dtype, others as they are."""
    return t.to(dtype) if t.is_floating_point() else t


def sent(t: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU on the device.

    To a GPU by pinned memory: a copy from pageable memory waits until the GPU has done all that it was given,
    so that at every step it would stand idle while Python goes on. torch keeps pinned memory until its copy
    is done.
    """
    return (
        t.contiguous().pin_memory().to(device, non_blocking=True) if device.type == "cuda" else t.to(device)
    )
