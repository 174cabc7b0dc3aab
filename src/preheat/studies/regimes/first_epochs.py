"""What the probes measured in the first epochs: gradient norm, distance from the start, Hessian trace,
learning rate."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from preheat.analysis.effects import Place
from preheat.analysis.curves import Curve
from preheat.analysis.results import Row
from preheat.analysis.table import Table
from preheat.core.record import Record
from preheat.stats.averaging import across, rounded, thin
from preheat.stats.estimates import Array
from preheat.studies.regimes.findings import Milestone

PROBED = ("grad_norm", "distance", "hessian_trace")
RATE = "learning_rate"
LAST_EPOCH = 10.0
EPOCHS = (1.0, 5.0, 10.0)


def early_curves(table: Table, at: Place, records: Sequence[tuple[Record, Row]]) -> list[Curve]:
    """A curve over epochs for each probe of one setting, and of the learning rate as scheduled; none without
    probes.

    Band: one standard deviation over seeds; of the Hessian trace the standard error of its estimate, also
    with one seed.
    """
    known = [pair for pair in records if pair[1].summary.get("steps_per_epoch")]
    out: list[Curve] = []
    for what in PROBED:
        lines = [line for r in known if (line := _line(*r, what)) is not None]
        if lines:
            x, y, lo, hi = across(lines)
            errors = [e for r in known if (e := _line(*r, f"{what}_se")) is not None]
            if len(errors) == len(lines):
                error = np.sqrt(np.mean([np.interp(x, a, b) ** 2 for a, b in errors], axis=0) / len(errors))
                lo, hi = y - error, y + error
            out.append(_curve(table, at, what, (x, y, lo, hi), len(lines)))
    if out:
        x = np.array(max(out, key=lambda c: (c.x[-1], len(c.x))).x)
        y = _rate(*known[0], x)
        out.append(_curve(table, at, RATE, (x, y, y, y), 1))
    return out


def _curve(table: Table, at: Place, what: str, drawn: Sequence[Array], n: int) -> Curve:
    x, y, lo, hi = (rounded(v) for v in drawn)
    return Curve(*table.labels(at), what, x, y, lo, hi, n)


def _line(record: Record, row: Row, what: str) -> tuple[Array, Array] | None:
    """What was measured up to the tenth epoch, x in epochs."""
    series = record.trace.get(what)
    if series is None:
        return None
    x = np.array(series.steps, dtype=np.float64) / float(row.summary["steps_per_epoch"] or 1)
    y = np.array(series.values, dtype=np.float64)
    kept = np.isfinite(y) & (x <= LAST_EPOCH)
    return thin(x[kept], y[kept]) if kept.any() else None


def _rate(record: Record, row: Row, x: Array) -> Array:
    """The learning rate of the updates at x epochs."""
    per_epoch, total = float(row.summary["steps_per_epoch"] or 1), int(row.summary["total_steps"] or 1)
    steps = np.minimum(np.round(x * per_epoch), max(total - 1, 0)).astype(np.int64)
    return np.asarray(record.run.factor_over(total, per_epoch)(steps), dtype=np.float64) * record.run.peak_lr


def milestones(some: Sequence[Curve]) -> tuple[Milestone, ...]:
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
