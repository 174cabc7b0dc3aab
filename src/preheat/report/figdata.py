"""The data of every figure, apart from its drawing, so that a test can check what is drawn.

Each function takes the findings and a panel, and gives the figure's data, or None where there are none.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from preheat.analysis import words
from preheat.analysis.findings import BestSet, Edge, Effect, Estimate, Findings, Inside, Pooled, Rule
from preheat.analysis.words import Units
from preheat.report.drawing.shapes import Dot, Dots, Heat, Line, Lines, Matrix, Numbers

ALL = "all together"


def rows_of(f: Findings) -> tuple[str, ...]:
    """The conditions, or one empty name where the study has none."""
    return f.conditions or ("",)


def base_name(f: Findings) -> str:
    """The baseline in a sentence."""
    given = (
        [e.baseline for e in f.effects]
        + [p.baseline for p in f.pooled]
        + [e.treatment for e in f.edges if e.ratio is None]
    )
    return words.spoken(f.treatment, given[0]) if given else "the baseline"


def row_name(condition: str) -> str:
    """A condition as a row's label."""
    return condition or "all"


def row_label(f: Findings) -> str:
    """What the rows are; empty where the study has no condition."""
    return words.human(f.condition) if f.condition else ""


def finite(values: Iterable[float]) -> Numbers:
    """Numbers with NaN for what is not finite."""
    return tuple(v if math.isfinite(v) else math.nan for v in map(float, values))


def accuracy(f: Findings, panel: str) -> Heat | None:
    """Mean of the metric and half its interval, condition by treatment. Colours span all panels."""
    u = Units.of(f.metric)
    at = {
        (c.condition, c.treatment): c.estimate
        for c in f.cells
        if c.panel == panel and math.isfinite(c.estimate.mean)
    }
    every = [c.estimate.mean * u.scale for c in f.cells if math.isfinite(c.estimate.mean)]
    if not at:
        return None

    def text(e: Estimate | None) -> str:
        if e is None:
            return words.NONE
        width = words.half(e)
        second = f"n = {e.n}" if width is None else f"±{u.number(width)}"
        return f"{u.number(e.mean)}\n{second}"

    rows, columns = _planned(f, panel)
    grid = [[at.get((c, t)) for t in columns] for c in rows]
    return Heat(
        tuple(row_name(c) for c in rows),
        columns,
        row_label(f),
        words.human(f.treatment),
        u.label(),
        tuple(tuple(None if e is None else e.mean * u.scale for e in row) for row in grid),
        tuple(tuple(text(e) for e in row) for row in grid),
        min(every),
        max(every),
    )


def _planned(f: Findings, panel: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The conditions and treatments that a panel has any setting of."""
    mine = [c for c in f.cells if c.panel == panel]
    conditions, treatments = {c.condition for c in mine}, {c.treatment for c in mine}
    return tuple(c for c in rows_of(f) if c in conditions), tuple(t for t in f.treatments if t in treatments)


Place = tuple[str, str, str]


def lost_runs(f: Findings) -> dict[Place, tuple[int, int, int]]:
    """Per (panel, condition, treatment): runs that did not train, those of them that diverged, and all with a
    result.

    A run did not train if it diverged, or ended below halfway from chance to the best: it has no NaN but
    learnt next to nothing. Without a numeric setting that was varied only divergence is known.
    """
    if not f.edges:
        return {
            (c.panel, c.condition, c.treatment): (c.diverged, c.diverged, c.runs) for c in f.cells if c.runs
        }
    counted = {
        (e.panel, e.condition, e.treatment): (
            sum(p.runs - p.trained for p in e.points),
            sum(p.diverged for p in e.points),
            sum(p.runs for p in e.points),
        )
        for e in f.edges
    }
    return {place: n for place, n in counted.items() if n[2]}


def untrained(f: Findings, panel: str) -> Heat | None:
    """Share of runs that did not train, condition by treatment; colours span all panels."""
    return _shares(
        f, panel, {k: (n[0], n[2]) for k, n in lost_runs(f).items()}, name="runs that did not train (%)"
    )


def diverged(f: Findings, panel: str) -> Heat | None:
    """Share of diverged runs, where any diverged and more did not train."""
    found = lost_runs(f)
    if not any(n[1] for n in found.values()) or all(n[0] == n[1] for n in found.values()):
        return None
    return _shares(f, panel, {k: (n[1], n[2]) for k, n in found.items()}, name="diverged runs (%)")


def _shares(f: Findings, panel: str, found: Mapping[Place, tuple[int, int]], *, name: str) -> Heat | None:
    if not any(p == panel for p, _, _ in found):
        return None
    rows, columns = _planned(f, panel)
    grid = [[found.get((panel, c, t)) for t in columns] for c in rows]
    shares = tuple(tuple(None if n is None else 100 * n[0] / n[1] for n in row) for row in grid)
    texts = tuple(
        tuple(words.NONE if n is None else f"{100 * n[0] / n[1]:.0f} %\n{n[0]}/{n[1]}" for n in row)
        for row in grid
    )
    names = tuple(row_name(c) for c in rows)
    top = 10.0 * max(1, math.ceil(10 * max(bad / runs for bad, runs in found.values())))
    return Heat(names, columns, row_label(f), words.human(f.treatment), name, shares, texts, 0.0, top)


_ARROWS = {"exact": "", "at least": "right", "at most": "left", "open": "both"}


def _dot(e: Estimate, place: tuple[str, str, int], *, scale: float = 1.0, filled: bool = True) -> Dot:
    row, name, index = place
    lo, hi = (None if v is None or not math.isfinite(v) else v * scale for v in (e.lo, e.hi))
    return Dot(row, name, index, e.mean * scale, lo, hi, e.n, filled, _ARROWS[e.bound])


def _present(rows: Sequence[str], dots: Iterable[Dot]) -> tuple[str, ...]:
    seen = {d.row for d in dots}
    return tuple(row_name(r) for r in rows if row_name(r) in seen)


def benefit(f: Findings, panel: str) -> Dots | None:
    """Each treatment minus the baseline with its interval, and the band of the margin."""
    u = Units.of(f.metric)
    mine: list[Effect] = [e for e in f.effects if e.panel == panel and math.isfinite(e.estimate.mean)]
    if not mine:
        return None
    dots = tuple(
        _dot(
            e.estimate,
            (row_name(e.condition), e.treatment, f.treatments.index(e.treatment)),
            scale=u.scale,
            filled=e.verdict in ("better", "worse"),
        )
        for e in mine
    )
    label = u.difference_label(base_name(f))
    return Dots(_present(rows_of(f), dots), row_label(f), label, dots, band=f.margin * u.scale)


def shared(some: Sequence[Dots]) -> list[Dots]:
    """The same dots with one x axis for all, so that panels compare at a glance; what lies beyond is cut."""
    ends = [v for data in some for d in data.dots for v in (d.mean, d.lo, d.hi) if v is not None]
    x = [0.0 if data.zero is None else data.zero for data in some]
    x += [
        s * data.band for data in some if data.band is not None for s in (-1, 1) if s > 0 or not data.positive
    ]
    if not ends:
        return list(some)
    reach = max(_reach(ends), *map(abs, x)) if not some[0].log else math.inf
    lo, hi = max(min(*x, *ends), -reach), min(max(*x, *ends), reach)
    pad = 0.04 * (hi - lo) or 1.0
    room = 1.12 if any(d.arrow for data in some for d in data.dots) else 1.06
    spans = [
        ((lo / room, hi * room) if data.log else (lo - (0 if data.positive and lo == 0 else pad), hi + pad))
        for data in some
    ]
    return [replace(data, span=span) for data, span in zip(some, spans, strict=True)]


def _reach(ends: Sequence[float]) -> float:
    """How far the axis goes: to the farthest end, unless a few lie so far that the rest could not be read."""
    far = sorted(map(abs, ends))
    usual = far[int(0.8 * (len(far) - 1))]
    return far[-1] if far[-1] <= 4 * usual or usual == 0 else 2.5 * usual


def trained(f: Findings, panel: str) -> Lines | None:
    """Share of runs that trained at each value of the nuisance, all conditions together, a line per
    treatment."""
    sums: dict[str, dict[float, tuple[int, int]]] = {}
    for edge in (e for e in f.edges if e.panel == panel):
        for p in edge.points:
            good, runs = sums.setdefault(edge.treatment, {}).get(p.value, (0, 0))
            sums[edge.treatment][p.value] = (good + p.trained, runs + p.runs)
    lines = []
    for i, name in enumerate(f.treatments):
        at = sorted((v, g, r) for v, (g, r) in sums.get(name, {}).items() if r > 0)
        if at:
            lines.append(Line(name, i, tuple(v for v, _, _ in at), tuple(100 * g / r for _, g, r in at)))
    if not lines:
        return None
    ticks = tuple(sorted({x for line in lines for x in line.x}))
    log = "x" if min(ticks) > 0 and len(ticks) > 1 else ""
    return Lines(
        words.human(f.nuisance) or "value",
        "runs that trained (%)",
        tuple(lines),
        ticks=ticks,
        log=log,
        markers=True,
    )


def edge_ratio(f: Findings, panel: str) -> Dots | None:
    """The edge of each treatment over that of the baseline, as a factor."""
    mine: list[Edge] = [
        e for e in f.edges if e.panel == panel and e.ratio is not None and 0 < e.ratio.mean < math.inf
    ]
    dots = tuple(
        _dot(e.ratio, (row_name(e.condition), e.treatment, f.treatments.index(e.treatment)), filled=sure(e))
        for e in mine
        if e.ratio is not None
    )
    if not dots:
        return None
    label = f"edge, times that with {base_name(f)}"
    rows = _present(rows_of(f), dots)
    if len(f.conditions) > 1 and (together := _together(f, panel)):
        rows, dots = (ALL, *rows), (*together, *dots)
    return Dots(rows, row_label(f), label, dots, zero=1.0, log=True)


def _together(f: Findings, panel: str) -> tuple[Dot, ...]:
    return tuple(
        _dot(p.ratio, (ALL, p.treatment, f.treatments.index(p.treatment)), filled=sure(p))
        for p in f.pooled
        if p.panel == panel and 0 < p.ratio.mean < math.inf
    )


def sure(e: Edge | Pooled) -> bool:
    """Whether an edge's move is sure at 95 % after correction."""
    return e.p_adjusted is not None and e.p_adjusted < 0.05


def depends(r: Pooled) -> bool:
    """Whether an edge's move surely depends on the condition, at 95 % after correction."""
    return r.change_p_adjusted is not None and r.change_p_adjusted < 0.05


def inside(f: Findings, panel: str) -> Dots | None:
    """The widest difference among treatments well inside the edge, beside the spread that seeds alone
    make."""
    u = Units.of(f.metric)
    mine: list[Inside] = [
        i for i in f.inside if i.panel == panel and i.widest is not None and math.isfinite(i.widest.mean)
    ]
    dots: list[Dot] = []
    for i in mine:
        assert i.widest is not None
        row = row_name(i.condition)
        dots.append(
            _dot(
                i.widest,
                (row, "widest difference among treatments", 1),
                scale=u.scale,
                filled=not i.equivalent,
            )
        )
        if i.seed_sd is not None:
            dots.append(
                Dot(row, "standard deviation over seeds", 0, i.seed_sd * u.scale, None, None, i.widest.n)
            )
    if not dots:
        return None
    label = f"difference in {words.human(f.metric)}" + (f" ({u.step})" if u.step else "")
    return Dots(
        _present(rows_of(f), dots), row_label(f), label, tuple(dots), band=f.margin * u.scale, positive=True
    )


def best(f: Findings, panel: str) -> Matrix | None:
    """The treatments that can't be told from the best, per condition."""
    mine: dict[str, BestSet] = {b.condition: b for b in f.best if b.panel == panel}
    rows = [c for c in rows_of(f) if c in mine]
    if not rows:
        return None
    names = tuple(row_name(c) for c in rows)
    members, leaders = tuple(mine[c].members for c in rows), tuple(mine[c].leader for c in rows)
    run = {(c.condition, c.treatment) for c in f.cells if c.panel == panel and c.estimate.n}
    columns = tuple(t for t in f.treatments if any((c, t) in run for c in rows))
    absent = tuple(tuple(t for t in columns if (c, t) not in run) for c in rows)
    return Matrix(names, columns, row_label(f), words.human(f.treatment), members, leaders, absent)


def regret(f: Findings, rule: Rule) -> Dots | None:
    """What each rule loses on held-out conditions against the best treatment there."""
    u = Units.of(f.metric)
    dots = tuple(
        _dot(s.regret, (s.name, s.name, i), scale=u.scale)
        for i, s in enumerate(rule.scores)
        if math.isfinite(s.regret.mean)
    )
    if not dots:
        return None
    label = "shortfall to the best treatment" + (f" ({u.step})" if u.step else "")
    return Dots(tuple(d.row for d in dots), "", label, dots, band=f.margin * u.scale)
