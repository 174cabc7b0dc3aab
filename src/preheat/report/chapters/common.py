"""What several chapters write and draw alike: estimates as texts and dots, grids of settings as heat maps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from preheat.analysis import words
from preheat.analysis.naming import panel_name, row_label, row_name, treatment_name
from preheat.analysis.table import Table
from preheat.analysis.words import Units, human
from preheat.report.drawing.shapes import Dot, Heat
from preheat.stats.claims import Judged, Verdict
from preheat.stats.estimates import Estimate

Value = TypeVar("Value")
Setting = tuple[str, str, str]
ARROWS = {"exact": "", "at least": "right", "at most": "left", "open": "both"}


def place(table: Table, item: Any) -> tuple[str, ...]:
    """The first texts of a table's row: panel, condition and, where it has one, treatment."""
    where = panel_name(table, item.panel), row_name(table, item.condition)
    return (*where, item.treatment) if hasattr(item, "treatment") else where


def level(e: Estimate, u: Units) -> str:
    """A level with its interval: 91.3 % (90.1 to 92.5)."""
    return u.value(e.mean) + (
        f" ({words.range_text(u.number(e.lo), u.number(e.hi))})" if e.lo is not None else ""
    )


def difference_text(e: Estimate, u: Units) -> str:
    """A difference with its interval."""
    inside = (
        f" ({words.range_text(u.number(e.lo, sign=True), u.number(e.hi, sign=True))})"
        if e.lo is not None
        else ""
    )
    return u.difference(e.mean) + inside


def number(e: Estimate | None, times: str = "") -> str:
    """An estimate in no unit, with its interval; `times` before the mean."""
    if e is None:
        return words.NONE
    inside = words.limits(e, words.brief)
    return words.level(e, times + words.brief(e.mean)) + (f" ({inside})" if inside else "")


def dot(
    row: str, series: tuple[str, int], e: Estimate, *, scale: float = 1.0, v: Judged | None = None
) -> Dot:
    """An estimate as a dot of a row. series: its name and its index; v: what was judged of it."""
    lo, hi = (None if x is None or not math.isfinite(x) else x * scale for x in (e.lo, e.hi))
    shown = v is not None and v.differs
    same = v is not None and v.verdict is Verdict.SAME
    return Dot(row, *series, e.mean * scale, lo, hi, e.n, shown, ARROWS[e.bound], same)


def treatment_dot(
    table: Table, item: Any, e: Estimate, *, scale: float = 1.0, v: Judged | None = None
) -> Dot:
    """An estimate of a setting as the dot of its treatment in the row of its condition."""
    index = table.treatments.labels.index(item.treatment)
    name = treatment_name(table, item.treatment)
    return dot(row_name(table, item.condition), (name, index), e, scale=scale, v=v)


def present(table: Table, dots: Iterable[Dot]) -> tuple[str, ...]:
    """The rows that have a dot, in the study's order."""
    seen = {d.row for d in dots}
    return tuple(name for c in table.conditions.labels if (name := row_name(table, c)) in seen)


def of_panel(some: Iterable[Any], panel: str) -> list[Any]:
    """Those of one panel."""
    return [x for x in some if x.panel == panel]


def heat(
    table: Table,
    found: Mapping[Setting, Value],
    panel: str,
    *,
    value: Callable[[Value], float],
    text: Callable[[Value], str],
    bar: tuple[str, float, float, str],
) -> Heat | None:
    """A heat map, condition by treatment, of what a panel's settings have. bar: its label, the colours'
    ends and their unit."""
    conditions, treatments = (
        [x for x in labels if any(p == panel and (c, t)[k] == x for p, c, t in found)]
        for k, labels in enumerate((table.conditions.labels, table.treatments.labels))
    )
    if not conditions:
        return None
    grid = [[found.get((panel, c, t)) for t in treatments] for c in conditions]
    return Heat(
        tuple(row_name(table, c) for c in conditions),
        tuple(treatment_name(table, t) for t in treatments),
        row_label(table),
        human(table.study.treatment),
        bar[0],
        tuple(tuple(None if v is None else value(v) for v in row) for row in grid),
        tuple(tuple(words.NONE if v is None else text(v) for v in row) for row in grid),
        *bar[1:],
    )


def finite(values: Sequence[float]) -> tuple[float, ...]:
    """Numbers with NaN for what is not finite."""
    return tuple(v if math.isfinite(v) else math.nan for v in map(float, values))


def across(u: Units) -> str:
    """The label of an axis of differences."""
    return f"difference in {human(u.metric)}" + (f" ({u.step})" if u.step else "")
