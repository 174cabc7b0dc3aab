"""Hypotheses that compare panels: H3 between tasks, H4 between optimizers."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from cases import sampled
from fake_results import blank, filled, results, study
from simulated import RATES, moved, scores, simulated, slack

from preheat.analysis.seed_edges import seed_edges
from preheat.analysis.table import Table
from preheat.analysis.tabulate import tabulate
from preheat.analysis.training import trained
from preheat.stats.claims import Claim, Verdict, judge
from preheat.stats.estimates import interval, moments, p_different, p_equivalent
from preheat.studies.regimes.across_panels import _correlation, matched
from preheat.studies.regimes.hypotheses import OPPOSITES, STATEMENTS, hypotheses
from preheat.studies.regimes.surface import surfaces


def told(table: Table, code: str) -> tuple[Claim, str]:
    """A hypothesis' claim, and its text."""
    return next((t.claim, t.hypothesis.text) for t in hypotheses(table) if t.hypothesis.code == code)


def verdict(table: Table, code: str) -> Verdict:
    claim, _ = told(table, code)
    return judge([claim], ())[claim.name].verdict


# H3: between tasks


@cache
def two_tasks(seeds: int) -> Table:
    of = study(
        seeds=seeds, scientific=("task.examples_per_class", "schedule.warmup", "task.name"), nuisance=()
    )
    shape = (2, 5, 5, 1, seeds)
    return tabulate(results(np.zeros(shape), of=of, tasks=("digits", "other"), rates=(0.1,)))


PATTERN = 0.05 * np.random.default_rng(0).random((1, 5, 5, 1, 1))


@pytest.mark.parametrize("seeds", [6, 8])
def test_unrelated_tasks_rarely_support_h3_and_a_shared_pattern_does(seeds: int) -> None:
    rng, table = np.random.default_rng(3), two_tasks(seeds)
    found = [verdict(simulated(rng, table), "H3") for _ in range(sampled(100))]
    assert np.mean([v is Verdict.SUPPORTED for v in found]) <= slack(0.05, len(found))
    assert not {Verdict.SAME, Verdict.OPPOSITE} & set(found), "in noise that they differ says nothing"
    shared = 0.9 + PATTERN.repeat(2, axis=0)
    assert {verdict(simulated(rng, table, shared), "H3") for _ in range(10)} == {Verdict.SUPPORTED}


def test_patterns_that_each_repeat_and_are_opposed_show_the_opposite() -> None:
    rng, table = np.random.default_rng(4), two_tasks(8)
    turned = 0.9 + np.concatenate([PATTERN, 0.05 - PATTERN])
    assert verdict(simulated(rng, table, turned, 0.004), "H3") is Verdict.OPPOSITE
    claim, text = told(simulated(rng, table, turned, 0.2), "H3")
    assert "hardly repeat" in text and claim.p_same is None, "unless they don't repeat from seed to seed"
    assert (claim.p is None) == (claim.effect.mean <= 0)


def test_h3_is_the_correlation_of_the_benefits_seed_by_seed() -> None:
    table = simulated(np.random.default_rng(5), two_tasks(6), 0.9 + PATTERN.repeat(2, axis=0), 0.02)
    gain = (table.test[:, :, 1:, 0] - table.test[:, :, :1, 0]).reshape(2, 20, 6)
    r = [float(np.corrcoef(gain[0, :, s], gain[1, :, s])[0, 1]) for s in range(6)]
    claim, _ = told(table, "H3")
    assert (claim.effect.mean, claim.effect.n) == (pytest.approx(np.mean(r)), 6)
    assert claim.p == pytest.approx(p_different(moments(r)))
    assert claim.p_same is None or claim.p_same == pytest.approx(p_equivalent(moments(r), 0.3))
    both = matched(*surfaces(table))
    assert both is not None and both[0].shape == (5, 5, 6)
    assert np.isnan(_correlation(np.ones(4), np.arange(4.0))), "what does not vary has none"


# H4: between optimizers


@cache
def grid(rates: tuple[float, ...] = RATES) -> Table:
    """SGD and AdamW, two sizes, three warmups."""
    return blank((2, 2, 3, len(rates), 8), sizes=(50, 5), warmups=(0, 5, 20), rates=rates)


def edges_moved(sgd: float, adamw: float, *, spread: float = 0.2, seed: int = 0) -> Any:
    """Edges [P, C, T, S] in log2, which every warmup raises by so many octaves."""
    by = np.array([sgd, adamw])[:, None, None] * np.array([0.0, 1.0, 1.0])[None, None] * np.ones((1, 2, 1))
    return moved(by, spread=spread, seed=seed)


def made(sgd: float, adamw: float, **how: Any) -> Table:
    x = scores(edges_moved(sgd, adamw, **how), seed=how.get("seed", 0))
    return filled(grid(), x, x)


@pytest.mark.parametrize(
    ("sgd", "adamw", "expected"),
    [
        (1.0, 0.0, Verdict.SUPPORTED),
        (0.0, 1.0, Verdict.OPPOSITE),
        (-1.0, 0.0, Verdict.OPPOSITE),
        (0.0, -1.0, Verdict.SUPPORTED),
    ],
)
def test_the_optimizer_whose_edge_warmup_raises_more_is_helped_more_even_where_the_other_is_harmed(
    sgd: float, adamw: float, expected: Verdict
) -> None:
    assert verdict(made(sgd, adamw), "H4") is expected


def test_optimizers_that_warmup_helps_alike_are_shown_to_be_and_rarely_said_to_differ() -> None:
    fine = tuple(2.0 ** np.arange(-6, 1, 0.2))
    for rates, expected in ((fine, Verdict.SAME), (RATES, Verdict.OPEN)):
        x = scores(edges_moved(1.0, 1.0, spread=0.02), rates)
        assert verdict(filled(grid(rates), x, x), "H4") is expected, "an edge is known to the grid's step"
    found = [verdict(made(0.7, 0.7, spread=0.4, seed=k), "H4") for k in range(sampled(60))]
    wrong = [v in (Verdict.SUPPORTED, Verdict.OPPOSITE) for v in found]
    assert np.mean(wrong) <= slack(0.05, len(wrong))


def test_h4s_numbers_are_the_mean_over_rates_and_the_edges_shift() -> None:
    """By hand, paired by seed: the mean over sizes and warmups, SGD minus AdamW; of two p the larger counts."""
    table = made(0.4, 0.2, spread=0.4, seed=3)
    x = np.log2(RATES)
    rated = np.trapezoid(np.moveaxis(table.test, 3, -1), x, axis=-1) / (x[-1] - x[0])
    gain = (rated[:, :, 1:] - rated[:, :, :1]).mean(axis=(1, 2))
    m = moments(gain[0] - gain[1])
    good = trained(table)
    log2 = np.array(
        [[[seed_edges(table, good, (p, c, t)).log2 for t in range(3)] for c in range(2)] for p in range(2)]
    )
    up = (log2[:, :, 1:] - log2[:, :, :1]).mean(axis=(1, 2))
    edge = moments(up[0] - up[1])
    claim, text = told(table, "H4")
    assert claim.effect.mean == pytest.approx(m.mean) and claim.effect.lo == pytest.approx(interval(m).lo)
    ps = p_different(m), p_different(edge)
    assert None not in ps and claim.p == pytest.approx(max(ps)), ps  # type: ignore[type-var]
    times = f"{2**-edge.mean:.3g}"
    assert f"moves the edge is {times} times as large with AdamW as with SGD" in text
    assert "sensitive" not in STATEMENTS["H4"] + OPPOSITES["H4"]


def test_a_mean_over_rates_that_contradicts_the_edge_decides_nothing() -> None:
    """AdamW's scores below its edge fall with warmup as far as its edge rises."""
    table = made(0.0, 1.0)
    fall = np.array([0.0, 0.3, 0.3])[None, :, None, None] * (table.test[1] > 0.5)
    x = np.stack([table.test[0], table.test[1] - fall])
    claim, _ = told(filled(grid(), x, x), "H4")
    assert claim.effect.mean > 0 and claim.p == 1.0


def test_edges_beyond_the_grid_leave_h4_to_the_side_that_is_open() -> None:
    """SGD with warmup trained at every rate, so its edge rises at least so far: AdamW gains less at most."""
    x = scores(
        np.where(
            np.arange(3)[None, None, :, None] * np.array([1, 0])[:, None, None, None], 9.0, edges_moved(0, 0)
        )
    )
    claim, text = told(filled(grid(), x, x), "H4")
    assert "at most" in text and claim.p_same is None
    assert judge([claim], ())[claim.name].verdict is Verdict.SUPPORTED
    turned = x[::-1]
    claim, text = told(filled(grid(), turned, turned), "H4")
    assert "at least" in text and judge([claim], ())[claim.name].verdict is Verdict.OPPOSITE
    top = np.full_like(x, 0.9) + 0.001 * np.random.default_rng(0).standard_normal(x.shape)
    claim, text = told(filled(grid(), top, top), "H4")
    assert text == "No seed tells the edge with both optimizers." and claim.p == 1.0
