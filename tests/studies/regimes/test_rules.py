"""The fitted rule and others on data sizes that they have not seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cases import sampled
from fake_results import blank, noisy, results
from simulated import simulated, slack

from preheat.analysis.table import Table
from preheat.analysis.tabulate import tabulate
from preheat.stats.claims import Judged, Verdict, judge
from preheat.stats.estimates import moments, p_different
from preheat.studies.regimes.rules import held_out, interpolated, rules
from preheat.studies.regimes.surface import surfaces


def test_rules_are_judged_on_sizes_that_the_fit_has_not_seen() -> None:
    table = tabulate(results(noisy((1, 5, 5, 1, 8)), panels=("sgd",), rates=(0.1,)))
    (s,) = surfaces(table)
    picks, _ = held_out(s)
    changed = s.validation.copy()
    changed[2] = changed[2][::-1]
    assert held_out(replace(s, validation=changed))[0][2] == picks[2]
    assert interpolated(s, np.full(5, 3.0))[0] == pytest.approx((s.judged[0, 1] + s.judged[0, 2]) / 2)
    (rule,), _ = rules(table)
    assert [r.name for r in rule.scores] == ["fitted rule", "the original rule", "always 5%", "no warmup"]
    assert rule.scores[2].picks == {"5": 5.0, "10": 5.0, "20": 5.0, "50": 5.0, "100": 5.0}


def test_a_good_rule_has_little_regret_and_a_bad_one_much() -> None:
    best = np.array([4, 3, 2, 1, 0])
    test = (
        noisy((1, 5, 5, 1, 8), noise=0.001)
        - 0.05 * np.abs(np.arange(5) - best[:, None])[None, ..., None, None]
    )
    (rule,), claims = rules(tabulate(results(test, panels=("sgd",), rates=(0.1,))))
    regret = {s.name: s.regret.mean for s in rule.scores}
    assert regret["fitted rule"] < 0.06 < regret["no warmup"]
    seen = judge(claims, ())
    assert seen["rules/sgd/fitted rule/always 5%"].verdict is Verdict.SUPPORTED
    assert seen["rules/sgd/fitted rule/the original rule"].verdict is Verdict.SUPPORTED
    assert seen["rules/sgd/no warmup/always 5%"].verdict is Verdict.OPPOSITE


def test_rules_are_compared_by_paired_differences_with_the_plain_one_and_the_originals() -> None:
    """By hand: per seed the mean over sizes of what a rule scores minus what the other does."""
    table = tabulate(results(noisy((1, 5, 5, 1, 8), 7), panels=("sgd",), rates=(0.1,)))
    (s,) = surfaces(table)
    (rule,), claims = rules(table)
    got = {r.name: interpolated(s, np.array([r.picks[label] for label in s.labels])) for r in rule.scores}
    assert got["no warmup"] == pytest.approx(s.judged[:, s.base])
    pairs = [(a, "always 5%") for a in got if a != "always 5%"] + [("fitted rule", "the original rule")]
    assert [c.name for c in claims] == [f"rules/sgd/{a}/{b}" for a, b in pairs]
    for claim, (a, b) in zip(claims, pairs, strict=True):
        m = moments((got[a] - got[b]).mean(axis=0))
        assert claim.effect.mean == pytest.approx(m.mean, abs=1e-4), "picks are told to four digits"
        assert claim.p == pytest.approx(p_different(m), abs=0.02) and claim.margin == table.study.margin
        assert claim.family == "rules" and claim.at == ("sgd", "", "") and len(claim.rests) == 25
        if b == "always 5%":
            assert next(r.gain for r in rule.scores if r.name == a) == claim.effect
    assert next(r.gain for r in rule.scores if r.name == "always 5%") is None


def test_rules_that_are_alike_are_rarely_said_to_differ() -> None:
    rng, table, n = np.random.default_rng(2), blank((4, 5, 5, 1, 8), panels=tuple("abcd")), sampled(100)
    wrong = [any(v.differs for v in judged(simulated(rng, table, own=0))) for _ in range(n)]
    assert np.mean(wrong) <= slack(0.05, n)


def test_rules_that_lose_more_than_the_margin_are_rarely_said_to_lose_less() -> None:
    """Truth: the warmup of 5 % gains a little more than the margin on none, at every size."""
    rng, table, n = np.random.default_rng(3), blank((4, 5, 5, 1, 8), panels=tuple("abcd")), sampled(100)
    truth = 0.9 + 0.0102 * (np.arange(5) == 2)[None, None, :, None, None]
    wrong = [
        any(
            v.verdict is Verdict.SAME and v.name.endswith("no warmup/always 5%")
            for v in judged(simulated(rng, table, truth, 0.003, own=0))
        )
        for _ in range(n)
    ]
    assert np.mean(wrong) <= slack(0.05, n)


def judged(table: Table) -> list[Judged]:
    return list(judge(rules(table)[1], ()).values())
