"""Curves of the chosen settings over progress, and the learning-rate factor of each treatment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from preheat.analysis.effects import Place, places
from preheat.analysis.findings import Curve
from preheat.analysis.results import Results, Row
from preheat.analysis.table import Table
from preheat.core.canon import canonical
from preheat.core.errors import UserError
from preheat.core.record import Record, Series
from preheat.stats.averaging import MOST_POINTS, across, rounded, thin
from preheat.stats.estimates import Array
from preheat.studies.regimes.first_epochs import early_curves
from preheat.studies.regimes.protocols import Reading, reading

Load = Callable[[str], Record]


def chosen_rows(results: Results, table: Table) -> Iterator[tuple[Place, list[Row]]]:
    """The judging seeds' trained rows of every setting at its chosen nuisance."""
    judging = set(table.seeds[table.judges])
    study = table.study
    found: dict[str, list[Row]] = {}
    for r in results.rows:
        if r.seed in judging and r.outcome in ("done", "diverged"):
            found.setdefault(canonical([r.axes.get(p) for p in study.axes]), []).append(r)
    for at in places(table):
        p, c, t = at
        if table.chosen[at] >= 0:
            axes = {**table.panels.values[p], **table.nuisances.values[int(table.chosen[at])]}
            axes |= {study.condition: table.conditions.values[c], study.treatment: table.treatments.values[t]}
            yield at, found.get(canonical([axes.get(path) for path in study.axes]), [])


class Drawn(NamedTuple):
    """Curves of the validation metric and the training loss; learning-rate factors; how many runs could not
    be read.

    early: what probes measured in the first epochs; readings: of runs whose task says on which split it
    selects.
    """

    measured: tuple[Curve, ...] = ()
    rates: tuple[Curve, ...] = ()
    unread: int = 0
    early: tuple[Curve, ...] = ()
    readings: tuple[Reading, ...] = ()


def curves(results: Results, table: Table, load: Load) -> Drawn:
    """Every curve; x is progress from 0 to 1. A run whose trace can't be read is left out and counted."""
    measured: list[Curve] = []
    rates: list[Curve] = []
    early: list[Curve] = []
    readings: list[Reading] = []
    unread = 0
    for at, rows in chosen_rows(results, table):
        records = [(record, r) for r in rows if (record := _read(load, r)) is not None]
        unread += len(rows) - len(records)
        for what in (f"validation_{table.study.metric}", "train_loss"):
            lines = [line for record, row in records if (line := _line(record, row, what)) is not None]
            measured += [_curve(table, at, what, lines)] if lines else []
        rates += [_rate(table, at, *records[0])] if records and _total(records[0][1]) else []
        early += early_curves(table, at, records)
        readings += [x for record, row in records if (x := reading(table, at, record, row)) is not None]
    return Drawn(tuple(measured), _shared(rates), unread, tuple(early), tuple(readings))


def _read(load: Load, row: Row) -> Record | None:
    """The row's record; None where the store says that it is damaged."""
    try:
        return load(row.run_id)
    except UserError:
        return None


def _total(row: Row) -> int:
    return int(row.summary.get("total_steps") or 0)


def _line(record: Record, row: Row, what: str) -> tuple[Array, Array] | None:
    series: Series | None = record.trace.get(what)
    if series is None or not len(series.steps):
        return None
    steps = np.array(series.steps, dtype=np.float64)
    total = _total(row) or float(steps[-1]) or 1.0
    x, y = thin(steps / total, np.array(series.values, dtype=np.float64))
    return (x, y) if np.isfinite(y).any() else None


def _curve(table: Table, at: Place, what: str, lines: Sequence[tuple[Array, Array]]) -> Curve:
    x, y, lo, hi = (rounded(v) for v in across(lines))
    return Curve(*table.labels(at), what, x, y, lo, hi, len(lines))


def _rate(table: Table, at: Place, record: Record, row: Row) -> Curve:
    """The factor of the peak rate as the updates of this setting saw it."""
    total = _total(row)
    per_epoch = row.summary.get("steps_per_epoch")
    steps = np.unique(np.linspace(0, total - 1, min(MOST_POINTS, total)).round().astype(np.int64))
    y = rounded(np.asarray(record.run.factor_over(total, per_epoch)(steps), dtype=np.float64))
    return Curve(*table.labels(at), "learning_rate_factor", rounded(steps / total), y, y, y, 1)


def _shared(rates: Sequence[Curve]) -> tuple[Curve, ...]:
    """One curve for each treatment, without panel and condition, where they agree to 2 % of the peak on
    average.

    A length in epochs is the same share of every run; only the grain of the steps differs between data sizes.
    """
    grid = np.linspace(0, 1, MOST_POINTS)
    tabled = np.array([np.interp(grid, r.x, r.y) for r in rates])
    same = all(
        float(np.ptp(tabled[[i for i, r in enumerate(rates) if r.treatment == name]], axis=0).mean()) < 0.02
        for name in {r.treatment for r in rates}
    )
    if not same:
        return tuple(rates)
    first = {r.treatment: r for r in reversed(rates)}
    names = dict.fromkeys(r.treatment for r in rates)
    return tuple(Curve("", "", n, r.what, r.x, r.y, r.lo, r.hi, r.n) for n in names for r in (first[n],))
