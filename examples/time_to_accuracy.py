"""When does a run first reach an accuracy? A study and its own chapter, with survival curves, in one file.

    preheat study when --import examples/time_to_accuracy.py
    preheat report when --import examples/time_to_accuracy.py

36 runs, about 15 seconds on 2 cores. A run that does not reach the level within its length is censored: its
time is at least that long. Curves: Kaplan and Meier 1958; comparison: the log-rank test (Mantel 1966) against
the first warmup. The chapter claims that a warmup is sooner; the page corrects and judges the claims.
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
from preheat.stats.claims import Claim, Judged, Verdict, Verdicts
from preheat.stats.estimates import Estimate

FAMILY = "time_to_accuracy"


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
    claim: str


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
        names = table.treatments.labels
        times = tuple(map(_survival, names, groups))
        claims = tuple(_sooner(names[i], groups[0], groups[i]) for i in range(1, len(groups)))
        return Times(self.level, times, claims)

    def show(self, found: Times, verdicts: Verdicts, table: Table) -> Shown:
        what, percent = human(table.study.treatment), f"{100 * found.level:g} %"
        lines = tuple(
            Line(s.treatment, i, _steps(s.x), _stairs(s.y), _stairs(s.lo), _stairs(s.hi))
            for i, s in enumerate(found.times)
        )
        caption = "Kaplan-Meier curves; bands: 95 % intervals."
        plate = Plate("", "time-to-accuracy", "", caption, Lines("step", f"runs below {percent} (%)", lines))
        rows = tuple(
            (treatment_name(table, s.treatment), str(s.runs), str(s.reached), *_judged(verdicts.get(s.claim)))
            for s in found.times
        )
        lead = f"The first evaluation at {percent} or more, against the first {what} (log-rank test)."
        columns = (what, "runs", "reached", "p, corrected", f"sooner to {percent}")
        return Shown(
            *("When it learns", lead, _says(found, verdicts, table, percent)),
            plates=(plate,),
            tables=(Rows("Runs", columns, rows, folded=False),),
        )


def _says(found: Times, verdicts: Verdicts, table: Table, percent: str) -> tuple[Say, ...]:
    """What is shown, for the answer."""
    told = []
    for kind, word in ((Verdict.SUPPORTED, "sooner"), (Verdict.OPPOSITE, "later")):
        some = [s.treatment for s in found.times if s.claim in verdicts and verdicts[s.claim].verdict is kind]
        names = listed([treatment_name(table, name) for name in some])
        told += [f"{percent} accuracy is reached {word} with {names} of warmup."] if some else []
    nothing = (
        f"No length of {human(table.study.treatment)} is shown to change when {percent} accuracy is reached."
    )
    return tuple(Say(text, 0) for text in told or [nothing])


def _judged(v: Judged | None) -> tuple[str, str]:
    return ("", "") if v is None else (p_text(v.p), verdict(v))


def _sooner(name: str, base: Sequence[tuple[int, bool]], group: Sequence[tuple[int, bool]]) -> Claim:
    """By how many steps a group is sooner, a censored run counted at its length; p: of the log-rank test."""
    gain = float(np.mean([k for k, _ in base]) - np.mean([k for k, _ in group]))
    p = float(logrank(_censored(base), _censored(group)).pvalue)
    effect = Estimate(gain, None, None, min(len(base), len(group)))
    said = {"p": None if np.isnan(p) else p, "p_same": None, "margin": 0.0, "unit": "steps"}
    return Claim(f"{FAMILY}/{name}", FAMILY, ("", "", name), effect, **said)


def _censored(group: Sequence[tuple[int, bool]]) -> CensoredData:
    return CensoredData(uncensored=[k for k, hit in group if hit], right=[k for k, hit in group if not hit])


def _survival(name: str, group: Sequence[tuple[int, bool]]) -> Survival:
    sf = ecdf(_censored(group)).sf
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
    return Survival(name, len(group), sum(hit for _, hit in group), x, y, low, high, f"{FAMILY}/{name}")


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
        told = {"chapters": ("time_to_accuracy", "curves"), "claims": {"primary": [FAMILY]}}
        return Study("when", question, grid, fixed, seeds=tuple(range(12)), **told)
