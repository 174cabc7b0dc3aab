"""Pictures of schedules: the data of the lines, the figure, and saving it.

The data are computed apart from their drawing. matplotlib is imported when a figure is drawn, without pyplot.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from preheat.core.errors import UserError, explain, unknown
from preheat.core.lengths import is_number
from preheat.core.protocols import Schedule
from preheat.schedules.curves import Array
from preheat.schedules.resolved import Boundary, Resolved

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

AxisUnit = Literal["steps", "epochs", "progress"]

# Okabe and Ito 2008: told apart with every common colour blindness. Their yellow is left out: it is faint on
# white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
DASHES = ("-", "--", ":", "-.")
AXES = {"steps": "step", "epochs": "epoch", "progress": "progress (fraction of the run)"}
SUFFIXES = (".pdf", ".png", ".svg")
POINTS = 1000
DOTS = 60
MARKS = 40  # a schedule with more boundaries shows only its first and last


class Mark(NamedTuple):
    """A boundary: its place on both axes and what happens there."""

    x: float
    y: float
    label: str


class Plotted(NamedTuple):
    """One schedule, ready to be drawn: the curve x, y: [n]; the updates' own rates; the boundaries."""

    x: Array
    y: Array
    dot_x: Array
    dot_y: Array
    marks: tuple[Mark, ...]


def schedule_data(
    schedules: Mapping[str, Schedule],
    *,
    total: int,
    per_epoch: float | None = None,
    peak: float = 1.0,
    unit: AxisUnit = "steps",
) -> dict[str, Plotted]:
    """{label: Plotted} of schedules on a run of `total` steps.

    y is `peak` times the factor; x counts `unit`. A jump has two points at one x. Of a run of at most 60
    steps every update is a dot, at the place where it takes its factor.

    >>> from preheat.schedules import linear
    >>> line = schedule_data({"a": linear(warmup=2)}, total=4)["a"]
    >>> line.dot_x, line.dot_y, line.marks[1]
    (array([0.5, 1.5, 2.5, 3.5]), array([0.25, 0.75, 0.75, 0.25]), Mark(x=2.0, y=1.0, label='warmup ends'))
    """
    if unit not in AXES:
        raise unknown("unit", unit, AXES)
    if not is_number(peak) or peak <= 0:
        raise UserError(f"peak must be a finite rate above 0, got {peak!r}: write peak=1e-3")
    if unit == "epochs" and per_epoch is None:
        raise UserError(
            "unit='epochs' needs the steps per epoch, got None: give per_epoch=..., or write unit='steps'"
        )
    scale = {"steps": 1.0, "epochs": per_epoch or 1.0, "progress": float(total)}[unit]
    return {
        label: _line(s.resolve(total, per_epoch, peak=peak), peak=peak, scale=scale)
        for label, s in schedules.items()
    }


def _line(rate: Any, *, peak: float, scale: float) -> Plotted:
    assert isinstance(rate, Resolved), f"schedule_data draws preheat's schedules, got {rate!r}"
    t, y = _held(rate) if rate.schedule.every == "epoch" else _shape(rate)
    k = np.arange(rate.total if rate.total <= DOTS else 0, dtype=np.float64)
    dots: Array = peak * rate(k)
    marks = tuple(Mark(b.step / scale, peak * _factor(rate, b), b.label) for b in rate.boundaries())
    return Plotted(t / scale, peak * y, rate.positions(k) / scale, dots, marks)


def _factor(rate: Resolved, boundary: Boundary) -> float:
    """The factor at a boundary: the curve's, or what is held there."""
    return rate(math.floor(boundary.step)) if rate.schedule.every == "epoch" else boundary.factor


def _shape(rate: Resolved) -> tuple[Array, Array]:
    """The curve on an even grid and at every boundary, where it is given before and after."""
    corners = np.unique([b.step for b in rate.boundaries()])
    grid = np.setdiff1d(np.linspace(0.0, rate.total, POINTS + 1), corners)
    after, before = corners[:-1], corners[1:]
    t = np.concatenate([grid, before, after])
    y = np.concatenate([rate.curve(grid), rate.curve(before, after=False), rate.curve(after)])
    order = np.argsort(t, kind="stable")  # stable: the value before a jump stays before the value after it
    return t[order], y[order]


def _held(rate: Resolved) -> tuple[Array, Array]:
    """The stairs of a factor that is held for an epoch."""
    k = np.unique(np.linspace(0, rate.total - 1, min(rate.total, 4 * POINTS)).astype(np.int64))
    y: Array = rate(k)
    first = np.concatenate([[0], np.flatnonzero(np.diff(y)) + 1])
    edges = np.concatenate([k[first], [rate.total]]).astype(np.float64)
    return np.repeat(edges, 2)[1:-1], np.repeat(y[first], 2)


def schedule_figure(
    schedules: Mapping[str, Schedule],
    *,
    total: int,
    per_epoch: float | None = None,
    peak: float = 1.0,
    log: bool = False,
    unit: AxisUnit = "steps",
) -> Figure:
    """A figure of schedules overlaid, with the rate at each boundary.

    log: a logarithmic rate axis, from a ten-thousandth of the peak; what is below it leaves the picture.
    """
    if not schedules:
        raise UserError("a picture needs at least one schedule, got none: write {'cosine': cosine()}")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines = schedule_data(schedules, total=total, per_epoch=per_epoch, peak=peak, unit=unit)
    fig = Figure(figsize=(8.0, 4.5), dpi=150, layout="constrained")
    FigureCanvasAgg(fig)
    ax = fig.add_subplot()
    for i, (label, line) in enumerate(lines.items()):
        colour, dash = COLOURS[i % len(COLOURS)], DASHES[i // len(COLOURS) % len(DASHES)]
        # what is covered shows at both sides
        wide = 1.8 + 1.6 * _covers(line, list(lines.values())[i + 1 :], peak=peak)
        ax.plot(line.x, line.y, color=colour, linestyle=dash, linewidth=wide, label=label, gid=f"line-{i}")
        ax.plot(line.dot_x, line.dot_y, color=colour, linestyle="", marker=".", markersize=5)
    _dress(ax, lines, peak=peak, log=log)
    ax.set_xlabel(AXES[unit])
    ax.set_ylabel("factor of the peak rate" if peak == 1 else "learning rate")
    _legend(fig, list(lines))
    _label_marks(fig, list(lines.values()))
    return fig


def _covers(line: Plotted, later: list[Plotted], *, peak: float) -> int:
    """How many of the lines drawn later lie on a third of this one or more, at most 2."""
    apart = [abs(np.interp(line.x, o.x, o.y) - line.y) for o in later]
    return min(2, sum(bool((gap < 4e-3 * peak).mean() >= 1 / 3) for gap in apart))


def _dress(ax: Axes, lines: Mapping[str, Plotted], *, peak: float, log: bool) -> None:
    """Limits, scale, grid and frame. The room above the peak is for words."""
    ends = [line.x[-1] for line in lines.values()]
    ax.set_xlim(-0.015 * max(ends), 1.015 * max(ends))
    if log:
        low = min(float(line.y[line.y > 0].min()) for line in lines.values())
        ax.set_yscale("log")
        ax.set_ylim(max(low, 1e-4 * peak) / 1.6, peak * 3)
    else:
        ax.set_ylim(-0.05 * peak, 1.2 * peak)
    ax.grid(True, color="#000000", alpha=0.12, linewidth=0.6)
    ax.set_axisbelow(True)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)


def _legend(fig: Figure, labels: list[str]) -> None:
    """The names above the axes, in as many columns as fit, evenly filled; a single name is a title."""
    widest = max(len(label) for label in labels)
    if len(labels) == 1:
        fig.axes[0].set_title(labels[0], loc="left", fontsize=11 if widest < 80 else 7)
        return
    columns = max(1, min(len(labels), 100 // (widest + 8)))
    rows = math.ceil(len(labels) / columns)
    size = 9 if widest < 90 else 6
    evenly = math.ceil(len(labels) / rows)
    fig.legend(loc="outside upper left", ncols=evenly, frameon=False, fontsize=size, borderaxespad=0.2)


_NEAR = (
    (0, 7, "center", "bottom"),
    (6, 5, "left", "bottom"),
    (-6, 5, "right", "bottom"),
    (0, -7, "center", "top"),
    (6, -6, "left", "top"),
    (-6, -6, "right", "top"),
    (9, 0, "left", "center"),
    (-9, 0, "right", "center"),
)
_CROSSED = 16  # words that cover this many points of lines, 3 pixels apart, are not worth reading
_PLACES = [(x * far, y * far, ha, va) for far in (1.0, 1.6, 2.2) for x, y, ha, va in _NEAR]


def _label_marks(fig: Figure, lines: list[Plotted]) -> None:
    """A ring at each boundary, and its words where they cover no others and little of the lines.

    Words for which no good place is left are dropped; the ring stays.
    """
    ax = fig.axes[0]
    fig.draw_without_rendering()  # settles the layout, so that places in pixels are known
    fig.set_layout_engine("none")
    paths = [ax.transData.transform(np.column_stack([d.x, d.y])) for d in lines]
    points = np.concatenate([_dense(p[np.isfinite(p).all(axis=1)]) for p in paths])
    low, high = ax.get_ylim()
    taken: list[Bbox] = []
    said: set[tuple[str, str]] = set()
    for i, line in enumerate(lines):
        colour = COLOURS[i % len(COLOURS)]
        marks = line.marks if len(line.marks) <= MARKS else (line.marks[0], line.marks[-1])
        seen = [m for m in marks if low <= m.y <= high]
        x, y = [m.x for m in seen], [m.y for m in seen]
        ax.plot(x, y, linestyle="", marker="o", ms=4.5, mfc="white", mec=colour, zorder=4)
        for mark in seen:
            words = _words(mark, alone=len(lines) == 1)
            where = (words, f"{mark.x / ax.get_xlim()[1]:.2f}")
            if where not in said and (box := _put(ax, mark, words=words, scene=(colour, points, taken))):
                taken.append(box)
                said.add(where)


def _words(mark: Mark, alone: bool) -> str:
    rate = f"{mark.y:.3g}"
    return f"{mark.label}: {rate}\nat {mark.x:.6g}" if alone and mark.label not in ("start", "end") else rate


def _dense(path: Array) -> Array:
    """Points on a polyline in pixels, at most 3 pixels apart."""
    if len(path) < 2:
        return path
    gaps = np.hypot(*np.diff(path, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(gaps)])
    at = np.arange(0.0, along[-1], 3.0)
    return np.column_stack([np.interp(at, along, path[:, 0]), np.interp(at, along, path[:, 1])])


def _put(ax: Axes, mark: Mark, *, words: str, scene: tuple[str, Array, list[Bbox]]) -> Bbox | None:
    """Write `words` beside the mark at the first place that is free; the box that they take, or None."""
    from matplotlib.patheffects import withStroke

    colour, points, taken = scene
    halo, frame = withStroke(linewidth=2.5, foreground="white"), ax.bbox
    style: dict[str, Any] = {"color": colour, "fontsize": 8, "path_effects": [halo], "zorder": 5}
    best: tuple[int, Annotation, Bbox] | None = None
    for dx, dy, ha, va in _PLACES:
        place: dict[str, Any] = {"xytext": (dx, dy), "textcoords": "offset points", "ha": ha, "va": va}
        text = ax.annotate(words, (mark.x, mark.y), **place, **style)
        box = text.get_window_extent()
        wide = frame.x0 + 4 <= box.x0 and box.x1 <= frame.x1
        inside = wide and frame.y0 <= box.y0 and box.y1 <= frame.y1
        near = (points > (box.x0 - 3, box.y0 - 2)) & (points < (box.x1 + 3, box.y1 + 2))
        hits = int(near.all(axis=1).sum())
        free = inside and not any(box.overlaps(other) for other in taken)
        if free and hits < (best[0] if best else _CROSSED):
            if best:
                best[1].remove()
            best = (hits, text, box)
        else:
            text.remove()
        if best and not best[0]:
            break
    return best[2].padded(2) if best else None


def save_figure(fig: Figure, path: str | Path) -> Path:
    """Write the figure as PNG, SVG or PDF, by the suffix; equal figures give equal bytes."""
    from matplotlib import rc_context

    file = Path(path)
    if file.suffix.lower() not in SUFFIXES:
        write = f"write {file.stem or 'schedule'}.png"
        raise UserError(f"a picture is .png, .svg or .pdf, got {str(path)!r}: {write}")
    if not file.parent.is_dir():
        raise UserError(f"a picture needs a folder that exists, got {str(file.parent)!r}: make it first")
    undated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(file.suffix.lower())
    try:
        with rc_context({"svg.hashsalt": "preheat"}):
            fig.savefig(file, metadata=undated)
    except OSError as error:
        raise explain("write the picture", file, error) from error
    return file
