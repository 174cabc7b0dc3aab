"""SLCD, the smoothed learning curve difference: how far apart two learning curves run, 0 where they agree.

Kim 2024, arXiv 2407.15200, who compares runs of one setting over several lengths with it. There are two
definitions. That of the published tables of losses is an integral over logarithms; the published table of
accuracies, and the project's code since, take a sum over the values themselves.
"""

from __future__ import annotations

import numpy as np

from preheat.stats.estimates import Array

FIRST = 10  # where the integral begins: the epochs before are the start of training
_WEIGHTS = np.array([-21, 14, 39, 54, 59, 54, 39, 14, -21]) / 231
_NODES = 12  # of the quadrature between two knots or crossings


def savitzky_golay(y: Array) -> Array:
    """The values [n], smoothed by a parabola through 9; the first and last 4, and fewer than 9, stay.

    >>> savitzky_golay(np.arange(12.0) ** 2).round(9)[3:7]
    array([ 9., 16., 25., 36.])

    Savitzky and Golay 1964.
    """
    out = np.array(y, dtype=np.float64)
    if len(out) >= 9:
        out[4:-4] = np.convolve(out, _WEIGHTS, "valid")
    return out


def slcd_sum(x: Array, y: Array) -> float:
    """(1/n) sum over i = 1 .. n of |X_i - Y_i| / (X_i + Y_i), with X, Y smoothed, n the shorter length.

    x, y: values at the epochs 1, 2, ... Of losses that fall over decades the smoother may give values below
    0, so that the sum means nothing there; `slcd` is for these. NaN where a value is not finite.

    >>> round(slcd_sum(np.full(20, 2.0), np.full(30, 1.0)), 12)
    0.333333333333
    """
    n = _shorter(x, y, 1)
    a, b = savitzky_golay(x)[:n], savitzky_golay(y)[:n]
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.mean(np.abs(a - b) / (a + b)))


def slcd(x: Array, y: Array) -> float:
    """(1/n) times the integral from 10 to n of |X - Y| / (X + Y), n the length of the shorter curve.

    x, y: values above 0 at the epochs 1, 2, ..., more than 10 of them. X = exp(S(t)), S the cubic Hermite
    spline through the smoothed logarithms of x, its slopes those of the parabola through three neighbours.
    With d the difference of both splines the integrand is |tanh(d / 2)|; the integral is taken between knots
    and roots of d. From 0 to below 1 - 10/n. NaN where a value is not above 0 or not finite. Errors:
    ValueError for 10 epochs or fewer.

    >>> x = np.exp(-0.1 * np.arange(1, 51))
    >>> slcd(x, x), round(slcd(x, 3 * x), 12)  # the second is (3 - 1) / (3 + 1) * 40 / 50
    (0.0, 0.4)
    """
    from scipy.interpolate import CubicHermiteSpline

    n = _shorter(x, y, FIRST + 1)
    every = np.concatenate([x, y])
    if not (np.isfinite(every).all() and (every > 0).all()):
        return float("nan")
    a, b = savitzky_golay(np.log(x)), savitzky_golay(np.log(y))
    slopes = np.gradient(a, edge_order=2)[:n] - np.gradient(b, edge_order=2)[:n]
    d = CubicHermiteSpline(np.arange(1.0, n + 1), a[:n] - b[:n], slopes)
    roots = d.roots(extrapolate=False)
    cuts = np.unique([*range(FIRST, n + 1), *roots[(roots > FIRST) & (roots < n)]])
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    half = np.diff(cuts)[:, None] / 2
    t = cuts[:-1, None] + half * (nodes + 1)
    return float((half * weights * np.abs(np.tanh(d(t) / 2))).sum() / n)


def _shorter(x: Array, y: Array, least: int) -> int:
    n = min(len(x), len(y))
    if n < least:
        raise ValueError(f"SLCD needs curves of at least {least} epochs, got one of {n}")
    return n
