"""Settings at their chosen nuisance, their effects against the baseline, and what can't be told from the
best."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from preheat.analysis.table import DIVERGED, DONE, FAILED, Table
from preheat.core.grid import label
from preheat.stats.estimates import (
    ALPHA,
    Estimate,
    Moments,
    below_alpha,
    holm,
    interval,
    moments,
    more_seeds,
    p_above,
    p_different,
    p_equivalent,
    rounding,
)

Difference = Literal["better", "worse", "equivalent", "not decided"]


@dataclass(frozen=True)
class Cell:
    """One scientific setting at its chosen nuisance (peak rate), judged on the seeds that did not choose
    it."""

    panel: str
    condition: str
    treatment: str
    chosen: Mapping[str, str]
    values: tuple[float, ...]
    estimate: Estimate
    diverged: int
    runs: int


@dataclass(frozen=True)
class Effect:
    """Treatment minus baseline, paired by seed. p is adjusted (Holm) over all effects of the report.

    more_seeds: about how many more judging seeds would decide it, where it is not decided; else None.
    """

    panel: str
    condition: str
    treatment: str
    baseline: str
    estimate: Estimate
    p: float | None
    p_adjusted: float | None
    verdict: Difference
    more_seeds: int | None


@dataclass(frozen=True)
class BestSet:
    """The treatments that can't be told from the best one, at 95 % over all sets of the report together.

    `leader` has the best mean.
    """

    panel: str
    condition: str
    leader: str
    members: tuple[str, ...]
    n: int


Place = tuple[int, int, int]


def places(table: Table) -> Iterator[Place]:
    """(panel, condition, treatment) of every planned setting, in order."""
    for p, c, t in np.argwhere(table.planned.any(axis=-1)):
        yield int(p), int(c), int(t)


def cells(table: Table) -> tuple[Cell, ...]:
    """Every setting at its chosen nuisance. values: the judging seeds with a number. diverged, runs: of all
    its runs."""
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


def paired_difference(table: Table, at: Place, other: int) -> Moments:
    """Treatment `at` minus treatment `other` of the same panel and condition, paired by judging seed."""
    p, c, t = at
    return moments(table.judged[p, c, t] - table.judged[p, c, other], rounding(table.step, 2))


def effects(table: Table) -> tuple[Effect, ...]:
    """Every treatment against the baseline.

    better, worse: p (paired t, two-sided), adjusted by Holm over all effects, is below 0.05.
    equivalent: so is the p of the equivalence test, adjusted in the same way.
    Nothing is decided where the nuisance was chosen on the same seeds, or where all runs of both diverged.
    """
    spots = [
        at for at in places(table) if at[2] != table.base and table.planned[at[0], at[1], table.base].any()
    ]
    pairs = [paired_difference(table, at, table.base) for at in spots]
    unequal = [p_different(m) for m in pairs]
    adjusted = holm(unequal)
    equal = holm([p_equivalent(m, table.study.margin) for m in pairs])
    level = ALPHA / max(1, sum(m.n > 1 for m in pairs))
    out = []
    for at, m, p, differs, same in zip(spots, pairs, unequal, adjusted, equal, strict=True):
        verdict = _verdict(table, at, m, differs, same)
        goals = [(abs(m.mean), level / 2), (table.study.margin - abs(m.mean), level)]
        more = more_seeds(m, goals) if verdict == "not decided" and m.n and not table.biased else None
        out.append(
            Effect(
                *table.labels(at), table.treatments.labels[table.base], interval(m), p, differs, verdict, more
            )
        )
    return tuple(out)


def _verdict(table: Table, at: Place, m: Moments, differs: float | None, same: float | None) -> Difference:
    p, c, t = at
    finished = table.at_chosen(table.state == DONE, table.judges)[p, c, [t, table.base]]
    if table.biased or not (finished == 1).any():
        return "not decided"
    if below_alpha(differs):
        return "better" if table.sign * m.mean > 0 else "worse"
    return "equivalent" if below_alpha(same) else "not decided"


def best_sets(table: Table) -> tuple[BestSet, ...]:
    """Multiple comparisons with the best (Hsu 1981), paired by seed, in each panel and condition.

    A treatment is dropped if another is better by a one-sided paired t test, adjusted by Holm over every
    ordered pair of treatments of every set in the report. So with at least 95 % no set of the whole report
    has lost a best treatment. Treatments without a judged run are not shown, nor a set where only one has
    any. Nothing is dropped where the nuisance was chosen on the same seeds.
    """
    sets = {
        (p, c): known for p, c in np.ndindex(table.judged.shape[:2]) if len(known := _known(table, p, c)) > 1
    }
    pairs = [
        (p, c, t, other) for (p, c), known in sets.items() for t in known for other in known if t != other
    ]
    adjusted = holm([_p_better(table, (p, c, other), t) for p, c, t, other in pairs])
    beaten = {at[:3] for at, p in zip(pairs, adjusted, strict=True) if below_alpha(p) and not table.biased}
    out = []
    for (p, c), known in sets.items():
        means = [table.sign * float(np.nanmean(table.judged[p, c, t])) for t in known]
        members = tuple(table.treatments.labels[t] for t in known if (p, c, t) not in beaten)
        leader = table.treatments.labels[known[int(np.argmax(means))]]
        n = int(np.isfinite(table.judged[p, c, known]).all(axis=0).sum())
        out.append(BestSet(table.panels.labels[p], table.conditions.labels[c], leader, members, n))
    return tuple(out)


def _known(table: Table, p: int, c: int) -> list[int]:
    return [int(t) for t in np.flatnonzero(np.isfinite(table.judged[p, c]).any(axis=-1))]


def _p_better(table: Table, at: Place, other: int) -> float | None:
    """One-sided p of "treatment `at` is not better than `other`"."""
    m = paired_difference(table, at, other)
    return p_above(Moments(table.sign * m.mean, m.sd, m.n))


def decidable(effects: Sequence[Effect]) -> list[Effect]:
    """The comparisons that can be judged: those of two seeds or more."""
    return [e for e in effects if e.estimate.n > 1]
