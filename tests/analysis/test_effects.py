"""Effects and best sets: paired, signed, and over many simulated studies as rarely wrong as they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cases import sampled
from fake_results import blank, noisy, results
from simulated import helped, null_studies, simulated, slack

from preheat.analysis.effects import best_sets, effects
from preheat.analysis.table import Table
from preheat.analysis.tabulate import tabulate
from preheat.stats.estimates import moments, p_different


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


def test_no_effect_gives_few_claims_in_a_whole_study() -> None:
    wrong = [any(e.verdict in ("better", "worse") for e in effects(t)) for t in null_studies()]
    assert np.mean(wrong) <= slack(0.05, len(wrong))


def test_choosing_and_reporting_on_the_same_seeds_would_claim_too_much() -> None:
    """The winner's curse: the best of five warmups tested on the seeds that chose it. This is what must not
    be done."""

    def naive(table: Table) -> list[bool]:
        x = table.test[..., 0, :].reshape(10, 5, 8)
        tops = x.mean(axis=-1).argmax(axis=1)
        return [top > 0 and p_different(moments(x[i, top] - x[i, 0])) < 0.05 for i, top in enumerate(tops)]  # type: ignore[operator]

    claims = np.array([naive(t) for t in null_studies()])
    assert claims.mean() > slack(0.05, claims.size)
    assert claims.any(axis=1).mean() > 5 * 0.05


def test_a_planted_effect_is_found_and_its_warmup_kept() -> None:
    rng = np.random.default_rng(4)
    table, truth = blank(), helped(0.06)
    found = [simulated(rng, table, truth) for _ in range(sampled(120))]
    large = [simulated(rng, table, helped(0.12)) for _ in range(sampled(60))]
    best = [next(b for b in best_sets(t) if b.panel == "sgd" and b.condition == "20").members for t in large]
    assert all("5ep" in members for members in best)
    assert np.mean(["0ep" not in members for members in best]) > 0.9
    seen = [
        next(e for e in effects(t) if (e.panel, e.condition, e.treatment) == ("sgd", "20", "5ep")).verdict
        for t in found
    ]
    assert np.mean([v == "better" for v in seen]) > 0.5


@pytest.mark.parametrize("judging", [3, 5])
def test_the_best_stays_in_the_set(judging: int) -> None:
    """The hardest case: all are equal, so each is a best one. At most 5 % of reports drop any from any of
    their ten sets."""
    rng = np.random.default_rng(6)
    table = blank((2, 5, 5, 1, 3 + judging))
    dropped = [any(len(b.members) < 5 for b in best_sets(simulated(rng, table))) for _ in range(sampled(200))]
    assert np.mean(dropped) <= slack(0.05, len(dropped))


def test_equivalence_is_found_where_it_holds_and_rarely_where_it_does_not() -> None:
    rng = np.random.default_rng(7)
    table = blank((1, 2, 2, 1, 8), panels=("sgd",), sizes=(50, 5), warmups=(0, 5))
    quiet = [e.verdict for _ in range(100) for e in effects(simulated(rng, table, noise=0.001))]
    assert np.mean([v == "equivalent" for v in quiet]) > 0.9
    apart = 0.9 + np.array([0.0, 0.0101])[None, None, :, None, None]
    wrong = [
        any(e.verdict == "equivalent" for e in effects(simulated(rng, table, apart, 0.002)))
        for _ in range(sampled(200))
    ]
    assert np.mean(wrong) <= slack(0.05, len(wrong))


def test_bad_treatments_are_dropped_and_no_set_loses_its_best() -> None:
    rng, truth = np.random.default_rng(1), np.full((2, 5, 5, 1, 1), 0.9)
    truth[:, :, :2] = 0.6
    reports = [best_sets(simulated(rng, blank(), truth, own=0)) for _ in range(sampled(100))]
    assert np.mean([not {"0ep", "1ep"} & set(b.members) for found in reports for b in found]) > 0.9
    lost = [any(not {"5ep", "10ep", "20ep"} <= set(b.members) for b in found) for found in reports]
    assert np.mean(lost) <= slack(0.05, len(lost)), "in a whole report"
