"""Results as a real study would give them, made from formulas: for the report's tests and screenshots."""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from preheat.analysis.results import Results, Row
from preheat.core.grid import Block
from preheat.core.record import Record, Series, Status
from preheat.core.run import Run
from preheat.core.study import Study
from preheat.report.report import Report, report
from preheat.schedules import cosine

SIZE, WARMUP, OPTIMIZER, RATE = "task.examples_per_class", "schedule.warmup", "optimizer.name", "peak_lr"
CONDITIONS = (100, 50, 20, 10, 5)
WARMUPS = (0, 1, 5, 10, 20)
TREATMENTS = ("0ep", "1ep", "5ep", "10ep", "20ep")
PANELS = ("sgd", "adamw")
RATES = {"sgd": (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.8), "adamw": (0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.4)}
SEEDS = tuple(range(6))
EPOCHS, PER_EPOCH = 50, 4
CHAPTERS = (
    *("main", "edge", "hypotheses", "metric", "benefit", "best", "inside_edge", "rule", "curves"),
    "untrained",
)
PROBED = tuple(range(0, EPOCHS * PER_EPOCH, 25))
LAYERS = ("stem.weight", "block.weight", "head.weight")


class Made(NamedTuple):
    """Results, and the record of each run by its id."""

    results: Results
    load: Callable[[str], Record]

    def report(self, *chapters: Any) -> Report:
        return report(self.results, self.load, chapters=chapters)


def study(**changes: Any) -> Study:
    said: dict[str, Any] = {
        "name": "regimes",
        "question": "How does the best length of warmup depend on the amount of data?",
        "grid": (Block(),),
        "scientific": (SIZE, WARMUP, OPTIMIZER),
        "nuisance": (RATE,),
        "seeds": SEEDS,
        "condition": SIZE,
        "chapters": CHAPTERS,
    }
    return Study(**{**said, **changes})


def level(size: float, warm: float) -> float:
    bump = 0.012 * math.exp(-((math.log(size / 20)) ** 2)) * (1 - math.exp(-warm / 3))
    return 0.975 - 0.5 / size**0.7 + bump


def edge_at(panel: str, size: float, warm: float) -> float:
    moved = 1 + (0.05 if panel == "sgd" else 0.11) * math.log2(1 + warm)
    return RATES[panel][3] * moved * (0.9 + 0.04 * math.log2(size))


def _row(noise: random.Random, axes: Mapping[str, Any], seed: int, run_id: str) -> Row:
    panel, size, warm, rate = axes[OPTIMIZER], axes[SIZE], axes[WARMUP]["epochs"], axes[RATE]
    edge = edge_at(panel, size, warm) * 2 ** noise.gauss(0, 0.15)
    known = {"total_steps": EPOCHS * PER_EPOCH, "steps_per_epoch": PER_EPOCH, "chance_accuracy": 0.1}
    accuracy = 0.1 + 0.1 * noise.random()
    if rate < edge:
        accuracy = min(
            0.99, level(size, warm) - 0.01 * math.log2(2.5 * rate / edge) ** 2 + noise.gauss(0, 0.002)
        )
    if rate >= 1.4 * edge:
        return Row(run_id, axes, seed, "diverged", noise.randrange(5, 200), known)
    scores = {"validation_accuracy": accuracy, "test_accuracy": accuracy - 0.004 + noise.gauss(0, 0.002)}
    return Row(run_id, axes, seed, "done", None, {**known, **scores, "train_loss": -math.log(accuracy)})


@cache
def full(panels: tuple[str, ...] = PANELS, conditions: tuple[int, ...] = CONDITIONS) -> Made:
    """By default two panels, five sizes, five warmups, seven rates, six seeds: 2,100 runs, ten are
    missing."""
    noise, rows = random.Random(1), []
    for panel in panels:
        for size in conditions:
            for warm in WARMUPS:
                for rate in RATES[panel]:
                    axes = {SIZE: size, WARMUP: {"epochs": float(warm)}, OPTIMIZER: panel, RATE: rate}
                    for seed in SEEDS:
                        rows.append(_row(noise, axes, seed, f"{noise.getrandbits(64):016x}"))
    for k in range(0, len(rows), len(rows) // 10):
        r = rows[k]
        rows[k] = Row(r.run_id, r.axes, r.seed, "missing", None, {})
    by_id = {r.run_id: r for r in rows}
    return Made(Results(study(), tuple(rows)), lambda run_id: record(by_id[run_id]))


@cache
def _run(panel: str, warm: float, rate: float) -> Run:
    schedule = cosine(warmup=f"{warm:g}ep")
    return Run("digits", optimizer=panel, schedule=schedule, peak_lr=rate, length=f"{EPOCHS}ep", trusted=True)


def series(steps: Sequence[int], values: Sequence[float]) -> Series:
    return Series(array("q", steps), array("d", values))


def record(row: Row) -> Record:
    """Loss and accuracies that depend on size and warmup, a probe of one number with its standard error, and
    one of each layer."""
    panel, size, warm = row.axes[OPTIMIZER], row.axes[SIZE], row.axes[WARMUP]["epochs"]
    total = EPOCHS * PER_EPOCH
    steps = range(0, total, 4)
    u = [k / total for k in steps]
    loss = [2.3 * math.exp(-(4 + 0.02 * warm + 0.01 * row.seed) * x) + 0.02 + 0.1 / size for x in u]
    score = [level(size, warm) * (1 - math.exp(-(6 - 0.1 * warm + 0.1 * row.seed) * x)) for x in u]
    trace = {
        "train_loss": series(steps, loss),
        "train_accuracy": series(steps, [min(1.0, s + 0.01) for s in score]),
        "validation_accuracy": series(steps, score),
        "grad_norm": series(PROBED, [3 * math.exp(-k / total) for k in PROBED]),
        "trace": series(PROBED, [9 + row.seed - 8 * k / total for k in PROBED]),
        "trace_se": series(PROBED, [0.5] * len(PROBED)),
    }
    for i, layer in enumerate(LAYERS):
        trace[f"grad_norm.{layer}"] = series(PROBED, [(1 + i) * math.exp(-k / total) for k in PROBED])
    return Record(_run(panel, warm, row.axes[RATE]), Status("done"), trace, row.summary)


def found(made: Report, name: str) -> Any:
    """What a chapter found."""
    return next(c.found for c in made.chapters if c.name == name)


def plates(made: Report) -> dict[str, Any]:
    """{name: plate} of every figure."""
    return {p.name: p for c in made.chapters for p in c.shown.plates}


def few(n: int = 6, **changes: Any) -> Made:
    """One panel, one size, two warmups, one rate, n seeds, records without traces: for tests of the page."""
    of = study(scientific=(WARMUP,), nuisance=(), condition="", seeds=tuple(range(n)), **changes)
    noise, rows = random.Random(2), []
    for warm in (0, 5):
        for s in range(n):
            y = 0.9 + noise.gauss(0, 0.01)
            scores = {"validation_accuracy": y, "test_accuracy": y, "total_steps": 40, "steps_per_epoch": 4}
            rows.append(Row(f"{warm}-{s}", {WARMUP: {"epochs": float(warm)}}, s, "done", None, scores))
    run = Run("digits", optimizer="sgd", schedule=cosine(), length="10ep", trusted=True)
    return Made(Results(of, tuple(rows)), lambda run_id: Record(run, Status("done")))


def empty() -> Made:
    """A study without runs."""
    return Made(Results(study(name="none", question="Does it matter?"), ()), record)


def small() -> Made:
    """One seed, no condition, no edge, a loss to be minimised, and names that are HTML."""
    script = "</script><script>alert(1)</script>"
    of = study(
        **{"name": "tiny", "question": "Is <script>alert(1)</script> escaped & $shown$?", "margin": 0.1},
        **{"metric": "loss", "scientific": (WARMUP, "task.name"), "nuisance": (), "condition": ""},
        **{"seeds": (0,), "notes": ("One seed.",)},
    )
    rows = []
    for k, (warm, loss) in enumerate((("0", 0.41237), ("<b>5%</b>", 0.40237))):
        scores = {"validation_loss": loss, "test_loss": loss, "train_loss": math.nan, "total_steps": 10}
        rows.append(Row(str(k), {WARMUP: warm, "task.name": script}, 0, "done", None, scores))
    run = Run("digits", optimizer="sgd", schedule=cosine(), length="10", trusted=True)
    return Made(Results(of, tuple(rows)), lambda run_id: Record(run, Status("done")))
