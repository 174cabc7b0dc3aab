"""Curves as CSV files, in the columns that W&B exports of groups have.

Of a study where schedule and epochs tell the settings: a file for each schedule,
`Result_{task}_{model}-{schedule}.csv`, with `{schedule}{epochs}_val_loss`, `..._min` and `..._max` for each
number of epochs: mean, least and largest over the seeds that have a value there, blank where none has. Of any
other study: a file for each task and model, with `{group} - val_loss`, `...__MIN` and `...__MAX`, as W&B
calls them. Of a metric other than the loss: `Result_{task}_{model}_{METRIC}...`.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from preheat.adapters.trackers.base import Told
from preheat.adapters.trackers.names import SCHEDULE, flat, length, named
from preheat.core.errors import UserError
from preheat.core.registry import EXPORTERS
from preheat.core.run import Run
from preheat.core.study import Study
from preheat.core.telling import always_told
from preheat.store.blobs import write_atomic
from preheat.store.segment import Head
from preheat.store.store import Store

SPLIT, LOSS = "validation_", "loss"
Curve = dict[float, float]  # {epoch: value}


class _One(NamedTuple):
    """A run: what it is told as, its task and model, its schedule."""

    head: Head
    told: Told
    subject: str
    schedule: str

    @property
    def run(self) -> Run:
        """The run."""
        return self.head.run()

    @property
    def whole(self) -> bool:
        """Whether its length is a whole number of epochs."""
        return length(self.run).isdigit()


@EXPORTERS.register("csv")
def write_csv_curves(data: Any, store: Store, folder: Path) -> Path:
    """Validation curves, a file for each schedule: mean, least and largest over seeds after each epoch."""
    study = Study.from_json(data["study"])
    found = {h.id: h for h in store.heads() if h.status.outcome != "failed"}
    heads = [found[p["run"]] for p in data["points"] if p["run"] in found]
    if not heads:
        raise UserError(f"no run of study {study.name!r} has been trained: run the study first")
    runs, metrics = _ones(study, heads), _metrics(heads)
    by_schedule = _by_schedule(runs)
    files: dict[tuple[str, str], dict[str, list[Curve]]] = {}
    for one in runs:
        column = f"{one.schedule}{length(one.run)}" if by_schedule else one.told.group
        for metric, curve in _curves(store, one, metrics).items():
            mark = "" if metric == LOSS else f"_{metric.upper()}"
            name = f"Result_{one.subject}{mark}" + (f"-{one.schedule}" if by_schedule else "")
            files.setdefault((name, metric), {}).setdefault(column, []).append(curve)
    between, ends = ("_", ("_min", "_max")) if by_schedule else (" - ", ("__MIN", "__MAX"))
    written = []
    for (name, metric), columns in files.items():
        written.append(folder / f"{re.sub(r'[^A-Za-z0-9_.+-]+', '_', name)}.csv")
        write_atomic(written[-1], _table(columns, f"{between}val_{metric}", ends).encode())
    return written[0] if len(written) == 1 else folder


def _ones(study: Study, heads: Sequence[Head]) -> list[_One]:
    runs = {h.id: h.run() for h in heads}
    told = named([*runs.values()], always=always_told(study), spans=_spans(heads))
    return [_One(h, told[h.id], subject(runs[h.id]), flat(runs[h.id])[SCHEDULE]) for h in heads]


def _spans(heads: Iterable[Head]) -> dict[str, int]:
    return {h.id: int(h.summary.get("steps_per_epoch") or 1) for h in heads}


def subject(run: Run) -> str:
    """The task, and what of its options has a name, such as its model.

    >>> subject(Run(task="quadratic", optimizer="sgd"))
    'quadratic'
    """
    options = run.task.options.values()
    inner = [str(one["name"]) for one in options if isinstance(one, Mapping) and "name" in one]
    return "_".join([run.task.name, *inner])


def _by_schedule(runs: Iterable[_One]) -> bool:
    """Whether a subject, a schedule and a number of epochs tell the settings."""
    runs = list(runs)
    places = {(one.subject, one.schedule, length(one.run)) for one in runs}
    return len(places) == len({one.told.group for one in runs}) and all(one.whole for one in runs)


def _metrics(heads: Iterable[Head]) -> list[str]:
    """What was evaluated in validation, the loss first."""
    found = {n.removeprefix(SPLIT) for head in heads for n in head.series if n.startswith(SPLIT)}
    return sorted(found, key=lambda name: (name != LOSS, name))


def _curves(store: Store, one: _One, metrics: Sequence[str]) -> dict[str, Curve]:
    """{metric: {epochs done: value}}, without the untrained model and what is not finite."""
    trace, per_epoch = store.trace(one.head, [f"{SPLIT}{name}" for name in metrics]), one.told.per_epoch
    found = {}
    for name, series in trace.items():
        points = zip(series.steps, series.values, strict=True)
        found[name.removeprefix(SPLIT)] = {k / per_epoch: v for k, v in points if k and math.isfinite(v)}
    return found


def _table(columns: Mapping[str, Sequence[Curve]], name: str, ends: tuple[str, str]) -> str:
    """The file's text. columns: {what a column begins with: the seeds' curves}; ends: of the least and the
    largest."""
    epochs = sorted({at for curves in columns.values() for curve in curves for at in curve})
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\n").writerow
    write(["epoch", *(f"{column}{name}{end}" for column in columns for end in ("", *ends))])
    for at in epochs:
        row = [f"{at:g}" if at != int(at) else str(int(at))]
        for curves in columns.values():
            some = [curve[at] for curve in curves if at in curve]
            row += [repr(x) for x in (sum(some) / len(some), min(some), max(some))] if some else [""] * 3
        write(row)
    return out.getvalue()
