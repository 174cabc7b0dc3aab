"""Settings at each seed's own nuisance, and what every treatment changes against the baseline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from preheat.analysis.table import DIVERGED, DONE, FAILED, Table
from preheat.analysis.training import did_train
from preheat.core.grid import label
from preheat.stats.claims import Claim, few, mean_claim
from preheat.stats.estimates import Array, Estimate, Moments, interval, moments, rounding
from preheat.stats.moderated import moderated
from preheat.stats.shares import Share, share


@dataclass(frozen=True)
class Cell:
    """One scientific setting, each seed at the nuisance (peak rate) that it chose.

    chosen: {nuisance: the values that were chosen, and by how many seeds}. values: the seeds with a number.
    lost: how many of the tuned runs did not train, with its exact interval; survivors: the mean of those that
    did. failed: of all its runs, how many diverged or failed.
    """

    panel: str
    condition: str
    treatment: str
    chosen: Mapping[str, str]
    values: tuple[float, ...]
    estimate: Estimate
    lost: Share
    survivors: Estimate
    diverged: int
    runs: int


@dataclass(frozen=True)
class Effect:
    """Treatment minus baseline at one condition, paired by seed, each at its own nuisance; 95 % intervals."""

    panel: str
    condition: str
    treatment: str
    baseline: str
    estimate: Estimate


@dataclass(frozen=True)
class MainEffect:
    """Treatment minus baseline, the mean over the conditions of a panel, paired by seed; 95 % intervals.

    tuned: of the score at each seed's own nuisance. over_rates: of the mean score over the rates, where a
    numeric nuisance was varied; sensitivity: of Wortsman's learning-rate sensitivity there, below 0 where the
    treatment makes the rate matter less.
    """

    panel: str
    treatment: str
    baseline: str
    tuned: Estimate
    over_rates: Estimate | None
    sensitivity: Estimate | None


Place = tuple[int, int, int]
HALF = 0.5


def places(table: Table) -> Iterator[Place]:
    """(panel, condition, treatment) of every planned setting, in order."""
    for p, c, t in np.argwhere(table.planned.any(axis=-1)):
        yield int(p), int(c), int(t)


def untested(table: Table, n: int) -> str:
    """Why nothing is concluded of n seeds, if so."""
    return "later runs were asked for by what these seeds had scored" if table.biased else few(n)


def cells(table: Table) -> tuple[Cell, ...]:
    """Every setting. diverged, runs: of all its runs, whatever the nuisance."""
    good = table.picked(did_train(table))
    return tuple(_cell(table, at, good[at]) for at in places(table))


def _cell(table: Table, at: Place, good: Array) -> Cell:
    scores = table.judged[at]
    known = np.isfinite(scores)
    kept = known & (good == 1)
    state, floor = table.state[at], rounding(table.step, 1)
    return Cell(
        *table.labels(at),
        chosen=_chosen(table, at),
        values=tuple(scores[known].tolist()),
        estimate=interval(moments(scores[known], floor)),
        lost=share(int((known & ~kept).sum()), int(known.sum())),
        survivors=interval(moments(scores[kept], floor)),
        diverged=int((state == DIVERGED).sum()),
        runs=int(np.isin(state, (DONE, DIVERGED, FAILED)).sum()),
    )


def _chosen(table: Table, at: Place) -> dict[str, str]:
    """{nuisance: "0.1 (5), 0.2 (3)"}: what the seeds chose; the number of seeds where they differ."""
    picks = table.picks[at]
    found, counts = np.unique(picks[picks >= 0], return_counts=True)
    out = {}
    for path in table.study.nuisance:
        texts = [label(table.nuisances.values[v][path]) for v in found]
        told = [f"{t} ({n})" for t, n in zip(texts, counts, strict=True)] if len(found) > 1 else texts
        out[path] = ", ".join(told)
    return out


def difference(table: Table, values: Array, at: Place, other: int) -> Array:
    """[S]: treatment `at` minus treatment `other` of the same panel and condition, of values [P, C, T, S]."""
    p, c, t = at
    return np.asarray(values[p, c, t] - values[p, c, other])


def effects(
    table: Table, values: Array | None = None, *, family: str = "benefit"
) -> tuple[tuple[Effect, ...], list[Claim]]:
    """Every treatment against the baseline at every condition, and the claims that it is better; where there
    is one condition, the main effect claims it. values [P, C, T, S]: the scores of the tuned runs, or
    others."""
    scores = table.judged if values is None else values
    base = table.treatments.labels[table.base]
    spots = [
        at for at in places(table) if at[2] != table.base and table.planned[at[0], at[1], table.base].any()
    ]
    pairs = [moments(difference(table, scores, at, table.base), rounding(table.step, 2)) for at in spots]
    made = tuple(Effect(*table.labels(at), base, interval(m)) for at, m in zip(spots, pairs, strict=True))
    claims = [
        _better(table, family, "/".join((family, *table.labels(at))), table.labels(at), m, (at[:2],))
        for at, m in zip(spots, moderated(pairs), strict=True)
        if _finished(table, at[2], (at[:2],)) and len(_both(table, at[0], at[2])) > 1
    ]
    return made, claims


def _finished(table: Table, t: int, where: Sequence[tuple[int, int]]) -> float:
    """The share of the tuned runs of a treatment and of the baseline that finished."""
    done = np.array([table.finished[p, c, [t, table.base]] for p, c in where])
    return float((done == 1).sum() / max(1, np.isfinite(done).sum()))


def _better(
    table: Table,
    family: str,
    name: str,
    at: tuple[str, str, str],
    m: Moments,
    where: Sequence[tuple[int, int]],
) -> Claim:
    """The claim that a treatment is better than the baseline; where: the panels and conditions it rests on.

    Between runs that did not finish all is equal, so where most did not, that is not claimed.
    """
    done = _finished(table, table.treatments.labels.index(at[2]), where)
    good = m._replace(mean=table.sign * m.mean)
    made = mean_claim(name, family, good, at=at, margin=table.study.margin, unit=table.study.metric)
    base = table.treatments.labels[table.base]
    rests = tuple(
        (table.panels.labels[p], table.conditions.labels[c], t) for p, c in where for t in (at[2], base)
    )
    why = untested(table, m.n) or ("" if done else "no tuned run finished")
    same = made.p_same if done >= HALF else None
    return replace(made, rests=rests, p_same=same, why=why, plans=family == "benefit")


def main_effects(table: Table) -> tuple[tuple[MainEffect, ...], list[Claim]]:
    """Every panel's treatments against the baseline, all conditions together: the family `main`.

    Per seed the mean over the conditions at which both are planned; a seed that lacks one of them is left
    out. A treatment that is planned at some of the baseline's conditions only is of the family `main_some`.
    """
    spots = [
        (p, t, both)
        for p in range(len(table.panels))
        for t in range(len(table.treatments))
        if t != table.base and (both := _both(table, p, t))
    ]
    measures = {"tuned": table.judged, "over_rates": table.rated}
    found: dict[str, list[Moments]] = {}
    claims: list[Claim] = []
    for name, values in measures.items():
        if values is None:
            continue
        found[name] = [_mean_over(table, values, spot) for spot in spots]
        for (p, t, both), m in zip(spots, moderated(found[name]), strict=True):
            at = (table.panels.labels[p], "", table.treatments.labels[t])
            if m.n:
                family = "main" if both == _both(table, p, table.base) else "main_some"
                where = [(p, c) for c in both]
                claims.append(_better(table, family, f"{name}/{at[0]}/{at[2]}", at, m, where))
    rated, moved = found.get("over_rates"), table.sensitivity
    made = tuple(
        MainEffect(
            *(table.panels.labels[p], table.treatments.labels[t], table.treatments.labels[table.base]),
            interval(found["tuned"][i]),
            interval(rated[i]) if rated else None,
            None if moved is None else interval(_mean_over(table, moved, (p, t, both))),
        )
        for i, (p, t, both) in enumerate(spots)
    )
    return made, claims


def _both(table: Table, p: int, t: int) -> list[int]:
    """The conditions of a panel at which a treatment and the baseline are planned."""
    planned = table.planned[p].any(axis=-1)
    return [int(c) for c in np.flatnonzero(planned[:, t] & planned[:, table.base])]


def _mean_over(table: Table, values: Array, spot: tuple[int, int, list[int]]) -> Moments:
    p, t, both = spot
    each = values[p, both, t] - values[p, both, table.base]
    return moments(each.mean(axis=0), rounding(table.step, 2) / len(both) ** 0.5)


@dataclass(frozen=True)
class BestSet:
    """The treatments that can't be told from the best one, all conditions of a panel together. `leader` has
    the best mean."""

    panel: str
    leader: str
    treatments: tuple[str, ...]
    n: int


def best_sets(table: Table) -> tuple[tuple[BestSet, ...], list[Claim]]:
    """Multiple comparisons with the best (Hsu 1981), paired by seed, the mean over the conditions.

    One claim (the family `best`) for every pair of treatments but those with the baseline, which the main
    effects claim: that the first is better. A treatment of which another is shown to be better leaves the
    set.
    """
    out, pairs = [], list[tuple[str, str, str, Moments, list[tuple[int, int]]]]()
    for p, panel in enumerate(table.panels.labels):
        planned = np.asarray(table.planned[p].any(axis=-1))
        used = np.flatnonzero(planned.any(axis=0))
        both = np.flatnonzero(planned[:, used].all(axis=1))
        if len(used) < 2 or not len(both):
            continue
        means = table.sign * table.judged[p][np.ix_(both, used)].mean(axis=0)
        whole = np.isfinite(means).all(axis=0)
        if not whole.any():
            continue
        names, kept = [table.treatments.labels[t] for t in used], means[:, whole]
        out.append(BestSet(panel, names[int(kept.mean(axis=1).argmax())], tuple(names), int(whole.sum())))
        floor, where = rounding(table.step, 2) / len(both) ** 0.5, [(p, int(c)) for c in both]
        for i, a in enumerate(names):
            for j, b in enumerate(names[:i]):
                if table.treatments.labels[table.base] in (a, b):
                    continue
                pairs.append((panel, a, b, moments(kept[i] - kept[j], floor), where))
    return tuple(out), _pair_claims(table, pairs)


def _pair_claims(
    table: Table, pairs: Sequence[tuple[str, str, str, Moments, list[tuple[int, int]]]]
) -> list[Claim]:
    out = []
    shrunk = moderated([m for _, _, _, m, _ in pairs])
    for (panel, a, b, _, where), m in zip(pairs, shrunk, strict=True):
        at, unit = (panel, "", a), table.study.metric
        made = mean_claim(f"best/{panel}/{a}/{b}", "best", m, at=at, margin=table.study.margin, unit=unit)
        rests = tuple(
            (table.panels.labels[p], table.conditions.labels[c], t) for p, c in where for t in (a, b)
        )
        out.append(replace(made, rests=rests, why=untested(table, m.n)))
    return out
