"""The fitted rule and others on data sizes that they have not seen."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from cases import sampled
from fake_results import blank, noisy, results
from simulated import simulated, slack

from preheat.analysis.tabulate import tabulate
from preheat.studies.regimes.rules import held_out, interpolated, rules
from preheat.studies.regimes.surface import surfaces


def test_rules_are_judged_on_sizes_that_the_fit_has_not_seen() -> None:
    table = tabulate(results(noisy((1, 5, 5, 1, 8)), panels=("sgd",), rates=(0.1,)))
    (s,) = surfaces(table)
    picks, _ = held_out(s)
    changed = s.judged.copy()
    changed[2] = changed[2][::-1]
    assert held_out(replace(s, judged=changed))[0][2] == picks[2]
    assert interpolated(s, np.full(5, 3.0))[0] == pytest.approx((s.judged[0, 1] + s.judged[0, 2]) / 2)
    (rule,) = rules(table)
    assert [r.name for r in rule.scores] == ["fitted rule", "the original rule", "always 5%", "no warmup"]
    assert rule.scores[2].picks == {"5": 5.0, "10": 5.0, "20": 5.0, "50": 5.0, "100": 5.0}


def test_a_good_rule_has_little_regret_and_a_bad_one_much() -> None:
    best = np.array([4, 3, 2, 1, 0])
    test = (
        noisy((1, 5, 5, 1, 8), noise=0.001)
        - 0.05 * np.abs(np.arange(5) - best[:, None])[None, ..., None, None]
    )
    (rule,) = rules(tabulate(results(test, panels=("sgd",), rates=(0.1,))))
    regret = {s.name: s.regret.mean for s in rule.scores}
    assert regret["fitted rule"] < 0.06 < regret["no warmup"]


def test_changes_that_are_not_there_are_rarely_sure_in_any_panel() -> None:
    rng, table, n = np.random.default_rng(2), blank((6, 5, 5, 1, 8), panels=tuple("abcdef")), sampled(200)
    wrong = [
        any("the change is sure" in r.text for r in rules(simulated(rng, table, own=0))) for _ in range(n)
    ]
    assert np.mean(wrong) <= slack(0.05, n)
    best = 0.9 - 0.05 * np.abs(np.arange(5) - np.arange(5)[::-1][:, None])[None, ..., None, None]
    told = [r.text for _ in range(5) for r in rules(simulated(rng, table, best, own=0))]
    assert np.mean(["the change is sure" in t for t in told]) > 0.9


def test_rules_that_lose_more_than_the_margin_are_rarely_shown_to_lose_less() -> None:
    """Truth: every warmup but the longest loses a little more than the margin, so no warmup and 5 % of the
    run do too."""
    rng, table, n = np.random.default_rng(3), blank((4, 5, 5, 1, 8), panels=tuple("abcd")), sampled(200)
    truth = 0.9 - 0.0102 * (np.arange(5) < 4)[None, None, :, None, None]
    losing = re.compile(r"these are shown to lose.*(always 5%|no warmup|the original rule)")
    wrong = [
        any(losing.search(r.text) for r in rules(simulated(rng, table, truth, 0.003, own=0)))
        for _ in range(n)
    ]
    assert np.mean(wrong) <= slack(0.05, n)
