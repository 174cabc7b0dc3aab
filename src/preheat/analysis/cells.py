"""Settings at their chosen nuisance, their effects against the baseline, and what can't be told from the best."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from preheat.analysis.findings import BestSet, Cell, Difference, Effect
from preheat.analysis.stats import (
    ALPHA,
    Moments,
    holm,
    interval,
    moments,
    more_seeds,
    p_above,
    p_different,
    p_equivalent,
    rounding,
)
from preheat.analysis.table import DIVERGED, DONE, FAILED, Table
from preheat.core.grid import label

Place = tuple[int, int, int]


def places(table: Table) -> Iterator[Place]:
    """(panel, condition, treatment) of every planned setting, in order."""
    for p, c, t in np.argwhere(table.planned.any(axis=-1)):
        yield int(p), int(c), int(t)


def cells(table: Table) -> tuple[Cell, ...]:
    """Every setting at its chosen nuisance. values: the judging seeds with a number. diverged, runs: of all its runs."""
    return tuple(_cell(table, at) for at in places(table))


def _cell(table: Table, at: Place) -> Cell:
    p, c, t = at
    values = table.judged[at][np.isfinite(table.judged[at])]
    best = int(table.chosen[at])
    chosen = {} if best < 0 else {k: label(v) for k, v in table.nuisances.values[best].items()}
    state = table.state[at]
    return Cell(
        panel=table.panels.labels[p],
        condition=table.conditions.labels[c],
        treatment=table.treatments.labels[t],
        chosen=chosen,
        values=tuple(values.tolist()),
        estimate=interval(moments(values, rounding(table.step, 1))),
        diverged=int((state == DIVERGED).sum()),
        runs=int(np.isin(state, (DONE, DIVERGED, FAILED)).sum()),
    )


def difference(table: Table, at: Place, other: int) -> Moments:
    """Treatment `at` minus treatment `other` of the same panel and condition, paired by judging seed."""
    p, c, t = at
    return moments(table.judged[p, c, t] - table.judged[p, c, other], rounding(table.step, 2))


def effects(table: Table) -> tuple[Effect, ...]:
    """Every treatment against the baseline.

    better, worse: p (paired t, two-sided), adjusted by Holm over all effects, is below 0.05.
    equivalent: so is the p of the equivalence test, adjusted in the same way.
    Nothing is decided where the nuisance was chosen on the same seeds, or where all runs of both diverged.
    """
    spots = [at for at in places(table) if at[2] != table.base and table.planned[at[0], at[1], table.base].any()]
    pairs = [difference(table, at, table.base) for at in spots]
    unequal = [p_different(m) for m in pairs]
    adjusted = holm(unequal)
    equal = holm([p_equivalent(m, table.study.margin) for m in pairs])
    out = []
    for at, m, p, differs, same in zip(spots, pairs, unequal, adjusted, equal, strict=True):
        verdict = _verdict(table, at, m, differs, same)
        level = ALPHA / len(pairs)
        goals = [(abs(m.mean), level / 2), (table.study.margin - abs(m.mean), level)]
        more = more_seeds(m, goals) if verdict == "not decided" and m.n and not table.biased else None
        labels = (table.panels.labels[at[0]], table.conditions.labels[at[1]], table.treatments.labels[at[2]])
        out.append(Effect(*labels, table.treatments.labels[table.base], interval(m), p, differs, verdict, more))
    return tuple(out)


def _verdict(table: Table, at: Place, m: Moments, differs: float | None, same: float | None) -> Difference:
    p, c, t = at
    finished = table.at_chosen(table.state == DONE, table.judges)[p, c, [t, table.base]]
    if table.biased or not (finished == 1).any():
        return "not decided"
    if differs is not None and differs < ALPHA:
        return "better" if table.sign * m.mean > 0 else "worse"
    return "equivalent" if same is not None and same < ALPHA else "not decided"


def best_sets(table: Table) -> tuple[BestSet, ...]:
    """Multiple comparisons with the best (Hsu 1981), paired by seed, in each panel and condition.

    Of k treatments one is dropped if another is better by a one-sided paired t test at 0.05 / (k - 1). The best
    one stays with at least 95 %, because it meets k - 1 tests. Treatments without a judged run are not shown.
    """
    out = []
    for p, panel in enumerate(table.panels.labels):
        for c, condition in enumerate(table.conditions.labels):
            scored = np.isfinite(table.judged[p, c])
            known = [t for t in range(len(table.treatments)) if scored[t].any()]
            if known:
                leader, members = _best(table, p, c, known)
                n = int(scored[known].all(axis=0).sum())
                out.append(BestSet(panel, condition, leader, members, n))
    return tuple(out)


def _best(table: Table, p: int, c: int, known: list[int]) -> tuple[str, tuple[str, ...]]:
    mean = [table.sign * float(np.nanmean(table.judged[p, c, t])) for t in known]
    level = 0.0 if table.biased else ALPHA / max(len(known) - 1, 1)
    members = [t for t in known if not any(_beats(table, (p, c, o), t, level) for o in known if o != t)]
    names = table.treatments.labels
    return names[known[int(np.argmax(mean))]], tuple(names[t] for t in members)


def _beats(table: Table, at: Place, other: int, level: float) -> bool:
    m = difference(table, at, other)
    p = p_above(Moments(table.sign * m.mean, m.sd, m.n))
    return p is not None and p < level
