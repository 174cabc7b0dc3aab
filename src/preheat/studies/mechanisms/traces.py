"""What a run's trace tells of its mechanism: when sharpness met its threshold, how it had moved until then,
whether it stayed there, and its catapults."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from preheat.analysis.results import Row
from preheat.core.lengths import length
from preheat.core.record import Record
from preheat.stats.averaging import thin
from preheat.stats.catapults import catapults
from preheat.stats.estimates import Array

Steps = NDArray[np.int64]
RAW = "sharpness"
NAMES = ("preconditioned_sharpness", RAW)  # the first that a run has is the one that decides
CONSTANT = 0.1  # a relative change of sharpness up to this is none
LEAST = 3  # measurements that a statement about a stretch needs
RATE = "train_learning_rate"
MOST = 160  # points of a curve
BURST = 1e3  # a loss above so many times the first is drawn no further


class WarmupCourse(NamedTuple):
    """One run. steps [N], loss, sharp, ratio: at the measurements, ratio of the sharpness to its threshold.
    raw: (steps, the Hessian's own sharpness) where sharp is the preconditioned one, else empty.

    start: the first sharpness. crossing: the first update measured above the threshold, None without one in
    the warmup. change: log2 of the sharpness before that (at the warmup's end without one) over the first;
    NaN with fewer than LEAST. ridden: the median log2 ratio from the crossing to the warmup's end, NaN with
    fewer than LEAST. kind: the regime that `change` belongs to. found, uncoupled: catapults, and rises
    of the loss without one; cadence: the longest distance between measurements. reached: updates until the
    rate was at its peak. level: the mean log2 loss over the updates.
    """

    steps: Array
    loss: Array
    sharp: Array
    ratio: Array
    raw: tuple[Array, Array]
    start: float
    crossing: int | None
    change: float
    ridden: float
    kind: str
    found: int
    uncoupled: int
    cadence: int
    reached: int
    level: float


def course(record: Record, row: Row) -> WarmupCourse | None:
    """What a run tells; None where it measured no sharpness with its threshold."""
    name = next((n for n in NAMES if f"{n}_to_threshold" in record.trace), "")
    losses = np.array(record.trace["train_loss"].values, dtype=np.float64)
    if not name or not len(losses):
        return None
    steps = np.array(record.trace[name].steps, dtype=np.int64)
    sharp, ratio = (
        np.array(record.trace[n].values, dtype=np.float64) for n in (name, f"{name}_to_threshold")
    )
    kept = (steps < len(losses)) & np.isfinite(sharp) & np.isfinite(ratio)
    kept[kept] &= np.isfinite(losses[steps[kept]])
    steps, sharp, ratio = steps[kept], sharp[kept], ratio[kept]
    if not len(steps):
        return None
    end = _reached(record, row, len(losses))
    whole = row.outcome == "done" and bool((losses > 0).all())
    inside = steps < end
    crossing, change, ridden, kind = _met(steps[inside], sharp[inside], ratio[inside])
    found, uncoupled, cadence = _catapults(steps, losses[steps], sharp)
    return WarmupCourse(
        steps.astype(float),
        losses[steps],
        sharp,
        ratio,
        raw=_series(record, RAW) if name != RAW else (np.zeros(0), np.zeros(0)),
        start=float(sharp[0]),
        crossing=crossing,
        change=change,
        ridden=ridden,
        kind=kind,
        found=found,
        uncoupled=uncoupled,
        cadence=cadence,
        reached=end,
        level=float(np.log2(losses).mean()) if whole else np.nan,
    )


def _series(record: Record, name: str) -> tuple[Array, Array]:
    """(steps, finite values) of what a probe measured; empty without it."""
    if name not in record.trace:
        return np.zeros(0), np.zeros(0)
    y = np.array(record.trace[name].values, dtype=np.float64)
    x = np.array(record.trace[name].steps, dtype=np.float64)
    return x[np.isfinite(y)], y[np.isfinite(y)]


def _reached(record: Record, row: Row, updates: int) -> int:
    """The updates until the rate is at its highest for the first time."""
    if RATE in record.trace:
        used = np.array(record.trace[RATE].values, dtype=np.float64)
        return int(used.argmax()) + 1
    asked = row.axes.get("schedule.warmup")
    total = int(row.summary.get("total_steps") or updates)
    return int(length(asked).resolve(total, total)) if asked else 1


def _met(steps: Steps, sharp: Array, ratio: Array) -> tuple[int | None, float, float, str]:
    """(crossing, change, ridden, kind) of the measurements in the warmup."""
    above = np.flatnonzero(ratio > 1)
    first = int(above[0]) if len(above) else len(steps)
    crossing = int(steps[first]) if len(above) else None
    before = sharp[:first]
    change = ridden = np.nan
    if first >= LEAST and (before > 0).all():
        change = float(np.log2(before[-1] / before[0]))
    after = ratio[first:]
    if len(after) >= LEAST and (after > 0).all():
        ridden = float(np.median(np.log2(after)))
    return crossing, change, ridden, _kind(change)


def _kind(change: float) -> str:
    """The regime that a change of sharpness in log2 belongs to; up to a tenth is none."""
    if not np.isfinite(change):
        return "not decided"
    if abs(change) <= np.log2(1 + CONSTANT):
        return "constant sharpness"
    return "progressive sharpening" if change > 0 else "sharpness reduction"


def _catapults(steps: Steps, losses: Array, sharp: Array) -> tuple[int, int, int]:
    good = (losses > 0) & (sharp > 0)
    if good.sum() < 2:
        return 0, 0, 0
    told = catapults(steps[good], losses[good], sharp[good])
    return len(told.found), told.uncoupled, told.cadence


def drawn(c: WarmupCourse, what: str) -> tuple[Array, Array]:
    """log2 of one of a course's series where it is above 0, over 1 + update, thinned; up to where the loss
    has burst."""
    x, y = c.raw if what == "raw" else (c.steps, getattr(c, what))
    burst = np.flatnonzero(c.loss > BURST * c.loss[0])
    kept = (y > 0) & (x <= (c.steps[burst[0]] if len(burst) else np.inf))
    return thin(x[kept] + 1, np.log2(y[kept]), most=MOST) if kept.any() else (x[:0], y[:0])
