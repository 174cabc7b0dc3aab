"""Intervals, tests and corrections against scipy, tables and sums by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as reference

from preheat.stats.estimates import (
    holm,
    interval,
    moments,
    more_seeds,
    p_above,
    p_different,
    p_equivalent,
    range_quantile,
    rounding,
)

SAMPLE = np.array([0.011, 0.004, 0.013, 0.002, 0.007])


def test_t_interval_and_p_equal_scipy() -> None:
    m, e = moments(SAMPLE), interval(moments(SAMPLE))
    asked = reference.ttest_1samp(SAMPLE, 0.0)
    lo, hi = asked.confidence_interval(0.95)
    assert (e.lo, e.hi, p_different(m)) == pytest.approx((lo, hi, asked.pvalue), rel=1e-10)
    assert p_above(m) == pytest.approx(
        reference.ttest_1samp(SAMPLE, 0.0, alternative="greater").pvalue, rel=1e-10
    )


def test_equivalence_is_the_90_percent_interval_inside_the_margins() -> None:
    m = moments(SAMPLE)
    e = interval(m, 0.90)
    assert e.hi is not None
    assert p_equivalent(m, e.hi) == pytest.approx(0.05, abs=1e-12)
    two = max(
        reference.ttest_1samp(SAMPLE, -0.01, alternative="greater").pvalue,
        reference.ttest_1samp(SAMPLE, 0.01, alternative="less").pvalue,
    )
    assert p_equivalent(m, 0.01) == pytest.approx(two, rel=1e-10)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, None, 0.9]) == [1.0, None, 1.0]
    assert holm([]) == []


def test_range_quantile_is_tukeys() -> None:
    assert range_quantile(0.95, 5, 8) == pytest.approx(4.886, abs=1e-3)
    assert range_quantile(0.95, 2, 10) == pytest.approx(math.sqrt(2) * reference.t.ppf(0.975, 10), rel=1e-6)


def test_more_seeds_by_hand() -> None:
    m = moments([0.0, 0.02, 0.01])
    found = more_seeds(m, [(0.01, 0.025)])
    assert found is not None

    def enough(n: int) -> bool:
        return bool((reference.t.ppf(0.975, n - 1) + 0.8416) * m.sd / math.sqrt(n) < 0.01)

    assert enough(3 + found) and not enough(3 + found - 1)
    assert more_seeds(moments([0.0, 1.0]), [(1e-9, 0.025)]) == 999
    assert more_seeds(moments([1.0]), [(1.0, 0.025)]) == 4
    assert more_seeds(moments([1.0, 1.0]), [(1.0, 0.025)]) is None


def test_agreeing_seeds_are_not_certain() -> None:
    """Three equal differences of one step of the metric: the rounding alone could have made them."""
    step = 1 / 360
    p = p_different(moments([step] * 3, rounding(step, 2)))
    assert p is not None and p > 0.05
    assert p_different(moments([step] * 3)) == 1.0
