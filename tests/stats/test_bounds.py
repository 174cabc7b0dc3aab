"""What is censored in many seeds is a bound, and a sum of such parts with either sign too."""

from __future__ import annotations

import math

import numpy as np
import pytest

from preheat.stats.bounds import (
    Bounded,
    Parts,
    combined,
    contrast_weights,
    dependence,
    mean_weights,
    slope_weights,
)
from preheat.stats.estimates import Moments, p_different


def test_a_bound_has_a_p_only_where_the_truth_lies_farther_out() -> None:
    sharp, hidden = Bounded(Moments(1.0, 1.0, 8), 0.0, 0.0), Bounded(Moments(-1.0, 1.0, 8), 1.0, 0.0)
    assert hidden.p is None and sharp.p == p_different(sharp.moments)
    away = Bounded(Moments(1.0, 1.0, 8), 1.0, 0.0)
    assert away.p == sharp.p and away.estimate.hi is None, "the truth is farther from 0 still"


def test_a_bound_turns_round_at_a_negative_weight() -> None:
    x = np.array([0.0, 1.0, 2.0])
    values = np.tile(np.array([2.0, 1.0, 0.0])[:, None], (1, 8))
    no, yes = np.zeros((3, 8), dtype=bool), np.zeros((3, 8), dtype=bool)
    yes[0] = True
    parts = Parts(values, np.full((3, 8), 0.25), yes, no)
    slope = combined(parts, slope_weights(parts, x))
    assert slope.moments.mean == pytest.approx(-1.0) and slope.bound == "at most", (
        "the first value may be higher still"
    )
    assert combined(parts, mean_weights(parts)).bound == "at least"
    assert combined(parts, contrast_weights(parts, 1)).bound == "at most"
    assert dependence(parts, x)[1] is not None and dependence(parts, x)[1] < 0.01  # type: ignore[operator]
    turned = Parts(values[::-1], parts.squares, yes, no)
    assert dependence(turned, x)[1] == 1.0, "a slope that censoring alone could have made is not tested"


def test_slopes_and_contrasts_by_hand() -> None:
    rng = np.random.default_rng(0)
    values, x = rng.standard_normal((4, 6)), np.array([0.0, 1.0, 3.0, 4.0])
    values[2, 0] = values[0, 1] = math.nan
    none = np.zeros((4, 6), dtype=bool)
    parts = Parts(values, np.zeros((4, 6)), none, none)
    kept = [np.isfinite(values[:, s]) for s in range(6)]
    by_hand = [np.polyfit(x[k], values[k, s], 1)[0] for s, k in enumerate(kept)]
    assert combined(parts, slope_weights(parts, x)).moments.mean == pytest.approx(np.mean(by_hand))
    contrast = [values[3, s] - np.nanmean(values[:3, s]) for s in range(6)]
    assert combined(parts, contrast_weights(parts, 3)).moments.mean == pytest.approx(np.mean(contrast))
