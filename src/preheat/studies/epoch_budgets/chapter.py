"""Schedules over epoch budgets, as they are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from preheat.analysis.naming import panel_head, panel_name, treatment_name
from preheat.analysis.results import Row
from preheat.analysis.table import Table
from preheat.analysis.words import NONE, Units, brief, human, p_text
from preheat.core.record import Record
from preheat.core.registry import CHAPTERS
from preheat.core.words import listed
from preheat.report.chapter import Chapter, Rows, Say, Seen, Shown, verdict
from preheat.report.chapters.common import dot, level, number, of_panel
from preheat.report.drawing.shapes import Bars, Dots
from preheat.report.plates import Plate, by_panel
from preheat.search.trials import by_epoch
from preheat.stats.claims import Judged, Verdict, Verdicts
from preheat.studies.epoch_budgets.found import ArmBudgets, BudgetsFound, budgets_found

LEAD = (
    "Every seed chose its setting by the validation score at {first} epochs and trained it at the other "
    "budgets; "
    "what depends on the length was built anew. SLCD says how unlike the learning curves of two budgets are "
    "where "
    "both have epochs: 0 for equal ones, below 1 for any. Here it is of each seed's own curves, the mean "
    "over all "
    "pairs of budgets; beside it that of the averaged curves, as published."
)
FAMILIES = (
    ("traditional", ("N", "P", "C", "E", "L", "S")),
    ("cyclic or warmup", ("OC", "CY", "WC")),
    ("hyperbolic", ("H", "EH", "WH", "WEH")),
)
SAID = {
    ("lowest", Verdict.SUPPORTED): "{who} has the lowest SLCD: its curves depend least on the budget.",
    ("lowest", Verdict.OPPOSITE): "{who} does not have the lowest SLCD.",
    ("lowest", Verdict.OPEN): "Whether {who} has the lowest SLCD is not decided.",
    ("highest", Verdict.SUPPORTED): "{who} has the highest SLCD: its curves depend most on the budget.",
    ("highest", Verdict.OPPOSITE): "{who} does not have the highest SLCD.",
    ("highest", Verdict.OPEN): "Whether {who} has the highest SLCD is not decided.",
}


@CHAPTERS.register("budgets")
@dataclass(frozen=True)
class BudgetsChapter(Chapter):
    """Whether a schedule that was tuned at a small budget keeps its promise at larger ones.

    lowest, highest: the schedules of which it is asked beforehand whether their SLCD is.
    """

    lowest: Sequence[str] = ("EH",)
    highest: Sequence[str] = ("C",)

    def each(self, record: Record, row: Row) -> tuple[float, ...] | None:
        return by_epoch(record, "validation_loss") or None

    def find(self, table: Table, seen: Seen) -> BudgetsFound | None:
        return budgets_found(table, seen, lowest=self.lowest, highest=self.highest)

    def show(self, found: BudgetsFound, verdicts: Verdicts, table: Table) -> Shown:
        mine = [v for v in verdicts.values() if v.name.partition("/")[0] in ("lowest", "highest")]
        caption = "Each seed's mean SLCD over all pairs of budgets: mean over seeds and 95 % interval."
        likeness = by_panel(table, "slcd", lambda panel: _dots(found, panel), group="SLCD", caption=caption)
        finals = by_panel(
            table,
            "finals",
            lambda panel: _bars(found, panel, table),
            group="At the end of each budget",
            caption="Mean over seeds with 95 % intervals.",
        )
        return Shown(
            "Over epoch budgets",
            LEAD.format(first=found.arms[0].budgets[0]),
            says=tuple(_says(mine, table)),
            plates=tuple(Plate(p.group, p.name, p.title, p.caption, p.data, front=True) for p in likeness)
            + finals,
            tables=tuple(t for t in (_claimed(mine, table), _arms(found, table)) if t.rows),
            short="Budgets",
            notes=_not_learnt(found, table),
        )


def _says(mine: Sequence[Judged], table: Table) -> list[Say]:
    out = []
    for v in mine:
        kind, _, rest = v.name.partition("/")
        panel, _, schedule = rest.rpartition("/")
        name = panel_name(table, panel)
        who = f"{schedule} with {name}" if name else schedule
        if (kind, v.verdict) in SAID:
            out.append(Say(SAID[kind, v.verdict].format(who=who), 1))
    return out


def _claimed(mine: Sequence[Judged], table: Table) -> Rows:
    rows = tuple(
        (
            v.name.partition("/")[0],
            v.name.rpartition("/")[2],
            number(v.effect),
            str(v.effect.n),
            p_text(v.p),
            verdict(v),
        )
        for v in mine
    )
    columns = ("SLCD", "schedule", "times the next (interval)", "n", "p, corrected", "verdict")
    return Rows("What is claimed of SLCD", columns, rows, folded=False)


def _arms(found: BudgetsFound, table: Table) -> Rows:
    u = Units.of(table.study.metric)
    rows = tuple(
        (
            *(panel_name(table, a.panel), treatment_name(table, a.treatment)),
            *(level(e, u) for e in a.final),
            NONE if a.slcd is None else number(a.slcd),
            NONE if a.mean_curve is None else brief(a.mean_curve),
            NONE if a.power is None else brief(a.power.r2),
            number(a.rank[-1]),
        )
        for a in found.arms
    )
    budgets = found.arms[0].budgets
    columns = (
        *(panel_head(table), human(table.study.treatment)),
        *(f"test {human(table.study.metric)}, {b} epochs" for b in budgets),
        *("SLCD", "SLCD of mean curves", "R2 of a power law", f"rank at {budgets[-1]} epochs"),
    )
    caption = f"Every schedule, with 95 % intervals over seeds (n = {found.arms[0].final[0].n})"
    return Rows(caption, columns, rows)


def _dots(found: BudgetsFound, panel: str) -> Dots | None:
    some = [a for a in of_panel(found.arms, panel) if a.slcd is not None and a.slcd.mean > 0]
    if len(some) < 2:
        return None
    dots = tuple(dot(a.treatment, ("", 0), a.slcd) for a in some)
    return Dots(tuple(a.treatment for a in some), "schedule", "SLCD", dots, zero=None, positive=True)


def _bars(found: BudgetsFound, panel: str, table: Table) -> Bars | None:
    mine = {a.treatment: a for a in of_panel(found.arms, panel)}
    known = [name for _, names in FAMILIES for name in names]
    groups = [(f, [n for n in names if n in mine]) for f, names in FAMILIES]
    groups.append(("other", [n for n in mine if n not in known]))
    families = [(f, some) for f, some in groups if some]
    arms: list[ArmBudgets] = [mine[n] for _, some in families for n in some]
    if len(arms) < 2:
        return None
    return Bars(
        groups=tuple(a.treatment for a in arms),
        names=tuple(f"{b} epochs" for b in arms[0].budgets),
        families=tuple((f, len(some)) for f, some in families),
        group_label="schedule",
        y_label=Units.of(table.study.metric).label(),
        values=tuple(tuple(e.mean for e in a.final) for a in arms),
        lo=tuple(tuple(e.lo for e in a.final) for a in arms),
        hi=tuple(tuple(e.hi for e in a.final) for a in arms),
    )


def _not_learnt(found: BudgetsFound, table: Table) -> tuple[str, ...]:
    lost = [a for a in found.arms if not a.learnt]
    if not lost:
        return ()
    names = [f"{panel_name(table, a.panel)} {a.treatment}".strip() for a in lost]
    return (f"At the largest budget these did no better than a guess: {listed(names)}.",)
