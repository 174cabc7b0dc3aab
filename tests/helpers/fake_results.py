"""Results of made-up studies, from arrays [P, C, T, V, S]: panels, sizes, warmups, rates, seeds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from preheat.analysis.results import Results, Row
from preheat.analysis.table import Table
from preheat.analysis.tabulate import tabulate
from preheat.core.grid import Block
from preheat.core.study import Study

SIZES = (100, 50, 20, 10, 5)
WARMUPS = (0, 1, 5, 10, 20)
RATES = (0.05, 0.1, 0.2, 0.4)
PANELS = ("sgd", "adamw")


def study(*, seeds: int = 8, choosing: int = 0, **changes: Any) -> Study:
    said: dict[str, Any] = {
        "name": "made-up",
        "question": "Does it matter?",
        "grid": (Block(),),
        "scientific": ("task.examples_per_class", "schedule.warmup", "optimizer.name"),
        "nuisance": ("peak_lr",),
        "seeds": tuple(range(seeds)),
        "choosing": choosing,
        "condition": "task.examples_per_class",
    }
    return Study(**{**said, **changes})


def results(
    validation: Any,
    test: Any = None,
    *,
    train: Any = None,
    outcome: Any = None,
    of: Study | None = None,
    **axes: Any,
) -> Results:
    """axes: panels, sizes, warmups, rates, tasks (their values). outcome: texts, "done" by default. train: the
    training loss, by default as good as the test score."""
    validation = np.asarray(validation, dtype=float)
    test = validation if test is None else np.asarray(test, dtype=float)
    loss = train_loss(test) if train is None else np.asarray(train, dtype=float)
    asked = of or study(seeds=validation.shape[-1])
    values = [
        axes.get(k, d)
        for k, d in (("panels", PANELS), ("sizes", SIZES), ("warmups", WARMUPS), ("rates", RATES))
    ]
    rows = []
    for at in np.ndindex(validation.shape):
        p, c, t, v, s = at
        place = {
            "optimizer.name": values[0][p],
            "task.examples_per_class": values[1][c],
            "peak_lr": values[3][v],
        }
        place |= {
            "schedule.warmup": {"epochs": float(values[2][t])},
            "task.name": axes.get("tasks", [None] * 99)[p],
        }
        kind = "done" if outcome is None else str(outcome[at])
        scores = {
            f"validation_{asked.metric}": float(validation[at]),
            f"test_{asked.metric}": float(test[at]),
            "train_loss": float(loss[at]),
        }
        numbers = scores if kind == "done" else {}
        summary = {"total_steps": 400, "steps_per_epoch": 4, "chance_accuracy": 0.1, **numbers}
        known = {path: place[path] for path in asked.axes}
        step = 7 if kind == "diverged" else None
        rows.append(
            Row(
                f"run{len(rows):05d}", known, asked.seeds[s], kind, step, {} if kind == "missing" else summary
            )
        )
    return Results(asked, tuple(rows))


def blank(shape: tuple[int, ...] = (2, 5, 5, 1, 8), **axes: Any) -> Table:
    """A table of the shape whose scores are filled in by `filled`; one rate by default."""
    axes.setdefault("rates", RATES[: shape[3]])
    return tabulate(results(np.zeros(shape), **axes))


def train_loss(accuracy: Any) -> Any:
    """The loss of a model whose probability of the right answer is its accuracy."""
    return -np.log(np.maximum(np.asarray(accuracy, dtype=float), 1e-9))


def filled(table: Table, validation: Any, test: Any) -> Table:
    scores = (np.asarray(x, dtype=float) for x in (validation, test, train_loss(test)))
    return replace(table, **dict(zip(("validation", "test", "train"), scores, strict=True)))


def noisy(shape: tuple[int, ...] = (2, 5, 5, 4, 6), seed: int = 0, noise: float = 0.01) -> Any:
    return 0.9 + noise * np.random.default_rng(seed).standard_normal(shape)
