"""The answer in one paragraph: how far the edge moves, what is left at a tuned rate and inside the edge, what
to do."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from preheat.analysis.advice import near
from preheat.analysis.findings import Cell, Edge, Effect, Inside, Pooled
from preheat.analysis.moves import base_of, choices, edge_sentences, rate_of
from preheat.analysis.notes import counts, unmeasured
from preheat.analysis.table import Table
from preheat.analysis.words import Units, capital, count, human
from preheat.studies.regimes.surface import honest

_TESTED = (
    "the test split also chose here (selection test, the seed's protocol); for results on images that no "
    "choice has seen run it "
    "with selection validation too (--protocol both)."
)


class Found(NamedTuple):
    """What the answer is made from."""

    cells: tuple[Cell, ...]
    effects: tuple[Effect, ...]
    pooled: tuple[Pooled, ...]
    edges: tuple[Edge, ...]
    insides: tuple[Inside, ...]


def answer(table: Table, found: Found, *, tested: bool = False) -> str:
    """A few short sentences in the page's units. Every treatment counts in each, so none is named for being
    the largest.

    tested: the runs that are claimed of selected on the test split.
    """
    n = counts(table)
    if not n.done and not n.diverged:
        return "No run of this study has a result yet, so nothing can be said."
    if not n.done:
        return f"All {n.diverged} runs that started diverged, so nothing can be said of {human(table.study.treatment)}."
    fair = honest(table)
    compared = (
        _tuned(fair, found.effects)
        if found.effects
        else _alone(fair, [c for c in found.cells if c.panel in fair.panels.labels])
    )
    said = [
        *unmeasured(table),
        *preliminary(table),
        *([_TESTED] if tested else []),
        *edge_sentences(fair, found.pooled, found.edges),
        *compared,
        *_inside(fair, found.insides),
        *_practice(fair, found),
    ]
    if n.failed:
        said.append(f"{n.failed:,} of {count(n.planned, 'planned run')} failed and have no result.")
    return " ".join(capital(s) for s in said)


def preliminary(table: Table) -> list[str]:
    """That runs are missing."""
    n = counts(table)
    return (
        [f"Preliminary: {n.planned - n.missing:,} of {count(n.planned, 'run')} have a record."]
        if n.missing
        else []
    )


def _tuned(table: Table, effects: Sequence[Effect]) -> list[str]:
    """What is left where the nuisance is chosen well for each setting."""
    judged = [e for e in effects if e.estimate.n]
    if not judged:
        return [f"no comparison with {base_of(table)} has a judged run."]
    known = decidable(effects) or judged
    u = Units.of(table.study.metric)
    lows, highs = min(e.estimate.mean for e in known), max(e.estimate.mean for e in known)
    tuned = f"with the {rate_of(table)} tuned for each setting, " if table.study.nuisance else ""
    ran = f"the mean differences in test {human(table.study.metric)} from {base_of(table)} run"
    span = f"{ran} from {u.number(lows, sign=True)} to {u.difference(highs)}"
    if len(known) == 1:
        span = f"test {human(table.study.metric)} differs from that with {base_of(table)} by {u.difference(lows)}"
    if table.biased:
        return [f"{tuned}{span}; the same seeds chose it and report, so nothing is concluded."]
    ns = [e.estimate.n for e in known]
    if max(ns) < 2:
        return [f"{tuned}{span} on one judging seed: a description, not a conclusion."]
    seeds = count(max(ns), "seed") if min(ns) == max(ns) else f"{min(ns)} to {max(ns)} seeds"
    seeds += " that did not choose" if table.study.choosing else ""
    told = tuned + _verdicts(known, base_of(table), margin=u.margin(table.study.margin))
    return [told, " ".join([f"{span}, on {seeds}.", *described(effects)])]


def decidable(effects: Sequence[Effect]) -> list[Effect]:
    """The comparisons that can be judged: those of two seeds or more."""
    return [e for e in effects if e.estimate.n > 1]


def described(effects: Sequence[Effect]) -> list[str]:
    """How many comparisons can't be judged, and why."""
    n = [sum(e.estimate.n == k for e in effects) for k in (1, 0)]
    said = [f"{n[0]} more {'has' if n[0] == 1 else 'have'} one seed: described only."] if n[0] else []
    return said + ([f"{n[1]} more {'has' if n[1] == 1 else 'have'} no judged run."] if n[1] else [])


def _verdicts(effects: Sequence[Effect], base: str, *, margin: str) -> str:
    n = {v: sum(e.verdict == v for e in effects) for v in ("better", "worse", "equivalent", "not decided")}
    if len(effects) == 1:
        name, verdict = effects[0].treatment, effects[0].verdict
        told = {
            "equivalent": f"{name} is equivalent to {base} within {margin}.",
            "not decided": f"between {name} and {base} neither a difference nor equivalence is shown.",
        }
        return told.get(verdict, f"{name} is surely {verdict} than {base}.")
    of = f"of {len(effects)} comparisons with {base}"
    either = f"none {of} is surely better or worse"
    if n["better"] + n["worse"]:
        either = f"{of} {n['better']} are surely better and {n['worse']} worse"
    return f"{either} ({n['equivalent']} equivalent within {margin}, {n['not decided']} not decided)."


def _alone(table: Table, cells: Sequence[Cell]) -> list[str]:
    u, known = Units.of(table.study.metric), [c.estimate.mean for c in cells if c.estimate.n]
    head = f"there is nothing to compare with {base_of(table)}."
    if not known:
        return [head]
    span = u.value(known[0]) if len(known) == 1 else f"{u.number(min(known))} to {u.value(max(known))}"
    return [head, f"The mean test {human(table.study.metric)} is {span}."]


def _inside(table: Table, insides: Sequence[Inside]) -> list[str]:
    every = [i for i in insides if i.widest is not None and i.seed_sd is not None]
    known = [i for i in every if i.well] or every
    if not known:
        return []
    u = Units.of(table.study.metric)
    width = median(i.widest.mean for i in known if i.widest is not None)
    sd = median(i.seed_sd for i in known if i.seed_sd is not None)
    apart = f"all choices of {human(table.study.treatment)} lie within {u.difference(width, sign=False)} of one another"
    beside = f"beside a standard deviation of {u.difference(sd, sign=False)} between seeds"
    beside += "" if len(known) == 1 else " (medians)"
    equal, margin = sum(i.equivalent for i in known), u.margin(table.study.margin)
    shown = "this is" if equal else "this is not"
    told = f"equivalence within {margin} is shown in {equal} of {count(len(known), 'setting')}"
    if len(known) == 1:
        told = f"{shown} shown to be equivalent within {margin}"
    return [f"{_place(table, known, len(insides))}, {apart}, {beside}; {told}."]


def _place(table: Table, known: Sequence[Inside], settings: int) -> str:
    """Where the treatments are compared: `well inside the edge` only where the value is at most half of
    it."""
    if not table.numeric:
        return "where every run trained"
    if not known[0].well:
        return (
            f"at the highest {rate_of(table)} at which every run trained (none is as low as half of the edge)"
        )
    some = f" ({len(known)} of {settings} settings have a value so low)" if len(known) < settings else ""
    return f"well inside the edge{some}"


def _practice(table: Table, found: Found) -> list[str]:
    """Advice, as far as tests support it; none where nothing was tested."""
    if len(table.treatments) < 2:
        return []
    said = [*near(table, found.pooled, found.edges), *_away(table, found)]
    return [f"in practice: {'; '.join(said)}."] if said else []


def _away(table: Table, found: Found) -> list[str]:
    what = f"the {choices(table)}"
    tested = [
        e for e in found.effects if e.p is not None and e.estimate.lo != e.estimate.hi and not table.biased
    ]
    differ = sum(e.verdict in ("better", "worse") for e in tested)
    out = []
    if tested:
        at = f"at a tuned {rate_of(table)} " if table.study.nuisance else ""
        if differ:
            out.append(f"{at}{what} surely matters in {differ} of {len(tested)} comparisons")
        elif all(e.verdict == "equivalent" for e in decidable(found.effects)):
            out.append(f"{at}{what} hardly matters")
        else:
            out.append(f"{at}{what} was not shown to matter")
    if found.insides and all(i.equivalent and i.well for i in found.insides):
        out.append(f"well inside the edge {what} hardly matters")
    return out
