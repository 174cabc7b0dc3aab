"""Inside the edge: where the treatments are compared, and how wide their differences are."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from cases import sampled
from fake_results import RATES, blank, noisy, results
from scipy.stats import studentized_range
from simulated import simulated, slack

from preheat.analysis.inside_edge import insides
from preheat.analysis.table import Table
from preheat.analysis.tabulate import tabulate
from preheat.stats.claims import Verdict, judge
from preheat.stats.estimates import holm


def verdicts(table: Table) -> list[Verdict]:
    return [v.verdict for v in judge(insides(table)[1], ()).values()]


def test_inside_compares_at_half_of_the_highest_rate_where_all_trained() -> None:
    score = noisy()
    score[..., 3, :] = 0.1
    score[0, 0, 2, 2, 4] = 0.1
    score[0, 1, 2, 1, 4] = 0.1
    found, claims = insides(tabulate(results(score)))
    assert [found[0].value, found[1].value, found[2].value] == [RATES[0], RATES[0], RATES[1]], (
        "the rate used is one where all trained"
    )
    assert all(i.well for i in found) and len(claims) == len(found)
    alone, _ = insides(tabulate(results(score[..., 1:, :], rates=RATES[1:])))
    assert alone[0].value == RATES[1] and not alone[0].well, (
        "no rate of this grid is at most half of the highest that trained"
    )
    assert found[0].widest is not None and found[0].seed_sd == pytest.approx(0.01, rel=0.5)
    lost, none = insides(tabulate(results(np.full((1, 1, 2, 2, 3), 0.1))))
    assert lost[0].value is None and lost[0].widest is None and not none, "nothing trained anywhere"


def test_the_claim_is_tukeys_with_the_widest_pairs_error() -> None:
    x = noisy((1, 1, 4, 2, 6), 3)
    table = tabulate(results(x, rates=(0.1, 0.2)))
    (inside,), (claim,) = insides(table)
    at = x[0, 0, :, 0]
    df, error = 5, max(np.std(a - b, ddof=1) for a in at for b in at) / math.sqrt(2 * 6)
    wide = float(np.ptp(at.mean(axis=1)))
    assert inside.value == 0.1 and claim.effect.mean == pytest.approx(wide)
    assert claim.p == pytest.approx(studentized_range.sf(wide / error, 4, df), rel=1e-6)
    half = studentized_range.ppf(0.95, 4, df) * error
    assert (claim.effect.lo, claim.effect.hi) == pytest.approx((max(0.0, wide - half), wide + half), rel=1e-6)
    assert claim.family == "inside" and claim.rests == tuple(
        ("sgd", "100", w) for w in ("0ep", "1ep", "5ep", "10ep")
    )
    _, (same,) = insides(replace(table, study=replace(table.study, goal="min")))
    assert same.p == claim.p and same.effect == claim.effect, "which one is better is not claimed"


def test_treatments_inside_the_edge_rarely_differ_by_chance_in_any_setting() -> None:
    rng, table, n = np.random.default_rng(4), blank((2, 5, 5, 1, 6)), sampled(200)
    ps = [holm([c.p for c in insides(simulated(rng, table, own=0))[1]]) for _ in range(n)]
    wrong = [any(p is not None and p < 0.05 for p in one) for one in ps]
    assert np.mean(wrong) <= slack(0.05, n)


def test_the_widest_difference_holds_the_true_range() -> None:
    rng = np.random.default_rng(10)
    table = blank((1, 5, 5, 1, 6), panels=("sgd",))
    truth = 0.9 + np.array([0.0, 0.0, 0.004, 0.0, 0.008])[None, None, :, None, None]
    inside = [i.widest for _ in range(60) for i in insides(simulated(rng, table, truth, 0.005))[0]]
    held = [w.lo <= 0.008 <= w.hi for w in inside if w is not None and w.lo is not None and w.hi is not None]
    assert len(held) == 300 and np.mean(held) >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / 300)
    equal = [v for _ in range(20) for v in verdicts(simulated(rng, table, noise=0.0005))]
    assert np.mean([v is Verdict.SAME for v in equal]) > 0.9
    apart = 0.9 + np.array([0.0, 0.0, 0.0, 0.0, 0.0102])[None, None, :, None, None]
    wrong = [Verdict.SAME in verdicts(simulated(rng, table, apart, 0.003)) for _ in range(sampled(120))]
    assert np.mean(wrong) <= slack(0.05, len(wrong)), "a difference beyond the margin is not called none"


@pytest.mark.parametrize(
    "noise", [(1.5, 0.2, 0.2, 0.2, 0.2), (0.2, 0.2, 0.2, 0.2, 0.2), (0.6, 0.1, 0.6, 0.1, 0.1)]
)
@pytest.mark.parametrize(("far", "wrong"), [(0.0, "supported"), (0.01001, "no difference of this size")])
def test_unequal_spreads_bring_no_false_verdict(noise: tuple[float, ...], far: float, wrong: str) -> None:
    """One treatment apart by nothing, or by the margin: the first one, or one that varies little."""
    rng, n = np.random.default_rng(7), sampled(200)
    table = blank((1, 2, 5, 1, 8), panels=("sgd",), sizes=(50, 5))
    for apart in (0, 1):
        truth = 0.9 + far * (np.arange(5) == apart)[:, None, None]
        spread = 0.01 * np.array(noise)[:, None, None]
        seen = [verdicts(simulated(rng, table, truth, spread)) for _ in range(n // 2)]
        assert np.mean([wrong in some for some in seen]) <= slack(0.05, n // 2)


def test_no_difference_is_said_only_where_the_interval_lies_within_the_margin() -> None:
    rng, table = np.random.default_rng(12), blank((1, 5, 5, 1, 8), panels=("sgd",))
    said = 0
    for noise in np.linspace(0.001, 0.012, 30):
        truth = 0.9 + 0.006 * rng.random((5, 1, 1))
        for v in judge(insides(simulated(rng, table, truth, noise))[1], ()).values():
            if v.verdict is Verdict.SAME:
                said += 1
                assert v.effect.hi is not None and v.effect.hi <= v.margin
    assert said > 10
