"""How far two protocols differ: one reports the best of all epochs on the test split, one its last value.

The first is that of Agrawal 2025, *Learning Rate Warmup Across Data Regimes*: "original" here; the second is
called honest.

The best of many noisy numbers is too high, and a split that was used to choose is no test. `optimism` is what
the choice adds; the rest of the gap between protocols is the schedule (by epoch, a first epoch at rate 0) and
the images held out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from preheat.analysis.curves import chosen
from preheat.analysis.effects import Place
from preheat.analysis.results import Row
from preheat.analysis.table import Table, number
from preheat.core.record import Record
from preheat.stats.estimates import Array, Estimate, interval, moments, rounding
from preheat.studies.regimes.surface import SELECTION, selects


@dataclass(frozen=True)
class Optimism:
    """Best over the epochs minus the last epoch, on the split that `selection` names, all treatments of a
    condition together.

    over: what the interval is over, "seeds" (each the mean over its treatments) or, with one seed,
    "settings". runs: how many. best, last: means.
    """

    panel: str
    condition: str
    selection: str
    best: float
    last: float
    optimism: Estimate
    over: str
    runs: int


@dataclass(frozen=True)
class Gap:
    """The original's number (best over epochs on the test split) minus the honest one (its value at the end).

    Paired by treatment and seed; gap = optimism + rest, where optimism is best minus last of the
    original protocol. panel: of the original protocol; condition: "5000 / 4500" where the two protocols'
    whole pools differ. over, runs: as in `Optimism`, of pairs of which both runs finished; dropped: how many
    did not.
    """

    panel: str
    condition: str
    best: float
    honest: float
    gap: Estimate
    optimism: Estimate
    rest: Estimate
    over: str
    runs: int
    dropped: int = 0


class Finish(NamedTuple):
    """A finished run whose task names the split that it selects on: each validation series after step 0, by
    metric."""

    selection: str
    values: Mapping[str, Array]


class Reading(NamedTuple):
    """One such run in its setting: the metric's best over the epochs, and its last value."""

    at: Place
    seed: int
    selection: str
    best: float
    last: float


def finish(record: Record, row: Row) -> Finish | None:
    """None where the run's task has no `selection`, or the run did not finish. The untrained network is no
    epoch."""
    selection = record.run.task.options.get("selection")
    if selection is None or row.outcome != "done":
        return None
    split = "validation_"
    found = {n.removeprefix(split): s for n, s in record.trace.items() if n.startswith(split)}
    values = {n: np.array(s.values, dtype=np.float64)[np.array(s.steps) > 0] for n, s in found.items()}
    return Finish(str(selection), values)


def readings(table: Table, seen: Iterable[tuple[Row, Finish]]) -> list[Reading]:
    """Of the tuned runs; a run whose curve does not end in a number is left out."""
    out = []
    for at, some in chosen(table, seen).items():
        for row, end in some:
            values = end.values.get(table.study.metric, np.zeros(0))
            if len(values) and np.isfinite(values[-1]):
                best = table.sign * float(np.nanmax(table.sign * values))
                out.append(Reading(at, row.seed, end.selection, best, float(values[-1])))
    return out


def chose_on_test(table: Table, readings: Sequence[Reading]) -> bool:
    """Whether what is claimed rests on runs that selected on the test split."""
    kept = table.claimed.panels
    tested = {table.panels.labels[r.at[0]] for r in readings if r.selection == "test"}
    return any(selects(values) == "test" for values in kept.values) or not tested.isdisjoint(kept.labels)


def optimism(table: Table, readings: Sequence[Reading]) -> tuple[Optimism, ...]:
    """One for each panel, condition and selection: best minus last, positive where the best looks better than
    the end."""
    groups: dict[tuple[int, int, str], list[Reading]] = {}
    for r in readings:
        groups.setdefault((*r.at[:2], r.selection), []).append(r)
    out = []
    for (p, c, selection), mine in groups.items():
        units = [(r.seed, r.at[2]) for r in mine]
        e, over = estimate(
            units, np.array([table.sign * (r.best - r.last) for r in mine]), rounding(table.step, 2)
        )
        means = float(np.mean([r.best for r in mine])), float(np.mean([r.last for r in mine]))
        out.append(
            Optimism(
                table.panels.labels[p], table.conditions.labels[c], selection, *means, e, over, len(mine)
            )
        )
    return tuple(out)


def estimate(units: Sequence[tuple[int, int]], values: Array, floor: float) -> tuple[Estimate, str]:
    """(mean, what its interval is over): per seed the mean over treatments, then over seeds; with one seed
    over treatments.

    units: (seed, treatment) of each value.

    >>> estimate([(0, 0), (0, 1), (1, 0), (1, 1)], np.array([1.0, 3.0, 2.0, 4.0]), 0.0)[0].n
    2
    """
    seeds = sorted({s for s, _ in units})
    if len(seeds) < 2:
        return interval(moments(values, floor)), "settings"
    each = [
        float(np.mean([v for (s, _), v in zip(units, values, strict=True) if s == seed])) for seed in seeds
    ]
    return interval(moments(each, floor)), "seeds"


def gaps(table: Table, readings: Sequence[Reading]) -> tuple[Gap, ...]:
    """One for each panel and condition that was run with both protocols, over pairs that finished."""
    if SELECTION not in table.study.scientific:
        return ()
    partner = _partners(table)
    groups: dict[tuple[int, int], list[tuple[Reading, float]]] = {}
    place = {s: i for i, s in enumerate(table.seeds)}
    done = table.finished == 1
    for r in readings:
        p, c, t = r.at
        if r.selection == "test" and (p, c) in partner:
            twin = (*partner[p, c], t, place[r.seed])
            if done[twin] and np.isfinite(table.judged[twin]):
                groups.setdefault((p, c), []).append((r, float(table.judged[twin])))
    return tuple(_gap(table, at, partner[at], pairs) for at, pairs in groups.items())


def _gap(
    table: Table, at: tuple[int, int], other: tuple[int, int], pairs: Sequence[tuple[Reading, float]]
) -> Gap:
    planned = np.isfinite(table.finished)
    dropped = int((planned[at] & planned[other]).sum()) - len(pairs)
    units = [(r.seed, r.at[2]) for r, _ in pairs]
    best, last = (np.array([getattr(r, name) for r, _ in pairs]) for name in ("best", "last"))
    honest = np.array([h for _, h in pairs])
    floor = rounding(table.step, 2)
    gap, over = estimate(units, table.sign * (best - honest), floor)
    chosen, rest = (estimate(units, table.sign * v, floor)[0] for v in (best - last, last - honest))
    labels = [table.conditions.labels[c] for _, c in (at, other)]
    condition = labels[0] if labels[0] == labels[1] else " / ".join(labels)
    panel, means = table.panels.labels[at[0]], (float(best.mean()), float(honest.mean()))
    return Gap(panel, condition, *means, gap, chosen, rest, over, len(pairs), dropped)


def _partners(table: Table) -> dict[tuple[int, int], tuple[int, int]]:
    """{(panel, condition) of the original protocol: that of the honest one}.

    The whole pool is larger where nothing is held out: the largest sizes of both belong together if either
    lacks the other's.
    """
    out: dict[tuple[int, int], tuple[int, int]] = {}
    for p, q in table.twins.items():
        mine, theirs = _sizes(table, p), _sizes(table, q)
        out |= {(p, c): (q, c) for c in mine if c in theirs}
        alone = [c for c in mine if c not in theirs], [c for c in theirs if c not in mine]
        if all(len(a) == 1 and a[0] == s[0] for a, s in zip(alone, (mine, theirs), strict=True)):
            out[p, alone[0][0]] = (q, alone[1][0])
    return out


def _sizes(table: Table, p: int) -> list[int]:
    """The conditions of a panel, numbers from the largest."""
    found = [int(c) for c in np.flatnonzero(table.planned[p].any(axis=(1, 2)))]
    values = table.conditions.values
    return sorted(found, key=lambda c: -values[c]) if all(number(values[c]) for c in found) else found
