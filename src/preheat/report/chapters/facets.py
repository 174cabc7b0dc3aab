"""Curves of settings as small multiples: one for each condition, in it a line for each treatment."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from preheat.analysis import words
from preheat.analysis.curves import MeanCurve
from preheat.analysis.naming import row_label, row_name, treatment_name
from preheat.analysis.table import Table
from preheat.analysis.words import Units
from preheat.report.chapters.common import finite
from preheat.report.drawing.shapes import Facets, Line, Lines

PROGRESS = "progress through the run (%)"
MOST = 6
WIDE = 20  # a range of more than this factor is drawn on a log axis


def facets(
    table: Table,
    some: Sequence[MeanCurve],
    *,
    x: str = PROGRESS,
    name: str = "",
    rates: bool = False,
    log: str | None = None,
) -> Facets | None:
    """Curves of one panel and one quantity; of many conditions an even choice.

    x: the label of the x axis, on which shares of a run are drawn in percent. name: that of the y axis, in
    place of the quantity's own. rates: the legend says each treatment's chosen nuisances. log: "x", "y", "xy"
    or "", None for `scale`.
    """
    labels = table.conditions.labels
    here = [c for c in labels if any(k.condition == c for k in some)] or sorted({k.condition for k in some})
    here = even(here, MOST)
    log = scale(some) if log is None else log
    parts = []
    for condition in here:
        mine = sorted((k for k in some if k.condition == condition), key=lambda k: series(table, k.treatment))
        said = {k.treatment: chosen_text(table, k, here) if rates else "" for k in mine}
        lines = tuple(line(table, k, more=said[k.treatment], percent=x == PROGRESS) for k in mine)
        called = row_name(table, condition) if condition else ""
        title = f"{row_label(table)}: {called}" if condition and row_label(table) else called
        parts.append(Lines(x, name or axis(mine[0].what), lines, title, log=log))
    if not parts:
        return None
    low = _bottom(parts) if x == PROGRESS and Units.of(some[0].what).unit else None
    ends = Units.of(some[0].what).ends
    return Facets(tuple(replace(p, bottom=low, ends=ends) for p in parts))


def even(some: Sequence[str], most: int) -> list[str]:
    """At most `most` of them, the first and the last among them, evenly spread.

    >>> even("abcdefg", 3), even("ab", 3)
    (['a', 'd', 'g'], ['a', 'b'])
    """
    n = len(some)
    return list(some) if n <= most else [some[round(i * (n - 1) / (most - 1))] for i in range(most)]


def _bottom(parts: Sequence[Lines]) -> float | None:
    """Where y begins, if most of its range is spent on the first tenth; None for automatic."""
    points = [
        (x, v) for p in parts for k in p.lines for x, v in zip(k.x, k.y, strict=True) if math.isfinite(v)
    ]
    rest, every = [v for x, v in points if x >= 10], [v for _, v in points]
    if not rest or min(rest) - min(every) < (max(every) - min(every)) / 3:
        return None
    return min(rest) - 0.08 * (max(rest) - min(rest))


def series(table: Table, treatment: str) -> int:
    """The number of a treatment's line, which sets its colour."""
    labels = table.treatments.labels
    return labels.index(treatment) if treatment in labels else len(labels)


def axis(what: str) -> str:
    """A quantity and its unit."""
    unit = Units.of(what).unit
    return words.human(what) + (f" ({unit})" if unit else "")


def chosen_text(table: Table, k: MeanCurve, here: Sequence[str]) -> str:
    """The chosen nuisances of a curve's treatment over the conditions shown, in brackets: (0.1 to 0.4)."""
    if k.panel not in table.panels.labels or not table.study.nuisance:
        return ""
    p, t = table.panels.labels.index(k.panel), series(table, k.treatment)
    told = dict.fromkeys(
        table.nuisances.labels[v]
        for c, name in enumerate(table.conditions.labels)
        if name in here
        for v in table.picks[p, c, t]
        if v >= 0
    )
    try:
        ends = sorted(told, key=float)
    except ValueError:
        return f" ({'; '.join(told)})"
    if not ends:
        return ""
    return f" ({ends[0]})" if len(ends) == 1 else f" ({ends[0]} to {ends[-1]})"


def line(table: Table, k: MeanCurve, *, more: str = "", percent: bool = True) -> Line:
    """A curve in the unit of its axes. more: what the legend says beside the treatment."""
    s, whole = Units.of(k.what).scale, 100 if percent else 1
    y, lo, hi = (tuple(v * s for v in finite(values)) for values in (k.y, k.lo, k.hi))
    band = () if k.lo == k.hi else (lo, hi)
    known = k.treatment in table.treatments.labels
    return Line(
        (treatment_name(table, k.treatment) if known else k.treatment) + more,
        series(table, k.treatment),
        tuple(whole * v for v in finite(k.x)),
        y,
        *band,
    )


def scale(some: Sequence[MeanCurve]) -> str:
    """A log y axis for what can only be above 0 and ranges widely, but no metric with a unit."""
    y = [v for k in some for v in k.y if math.isfinite(v)]
    wide = bool(y) and min(y) > 0 and max(y) / min(y) > WIDE
    return "y" if wide and not Units.of(some[0].what).unit else ""
