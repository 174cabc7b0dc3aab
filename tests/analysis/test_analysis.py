"""The analysis against closed forms, and on every kind of poor input."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from fake_results import RATES, blank, noisy, results
from scipy import stats as reference

from preheat.analysis.edges import bracket, edges, pooled
from preheat.analysis.effects import cells, effects
from preheat.analysis.findings import Estimate
from preheat.analysis.inside_edge import insides
from preheat.analysis.tabulate import tabulate
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
from preheat.studies.regimes.across_panels import _apart, _kernel, _pseudo
from preheat.studies.regimes.rules import held_out, interpolated, rules
from preheat.studies.regimes.surface import lines, surfaces
from preheat.studies.regimes.verdicts import judge

SAMPLE = np.array([0.011, 0.004, 0.013, 0.002, 0.007])


# Closed forms


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


@pytest.mark.parametrize(
    ("lo", "hi", "verdict"),
    [
        (0.001, 0.02, "supported"),
        (-0.02, 0.009, "contradicted"),
        (-0.02, 0.02, "not decided"),
        (None, None, "not decided"),
        (0, 0, "not decided"),
    ],
)
def test_verdicts(lo: float | None, hi: float | None, verdict: str) -> None:
    assert judge(Estimate(0.0, lo, hi, 3), 0.01) == verdict


def test_variance_between_warmups_is_free_of_the_seeds_noise() -> None:
    rng = np.random.default_rng(0)
    truth = np.array([0.0, 1.0, 2.0])
    x = truth[None, :, None] + 3.0 * rng.standard_normal((400, 3, 4))
    kernel = _kernel(x)
    assert _apart(kernel) == pytest.approx(1.0, abs=0.4)
    assert x.mean(axis=2).var(axis=1, ddof=1).mean() > 2.5
    assert _pseudo(kernel).mean() == pytest.approx(_apart(kernel))


# Choosing and judging


def test_the_nuisance_is_chosen_by_validation_on_the_first_seeds_only() -> None:
    validation, test = np.full((2, 5, 5, 4, 6), 0.5), noisy()
    validation[..., 1, :3] = 0.6
    validation[..., 2, 3:] = 0.9
    table = tabulate(results(validation, test))
    assert (table.chosen == 1).all()
    assert cells(table)[0].values == tuple(test[0, 0, 0, 1, 3:])
    assert cells(table)[0].chosen == {"peak_lr": "0.1"}


def test_diverged_and_missing_runs_count_as_the_worst_where_a_rate_is_chosen() -> None:
    validation = np.full((1, 1, 1, 3, 3), 0.5)
    validation[..., 1, :], validation[..., 2, :] = 0.9, 0.8
    outcome = np.full(validation.shape, "done")
    outcome = outcome.astype("U8")
    outcome[..., 1, 0] = "diverged"
    table = tabulate(results(validation, outcome=outcome))
    assert table.chosen.item() == 2
    outcome[..., 1, 0] = "missing"
    assert tabulate(results(validation, outcome=outcome)).chosen.item() == 2


def test_a_diverged_judging_run_scores_chance_and_a_missing_one_is_left_out() -> None:
    outcome = np.full((1, 1, 2, 1, 6), "done", dtype="U8")
    outcome[0, 0, 0, 0, 3], outcome[0, 0, 0, 0, 4] = "diverged", "missing"
    found = cells(tabulate(results(np.full(outcome.shape, 0.9), outcome=outcome)))[0]
    assert found.values == (0.1, 0.9)
    assert (found.diverged, found.runs) == (1, 5)


def test_ties_go_to_the_lower_rate() -> None:
    assert (blank((1, 1, 1, 4, 3)).chosen == 0).all()


def test_effects_are_paired_and_lower_is_better_for_a_loss() -> None:
    test = noisy((1, 1, 2, 1, 8), noise=0.2)
    test[0, 0, 1] = test[0, 0, 0] - 0.05 + noisy((1, 8), 1, 0.001) - 0.9
    table = tabulate(results(test))
    (effect,) = effects(table)
    assert (effect.verdict, effect.baseline, effect.treatment) == ("worse", "0ep", "1ep")
    differences = (test[0, 0, 1, 0] - test[0, 0, 0, 0])[3:]
    assert effect.estimate.mean == pytest.approx(differences.mean())
    (mirrored,) = effects(replace(table, study=replace(table.study, goal="min")))
    assert mirrored.verdict == "better"


# Edges


def test_bracket() -> None:
    values = np.array([1.0, 2.0, 4.0, 8.0])
    assert bracket(values, np.array([False, True, False, True])) == (1.5, 1.0, 0)
    assert bracket(values, np.array([False, False, False, False])) == (0.0, 1.0, -1)
    assert bracket(values, np.array([False, True, True, True])) == (3.0, 1.0, 1)


def test_edges_and_points_of_a_planted_study() -> None:
    score = np.where(np.arange(4)[:, None] <= np.array([1, 2])[:, None, None], 0.9, 0.1) * np.ones(
        (1, 1, 1, 1, 6)
    )
    base, moved = edges(tabulate(results(score + noisy(score.shape) - 0.9)))
    assert base.edge.mean == pytest.approx(math.sqrt(0.1 * 0.2)), "in the unit of the rate"
    assert base.edge.lo is not None and base.edge.hi is not None and 0.1 < base.edge.lo < base.edge.hi < 0.2
    assert moved.ratio is not None and moved.ratio.mean == pytest.approx(2.0)
    assert moved.ratio.lo is not None and 1 < moved.ratio.lo < 2, "the grid's step keeps the interval open"
    assert [(p.value, p.trained, p.runs) for p in moved.points] == [
        (0.05, 6, 6),
        (0.1, 6, 6),
        (0.2, 6, 6),
        (0.4, 0, 6),
    ]
    assert base.ratio is None and base.censored == 0


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


def test_pooled_edges_are_the_mean_over_conditions_and_a_family_of_their_own() -> None:
    """Two conditions: the second treatment's edge is one octave higher in one and unmoved in the other."""
    last = np.array([[1, 2, 1], [1, 1, 1]])[None, :, :, None, None]
    score = (
        np.where(np.arange(4)[:, None] <= last, 0.9, 0.1) * np.ones((1, 1, 1, 1, 6))
        + noisy((1, 2, 3, 4, 6))
        - 0.9
    )
    table = tabulate(results(score))
    up, still = pooled(table)
    assert (up.treatment, up.baseline, still.treatment) == ("1ep", "0ep", "5ep")
    assert up.ratio.mean == pytest.approx(math.sqrt(2.0)) and still.ratio.mean == pytest.approx(1.0)
    assert up.p_adjusted == pytest.approx(2 * (up.p or 0)), "two comparisons, whatever the single ones are"
    assert pooled(tabulate(results(score[..., :1, :], rates=(0.1,)))) == ()


# Surfaces and rules


def test_favourites_average_ties_and_slopes_are_least_squares() -> None:
    test = np.zeros((1, 5, 5, 1, 4))
    for c, best in enumerate((4, 3, 2, 1, 1)):
        test[0, c, best] = 1.0
    test[0, 0, 3] = 1.0
    (s,) = surfaces(tabulate(results(test, panels=("sgd",), rates=(0.1,))))
    assert s.labels == ("5", "10", "20", "50", "100")
    assert favourites(s)[:, 0].tolist() == [1, 1, 5, 10, 15]
    assert lines(s)[1][0] == pytest.approx(np.polyfit(np.log2([5, 10, 20, 50, 100]), [1, 1, 5, 10, 15], 1)[0])


def test_rules_are_judged_on_sizes_that_the_fit_has_not_seen() -> None:
    table = tabulate(results(noisy((1, 5, 5, 1, 8)), panels=("sgd",), rates=(0.1,)))
    (s,) = surfaces(table)
    picks, _ = held_out(s)
    changed = s.judged.copy()
    changed[2] = changed[2][::-1]
    assert held_out(replace(s, judged=changed))[0][2] == picks[2]
    assert interpolated(s, np.full(5, 3.0))[0] == pytest.approx((s.judged[0, 1] + s.judged[0, 2]) / 2)
    (rule,) = rules(table)
    assert [r.name for r in rule.scores] == ["fitted rule", "seed 0's rule", "always 5%", "no warmup"]
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
