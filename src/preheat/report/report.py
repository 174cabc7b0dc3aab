"""From a study's results to everything that its report says: the chapters, the answer, the limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from preheat.analysis.curves import Load
from preheat.analysis.notes import Counts, counts, notes, unmeasured
from preheat.analysis.results import Results
from preheat.analysis.table import DONE, Table
from preheat.analysis.tabulate import tabulate
from preheat.analysis.words import GAP, capital, human
from preheat.core.canon import known
from preheat.core.words import count, listed
from preheat.report.chapter import Read, Written, read
from preheat.report.data import found_json, found_tables
from preheat.report.runs import flat_runs


@dataclass(frozen=True)
class Report:
    """A study's report as data. sure: how sure it is, line by line; notes: limits and surprises; failed:
    chapters that raised, one line each, which are also notes."""

    results: Results
    counts: Counts
    answer: str
    chapters: tuple[Written, ...] = ()
    sure: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    table: Table | None = None
    failed: tuple[str, ...] = ()

    def summary(self) -> dict[str, Any]:
        """For `summary.json`: the study, the answer, what every chapter found; runs and points of
        curves are tables."""
        study, t = self.results.study, self.table
        seeds = t.seeds if t else study.seeds
        head = {
            k: getattr(study, k)
            for k in ("name", "question", "metric", "goal", "margin", "treatment", "condition")
        }
        axes = {k: getattr(t, k).labels if t else () for k in ("treatments", "conditions", "panels")}
        axes = axes if study.condition else {**axes, "conditions": ()}
        return {
            **head,
            "nuisance": ", ".join(study.nuisance),
            "answer": self.answer,
            **axes,
            "choosing": tuple(seeds[: study.choosing]),
            "judging": tuple(seeds[study.choosing :]),
            "counts": asdict(self.counts),
            "notes": self.notes,
            "chapters": {c.name: found_json(c.found) for c in self.chapters},
        }

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """{name: rows} for the CSV and JSON files; two tables of one name, or one called as the table of
        all runs, get their chapters' names before it."""
        made = [(c.name, name, rows) for c in self.chapters for name, rows in found_tables(c.found).items()]
        names = ["runs", *(name for _, name, _ in made)]
        out = {name if names.count(name) == 1 else f"{chapter}_{name}": rows for chapter, name, rows in made}
        return {**out, "runs": [known(dict(row)) for row in flat_runs(self.results)]}


def report(results: Results, load: Load | None = None, *, chapters: Sequence[Any] = ()) -> Report:
    """The report of a study. load: reads one record with its trace, by run id; without it nothing is read of
    traces.

    chapters: in place of the study's own.
    """
    if not results.rows:
        text = "The study has no runs, so nothing can be said."
        return Report(results, Counts(0, 0, 0, 0, 0), text, notes=(text,))
    table = tabulate(results)
    lacking = unmeasured(table)
    if lacking and not (table.state == DONE).any():
        said = " ".join((*lacking, *_preliminary(table)))
        return Report(results, counts(table), said, notes=(*results.study.notes, *lacking), table=table)
    trained = results.rows if load else ()
    found = read(chapters or results.study.chapters, table, trained, load or _nothing)
    told = (
        *results.study.notes,
        *(note for c in found.chapters for note in c.shown.notes),
        *notes(table, unread=found.unread),
        *found.notes,
    )
    head = (results, counts(table), _answer(table, found), found.chapters)
    return Report(*head, sure=tuple(_sure(table)), notes=told, table=table, failed=found.failed)


def _nothing(run_id: str) -> Any:
    raise AssertionError("no rows are read without a loader")


def _answer(table: Table, found: Read) -> str:
    """What must be known first, the chapters' sentences in their order, and what to do."""
    n = counts(table)
    if not n.done and not n.diverged:
        return "No run of this study has a result yet, so nothing can be said."
    if not n.done:
        return (
            f"All {n.diverged} runs that started diverged, so nothing can be said of "
            f"{human(table.study.treatment)}."
        )
    shown = [c.shown for c in found.chapters]
    advice = [text for s in shown for text in s.advice]
    said = [*unmeasured(table), *_preliminary(table), *(text for s in shown for text in s.caution)]
    said += [text for s in shown for text in s.says]
    said += [f"in practice: {'; '.join(advice)}."] if advice else []
    if n.failed:
        said.append(f"{n.failed:,} of {count(n.planned, 'planned run')} failed and have no result.")
    return " ".join(capital(s) for s in said)


def _preliminary(table: Table) -> list[str]:
    """That runs are missing."""
    n = counts(table)
    return (
        [f"Preliminary: {n.planned - n.missing:,} of {count(n.planned, 'run')} have a record."]
        if n.missing
        else []
    )


def _sure(table: Table) -> list[str]:
    """Which seeds chose, which judged, and how the intervals were made."""
    out = [_seeds(table)]
    if len(table.seeds[table.judges]) < 2:
        out.append("One seed gives a description, not a conclusion.")
    else:
        out.append(
            "Intervals are two-sided, 95 %, over seeds. A p called corrected is Holm's over all rows of its "
            "table."
        )
    n = counts(table)
    if n.missing or n.failed:
        state = f"{n.missing:,} are missing and {n.failed:,} failed"
        out.append(f"Of {count(n.planned, 'planned run')} {state}: the study is not complete.")
    return out


def _seeds(table: Table) -> str:
    study, judging, choosing = table.study, table.seeds[table.judges], table.seeds[table.choosers]
    if not judging:
        return "No seed judges."
    n, what = _judged(table), " and ".join(human(path) for path in study.nuisance)
    judge = "judges" if len(judging) == 1 else "judge"
    if choosing and what:
        return (
            f"{_named(choosing)} chose the {what} by the validation {human(study.metric)}; "
            f"{_named(judging).lower()} {judge} it on the test set {n}. No seed reports a number that it "
            "picked."
        )
    if what:
        return f"{_named(judging)} chose the {what} and {judge} it too {n}: nothing is concluded."
    return (
        f"{_named(judging)} {judge} on the test set {n}; nothing had to be chosen. Settings are compared on "
        "the test set itself, so read the best of them with its interval and its best set."
    )


def _judged(table: Table) -> str:
    """How many seeds judge a setting, in brackets."""
    each = np.isfinite(table.judged).sum(axis=-1)[table.planned.any(axis=-1)]
    ns = sorted(set(each[each > 0].tolist())) or [len(table.seeds[table.judges])]
    if len(ns) == 1:
        return f"(n{GAP}={GAP}{ns[0]})"
    return f"(n{GAP}={GAP}{ns[0]} to {ns[-1]}: not every setting has every seed)"


def _named(seeds: Sequence[int]) -> str:
    return f"Seed {seeds[0]}" if len(seeds) == 1 else f"Seeds {listed(tuple(seeds))}"


def provenance(each: Sequence[Mapping[str, object]]) -> dict[str, str]:
    """What the records say of versions, device, placement and data, each value once.

    Times are left out, so that the same runs give the same page.
    """
    keys = ("preheat", "torch", "python", "commit", "device", "placement", "data")
    return {k: ", ".join(sorted({str(p[k]) for p in each if p.get(k)})) for k in keys}
