"""When does a run first reach an accuracy? A study and its own chapter, with survival curves, in one file.

    preheat study when --import examples/time_to_accuracy.py
    preheat report when --import examples/time_to_accuracy.py

36 runs, about 15 seconds on 2 cores. A run that does not reach the level within its length is censored: its
time is at least that long. Curves: Kaplan and Meier 1958; comparison: the log-rank test (Mantel 1966) against
the first warmup. The page corrects its p-values: they are this study's primary claims.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import CensoredData, ecdf, logrank

from preheat import CHAPTERS, STUDIES, Block, Record, Study
from preheat.analysis.naming import treatment_name
from preheat.analysis.results import Row
from preheat.analysis.table import Table
from preheat.analysis.words import human, p_text
from preheat.core.words import listed
from preheat.report.chapter import Chapter, Rows, Say, Seen, Shown, verdict
from preheat.report.drawing.shapes import Line, Lines
from preheat.report.plates import Plate
from preheat.stats.claims import Claim, Verdict, Verdicts
from preheat.stats.estimates import Estimate


@dataclass(frozen=True)
class Survival:
    """The share y of a treatment's runs that have not reached the level by step x, with 95 % limits."""

    treatment: str
    runs: int
    reached: int
    x: tuple[float, ...]
    y: tuple[float, ...]
    lo: tuple[float, ...]
    hi: tuple[float, ...]


@dataclass(frozen=True)
class Times:
    """One curve for each treatment, and the claims that they are sooner than the first."""

    level: float
    times: tuple[Survival, ...]
    claims: tuple[Claim, ...]


@CHAPTERS.register("time_to_accuracy")
@dataclass(frozen=True)
class TimeToAccuracy(Chapter):
    """When runs first reach an accuracy, by treatment; runs that never do are censored."""

    level: float = 0.8

    def each(self, record: Record, row: Row) -> tuple[int, bool] | None:
        """(step, whether the level was reached at it)."""
        curve = record.trace.get("validation_accuracy")
        if curve is None:
            return None
        hits = [k for k, v in zip(curve.steps, curve.values, strict=True) if v >= self.level]
        return (hits[0], True) if hits else (int(row.summary["total_steps"] or 0), False)

    def find(self, table: Table, seen: Seen) -> Times | None:
        groups: list[list[tuple[int, bool]]] = [[] for _ in table.treatments.labels]
        for row, small in seen:
            groups[table.where[row.run_id][2]].append(small)
        if not all(groups):
            return None
        data = [_censored(group) for group in groups]
        names = table.treatments.labels
        claims = tuple(_earlier(names, groups, data, i) for i in range(1, len(names)))
        return Times(self.level, tuple(map(_survival, names, groups, data)), claims)

    def show(self, found: Times, verdicts: Verdicts, table: Table) -> Shown:
        what, percent = human(table.study.treatment), f"{100 * found.level:g} %"
        lines = tuple(
            Line(s.treatment, i, _steps(s.x), _stairs(s.y), _stairs(s.lo), _stairs(s.hi))
            for i, s in enumerate(found.times)
        )
        caption = "Kaplan-Meier curves; bands: 95 % intervals."
        plate = Plate("", "time-to-accuracy", "", caption, Lines("step", f"runs below {percent} (%)", lines))
        rows = tuple(
            (treatment_name(table, s.treatment), str(s.runs), str(s.reached), *_told(verdicts, s.treatment))
            for s in found.times
        )
        lead = f"The first evaluation at {percent} or more; p: log-rank against the first {what}."
        table_of_runs = Rows("Runs", (what, "runs", "reached", "p, corrected", "verdict"), rows, folded=False)
        says = tuple(Say(text, i) for i, text in enumerate(_says(verdicts, table, percent)))
        return Shown("When it learns", lead, says=says, plates=(plate,), tables=(table_of_runs,))


def _earlier(
    names: Sequence[str], groups: Sequence[Sequence[tuple[int, bool]]], data: Sequence[CensoredData], i: int
) -> Claim:
    """That the level is reached earlier than with the first treatment; the effect is the difference of the
    mean times, in steps, of which one that was not reached counts as the run's length."""
    first, mine = (float(np.mean([k for k, _ in group])) for group in (groups[0], groups[i]))
    effect = Estimate(first - mine, None, None, min(len(groups[0]), len(groups[i])))
    p = float(logrank(data[0], data[i]).pvalue)
    return Claim(f"times/{names[i]}", "times", ("", "", names[i]), effect, p, None, 0.0, "steps")


def _told(verdicts: Verdicts, treatment: str) -> tuple[str, str]:
    v = verdicts.get(f"times/{treatment}")
    return ("", "") if v is None else (p_text(v.p), verdict(v))


def _says(verdicts: Verdicts, table: Table, percent: str) -> list[str]:
    """What is shown, a sentence for each direction."""
    out = []
    for kind, when in ((Verdict.SUPPORTED, "earlier"), (Verdict.OPPOSITE, "later")):
        some = [v.at[2] for v in verdicts.values() if v.family == "times" and v.verdict is kind]
        if some:
            names = listed([treatment_name(table, name) for name in some])
            out.append(f"{percent} accuracy is reached {when} with {names}.")
    what = human(table.study.treatment)
    return out or [f"No length of {what} is shown to change when {percent} accuracy is reached."]


def _censored(group: Sequence[tuple[int, bool]]) -> CensoredData:
    return CensoredData(uncensored=[k for k, hit in group if hit], right=[k for k, hit in group if not hit])


def _survival(name: str, group: Sequence[tuple[int, bool]], data: CensoredData) -> Survival:
    sf = ecdf(data).sf
    with (
        warnings.catch_warnings()
    ):  # the interval is undefined where none or all have reached it: from 0 to 1
        warnings.simplefilter("ignore", RuntimeWarning)
        limits = sf.confidence_interval(method="log-log")
    lo, hi = (
        np.nan_to_num(limits.low.probabilities, nan=0.0),
        np.nan_to_num(limits.high.probabilities, nan=1.0),
    )
    x, y, low, high = (tuple(map(float, values)) for values in (sf.quantiles, sf.probabilities, lo, hi))
    return Survival(name, len(group), sum(hit for _, hit in group), x, y, low, high)


def _steps(x: Sequence[float]) -> tuple[float, ...]:
    return tuple(np.repeat((0.0, *x), 2)[1:].tolist())


def _stairs(y: Sequence[float]) -> tuple[float, ...]:
    return tuple((100 * np.repeat((1.0, *y), 2)[:-1]).tolist())


@STUDIES.register("when")
@dataclass(frozen=True)
class When:
    """When does a small network first reach 80 % accuracy, by the length of the warmup?"""

    def study(self) -> Study:
        """The declaration."""
        fixed = {
            "task": {"name": "digits", "examples_per_class": 20},
            "optimizer": {"name": "adamw"},
            "schedule": {"name": "cosine"},
            **{"length": "20ep", "batch_size": 25, "evaluate": 2, "peak_lr": 0.01},
        }
        grid = (Block(product={"schedule.warmup": ["0ep", "2ep", "10ep"]}),)
        question = "When does a small network first reach 80 % accuracy, by the length of the warmup?"
        return Study(
            *("when", question, grid, fixed),
            seeds=tuple(range(12)),
            chapters=("time_to_accuracy", "curves"),
            claims={"primary": ["times"]},
        )
