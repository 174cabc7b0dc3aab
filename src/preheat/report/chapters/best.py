"""The treatments that can't be told from the best."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from preheat.analysis.effects import BestSet, best_sets
from preheat.analysis.naming import panel_head, panel_name, rate_of, treatment_name, values_of
from preheat.analysis.table import Table
from preheat.analysis.words import Units, human
from preheat.core.registry import CHAPTERS
from preheat.report.chapter import Chapter, Rows, Seen, Shown
from preheat.report.drawing.shapes import Matrix
from preheat.report.plates import Plate
from preheat.stats.claims import Claim, Verdict, Verdicts


@dataclass(frozen=True)
class BestSets:
    """The best set of every panel, all conditions together."""

    best: tuple[BestSet, ...]
    claims: tuple[Claim, ...]


@CHAPTERS.register("best")
@dataclass(frozen=True)
class Best(Chapter):
    """The treatments that can't be told from the best one, all conditions together: exploratory."""

    def find(self, table: Table, seen: Seen) -> BestSets | None:
        made, claims = best_sets(table.claimed)
        return BestSets(made, tuple(claims)) if made else None

    def show(self, found: BestSets, verdicts: Verdicts, table: Table) -> Shown:
        base = table.treatments.labels[table.base]
        kept = {b.panel: members(b, verdicts, base) for b in found.best}
        many = f", all {values_of(table)} together" if len(table.conditions) > 1 else ""
        u = Units.of(table.study.metric)
        tuned = f"At a tuned {rate_of(table)} any" if table.tuned else "Any"
        lead = (
            f"{tuned} member of a set is a sound choice{many}: it was not shown to be worse than another, or "
            "by "
            f"less than {u.margin(table.study.margin)} only (exploratory). A set of all says that nothing "
            "was shown "
            "to matter there."
        )
        rows = tuple(
            (panel_name(table, b.panel), ", ".join(kept[b.panel]), b.leader, str(b.n)) for b in found.best
        )

        def named(some: Iterable[str]) -> tuple[str, ...]:
            return tuple(treatment_name(table, t) for t in some)

        matrix = Matrix(
            tuple(panel_name(table, b.panel) or "all" for b in found.best),
            named(table.treatments.labels),
            "",
            human(table.study.treatment),
            tuple(named(kept[b.panel]) for b in found.best),
            tuple(treatment_name(table, b.leader) for b in found.best),
            tuple(named(t for t in table.treatments.labels if t not in b.treatments) for b in found.best),
        )
        caption = "A ring: not told apart from the best mean, at the level of the whole family."
        return Shown(
            f"Which {human(table.study.treatment)} to use",
            lead,
            plates=(Plate("", "best", "", caption, matrix),),
            tables=(Rows("Best sets", (panel_head(table), "can't be told apart", "best mean", "n"), rows),),
            short="What to use",
        )


def members(b: BestSet, verdicts: Verdicts, base: str) -> tuple[str, ...]:
    """The treatments that no other one was shown to beat; base: the baseline, with which the main effects
    compare."""

    def beats(one: str, other: str) -> bool:
        for name, verdict in ((f"{one}/{other}", Verdict.SUPPORTED), (f"{other}/{one}", Verdict.OPPOSITE)):
            v = verdicts.get(f"best/{b.panel}/{name}")
            if v is not None and v.verdict is verdict:
                return True
        against = one if other == base else other
        v = verdicts.get(f"tuned/{b.panel}/{against}") if base in (one, other) else None
        return v is not None and v.verdict is (Verdict.SUPPORTED if other == base else Verdict.OPPOSITE)

    return tuple(t for t in b.treatments if not any(beats(other, t) for other in b.treatments))
