"""Which runs failed, the boundary of failure by seed, and what is claimed of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from preheat.analysis.effects import Place, places
from preheat.analysis.results import Row
from preheat.analysis.seed_edges import SeedEdges, level_of
from preheat.analysis.table import DIVERGED, DONE, Table
from preheat.analysis.training import FAILS, HALFWAY, trained
from preheat.core.record import Record
from preheat.report.chapter import Seen
from preheat.stats.boundary import Boundaries, Logistic, logistic, spearman_kaerber
from preheat.stats.claims import Claim
from preheat.stats.estimates import Array, Estimate, factor, interval, moments
from preheat.studies.phase_diagram.claims import boundary_claims, one_step_claims

PASSES = 10  # forward passes of a search for the critical rate
ACCURACY, CRITICAL = "train_accuracy", "critical_sharpness"


class Ended(NamedTuple):
    """Of one run: its training accuracy over the last epoch, NaN where it was not recorded; the critical rate
    of its first update, NaN where none was found."""

    accuracy: float
    critical: float


def ended(record: Record, row: Row) -> Ended:
    """How a run ended and what its first update was."""
    series, per_epoch = record.trace.get(ACCURACY), int(row.summary.get("steps_per_epoch") or 1)
    last = [] if series is None else [float(v) for v in series.values[-per_epoch:]]
    probed = record.trace.get(CRITICAL)
    first = float(probed.values[0]) if probed is not None and len(probed.values) else np.nan
    return Ended(float(np.mean(last)) if last else np.nan, 2 / first if first > 0 else np.nan)


@dataclass(frozen=True)
class DiagramCell:
    """One setting at one rate: n runs, of which some diverged (a loss that is not finite) and some failed (a
    training accuracy below 1.5 times chance); the mean test score of all; reach, save: updates until the peak
    and saved where the warmup starts at the critical rate, means over the seeds that have one."""

    panel: str
    treatment: str
    rate: float
    n: int
    diverged: int
    failed: int
    score: float | None
    reach: float | None
    save: float | None


@dataclass(frozen=True)
class FailureBoundary:
    """The boundary of failure of one setting: the mean over seeds with its interval; above, below: the seeds
    whose boundary lies beyond the grid's highest and lowest rate. checked: the same by a logistic regression
    with errors clustered by seed; None where it has no answer."""

    panel: str
    treatment: str
    boundary: Estimate
    above: int
    below: int
    checked: Estimate | None


@dataclass(frozen=True)
class OverRates:
    """A setting over all its rates: the mean test score, weighed so that it does not depend on their number,
    and Wortsman's sensitivity, the mean loss of score against the best rate (arXiv 2309.14322)."""

    panel: str
    treatment: str
    mean: Estimate
    sensitivity: Estimate


@dataclass(frozen=True)
class DiagramFound:
    """Cells, boundaries, means over rates and claims; by_accuracy: whether training accuracy told the
    failures, else the training loss (halfway from chance to the best)."""

    cells: tuple[DiagramCell, ...]
    boundaries: tuple[FailureBoundary, ...]
    over_rates: tuple[OverRates, ...]
    by_accuracy: bool
    claims: tuple[Claim, ...]


class KnownRuns(NamedTuple):
    """works [P, C, T, V, S]: 1.0, 0.0, NaN where unknown; critical of the same shape; edges: by setting."""

    works: Array
    critical: Array
    edges: Mapping[Place, SeedEdges]
    by_accuracy: bool


def diagram(table: Table, seen: Seen) -> DiagramFound | None:
    """All of it; None without a numeric nuisance that was varied."""
    if table.numeric is None:
        return None
    known = _known(table, seen)
    cells = tuple(c for at in places(table) for c in _cells(table, known, at))
    checks = {p: _checked(table, known, p) for p in range(len(table.panels))}
    return DiagramFound(
        cells,
        tuple(_boundary(table, known, at, checks[at[0]]) for at in known.edges),
        tuple(_over_rates(table)),
        known.by_accuracy,
        (*boundary_claims(table, known.edges), *one_step_claims(table, known.works, known.critical)),
    )


def _known(table: Table, seen: Seen) -> KnownRuns:
    accuracy, critical = (np.full(table.state.shape, np.nan) for _ in range(2))
    for row, one in seen:
        if row.run_id in table.where:
            accuracy[table.where[row.run_id]] = one.accuracy
            critical[table.where[row.run_id]] = one.critical
    finished, broken = table.state == DONE, table.state == DIVERGED
    by_accuracy = bool(np.isfinite(accuracy[finished]).all()) and bool(np.isfinite(table.chance).all())
    good = accuracy >= FAILS * table.chance if by_accuracy else trained(table, HALFWAY)
    works = np.where(finished, good.astype(float), np.where(broken, 0.0, np.nan))
    logs = np.log2(np.asarray(table.numeric))
    edges = {at: _edges(spearman_kaerber(logs, works[at])) for at in places(table)}
    return KnownRuns(works, critical, edges, by_accuracy)


def _edges(b: Boundaries) -> SeedEdges:
    return SeedEdges(b.value, b.width, b.side)


def _cells(table: Table, known: KnownRuns, at: Place) -> list[DiagramCell]:
    assert table.numeric is not None
    out = []
    updates = table.updates[at[2]]
    for v, rate in enumerate(table.numeric):
        works, state, scores = known.works[at][v], table.state[at][v], table.test[at][v]
        n, broken = int(np.isfinite(works).sum()), int((state == DIVERGED).sum())
        if not n:
            continue
        start = np.minimum(known.critical[at][v] / rate, 1.0)
        start = start[np.isfinite(start)]
        reach = float(np.maximum(updates * (1 - start), 1.0).mean()) if len(start) else None
        finite = scores[np.isfinite(scores)]
        out.append(
            DiagramCell(
                *(table.panels.labels[at[0]], table.treatments.labels[at[2]], rate, n, broken),
                failed=int((works == 0).sum()) - broken,
                score=float(finite.mean()) if len(finite) else None,
                reach=reach,
                save=None if reach is None else updates - reach - PASSES / 2,
            )
        )
    return out


def _over_rates(table: Table) -> list[OverRates]:
    rated, spread = table.rated, table.sensitivity
    if rated is None or spread is None:
        return []
    out = []
    for p, c, t in places(table):
        both = (interval(moments(x[p, c, t])) for x in (rated, spread))
        out.append(OverRates(table.panels.labels[p], table.treatments.labels[t], *both))
    return out


def _boundary(
    table: Table, known: KnownRuns, at: Place, check: tuple[Logistic, list[int]] | None
) -> FailureBoundary:
    e = known.edges[at]
    checked = None
    if check is not None and at[2] in check[1]:
        g = check[1].index(at[2])
        low, high = check[0].interval(g)
        n = int(np.isfinite(e.log2).sum())
        checked = factor(Estimate(float(check[0].midpoint[g]), low, high, n))
    labels = table.panels.labels[at[0]], table.treatments.labels[at[2]]
    sides = int((e.side > 0).sum()), int((e.side < 0).sum())
    return FailureBoundary(*labels, factor(level_of(e).estimate), *sides, checked)


def _checked(table: Table, known: KnownRuns, p: int) -> tuple[Logistic, list[int]] | None:
    """A panel's logistic regression and the treatments that it has."""
    logs, works = np.log2(np.asarray(table.numeric)), known.works[p, 0]
    begun = np.maximum.accumulate(works == 1, axis=1) | ~(works == 1).any(axis=1, keepdims=True)
    every = np.where(begun, works, np.nan)  # below the first that worked a rate was too low
    rows = [np.argwhere(np.isfinite(every[t])) for t in range(len(table.treatments))]
    used = [t for t, r in enumerate(rows) if len(r) and 0 < np.nanmean(every[t]) < 1]
    if not used:
        return None
    x = np.concatenate([logs[rows[t][:, 0]] for t in used])
    seed = np.concatenate([rows[t][:, 1] for t in used])
    told = np.concatenate([every[t][tuple(rows[t].T)] for t in used])
    group = np.concatenate([np.full(len(rows[t]), g) for g, t in enumerate(used)])
    found = logistic(x, told, group, seed)
    return None if found is None else (found, used)
