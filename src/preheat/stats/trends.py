"""How a final metric changes with the budget: a power law, and the improvement from one budget to the next.

Kim 2024, arXiv 2407.15200.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PowerFit:
    """y = e^a x^b through n points, fitted to logarithms.

    r2, adjusted: the part of the variance of ln y that is explained, and 1 - (1 - r2)(n - 1) / (n - 2); p:
    the two-sided p-value of b = 0, by Student's t with n - 2 degrees of freedom. NaN where there is none.
    """

    a: float
    b: float
    r2: float
    adjusted: float
    p: float
    n: int


def power_fit(x: Sequence[float], y: Sequence[float]) -> PowerFit:
    """Least squares of ln y on ln x.

    x, y [n]: all above 0, at least two different x; else ValueError. A y that is NaN gives a fit of NaN.
    r2 and p are NaN where all y are equal, adjusted and p for n = 2.

    >>> fit = power_fit([50, 100, 150, 200], [2e-5, 1e-5, 2e-5 / 3, 5e-6])
    >>> round(fit.a, 6), round(fit.b, 9), round(fit.r2, 9)
    (-6.907755, -1.0, 1.0)
    """
    u, v = np.log(_above_0("x", x)), np.log(_above_0("y", y))
    n = len(u)
    if len(v) != n or len({*u.tolist()}) < 2:
        raise ValueError(f"a power law needs as many y as x, at two x or more, got x {x} and y {y}")
    du, dv = u - u.mean(), v - v.mean()
    b = float(du @ dv / (du @ du))
    a = float(v.mean() - b * u.mean())
    rest, whole = float(((dv - b * du) ** 2).sum()), float(dv @ dv)
    r2 = 1 - rest / whole if whole > 1e-28 * max(1.0, float(v @ v)) else math.nan
    if n == 2 or math.isnan(r2):
        return PowerFit(a, b, r2, math.nan, math.nan, n)
    return PowerFit(a, b, r2, 1 - (1 - r2) * (n - 1) / (n - 2), _p(r2, n - 2), n)


def _p(r2: float, df: int) -> float:
    from scipy.special import stdtr

    return float(2 * stdtr(df, -math.sqrt(df * r2 / (1 - r2)))) if r2 < 1 else 0.0


def _above_0(name: str, values: Sequence[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    out = np.array(values, dtype=np.float64)
    if (out <= 0).any() or np.isinf(out).any():
        raise ValueError(f"a power law needs finite {name} above 0, got {list(values)}")
    return out


@dataclass(frozen=True)
class Improvement:
    """What each budget gains over the one before, [n - 1]; their mean, and their standard deviation (ddof 1;
    NaN for one)."""

    steps: tuple[float, ...]
    mean: float
    sd: float


def improvement(values: Sequence[float], *, relative: bool) -> Improvement:
    """The gain from each value to the next.

    relative: of what is better the lower it is, (v_i - v_i+1) / v_i in per cent; else of what is better the
    higher it is, v_i+1 - v_i. NaN where a value is NaN, and for a relative gain over 0. Errors: ValueError
    for fewer than two values.

    >>> improvement([4.0, 2.0, 1.0], relative=True), improvement([0.5, 0.75], relative=False).mean
    (Improvement(steps=(50.0, 50.0), mean=50.0, sd=0.0), 0.25)
    """
    v = np.array(values, dtype=np.float64)
    if len(v) < 2:
        raise ValueError(f"an improvement needs two values or more, got {values}")
    over = np.where(v[:-1] == 0, math.nan, v[:-1])
    steps = 100 * (v[:-1] - v[1:]) / over if relative else v[1:] - v[:-1]
    sd = float(steps.std(ddof=1)) if len(steps) > 1 else math.nan
    return Improvement(tuple(steps.tolist()), float(steps.mean()), sd)
