"""k of n, with its exact interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

from preheat.stats.estimates import ALPHA, Estimate


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


@dataclass(frozen=True)
class Counted:
    """That something holds in more than half: it does in k of n."""

    k: int
    n: int

    def within(self, level: float) -> Estimate:
        """The share in points above 50 %, with its exact interval.

        >>> found = Counted(10, 10).within(0.95)
        >>> found.mean, round(found.lo, 1), found.hi
        (50.0, 19.2, 50.0)
        """
        found = share(self.k, self.n, level=level)
        mean = 100 * self.k / self.n - 50 if self.n else math.nan
        lo, hi = (None if end is None else 100 * end - 50 for end in (found.lo, found.hi))
        return Estimate(mean, lo, hi, self.n)

    @property
    def p(self) -> float:
        """The exact two-sided sign test of "it is half"; 1 where nothing was counted.

        >>> round(Counted(10, 10).p, 4), Counted(2, 4).p
        (0.002, 1.0)
        """
        tail = sum(math.comb(self.n, i) for i in range(min(self.k, self.n - self.k) + 1))
        return min(1.0, 2.0 * tail / float(2**self.n))
