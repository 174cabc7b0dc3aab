"""The planner measures: a few steps of each placement on this machine, and the fastest is taken.

Where arithmetic rules, a fleet gains nothing on a CPU and can lose by half (grouped convolutions): then single runs
win, one in each worker. Where overhead rules, fleets win. Compilation is tried only where enough steps follow to
pay for it. A placement that a task can't take (an operation that can't be vectorised or traced) is passed over.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree

from preheat.core.canon import digest
from preheat.core.errors import UserError
from preheat.core.run import Run
from preheat.engine.loop import begin, evaluate, set_up, train
from preheat.engine.placement import Placement, fleet, single
from preheat.lab.memory import run_bytes
from preheat.lab.plan import Choice, groups, part_count, total_seconds, units

SIZES = (8, 16, 32, 64)
COMPILED_SIZE = 32
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

    The lower quartile over steps: other work on the machine only ever slows a step down. A run that ends is begun again.
    """
    begun = ready = time.perf_counter()
    setup = set_up([r.but(probes=(), evaluate=r.length) for r in runs], where)
    each: list[float] = []
    while not _enough(each, time.perf_counter() - ready):
        at = time.perf_counter()
        for now in train(setup):
            clock = time.perf_counter()
            if 1 < now.step < setup.fleet.total:  # the first step comes with an evaluation, and so does the last
                each.append(clock - at)
                ready = clock if len(each) == WARM else ready
                if _enough(each, clock - ready):
                    break
            at = time.perf_counter()
        if setup.fleet.total <= 2:
            return (time.perf_counter() - begun) / setup.fleet.total / len(runs), 0.0
    kept = sorted(each[WARM:])
    return kept[len(kept) // 4] / len(runs), ready - begun


def _enough(each: list[float], spent: float) -> bool:
    timed = len(each) - WARM
    return timed > 0 and (spent >= MOST_SECONDS or (timed >= LEAST_STEPS and spent >= LEAST_SECONDS))


def seconds_per_evaluation(runs: Sequence[Run], where: Placement) -> float:
    """Seconds of one evaluation of one run on the validation set."""
    setup = set_up(list(runs), where)
    state = begin(setup).state
    evaluate(setup, state, "validation")
    at = time.perf_counter()
    evaluate(setup, state, "validation")
    return (time.perf_counter() - at) / len(runs)


def metrics(run: Run) -> set[str]:
    """The names of what the run's task measures."""
    setup = set_up([run], single())
    return {name.removeprefix("validation_") for name in evaluate(setup, begin(setup).state, "validation")}


def choose(runs: Sequence[Run], *, jobs: int, memory: int, mode: str = "auto", compile_mode: str = "auto") -> Choice:
    """The placement with the least estimated wall time for all `runs` of one signature.

    jobs: workers that share the work; memory: bytes that one worker may use; mode: auto, single or fleet;
    compile_mode: auto (where it pays), on or off. UNMEASURED where nothing could be trained.
    """
    torch.set_num_threads(1)
    largest = max(groups(runs), key=len)
    each = run_bytes(largest[0])

    def wall(choice: Choice) -> float:
        return total_seconds(units(runs, lambda run: choice), jobs)

    sizes = _sizes(len(largest), most=max(1, memory // each), jobs=jobs, mode=mode)
    tried = [_try(largest[0], s, r, each) for s in sizes for r in (("eager", "traced") if s == 1 else ("traced",))]
    found = [choice for choice in tried if choice]
    if not found:
        return UNMEASURED
    best = min(found, key=wall)
    if compile_mode == "off" or (compile_mode == "auto" and wall(best) < 3 * COMPILE_SECONDS):
        return best
    # Compiled steps have little overhead left to share, so a fleet that fits the cache is enough.
    size = min(best.size, max((s for s in sizes if s <= COMPILED_SIZE), default=best.size))
    compiled = _try(largest[0], size, "compiled", each)  # None: no C++ compiler, or a model that it does not take
    if compile_mode == "on":
        if compiled is None:
            raise UserError("--compile on: this model can't be compiled here: write --compile off")
        return compiled
    return compiled if compiled and wall(compiled) < wall(best) else best


def _sizes(runs: int, *, most: int, jobs: int, mode: str) -> list[int]:
    """The fleet sizes to try, as a group of `runs` is cut by them; one fleet for each worker is among them."""
    wanted = {min(s, most) for s in (*SIZES, math.ceil(runs / jobs))}
    cut = {math.ceil(runs / part_count(runs, s)) for s in wanted}
    if mode == "single":
        return [1]
    if mode == "fleet":
        return sorted(cut - {1}) or [min(2, runs)]
    return sorted(cut | {1})


def _try(run: Run, size: int, realise: str, each: int) -> Choice | None:
    """Measure `size` copies of one run: another seed may be the one that can't be trained."""
    where = placement(Choice(size, realise, 0.0, 0.0, each))
    try:
        seconds, before = seconds_per_run_step([run] * size, where)
    except UserError:
        raise
    except Exception:
        return None
    return Choice(size, realise, seconds, min(before, COMPILE_SECONDS) if realise == "compiled" else 0.0, each)


def alone(run: Run) -> Placement:
    """The fastest way to train one run in this process: eager or traced, on one thread or on all; it sets the threads."""
    found, threads, failure = [], torch.get_num_threads(), None
    for count in sorted({1, threads}):
        torch.set_num_threads(count)
        for realise in ("eager", "traced"):
            where = single(realise)
            try:
                found.append((seconds_per_run_step([run], where)[0], count, where))
            except UserError:
                raise
            except Exception as error:
                failure = failure or error
    if not found:
        raise UserError(f"task {run.task.name!r} can't be trained: {type(failure).__name__}: {failure}") from failure
    _, count, where = min(found, key=lambda f: f[0])
    torch.set_num_threads(count)
    return where


def choices(runs: Sequence[Run], known: dict[str, Any], **how: Any) -> dict[str, Choice]:
    """{stack key: choice} of all runs; `known` {signature: {"run_steps": n, "choice": ...}} is used and filled.

    A choice that was measured for another amount of work is measured again.
    """
    by_signature: dict[str, list[Run]] = {}
    out = {}
    for group in groups(runs):
        try:
            by_signature.setdefault(signature(group[0]), []).extend(group)
        except UserError:
            raise
        except Exception:  # a task that fails here: its runs are tried one by one, and their records say why
            out[group[0].stack_key] = UNMEASURED
    for name, some in by_signature.items():
        work = sum(r.total_steps for r in some)
        if known.get(name, {}).get("run_steps") != work:
            known[name] = {"run_steps": work, "choice": _with_evaluation(some[0], choose(some, **how)).json()}
        for group in groups(some):
            out[group[0].stack_key] = Choice(**known[name]["choice"])
    return out


def _with_evaluation(run: Run, choice: Choice) -> Choice:
    try:
        seconds = seconds_per_evaluation([run] * choice.size, placement(choice))
    except Exception:  # the records will say why
        return choice
    return choice._replace(evaluation_seconds=seconds)
