"""The diagram of peak rate and warmup, its boundary of failure, and what a warmup from the critical rate
saves."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from preheat.analysis.naming import panel_head, panel_name, rate_of, treatment_name
from preheat.analysis.results import Row
from preheat.analysis.table import Table
from preheat.analysis.words import Units, brief, capital, human, p_text
from preheat.core.record import Record
from preheat.core.registry import CHAPTERS
from preheat.report.chapter import Chapter, Rows, Say, Seen, Shown, verdict
from preheat.report.chapters.common import level, number, of_panel
from preheat.report.drawing.shapes import Heat
from preheat.report.plates import Plate, by_panel
from preheat.stats.claims import Judged, Verdict, Verdicts
from preheat.studies.phase_diagram.boundaries import (
    DiagramCell,
    DiagramFound,
    Ended,
    FailureBoundary,
    diagram,
    ended,
)

FAILED = "A run fails where its training accuracy over the last epoch is under 1.5 times chance"
BY_LOSS = "A run fails where its training loss does not come halfway from chance to the best setting's"
LEAD = (
    ", and diverges where its loss is not finite. The boundary is, for each seed, where the share of runs "
    "that work "
    "falls (isotonic, Spearman and Kaerber); over seeds the geometric mean with its 95 % interval. It is "
    "known to "
    "the grid's step only. Beside it stands a logistic regression of all runs with errors clustered by seed: "
    "a check "
    "of the same runs, not a second verdict."
)
CAPTION = (
    "Mean {metric} over seeds; fail: all seeds fail or diverge; 2/3: so many of them do. Line: the boundary."
)
STATEMENTS = {
    "slope": "A longer warmup moves the boundary up (times, for each doubling of the warmup)",
    "raises": "Without warmup its boundary is above the first optimizer's without",
    "reaches": "Without warmup its boundary is above the first optimizer's with the longest",
}


@CHAPTERS.register("diagram")
@dataclass(frozen=True)
class DiagramChapter(Chapter):
    """Peak rate by warmup: what a run scores, where it fails, and the boundary between."""

    def each(self, record: Record, row: Row) -> Ended:
        return ended(record, row)

    def find(self, table: Table, seen: Seen) -> DiagramFound | None:
        return diagram(table, seen)

    def show(self, found: DiagramFound, verdicts: Verdicts, table: Table) -> Shown:
        metric = Units.of(table.study.metric)
        plates = by_panel(
            table,
            "diagram",
            lambda panel: _heat(table, found, panel),
            group=capital(f"{human(metric.metric)} by {rate_of(table)} and {human(table.study.treatment)}"),
            caption=CAPTION.format(metric=human(metric.metric)),
        )
        return Shown(
            "The diagram and its boundary of failure",
            (FAILED if found.by_accuracy else BY_LOSS) + LEAD + _one_step(found),
            says=tuple(_says(verdicts, table)),
            plates=tuple(_front(p) for p in plates),
            tables=tuple(
                t
                for t in (
                    _claimed(verdicts, table),
                    _boundaries(found, table),
                    _over_rates(found, table),
                    _saved(found, table),
                )
                if t.rows
            ),
            short="Diagram",
            notes=_outside(found, table),
        )


def _front(p: Plate) -> Plate:
    return Plate(p.group, p.name, p.title, p.caption, p.data, front=True)


def _one_step(found: DiagramFound) -> str:
    if found.one_step is None:
        return ""
    return (
        f"\nA warmup that starts at the critical rate of the first update is over after one update in "
        f"{100 * found.one_step:.0f} % of the {found.counted} cells in which no run fails."
    )


def _heat(table: Table, found: DiagramFound, panel: str) -> Heat | None:
    cells = {(c.treatment, c.rate): c for c in of_panel(found.cells, panel)}
    if not cells or table.numeric is None:
        return None
    rates = sorted({rate for _, rate in cells})
    names = [t for t in table.treatments.labels if any(a == t for a, _ in cells)]
    u = Units.of(table.study.metric)
    read = _runs(table, panel)
    values, texts, told = [], [], []
    for name in names:
        row = [cells.get((name, rate)) for rate in rates]
        values.append(tuple(None if c is None or c.score is None else c.score * u.scale for c in row))
        texts.append(tuple("" if c is None else _text(c, u) for c in row))
        told.append(tuple("" if c is None else f"{_where(table, c)}: {read[name, c.rate]}" for c in row))
    shown = [v for row in values for v in row if v is not None]
    marks = {b.treatment: b for b in of_panel(found.boundaries, panel)}
    return Heat(
        tuple(treatment_name(table, n) for n in names),
        tuple(f"{rate:.4g}" for rate in rates),
        human(table.study.treatment),
        rate_of(table),
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


def _where(table: Table, c: DiagramCell) -> str:
    return (
        f"{human(table.study.treatment)} {treatment_name(table, c.treatment)}, {rate_of(table)} {c.rate:.4g}"
    )


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

    return place(b.boundary.mean, -0.5), place(b.boundary.lo, -0.5), place(b.boundary.hi, len(rates) - 0.5)


def _claimed(verdicts: Verdicts, table: Table) -> Rows:
    rows = tuple(
        (
            *(STATEMENTS[v.name.partition("/")[0]], panel_name(table, v.name.partition("/")[2])),
            *(number(v.effect), str(v.effect.n), p_text(v.p), verdict(v)),
        )
        for v in _mine(verdicts)
    )
    columns = ("claim", panel_head(table), "times (interval)", "n", "p, corrected", "verdict")
    return Rows("What is claimed of the boundary", columns, rows, folded=False)


def _mine(verdicts: Verdicts) -> list[Judged]:
    return [v for v in verdicts.values() if v.name.partition("/")[0] in STATEMENTS]


def _boundaries(found: DiagramFound, table: Table) -> Rows:
    rows = tuple(
        (
            *(panel_name(table, b.panel), treatment_name(table, b.treatment), number(b.boundary)),
            *(number(b.checked) if b.checked else "no answer", f"{b.censored} of {b.boundary.n}"),
        )
        for b in found.boundaries
    )
    columns = (
        *(panel_head(table), human(table.study.treatment)),
        *(f"boundary ({rate_of(table)})", "by logistic regression", "seeds without one in the grid"),
    )
    return Rows("The boundary of failure, with 95 % intervals", columns, rows)


def _over_rates(found: DiagramFound, table: Table) -> Rows:
    u = Units.of(table.study.metric)
    rows = tuple(
        (
            *(panel_name(table, r.panel), treatment_name(table, r.treatment)),
            *(level(r.mean, u), level(r.sensitivity, u), str(r.mean.n)),
        )
        for r in found.over_rates
    )
    columns = (
        *(panel_head(table), human(table.study.treatment), f"mean {human(table.study.metric)}"),
        *("sensitivity to the rate", "n"),
    )
    caption = (
        "Over all rates, with 95 % intervals: the mean, and Wortsman's sensitivity, by how much a rate of "
        "the grid is "
        "worse than the best one on average. Both hold for this grid"
    )
    return Rows(caption, columns, rows)


def _saved(found: DiagramFound, table: Table) -> Rows:
    rows = tuple(
        (
            *(panel_name(table, c.panel), treatment_name(table, c.treatment), f"{c.rate:.4g}"),
            *(f"{c.diverged} of {c.n}", f"{c.failed} of {c.n}"),
            *("" if v is None else f"{v:,.0f}" for v in (c.reach, c.save)),
        )
        for c in found.cells
    )
    columns = (
        *(panel_head(table), human(table.study.treatment), rate_of(table), "diverged", "failed"),
        *("updates to the peak from the critical rate", "updates saved"),
    )
    caption = (
        "Every cell. T_reach = max(T (1 - c / peak), 1) and T_save = T - T_reach - 5 of a warmup of T "
        "updates that "
        "starts at the critical rate c; nothing was trained so, and the search counts ten forward passes"
    )
    return Rows(caption, columns, rows)


def _says(verdicts: Verdicts, table: Table) -> list[Say]:
    out = []
    first = panel_name(table, table.panels.labels[0])
    for v in _mine(verdicts):
        kind, _, label = v.name.partition("/")
        who = panel_name(table, label)
        if kind == "slope" and v.verdict in (Verdict.SUPPORTED, Verdict.OPPOSITE):
            way = "up" if v.verdict is Verdict.SUPPORTED else "down"
            out.append(
                Say(
                    f"{who}: each doubling of the warmup moves the boundary of failure {way}, by {_times(v)} "
                    "times.",
                    1,
                )
            )
        if kind == "raises" and v.verdict is Verdict.SUPPORTED:
            out.append(
                Say(f"Without warmup {who} trains up to {_times(v)} times the peak rate of {first}.", 2)
            )
        if kind == "reaches" and v.verdict is Verdict.SAME:
            out.append(Say(f"{who} without warmup reaches the boundary of {first} with the longest.", 3))
    if any(v.name.startswith("slope/") for v in _mine(verdicts)) and not out:
        out.append(Say("These runs do not decide whether a longer warmup moves the boundary of failure.", 1))
    return out


def _times(v: Judged) -> str:
    return brief(v.effect.mean, 2)


def _outside(found: DiagramFound, table: Table) -> tuple[str, ...]:
    """Which way to go where the grid lies on one side of the boundary."""
    out = []
    for panel in table.panels.labels:
        mine = of_panel(found.boundaries, panel)
        if mine and all(b.censored == b.boundary.n for b in mine):
            rates = sorted({c.rate for c in of_panel(found.cells, panel)})
            works = any(c.failed + c.diverged < c.n for c in of_panel(found.cells, panel))
            way = f"higher than {rates[-1]:.4g}" if works else f"lower than {rates[0]:.4g}"
            what = "No run fails" if works else "Every run fails"
            name = panel_name(table, panel)
            out.append(f"{name}: {what.lower()}, so the boundary lies outside the grid: add rates {way}.")
    return tuple(out)
