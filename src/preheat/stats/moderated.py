"""Moderated t: comparisons of one family lend each other their spread (Smyth 2004, as limma's `eBayes`).

Eight seeds say little of a standard deviation, and a family of eight comparisons with eight seeds each says
more: its variances are shrunk towards their common value s0^2, which counts as much as d0 degrees of freedom.
With s_i^2 on d_i degrees of freedom, z = log s^2 and e = z - digamma(d / 2) + log(d / 2):

    trigamma(d0 / 2) = var(e) - mean(trigamma(d / 2)), d0 is infinite where that is not above 0
    log s0^2 = mean(e) + digamma(d0 / 2) - log(d0 / 2); s0^2 = mean(s^2) where d0 is infinite
    s~^2 = (d0 s0^2 + d s^2) / (d0 + d), on min(d0 + d, sum of d) degrees of freedom

Comparisons with one baseline share its luck, so their variances agree better than those of strangers, and the
prior looks surer than it is. So it counts at most as much as the comparison itself, d0 <= d: see
docs/statistics.md for what that is worth.

G. K. Smyth, Statistical Applications in Genetics and Molecular Biology 3 (2004) 3, doi
10.2202/1544-6115.1027.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from preheat.stats.estimates import Array, Moments


class Prior(NamedTuple):
    """What a family says of a variance: its value, and the degrees of freedom that it counts as."""

    variance: float
    df: float


def prior(variances: Array, df: Array) -> Prior:
    """The prior of a family of sample variances above 0; (0, 0), which changes nothing, for fewer than two.

    >>> prior(np.array([1.0, 1.0, 1.0, 1.0]), np.array([7.0] * 4)).df
    inf
    """
    from scipy.special import digamma, polygamma

    known = (variances > 0) & (df > 0) & np.isfinite(variances)
    s2, d = variances[known], df[known]
    if len(s2) < 2:
        return Prior(0.0, 0.0)
    e = np.log(s2) - digamma(d / 2) + np.log(d / 2)
    spread = float(e.var(ddof=1) - polygamma(1, d / 2).mean())
    if spread <= 0:
        return Prior(float(s2.mean()), math.inf)
    d0 = 2 * trigamma_inverse(spread)
    return Prior(float(np.exp(e.mean() + digamma(d0 / 2) - np.log(d0 / 2))), d0)


def trigamma_inverse(x: float) -> float:
    """The y with trigamma(y) = x, by Newton's method on 1 / trigamma, which is convex and nearly linear.

    >>> round(trigamma_inverse(1.6449340668482264), 6)
    1.0
    """
    from scipy.special import polygamma

    if x > 1e7:
        return float(1 / math.sqrt(x))
    if x < 1e-6:
        return float(1 / x)
    y = 0.5 + 1 / x
    for _ in range(50):
        t = float(polygamma(1, y))
        step = t * (1 - t / x) / float(polygamma(2, y))
        y += step
        if -step / y < 1e-8:
            break
    return y


def moderated(some: Sequence[Moments], most: float = 1.0) -> list[Moments]:
    """The same moments with shrunk standard deviations and their degrees of freedom; those of fewer than two
    values stay.

    most: the prior counts at most this many times a comparison's own degrees of freedom; limma has no limit.
    """
    sd, df = (np.array([getattr(m, name) for m in some], dtype=np.float64) for name in ("sd", "df"))
    said = prior(np.where(np.isfinite(sd), sd, 0.0) ** 2, np.where(np.isfinite(sd), df, 0.0))
    if not said.df:
        return list(some)
    pooled = float(df[np.isfinite(sd) & (sd > 0)].sum())
    return [_shrunk(m, said._replace(df=min(said.df, most * m.df)), pooled) if m.sd > 0 else m for m in some]


def _shrunk(m: Moments, said: Prior, pooled: float) -> Moments:
    share = 1.0 if math.isinf(said.df) else said.df / (said.df + m.df)
    variance = share * said.variance + (1 - share) * m.sd**2
    return Moments(m.mean, math.sqrt(variance), m.n, min(m.df + said.df, pooled))
