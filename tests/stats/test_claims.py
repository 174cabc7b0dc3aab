"""One verdict for one claim, by one budget for each set of families; intervals that agree with them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import studentized_range, tukey_hsd

from preheat.stats.claims import (
    Claim,
    Judged,
    Spread,
    Verdict,
    budget,
    corrected,
    judge,
    mean_claim,
)
from preheat.stats.estimates import Estimate, Moments, holm, interval, moments, p_above

NOWHERE = ("", "", "")
MARGIN = 1.0
means = st.floats(-6, 6).filter(lambda v: abs(v) > 1e-3)
families = st.lists(
    st.tuples(means, st.floats(0.05, 3), st.integers(2, 20), st.sampled_from("abxy")), min_size=1, max_size=9
)


def claimed(values: Sequence[tuple[float, float, int, str]]) -> list[Claim]:
    return [
        mean_claim(f"{family}{i}", family, Moments(mean, sd, n), at=NOWHERE, margin=MARGIN)
        for i, (mean, sd, n, family) in enumerate(values)
    ]


def by_hand(pairs: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Shaffer's p of every null: the largest, over the p up to it, of p times the claims with a null still open."""
    every = sorted((p, i, kind) for i, pair in enumerate(pairs) for kind, p in enumerate(pair))
    steps = [p * len({i for _, i, _ in every[k:]}) for k, (p, _, _) in enumerate(every)]
    out = {key[1:]: min(1.0, max(steps[: k + 1])) for k, key in enumerate(every)}
    return [(out[i, 0], out[i, 1]) for i in range(len(pairs))]


@settings(max_examples=60, deadline=None)
@given(families)
def test_the_primary_families_share_one_budget_and_each_other_has_its_own(
    values: list[tuple[float, float, int, str]],
) -> None:
    claims = claimed(values)
    made = judge(claims, ("a", "b"))
    assert list(made) == [c.name for c in claims]
    for some in ("ab", "x", "y"):
        kept = [c for c in claims if c.family in some]
        for c, (p, q) in zip(kept, by_hand([(c.p or 0.0, c.p_same or 0.0) for c in kept]), strict=True):
            assert made[c.name].p == pytest.approx(p) and made[c.name].p_same == pytest.approx(q)
            assert made[c.name].primary is (some == "ab")


def test_one_kind_of_null_alone_is_corrected_as_by_holm() -> None:
    ps = [0.03, 0.001, None, 0.2, 0.015]
    assert [c.p for c, _ in corrected([(p, None) for p in ps], 0.05)] == holm(ps)


def test_both_kinds_of_error_together_keep_the_budget() -> None:
    """Two claims without an effect and with wide spreads, fourteen with effects as large as the margin: anything
    false, of either kind."""
    rng, wrong = np.random.default_rng(4), 0
    for _ in range(800):
        wide, large = rng.normal(0.0, 3.0, (2, 8)), rng.normal(MARGIN, 0.4, (14, 8))
        claims = [
            mean_claim(f"{i}", "a", moments(row), at=NOWHERE, margin=MARGIN)
            for i, row in enumerate([*wide, *large])
        ]
        made = list(judge(claims, ("a",)).values())
        wrong += any(v.differs for v in made[:2]) or any(v.verdict is Verdict.SAME for v in made[2:])
    assert 10 <= wrong <= 40 + 3 * 6.2  # 5 % are 40 of 800


@settings(max_examples=40, deadline=None)
@given(families)
def test_what_is_exploratory_changes_no_primary_verdict(values: list[tuple[float, float, int, str]]) -> None:
    claims = claimed(values)
    alone = [c for c in claims if c.family in "ab"]
    both, apart = judge(claims, ("a", "b")), judge(alone, ("a", "b"))
    assert {n: v for n, v in both.items() if v.primary} == apart


@settings(max_examples=100, deadline=None)
@given(families, st.sampled_from([0.05, 0.04, 0.008]))
def test_intervals_agree_with_verdicts(values: list[tuple[float, float, int, str]], alpha: float) -> None:
    for v in judge(claimed(values), ("a", "b"), alpha=alpha).values():
        _agrees(v)


def _agrees(v: Judged) -> None:
    e = v.effect
    assert e.lo is not None and e.hi is not None and v.p is not None and v.p_same is not None
    assert (v.verdict is Verdict.SAME) == (v.p_same < 0.05)
    if v.verdict is Verdict.SAME:
        assert -v.margin < e.lo <= e.hi < v.margin
        return
    assert (e.lo > 0 or e.hi < 0) == v.differs or math.isclose(v.p, 0.05, rel_tol=1e-6) or v.p == 1.0
    if v.differs:
        assert v.p < 0.05 and (e.mean > 0) == (v.verdict is Verdict.SUPPORTED)
        assert (e.lo > 0) if v.verdict is Verdict.SUPPORTED else (e.hi < 0)


def test_an_interval_ends_at_0_exactly_where_p_ends_at_alpha() -> None:
    m = Moments(1.0, 1.0, 8)
    p = 2 * (p_above(m) or 0.0)
    for others, name in ((0, "alone"), (3, "one of four")):
        claims = [mean_claim("0", "a", m, at=NOWHERE, margin=0.01)]
        claims += [
            mean_claim(f"{i + 1}", "a", Moments(0.0, 1.0, 8), at=NOWHERE, margin=0.01) for i in range(others)
        ]
        limit = p * (others + 1)
        for factor, decided in ((1 - 1e-9, False), (1 + 1e-9, True)):
            v = judge(claims, ("a",), alpha=limit * factor)["0"]
            assert v.effect.lo is not None and abs(v.effect.lo) < 1e-6, name
            assert v.differs is decided and (v.effect.lo > 0) is decided


def test_no_difference_of_this_size_exactly_where_the_corrected_interval_lies_within_the_margin() -> None:
    rng = np.random.default_rng(2)
    seen = set()
    for _ in range(200):
        sd, mean = rng.uniform(0.3, 3), rng.uniform(-1.2, 1.2)
        claims = [mean_claim(f"{i}", "a", Moments(mean, sd, 8), at=NOWHERE, margin=MARGIN) for i in range(4)]
        same = judge(claims, ("a",))["0"].verdict is Verdict.SAME
        e = interval(Moments(mean, sd, 8), 1 - 2 * 0.05 / 4)
        assert e.lo is not None and e.hi is not None and same == (e.lo > -MARGIN and e.hi < MARGIN)
        seen.add(same)
    assert seen == {True, False}


def test_all_looks_together_spend_less_than_alpha() -> None:
    for alpha in (0.05, 0.2):
        spent = list(itertools.accumulate(budget(k, alpha) for k in range(60)))
        assert all(a < b for a, b in itertools.pairwise(spent[:15])) and spent[0] > alpha / 2
        assert max(spent) <= alpha * (1 + 1e-12)


def test_false_claims_of_a_family_with_looks_are_as_few_as_stated() -> None:
    rng = np.random.default_rng(3)
    wrong = 0
    for _ in range(400):
        x = rng.standard_normal((6, 24))
        wrong += any(
            v.differs
            for k, n in enumerate((8, 16, 24))
            for v in judge(
                [
                    mean_claim(f"{i}", "a", moments(row[:n]), at=NOWHERE, margin=0.1)
                    for i, row in enumerate(x)
                ],
                ("a",),
                alpha=budget(k),
            ).values()
        )
    assert 4 <= wrong <= 34  # 5 % are 20 of 400, with a standard deviation of 4.4


def test_what_cant_be_tested_counts_for_nothing() -> None:
    good = mean_claim("0", "a", Moments(2.0, 1.0, 8), at=NOWHERE, margin=MARGIN)
    one, none = (mean_claim(f"{n}!", "a", moments([3.0] * n), at=NOWHERE, margin=MARGIN) for n in (1, 0))
    alone, beside = judge([good], ("a",)), judge([good, one, none], ("a",))
    assert beside["0"] == alone["0"] and beside["0"].verdict is Verdict.SUPPORTED
    assert [beside[n].verdict for n in ("1!", "0!")] == [Verdict.OPEN, Verdict.OPEN]
    assert beside["1!"].why.startswith("one seed") and beside["0!"].why == "no result yet"
    assert beside["1!"].effect == Estimate(3.0, None, None, 1)


def test_a_name_is_given_once() -> None:
    one = mean_claim("0", "a", Moments(2.0, 1.0, 8), at=NOWHERE, margin=MARGIN)
    with pytest.raises(AssertionError, match="its own"):
        judge([one, one], ("a",))


def test_a_spread_is_tukeys() -> None:
    x = np.random.default_rng(4).normal(size=(4, 12)) + np.array([[0.0], [0.3], [0.5], [1.4]])
    reference = tukey_hsd(*x)
    means_, n = x.mean(axis=1), x.shape[1]
    error = math.sqrt(float(x.var(axis=1, ddof=1).mean()) / n)
    one = Spread(float(np.ptp(means_)), error, 4, 4 * (n - 1), n)
    a, b = int(means_.argmax()), int(means_.argmin())
    assert one.p == pytest.approx(reference.pvalue[a, b], rel=1e-6)
    limits, e = reference.confidence_interval(0.95), one.within(0.95)
    assert (e.lo, e.hi) == pytest.approx((max(0.0, limits.low[a, b]), limits.high[a, b]), rel=1e-6)
    assert Spread(0.0, 0.0, 4, 44, 12).p == 1.0


@pytest.mark.parametrize(("k", "df"), [(2, 2), (3, 4), (5, 28), (13, 156)])
def test_the_range_of_means_is_scipys(k: int, df: int) -> None:
    for level in (0.95, 0.9998):
        q = float(studentized_range.ppf(level, k, df))
        one = Spread(q * 0.3, 0.3, k, df, 8)
        assert one.p == pytest.approx(1 - level, rel=1e-5)
        assert one.within(level).lo == pytest.approx(0.0, abs=1e-4 * q)


def test_an_effect_that_is_a_factor_has_the_limits_of_its_logarithm() -> None:
    m = Moments(1.0, 1.0, 9)
    made = mean_claim("x", "a", m, at=NOWHERE, margin=MARGIN)
    doubled = replace(made, effect=Estimate(2.0, None, None, 9), factor=True).within(0.95)
    assert doubled.mean == 2.0 and doubled.lo == pytest.approx(
        2 ** (interval(Moments(1.0, 1.0, 9)).lo or 0.0)
    )
