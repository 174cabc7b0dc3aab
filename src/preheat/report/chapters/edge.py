"""The edge of stability: up to which value of the numeric nuisance training works, and what moves it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from preheat.analysis import words
from preheat.analysis.edges import Edge, Pooled, edges, pooled
from preheat.analysis.naming import (
    MOST,
    at_conditions,
    base_of,
    choices,
    heads,
    panel_name,
    rate_of,
    row_label,
    treatment_name,
    values_of,
    within,
)
from preheat.analysis.table import Table
from preheat.analysis.words import human, p_text
from preheat.core.lengths import length
from preheat.core.registry import CHAPTERS
from preheat.core.words import count, listed, many
from preheat.report.chapter import Chapter, Rows, Seen, Shown, Tile
from preheat.report.chapters.common import dot, number, of_panel, place, present, treatment_dot
from preheat.report.chapters.edge_words import Panel, edge_sentences, panels, sure_conditions
from preheat.report.drawing.shapes import Dot, Dots, Line, Lines
from preheat.report.plates import by_panel

ALL = "all together"
HEAD = (
    "The edge with 95 % intervals. Censored: the seed trained at every value or at none. At least, at most, "
    "from, up to: "
)
BOUND = (
    "more than a quarter of the seeds are censored, so only a bound is known. A seed's edge is known to the "
    "grid's step only, so a limit can lie below the highest value though every seed trained at it."
)


@dataclass(frozen=True)
class Edges:
    """The edge of every setting, and the ratio to the baseline's over all conditions of a panel together."""

    edges: tuple[Edge, ...]
    edges_pooled: tuple[Pooled, ...]


@CHAPTERS.register("edge")
@dataclass(frozen=True)
class EdgeOfStability(Chapter):
    """The highest value of the numeric nuisance at which training works, and how far each treatment moves
    it."""

    def find(self, table: Table, seen: Seen) -> Edges | None:
        made = edges(table.claimed)
        return Edges(made, pooled(table.claimed)) if made else None

    def show(self, found: Edges, table: Table) -> Shown:
        rate, moves = (
            rate_of(table) or "value",
            "Lines: 95 % intervals over seeds. Filled: sure after correction",
        )
        moves += "; the first row by itself, the others together." if _several(found, table) else "."
        plates = (
            *by_panel(
                table,
                "edge",
                lambda panel: _trained(table, found, panel),
                group="Share of runs that trained",
                caption="All conditions and seeds together.",
            ),
            *by_panel(
                table,
                "edge-ratio",
                lambda panel: _ratios(table, found, panel),
                group="How far the edge moves",
                caption=moves,
            ),
        )
        lead = f"The edge is the highest {rate} at which training still works. {_moved(found, table)}"
        return Shown(
            f"The edge of stability: what {human(table.study.treatment)} moves",
            f"{lead} Every run counts, also those that diverged.",
            says=tuple(edge_sentences(table.claimed, found.edges_pooled, found.edges)),
            advice=near(table.claimed, found.edges_pooled, found.edges),
            plates=plates,
            tables=(*_pooled_rows(found, table), _rows(found, table)),
            tiles=_tiles(found, table),
            short="Edge",
            notes=_censored(found),
        )


def _several(found: Edges, table: Table) -> bool:
    """Whether several conditions are pooled."""
    return bool(found.edges_pooled) and len(table.conditions) > 1


def _censored(found: Edges) -> tuple[str, ...]:
    censored, runs = sum(e.censored for e in found.edges), sum(e.edge.n for e in found.edges)
    if not censored:
        return ()
    why = "training worked at every value, or at none, so the edge lies outside the grid"
    bound = (
        "Where this is so for more than a quarter of the seeds, an edge is given as a bound (at least, at "
        "most)."
    )
    return (f"{censored} of {runs} edges are censored: {why}. {bound}",)


def _tiles(found: Edges, table: Table) -> tuple[Tile, ...]:
    alike = bool(found.edges_pooled) and not any(r.depends for r in found.edges_pooled)
    moves: Sequence[Edge | Pooled] = [e for e in found.edges if e.ratio is not None]
    if alike:
        moves = found.edges_pooled
    together = f", all {values_of(table)} together" if alike and len(table.conditions) > 1 else ""
    text = f"{many(len(moves), 'comparison')} in which the edge of stability surely moves{together}"
    return (Tile(f"{sum(m.sure for m in moves)} of {len(moves)}", text),) if moves else ()


def _moved(found: Edges, table: Table) -> str:
    """How many comparisons of each family are sure."""
    singles = [e for e in found.edges if e.ratio is not None]
    parts = [
        f"in {sum(e.sure for e in singles)} of {count(len(singles), 'comparison')} with {base_of(table)}"
    ]
    if _several(found, table):
        n = f"{sum(r.sure for r in found.edges_pooled)} of {count(len(found.edges_pooled), 'comparison')}"
        parts = [f"in {n} over all {values_of(table)} together", f"{parts[0]} at a single one"]
    told = f"It moves surely (p < 0.05, each family corrected for its number by Holm) {' and '.join(parts)}."
    asked = [r for r in found.edges_pooled if r.change_p_adjusted is not None]
    if asked:
        known = f"{sum(r.depends for r in asked)} of {len(asked)}"
        told += f" That the move depends on the {human(table.study.condition)} is sure in {known}."
    return told


def _rows(found: Edges, table: Table) -> Rows:
    rows = tuple(
        (
            *place(table, e),
            number(e.edge),
            number(e.ratio),
            p_text(e.p_adjusted),
            str(e.edge.n),
            str(e.censored),
        )
        for e in found.edges
    )
    edge = f"edge ({rate_of(table) or 'value'})"
    columns = (*heads(table), edge, "times the baseline's", "p, corrected", "seeds", "censored seeds")
    return Rows(HEAD + BOUND, columns, rows)


def _pooled_rows(found: Edges, table: Table) -> tuple[Rows, ...]:
    some = found.edges_pooled
    if not some:
        return ()
    rows = tuple(
        (
            panel_name(table, p.panel),
            p.treatment,
            number(p.ratio),
            p_text(p.p_adjusted),
            *_change(found, p),
            str(p.ratio.n),
        )
        for p in some
    )
    more: tuple[str, ...] = ()
    if any(p.change_p_adjusted is not None for p in some):
        more = (*(("per doubling",) if any(p.change for p in some) else ()), "p that it depends, corrected")
    treatment = human(table.study.treatment)
    columns = ("panel", treatment, f"edge, times that with {base_of(table)}", "p, corrected", *more, "seeds")
    what = f"All {values_of(table)} together" if len(table.conditions) > 1 else "The edge"
    what += ": per seed the mean over them, with 95 % intervals"
    what += (
        f"; and how it changes per doubling of {human(table.study.condition)}"
        if "per doubling" in more
        else ""
    )
    return (Rows(what, columns, rows, folded=False),)


def _change(found: Edges, p: Pooled) -> tuple[str, ...]:
    """How the ratio depends on the condition, in as many columns as the table has for it."""
    if all(q.change_p_adjusted is None for q in found.edges_pooled):
        return ()
    change = number(p.change, words.TIMES) if p.change else words.NONE
    times = (change,) if any(q.change for q in found.edges_pooled) else ()
    return (*times, p_text(p.change_p_adjusted))


def _trained(table: Table, found: Edges, panel: str) -> Lines | None:
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
            lines.append(Line(name, i, tuple(v for v, _, _ in at), tuple(100 * g / r for _, g, r in at)))
    if not lines:
        return None
    ticks = tuple(sorted({x for line in lines for x in line.x}))
    log = "x" if min(ticks) > 0 and len(ticks) > 1 else ""
    rate = rate_of(table) or "value"
    return Lines(rate, "runs that trained (%)", tuple(lines), ticks=ticks, log=log, markers=True)


def _ratios(table: Table, found: Edges, panel: str) -> Dots | None:
    """The edge of each treatment over that of the baseline, as a factor; first of all conditions together."""
    dots = tuple(
        treatment_dot(table, e, e.ratio, filled=e.sure)
        for e in of_panel(found.edges, panel)
        if e.ratio is not None and 0 < e.ratio.mean < math.inf
    )
    if not dots:
        return None
    rows = present(table, dots)
    if len(table.conditions) > 1 and (together := _together(table, found, panel)):
        rows, dots = (ALL, *rows), (*together, *dots)
    return Dots(rows, row_label(table), f"edge, times that with {base_of(table)}", dots, zero=1.0, log=True)


def _together(table: Table, found: Edges, panel: str) -> tuple[Dot, ...]:
    return tuple(
        dot(ALL, p.treatment, table.treatments.labels.index(p.treatment), p.ratio, filled=p.sure)
        for p in of_panel(found.edges_pooled, panel)
        if 0 < p.ratio.mean < math.inf
    )


def near(table: Table, pooled: Sequence[Pooled], edges: Sequence[Edge]) -> tuple[str, ...]:
    """What to do near the edge, as far as tests support it; none where nothing was tested."""
    if all(r.ratio.n < 2 for r in pooled) or len(table.treatments) < 2:
        return ()
    places = [text for p in panels(table, pooled, edges) if (text := _advice(table, p))]
    if not places:
        return (f"no {choices(table)} was shown to allow a higher {rate_of(table)}",)
    return (f"if you train near the edge, set the {human(table.study.treatment)} {listed(places)}",)


def _advice(table: Table, panel: Panel) -> str:
    """Where and with which treatments the edge surely rises; empty where it does not."""
    ups = [e for e, r in panel.singles if r.mean > 1]
    if panel.kind == "moves":
        names = [r.treatment for r in panel.pooled if r.sure and r.ratio.mean > 1]
        what = f"({_which(table, names)})" if names else ""
        return " ".join(x for x in (within(table, panel.name), what) if x) if names else ""
    if not ups:
        return ""
    at = [c for c in sure_conditions(table, panel) if any(e.condition == c for e in ups)]
    if len(at) > MOST:
        every = list(dict.fromkeys(e.treatment for e in ups))
        which = [f"{at_conditions(table, at)} ({_which(table, every)})"]
    else:
        best = [_which(table, [e.treatment for e in ups if e.condition == c], short=c != at[0]) for c in at]
        which = [f"{at_conditions(table, [c], bare=c != at[0])} ({b})" for c, b in zip(at, best, strict=True)]
    return f"{within(table, panel.name)} {listed(which)}".strip()


def _which(table: Table, names: Sequence[str], *, short: bool = False) -> str:
    """The shortest length that raises the edge; of other treatments all that do. short: without the verb."""
    labels = table.treatments.labels
    ranked = sorted(names, key=labels.index)
    if not table.lengths:
        return listed([treatment_name(table, name) for name in ranked[:MOST]])
    sizes = {name: length(v) for name, v in zip(labels, table.treatments.values, strict=True)}
    if len({v.unit for v in sizes.values() if v}) == 1:
        ranked.sort(key=lambda name: float(sizes[name].value))
    return treatment_name(table, ranked[0]) + ("" if short else " is enough to raise it")
