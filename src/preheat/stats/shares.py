"""k of n, with its exact interval."""

from __future__ import annotations

from dataclasses import dataclass

from preheat.stats.estimates import ALPHA


@dataclass(frozen=True)
class Share:
    """k of n, with the two-sided 95 % interval of the true share; without limits for n = 0."""

    k: int
    n: int
    lo: float | None
    hi: float | None


def share(k: int, n: int, *, level: float = 1 - ALPHA) -> Share:
    """Clopper and Pearson 1934: the shares that k of n would not reject, one side at a time.

    >>> f"{share(0, 8).hi:.4f} {share(8, 8).lo:.4f}"
    '0.3694 0.6306'
    """
    if not 0 <= k <= n:
        raise ValueError(f"a share needs 0 <= k <= n, got {k} of {n}")
    if not n:
        return Share(k, n, None, None)
    from scipy.special import betaincinv

    tail = (1 - level) / 2
    lo = float(betaincinv(k, n - k + 1, tail)) if k else 0.0
    hi = float(betaincinv(k + 1, n - k, 1 - tail)) if k < n else 1.0
    return Share(k, n, lo, hi)
