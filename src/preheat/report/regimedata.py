"""The data of the figures on data regimes: warmups in updates, the two protocols, the first epochs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from preheat.analysis import words
from preheat.analysis.findings import Curve, Estimate, Findings
from preheat.analysis.words import Units
from preheat.report.drawing.shapes import Dot, Dots, Facets, Line, Lines
from preheat.report.figdata import base_name, finite, row_label, rows_of

EARLY = {
    "grad_norm": "gradient norm",
    "distance": "distance from the start",
    "hessian_trace": "Hessian trace",
    "learning_rate": "learning rate",
}
FEW = 3


def by_updates(f: Findings, panel: str) -> Lines | None:
    """The benefit over no warmup against the warmup in updates, a line for each data size; equal warmups are
    averaged."""
    return _against(f, panel, "updates")


def by_epochs(f: Findings, panel: str) -> Lines | None:
    """The same against the warmup in epochs."""
    return _against(f, panel, "epochs")


def _against(f: Findings, panel: str, unit: str) -> Lines | None:
    if f.updates is None or all(x.panel != panel for x in f.updates.favourites):
        return None
    u = Units.of(f.metric)
    gain = {
        (e.condition, e.treatment): e.estimate.mean * u.scale
        for e in f.effects
        if e.panel == panel and e.estimate.n
    }
    lines = []
    for k, condition in enumerate(rows_of(f)):
        mine = [
            x for x in f.updates.lengths if (x.panel, x.condition) == (panel, condition) and x.updates > 0
        ]
        points: dict[float, list[float]] = {}
        for x in sorted(mine, key=lambda x: x.updates):
            if (condition, x.treatment) in gain:
                points.setdefault(round(getattr(x, unit), 9), []).append(gain[condition, x.treatment])
        if points:
            lines.append(Line(condition, k, tuple(points), tuple(sum(y) / len(y) for y in points.values())))
    if not lines:
        return None
    return Lines(f"warmup ({unit})", u.difference_label(base_name(f)), tuple(lines), log="x", markers=True)


def best_updates(f: Findings, panel: str) -> Lines | None:
    """The best warmup in updates against the data size, between the shortest and the longest of the grid."""
    mine = [x for x in f.updates.favourites if x.panel == panel] if f.updates else []
    if not mine:
        return None
    x = tuple(float(m.condition) for m in mine)
    best = tuple(m.best.mean for m in mine)
    band: tuple[tuple[float, ...], ...] = ((), ())
    if all(m.best.lo is not None for m in mine):
        band = tuple(
            tuple(min(max(v, m.shortest), m.longest) for v, m in zip(ends, mine, strict=True))
            for ends in ([m.best.lo or 0.0 for m in mine], [m.best.hi or 0.0 for m in mine])
        )
    lines = (
        Line("best of the seeds", 1, x, best, *band),
        Line("shortest of the grid", 0, x, tuple(m.shortest for m in mine)),
        Line("longest of the grid", 5, x, tuple(m.longest for m in mine)),
    )
    return Lines(row_label(f), "warmup (updates)", lines, ticks=tuple(sorted(x)), log="xy", markers=True)


def protocol(f: Findings, panel: str) -> Dots | None:
    """What the seed's number has above the honest one, and its parts; where only one protocol was run, best
    minus last."""
    u = Units.of(f.metric)
    dots: list[Dot] = []
    gaps = [g for g in f.gaps if g.panel == panel]
    for g in gaps:
        for k, (name, e) in enumerate(
            (("seed's minus honest", g.gap), ("best minus last epoch", g.optimism), ("the rest", g.rest))
        ):
            dots.append(_dot(g.condition, name, k, e, u.scale))
    if not gaps and not f.gaps:
        dots += [
            _dot(o.condition, "best minus last epoch", 1, o.optimism, u.scale)
            for o in f.optimism
            if o.panel == panel
        ]
    if not dots:
        return None
    label = f"difference in {words.human(f.metric)}" + (f" ({u.step})" if u.step else "")
    return Dots(tuple(dict.fromkeys(d.row for d in dots)), row_label(f), label, tuple(dots))


def _dot(row: str, name: str, index: int, e: Estimate, scale: float) -> Dot:
    lo, hi = (None if v is None else v * scale for v in (e.lo, e.hi))
    return Dot(row or "all", name, index, e.mean * scale, lo, hi, e.n)


def shown(conditions: Sequence[str]) -> list[str]:
    """At most three: the first, the middle one and the last.

    >>> shown(["5000", "1000", "500", "100", "50"])
    ['5000', '500', '50']
    """
    n = len(conditions)
    return list(conditions) if n <= FEW else [conditions[i] for i in (0, n // 2, n - 1)]


def early(f: Findings, panel: str, what: str) -> Facets | None:
    """What a probe measured in the first epochs: a small multiple for a few data sizes, a line for each
    treatment."""
    mine = [c for c in f.early if c.panel == panel and c.what == what]
    here = shown([c for c in (*f.conditions, "") if any(k.condition == c for k in mine)])
    parts = []
    for condition in here:
        lines = tuple(_line(f, k) for k in mine if k.condition == condition)
        title = f"{row_label(f)}: {condition}" if condition and row_label(f) else condition
        parts.append(Lines("epoch", EARLY[what], lines, title))
    if not parts:
        return None
    y = [v for p in parts for line in p.lines for v in line.y if math.isfinite(v)]
    wide = y and min(y) > 0 and max(y) / min(y) > 20
    return Facets(tuple(replace(p, log="y" if wide else "") for p in parts))


def _line(f: Findings, k: Curve) -> Line:
    index = f.treatments.index(k.treatment) if k.treatment in f.treatments else len(f.treatments)
    band = () if k.lo == k.hi else (finite(k.lo), finite(k.hi))
    return Line(k.treatment, index, finite(k.x), finite(k.y), *band)
