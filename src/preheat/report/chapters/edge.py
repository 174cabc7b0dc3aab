"""The edge of stability: up to which value of the numeric nuisance training works, and what moves it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from preheat.analysis import words
from preheat.analysis.edges import Edge, EdgesFound, found_edges
from preheat.analysis.naming import (
    base_of,
    heads,
    panel_head,
    panel_name,
    rate_of,
    row_label,
    treatment_name,
    values_of,
    within,
)
from preheat.analysis.table import Table
from preheat.analysis.words import human, p_text
from preheat.core.registry import CHAPTERS
from preheat.core.words import count, listed
from preheat.report.chapter import Chapter, Rows, Seen, Shown, verdict
from preheat.report.chapters.common import number, of_panel, place, present, treatment_dot
from preheat.report.chapters.main import intervals_of, panel_dots
from preheat.report.drawing.shapes import Dots, Line, Lines
from preheat.report.plates import Plate, arrows, by_panel
from preheat.stats.claims import Judged, Verdicts
from preheat.stats.estimates import Estimate

HEAD = (
    "The edge with 95 % intervals, where training comes halfway to the best, and where it comes 90 % of the "
    "way. Where a verdict stands, the ratio's interval is corrected as the verdict is. "
    "Without an edge: the seed trained at the highest value, or diverged at the lowest. At least, at most, "
    "from, up to: "
)
BOUND = (
    "more than a quarter of the seeds are without an edge, so only a bound is known. A seed's edge is known "
    "to the "
    "grid's step only, so a limit can lie below the highest value though every seed trained at it."
)


@CHAPTERS.register("edge")
@dataclass(frozen=True)
class EdgeOfStability(Chapter):
    """The highest value of the numeric nuisance at which training works, and how far each treatment moves
    it."""

    def find(self, table: Table, seen: Seen) -> EdgesFound | None:
        return found_edges(table.claimed)

    def show(self, found: EdgesFound, verdicts: Verdicts, table: Table) -> Shown:
        rate = rate_of(table)
        lead = (
            f"The edge is the highest {rate} at which training still works: the training loss comes halfway "
            f"from chance to that of the best setting.{_distances(found, table)} Every run "
            "counts, also those that diverged."
        )
        return Shown(
            f"The edge of stability: what {human(table.study.treatment)} moves",
            lead,
            plates=_plates(found, verdicts, table),
            tables=(*_pooled_rows(found, verdicts, table), _rows(found, verdicts, table)),
            short="Edge",
            notes=_censored(found),
        )


def _plates(found: EdgesFound, verdicts: Verdicts, table: Table) -> tuple[Plate, ...]:
    pooled = [v for v in verdicts.values() if v.family == "edge"]
    moves = panel_dots(table.claimed, pooled, f"times that with {base_of(table)}", factor=True)
    heading, out = f"The highest {rate_of(table)} that trains", tuple[Plate, ...]()
    if moves:
        caption = f"Right of the dashed line: higher. {intervals_of(moves)}{arrows(moves)}"
        out = (Plate(heading, "edge-moves", "", caption, moves, front=True),)
    out += by_panel(
        table,
        "edge",
        lambda panel: _trained(table, found, panel),
        group="Share of runs that trained",
        caption=f"{_all(table)} together: counts of runs, so without an interval.",
    )
    if len(table.conditions) < 2:
        return out
    return out + by_panel(
        table,
        "edge-ratio",
        lambda panel: _ratios(table, found, verdicts, panel),
        group=f"By {human(table.study.condition)}",
        caption="Lines: intervals over seeds, corrected as the verdicts are. Filled: an effect is shown "
        "(exploratory).",
    )


def _all(table: Table) -> str:
    return f"All {values_of(table)} and seeds" if len(table.conditions) > 1 else "All seeds"


def _distances(found: EdgesFound, table: Table) -> str:
    """How far below the edge the tuned values lie."""
    told = [
        f"{words.brief(d.median, 2)} times{f' {where}' if (where := within(table, d.panel)) else ''} "
        f"({words.brief(d.least, 2)} to {words.brief(d.most, 2)})"
        for d in found.distances
    ]
    if not told:
        return ""
    return (
        f" With {base_of(table)} the tuned {rate_of(table)} lies below it by, in the median, {listed(told)}."
    )


def _censored(found: EdgesFound) -> tuple[str, ...]:
    censored, runs = sum(e.censored for e in found.edges), sum(e.edge.n for e in found.edges)
    if not censored:
        return ()
    why = "training worked at the highest value that was run, or diverged at the lowest"
    bound = (
        "Where this is so for more than a quarter of the seeds, an edge is given as a bound (at least, at "
        "most)."
    )
    return (f"{censored} of {runs} edges were not reached: {why}. {bound}",)


def _at(verdicts: Verdicts, e: Edge) -> Judged | None:
    """What was judged of a setting's ratio to the baseline."""
    return verdicts.get("/".join(("edge", e.panel, e.condition, e.treatment)))


def _effect(e: Estimate | None, v: Judged | None) -> Estimate | None:
    """With the interval that belongs to the verdict beside it; the estimate where there is none."""
    return e if v is None else v.effect


def _told(v: Judged | None) -> tuple[str, str]:
    """(p, verdict) as texts."""
    return ("", "") if v is None else (p_text(v.p), verdict(v))


def _rows(found: EdgesFound, verdicts: Verdicts, table: Table) -> Rows:
    rows = tuple(
        (
            *place(table, e),
            number(e.edge),
            number(e.nearly),
            number(_effect(e.ratio, v)),
            *_told(v),
            f"{e.censored} of {e.edge.n}",
        )
        for e, v in ((e, _at(verdicts, e)) for e in found.edges)
    )
    columns = (
        *heads(table),
        f"edge ({rate_of(table)})",
        "at 90 %",
        "times the baseline's",
        "p, corrected",
        "verdict (exploratory)",
        "seeds without an edge",
    )
    return Rows(HEAD + BOUND, columns, rows)


def _pooled_rows(found: EdgesFound, verdicts: Verdicts, table: Table) -> tuple[Rows, ...]:
    if not found.edges_pooled:
        return ()
    rows = []
    for p in found.edges_pooled:
        v, change = (verdicts.get(f"{name}/{p.panel}/{p.treatment}") for name in ("edge", "edge_change"))
        rows.append(
            (
                *(panel_name(table, p.panel), p.treatment, number(_effect(p.ratio, v))),
                *(*_told(v), number(p.nearly)),
                *(number(p.change and _effect(p.change, change), words.TIMES), *_told(change)),
            )
        )
    grows = "p that it grows"
    if all(p.change is None for p in found.edges_pooled):
        grows = f"p that it depends on {human(table.study.condition)}"
    columns = (
        *(
            panel_head(table),
            human(table.study.treatment),
            f"edge, times that with {base_of(table)} (interval)",
        ),
        *("p, corrected", "verdict", "at 90 %", "per doubling", grows, "verdict (exploratory)"),
    )
    kept = [i for i in range(len(columns)) if i < 6 or any(r[i] not in ("", words.NONE) for r in rows)]
    many = len(table.conditions) > 1
    what = f"All {values_of(table)} together, per seed the mean over them" if many else "The edge"
    what += f"; per doubling: how it changes with {human(table.study.condition)}" if 6 in kept else ""
    return (
        Rows(
            f"{what}. {count(found.edges_pooled[0].ratio.n, 'seed')}.",
            tuple(columns[i] for i in kept),
            tuple(tuple(r[i] for i in kept) for r in rows),
            folded=False,
        ),
    )


def _trained(table: Table, found: EdgesFound, panel: str) -> Lines | None:
    """Share of runs that trained at each value of the nuisance, all conditions together, a line per
    treatment."""
    sums: dict[str, dict[float, tuple[int, int]]] = {}
    for edge in of_panel(found.edges, panel):
        for p in edge.points:
            good, runs = sums.setdefault(edge.treatment, {}).get(p.value, (0, 0))
            sums[edge.treatment][p.value] = (good + p.trained, runs + p.runs)
    lines = []
    for i, name in enumerate(table.treatments.labels):
        at = sorted((v, g, r) for v, (g, r) in sums.get(name, {}).items() if r > 0)
        if at:
            lines.append(
                Line(
                    treatment_name(table, name),
                    i,
                    tuple(v for v, _, _ in at),
                    tuple(100 * g / r for _, g, r in at),
                )
            )
    if not lines:
        return None
    ticks = tuple(sorted({x for line in lines for x in line.x}))
    log = "x" if min(ticks) > 0 and len(ticks) > 1 else ""
    made = Lines(rate_of(table), "runs that trained (%)", tuple(lines), ticks=ticks, log=log, markers=True)
    return replace(made, bottom=0.0, ends=(0.0, 100.0))


def _ratios(table: Table, found: EdgesFound, verdicts: Verdicts, panel: str) -> Dots | None:
    """The edge of each treatment over that of the baseline, as a factor, at each condition."""
    judged = ((e, v, _effect(e.ratio, v)) for e in of_panel(found.edges, panel) for v in [_at(verdicts, e)])
    dots = tuple(
        treatment_dot(table, e, ratio, v=v)
        for e, v, ratio in judged
        if ratio is not None and 0 < ratio.mean < math.inf
    )
    if not dots:
        return None
    label = f"edge, times that with {base_of(table)}"
    return Dots(present(table, dots), row_label(table), label, dots, zero=1.0, log=True)
