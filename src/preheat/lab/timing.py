"""What a step and an evaluation cost, measured on twins of the runs: the same shapes and operations, no data
files.

Heavy models are measured on few rows: where arithmetic rules, a batch costs as many times more as it has
rows.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

import torch

from preheat.core.run import Run
from preheat.core.spec import build, described
from preheat.engine.loop import Setup, at_once, begin, evaluate, set_up, train
from preheat.engine.measuring import clock
from preheat.engine.placement import Placement, single

LEAST_SECONDS, MOST_SECONDS, LEAST_STEPS, WARM = 0.3, 2.0, 12, 3
TWIN_STEPS = 10_000
HEAVY, VERY_HEAVY = 0.1, 1.0  # seconds of one run's step: arithmetic rules; too slow to measure whole
FEW_ROWS = 16
BLOCK = 4  # steps on a GPU between waits for it: it works while Python goes on


def twin(run: Run, rows: int | None = None) -> Run:
    """A run whose steps cost the same, of `rows` rows a batch, on what its task has to stand in for its data.

    It has no schedule, probes or evaluations, and a rate that can't make it diverge.
    """
    plain = run.but(
        task=described(run.task.name, build("task", run.task).stand_in()),
        schedule=None,
        peak_lr=1e-6,
        also={},
        probes=(),
        length=TWIN_STEPS,
        evaluate=TWIN_STEPS,
    )
    return plain.but(batch_size=min(rows, run.batch_size)) if rows else plain


def unevaluated(runs: Sequence[Run], where: Placement) -> Setup:
    """The set-up of runs that are not evaluated on the way."""
    return set_up(runs, where)._replace(evaluations=frozenset())


def cut(setup: Setup, rows: int) -> Setup:
    """The set-up with the first `rows` rows of the validation set as the whole of it; over again where it has
    fewer."""
    whole = setup.fleet.validation
    part = {
        n: t[:rows] if rows <= len(t) else t[torch.arange(rows, device=t.device) % len(t)]
        for n, t in whole.items()
    }
    return setup._replace(fleet=setup.fleet._replace(validation=part))


def evaluated(run: Run) -> tuple[int, int]:
    """How many examples the validation and the test set of a run hold; its twin's may be fewer."""
    validation, test = build("task", run.task).evaluated
    return validation, test


def seconds_per_run_step(runs: Sequence[Run], where: Placement) -> tuple[float, float]:
    """(seconds of one update of one run, seconds before the first could be timed), probes and evaluation left
    out.

    The lower quartile over steps: other work on the machine only ever slows a step down. Of heavy steps
    (`HEAVY`) one is enough to warm up. A run that ends is begun again.
    """
    begun = ready = time.perf_counter()
    setup = unevaluated([twin(r) for r in runs], where)
    block = 1 if where.device.type == "cpu" else BLOCK
    each: list[float] = []
    warm = WARM
    while not _enough(len(each) - warm, time.perf_counter() - ready):
        at = time.perf_counter()
        for now in train(setup):
            if now.step % block or not now.step:
                continue
            tick = clock(where.device)
            each.append((tick - at) / block)
            warm = 1 if each[0] > HEAVY * len(runs) and len(each) == 1 else warm
            ready = tick if len(each) == warm else ready
            if _enough(len(each) - warm, tick - ready):
                break
            at = time.perf_counter()
    kept = sorted(each[warm:])
    return kept[len(kept) // 4] / len(runs), ready - begun


def _enough(timed: int, spent: float) -> bool:
    return timed > 0 and (spent >= MOST_SECONDS or (timed >= LEAST_STEPS and spent >= LEAST_SECONDS))


class Glance(NamedTuple):
    """What to measure in place of a run: `run`, whose steps times `scale` are the run's; `heavy`: whether
    arithmetic rules."""

    run: Run
    scale: float = 1.0
    heavy: bool = False


def glance(run: Run, device: str = "cpu") -> Glance:
    """A first look at a run on a CPU: two steps of a few rows. On a GPU nothing is heavy."""
    if device != "cpu":
        return Glance(run)
    few = twin(run, FEW_ROWS)
    progress = train(unevaluated([few], single()))
    next(progress), next(progress)
    at = time.perf_counter()
    next(progress)
    scale = run.batch_size / few.batch_size
    seconds = (time.perf_counter() - at) * scale
    if seconds > VERY_HEAVY:
        return Glance(few, scale, True)
    return Glance(run, 1.0, seconds > HEAVY)


def seconds_per_evaluation(runs: Sequence[Run], where: Placement) -> float:
    """Seconds of one evaluation of one run on the validation set, scaled from a part of it where all would
    take long.

    On a GPU as many rows are timed as the loop takes at once: few leave most of it idle.
    """
    setup = set_up([twin(r, FEW_ROWS) for r in runs], where)
    state, (whole, _) = begin(setup).state, evaluated(runs[0])
    data = setup.fleet.validation
    n = len(next(iter(data.values())))
    if where.device.type != "cpu":
        n = min(whole, at_once(data, len(runs)))
    seconds = 0.0
    for rows in (min(2 * FEW_ROWS, n), min(16 * FEW_ROWS, n), n):
        part = cut(setup, rows)
        evaluate(part, state, "validation")
        at = clock(where.device)
        evaluate(part, state, "validation")
        spent = clock(where.device) - at
        seconds = spent * whole / rows / len(runs)
        if spent > HEAVY or rows == n:
            break
    return seconds
