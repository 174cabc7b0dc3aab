"""Learning curves as small multiples: a panel for each series, in it a line for each budget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from preheat.analysis.learning_curves import LearningCurve
from preheat.core.errors import UserError
from preheat.report.drawing.figures import draw
from preheat.report.drawing.shapes import Facets, Line, Lines
from preheat.report.drawing.style import drawing, light_svg, png, svg

_DECADE = 10.0  # of a wider range the axis is logarithmic
SUFFIXES = (".png", ".svg")


def curve_panels(curves: Sequence[LearningCurve]) -> Facets:
    """The curves, one metric for all of them; bands from the least to the greatest of the runs.

    The axis of values is logarithmic where all are above 0 and the largest is over ten times the least. What
    is not finite is left out. Errors: UserError where there are several metrics, or no finite value.
    """
    metrics = sorted({one.metric for one in curves})
    if len(metrics) != 1:
        named = ", ".join(map(repr, metrics)) or "none"
        raise UserError(f"a picture of curves shows one metric, got {named}: give files of one")
    values = [v for one in curves for v in one.values if math.isfinite(v)]
    if not values:
        raise UserError("a picture of curves needs a value that is finite, got none: give other files")
    log = "y" if min(values) > 0 and max(values) > _DECADE * min(values) else ""
    budgets = sorted({one.budget or 0 for one in curves})
    parts = []
    for series in dict.fromkeys(one.series for one in curves):
        own = sorted((one for one in curves if one.series == series), key=lambda one: one.budget or 0)
        lines = tuple(_line(one, -1 - budgets.index(one.budget or 0)) for one in own if _known(one))
        parts.append(Lines("epoch", metrics[0] or "value", lines, title=series, log=log))
    return Facets(tuple(parts))


def _known(one: LearningCurve) -> list[int]:
    """Where it is finite."""
    return [i for i, v in enumerate(one.values) if math.isfinite(v)]


def _line(one: LearningCurve, index: int) -> Line:
    kept = _known(one)
    band = [tuple(part[i] for i in kept) if part else () for part in (one.low, one.high)]
    if not all(math.isfinite(v) for part in band for v in part):
        band = [(), ()]
    x, y = tuple(one.epochs[i] for i in kept), tuple(one.values[i] for i in kept)
    return Line(f"{one.budget} epochs" if one.budget else "curve", index, x, y, *band)


def write_curve_panels(curves: Sequence[LearningCurve], path: Path) -> None:
    """Draw the curves into a .png or .svg file; equal curves give equal bytes."""
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"a picture of curves is .png or .svg, got {path}: write {path.with_suffix('.png')}")
    if not path.parent.is_dir():
        raise UserError(f"a picture needs a folder that exists, got {path.parent}: make it first")
    with drawing():
        figure = draw(curve_panels(curves))
        data = png(figure) if path.suffix.lower() == ".png" else light_svg(svg(figure))
    path.write_bytes(data)
