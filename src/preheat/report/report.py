"""From a study's results to everything that its report says: the chapters, the verdicts, the answer, the
limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from preheat.analysis.curves import Load
from preheat.analysis.notes import Counts, counts, notes, unlearnt, unmeasured
from preheat.analysis.results import Results
from preheat.analysis.table import DONE, Table, number
from preheat.analysis.tabulate import names, tabulate
from preheat.analysis.training import learnt
from preheat.analysis.words import GAP, capital, human
from preheat.core.canon import canonical, known
from preheat.core.grid import full_label, label
from preheat.core.words import count, listed
from preheat.report.chapter import Read, Say, Written, read
from preheat.report.data import found_json, found_tables, verdicts_json
from preheat.report.runs import axis_values, flat_runs
from preheat.stats.claims import Claim, Verdict, Verdicts, budget

SENTENCES = 3
MOST_VALUES = 6


@dataclass(frozen=True)
class Report:
    """A study's report as data. says: the answer's sentences; sure: how sure it is, line by line; notes:
    limits and surprises; failed: chapters that raised, one line each, which are also notes; look: how often
    its verdicts were looked at before."""

    results: Results
    counts: Counts
    says: tuple[str, ...]
    chapters: tuple[Written, ...] = ()
    sure: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    table: Table | None = None
    failed: tuple[str, ...] = ()
    verdicts: Verdicts = field(default_factory=lambda: MappingProxyType({}))
    claims: tuple[Claim, ...] = ()
    look: int = 0

    @property
    def setting(self) -> str:
        """What was run, in a line: what all runs share, what those that are reported differ in, and their
        seeds."""
        if self.table is None:
            return ""
        rows = [r for r in self.results.rows if r.run_id in self.table.where]
        study, axes = self.results.study, dict.fromkeys(a for r in rows for a in r.axes)
        same = [f"{human(path)} {label(value)}" for path, value in study.fixed.items()]
        differ = [
            f"{human(path)} {_values(axis_values(rows, path), study.labels.get(path, {}))}" for path in axes
        ]
        return "; ".join([", ".join(same), *differ, count(len(self.table.seeds), "seed")]).strip("; ")

    @property
    def answer(self) -> str:
        """The answer as one text."""
        return " ".join(self.says)

    def summary(self) -> dict[str, Any]:
        """For `summary.json`: the study, the answer, what every chapter found, and every verdict once; runs
        and points of curves are tables."""
        study, t = self.results.study, self.table
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
            "seeds": t.seeds if t else study.seeds,
            "counts": asdict(self.counts),
            "notes": self.notes,
            "look": self.look + 1,
            "verdicts": verdicts_json(self.verdicts, self.claims, self.results, t),
            "chapters": {c.name: found_json(c.found) for c in self.chapters},
        }

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """{name: rows} for the CSV and JSON files; two tables of one name, or one called as the table of
        all runs, get their chapters' names before it."""
        made = [(c.name, name, rows) for c in self.chapters for name, rows in found_tables(c.found).items()]
        names = ["runs", *(name for _, name, _ in made)]
        out = {name if names.count(name) == 1 else f"{chapter}_{name}": rows for chapter, name, rows in made}
        return {**out, "runs": [known(dict(row)) for row in flat_runs(self.results)]}


def report(
    results: Results,
    load: Load | None = None,
    *,
    chapters: Sequence[Any] = (),
    look: int = 0,
    told: Sequence[str] = (),
    only: Sequence[Any] = (),
) -> Report:
    """The report of a study. load: reads one record with its trace, by run id; without it nothing is read of
    traces.

    chapters: in place of the study's own. look: how often the verdicts were looked at before, on other runs;
    told: notes that stand before all others; only: the chapters to show, all being judged.
    """
    if not results.rows:
        text = "The study has no runs, so nothing can be said."
        return Report(results, Counts(0, 0, 0, 0, 0), (text,), notes=(text,))
    table = tabulate(results)
    lacking = unmeasured(table)
    if lacking and not (table.state == DONE).any():
        first, limits = (*lacking, *_preliminary(table)), (*told, *results.study.notes, *lacking)
        return Report(results, counts(table), first, notes=limits, table=table, look=look)
    trained = results.rows if load else ()
    asked = chapters or results.study.chapters
    found = read(asked, table, trained, load=load or _nothing, look=look, only=only)
    said = (
        *told,
        *results.study.notes,
        *(note for c in found.chapters for note in c.shown.notes),
        *notes(table, unread=found.unread),
        *found.notes,
    )
    return Report(
        *(results, counts(table), _answer(table, found), found.chapters),
        sure=tuple(_sure(table, found, look)),
        notes=said,
        table=table,
        failed=found.failed,
        verdicts=found.verdicts,
        claims=found.claims,
        look=look,
    )


def _values(values: Sequence[Any], called: Mapping[str, str]) -> str:
    """The different values of an axis: numbers from least to most where they are many, else each. called: by
    the full text of a value, how it reads."""
    each = list({canonical(v): v for v in values}.values())
    if len(each) > MOST_VALUES and all(map(number, each)):
        return f"{label(min(each))} to {label(max(each))}"
    told = [called.get(full_label(v), text) for v, text in zip(each, names(each), strict=True)][:MOST_VALUES]
    return ", ".join([*told, "..."] if len(each) > MOST_VALUES else told)


def _nothing(run_id: str) -> Any:
    raise AssertionError("no rows are read without a loader")


def _answer(table: Table, found: Read) -> tuple[str, ...]:
    """What must be known first, then the chapters' sentences by rank: three in all."""
    n = counts(table)
    if not n.done and not n.diverged:
        return ("No run of this study has a result yet, so nothing can be said.",)
    if not n.done:
        what = human(table.study.treatment)
        return (f"All {n.diverged} runs that started diverged, so nothing can be said of {what}.",)
    if not learnt(table).any():
        return (*_preliminary(table), *unlearnt(table))
    shown = [c.shown for c in found.every]
    first = [
        *unmeasured(table),
        *_preliminary(table),
        *unlearnt(table),
        *(text for s in shown for text in s.caution),
    ]
    said: list[Say] = sorted((say for s in shown for say in s.says), key=lambda say: say.rank)
    told = tuple(capital(text) for text in (*first, *(say.text for say in said)))[:SENTENCES]
    return told or (f"{count(n.done + n.diverged, 'run')} are described; no chapter has an answer in words.",)


def _preliminary(table: Table) -> list[str]:
    """That runs are missing."""
    n = counts(table)
    return (
        [f"Preliminary: {n.planned - n.missing:,} of {count(n.planned, 'run')} have a record."]
        if n.missing
        else []
    )


def _sure(table: Table, found: Read, look: int) -> list[str]:
    """How sure the answer is, in a line; then how that comes about."""
    primary = [v for v in found.verdicts.values() if v.primary and not (v.p is None and v.p_same is None)]
    out = []
    if primary:
        decided = sum(v.verdict is not Verdict.OPEN for v in primary)
        risk = f"{100 * budget(look):.2g}{GAP}%"
        out.append(
            f"The {len(primary)} claims behind this answer share a risk of {risk} that any is false; "
            f"{decided} of them {'is' if decided == 1 else 'are'} decided, {_seeds(table)}."
        )
    if look:
        out.append(
            f"This is look {look + 1} at this study: earlier looks have spent their part of the 5 %, so it "
            f"has {100 * budget(look):.2g} %."
        )
    out.append(_tuning(table))
    if len(table.seeds) < 2:
        out.append("One seed gives a description, not a conclusion.")
    else:
        out.append(
            "An interval beside a verdict is corrected as the verdict is; all others are 95 %, over seeds. A "
            "corrected p is that of a difference and pays for the number of claims and of looks: below 0.05 "
            "a difference is shown. What is called exploratory has a budget of its own for each family and "
            "only narrows the answer."
        )
    if any(v.more_seeds for v in found.verdicts.values()):
        out.append(
            '"About n more seeds" is what decides four such claims in five, if mean and spread stay as they '
            "are."
        )
    n = counts(table)
    if n.missing or n.failed:
        state = f"{n.missing:,} are missing and {n.failed:,} failed"
        out.append(f"Of {count(n.planned, 'planned run')} {state}: the study is not complete.")
    return out


def _seeds(table: Table) -> str:
    each = np.isfinite(table.judged).sum(axis=-1)[table.planned.any(axis=-1)]
    ns = sorted(set(each[each > 0].tolist())) or [len(table.seeds)]
    if len(ns) == 1:
        return f"with {count(ns[0], 'seed')} in every setting"
    return f"with {ns[0]} to {ns[-1]} seeds in a setting"


def _tuning(table: Table) -> str:
    seeds, metric = f"Seeds {listed(tuple(table.seeds))}", human(table.study.metric)
    what = listed([human(path) for path in table.study.nuisance])
    looked = table.study.seeds[: table.study.choosing]
    if looked and not table.tuned and table.study.nuisance:
        mine = f"{'Seed' if len(looked) == 1 else 'Seeds'} {listed(looked)}"
        return (
            f"{mine} chose {what} by validation {metric}; {seeds[0].lower()}{seeds[1:]} report their test "
            f"{metric} "
            "and chose nothing."
        )
    if table.tuned:
        return (
            f"{seeds}: each chooses its own {what} by its validation {metric} and reports its test {metric} "
            "there, so no number was picked for being high on the test set."
        )
    return f"{seeds}: each reports its test {metric}; nothing had to be chosen."


def provenance(each: Sequence[Mapping[str, object]]) -> dict[str, str]:
    """What the records say of versions, device, placement and data, each value once.

    Times are left out, so that the same runs give the same page.
    """
    keys = ("preheat", "torch", "python", "commit", "device", "placement", "data")
    found = {k: ", ".join(sorted({str(p[k]) for p in each if p.get(k)})) for k in keys}
    return {k: text for k, text in found.items() if text}
