"""How the runs ended, and the limits of what is said, in words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from preheat.analysis.naming import panel_name
from preheat.analysis.table import DIVERGED, DONE, FAILED, LOST, MISSING, UNMEASURED, Table
from preheat.analysis.training import by_accuracy, learnt
from preheat.analysis.words import Units, human
from preheat.core.grid import label
from preheat.core.metrics import metric
from preheat.core.words import count, listed

MANY_SCORES = 30  # different ones; of fewer the smallest gap may be several steps


@dataclass(frozen=True)
class Counts:
    """How many runs were planned, and how they ended; missing ones have no record."""

    planned: int
    done: int
    diverged: int
    failed: int
    missing: int


def counts(table: Table) -> Counts:
    """How the planned runs ended."""
    n = {code: int((table.state == code).sum()) for code in (DONE, DIVERGED, FAILED, MISSING)}
    diverged = n[DIVERGED] + int((table.state == LOST).sum())
    done = n[DONE] + int((table.state == UNMEASURED).sum())
    return Counts(done + diverged + n[FAILED] + n[MISSING], done, diverged, n[FAILED], n[MISSING])


def unmeasured(table: Table) -> tuple[str, ...]:
    """That done runs lack the study's metric, and what to write instead; nothing where all have it."""
    lacking, done = int((table.state == UNMEASURED).sum()), counts(table).done
    if not lacking:
        return ()
    whose = "The records" if lacking == done else f"{lacking:,} of {count(done, 'record')}"
    head = f"{whose} have no {human(table.study.metric)}"
    if not table.others:
        return (f"{head} and no other metric of the test set.",)
    name = next((n for n in table.others if metric(n).unit), table.others[0])
    if lacking < done:
        return (f"{head}, only {human(name)}, and are left out.",)
    return (f"{head}: write metric: {name} and goal: {metric(name).goal}.",)


def unlearnt(table: Table) -> tuple[str, ...]:
    """That no setting learnt anything, of a panel or of all: nothing can then be said of a treatment."""
    lost = [p for p, yes in enumerate(learnt(table)) if not yes]
    if not lost:
        return ()
    told = _by_what(table, lost)
    if len(lost) < len(table.panels):
        names = listed([panel_name(table, table.panels.labels[p]) for p in lost])
        return (f"No setting of {names} learnt anything: {told}.",)
    what = human(table.study.treatment)
    return (
        f"No setting of this study learnt anything: {told}.",
        f"So nothing can be said of {what}: try other rates or longer runs.",
    )


def _by_what(table: Table, lost: list[int]) -> str:
    """What tells that these panels learnt nothing."""
    told = by_accuracy(table)
    right, rest = [p for p in lost if told[p]], [p for p in lost if not told[p]]
    out = []
    if right:
        best = float(np.nanmax(table.times_chance[right]))
        out.append(f"the highest training accuracy is {best:.3g} times that of chance")
    if rest:
        best, start = (float(np.nanmin(x[rest])) for x in (table.train, table.start))
        out.append(f"the lowest training loss is {best:.3g}, and a model that learnt nothing has {start:.3g}")
    return "; ".join(out)


def notes(table: Table, *, unread: int = 0) -> tuple[str, ...]:
    """Limits of what is said of any study, in words. unread: runs whose traces can't be read."""
    out = [*unmeasured(table), *_seed_notes(table), *_run_notes(table)]
    if unread:
        whose = "run has a damaged trace" if unread == 1 else "runs have damaged traces"
        out.append(
            f"{unread:,} {whose}, so no curve shows what was measured along the way. The final numbers are "
            "whole and count."
        )
    return tuple(out)


def _seed_notes(table: Table) -> list[str]:
    out = []
    n = len(table.seeds)
    if n == 1:
        out.append("One seed gives a description, not a conclusion: there are no intervals and no verdicts.")
    elif n < 5:
        out.append(f"With {n} seeds intervals are wide; more seeds say more.")
    if table.biased:
        out.append(
            "Later runs were asked for by what the reported seeds had scored (choosing is 0), so the numbers "
            "of "
            "those that did well are biased towards the good side, and no verdicts are given. Set choosing "
            "to 1 or more."
        )
    named = table.study.baseline
    if named is not None and all(label(v) != label(named) for v in table.treatments.values):
        out.append(
            f"The baseline {label(named)} is not among the treatments; {table.treatments.labels[table.base]} "
            "is used."
        )
    return out


def _run_notes(table: Table) -> list[str]:
    n, u, out = counts(table), Units.of(table.study.metric), []
    if n.diverged:
        scores = np.unique(table.chance[(table.state == DIVERGED) & np.isfinite(table.chance)])
        known = listed([u.value(float(v)) for v in scores[::-1]]) + (" (by task)" if len(scores) > 1 else "")
        score = f" and count with {known}, what a model scores that learnt nothing" if len(scores) else ""
        out.append(f"{n.diverged:,} of {n.planned:,} runs diverged{score}.")
    if n.failed:
        out.append(
            f"{n.failed:,} of {n.planned:,} runs failed: the program could not train them. They are left out."
        )
    if n.missing:
        left = "They are left out."
        out.append(f"{n.missing:,} of {n.planned:,} runs are missing. {left}")
    if table.step >= 5e-5 and u.unit and len(np.unique(table.test[table.state == DONE])) >= MANY_SCORES:
        small = table.step < 5e-4  # a difference would read as 0.0
        steps = u.margin(table.step) if small else u.difference(table.step, sign=False)
        out.append(
            f"Test {human(table.study.metric)} moves in steps of {steps}; standard deviations are at least "
            "what this rounding makes."
        )
    return out
