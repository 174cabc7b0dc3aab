"""Predicted final loss: a curve's end from its beginning, and the pruner that stops what will not be good.

PFL of Kim, *pytorch_template*: the values are smoothed by an exponential mean of span min(n // 3, 20); three
of them, y1, y2, y3 at n // 3, 2n // 3 and n - 1, give the ratio r = (y2 - y3)/(y1 - y2). For 0 < r < 1 they
lie on a exp(-b t) + c, which is followed to the target; else the mean slope of the last ten is followed at
half its size. With fewer than ten values it is the last one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def predicted(values: Sequence[float], target: int) -> float:
    """The value after `target` epochs, from those of epochs 1 to n <= target; infinite where one is not
    finite.

    >>> curve = [1.0 + 2.0 * 0.8**t for t in range(1, 31)]
    >>> abs(predicted(curve, 100) - 1.0) < 0.05
    True
    """
    y = np.asarray(values, dtype=np.float64)
    n = len(y)
    if not n or not np.isfinite(y).all():
        return math.inf
    if n < 10 or n >= target:
        return float(y[-1])
    smooth = _smoothed(y, min(n // 3, 20))
    first, second, last = n // 3, 2 * n // 3, n - 1
    y1, y2, y3 = (float(smooth[i]) for i in (first, second, last))
    ratio = (y2 - y3) / (y1 - y2) if y1 != y2 else math.nan
    if 0 < ratio < 1:
        rate = -math.log(ratio) / ((last - first) / 2)
        scale = (y1 - y3) / (1 - math.exp(-rate * (last - first)))
        return y1 - scale * (1 - math.exp(-rate * (target - 1 - first)))
    late = smooth[-10:]
    slope = float(late[-1] - late[0]) / (len(late) - 1)
    return y3 + slope / 2 * (target - n)


def _smoothed(y: np.ndarray, span: int) -> np.ndarray:
    """The exponential mean: s_t = a y_t + (1 - a) s_{t-1}, a = 2 / (span + 1)."""
    a, out = 2 / (span + 1), y.copy()
    for t in range(1, len(y)):
        out[t] = a * y[t] + (1 - a) * out[t - 1]
    return out
