"""The few statistics that everything here is made of: t intervals, Holm's correction, equivalence, seeds
needed.

All samples are over seeds, so n is small, often 3 to 10. A metric such as accuracy moves in steps of 1/N, and
three seeds can agree to the digit by chance; a standard deviation of zero would then make any difference
certain. So every standard deviation has a floor: what rounding alone contributes, r sqrt(m / 12) for a sum of
m values that are rounded to steps of r.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
ALPHA = 0.05
MOST_SEEDS = 999
PILOT = 5
Bound = Literal["exact", "at least", "at most", "open"]


@dataclass(frozen=True)
class Estimate:
    """A mean over n seeds with its two-sided 95 % interval. n = 1 has no interval (lo = hi = None): a
    description only.

    bound: "at least" where the truth may lie above the mean by an unknown amount (hi is None), "at most"
    where below (lo is None), "open" where either (both are None).
    """

    mean: float
    lo: float | None
    hi: float | None
    n: int
    bound: Bound = "exact"


class Moments(NamedTuple):
    """Mean and standard deviation of n values, the latter on `df` degrees of freedom: n - 1 where none are
    told; NaN for n < 2."""

    mean: float
    sd: float
    n: int
    told: float | None = None

    @property
    def df(self) -> float:
        """Degrees of freedom of sd."""
        return float(self.n - 1) if self.told is None else self.told

    @property
    def error(self) -> float:
        """The standard error of the mean."""
        return self.sd / math.sqrt(self.n) if self.n > 1 else math.nan


def moments(values: Iterable[float] | Array, floor: float = 0.0) -> Moments:
    """Mean, standard deviation and number of the finite values; the deviation is at least `floor`.

    >>> moments([1.0, 3.0, float("nan")])
    Moments(mean=2.0, sd=1.4142135623730951, n=2, told=None)
    """
    x = np.asarray(list(values) if not isinstance(values, np.ndarray) else values, dtype=np.float64)
    x = x[np.isfinite(x)]
    if not len(x):
        return Moments(math.nan, math.nan, 0)
    if len(x) == 1:
        return Moments(float(x[0]), math.nan, 1)
    sd = float(x.std(ddof=1))
    scale = float(np.abs(x).max())
    return Moments(float(x.mean()), max(sd if sd > 1e-12 * scale else 0.0, floor), len(x))


def resolution(values: Array) -> float:
    """The smallest step between different values: 1/N for an accuracy on N examples; 0 where all are equal.

    >>> round(resolution(np.array([0.5, 0.75, 0.75, 1.0])), 3)
    0.25
    """
    x = np.unique(values[np.isfinite(values)])
    gaps = np.diff(x)
    gaps = gaps[gaps > 1e-6 * np.abs(x).max(initial=0.0)]
    return float(gaps.min()) if len(gaps) else 0.0


def rounding(step: float, count: int) -> float:
    """The standard deviation that rounding to `step` gives to a sum of `count` values: step sqrt(count /
    12)."""
    return step * math.sqrt(count / 12)


def t_quantile(level: float, df: Any) -> Any:
    """The `level` quantile of Student's t with `df` degrees of freedom."""
    from scipy.special import stdtrit

    return stdtrit(df, level)


def t_tail(t: float, df: float) -> float:
    """P(T > t) for Student's t."""
    from scipy.special import stdtr

    return float(stdtr(df, -t))


@lru_cache(maxsize=256)
def range_quantile(level: float, k: int, df: int) -> float:
    """The quantile of Tukey's studentized range of k means with df degrees of freedom."""
    from scipy.optimize import brentq

    high = 10.0
    while range_tail(high, k, df) > 1 - level and high < 1e6:
        high *= 4
    return float(brentq(lambda q: range_tail(q, k, df) - (1 - level), 0.0, high, xtol=1e-10))


def range_tail(q: float, k: int, df: int) -> float:
    """P(Q > q) for Tukey's studentized range of k means with df degrees of freedom.

    The integral over s, chi / sqrt(df), of 1 - k integral phi(z) (Phi(z) - Phi(z - q s))^(k - 1) dz, by Gauss
    and Legendre: scipy's value, in a hundredth of its time.
    """
    from scipy.special import ndtr

    z, normal, s, weights = _range_nodes(df)
    inner = k * (ndtr(z) - ndtr(z - q * s[:, None])) ** (k - 1) @ normal
    return float(np.clip(1 - inner @ weights, 0.0, 1.0))


@lru_cache(maxsize=64)
def _range_nodes(df: int) -> tuple[Array, Array, Array, Array]:
    """(z, weights times phi(z), s, weights times the density of s)."""
    from scipy.special import gammaincinv

    x, w = np.polynomial.legendre.leggauss(128)
    z = 8.5 * x
    normal = 8.5 * w * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    low, high = (math.log(2 * float(gammaincinv(df / 2, p)) / df) / 2 for p in (1e-12, 1 - 1e-15))
    s = np.exp((high + low) / 2 + (high - low) / 2 * x)
    weights = w * np.exp(df * np.log(s) - df * (s**2 - 1) / 2)
    return z, normal, s, weights / weights.sum()


def interval(m: Moments, level: float = 1 - ALPHA) -> Estimate:
    """mean -+ t sd / sqrt(n) (Student); without limits for n < 2."""
    if m.n < 2:
        return Estimate(m.mean, None, None, m.n)
    half = float(t_quantile(0.5 + level / 2, m.df)) * m.error
    return Estimate(m.mean, m.mean - half, m.mean + half, m.n)


def bounded(e: Estimate, bound: Bound) -> Estimate:
    """The estimate as a bound: only the limits that hold."""
    lo = e.lo if bound in ("exact", "at least") else None
    hi = e.hi if bound in ("exact", "at most") else None
    return Estimate(e.mean, lo, hi, e.n, bound)


def factor(e: Estimate) -> Estimate:
    """2 to the power of an estimate in log2."""
    lo, hi = (None if v is None else float(np.exp2(min(v, 1000.0))) for v in (e.lo, e.hi))
    return Estimate(float(np.exp2(min(e.mean, 1000.0))), lo, hi, e.n, e.bound)


def p_above(m: Moments, null: float = 0.0) -> float | None:
    """One-sided p of "the mean is not above `null`"; None for n < 2; 1 where nothing varies."""
    if m.n < 2:
        return None
    return 1.0 if m.sd == 0 else t_tail((m.mean - null) / m.error, m.df)


def p_different(m: Moments) -> float | None:
    """Two-sided p of "the mean is 0" (Student)."""
    if m.n < 2:
        return None
    return 1.0 if m.sd == 0 else min(1.0, 2 * t_tail(abs(m.mean) / m.error, m.df))


def p_equivalent(m: Moments, margin: float) -> float | None:
    """p of "the mean is outside -margin to margin": the larger of two one-sided t tests (Schuirmann 1987).

    It is below 0.05 exactly where the 90 % interval lies inside the margins. 1 where nothing varies at all: a
    test set on which every run scores the same can't show equality either.
    """
    if m.n < 2:
        return None
    return 1.0 if m.sd == 0 else t_tail((margin - abs(m.mean)) / m.error, m.df)


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Holm's adjusted p values (Holm 1979): the chance of any false claim among all is at most alpha.

    p_(i) of m ordered values becomes max over j <= i of (m - j + 1) p_(j), at most 1. None stays None and
    does not count.

    >>> holm([0.01, None, 0.04, 0.03])
    [0.03, None, 0.06, 0.06]
    """
    known = sorted((p, i) for i, p in enumerate(ps) if p is not None)
    out: list[float | None] = [None] * len(ps)
    largest = 0.0
    for rank, (p, i) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * p))
        out[i] = largest
    return out


def more_seeds(m: Moments, goals: Sequence[tuple[float, float]]) -> int | None:
    """About how many seeds beside the n at hand would decide, if mean and sd stay as they are.

    goals: (distance, one-sided level) pairs; one is reached by N seeds if (t_(1 - level, N - 1) + 0.84) sd /
    sqrt(N) is below its distance, which gives a power of 80 %. The quickest goal counts; at most 999. With
    fewer than two seeds nothing is known of the spread: as many as make five. None where nothing varies.
    """
    if m.n < 2:
        return max(PILOT - m.n, 1)
    if m.sd == 0:
        return None
    needed = MOST_SEEDS
    for distance, level in goals:
        if distance > 0:
            reached = np.flatnonzero(_reach(level, m.n) * m.sd < distance)
            needed = min(needed, int(reached[0]) + 1) if len(reached) else needed
    return needed


def smallest_found(sd: float, n: int, *, level: float) -> float:
    """The difference that n seeds find with a power of 80 %, two-sided at `level`: (t_(1 - level / 2, n - 1)
    + 0.84) sd / sqrt(n).

    >>> round(smallest_found(1.0, 16, level=0.05), 2)
    0.74
    """
    return float((t_quantile(1 - level / 2, n - 1) + 0.8416) * sd / math.sqrt(n))


@lru_cache(maxsize=256)
def _reach(level: float, n: int) -> Array:
    """(t_(1 - level, N - 1) + 0.84) / sqrt(N) for N = n + 1 and up: it falls with N."""
    total = np.arange(n + 1, n + MOST_SEEDS + 1)
    return np.asarray((t_quantile(1 - level, total - 1) + 0.8416) / np.sqrt(total), dtype=np.float64)
