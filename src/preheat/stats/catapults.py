"""Catapults in a trace of loss and sharpness, and how sharpness drifts before the rate reaches its limit.

Where the rate is above threshold / sharpness (2 for gradient descent) the loss rises. Then, unless training
fails, sharpness falls until the rate is below its limit again, and the loss comes back: a catapult
(Lewkowycz et al. 2020, arXiv 2003.02218). A loss also rises by momentum or by another batch, so a rise alone
is none. Take loss and sharpness of one fixed batch. Kalra & Barkeshli 2024, arXiv 2406.09405.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from preheat.stats.estimates import Array


class Catapult(NamedTuple):
    """One rise of the loss with its fall of sharpness. Steps: the last one before the rise, that of the
    highest loss, that of the least sharpness.

    rise: the highest loss over the loss before; drop: the part of its sharpness that was lost, beyond what
    was being lost anyway.
    """

    begin: int
    peak: int
    end: int
    rise: float
    drop: float


class Catapults(NamedTuple):
    """What a trace holds. cadence: the longest distance between two of its steps; one that is over sooner may
    have been missed. uncoupled: the rises of the loss in which sharpness did not fall."""

    found: tuple[Catapult, ...]
    cadence: int
    uncoupled: int


class Drift(NamedTuple):
    """How sharpness moved before the first crossing of its limit.

    kind: "progressive sharpening", "sharpness reduction", "constant sharpness", or "not decided" with fewer
    than three measurements before the crossing; change: the relative change from the first of them to the
    last, along the median slope (Theil-Sen) of log sharpness; measured: how many there were; crossing: the
    first step at which sharpness is above threshold / rate, None without one.
    """

    kind: str
    change: float
    measured: int
    crossing: int | None


def catapults(
    steps: ArrayLike, losses: ArrayLike, sharpness: ArrayLike, *, rise: float = 0.1, drop: float = 0.1
) -> Catapults:
    """The catapults of a trace. steps, losses, sharpness: [N], measured together, steps ascending.

    A rise begins where the loss is above (1 + rise) times its lowest value since the last rise, and lasts
    until it is below that again or the trace ends. It is a catapult if sharpness falls from its highest value
    between the begin and the peak by more than `drop`, up to the end of the rise. What it lost in a stretch
    of the same number of measurements before the begin is taken off, so that in a run whose sharpness falls
    all along a spike is none. Where the trace has no such stretch before, the pace of the rest of the
    trace counts, from as long after the fall as it took. Errors: ValueError.

    >>> loss = [1.0, 1.0, 3.0, 0.5, 0.4, 0.6, 0.3]
    >>> catapults(range(0, 70, 10), loss, [9.0, 9.0, 9.0, 4.0, 4.0, 4.0, 4.0])
    Catapults(found=(Catapult(begin=10, peak=20, end=30, rise=3.0, drop=0.5555555555555556),), cadence=10,
    uncoupled=1)
    """
    at, loss, sharp = _trace(steps, losses, sharpness)
    if (loss <= 0).any():
        raise ValueError(f"losses must be above 0, got {float(loss.min()):g}: a rise is relative to them")
    if not rise > 0 or not 0 < drop < 1:
        raise ValueError(f"rise must be above 0 and drop between 0 and 1, got {rise:g} and {drop:g}")
    found, uncoupled = [], 0
    for begin, end in _rises(loss, 1 + rise):
        one = _catapult(at, loss, sharp, (begin, end))
        if one.drop > drop:
            found.append(one)
        else:
            uncoupled += 1
    return Catapults(tuple(found), int(np.diff(at).max(initial=0)), uncoupled)


def sharpness_drift(
    steps: ArrayLike, sharpness: ArrayLike, rates: ArrayLike, *, threshold: float = 2.0, least: float = 0.1
) -> Drift:
    """Which way sharpness goes by itself: the three regimes of Kalra & Barkeshli 2024, section 4.

    steps, sharpness, rates: [N], measured together. threshold: sharpness times rate at the limit, 2 for
    gradient descent, 2 + 2 beta with momentum, (2 + 2 beta1) / (1 - beta1) for Adam's preconditioned
    sharpness. least: a relative change up to this is "constant". It describes one run. Errors: ValueError.

    >>> sharpness_drift([0, 10, 20, 30], [4.0, 5.0, 6.0, 9.0], [0.1, 0.2, 0.3, 0.4])
    Drift(kind='progressive sharpening', change=0.5, measured=3, crossing=30)
    """
    at, sharp, rate = _trace(steps, sharpness, rates)
    if (sharp <= 0).any():
        raise ValueError(f"sharpness must be above 0, got {float(sharp.min()):g}: leave those steps out")
    above = np.flatnonzero(sharp * rate > threshold)
    before = int(above[0]) if len(above) else len(at)
    crossing = int(at[above[0]]) if len(above) else None
    if before < 3:
        return Drift("not decided", np.nan, before, crossing)
    log, span = np.log(sharp[:before]), at[:before]
    first, last = np.triu_indices(before, 1)
    slope = float(np.median((log[last] - log[first]) / (span[last] - span[first])))
    change = round(float(np.expm1(slope * (span[-1] - span[0]))), 12)
    kind = "constant sharpness"
    if abs(change) > least:
        kind = "progressive sharpening" if change > 0 else "sharpness reduction"
    return Drift(kind, change, before, crossing)


def _trace(steps: ArrayLike, one: ArrayLike, other: ArrayLike) -> tuple[Array, Array, Array]:
    at, a, b = (
        np.asarray(list(x) if isinstance(x, range) else x, dtype=np.float64) for x in (steps, one, other)
    )
    if at.ndim != 1 or not at.shape == a.shape == b.shape or not len(at):
        raise ValueError(
            f"steps and both series must be as long as each other, got {at.shape}, {a.shape} and {b.shape}: "
            "take the steps at which both were measured"
        )
    if (np.diff(at) <= 0).any():
        raise ValueError("steps must ascend: sort the trace by its steps")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("a trace must be finite: cut it before the first NaN or infinity")
    return at, a, b


def _rises(loss: Array, factor: float) -> list[tuple[int, int]]:
    """(last place before, last place of) each rise; the second is one after it where the loss came back."""
    found, low, begin = [], 0, -1
    for i, value in enumerate(loss):
        if begin >= 0:
            if value <= factor * loss[low]:
                found.append((begin, i))
                low, begin = i, -1
        elif value > factor * loss[low]:
            begin = i - 1
        elif value < loss[low]:
            low = i
    return [*found, (begin, len(loss) - 1)] if begin >= 0 else found


def _catapult(at: Array, loss: Array, sharp: Array, rise: tuple[int, int]) -> Catapult:
    begin, end = rise
    peak = begin + int(np.argmax(loss[begin : end + 1]))
    top = begin + int(np.argmax(sharp[begin : peak + 1]))
    low = top + int(np.argmin(sharp[top : end + 1]))
    lost = 1 - sharp[low] / sharp[top] if sharp[top] > 0 else 0.0
    anyway = _anyway(sharp, begin, low)
    return Catapult(
        int(at[begin]), int(at[peak]), int(at[low]), float(loss[peak] / loss[begin]), float(lost - anyway)
    )


def _anyway(sharp: Array, begin: int, low: int) -> float:
    """The part of its sharpness that a run loses in as many measurements as lie between begin and low."""
    n, end = low - begin, len(sharp) - 1
    after = low + n if low + n < end else low
    for first, last in ((begin - n, begin), (after, end), (0, begin)):
        if 0 <= first < last and sharp[first] > 0 and sharp[last] > 0:
            return max(1 - math.pow(sharp[last] / sharp[first], n / (last - first)), 0.0)
    return 0.0
