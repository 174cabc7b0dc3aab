"""The planner measures: a few steps of each placement on this machine, and the fastest is taken.

Where arithmetic rules, a fleet gains nothing on a CPU and can lose by half (grouped convolutions): then single runs
win, one in each worker. Where overhead rules, fleets win. Compilation is tried only where enough steps follow to
pay for it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree

from preheat.core.canon import digest
from preheat.core.errors import UserError
from preheat.core.run import Run
from preheat.engine.loop import Setup, set_up, train
from preheat.engine.placement import Placement, fleet, single
from preheat.lab.plan import Choice, groups, part_count

SIZES = (8, 16, 32, 64)
COMPILE_SECONDS = 8.0
UNMEASURED = Choice(1, "eager", 1e-3, 0.0, 0)
LEAST_SECONDS, MOST_SECONDS, LEAST_STEPS, WARM = 0.3, 2.0, 12, 2


def placement(choice: Choice, device: str = "cpu") -> Placement:
    """The placement that a choice names."""
    return (fleet if choice.size > 1 else single)(choice.realise, device)


def signature(run: Run) -> str:
    """What a step costs: shapes of the state, the batch and the functions. Data size, rates and seeds are not in it."""
    setup = set_up([run], single())
    shapes = [[str(t.dtype), list(t.shape)] for t in pytree.tree_leaves(setup.fleet.start)]
    batch = [[n, list(t.shape[1:])] for n, t in setup.fleet.train.items()]
    kind = {k: v for k, v in run.optimizer.options.items() if not isinstance(v, float)}
    rest = [
        run.task.name,
        run.optimizer.name,
        kind,
        run.precision,
        run.clip_norm is None,
        min(run.batch_size, len(setup.fleet.subset)),
    ]
    return digest([shapes, batch, rest, [p.json() for p in run.probes]])


def seconds_per_run_step(runs: Sequence[Run], where: Placement) -> tuple[float, float]:
    """(seconds of one update of one run, seconds before the first could be timed), probes and evaluation left out.

    The lower quartile over steps: other work on the machine only ever slows a step down.
    """
    begun = time.perf_counter()
    setup = set_up([r.but(probes=(), evaluate=r.length) for r in runs], where)
    steps = _steps(setup)
    for _ in range(WARM):
        steps()
    ready = time.perf_counter()
    each: list[float] = []
    while (spent := time.perf_counter() - ready) < LEAST_SECONDS or (len(each) < LEAST_STEPS and spent < MOST_SECONDS):
        at = time.perf_counter()
        steps()
        each.append(time.perf_counter() - at)
    return sorted(each)[len(each) // 4] / len(runs), ready - begun


def _steps(setup: Setup) -> Callable[[], None]:
    """A function that takes one full-batch step; after the run's end it begins again."""
    state = {"now": train(setup)}

    def one() -> None:
        try:
            next(state["now"])
        except StopIteration:
            state["now"] = train(setup)

    return one


def run_bytes(run: Run) -> int:
    """Bytes of one run in a fleet: old and new state, gradients, the batch and what the loss keeps for it (an estimate)."""
    setup = set_up([run], single())

    def size(tree: Any) -> int:
        return sum(int(t.numel() * t.element_size()) for t in pytree.tree_leaves(tree))

    batch = {n: t[: run.batch_size] for n, t in setup.fleet.train.items()}
    return 2 * size(setup.fleet.start) + 2 * size(setup.fleet.start.params) + 8 * size(batch)


def choose(runs: Sequence[Run], *, jobs: int, memory: int, mode: str = "auto", compile_mode: str = "auto") -> Choice:
    """The fastest placement for all `runs` of one signature.

    jobs: workers that share the machine; memory: bytes that one worker may use; mode: auto, single or fleet;
    compile_mode: auto (where it pays), on or off.
    """
    torch.set_num_threads(1)
    largest = max(groups(runs), key=len)
    each = run_bytes(largest[0])
    most = max(1, min(len(largest), memory // each))
    sizes = sorted({min(s, most) for s in SIZES} | {1})
    if mode != "auto":
        sizes = [1] if mode == "single" else [s for s in sizes if s > 1] or [min(2, len(largest))]
    total = sum(r.total_steps for r in runs)
    sizes = sorted({math.ceil(len(largest) / part_count(len(largest), s)) for s in sizes})
    found = [_try(largest[0], s, r, each) for s in sizes for r in (("eager", "traced") if s == 1 else ("traced",))]
    best = min(found, key=lambda c: c.seconds)
    gain = best.seconds * total / jobs
    if compile_mode == "off" or (compile_mode == "auto" and gain < 2 * COMPILE_SECONDS):
        return best
    try:
        compiled = _try(largest[0], best.size, "compiled", each)
    except Exception as error:  # no C++ compiler, or a model that the compiler does not take
        if compile_mode == "on":
            raise UserError(
                f"--compile on: this model can't be compiled here ({type(error).__name__}): write --compile off"
            ) from error
        return best
    worth = compiled.seconds * total / jobs + COMPILE_SECONDS < gain
    return compiled if worth or compile_mode == "on" else best


def _try(run: Run, size: int, realise: str, each: int) -> Choice:
    """Measure `size` copies of one run: another seed may be the one that can't be trained."""
    where = placement(Choice(size, realise, 0.0, 0.0, each))
    seconds, before = seconds_per_run_step([run] * size, where)
    return Choice(size, realise, seconds, before if realise == "compiled" else 0.0, each)


def alone(run: Run) -> Placement:
    """The fastest way to train one run in this process: eager or traced, on one thread or on all; it sets the threads."""
    found = []
    threads = torch.get_num_threads()
    for count in sorted({1, threads}):
        torch.set_num_threads(count)
        for realise in ("eager", "traced"):
            where = single(realise)
            found.append((seconds_per_run_step([run], where)[0], count, where))
    _, count, where = min(found, key=lambda f: f[0])
    torch.set_num_threads(count)
    return where


def choices(runs: Sequence[Run], known: dict[str, Any], **how: Any) -> dict[str, Choice]:
    """{stack key: choice} of all runs; `known` {signature: choice as JSON} is used where it has the answer, and filled."""
    by_signature: dict[str, list[Run]] = {}
    out = {}
    for group in groups(runs):
        try:
            by_signature.setdefault(signature(group[0]), []).extend(group)
        except Exception:  # a task that fails here: its runs are tried one by one, and their records say why
            out[group[0].stack_key] = UNMEASURED
    for name, some in by_signature.items():
        if name not in known:
            known[name] = choose(some, **how).json()
        for group in groups(some):
            out[group[0].stack_key] = Choice(**known[name])
    return out
