"""The data of the curves' figures, apart from their drawing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from preheat.analysis import words
from preheat.analysis.findings import Curve, Findings
from preheat.analysis.words import Units
from preheat.report.drawing.shapes import Facets, Line, Lines
from preheat.report.figdata import finite, row_label, rows_of


def curves(f: Findings, some: Sequence[Curve], *, most: int = 6) -> Facets | None:
    """Curves of one panel and one quantity, a small multiple per condition; of many conditions an even
    choice."""
    here = [c for c in rows_of(f) if any(k.condition == c for k in some)] or sorted(
        {k.condition for k in some}
    )
    if len(here) > most:
        here = [here[round(i * (len(here) - 1) / (most - 1))] for i in range(most)]
    parts = []
    for condition in here:
        mine = sorted((k for k in some if k.condition == condition), key=lambda k: _order(f, k.treatment))
        lines = tuple(_line(f, k, _rates(f, k, here)) for k in mine)
        title = f"{row_label(f)}: {condition}" if condition and row_label(f) else condition
        parts.append(
            Lines("progress through the run (%)", _what(mine[0].what), lines, title, log=_scale(mine))
        )
    low = _bottom(parts)
    return Facets(tuple(replace(p, bottom=low) for p in parts)) if parts else None


def _bottom(parts: Sequence[Lines]) -> float | None:
    """Where y begins, if most of its range is spent on the first tenth of curves in percent; None for
    automatic."""
    rest = [
        v
        for p in parts
        for line in p.lines
        for x, v in zip(line.x, line.y, strict=True)
        if x >= 10 and math.isfinite(v)
    ]
    every = [v for p in parts for line in p.lines for v in line.y if math.isfinite(v)]
    if not rest or "(%)" not in parts[0].y_label or min(rest) - min(every) < (max(every) - min(every)) / 3:
        return None
    return min(rest) - 0.08 * (max(rest) - min(rest))


def _order(f: Findings, treatment: str) -> int:
    return f.treatments.index(treatment) if treatment in f.treatments else len(f.treatments)


def _what(what: str) -> str:
    unit = Units.of(what).unit
    return words.human(what) + (f" ({unit})" if unit else "")


def _rates(f: Findings, k: Curve, here: Sequence[str]) -> str:
    """The chosen nuisances of a curve's treatment over the conditions shown, in brackets: (0.1 to 0.4)."""
    mine = [
        c
        for c in f.cells
        if (c.panel, c.treatment) == (k.panel, k.treatment) and c.condition in here and c.chosen
    ]
    if k.what == "learning_rate_factor" or not mine:
        return ""
    told = list(dict.fromkeys(", ".join(c.chosen.values()) for c in mine))
    try:
        told.sort(key=float)
    except ValueError:
        return f" ({'; '.join(told)})"
    return f" ({told[0]})" if len(told) == 1 else f" ({told[0]} to {told[-1]})"


def _line(f: Findings, k: Curve, rates: str) -> Line:
    """rates: what the legend says beside the treatment."""
    s = Units.of(k.what).scale
    y, lo, hi = (tuple(v * s for v in finite(values)) for values in (k.y, k.lo, k.hi))
    return Line(k.treatment + rates, _order(f, k.treatment), tuple(100 * v for v in finite(k.x)), y, lo, hi)


def _scale(some: Sequence[Curve]) -> str:
    """A log axis for a loss that falls by more than a factor of 20."""
    y = [v for k in some for v in k.y if math.isfinite(v)]
    return "y" if y and min(y) > 0 and "loss" in some[0].what and max(y) / min(y) > 20 else ""
