"""False claims and found effects over many simulated studies, where the truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from fake_results import blank, filled

from preheat.analysis.edges import edges, pooled
from preheat.analysis.effects import best_sets, effects
from preheat.analysis.inside_edge import insides
from preheat.analysis.table import Table
from preheat.stats.estimates import moments, p_different
from preheat.studies.regimes.hypotheses import hypotheses

STUDIES = 250
NOISE = 0.01
GRAIN = 1 / 360


def slack(rate: float, n: int) -> float:
    """The rate and three standard deviations of a binomial share."""
    return rate + 3 * math.sqrt(rate * (1 - rate) / n)


def drawn(
    rng: np.random.Generator, table: Table, truth: float | np.ndarray = 0.9, noise: float | np.ndarray = NOISE
) -> Table:
    """A study: truth [P, C, T, V, 1] + a seed's own level + noise, rounded as an accuracy on 360 examples
    is."""
    shape = table.state.shape
    level = 0.01 * rng.standard_normal((shape[0], shape[1], 1, 1, shape[4]))
    scores = [
        np.round((truth + level + noise * rng.standard_normal(shape)) / GRAIN) * GRAIN for _ in range(2)
    ]
    return filled(table, *scores)


def study_of(peak: float) -> np.ndarray:
    """[P, C, T, V, 1]: warmup helps SGD by `peak` at the middle size, best at 5 epochs; AdamW not at all."""
    gain = peak * np.outer([0, 0.5, 1, 0.5, 0], [0, 0.5, 1, 0.5, 0.2])
    return 0.9 + np.stack([gain, np.zeros((5, 5))])[..., None, None]


@pytest.fixture(scope="module")
def null() -> list[Table]:
    rng = np.random.default_rng(1)
    table = blank((2, 5, 5, 3, 8))
    return [drawn(rng, table) for _ in range(STUDIES)]


def test_no_effect_gives_few_claims_in_a_whole_study(null: list[Table]) -> None:
    wrong = [any(e.verdict in ("better", "worse") for e in effects(t)) for t in null]
    assert np.mean(wrong) <= slack(0.05, STUDIES)


def test_choosing_and_reporting_on_the_same_seeds_would_claim_too_much(null: list[Table]) -> None:
    """The winner's curse: the best of five warmups tested on the seeds that chose it. This is what must not
    be done."""

    def naive(table: Table) -> list[bool]:
        x = table.test[..., 0, :].reshape(10, 5, 8)
        tops = x.mean(axis=-1).argmax(axis=1)
        return [top > 0 and p_different(moments(x[i, top] - x[i, 0])) < 0.05 for i, top in enumerate(tops)]  # type: ignore[operator]

    claims = np.array([naive(t) for t in null])
    assert claims.mean() > slack(0.05, claims.size)
    assert claims.any(axis=1).mean() > 5 * 0.05


@pytest.mark.parametrize("code", ["H1", "H2", "H4"])
def test_no_effect_rarely_supports_a_hypothesis(null: list[Table], code: str) -> None:
    found = [h.verdict for t in null[:200] for h in hypotheses(t) if h.code == code]
    assert len(found) == 200
    assert np.mean([v == "supported" for v in found]) <= slack(0.05, len(found))


def test_the_same_sensitivity_rarely_supports_h4() -> None:
    rng = np.random.default_rng(2)
    table, truth = blank(), study_of(0.05)
    truth[1] = truth[0]
    found = [hypotheses(drawn(rng, table, truth))[3].verdict for _ in range(200)]
    assert np.mean([v == "supported" for v in found]) <= slack(0.05, 200)


@pytest.mark.parametrize("seeds", [6, 8])
def test_unrelated_tasks_rarely_support_h3(seeds: int) -> None:
    from fake_results import results, study

    from preheat.analysis.table import tabulate

    of = study(seeds=seeds, scientific=("task.examples_per_class", "schedule.warmup", "task.name"))
    table = tabulate(results(np.zeros((2, 5, 5, 1, seeds)), of=of, tasks=("digits", "other"), rates=(0.1,)))
    rng = np.random.default_rng(3)
    found = [hypotheses(drawn(rng, table))[2] for _ in range(200)]
    assert np.mean([h.verdict == "supported" for h in found]) <= slack(0.05, 200)
    shared = 0.9 + 0.05 * np.random.default_rng(0).random((1, 5, 5, 1, 1)).repeat(2, axis=0)
    assert np.mean([hypotheses(drawn(rng, table, shared))[2].verdict == "supported" for _ in range(40)]) > 0.9


def test_a_planted_effect_is_found_and_its_warmup_kept() -> None:
    rng = np.random.default_rng(4)
    table, truth = blank(), study_of(0.06)
    found = [drawn(rng, table, truth) for _ in range(120)]
    large = [drawn(rng, table, study_of(0.12)) for _ in range(60)]
    best = [next(b for b in best_sets(t) if b.panel == "sgd" and b.condition == "20").members for t in large]
    assert all("5ep" in members for members in best)
    assert np.mean(["0ep" not in members for members in best]) > 0.9
    seen = [
        next(e for e in effects(t) if (e.panel, e.condition, e.treatment) == ("sgd", "20", "5ep")).verdict
        for t in found
    ]
    assert np.mean([v == "better" for v in seen]) > 0.5
    verdicts = np.array([[h.verdict == "supported" for h in hypotheses(t)] for t in found])
    assert verdicts[:, 0].mean() > 0.8
    assert verdicts[:, 3].mean() > 0.8


def test_a_planted_slope_is_found_and_its_opposite_contradicted() -> None:
    rng = np.random.default_rng(5)
    best = np.array([4, 3, 2, 1, 0])
    truth = 0.9 - 0.05 * np.abs(np.arange(5) - best[:, None])[None, ..., None, None] * np.ones(
        (2, 1, 1, 1, 1)
    )
    table = blank()
    up = [hypotheses(drawn(rng, table, truth))[1].verdict for _ in range(40)]
    down = [hypotheses(drawn(rng, table, truth[:, ::-1]))[1].verdict for _ in range(40)]
    assert np.mean([v == "supported" for v in up]) > 0.9
    assert np.mean([v == "contradicted" for v in down]) > 0.9


def test_what_is_just_large_enough_is_rarely_contradicted() -> None:
    """H1 with a lead of a little more than the margin, H4 with a variance of a little more than its
    square."""
    rng = np.random.default_rng(11)
    table, pattern = blank(), np.random.default_rng(0).standard_normal((5, 5))
    pattern -= pattern.mean(axis=1, keepdims=True)
    pattern *= math.sqrt(1.05e-4 / float(pattern.var(axis=1, ddof=1).mean()))
    spread = 0.9 + np.stack([pattern, np.zeros((5, 5))])[..., None, None]
    found = [
        (
            hypotheses(drawn(rng, table, study_of(0.0105), 0.004))[0].verdict,
            hypotheses(drawn(rng, table, spread))[3].verdict,
        )
        for _ in range(100)
    ]
    assert np.mean([h1 == "contradicted" for h1, _ in found]) <= slack(0.05, 100)
    assert np.mean([h4 == "contradicted" for _, h4 in found]) <= slack(0.05, 100)


@pytest.mark.parametrize("judging", [3, 5])
def test_the_best_stays_in_the_set(judging: int) -> None:
    """The hardest case: all are equal, so each is a best one. At most 5 % of reports drop any from any of
    their ten sets."""
    rng = np.random.default_rng(6)
    table = blank((2, 5, 5, 1, 3 + judging))
    dropped = [any(len(b.members) < 5 for b in best_sets(drawn(rng, table))) for _ in range(200)]
    assert np.mean(dropped) <= slack(0.05, 200)


def test_equivalence_is_found_where_it_holds_and_rarely_where_it_does_not() -> None:
    rng = np.random.default_rng(7)
    table = blank((1, 2, 2, 1, 8), panels=("sgd",), sizes=(50, 5), warmups=(0, 5))
    quiet = [e.verdict for _ in range(100) for e in effects(drawn(rng, table, noise=0.001))]
    assert np.mean([v == "equivalent" for v in quiet]) > 0.9
    apart = 0.9 + np.array([0.0, 0.0101])[None, None, :, None, None]
    wrong = [
        any(e.verdict == "equivalent" for e in effects(drawn(rng, table, apart, 0.002))) for _ in range(200)
    ]
    assert np.mean(wrong) <= slack(0.05, 200)


def edge_study(rng: np.random.Generator, table: Table, shift: float) -> Table:
    """Edges near 2**-3.2, moved by `shift` octaves per treatment step; below it accuracy 0.9, above it
    0.1."""
    shape = table.state.shape
    log2 = (
        -3.2
        + 0.4 * rng.standard_normal((*shape[:3], 1, shape[4]))
        + shift * np.arange(shape[2])[None, None, :, None, None]
    )
    trains = np.log2(np.array(table.numeric))[None, None, None, :, None] < log2
    scores = np.where(trains, 0.9, 0.1) + NOISE * rng.standard_normal(shape)
    return filled(table, scores, scores)


def test_edges_that_do_not_move_are_rarely_said_to() -> None:
    rng = np.random.default_rng(8)
    rates = tuple(2.0 ** np.arange(-6, 1, 0.5))
    table = blank((1, 2, 5, len(rates), 6), panels=("sgd",), sizes=(50, 5), rates=rates)
    drawn_ = [edge_study(rng, table, 0.0) for _ in range(100)]
    wrong = [any((e.p_adjusted or 1) < 0.05 for e in edges(t) if e.ratio) for t in drawn_]
    assert np.mean(wrong) <= slack(0.05, 100)
    assert np.mean([any((p.p_adjusted or 1) < 0.05 for p in pooled(t)) for t in drawn_]) <= slack(0.05, 100)
    moved = [pooled(edge_study(rng, table, 0.3)) for _ in range(40)]
    assert np.mean([(p[-1].p_adjusted or 1) < 0.05 for p in moved]) > 0.9


def test_planted_edges_are_recovered() -> None:
    rng = np.random.default_rng(9)
    rates = tuple(2.0 ** np.arange(-6, 1, 0.5))
    table = blank((1, 2, 5, len(rates), 6), panels=("sgd",), sizes=(50, 5), rates=rates)
    cover, means = [], []
    for _ in range(60):
        for e in edges(edge_study(rng, table, 0.5)):
            if e.treatment == "5ep" and e.ratio and e.ratio.lo is not None and e.ratio.hi is not None:
                cover.append(e.ratio.lo <= 2.0 <= e.ratio.hi)
                means.append(math.log2(e.ratio.mean))
    assert np.mean(cover) >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / len(cover))
    assert abs(np.mean(means) - 1.0) < 0.05


def test_the_widest_difference_holds_the_true_range() -> None:
    rng = np.random.default_rng(10)
    table = blank((1, 5, 5, 1, 6), panels=("sgd",))
    truth = 0.9 + np.array([0.0, 0.0, 0.004, 0.0, 0.008])[None, None, :, None, None]
    inside = [i.widest for _ in range(60) for i in insides(drawn(rng, table, truth, 0.005))]
    held = [w.lo <= 0.008 <= w.hi for w in inside if w is not None and w.lo is not None and w.hi is not None]
    assert len(held) == 300 and np.mean(held) >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / 300)
    equal = [i.equivalent for _ in range(20) for i in insides(drawn(rng, table, noise=0.0005))]
    assert np.mean(equal) > 0.9
