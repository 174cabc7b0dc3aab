"""Inside the edge: where the treatments are compared, and how wide their differences are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from cases import sampled
from fake_results import RATES, blank, noisy, results
from simulated import simulated, slack

from preheat.analysis.inside_edge import insides
from preheat.analysis.tabulate import tabulate


def test_inside_compares_at_half_of_the_highest_rate_where_all_trained() -> None:
    score = noisy()
    score[..., 3, :] = 0.1
    score[0, 0, 2, 2, 4] = 0.1
    score[0, 1, 2, 1, 4] = 0.1
    found = insides(tabulate(results(score)))
    assert [found[0].value, found[1].value, found[2].value] == [RATES[0], RATES[0], RATES[1]], (
        "the rate used is one where all trained"
    )
    alone = insides(tabulate(results(score[..., 1:, :], rates=RATES[1:])))
    assert alone[0].value == RATES[1], "no rate of this grid is at most half of the highest that trained"
    assert found[0].widest is not None and found[0].seed_sd == pytest.approx(0.01, rel=0.5)


def test_treatments_inside_the_edge_rarely_differ_by_chance_in_any_setting() -> None:
    rng, table, n = np.random.default_rng(4), blank((2, 5, 5, 1, 6)), sampled(200)
    wrong = [
        any(i.text == "the treatments differ" for i in insides(simulated(rng, table, own=0)))
        for _ in range(n)
    ]
    assert np.mean(wrong) <= slack(0.05, n)


def test_the_widest_difference_holds_the_true_range() -> None:
    rng = np.random.default_rng(10)
    table = blank((1, 5, 5, 1, 6), panels=("sgd",))
    truth = 0.9 + np.array([0.0, 0.0, 0.004, 0.0, 0.008])[None, None, :, None, None]
    inside = [i.widest for _ in range(60) for i in insides(simulated(rng, table, truth, 0.005))]
    held = [w.lo <= 0.008 <= w.hi for w in inside if w is not None and w.lo is not None and w.hi is not None]
    assert len(held) == 300 and np.mean(held) >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / 300)
    equal = [i.equivalent for _ in range(20) for i in insides(simulated(rng, table, noise=0.0005))]
    assert np.mean(equal) > 0.9
