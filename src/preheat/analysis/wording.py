"""The answer in one paragraph and the limits in notes, written from the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import numpy as np

from preheat.analysis.edges import factor, pooled_ratio
from preheat.analysis.findings import Cell, Counts, Edge, Effect, Estimate, Inside
from preheat.analysis.stats import ALPHA, interval
from preheat.analysis.surface import asks_for_warmup
from preheat.analysis.table import DIVERGED, DONE, FAILED, MISSING, Table
from preheat.core.grid import label
from preheat.core.lengths import length


def human(path: str) -> str:
    """The last part of a path in words.

    >>> human("task.examples_per_class")
    'examples per class'
    """
    last = path.rsplit(".", maxsplit=1)[-1]
    return {"peak_lr": "peak learning rate", "per_class": "examples per class"}.get(last, last.replace("_", " "))


def count(n: int, noun: str) -> str:
    """`1 seed`, `2 seeds`."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def counts(table: Table) -> Counts:
    """How the planned runs ended."""
    n = {code: int((table.state == code).sum()) for code in (DONE, DIVERGED, FAILED, MISSING)}
    return Counts(sum(n.values()), n[DONE], n[DIVERGED], n[FAILED], n[MISSING])


def answer(table: Table, found: tuple[Sequence[Cell], Sequence[Effect], Sequence[Edge], Sequence[Inside]]) -> str:
    """How far the treatment moves the edge, how much it matters at the chosen nuisance and inside the edge."""
    cells, effects, edges, insides = found
    n = counts(table)
    if not n.done and not n.diverged:
        return "No run of this study has a result yet, so nothing can be said."
    if not n.done:
        return f"All {count(n.diverged, 'run')} that started diverged, so nothing can be said of {human(table.study.treatment)}."
    parts = [*_edge(table, edges), *(_tuned(table, effects) if effects else _alone(table, cells)), *_inside(table, insides)]
    unknown = n.failed + n.missing
    if unknown:
        parts.append(f"{unknown} of {n.planned} planned runs have no result, so this is preliminary.")
    return " ".join(parts)


def _edge(table: Table, edges: Sequence[Edge]) -> list[str]:
    """The longest warmup (else the last treatment) is named beforehand, so that it is not picked for its effect."""
    if table.numeric is None or len(table.treatments) < 2:
        return []
    last = _longest(table)
    level = 1 - ALPHA / max(len(table.panels), 1)
    told = []
    for p, panel in enumerate(table.panels.labels):
        m = pooled_ratio(table, p, last)
        if m.n:
            told.append((panel, factor(interval(m, level))))
    if not told:
        return ["How far the edge of stability moves can't be said: no seed's edge lies inside the grid."]
    names, base = table.treatments.labels, table.treatments.labels[table.base]
    what = f"the highest usable {human(table.study.nuisance[0])}"
    head = f"Against {base}, {human(table.study.treatment)} {names[last]} multiplies {what} by "
    each = "; by ".join(_factor(e, f" in {panel}" if panel else "") for panel, e in told)
    sure = [e for e in edges if e.p_adjusted is not None and e.p_adjusted < ALPHA and e.ratio is not None]
    tested = sum(e.p_adjusted is not None for e in edges)
    up = sum(e.ratio is not None and e.ratio.mean > 1 for e in sure)
    if not tested:
        return [head + each + "."]
    found = f"Of {count(tested, 'single comparison')} the edge is surely higher in {up} and lower in {len(sure) - up}"
    return [f"{head}{each}. {found} (Holm, 0.05)."]


def _factor(e: Estimate, where: str) -> str:
    if e.lo is None or e.hi is None:
        return f"{e.mean:.2f}{where} (one seed, a description only)"
    moved = "" if not e.lo <= 1 <= e.hi else ", so no move is shown"
    return f"{e.mean:.2f}{where} (95 % interval {e.lo:.2f} to {e.hi:.2f}, {count(e.n, 'seed')}{moved})"


def _longest(table: Table) -> int:
    """The treatment farthest from the baseline: the longest of lengths in one unit, else the last that is not the baseline."""
    others = [t for t in range(len(table.treatments)) if t != table.base]
    if asks_for_warmup(table):
        lengths = {t: length(table.treatments.values[t]) for t in others}
        if len({v.unit for v in lengths.values()}) == 1:
            return max(others, key=lambda t: lengths[t].value)
    return others[-1]


def _at_chosen(table: Table) -> str:
    chosen = [human(p) for p in table.study.nuisance]
    return f"at the chosen {' and '.join(chosen)}, " if chosen else ""


def _tuned(table: Table, effects: Sequence[Effect]) -> list[str]:
    known = [e for e in effects if e.estimate.n]
    if not known:
        return ["No comparison with the baseline has a judged run."]
    lows, highs = min(e.estimate.mean for e in known), max(e.estimate.mean for e in known)
    most = max(e.estimate.n for e in known)
    metric, base = human(table.study.metric), known[0].baseline
    head = f"{_at_chosen(table)}the {count(len(known), 'comparison')} with {base}"
    several = f"mean differences in test {metric} from {lows:+.3g} to {highs:+.3g}"
    span = several if len(known) > 1 else f"a mean difference in test {metric} of {lows:+.3g}"
    if table.biased:
        return [_upper(f"{head} gave {span}; the choice was made on the same seeds, so nothing is concluded.")]
    if most < 2:
        return [_upper(f"{head} gave {span}, on one judging seed: a description, not a conclusion.")]
    n = {v: sum(e.verdict == v for e in effects) for v in ("better", "worse", "equivalent", "not decided")}
    seeds = f"{count(most, 'seed')} that did not choose it" if table.study.choosing else count(most, "seed")
    told = (
        f"{_at_chosen(table)}judged on {seeds}, of {count(len(effects), 'comparison')} with {base} {n['better']} are better, "
        f"{n['worse']} worse, {n['equivalent']} equivalent within {table.study.margin:g}, and {n['not decided']} not decided"
    )
    return [_upper(f"{told} (Holm, 0.05), with {span}.")]


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _alone(table: Table, cells: Sequence[Cell]) -> list[str]:
    known = [c for c in cells if c.estimate.n]
    head = f"There is nothing to compare with {table.treatments.labels[table.base]}."
    if not known:
        return [head]
    means = [c.estimate.mean for c in known]
    span = f"{means[0]:.3g}" if len(means) == 1 else f"{min(means):.3g} to {max(means):.3g}"
    return [f"{head} The mean test {human(table.study.metric)} is {span}."]


def _inside(table: Table, insides: Sequence[Inside]) -> list[str]:
    known = [i for i in insides if i.widest is not None and i.seed_sd is not None]
    if not known:
        return []
    width = median(i.widest.mean for i in known if i.widest is not None)
    sd = median(i.seed_sd for i in known if i.seed_sd is not None)
    equal = sum(i.equivalent for i in known)
    where = f"Well inside the edge (at most half of the highest {human(table.study.nuisance[0])} at which" if table.numeric else "Where"
    typical = "" if len(known) == 1 else " (medians)"
    return [
        f"{where} every run trained, the widest difference between treatments is {width:.2g} beside a seed-to-seed "
        f"standard deviation of {sd:.2g}{typical}; all treatments are equivalent within {table.study.margin:g} "
        f"in {equal} of {count(len(known), 'setting')}."
    ]


def notes(table: Table, cells: Sequence[Cell], edges: Sequence[Edge]) -> tuple[str, ...]:
    """Limits of what is said, in words."""
    return (*_seed_notes(table), *_run_notes(table), *_grid_notes(table, cells, edges))


def _seed_notes(table: Table) -> list[str]:
    out = []
    judging = len(table.seeds[table.judges])
    if judging == 1:
        out.append("One judging seed gives a description, not a conclusion: there are no intervals and no verdicts.")
    elif judging < 5:
        out.append(f"With {judging} judging seeds intervals are wide; more seeds say more.")
    if table.biased:
        out.append(
            "The nuisance is chosen on the seeds that are reported (choosing is 0), so all numbers at the chosen value are "
            "biased towards the good side, and no verdicts are given. Set choosing to 1 or more."
        )
    named = table.study.baseline
    if named is not None and all(label(v) != label(named) for v in table.treatments.values):
        out.append(f"The baseline {label(named)} is not among the treatments; {table.treatments.labels[table.base]} is used.")
    return out


def _run_notes(table: Table) -> list[str]:
    n, out = counts(table), []
    if n.diverged:
        score = (
            f" and count with {table.chance:.3g}, what a model scores that learnt nothing" if np.isfinite(table.chance) else ""
        )
        out.append(f"{n.diverged} of {n.planned} runs diverged{score}.")
    if n.failed:
        out.append(f"{n.failed} of {n.planned} runs failed: the program could not train them. They are left out.")
    if n.missing:
        out.append(
            f"{n.missing} of {n.planned} runs are missing. They are left out, and count as the worst where a nuisance is chosen."
        )
    if table.step >= 5e-5 and table.study.metric == "accuracy":
        out.append(
            f"Test accuracy moves in steps of {table.step:.2g}; standard deviations are at least what this rounding makes."
        )
    return out


def _grid_notes(table: Table, cells: Sequence[Cell], edges: Sequence[Edge]) -> list[str]:
    out = []
    unjudged = sum(c.estimate.n == 0 for c in cells)
    if unjudged:
        out.append(f"{unjudged} of {count(len(cells), 'setting')} have no judged run.")
    if table.numeric:
        ends = sum(_at_end(table, p, c, t) for p, c, t in np.argwhere(table.chosen >= 0))
        if ends:
            name = human(table.study.nuisance[0])
            where = f"in {ends} of {count(len(cells), 'setting')}"
            out.append(f"The chosen {name} lies at the end of its grid {where}; a wider grid may do better.")
    censored, runs = sum(e.censored for e in edges), sum(e.edge.n for e in edges)
    if censored:
        why = "training worked at every value, or at none, so the edge lies outside the grid"
        out.append(f"{censored} of {runs} edges are censored: {why}.")
    return out


def _at_end(table: Table, p: int, c: int, t: int) -> bool:
    values = np.flatnonzero(table.planned[p, c, t])
    return len(values) > 1 and table.chosen[p, c, t] in (values[0], values[-1])
