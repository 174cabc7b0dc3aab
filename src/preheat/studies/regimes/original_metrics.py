"""A record in the words of the original's files: curves by epoch, and what the probes measured. What is not
finite is None."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from preheat.core.canon import finite
from preheat.core.errors import UserError
from preheat.core.lengths import Sizes, length
from preheat.core.record import Record, Trace
from preheat.core.run import Run
from preheat.core.spec import build
from preheat.store.segment import Head

Json = dict[str, Any]
Value = float | None
NAMES = {"pathmnist": "medmnist"}  # what the original calls a data set, where that is another name


class RunSpan(NamedTuple):
    """A run's updates, those of an epoch, and those that were taken before it diverged, if it did."""

    total: int
    per_epoch: int
    taken: int

    @property
    def epochs(self) -> range:
        """The epochs that were begun, from 0."""
        return range(math.ceil(self.taken / self.per_epoch))

    def end(self, epoch: int) -> int:
        """The step after the last update of an epoch."""
        return min((epoch + 1) * self.per_epoch, self.total)


def span(record: Record | Head) -> RunSpan:
    """The sizes of a trained run. Errors: UserError for a record without them."""
    total, per_epoch = (record.summary.get(k) for k in ("total_steps", "steps_per_epoch"))
    if not total or not per_epoch:
        raise UserError(
            f"a run's record must say total_steps and steps_per_epoch; that of {record.id} does not: train "
            "it again"
        )
    taken = total if record.status.step is None else record.status.step
    return RunSpan(int(total), int(per_epoch), int(taken))


def metrics(record: Record) -> Json:
    """The original's metrics.json: accuracies in percent, one entry for each epoch from 0.

    val_*: at the epoch's end, None where the run was not evaluated there; train_*: means over the epoch's
    updates, train_acc None where the task does not watch it; learning_rate: that of the epoch's first update.
    """
    size, trace = span(record), record.trace
    acc, loss = (by_step(trace, f"validation_{name}") for name in ("accuracy", "loss"))
    watched, losses = (by_step(trace, f"train_{name}") for name in ("accuracy", "loss"))
    epochs, ends = size.epochs, [size.end(e) for e in size.epochs]
    inside = [range(e * size.per_epoch, size.end(e)) for e in epochs]
    return {
        "train_loss": [mean([losses.get(k) for k in steps]) for steps in inside],
        "train_acc": [percent(mean([watched.get(k) for k in steps])) for steps in inside],
        "val_loss": [loss.get(k) for k in ends],
        "val_acc": [percent(acc.get(k)) for k in ends],
        "learning_rate": rates(record.run, size, [steps[0] for steps in inside]),
        "epoch": list(epochs),
    }


def interpretability(record: Record) -> Json:
    """The original's interpretability_metrics.json: an entry for each update at which the gradient's norm was
    measured; {} for none.

    weight_changes: None where the distance was not measured there. loss_curvature: the Hessian's trace, at
    steps of its own.
    """
    norms = by_step(record.trace, "grad_norm")
    if not norms:
        return {}
    size, steps = span(record), list(norms)
    distance, losses = by_step(record.trace, "distance"), by_step(record.trace, "train_loss")
    trace, error = by_step(record.trace, "hessian_trace"), by_step(record.trace, "hessian_trace_se")
    return {
        "gradient_norms": list(norms.values()),
        "weight_changes": [distance.get(k) for k in steps],
        "loss_curvature": list(trace.values()),
        "learning_rates": rates(record.run, size, steps),
        "losses": [losses.get(k) for k in steps],
        "epochs": [k // size.per_epoch for k in steps],
        "steps": steps,
        "loss_curvature_se": [error.get(k) for k in trace],
        "loss_curvature_steps": list(trace),
    }


def layer_norms(record: Record) -> Json:
    """The original's layer_gradient_norms.json: {parameter: norms}, of parameters whose name contains
    "weight"."""
    names = [
        n.removeprefix("grad_norm.") for n in record.trace if n.startswith("grad_norm.") and "weight" in n
    ]
    return {n: list(by_step(record.trace, f"grad_norm.{n}").values()) for n in names}


def by_step(trace: Trace, name: str) -> dict[int, Value]:
    """{step: value} of a series, {} where it was not measured."""
    series = trace.get(name)
    return {} if series is None else {k: finite(v) for k, v in zip(series.steps, series.values, strict=True)}


def percent(value: Value) -> Value:
    """A fraction in percent."""
    return None if value is None else 100 * value


def mean(values: Sequence[Value]) -> Value:
    """The mean of what is known, None where nothing is."""
    known = [v for v in values if v is not None]
    return math.fsum(known) / len(known) if known else None


def rates(run: Run, size: RunSpan, steps: Sequence[int]) -> list[float]:
    """The learning rates of updates."""
    factor = run.factor_over(size.total, size.per_epoch)
    return [float(x) for x in run.peak_lr * factor(np.asarray(steps, dtype=np.int64))]


def warmup_steps(run: Run, size: RunSpan) -> float:
    """The updates of a run's warmup. Errors: UserError where its schedule has no option `warmup`."""
    data = run.schedule.json()
    if "warmup" not in data:
        raise UserError(
            f"the original's files say how long a run warms up, which schedule {data.get('name')!r} of run "
            f"{run.id} does not: write the study's report instead, with preheat report"
        )
    return length(data["warmup"]).resolve(
        size.total, size.per_epoch, sizes=Sizes(samples=float(run.batch_size))
    )


def per_class(run: Run, classes: int | None) -> Value:
    """The examples per class that a run trains on, where it can be told; a mean where classes differ."""
    options: Mapping[str, Any] = run.task.options
    if options.get("examples_per_class") is not None:
        return tidy_number(options["examples_per_class"])
    total = options.get("total_examples") or build("task", run.task).examples
    return None if not classes else tidy_number(total / classes)


def tidy_number(value: float) -> float:
    """An int where the number is whole."""
    return int(value) if value == int(value) else float(value)
