"""The metric of every setting at its chosen nuisance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from preheat.analysis import words
from preheat.analysis.effects import Cell, Place, cells, places
from preheat.analysis.naming import base_of, heads, rate_of
from preheat.analysis.table import Table
from preheat.analysis.words import NONE, Units, human
from preheat.core.registry import CHAPTERS
from preheat.core.words import count, listed
from preheat.report.chapter import Chapter, Rows, Say, Seen, Shown
from preheat.report.chapters.common import heat, level, place
from preheat.report.drawing.shapes import Heat
from preheat.report.plates import Plate, by_panel
from preheat.stats.claims import Verdicts
from preheat.stats.estimates import Estimate


@dataclass(frozen=True)
class Cells:
    """Every planned setting, each seed at the nuisance that it chose; at_end: of how many settings most seeds
    chose an end of the grid."""

    cells: tuple[Cell, ...]
    at_end: int


@CHAPTERS.register("metric")
@dataclass(frozen=True)
class MetricChapter(Chapter):
    """The test metric of every setting at its tuned nuisance, with its interval over seeds, and how many of
    the tuned runs did not train."""

    def find(self, table: Table, seen: Seen) -> Cells | None:
        made = cells(table)
        at_end = sum(_at_end(table, at) for at in places(table)) if table.numeric else 0
        return Cells(made, at_end) if made else None

    def show(self, found: Cells, verdicts: Verdicts, table: Table) -> Shown:
        axes = tuple(human(a) for a in (table.study.condition, table.study.treatment) if a)
        title = f"{human(table.study.metric).capitalize()} by {listed(axes)}"
        judged = [c for c in found.cells if c.estimate.n]
        said = Shown(
            title, says=_alone(table, found.cells), notes=tuple(_notes(table, found)), short="Heat map"
        )
        if not judged:
            return said._replace(lead="No run has a result yet.")
        ns = sorted({c.estimate.n for c in found.cells})
        seeds = count(ns[-1], "seed") if len(ns) == 1 else f"{ns[0]} to {ns[-1]} seeds"
        at = f", each seed at the {rate_of(table)} that it chose" if table.study.nuisance else ""
        better = "Higher" if table.study.goal == "max" else "Lower"
        lead = (
            f"Each cell is one setting{at}: {seeds}. {better} is better. A run that failed to train counts; "
            "the "
            "table has the mean of those that did not fail beside it."
        )
        return said._replace(lead=lead, plates=_plates(table, found), tables=(_rows(table, found),))


def _at_end(table: Table, at: Place) -> bool:
    values, picks = np.flatnonzero(table.planned[at]), table.picks[at]
    picks = picks[picks >= 0]
    return len(values) > 1 and bool(len(picks)) and bool(np.isin(picks, (values[0], values[-1])).mean() > 0.5)


def _alone(table: Table, some: tuple[Cell, ...]) -> tuple[Say, ...]:
    """Where there is one treatment only: its level."""
    if len(table.treatments) > 1:
        return ()
    kept = table.claimed.panels.labels
    u, known = (
        Units.of(table.study.metric),
        [c.estimate.mean for c in some if c.panel in kept and c.estimate.n],
    )
    head = Say(f"There is nothing to compare with {base_of(table)}.", 0)
    if not known:
        return (head,)
    span = u.value(known[0]) if len(known) == 1 else f"{u.number(min(known))} to {u.value(max(known))}"
    return head, Say(f"The mean test {human(table.study.metric)} is {span}.", 1)


def _notes(table: Table, found: Cells) -> list[str]:
    out, settings = [], count(len(found.cells), "setting")
    unjudged, single = (sum(c.estimate.n == n for c in found.cells) for n in (0, 1))
    if unjudged:
        out.append(f"{unjudged} of {settings} have no result.")
    if single and any(c.estimate.n > 1 for c in found.cells):
        out.append(f"{single} of {settings} have one seed: they are described only.")
    if found.at_end:
        where = f"in {found.at_end} of {settings}"
        out.append(
            f"Most seeds chose a {rate_of(table)} at the end of its grid {where}; a wider grid may do better."
        )
    return out


def _plates(table: Table, found: Cells) -> tuple[Plate, ...]:
    """Colours span all panels."""
    u = Units.of(table.study.metric)
    at = {
        (c.panel, c.condition, c.treatment): c.estimate for c in found.cells if math.isfinite(c.estimate.mean)
    }
    every = [e.mean * u.scale for e in at.values()]

    def text(e: Estimate) -> str:
        width = words.half(e)
        return f"{u.number(e.mean)}\n" + (f"n = {e.n}" if width is None else f"±{u.number(width)}")

    def make(panel: str) -> Heat | None:
        bar = u.label(), min(every), max(every), u.unit
        return heat(table, at, panel, value=lambda e: e.mean * u.scale, text=text, bar=bar)

    caption = "Mean, and half the 95 % interval below it."
    return by_panel(table, human(table.study.metric), make, caption=caption) if every else ()


def _lost(c: Cell, u: Units) -> tuple[str, str]:
    return f"{c.lost.k} of {c.lost.n}", level(c.survivors, u) if c.survivors.n else NONE


def _rows(table: Table, found: Cells) -> Rows:
    u = Units.of(table.study.metric)
    chosen = tuple(dict.fromkeys(k for c in found.cells for k in c.chosen))
    failed = any(c.lost.k for c in found.cells)
    rows = tuple(
        (
            *(*place(table, c), level(c.estimate, u), str(c.estimate.n)),
            *(_lost(c, u) if failed else ()),
            *(c.chosen.get(k, "") for k in chosen),
        )
        for c in found.cells
    )
    what = f"{human(table.study.metric)} (95 % interval)"
    lost = ("tuned runs that failed to train", "mean of the others") if failed else ()
    columns = (*heads(table), what, "n", *lost, *(f"chosen {human(k)} (seeds)" for k in chosen))
    return Rows("Every cell", columns, rows)
