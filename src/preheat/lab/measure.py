"""The planner measures: a few steps of each placement on this machine, and the fastest is taken.

Where arithmetic rules, a fleet gains nothing on a CPU and can lose by half (grouped convolutions): then
single runs win, one in each worker, and fleets are not even tried. Where overhead rules, fleets win.
Nothing more is tried where it would take longer than it can spare (`_fast_enough`), and compilation only
where enough steps follow to pay for it. A placement that a task can't take (an
operation that can't be vectorised or traced) or that memory can't hold is passed over. A heavy model on a CPU
(`lab.timing.HEAVY`) is not compiled unless that is asked for: planning would take minutes, and its time goes
to kernels that stay the same. What is measured are twins of the runs (`lab.timing`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import MISSING, fields
from typing import Any

import torch
from torch.utils import _pytree as pytree

from preheat.core.canon import digest, plain
from preheat.core.errors import UserError
from preheat.core.run import Run
from preheat.core.spec import Spec, build
from preheat.engine.loop import begin, evaluate, set_up
from preheat.engine.placement import Placement, fleet, single
from preheat.lab.devices import free, offered
from preheat.lab.memory import run_bytes
from preheat.lab.plan import (
    START_SECONDS,
    TRACE_SECONDS,
    Choice,
    groups,
    part_count,
    total_seconds,
    units,
)
from preheat.lab.timing import Glance, cut, glance, seconds_per_evaluation, seconds_per_run_step, twin

SIZES = (8, 16, 32, 64)
GPU_SIZES = (2, 4, *SIZES)
COMPILED_SIZE = 32
COMPILE_SECONDS = 8.0
UNMEASURED = Choice(1, "eager", 1e-3, 0.0, 0)


def placement(choice: Choice, device: str | None = None) -> Placement:
    """The placement that a choice names; device: another than the choice's."""
    there = device or choice.device
    if choice.size > 1:
        return fleet(choice.realise, there)
    layout = {"channels_last": True} if choice.channels_last else {}
    return single(choice.realise, there, **layout)


def signature(run: Run) -> str:
    """What a step costs: shapes of the state, the batch and the functions. Data size, rates, seeds and probes
    are not in it."""
    setup = set_up([twin(run, 2)], single())
    shapes = [[str(t.dtype), list(t.shape)] for t in pytree.tree_leaves(setup.fleet.start)]
    batch = [[n, list(t.shape[1:])] for n, t in setup.fleet.train.items()]
    kind, *rule = (_structure(s) for s in (run.optimizer, run.rate_rule) if s is not None)
    rest = [
        run.task.name,
        *kind,
        run.precision,
        run.clip_norm is None,
        min(run.batch_size, int(build("task", run.task).examples)),
    ]
    return digest([shapes, batch, rest, [*rule, *_costs(run)]])


def _costs(run: Run) -> list[dict[str, Any]]:
    """The options of a run's task that are not at their defaults and do not only say how many examples there
    are: two networks of equal shapes may take different times. Empty where there are none."""
    task, found = build("task", run.task), {}
    for option in fields(task):
        value = getattr(task, option.name)
        if option.default not in (MISSING, value):
            usual = None
            with suppress(UserError):  # the default may be no value at all, or none beside the others
                changed = {**run.task.options, option.name: option.default}
                usual = build("task", Spec(run.task.name, changed)).examples
            if usual in (None, task.examples):
                found[option.name] = plain(value)
    return [found] if found else []


def _structure(spec: Spec) -> tuple[str, dict[str, Any]]:
    return spec.name, {k: v for k, v in spec.options.items() if not isinstance(v, float)}


def metrics(run: Run) -> list[str]:
    """The names of what the run's task measures, in its order."""
    setup = cut(set_up([twin(run, 2)], single()), 2)
    return [name.removeprefix("validation_") for name in evaluate(setup, begin(setup).state, "validation")]


def choose(
    runs: Sequence[Run],
    *,
    jobs: int,
    memory: int,
    mode: str = "auto",
    compile_mode: str = "auto",
    device: str = "cpu",
) -> Choice:
    """The placement on `device` with the least estimated wall time for all `runs` of one signature.

    jobs: workers that share the work; memory: bytes that one worker may use; mode: auto, single or fleet;
    compile_mode: auto (where it pays), on or off. UNMEASURED where nothing could be trained.
    """
    torch.set_num_threads(1)
    largest = max(groups(runs), key=len)
    first = glance(largest[0], device)
    base = Choice(1, "eager", 0.0, 0.0, run_bytes(largest[0]), device=device)

    def wall(choice: Choice) -> float:
        return total_seconds(units(runs, lambda run: choice), jobs)

    if first.heavy and mode == "auto":
        mode = "single"
    tried, most = SIZES if device == "cpu" else GPU_SIZES, max(1, memory // base.run_bytes)
    sizes = _sizes(len(largest), most=most, jobs=jobs, mode=mode, tried=tried)
    found: list[Choice] = []
    for choice in _candidates(sizes, base, _convolves(first.run)):
        begun = time.perf_counter()
        found += filter(None, [_try(choice, first)])
        if found and _fast_enough(min(map(wall, found)), time.perf_counter() - begun):
            break
    if not found:
        return UNMEASURED._replace(device=device)
    best = min(found, key=wall)
    worth = wall(best) >= 3 * COMPILE_SECONDS and not first.heavy
    if compile_mode == "off" or (compile_mode == "auto" and not worth):
        return best
    # Compiled steps have little overhead left to share, so on a CPU a fleet that fits the cache is enough.
    size = (
        best.size
        if device != "cpu"
        else min(best.size, max((s for s in sizes if s <= COMPILED_SIZE), default=best.size))
    )
    compiled = _try(
        best._replace(size=size, realise="compiled"), first
    )  # None: no compiler, or a model it does not take
    if compile_mode == "on":
        if compiled is None:
            raise UserError("--compile on: this model can't be compiled here: write --compile off")
        return compiled
    return compiled if compiled and wall(compiled) < wall(best) else best


def _fast_enough(wall: float, spent: float) -> bool:
    """Whether to look at one more placement would take as long as the half of the work that it may spare.

    wall: the estimate of all; spent: seconds that the last look took.

    >>> _fast_enough(wall=6.0, spent=1.0), _fast_enough(wall=60.0, spent=1.0)
    (True, False)
    """
    return (wall - START_SECONDS - TRACE_SECONDS) / 2 < spent


def _sizes(runs: int, *, most: int, jobs: int, mode: str, tried: Sequence[int] = SIZES) -> list[int]:
    """The fleet sizes to try, as a group of `runs` is cut by them; one fleet for each worker is among
    them."""
    wanted = {min(s, most) for s in (*tried, math.ceil(runs / jobs))}
    cut = {math.ceil(runs / part_count(runs, s)) for s in wanted}
    if mode == "single":
        return [1]
    if mode == "fleet":
        return sorted(cut - {1}) or [min(2, runs)]
    return sorted(cut | {1})


def _candidates(sizes: Sequence[int], base: Choice, convolves: bool) -> Iterator[Choice]:
    """What is measured before compilation: one run eager, traced and with kernels channels last; fleets
    traced."""
    for size in sizes:
        if size == 1:
            yield base
        yield base._replace(size=size, realise="traced")
        if size == 1 and convolves:
            yield base._replace(realise="traced", channels_last=True)


def _convolves(run: Run) -> bool:
    """Whether a model has kernels larger than 1 x 1, whose layout may matter."""
    try:
        params, _ = build("task", twin(run, 2).task).init(torch.Generator().manual_seed(0))
    except UserError:
        raise
    except Exception:  # the records will say why
        return False
    return any(p.dim() == 4 and p.shape[-1] * p.shape[-2] > 1 for p in params.values())


def _try(choice: Choice, first: Glance) -> Choice | None:
    """The choice with its times, measured on copies of one run: another seed may be the one that can't be
    trained."""
    try:
        seconds, before = seconds_per_run_step([first.run] * choice.size, placement(choice))
    except UserError:
        raise
    except Exception:
        seconds = math.nan
    if math.isnan(seconds):
        free()  # after the error is gone, which holds on to what was made
        return None
    compiling = min(before, COMPILE_SECONDS) if choice.realise == "compiled" else 0.0
    return choice._replace(seconds=seconds * first.scale, compile_seconds=compiling)


def heavy(runs: Sequence[Run]) -> bool:
    """Whether a step of one of the runs is heavy on a CPU: by a glance at one of each kind, until one is."""
    torch.set_num_threads(1)
    kinds: dict[str, Run] = {}
    for run in runs:
        kinds.setdefault(twin(run).stack_key, run)

    def seen(run: Run) -> bool:
        try:
            return glance(run).heavy
        except UserError:
            raise
        except Exception:  # its records will say why
            return False

    return any(seen(run) for run in kinds.values())


def alone(run: Run, device: str = "auto") -> Choice:
    """The fastest way to train one run in this process, on one thread or on all, or on a GPU; it sets the
    threads.

    What runs on a GPU and is heavy on a CPU is not measured there.
    """
    found: list[tuple[float, int, Choice]] = []
    threads, failure = torch.get_num_threads(), None
    for there in sorted(offered(device), key=lambda name: name == "cpu"):
        for count in sorted({1, threads}) if there == "cpu" else [threads]:
            torch.set_num_threads(count)
            try:
                first = glance(run, there)
                if first.heavy and any(choice.device != "cpu" for _, _, choice in found):
                    break
                base = Choice(1, "eager", 0.0, 0.0, 0, device=there)
                tried = [_try(choice, first) for choice in _candidates([1], base, _convolves(run))]
                found += [(choice.seconds, count, choice) for choice in tried if choice]
            except UserError:
                raise
            except Exception as error:
                failure = failure or error
    if not found:
        why = f": {type(failure).__name__}: {failure}" if failure else f" on {device}"
        raise UserError(f"task {run.task.name!r} can't be trained{why}") from failure
    _, count, choice = min(found)
    torch.set_num_threads(count)
    return choice


def choices(
    runs: Sequence[Run], known: dict[str, Any], *, device: str = "cpu", **how: Any
) -> dict[str, Choice]:
    """{stack key: choice} of all runs; `known` {signature: {"run_steps": n, "choice": ...}} is used and
    filled.

    A choice that was measured for another amount of work is measured again. On a GPU its name is in the key.
    """
    by_signature: dict[str, list[Run]] = {}
    out = {}
    for group in groups(runs):
        try:
            by_signature.setdefault(signature(group[0]), []).extend(group)
        except UserError:
            raise
        except Exception:  # a task that fails here: its runs are tried one by one, and their records say why
            out[group[0].stack_key] = UNMEASURED._replace(device=device)
    for measured, some in by_signature.items():
        name = measured if device == "cpu" else f"{measured}@{device}"
        work = sum(r.total_steps for r in some)
        if known.get(name, {}).get("run_steps") != work:
            choice = choose(some, device=device, **how)
            known[name] = {"run_steps": work, "choice": _with_evaluation(some[0], choice).json()}
        for group in groups(some):
            out[group[0].stack_key] = Choice(**known[name]["choice"])
    if device != "cpu":
        free()  # the workers want the room
    return out


def _with_evaluation(run: Run, choice: Choice) -> Choice:
    try:
        seconds = seconds_per_evaluation([run] * choice.size, placement(choice))
    except Exception:  # the records will say why
        return choice
    return choice._replace(evaluation_seconds=seconds)
