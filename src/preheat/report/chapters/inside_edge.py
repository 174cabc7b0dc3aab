"""Inside the edge: how much the treatments differ where all of them train."""

from __future__ import annotations

import math
from dataclasses import dataclass

from preheat.analysis.inside_edge import Inside, insides
from preheat.analysis.naming import heads, rate_of, row_label, row_name
from preheat.analysis.table import Table
from preheat.analysis.words import NONE, Units, brief, human, p_text
from preheat.core.registry import CHAPTERS
from preheat.core.words import count
from preheat.report.chapter import Chapter, Rows, Seen, Shown, verdict
from preheat.report.chapters.common import across, difference_text, dot, of_panel, place, present
from preheat.report.drawing.shapes import Dot, Dots
from preheat.report.plates import by_panel
from preheat.stats.claims import Claim, Judged, Verdict, Verdicts


@dataclass(frozen=True)
class Insides:
    """One for each panel and condition."""

    inside: tuple[Inside, ...]
    claims: tuple[Claim, ...]


@CHAPTERS.register("inside_edge")
@dataclass(frozen=True)
class InsideEdge(Chapter):
    """How far apart the treatments are at a nuisance at which every run trains: exploratory."""

    def find(self, table: Table, seen: Seen) -> Insides | None:
        made, claims = insides(table.claimed)
        return Insides(made, tuple(claims)) if made else None

    def show(self, found: Insides, verdicts: Verdicts, table: Table) -> Shown:
        u, some = Units.of(table.study.metric), found.inside
        at = {i: verdicts.get("/".join(("inside", i.panel, i.condition))) for i in some}
        same = sum(v is not None and v.verdict is Verdict.SAME for v in at.values())
        margin, rate = u.margin(table.study.margin), rate_of(table)
        where = "where every run trained"
        if rate:
            where = (
                f"at the highest {rate} of the grid that is at most half of the highest at which every run "
                "trained (at that one where there is none so low)"
            )
        lead = (
            f"Compared {where}: a difference of {margin} between any two choices of "
            f"{human(table.study.treatment)} is excluded in {same} of "
            f"{count(len(some), 'setting')} (exploratory)."
        )
        columns = (
            *heads(table)[:2],
            *((rate,) if rate else ()),
            *("widest difference (interval)", "sd over seeds", "p, corrected", "do they differ"),
        )
        rows = tuple(_row(table, i, v, u) for i, v in at.items())
        return Shown(
            "Inside the edge" if rate else "Where every run trained",
            lead,
            plates=by_panel(
                table,
                "inside",
                lambda panel: _dots(table, at, panel),
                caption=f"Grey band: within {margin}. Filled: the choices were shown to differ.",
            ),
            tables=(Rows("Inside the edge", columns, rows),),
            short="Inside the edge",
        )


def _row(table: Table, i: Inside, v: Judged | None, u: Units) -> tuple[str, ...]:
    value = brief(i.value) + (" (above half of the edge)" if i.value is not None and not i.well else "")
    widest = i.widest if v is None else v.effect
    why = "at no value did every run train" if i.widest is None else "a description only"
    return (
        *place(table, i),
        *((value,) if rate_of(table) else ()),
        difference_text(widest, u) if widest else NONE,
        u.difference(i.seed_sd, sign=False),
        *(("", why) if v is None else (p_text(v.p), verdict(v))),
    )


def _dots(table: Table, found: dict[Inside, Judged | None], panel: str) -> Dots | None:
    """The widest difference among treatments, beside the spread that seeds alone make."""
    u, dots = Units.of(table.study.metric), list[Dot]()
    for i in of_panel(found, panel):
        v = found[i]
        widest = i.widest if v is None else v.effect
        if widest is not None and math.isfinite(widest.mean):
            name = "widest difference"
            row = row_name(table, i.condition)
            dots.append(dot(row, (name, -1), widest, scale=u.scale, v=v))
            if i.seed_sd is not None:
                sd = i.seed_sd * u.scale
                spread = "standard deviation over seeds"
                dots.append(Dot(row, spread, -3, sd, None, None, widest.n))
    if not dots:
        return None
    band = table.study.margin * u.scale
    return Dots(present(table, dots), row_label(table), across(u), tuple(dots), band=band, positive=True)
