"""Lines thinned and averaged."""

from __future__ import annotations

import numpy as np
import pytest

from preheat.stats.averaging import thin


def test_thin_keeps_the_mean() -> None:
    x = np.arange(1000.0)
    a, b = thin(x, x**2)
    assert len(a) == 100 and b.mean() == pytest.approx((x**2).mean())
