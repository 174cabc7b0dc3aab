"""How much arithmetic runs are, counted and not timed, so that it can be said for machines that are not at
hand.

Counted are matrix products, convolutions and attention, forward and backward, two operations (a product and a
sum) for each multiply-add. Not counted are the rest: normalisation, activations, augmentation, the loss, the
optimizer, probes. So a ResNet-18 is about 1.11 GFLOP an image of 32 x 32 forward (0.557 G multiply-adds), and
three times that a training step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from torch.utils.flop_counter import FlopCounterMode

from preheat.core.run import Run
from preheat.core.spec import build
from preheat.engine.loop import begin, evaluate, train
from preheat.engine.placement import single
from preheat.lab.timing import cut, evaluated, twin, unevaluated

ROWS = 2


class RowFlops(NamedTuple):
    """Floating-point operations for one example: of training on it, and of evaluating it."""

    training: float
    evaluation: float


def study_flops(runs: Sequence[Run]) -> float:
    """Operations of training all runs and of their evaluations, the last and the one on the test set among
    them."""
    return sum(_run_flops(r) for r in runs)


def _run_flops(run: Run) -> float:
    each, examples = row_flops(run), int(build("task", run.task).examples)
    epochs, rest = divmod(run.total_steps, run.steps_per_epoch)
    gap = max(run.evaluate.resolve(run.total_steps, run.steps_per_epoch), 1.0)
    validation, test = evaluated(run)
    seen = (math.ceil(run.total_steps / gap) + 1) * validation + test
    return (epochs * examples + rest * run.batch_size) * each.training + seen * each.evaluation


def row_flops(run: Run) -> RowFlops:
    """What one example costs; counted once for all runs of one task, model and optimizer."""
    few = twin(run, ROWS)
    return _counted(few.but(seed=0, clip_norm=None, precision="float32", optimizer=None))


@lru_cache(maxsize=64)
def _counted(few: Run) -> RowFlops:
    setup = unevaluated([few], single())
    rows = min(ROWS, len(next(iter(setup.fleet.validation.values()))))
    progress = train(setup)
    with FlopCounterMode(display=False) as step:
        next(progress), next(progress)
    with FlopCounterMode(display=False) as evaluation:
        evaluate(cut(setup, ROWS), begin(setup).state, "validation")
    return RowFlops(step.get_total_flops() / few.batch_size, evaluation.get_total_flops() / rows)
