"""How the runs ended, and the limits of what is said, in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from preheat.analysis.findings import Cell, Counts, Edge
from preheat.analysis.table import DIVERGED, DONE, FAILED, LOST, MISSING, UNMEASURED, Table
from preheat.analysis.words import Units, count, human, listed
from preheat.core.grid import label


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
    name = "accuracy" if "accuracy" in table.others else table.others[0]
    goal = "min" if any(word in name for word in ("loss", "error")) else "max"
    advice = f" Write metric: {name} and goal: {goal}." if lacking == done else " They are left out."
    return (f"{head}: they measure {listed([human(n) for n in table.others])}.{advice}",)


def notes(table: Table, cells: Sequence[Cell], edges: Sequence[Edge], *, unread: int = 0) -> tuple[str, ...]:
    """Limits of what is said, in words. unread: runs whose traces can't be read."""
    return (
        *unmeasured(table),
        *_seed_notes(table),
        *_run_notes(table),
        *_grid_notes(table, cells, edges),
        *_trace_notes(unread),
    )


def _trace_notes(unread: int) -> list[str]:
    if not unread:
        return []
    whose = "its stored trace is" if unread == 1 else "their stored traces are"
    return [
        f"{count(unread, 'run')} left out of the curves: {whose} damaged. The final numbers are whole and "
        "count."
    ]


def _seed_notes(table: Table) -> list[str]:
    out = []
    judging = len(table.seeds[table.judges])
    if judging == 1:
        out.append(
            "One judging seed gives a description, not a conclusion: there are no intervals and no verdicts."
        )
    elif judging < 5:
        out.append(f"With {judging} judging seeds intervals are wide; more seeds say more.")
    if table.biased:
        out.append(
            "The nuisance is chosen on the seeds that are reported (choosing is 0), so all numbers at the "
            "chosen value are "
            "biased towards the good side, and no verdicts are given. Set choosing to 1 or more."
        )
    if table.study.choosing == 1 and bool((table.planned.sum(axis=-1) > 1).any()):
        what = listed([human(n) for n in table.study.nuisance])
        out.append(f"One seed alone chose the {what}: the choice is noisy and can make a setting look bad.")
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
        left = "They are left out, and count as the worst where a nuisance is chosen."
        out.append(f"{n.missing:,} of {n.planned:,} runs are missing. {left}")
    if table.step >= 5e-5 and table.study.metric == "accuracy":
        steps = u.difference(table.step, sign=False)
        out.append(
            f"Test accuracy moves in steps of {steps}; standard deviations are at least what this rounding "
            "makes."
        )
    return out


def _grid_notes(table: Table, cells: Sequence[Cell], edges: Sequence[Edge]) -> list[str]:
    out = []
    unjudged = sum(c.estimate.n == 0 for c in cells)
    if unjudged:
        out.append(f"{unjudged} of {count(len(cells), 'setting')} have no judged run.")
    single = sum(c.estimate.n == 1 for c in cells)
    if single and any(c.estimate.n > 1 for c in cells):
        out.append(
            f"{single} of {count(len(cells), 'setting')} have one judging seed: they are described only."
        )
    if table.numeric:
        ends = sum(_at_end(table, p, c, t) for p, c, t in np.argwhere(table.chosen >= 0))
        if ends:
            name = human(table.study.nuisance[0])
            where = f"in {ends} of {count(len(cells), 'setting')}"
            out.append(f"The chosen {name} lies at the end of its grid {where}; a wider grid may do better.")
    censored, runs = sum(e.censored for e in edges), sum(e.edge.n for e in edges)
    if censored:
        why = "training worked at every value, or at none, so the edge lies outside the grid"
        bound = "Where this is so for more than a quarter of the seeds, an edge is given as a bound (at least, at most)."
        out.append(f"{censored} of {runs} edges are censored: {why}. {bound}")
    return out


def _at_end(table: Table, p: int, c: int, t: int) -> bool:
    values = np.flatnonzero(table.planned[p, c, t])
    return len(values) > 1 and table.chosen[p, c, t] in (values[0], values[-1])
