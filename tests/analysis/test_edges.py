"""Edges of stability: planted ones are found, those beyond the grid are bounds, and what depends on the
condition."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cases import sampled
from fake_results import SIZES, WARMUPS, blank, filled, noisy, results
from simulated import RATES, moved, scores, slack

from preheat.analysis.edges import MARGIN, EdgesFound, found_edges
from preheat.analysis.seed_edges import seed_edges
from preheat.analysis.table import Table
from preheat.analysis.tabulate import tabulate
from preheat.analysis.training import NEARLY, trained
from preheat.stats.claims import Claim, Verdict, judge
from preheat.stats.estimates import interval, moments, p_different
from preheat.stats.moderated import moderated


def edges_of(table: Table) -> EdgesFound:
    found = found_edges(table)
    assert found is not None
    return found


def shown(found: EdgesFound, family: str) -> set[str]:
    """What a family is shown to move, as judged alone."""
    some = [c for c in found.claims if c.family == family]
    return {v.name for v in judge(some, ()).values() if v.differs}


def named(found: EdgesFound, name: str) -> Claim:
    return next(c for c in found.claims if c.name == name)


def test_the_edge_of_a_seed_lies_between_the_last_success_and_the_first_failure() -> None:
    """Values too low to train at all are no failures; runs without a result are passed over."""
    good = np.array([[0, 1, 0, 1], [0, 0, 0, 0], [0, 1, 1, 1], [1, 1, 0, 0], [1, 1, 0, 0]], dtype=bool).T
    outcome = np.full((1, 1, 1, 4, 5), "done", dtype="U8")
    outcome[0, 0, 0, 1, 3] = "missing"
    outcome[0, 0, 0, :3, 4] = "failed"
    test = np.where(good, 0.9, 0.1)[None, None, None]
    table = tabulate(results(test, outcome=outcome, rates=(1.0, 2.0, 4.0, 8.0)))
    found = seed_edges(table, trained(table), (0, 0, 0))
    assert found.log2[[0, 2, 3]].tolist() == [1.5, 3.0, 1.0] and np.isnan(found.log2[[1, 4]]).all()
    assert found.width[[0, 2, 3]].tolist() == [1.0, 1.0, 2.0]
    assert found.side.tolist() == [0, 0, 1, 0, 0], "one that trained nowhere may have been too slow"
    outcome[0, 0, 0, :, 1] = "diverged"
    lost = tabulate(results(test, outcome=outcome, rates=(1.0, 2.0, 4.0, 8.0)))
    below = seed_edges(lost, trained(lost), (0, 0, 0))
    assert (below.log2[1], below.width[1], below.side[1]) == (0.0, 1.0, -1), "one that diverged was not"


def test_edges_and_points_of_a_planted_study() -> None:
    score = np.where(np.arange(4)[:, None] <= np.array([1, 2])[:, None, None], 0.9, 0.1) * np.ones(
        (1, 1, 1, 1, 6)
    )
    found = edges_of(tabulate(results(score + noisy(score.shape) - 0.9)))
    base, moved = found.edges
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
    assert not [c for c in found.claims if c.family == "edge_at"], "one condition: that of the pooled claim"
    assert found_edges(tabulate(results(score[..., :1, :], rates=(0.1,)))) is None, "one rate has no edge"


def test_the_training_loss_decides_and_both_thresholds_are_told() -> None:
    """Halfway is reached up to 0.2, 90 % of the way up to 0.1 only; the test scores say nothing of it."""
    right = np.array([0.9, 0.9, 0.7, 0.2])[:, None] * np.ones((1, 1, 2, 1, 5))
    test = np.array([0.5, 0.6, 0.4, 0.9])[:, None] * np.ones((1, 1, 2, 1, 5))
    table = tabulate(results(np.where(right > 0.8, 0.6, 0.5), test, train=-np.log(right)))
    (edge, _) = edges_of(table).edges
    assert edge.edge.mean == pytest.approx(math.sqrt(0.2 * 0.4))
    assert edge.nearly.mean == pytest.approx(math.sqrt(0.1 * 0.2))
    assert [p.trained for p in edge.points] == [5, 5, 5, 0] and edge.points[3].mean == pytest.approx(0.9)
    assert trained(table, NEARLY).sum() < trained(table).sum()


def test_pooled_edges_are_the_mean_over_conditions_and_their_claims_are_those_of_stats() -> None:
    """Two conditions, from planted edges; the oracle is a mean of log2 ratios by seed, with the floor of the
    grid's step, then t tests on moments whose spreads are shrunk together."""
    shift = np.array([[0.0, 1.0, 0.5], [0.0, 0.0, 0.2]])[None]
    log2 = moved(shift, spread=0.5, seed=2)
    table = tabulate(results(scores(log2), panels=("sgd",), sizes=(50, 5), warmups=WARMUPS[:3], rates=RATES))
    edge = np.array([[seed_edges(table, trained(table), (0, c, t)).log2 for t in range(3)] for c in range(2)])
    floor = math.sqrt(2 * 2 * 0.5**2 / 4 / 12)  # two brackets of half an octave in each of two conditions
    raw = [moments((edge[:, t] - edge[:, 0]).mean(axis=0), floor) for t in (1, 2)]
    found = edges_of(table)
    for pooled, m, shrunk in zip(found.edges_pooled, raw, moderated(raw), strict=True):
        claim = named(found, f"edge/sgd/{pooled.treatment}")
        assert math.log2(claim.effect.mean) == pytest.approx(m.mean)
        assert claim.p == pytest.approx(p_different(shrunk))
        assert claim.p_same is None and claim.margin == MARGIN, "the grid's step is beyond the margin"
        assert set(claim.rests) == {("sgd", c, t) for c in ("50", "5") for t in ("0ep", pooled.treatment)}
        low = interval(shrunk).lo
        assert claim.effect.lo == pytest.approx(2**low) if low is not None else False
        assert pooled.ratio == claim.effect and claim.factor and claim.unit == "times"
    single = [moments(edge[c, t] - edge[c, 0], math.sqrt(2 * 0.5**2 / 12)) for c in (0, 1) for t in (1, 2)]
    at = [c for c in found.claims if c.family == "edge_at"]
    assert [c.p for c in at] == pytest.approx([p_different(m) for m in moderated(single)])
    assert at[0].rests == (("sgd", "50", "1ep"), ("sgd", "50", "0ep"))


def test_the_tuned_rates_distance_to_the_edge_is_of_the_baseline_over_seeds_and_conditions() -> None:
    log2 = moved(np.zeros((1, 2, 2)), spread=0.0)
    table = tabulate(results(scores(log2), panels=("sgd",), sizes=(50, 5), warmups=(0, 5), rates=RATES))
    low = np.where(np.arange(len(RATES))[:, None] == np.array([1, 1, 1, 1, 1, 1, 3, 3]), 0.95, 0.5)
    (below,) = edges_of(replace(table, validation=np.broadcast_to(low, table.test.shape))).distances
    edge = math.sqrt(2.0**-3.5 * 2.0**-3.0)
    assert (below.most, below.least) == pytest.approx((edge / RATES[1], edge / RATES[3]))
    assert below.median == pytest.approx(below.most) and below.n == 16 and below.panel == "sgd"


# Bounds


def one_pair(base: list[float], mine: list[float]) -> EdgesFound:
    """Baseline and one treatment with these edges (log2) of every seed, in two conditions that are alike."""
    rates = (1.0, 2.0, 4.0, 8.0)
    log2 = np.array([base, mine])[None, None].repeat(2, axis=1)
    axes: dict[str, Any] = {"panels": ("sgd",), "sizes": (20, 10), "warmups": WARMUPS[:2], "rates": rates}
    lost = np.where(log2[..., None, :] < 0, "diverged", "done").repeat(4, axis=3)
    return edges_of(tabulate(results(scores(log2, rates), outcome=lost, **axes)))


LOW, MIDDLE, TOP, NONE = 0.5, 1.5, 9.0, -9.0  # inside, inside one octave higher, above the grid, below it


@pytest.mark.parametrize(
    ("base", "mine", "bound", "tested"),
    [
        ([LOW] * 8, [TOP] * 2 + [MIDDLE] * 6, "exact", True),
        ([LOW] * 8, [TOP] * 3 + [MIDDLE] * 5, "at least", True),
        ([TOP] * 3 + [MIDDLE] * 5, [LOW] * 8, "at most", True),
        ([TOP] * 3 + [LOW] * 5, [LOW] * 3 + [TOP] * 5, "open", False),
        ([TOP] * 3 + [LOW] * 5, [LOW] * 3 + [MIDDLE + 1] * 5, "at most", False),
        ([MIDDLE] * 8, [TOP] * 3 + [NONE] * 2 + [LOW - 0.2] * 3, "at least", False),
        ([LOW] * 8, [NONE] * 8, "at most", True),
        ([NONE] * 8, [LOW] * 8, "at least", True),
    ],
)
def test_a_ratio_with_many_censored_edges_is_a_bound(
    base: list[float], mine: list[float], bound: str, tested: bool
) -> None:
    found = one_pair(base, mine)
    for name in ("edge/sgd/1ep", "edge/sgd/20/1ep"):
        claim = named(found, name)
        assert claim.effect.bound == bound
        assert (claim.effect.lo is not None) == (bound in ("exact", "at least"))
        assert (claim.effect.hi is not None) == (bound in ("exact", "at most"))
        assert claim.p is not None and (claim.p < 1.0) == tested, (
            "tested only where the mean is on the open side"
        )
        assert claim.p_same is None, "what is censored can't show that nothing moves"
    assert found.edges[1].ratio is not None and found.edges[1].ratio.bound == bound


def test_an_edge_beyond_the_grid_is_at_least_its_end() -> None:
    edge = one_pair([LOW] * 8, [TOP] * 5 + [MIDDLE] * 3).edges[1]
    assert edge.censored == 5 and edge.edge.bound == "at least"
    assert edge.edge.hi is None and edge.edge.lo is not None and edge.edge.lo < edge.edge.mean < 8.0
    below = one_pair([LOW] * 8, [NONE] * 8).edges[1]
    assert below.edge.bound == "at most" and below.edge.lo is None and below.edge.mean == pytest.approx(1.0)


def test_two_edges_beyond_the_same_end_say_nothing_of_their_ratio() -> None:
    found = one_pair([TOP] * 4 + [LOW] * 4, [TOP] * 4 + [LOW] * 4)
    ratio = found.edges[1].ratio
    assert ratio is not None and ratio.n == found.edges_pooled[0].ratio.n == 4
    assert ratio.mean == pytest.approx(1.0)
    hidden = one_pair([TOP] * 8, [TOP] * 8)
    assert not hidden.edges_pooled and not [c for c in hidden.claims if c.family == "edge"]
    assert all(c.why for c in hidden.claims), "what no seed tells is not tested, and says so"


def test_a_lower_limit_holds_though_the_edge_lies_beyond_the_grid() -> None:
    """Truth: two octaves higher, of which the grid shows a part. The upper limit would be wrong in nearly
    every study."""
    rates = tuple(2.0 ** np.arange(-6, -1.9, 0.5))
    shift = np.array([0.0, 2.0])[None, None]
    table = blank((1, 1, 2, len(rates), 8), panels=("sgd",), sizes=(20,), warmups=(0, 5), rates=rates)
    held, bounds = [], set()
    for seed in range(sampled(100)):
        x = scores(moved(shift, seed=seed), rates, seed)
        ratio = edges_of(filled(table, x, x)).edges[1].ratio
        assert ratio is not None and ratio.lo is not None
        held.append(ratio.lo <= 4.0)
        bounds.add((ratio.bound, ratio.hi))
    assert np.mean(held) >= 0.9 and bounds == {("at least", None)}


# That nothing moves


@pytest.mark.parametrize(
    ("step", "spread"), [(0.32, 0.05), (0.2, 0.05), (0.15, 0.0), (0.15, 0.05), (0.1, 0.2)]
)
def test_edges_that_move_by_the_margin_are_rarely_said_to_stay(step: float, spread: float) -> None:
    """Seeds that agree share the rounding to the grid, wherever on it their edge lies."""
    rng, n = np.random.default_rng(3), sampled(100)
    rates = tuple(2.0 ** np.arange(-6.0, -1.0, step))
    table = blank((1, 2, 2, len(rates), 8), panels=("sgd",), sizes=(50, 5), warmups=(0, 5), rates=rates)
    wrong = []
    for seed in range(n):
        base = -3.5 + step * rng.random()
        log2 = base + np.array([0.0, MARGIN + 1e-9])[None, None, :, None] * np.ones((1, 2, 1, 8))
        x = scores(log2 + spread * rng.standard_normal(log2.shape), rates, seed)
        found = [c for c in edges_of(filled(table, x, x)).claims if c.family == "edge"]
        wrong += [v.verdict is Verdict.SAME for v in judge(found, ("edge",)).values()]
    assert np.mean(wrong) <= slack(0.05, n)


def test_on_a_fine_grid_edges_that_stay_are_said_to_and_on_a_coarse_one_never() -> None:
    for step, said in ((0.08, True), (0.3, False)):
        rates = tuple(2.0 ** np.arange(-5.0, -2.0, step))
        x = scores(np.full((1, 2, 2, 8), -3.51), rates)
        found = edges_of(tabulate(results(x, panels=("sgd",), sizes=(50, 5), warmups=(0, 5), rates=rates)))
        pooled = judge(found.claims, ("edge",))["edge/sgd/5ep"]
        assert (pooled.verdict is Verdict.SAME) == said and (pooled.p_same is not None) == said
        lo, hi = pooled.effect.lo, pooled.effect.hi
        assert lo is not None and hi is not None
        assert not said or (lo > 2**-MARGIN and hi < 2**MARGIN), "the interval says so too"


# Whether the move depends on the condition


def null_table(sizes: tuple[Any, ...] = SIZES) -> Table:
    return blank((2, 5, 5, len(RATES), 8), rates=RATES, sizes=sizes)


@pytest.mark.parametrize("sizes", [SIZES, ("a", "b", "c", "d", "e")])
def test_a_move_that_is_the_same_everywhere_is_rarely_said_to_depend(sizes: tuple[Any, ...]) -> None:
    table, n = null_table(sizes), sampled(100)
    shift = np.broadcast_to(0.3 * np.arange(5.0), (2, 5, 5))
    wrong = []
    for seed in range(n):
        x = scores(moved(shift, spread=0.4, seed=seed), seed=seed)
        wrong.append(bool(shown(edges_of(filled(table, x, x)), "edge_change")))
    assert np.mean(wrong) <= slack(0.05, n)


@pytest.mark.parametrize("sizes", [SIZES, ("a", "b", "c", "d", "e")])
def test_a_move_at_few_examples_only_is_said_to_depend(sizes: tuple[Any, ...]) -> None:
    shift = np.zeros((2, 5, 5))
    shift[1, 3:, 1:] = 1.5
    x = scores(moved(shift, spread=0.2))
    found = edges_of(filled(null_table(sizes), x, x))
    assert shown(found, "edge_change") == {f"edge_change/adamw/{w}ep" for w in WARMUPS[1:]}
    change = next(r.change for r in found.edges_pooled if (r.panel, r.treatment) == ("adamw", "5ep"))
    assert all(c.p_same is None for c in found.claims if c.family == "edge_change")
    if sizes is SIZES:
        slope = np.polyfit(np.log2(SIZES), [0.0, 0.0, 0.0, 1.5, 1.5], 1)[0]
        assert change is not None and change.mean == pytest.approx(2.0**slope, rel=0.07)
    else:
        assert change is None
        for claim in (c for c in found.claims if c.family == "edge_change"):
            e = claim.effect
            assert math.isnan(e.mean) and e.lo is None and e.hi is None, "that it depends has no size"


# Simulated studies


def two_sizes() -> Table:
    return blank((1, 2, 5, len(RATES), 6), panels=("sgd",), sizes=(50, 5), rates=RATES)


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
    x = np.where(trains, 0.9, 0.1) + 0.01 * rng.standard_normal(shape)
    return filled(table, x, x)


def test_edges_that_do_not_move_are_rarely_said_to() -> None:
    rng = np.random.default_rng(8)
    table = two_sizes()
    still, n = [edge_study(rng, table, 0.0) for _ in range(sampled(100))], sampled(100)
    found = [edges_of(t) for t in still]
    for family in ("edge", "edge_at"):
        assert np.mean([bool(shown(f, family)) for f in found]) <= slack(0.05, n)
    seen = [judge(edges_of(edge_study(rng, table, 0.3)).claims, ("edge",)) for _ in range(20)]
    assert np.mean([v["edge/sgd/20ep"].verdict is Verdict.SUPPORTED for v in seen]) > 0.9
    down = judge(edges_of(edge_study(rng, table, -0.5)).claims, ("edge",))["edge/sgd/20ep"]
    assert down.verdict is Verdict.OPPOSITE and down.effect.hi is not None and down.effect.hi < 1


def test_planted_edges_are_recovered() -> None:
    rng = np.random.default_rng(9)
    table = two_sizes()
    cover, means = [], []
    for _ in range(60):
        for e in edges_of(edge_study(rng, table, 0.5)).edges:
            if e.treatment == "5ep" and e.ratio and e.ratio.lo is not None and e.ratio.hi is not None:
                cover.append(e.ratio.lo <= 2.0 <= e.ratio.hi)
                means.append(math.log2(e.ratio.mean))
    assert np.mean(cover) >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / len(cover))
    assert abs(np.mean(means) - 1.0) < 0.05
