"""The treatments that can't be told from the best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from preheat.analysis.effects import BestSet, best_sets
from preheat.analysis.naming import heads, row_label, row_name
from preheat.analysis.table import Table
from preheat.analysis.words import human
from preheat.core.registry import CHAPTERS
from preheat.report.chapter import Chapter, Rows, Seen, Shown
from preheat.report.chapters.common import of_panel, place
from preheat.report.drawing.shapes import Matrix
from preheat.report.plates import by_panel

LEVEL = "at 95 %, over all sets of the page together"


@dataclass(frozen=True)
class BestSets:
    """The best set of every panel and condition."""

    best: tuple[BestSet, ...]


@CHAPTERS.register("best")
@dataclass(frozen=True)
class Best(Chapter):
    """For every condition the treatments that can't be told from the best one."""

    def find(self, table: Table, seen: Seen) -> BestSets | None:
        made = best_sets(table.claimed)
        return BestSets(made) if made else None

    def show(self, found: BestSets, table: Table) -> Shown:
        lead = (
            f"Any member of a set is a sound choice: the data do not tell them apart ({LEVEL}). A set of all "
            "says that nothing was shown to matter here."
        )
        if not table.study.choosing:
            lead += (
                " No seed chose beforehand: the best mean is the best on the test set, and no result by "
                "itself."
            )
        rows = tuple((*place(table, b), ", ".join(b.members), b.leader, str(b.n)) for b in found.best)
        columns = (*heads(table)[:2], "can't be told apart", "best mean", "n")
        return Shown(
            f"Which {human(table.study.treatment)} to use",
            lead,
            plates=by_panel(
                table,
                "best",
                lambda panel: _matrix(table, found, panel),
                caption=f"Rings can't be told from the best mean ({LEVEL}).",
            ),
            tables=(Rows("Best sets", columns, rows),),
            short="What to use",
        )


def _matrix(table: Table, found: BestSets, panel: str) -> Matrix | None:
    """The members per condition; treatments that no judged run is of are absent."""
    mine = {b.condition: b for b in of_panel(found.best, panel)}
    rows = [c for c in table.conditions.labels if c in mine]
    if not rows:
        return None
    run = {c: _judged(table, panel, c) for c in rows}
    columns = tuple(t for t in table.treatments.labels if any(t in some for some in run.values()))
    return Matrix(
        tuple(map(row_name, rows)),
        columns,
        row_label(table),
        human(table.study.treatment),
        tuple(mine[c].members for c in rows),
        tuple(mine[c].leader for c in rows),
        tuple(tuple(t for t in columns if t not in run[c]) for c in rows),
    )


def _judged(table: Table, panel: str, condition: str) -> set[str]:
    at = table.panels.labels.index(panel), table.conditions.labels.index(condition)
    return {
        name
        for name, scores in zip(table.treatments.labels, table.judged[at], strict=True)
        if np.isfinite(scores).any()
    }
