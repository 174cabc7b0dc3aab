"""Every figure of a report: its name, data, caption, and its bytes as PNG, SVG and inline SVG."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from preheat.analysis import words
from preheat.analysis.findings import Findings
from preheat.report import curvedata, figdata, regimedata
from preheat.report.drawing.figures import draw
from preheat.report.drawing.shapes import Data, Dots, Facets, Heat, Lines, Matrix
from preheat.report.drawing.style import drawing, inline_svg, light_svg, png, svg

LEVEL_OF_SETS = "at 95 %, over all sets of the page together"
Maker = Callable[[Findings, str], Data | None]


@dataclass(frozen=True)
class Plate:
    """A figure to be drawn. section and group: where in the page; name: its files' name; title: its panel."""

    section: str
    group: str
    name: str
    title: str
    caption: str
    data: Data


@dataclass(frozen=True)
class Drawn:
    """A plate and its drawings. wide: it needs the page's whole width."""

    plate: Plate
    png: bytes
    svg: bytes
    inline: str
    wide: bool


def plates(f: Findings) -> list[Plate]:
    """Every figure that the findings have data for, one per panel, in the page's order."""
    out: list[Plate] = []
    for (section, name, group), caption, make in _plan(f):
        made = [(panel, make(f, panel)) for panel in f.panels or ("",)]
        dots = iter(figdata.shared([d for _, d in made if isinstance(d, Dots)]))
        for panel, data in made:
            if data is not None:
                alike = next(dots) if isinstance(data, Dots) else data
                out.append(
                    Plate(
                        section,
                        group,
                        _name(name, panel),
                        words.named(panel),
                        caption + _arrows(alike),
                        alike,
                    )
                )
    out += _rules(f)
    out += _curves(f)
    return _named(out)


def _arrows(data: Data) -> str:
    """What the arrows of a figure mean, where it has any."""
    if not isinstance(data, Dots):
        return ""
    told = " Arrows: the line goes on." if data.cut else ""
    if any(d.arrow for d in data.dots):
        told += " Arrow at a dot: a bound, more than a quarter of the edges lie beyond the grid."
    return told


def _name(*parts: str) -> str:
    return "-".join(words.slug(p) for p in parts if words.slug(p))


def _plan(f: Findings) -> Iterator[tuple[tuple[str, str, str], str, Maker]]:
    margin = words.Units.of(f.metric).margin(f.margin)
    rates = f", at every {words.human(f.nuisance)}" if f.nuisance else ""
    together = "All conditions and seeds together."
    yield ("edge", "edge", "Share of runs that trained"), together, figdata.trained
    moves = "Lines: 95 % intervals over seeds. Filled: sure after correction; the first row by itself, the others together."
    moves = (
        moves
        if f.pooled and len(f.conditions) > 1
        else "Lines: 95 % intervals over seeds. Filled: sure after correction."
    )
    yield ("edge", "edge-ratio", "How far the edge moves"), moves, figdata.edge_ratio
    yield (
        ("metric", words.human(f.metric), ""),
        "Mean, and half the 95 % interval below it.",
        figdata.accuracy,
    )
    band = f"Lines: 95 % intervals. Filled: sure after correction. Grey band: within the margin of {margin}."
    yield ("benefit", "benefit", ""), band, figdata.benefit
    yield ("best", "best", ""), f"Rings can't be told from the highest mean ({LEVEL_OF_SETS}).", figdata.best
    yield (
        ("inside", "inside", ""),
        f"Grey band: the margin of {margin}. Filled: not shown to be within it.",
        figdata.inside,
    )
    lost, gone = ("Did not train", "Of these: diverged") if f.edges and f.counts.diverged else ("", "")
    below = "Below the share: these runs / all runs of the setting"
    yield ("untrained", "untrained", lost), f"{below}{rates}.", figdata.untrained
    yield ("untrained", "diverged", gone), f"{below}{rates}.", figdata.diverged
    yield from _regimes(f)


def _regimes(f: Findings) -> Iterator[tuple[tuple[str, str, str], str, Maker]]:
    """The figures on data regimes; none in other studies."""
    best = "Geometric mean over judging seeds; band: 95 % interval, cut to the grid. Level: a fixed number of updates is best."
    yield ("updates", "best-updates", "The best warmup above none"), best, regimedata.best_updates
    means = "Means over judging seeds, a line for each data size."
    yield ("updates", "by-updates", "By warmup in updates"), means, regimedata.by_updates
    yield ("updates", "by-epochs", "By warmup in epochs"), means, regimedata.by_epochs
    over = "Lines: 95 % intervals, over seeds where there are two or more, else over treatments."
    yield ("protocols", "protocols", ""), over, regimedata.protocol
    for what, name in regimedata.EARLY.items():
        band = {
            "hessian_trace": "Mean over seeds; band: the estimate's standard error.",
            "learning_rate": "As scheduled.",
        }
        told = band.get(what, "Mean over seeds; band: one standard deviation.")
        yield ("early", f"early-{name}", words.capital(name)), told, partial(regimedata.early, what=what)


def _rules(f: Findings) -> Iterator[Plate]:
    made = [(rule, data) for rule in f.rules if (data := figdata.regret(f, rule)) is not None]
    for (rule, _), data in zip(made, figdata.shared([d for _, d in made]), strict=True):
        caption = "Lines: 95 % intervals, on conditions that the fit has not seen. Grey band: the margin."
        yield Plate(
            "rule", "", _name("rule", rule.panel), words.named(rule.panel), caption + _arrows(data), data
        )


def _curves(f: Findings) -> Iterator[Plate]:
    for section, some in (("curves", f.curves), ("rates", f.rates)):
        for what in dict.fromkeys(c.what for c in some):
            for panel in dict.fromkeys(c.panel for c in some):
                data = curvedata.curves(f, [c for c in some if c.what == what and c.panel == panel])
                if data is not None:
                    band = (
                        "Mean over seeds, band of one standard deviation."
                        if section == "curves"
                        else "As scheduled."
                    )
                    band += _own_rates(f) if section == "curves" else ""
                    band += " The first steps lie below." if data.parts[0].bottom is not None else ""
                    yield Plate(
                        section,
                        words.human(what),
                        _name(section, what, panel),
                        words.named(panel),
                        band,
                        data,
                    )


def _own_rates(f: Findings) -> str:
    """That the curves of different treatments differ in the nuisance too."""
    if not f.nuisance or not any(c.chosen for c in f.cells):
        return ""
    return f" Each {words.human(f.treatment)} runs at its own chosen {words.human(f.nuisance)} (in brackets)."


def _named(some: list[Plate]) -> list[Plate]:
    """Two panels may have one slug: the later ones get a number."""
    seen: dict[str, int] = {}
    out = []
    for p in some:
        n = seen[p.name] = seen.get(p.name, 0) + 1
        name = p.name if n == 1 else f"{p.name}-{n}"
        out.append(replace(p, name=name))
    return out


def paint(plate: Plate) -> Drawn:
    """Draw a plate once; the files and the page show the same drawing."""
    with drawing():
        figure = draw(plate.data)
        pixels, drawn = png(figure), svg(figure)
    wide = bool(figure.get_size_inches()[0] > 7)
    inline = inline_svg(drawn, name=plate.name, label=html.escape(describe(plate), quote=True))
    return Drawn(plate, pixels, light_svg(drawn), inline, wide)


def describe(plate: Plate) -> str:
    """The figure in words, for who can't see it."""
    d, where = plate.data, f" ({plate.title})" if plate.title else ""
    return f"{_kind(d)}{where}. {_gist(d)}. {plate.caption}"


def _kind(d: Data) -> str:
    if isinstance(d, Lines):
        return f"Lines of {d.y_label} against {d.x_label}"
    if isinstance(d, Facets):
        return f"{words.count(len(d.parts), 'plot')} of {d.parts[0].y_label} against {d.parts[0].x_label}"
    if isinstance(d, Dots):
        return f"Dots with intervals: {d.x_label}" + (f", by {d.row_label}" if d.row_label else "")
    if isinstance(d, Heat):
        return f"Heat map of {d.bar_label}, {d.row_label or 'all'} by {d.column_label}"
    return f"Members of the best set, {d.row_label or 'all'} by {d.column_label}"


def _gist(d: Data) -> str:
    if isinstance(d, Lines):
        return "Last values: " + ", ".join(f"{line.name} {words.plain(line.y[-1])}" for line in d.lines)
    if isinstance(d, Facets):
        return "; ".join(
            f"{p.title + ', ' if p.title else ''}{p.lines[0].name} ends at {words.plain(p.lines[0].y[-1])}"
            for p in d.parts
        )
    if isinstance(d, Dots):
        low, high = min(d.dots, key=lambda x: x.mean), max(d.dots, key=lambda x: x.mean)
        return f"From {words.plain(low.mean)} ({low.row}, {low.name}) to {words.plain(high.mean)} ({high.row}, {high.name})"
    if isinstance(d, Matrix):
        return "; ".join(f"{row}: {', '.join(m)}" for row, m in zip(d.rows, d.members, strict=True))
    cells = [
        (v, r, c)
        for r, row in zip(d.rows, d.values, strict=True)
        for c, v in zip(d.columns, row, strict=True)
        if v is not None
    ]
    (low_v, low_r, low_c), (high_v, high_r, high_c) = min(cells), max(cells)
    return f"From {words.plain(low_v)} ({low_r}, {low_c}) to {words.plain(high_v)} ({high_r}, {high_c})"
