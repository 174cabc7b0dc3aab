"""The diagram of peak rate and warmup, its boundary of failure, and what a warmup from the critical rate
saves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from preheat.analysis.naming import panel_head, panel_name, rate_of, treatment_name
from preheat.analysis.results import Row
from preheat.analysis.table import DONE, Table
from preheat.analysis.words import Units, brief, capital, human, p_text
from preheat.analysis.words import level as level_text
from preheat.core.record import Record
from preheat.core.registry import CHAPTERS
from preheat.core.words import listed
from preheat.report.chapter import Chapter, Rows, Say, Seen, Shown, verdict
from preheat.report.chapters.common import level, number, of_panel
from preheat.report.plates import Plate, by_panel
from preheat.stats.claims import Judged, Verdict, Verdicts
from preheat.studies.phase_diagram.boundaries import (
    DiagramFound,
    Ended,
    diagram,
    ended,
)
from preheat.studies.phase_diagram.map import heat
from preheat.studies.phase_diagram.units import RateTexts

FAILED = "A run fails where its training accuracy over the last epoch is under 1.5 times chance"
BY_LOSS = "A run fails where its training loss does not come halfway from chance to the best setting's"
LEAD = (
    ", and diverges where its loss is not finite. The boundary is, for each seed, where the share of "
    "runs that work falls (isotonic, Spearman and Kaerber); over seeds the geometric mean with its 95 % "
    "interval. It is known to the grid's step only. Beside it stands a logistic regression of all runs "
    "with errors clustered by seed: a check of the same runs, not a second verdict."
)
OTHER_RULE = (
    ' "Runs that did not train" below go by another rule, the training loss, so the two numbers differ.'
)
CAPTION = (
    "Mean {metric} over seeds; fail: all seeds fail or diverge; 2/3: so many of them do. Line: the boundary, "
    "bars: its intervals."
)
STATEMENTS = {
    "slope": "A longer warmup moves the boundary up (times, for each doubling of the warmup)",
    "raises": "Without warmup its boundary is above the first optimizer's without (times)",
    "reaches": "Without warmup its boundary is not more than one step of the grid below the first "
    "optimizer's with "
    "the longest (times the latter less that step)",
    "one_step": "In most seeds a warmup that starts at the critical rate of the first update is over after "
    "one "
    "update in more than half of the runs that work with a warmup (seeds, in points above 50 %; nothing was "
    "trained so; exploratory)",
}
SAID = {
    ("slope", Verdict.SUPPORTED): (
        1,
        "{who}: each doubling of the warmup moves the boundary of failure up, to {times}.",
    ),
    ("slope", Verdict.OPPOSITE): (
        1,
        "{who}: each doubling of the warmup moves the boundary of failure down, to {times}.",
    ),
    ("raises", Verdict.SUPPORTED): (2, "Without warmup the boundary of {who} is {times} that of {first}."),
    ("raises", Verdict.OPPOSITE): (2, "Without warmup the boundary of {who} is {times} that of {first}."),
    ("reaches", Verdict.SUPPORTED): (
        3,
        "{who} without warmup reaches the boundary of {first} with the longest.",
    ),
    ("reaches", Verdict.OPPOSITE): (
        3,
        "{who} without warmup stays below the boundary of {first} with the longest.",
    ),
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
            lambda panel: heat(table, found, panel),
            group=capital(f"{human(metric.metric)} by {rate_of(table)} and {human(table.study.treatment)}"),
            caption=CAPTION.format(metric=human(metric.metric)),
        )
        return Shown(
            "The diagram and its boundary of failure",
            (FAILED if found.by_accuracy else BY_LOSS)
            + LEAD
            + _other_rule(found, table)
            + RateTexts.of(table).note(),
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


def _other_rule(found: DiagramFound, table: Table) -> str:
    """Records whose summary has no training accuracy: the diagram reads it from their traces."""
    lacking = (table.state == DONE) & ~np.isfinite(table.times_chance)
    return OTHER_RULE if found.by_accuracy and lacking.any() else ""


def _claimed(verdicts: Verdicts, table: Table) -> Rows:
    rows = tuple(
        (
            *(STATEMENTS[v.name.partition("/")[0]], panel_name(table, v.name.partition("/")[2])),
            *(number(v.effect), str(v.effect.n), p_text(v.p), verdict(v)),
        )
        for v in _mine(verdicts)
    )
    columns = ("claim", panel_head(table), "effect (interval)", "n", "p, corrected", "verdict")
    return Rows("What is claimed", columns, rows, folded=False)


def _mine(verdicts: Verdicts) -> list[Judged]:
    return [v for v in verdicts.values() if v.name.partition("/")[0] in STATEMENTS]


def _boundaries(found: DiagramFound, table: Table) -> Rows:
    rows = tuple(
        (
            *(panel_name(table, b.panel), treatment_name(table, b.treatment), number(b.boundary)),
            *(number(b.checked) if b.checked else "no answer", f"{b.above + b.below} of {b.boundary.n}"),
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
        "the grid is worse than the best one on average. Both hold for this grid"
    )
    return Rows(caption, columns, rows)


def _saved(found: DiagramFound, table: Table) -> Rows:
    told_as = RateTexts.of(table)
    rows = tuple(
        (
            *(panel_name(table, c.panel), treatment_name(table, c.treatment), told_as.text(c.rate)),
            *(f"{c.diverged} of {c.n}", f"{c.failed} of {c.n}"),
            *("" if v is None else f"{v:,.0f}" for v in (c.reach, c.save)),
        )
        for c in found.cells
    )
    columns = (
        *(panel_head(table), human(table.study.treatment), told_as.head(table), "diverged", "failed"),
        *("T_reach: updates to the peak from the critical rate", "T_save: updates saved"),
    )
    caption = (
        "Every cell. The critical rate c is the least at which the first update would raise the loss. A "
        "warmup of T updates that starts at c is at its peak after T_reach = max(T (1 - c / peak), 1) "
        "updates. It saves T_save = T - T_reach - 5: the search for c takes ten forward passes, which count "
        "as five updates. Nothing was trained so"
    )
    return Rows(caption, columns, rows)


def _says(verdicts: Verdicts, table: Table) -> list[Say]:
    out: list[Say] = []
    first = panel_name(table, table.panels.labels[0])
    for v in _mine(verdicts):
        kind, _, label = v.name.partition("/")
        if (kind, v.verdict) in SAID:
            rank, text = SAID[kind, v.verdict]
            times = level_text(v.effect, f"{brief(v.effect.mean, 2)} times")
            out.append(Say(text.format(who=panel_name(table, label), first=first, times=times), rank))
    if not out and any(v.name.startswith("slope/") for v in _mine(verdicts)):
        out.append(Say("These runs do not decide whether a longer warmup moves the boundary of failure.", 1))
    return out


def _outside(found: DiagramFound, table: Table) -> tuple[str, ...]:
    """Which way to go where a setting's boundary lies outside the grid."""
    out, told_as = [], RateTexts.of(table)
    for panel in table.panels.labels:
        mine = of_panel(found.boundaries, panel)
        rates = sorted({c.rate for c in of_panel(found.cells, panel)}) or [0.0]
        for side, what, way in (
            ("above", "no run fails", f"higher than {told_as.text(rates[-1])}"),
            (
                "below",
                "every run fails",
                f"lower than {told_as.text(rates[0])}, or higher if the loss hardly moved",
            ),
        ):
            some = [treatment_name(table, b.treatment) for b in mine if getattr(b, side) == b.boundary.n > 0]
            if some:
                where = f"{panel_name(table, panel)}, {human(table.study.treatment)} {listed(some)}"
                out.append(f"{where}: {what}, so the boundary lies outside the grid: add rates {way}.")
    return tuple(out)
