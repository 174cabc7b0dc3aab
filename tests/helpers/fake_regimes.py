"""Made-up studies of warmup against data size at the true numbers of updates, with records."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from fake_results import study

from preheat.analysis.results import Results, Row
from preheat.core.lengths import length
from preheat.core.record import Series
from preheat.core.spec import Spec
from preheat.studies.regimes.grid import CLAIMS, REPORTED

PER_EPOCH = {5000: 391, 1000: 79, 500: 40, 100: 8, 50: 4}
IN_EPOCHS: list[dict[str, float]] = [{"epochs": w} for w in (0.0, 1.0, 5.0, 10.0, 20.0)]
IN_BOTH = [*IN_EPOCHS, *({"steps": u} for u in (5, 20, 80, 320))]
SIZE, WARMUP, SELECTION = "task.examples_per_class", "schedule.warmup", "task.selection"
TASK, OPTIMIZER = "task.name", "optimizer.name"
FEW_SIZES = (1000, 500, 100)
EPOCHS_AND_40 = [*IN_EPOCHS, {"steps": 40}]  # 40 updates and 5 epochs are one run at 100 per class
Score = Callable[[int, float, int], float]


class Trained(NamedTuple):
    run: Any
    trace: Mapping[str, Series]


class Linear:
    """A schedule that reports the step it is asked for, as a share of the run."""

    def resolve(self, total: int, per_epoch: float | None, peak: float = 1.0) -> Callable[[Any], Any]:
        return lambda steps: np.asarray(steps) / total


def regimes(
    score: Score,
    warmups: Sequence[Any] = IN_BOTH,
    *,
    seeds: int = 5,
    sizes: Sequence[int] = tuple(PER_EPOCH),
    **axes: Any,
) -> Results:
    """score(size, warmup in updates, seed); axes: further scientific values of every run."""
    axes_of = {"nuisance": (), "scientific": (SIZE, WARMUP, *axes)}
    of = study(seeds=seeds, chapters=REPORTED, claims=CLAIMS, **axes_of)
    rows = []
    for size in sizes:
        for warmup in warmups:
            total = 100 * PER_EPOCH[size]
            updates = length(warmup).resolve(total, PER_EPOCH[size])
            for s in range(seeds if updates <= total else 0):
                y = score(size, updates, s)
                lengths = {"total_steps": total, "steps_per_epoch": PER_EPOCH[size], "chance_accuracy": 0.1}
                scores = {"validation_accuracy": y, "test_accuracy": y, "train_loss": float(-np.log(y))}
                summary = {**scores, **lengths}
                rows.append(
                    Row(f"r{len(rows)}", {SIZE: size, WARMUP: warmup, **axes}, s, "done", None, summary)
                )
    return Results(of, tuple(rows))


def hill(best: Callable[[int], float | None], *, noise: float = 0.01, seed: int = 0) -> Score:
    """A score that is highest at best(size) updates, plus noise; None: no warmup is better than another.

    As in training, settings of equal updates are one run with one score.
    """
    draw = np.random.default_rng(seed)
    drawn: dict[tuple[int, float, int], float] = {}

    def score(size: int, updates: float, s: int) -> float:
        top = best(size)
        gain = 0.0 if top is None or not updates else 0.03 * np.exp(-(np.log2(updates / top) ** 2) / 8)
        return float(
            0.8 + gain + noise * drawn.setdefault((size, round(updates, 6), s), draw.standard_normal())
        )

    return score


def trace(steps: Sequence[int], values: Sequence[float]) -> Series:
    return Series(array("q", steps), array("d", values))


def record(row: Row, **series: Series) -> Trained:
    """What the analysis reads of a record: its task's selection (from the axes), its rate and its traces."""
    task = Spec("cifar10", {"selection": row.axes[SELECTION]} if SELECTION in row.axes else {})
    said = {"task": task.json(), "peak_lr": 0.1}
    of = {"task": task, "peak_lr": 0.1, "rate_rule": None, "factor_over": Linear().resolve}
    return Trained(type("Run", (), {**of, "json": staticmethod(lambda: said)}), series)


def seed_noise(*key: float) -> float:
    """The same for the same run, so that two settings that are one run score alike."""
    return 0.004 * float(np.random.default_rng([int(1000 * k) for k in key]).standard_normal())


def level(size: int, updates: float, seed: int) -> float:
    """No warmup is better than another."""
    return 0.8 + seed_noise(size, updates, seed)


def peaked(size: int, updates: float, seed: int) -> float:
    """Warmup helps by 10 points, at the middle size only."""
    return level(size, updates, seed) + (0.1 if updates and size == 500 else 0.0)


def joined(*parts: Results, **changes: Any) -> Results:
    """Several grids as one study."""
    rows = [replace(r, run_id=f"p{i}") for i, r in enumerate(r for part in parts for r in part.rows)]
    return Results(replace(parts[0].study, **changes), tuple(rows))


def both_optimizers(
    score: Score, selection: str, *, seeds: int = 3, sizes: Sequence[int] = FEW_SIZES, task: str = "cifar10"
) -> list[Results]:
    """SGD and AdamW under one protocol."""
    axes = {SELECTION: selection, TASK: task}
    return [
        regimes(score, EPOCHS_AND_40, seeds=seeds, sizes=sizes, **{OPTIMIZER: o}, **axes)
        for o in ("sgd", "adamw")
    ]


def loader(results: Results, **more: Callable[[Row], Series]) -> Callable[[str], Any]:
    """Records whose best validation score lies in the middle, 2 points above the last; more: further
    series."""
    rows = {r.run_id: r for r in results.rows}

    def load(run_id: str) -> Any:
        row = rows[run_id]
        end = int(row.summary.get("total_steps") or 800)
        last = row.summary.get("validation_accuracy") or 0.0
        curve = trace([0, end // 2, end], [0.1, last + 0.02, last])
        return record(row, validation_accuracy=curve, **{name: make(row) for name, make in more.items()})

    return load


def two_protocols(**changes: Any) -> tuple[Results, dict[str, Any]]:
    """Two seeds, three warmups: with selection test 0.90 + 0.01 seed at the end and 0.02 + 0.01 seed more at
    the best."""
    rows: list[Row] = []
    for selection, sizes in (("validation", (1000, 100)), ("test", (5000, 100))):
        made = regimes(
            lambda n, u, s: 0.9 + 0.01 * s, IN_EPOCHS[:3], seeds=2, sizes=sizes, **{SELECTION: selection}
        )
        rows += made.rows
    rows = [replace(r, run_id=f"p{i}") for i, r in enumerate(rows)]
    honest = [
        replace(r, summary={**r.summary, "test_accuracy": 0.85}) if r.axes[SELECTION] == "validation" else r
        for r in rows
    ]
    of = replace(made.study, **changes)
    records = {}
    for r in rows:
        end = int(r.summary["total_steps"] or 0)
        best = 0.92 + 0.02 * r.seed
        curve = trace([0, end // 2, end], [0.99, best, 0.9 + 0.01 * r.seed])
        records[r.run_id] = record(r, validation_accuracy=curve)
    return Results(of, tuple(honest)), records
