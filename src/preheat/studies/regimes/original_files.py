"""A study's records in the files of Agrawal 2025, *Learning Rate Warmup Across Data Regimes*: what reads the
original's reads these.

`docs/original-files.md` lists every file and key, and what differs from the original's and why.
"""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from preheat.analysis.curves import chosen
from preheat.analysis.results import collect, read_index
from preheat.analysis.tabulate import tabulate
from preheat.core.errors import UserError
from preheat.core.grid import get, put
from preheat.core.lengths import length
from preheat.core.record import Record
from preheat.core.registry import EXPORTERS
from preheat.core.study import Study
from preheat.store.blobs import write_atomic, write_json
from preheat.store.segment import Head
from preheat.store.store import Store
from preheat.studies.regimes import original_metrics as told
from preheat.studies.regimes.original_analyzer import WarmupAnalyzer, in_folder
from preheat.studies.regimes.original_weights import write_best_models

Json = dict[str, Any]
LETTERS = {"epochs": "w", "steps": "u"}


class OriginalExperiment(NamedTuple):
    """A declared setting: its run with its record, the original's name for it, and the run's first name where
    that is another."""

    run_id: str
    head: Head | None
    name: str
    twin: str | None
    protocol: str

    @property
    def trained(self) -> bool:
        """Whether the record holds measurements."""
        return self.head is not None and self.head.status.outcome in ("done", "diverged")

    @property
    def error(self) -> str:
        """Why the run is not done; empty where it is."""
        if self.head is None:
            return "not trained yet: the study's command trains it"
        status = self.head.status
        if status.outcome == "diverged":
            return f"diverged: the loss or a parameter was not finite at step {status.step}"
        return status.reason or "failed" if status.outcome == "failed" else ""


@EXPORTERS.register("original")
def write_original_files(data: Any, store: Store, folder: Path) -> Path:
    """The files of Agrawal 2025, Learning Rate Warmup Across Data Regimes, as WarmupAnalyzer reads them.

    They are written into `folder`, which gives the path of its all_results.json. data: what study.json holds.
    A study of both protocols has the original's in `folder` and preheat's in `folder/preheat`, so that no
    mean mixes them. Errors: UserError where no run is trained, a name can't be a folder's, a schedule has no
    warmup, a task no number of examples per class: nothing is written then; and where the disk is full.
    """
    study, index = read_index(data)
    heads = {h.id: h for h in store.heads()}
    planned = experiments(study, data["points"], heads)
    if not any(e.trained for e in planned):
        raise UserError(
            f"no run of study {study.name!r} has been trained, so there is nothing to write: run the study "
            "first"
        )
    for head in (e.head for e in planned if e.trained and e.head is not None):
        _check(head)
    kept = {run_id for _, _, run_id in index}
    if study.nuisance:
        results = collect(study, index, heads.values())
        trained = ((r, None) for r in results.rows if r.outcome in ("done", "diverged"))
        kept = {r.run_id for rows in chosen(tabulate(results), trained).values() for r, _ in rows}
    places = _places(study) if any(e.error for e in planned) else {}
    apart = {e.protocol: [other for other in planned if other.protocol == e.protocol] for e in planned}
    checkpoints: list[tuple[str, Path]] = []
    for protocol, mine in apart.items():
        own = folder / protocol if len(apart) > 1 and protocol == "preheat" else folder
        _write(mine, store, own, kept=kept, places=places)
        checkpoints += [(e.run_id, own / "checkpoints" / e.name) for e in mine if e.trained]
    write_best_models(study, store.root, checkpoints)
    return folder / "all_results.json"


def _check(head: Head) -> None:
    """A record tells what every summary holds."""
    run = head.run()
    told.warmup_steps(run, told.span(head))
    if told.per_class(run, _classes(head)) is None:
        raise UserError(
            "the original's files say how many examples per class a run trains on, which task "
            f"{run.task.name!r} of run {run.id} does not: write its report instead, with preheat report"
        )


def experiments(
    study: Study, points: Sequence[Mapping[str, Any]], heads: Mapping[str, Head]
) -> list[OriginalExperiment]:
    """Every name of every planned run, in the study's order; names that the study does not give are built."""
    settings = [_setting(study, p, heads.get(p["run"])) for p in points]
    built = _apart([_name(s) for s in settings], settings, [p["run"] for p in points])
    usual = next((s for s, p in zip(settings, points, strict=True) if p["run"] in heads), {})
    out = []
    for point, setting, own in zip(points, settings, built, strict=True):
        names = point.get("names") or (own,)
        # a run without a record is as the others
        selection = get(setting, "task.selection") or get(usual, "task.selection")
        protocol = "original" if selection == "test" else "preheat"
        for name in names:
            if not re.fullmatch(r"\w[\w.-]*", name):
                raise UserError(
                    "an experiment's name is letters, digits, -, _ and ., since it names a folder, got "
                    f"{name!r}"
                )
            twin = None if name == names[0] else names[0]
            out.append(OriginalExperiment(point["run"], heads.get(point["run"]), name, twin, protocol))
    if twice := [name for name, n in Counter(e.name for e in out).items() if n > 1]:
        raise UserError(
            f"two settings of study {study.name!r} are named {twice[0]!r}, and each needs files of its own: "
            "rename one"
        )
    return out


def _setting(study: Study, point: Mapping[str, Any], head: Head | None) -> Json:
    """A planned run as it was declared; of one without a record, what the study says of it."""
    if head is not None:
        return dict(head.run_json)
    out: Json = copy.deepcopy({**study.fixed, "seed": point["seed"]})
    for path, value in point["axes"].items():
        put(out, path, value)
    return {
        k: {"name": v} if k in ("task", "optimizer", "schedule") and isinstance(v, str) else v
        for k, v in out.items()
    }


def _name(setting: Json) -> str:
    """The name that the original gives such a run: cifar10_500epc_w5_sgd_s42."""
    task = get(setting, "task.name", default="task")
    some, total = get(setting, "task.examples_per_class"), get(setting, "task.total_examples")
    per_class = "full" if some is None else f"{some}epc"
    size = f"{total}total" if total else per_class
    warmup = length(get(setting, "schedule.warmup", default=0))
    letter = LETTERS.get(warmup.unit, warmup.unit) if warmup else LETTERS["epochs"]
    optimizer = get(setting, "optimizer.name", default="optimizer")
    dataset = told.NAMES.get(task, task)
    return f"{dataset}_{size}_{letter}{warmup.value:g}_{optimizer}_s{setting['seed']}"


def _apart(names: Sequence[str], settings: Sequence[Json], ids: Sequence[str]) -> list[str]:
    """Names that are no longer equal: with the peak rate, and where that is not enough with the run's id."""
    for ends in ([f"_lr{get(s, 'peak_lr', default=0.0):g}" for s in settings], [f"_{i}" for i in ids]):
        times = Counter(names)
        names = [n + end if times[n] > 1 else n for n, end in zip(names, ends, strict=True)]
    return list(names)


def _places(study: Study) -> dict[str, int]:
    """{name or run's id: place among the declared settings, from 0}; {} where the study's tasks are not
    installed."""
    try:
        return {
            key: i for i, p in reversed(list(enumerate(study.declared()))) for key in (*p.names, p.run.id)
        }
    except UserError:
        return {}


def _write(
    mine: Sequence[OriginalExperiment],
    store: Store,
    folder: Path,
    *,
    kept: set[str],
    places: Mapping[str, int],
) -> None:
    summaries: list[Json] = []
    failed: list[Json] = []
    for one in mine:
        error = one.error
        if one.trained:
            try:
                record = store.load(one.run_id)
            except UserError as unreadable:
                error = str(unreadable)
            else:
                summaries.append({**_summary(one, record), "selected": one.run_id in kept})
                _write_run(one, record, summaries[-1], folder)
        if error:
            failed.append(
                {
                    "index": places.get(one.name, places.get(one.run_id)),
                    "experiment_name": one.name,
                    "error": error,
                }
            )
    _json(folder / "failed_experiments.json", failed)
    _json(folder / "all_results.json", summaries)
    if any(s["selected"] for s in summaries):
        WarmupAnalyzer(folder).create_summary_report(folder)


def _write_run(one: OriginalExperiment, record: Record, summary: Json, folder: Path) -> None:
    metrics, inside = folder / "metrics" / one.name, folder / "interpretability" / one.name
    _json(metrics / "metrics.json", told.metrics(record))
    _json(metrics / "summary.json", summary)
    text = yaml.safe_dump(_config(record, summary), sort_keys=False, allow_unicode=True)
    write_atomic(in_folder(metrics / "config.yaml"), text.encode())
    if measured := told.interpretability(record):
        _json(inside / "interpretability_metrics.json", measured)
        _json(inside / "layer_gradient_norms.json", told.layer_norms(record))


def _json(path: Path, value: Any) -> None:
    write_json(in_folder(path), value)


def _summary(one: OriginalExperiment, record: Record) -> Json:
    """The original's summary.json; after `total_epochs` come keys that are ours."""
    run, size = record.run, told.span(record)
    known = [v for v in told.metrics(record)["val_acc"] if v is not None]
    there, steps = told.per_class(run, _classes(record)), told.warmup_steps(run, size)
    asked = re.search(r"_(\d+)(epc|total)_", one.name)
    classes = (_classes(record) or 1) if asked and asked[2] == "total" else 1
    chose = "test" if one.protocol == "original" else "validation"
    return {
        "experiment_name": one.name,
        "dataset": told.NAMES.get(run.task.name, run.task.name),
        "examples_per_class": told.tidy_number(int(asked[1]) / classes) if asked else there,
        "warmup_epochs": told.tidy_number(steps / size.per_epoch),
        "optimizer": run.optimizer.name,
        "seed": run.seed,
        "best_val_acc": max(known, default=None),
        "final_val_acc": known[-1] if known else None,
        "training_time_seconds": record.provenance.get("seconds"),
        "total_epochs": told.tidy_number(size.total / size.per_epoch),
        "effective_examples_per_class": there,
        "duplicate_of": one.twin,
        "protocol": one.protocol,
        "val_split": chose,
        "test_acc": told.percent(record.summary.get("test_accuracy")) if chose == "validation" else None,
        "steps_per_epoch": size.per_epoch,
        "warmup_steps": told.tidy_number(steps),
        "lr": run.peak_lr,
        "outcome": record.status.outcome,
    }


def _config(record: Record, summary: Json) -> Json:
    """The original's config.yaml; `run` is ours: all that determines the result."""
    run = record.run
    model = run.task.options.get("model")
    numbers = {k: v for k, v in run.hyper.items() if k in ("momentum", "weight_decay")}
    return {
        "experiment_name": summary["experiment_name"],
        "data": {
            "name": summary["dataset"],
            "examples_per_class": summary["examples_per_class"],
            "data_dir": "./data",
        },
        "model": {
            "name": model["name"] if isinstance(model, Mapping) else model,
            "num_classes": _classes(record),
        },
        "training": {
            "optimizer": run.optimizer.name,
            "lr": run.peak_lr,
            **numbers,
            "batch_size": run.batch_size,
            "epochs": summary["total_epochs"],
            "warmup_epochs": summary["warmup_epochs"],
            "seed": run.seed,
        },
        "output_dir": "./results",
        "run": run.json(),
    }


def _classes(record: Record | Head) -> int | None:
    """The number of classes, from the accuracy of a guess."""
    chance = record.summary.get("chance_accuracy")
    return round(1 / chance) if chance else None
