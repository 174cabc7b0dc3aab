"""What the probes measured in the first epochs: gradient norm, distance from the start, Hessian trace,
learning rate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from preheat.analysis.curves import ERROR, MeanCurve, Points, probed_curve
from preheat.analysis.effects import Place
from preheat.analysis.results import Row
from preheat.analysis.table import Table
from preheat.core.record import Record, Series
from preheat.core.run import Run
from preheat.stats.averaging import rounded, thin

PROBED = ("grad_norm", "distance", "hessian_trace")
RATE = "learning_rate"
LAST_EPOCH = 10.0
EPOCHS = (1.0, 5.0, 10.0)


@dataclass(frozen=True)
class Milestone:
    """What a probe measured at an epoch: the mean over n seeds and the band that its curve has."""

    panel: str
    condition: str
    treatment: str
    what: str
    epoch: float
    mean: float
    lo: float
    hi: float
    n: int


class Opening(NamedTuple):
    """A run's probes up to the tenth epoch, x in epochs."""

    run: Run
    lines: Mapping[str, Points]


def opening(record: Record, row: Row) -> Opening | None:
    """None without probes, or where the summary tells no epochs."""
    per_epoch = float(row.summary.get("steps_per_epoch") or 0)
    if not per_epoch:
        return None
    names = [n + end for n in PROBED for end in ("", ERROR) if n + end in record.trace]
    lines = {n: line for n in names if (line := _line(record.trace[n], per_epoch)) is not None}
    return Opening(record.run, lines) if lines else None


def _line(series: Series, per_epoch: float) -> Points | None:
    x = np.array(series.steps, dtype=np.float64) / per_epoch
    y = np.array(series.values, dtype=np.float64)
    kept = np.isfinite(y) & (x <= LAST_EPOCH)
    return thin(x[kept], y[kept]) if kept.any() else None


def early_curves(table: Table, at: Place, some: Sequence[tuple[Row, Opening]]) -> list[MeanCurve]:
    """A curve over epochs for each probe of one setting, and of the learning rate as scheduled.

    Band: one standard deviation over seeds; of the Hessian trace the standard error of its estimate, also
    with one seed.
    """
    out: list[MeanCurve] = []
    for what in PROBED:
        lines = [o.lines for _, o in some if what in o.lines]
        out += [probed_curve(table.labels(at), what, lines)] if lines else []
    if out:
        x = np.array(max(out, key=lambda c: (c.x[-1], len(c.x))).x)
        y = rounded(_rate(*some[0], x))
        out.append(MeanCurve(*table.labels(at), RATE, rounded(x), y, y, y, 1))
    return out


def _rate(row: Row, opening: Opening, x: np.ndarray) -> np.ndarray:
    """The learning rate of the updates at x epochs."""
    per_epoch, total = float(row.summary["steps_per_epoch"] or 1), int(row.summary["total_steps"] or 1)
    steps = np.minimum(np.round(x * per_epoch), max(total - 1, 0)).astype(np.int64)
    run = opening.run
    return np.asarray(run.factor_over(total, per_epoch)(steps), dtype=np.float64) * run.peak_lr


def milestones(some: Sequence[MeanCurve]) -> tuple[Milestone, ...]:
    """Every curve at epochs 1, 5 and 10, linear between measurements; none where it was not measured until
    then.

    The last measurement counts for one more distance between measurements, so that 10 epochs' worth reach
    epoch 10.
    """
    out = []
    for c in some:
        x = np.array(c.x)
        gap = float(np.diff(x).max(initial=0.0))
        for epoch in EPOCHS:
            if x[0] <= epoch <= x[-1] + gap * (1 + 1e-9) and len(x) > 1:
                mean, lo, hi = (float(np.interp(epoch, x, v)) for v in (c.y, c.lo, c.hi))
                if math.isfinite(mean):
                    out.append(Milestone(c.panel, c.condition, c.treatment, c.what, epoch, mean, lo, hi, c.n))
    return tuple(out)
