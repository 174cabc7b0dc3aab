"""Inside the edge: how much the treatments differ where all of them train."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from preheat.analysis.inside_edge import Inside, insides
from preheat.analysis.naming import choices, heads, rate_of, row_label, row_name
from preheat.analysis.table import Table
from preheat.analysis.words import NONE, Units, brief, human
from preheat.core.registry import CHAPTERS
from preheat.core.words import count, many
from preheat.report.chapter import Chapter, Rows, Seen, Shown, Tile
from preheat.report.chapters.common import across, difference_text, dot, of_panel, place, present
from preheat.report.drawing.shapes import Dot, Dots
from preheat.report.plates import by_panel


@dataclass(frozen=True)
class Insides:
    """One for each panel and condition."""

    inside: tuple[Inside, ...]


@CHAPTERS.register("inside_edge")
@dataclass(frozen=True)
class InsideEdge(Chapter):
    """How far apart the treatments are at a nuisance at which every run trains, and whether they are
    equivalent."""

    def find(self, table: Table, seen: Seen) -> Insides | None:
        made = insides(table.claimed)
        return Insides(made) if made else None

    def show(self, found: Insides, table: Table) -> Shown:
        u, some = Units.of(table.study.metric), found.inside
        same, margin = sum(i.equivalent for i in some), u.margin(table.study.margin)
        rate = rate_of(table)
        where = "where every run trained"
        if rate:
            where = (
                f"at the highest {rate} of the grid that is at most half of the highest at which every run "
                "trained"
            )
            where += " (at that one where there is none so low)"
        lead = f"Compared {where}: all treatments are shown to be equivalent within {margin} in {same} of "
        lead += f"{count(len(some), 'setting')}."
        single = sum(i.widest is not None and i.widest.n < 2 for i in some)
        lead += f" {count(single, 'setting')} of one seed can't show it." if single else ""
        columns = (
            *heads(table)[:2],
            rate,
            "widest difference (95 % interval)",
            "sd over seeds",
            "equivalent",
            "in words",
        )
        return Shown(
            "Inside the edge: how little it matters" if same * 2 > len(some) else "Inside the edge",
            lead,
            says=tuple(_says(table, some)),
            advice=_advice(table, some),
            plates=by_panel(
                table,
                "inside",
                lambda panel: _dots(table, found, panel),
                caption=f"Grey band: the margin of {margin}. Filled: not shown to be within it.",
            ),
            tables=(Rows("Treatments inside the edge", columns, tuple(_row(table, i, u) for i in some)),),
            tiles=_tiles(table, some),
        )


def _row(table: Table, i: Inside, u: Units) -> tuple[str, ...]:
    return (
        *place(table, i),
        brief(i.value) + (" (above half of the edge)" if i.value is not None and not i.well else ""),
        difference_text(i.widest, u) if i.widest else NONE,
        u.difference(i.seed_sd, sign=False),
        "yes" if i.equivalent else "not shown",
        i.text,
    )


def _tiles(table: Table, some: Sequence[Inside]) -> tuple[Tile, ...]:
    varied = bool(table.study.nuisance)
    tested = [i for i in some if i.seed_sd is not None or varied]
    well = [i for i in tested if i.well and varied]
    inside = " inside the edge" if varied else ""
    kept, where = (well, " well inside the edge") if well else (tested, inside)
    text = (
        f"{many(len(kept), 'setting')}{where} in which all are equivalent within "
        f"{Units.of(table.study.metric).margin(table.study.margin)}"
    )
    return (Tile(f"{sum(i.equivalent for i in kept)} of {len(kept)}", text),) if tested else ()


def _says(table: Table, some: Sequence[Inside]) -> list[str]:
    every = [i for i in some if i.widest is not None and i.seed_sd is not None]
    known = [i for i in every if i.well] or every
    if not known:
        return []
    u = Units.of(table.study.metric)
    width = median(i.widest.mean for i in known if i.widest is not None)
    sd = median(i.seed_sd for i in known if i.seed_sd is not None)
    apart = (
        f"all choices of {human(table.study.treatment)} lie within {u.difference(width, sign=False)} of one "
        "another"
    )
    beside = f"beside a standard deviation of {u.difference(sd, sign=False)} between seeds"
    beside += "" if len(known) == 1 else " (medians)"
    equal, margin = sum(i.equivalent for i in known), u.margin(table.study.margin)
    told = f"equivalence within {margin} is shown in {equal} of {count(len(known), 'setting')}"
    if len(known) == 1:
        told = f"this is {'' if equal else 'not '}shown to be equivalent within {margin}"
    return [f"{_place(table, known, len(some))}, {apart}, {beside}; {told}."]


def _place(table: Table, known: Sequence[Inside], settings: int) -> str:
    """Where the treatments are compared: `well inside the edge` only where the value is at most half of
    it."""
    if not table.numeric:
        return "where every run trained"
    if not known[0].well:
        return (
            f"at the highest {rate_of(table)} at which every run trained (none is as low as half of the edge)"
        )
    some = f" ({len(known)} of {settings} settings have a value so low)" if len(known) < settings else ""
    return f"well inside the edge{some}"


def _advice(table: Table, some: Sequence[Inside]) -> tuple[str, ...]:
    if len(table.treatments) > 1 and all(i.equivalent and i.well for i in some):
        return (f"well inside the edge the {choices(table)} hardly matters",)
    return ()


def _dots(table: Table, found: Insides, panel: str) -> Dots | None:
    """The widest difference among treatments, beside the spread that seeds alone make."""
    u, dots = Units.of(table.study.metric), list[Dot]()
    for i in of_panel(found.inside, panel):
        if i.widest is not None and math.isfinite(i.widest.mean):
            name = "widest difference among treatments"
            dots.append(dot(i.condition, name, 1, i.widest, scale=u.scale, filled=not i.equivalent))
            if i.seed_sd is not None:
                sd = i.seed_sd * u.scale
                dots.append(
                    Dot(row_name(i.condition), "standard deviation over seeds", 0, sd, None, None, i.widest.n)
                )
    if not dots:
        return None
    band = table.study.margin * u.scale
    return Dots(present(table, dots), row_label(table), across(u), tuple(dots), band=band, positive=True)
