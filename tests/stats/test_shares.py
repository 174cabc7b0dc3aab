"""Shares against scipy's exact interval."""

from __future__ import annotations

import pytest
from scipy.stats import binom, binomtest

from preheat.stats.shares import Share, share


@pytest.mark.parametrize("n", [1, 2, 7, 40, 400])
@pytest.mark.parametrize("level", [0.8, 0.95, 0.999])
def test_limits_are_scipys(n: int, level: float) -> None:
    for k in {0, 1, n // 3, n - 1, n}:
        made, reference = share(k, n, level=level), binomtest(k, n).proportion_ci(level, method="exact")
        assert (made.lo, made.hi) == pytest.approx((reference.low, reference.high), rel=1e-9, abs=1e-12)


def test_no_true_share_is_missed_more_often_than_stated() -> None:
    n, limits = 12, [share(k, 12) for k in range(13)]
    for step in range(1, 40):
        p = step / 40
        held = [
            k for k, s in enumerate(limits) if s.lo is not None and s.hi is not None and s.lo <= p <= s.hi
        ]
        assert binom.pmf(held, n, p).sum() >= 0.95


def test_of_none_nothing_is_known() -> None:
    assert share(0, 0) == Share(0, 0, None, None)
    with pytest.raises(ValueError, match="got 5 of 4"):
        share(5, 4)
