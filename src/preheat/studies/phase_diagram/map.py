"""The diagram as a map of cells: warmup by rate, the runs of a cell as texts, the boundary as a line."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np

from preheat.analysis.naming import treatment_name
from preheat.analysis.table import Table
from preheat.analysis.words import Units, human
from preheat.report.chapters.common import of_panel
from preheat.report.drawing.shapes import Heat
from preheat.studies.phase_diagram.boundaries import DiagramCell, DiagramFound, FailureBoundary
from preheat.studies.phase_diagram.units import RateTexts


def heat(table: Table, found: DiagramFound, panel: str) -> Heat | None:
    """One panel's diagram; None where it has no cell."""
    cells = {(c.treatment, c.rate): c for c in of_panel(found.cells, panel)}
    if not cells or table.numeric is None:
        return None
    rates = sorted({rate for _, rate in cells})
    told_as = RateTexts.of(table)
    names = [t for t in table.treatments.labels if any(a == t for a, _ in cells)]
    u = Units.of(table.study.metric)
    read = _runs(table, panel)
    values, texts, told = [], [], []
    for name in names:
        row = [cells.get((name, rate)) for rate in rates]
        values.append(tuple(None if c is None or c.score is None else c.score * u.scale for c in row))
        texts.append(tuple("" if c is None else _text(c, u) for c in row))
        told.append(
            tuple("" if c is None else f"{_where(table, c, told_as)}: {read[name, c.rate]}" for c in row)
        )
    shown = [v for row in values for v in row if v is not None]
    marks = {b.treatment: b for b in of_panel(found.boundaries, panel)}
    return Heat(
        tuple(treatment_name(table, n) for n in names),
        tuple(told_as.text(rate) for rate in rates),
        human(table.study.treatment),
        told_as.head(table),
        human(table.study.metric),
        tuple(values),
        tuple(texts),
        min(shown, default=0.0),
        max(shown, default=1.0),
        u.unit,
        told=tuple(told),
        marks=tuple(_mark(marks.get(n), rates) for n in names),
        mark="boundary of failure, 95 % interval over seeds",
    )


def _text(c: DiagramCell, u: Units) -> str:
    lost = c.failed + c.diverged
    if lost == c.n:
        return "fail"
    score = "" if c.score is None else u.number(c.score)
    return f"{score}\n{lost}/{c.n}" if lost else score


def _where(table: Table, c: DiagramCell, told_as: RateTexts) -> str:
    place = f"{human(table.study.treatment)} {treatment_name(table, c.treatment)}"
    return f"{place}, {told_as.head(table)} {told_as.text(c.rate)}"


def _runs(table: Table, panel: str) -> dict[tuple[str, float], str]:
    """What each seed of a cell scored, and its run."""
    assert table.numeric is not None
    u, out = Units.of(table.study.metric), defaultdict(list)
    for run, (p, c, t, v, s) in table.where.items():
        if table.panels.labels[p] == panel:
            score = table.test[p, c, t, v, s]
            scored = u.value(float(score)) if math.isfinite(score) else "no result"
            out[table.treatments.labels[t], table.numeric[v]].append(
                (table.seeds[s], f"seed {table.seeds[s]} {scored} (run {run[:8]})")
            )
    return {at: "; ".join(text for _, text in sorted(some)) for at, some in out.items()}


def _mark(b: FailureBoundary | None, rates: list[float]) -> tuple[float, float, float] | None:
    """The boundary between columns; an open side reaches the map's end."""
    if b is None or not b.boundary.mean > 0:
        return None
    x, at = np.log2(rates), np.arange(len(rates))
    step = float(np.diff(x).mean())

    def place(value: float | None, end: float) -> float:
        if value is None:
            return end
        log = math.log2(max(value, 1e-300))
        inside = float(np.interp(log, x, at))
        beyond = min((log - float(x[0])) / step, 0.0) + max((log - float(x[-1])) / step, 0.0)
        return inside + beyond

    middle = place(b.boundary.mean, -0.5)
    if b.boundary.n < 2:  # one seed has no interval
        return middle, middle, middle
    return middle, place(b.boundary.lo, -0.5), place(b.boundary.hi, len(rates) - 0.5)
