"""Edges of stability: planted ones are found, those beyond the grid are bounds, and what depends on the
condition."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from cases import sampled
from fake_results import SIZES, WARMUPS, blank, filled, noisy, results
from simulated import RATES, moved, scores, slack

from preheat.analysis.edges import Edge, Pooled, bracket, edges, pooled
from preheat.analysis.table import Table
from preheat.analysis.tabulate import tabulate


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


# Bounds


def one_pair(
    base: list[float], mine: list[float], rates: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0)
) -> tuple[Edge, Pooled]:
    """Baseline and one treatment with these edges (log2) of every seed, in one condition."""
    log2 = np.array([base, mine])[None, None]
    axes: dict[str, Any] = {"panels": ("sgd",), "sizes": (20,), "warmups": WARMUPS[:2], "rates": rates}
    table = tabulate(results(scores(log2, rates), **axes))
    return edges(table)[1], pooled(table)[0]


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
    edge, whole = one_pair(base, mine)
    for ratio, p in ((edge.ratio, edge.p_adjusted), (whole.ratio, whole.p)):
        assert ratio is not None and ratio.bound == bound
        assert (ratio.lo is not None) == (bound in ("exact", "at least"))
        assert (ratio.hi is not None) == (bound in ("exact", "at most"))
        assert (p is not None) == tested, "a p is given only where the mean lies on the open side"


def test_an_edge_beyond_the_grid_is_at_least_its_end() -> None:
    edge, _ = one_pair([LOW] * 8, [TOP] * 5 + [MIDDLE] * 3)
    assert edge.censored == 5 and edge.edge.bound == "at least"
    assert edge.edge.hi is None and edge.edge.lo is not None and edge.edge.lo < edge.edge.mean < 8.0
    below, _ = one_pair([LOW] * 8, [NONE] * 8)
    assert below.edge.bound == "at most" and below.edge.lo is None and below.edge.mean == pytest.approx(1.0)


def test_two_edges_beyond_the_same_end_say_nothing_of_their_ratio() -> None:
    edge, whole = one_pair([TOP] * 4 + [LOW] * 4, [TOP] * 4 + [LOW] * 4)
    assert (
        edge.ratio is not None
        and edge.ratio.n == whole.ratio.n == 4
        and edge.ratio.mean == pytest.approx(1.0)
    )


def test_a_lower_limit_holds_though_the_edge_lies_beyond_the_grid() -> None:
    """Truth: two octaves higher, of which the grid shows a part. The upper limit would be wrong in nearly
    every study."""
    rates = tuple(2.0 ** np.arange(-6, -1.9, 0.5))
    shift = np.array([0.0, 2.0])[None, None]
    table = blank((1, 1, 2, len(rates), 8), panels=("sgd",), sizes=(20,), warmups=(0, 5), rates=rates)
    held, bounds = [], set()
    for seed in range(100):
        x = scores(moved(shift, seed=seed), rates, seed)
        ratio = edges(filled(table, x, x))[1].ratio
        assert ratio is not None and ratio.lo is not None
        held.append(ratio.lo <= 4.0)
        bounds.add((ratio.bound, ratio.hi))
    assert np.mean(held) >= 0.95 and bounds == {("at least", None)}


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
        wrong.append(any((r.change_p_adjusted or 1) < 0.05 for r in pooled(filled(table, x, x))))
    assert np.mean(wrong) <= slack(0.05, n)


@pytest.mark.parametrize("sizes", [SIZES, ("a", "b", "c", "d", "e")])
def test_a_move_at_few_examples_only_is_said_to_depend(sizes: tuple[Any, ...]) -> None:
    shift = np.zeros((2, 5, 5))
    shift[1, 3:, 1:] = 1.5
    x = scores(moved(shift, spread=0.2))
    found = {(r.panel, r.treatment): r for r in pooled(filled(null_table(sizes), x, x))}
    assert all((found["adamw", f"{w}ep"].change_p_adjusted or 1) < 0.05 for w in WARMUPS[1:])
    assert all((found["sgd", f"{w}ep"].change_p_adjusted or 0) > 0.05 for w in WARMUPS[1:])
    change = found["adamw", "5ep"].change
    if sizes is SIZES:
        slope = np.polyfit(np.log2(SIZES), [0.0, 0.0, 0.0, 1.5, 1.5], 1)[0]
        assert change is not None and change.mean == pytest.approx(2.0**slope, rel=0.07)
    else:
        assert change is None


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
    wrong = [any((e.p_adjusted or 1) < 0.05 for e in edges(t) if e.ratio) for t in still]
    assert np.mean(wrong) <= slack(0.05, n)
    assert np.mean([any((p.p_adjusted or 1) < 0.05 for p in pooled(t)) for t in still]) <= slack(0.05, n)
    ratios = [pooled(edge_study(rng, table, 0.3)) for _ in range(40)]
    assert np.mean([(p[-1].p_adjusted or 1) < 0.05 for p in ratios]) > 0.9


def test_planted_edges_are_recovered() -> None:
    rng = np.random.default_rng(9)
    table = two_sizes()
    cover, means = [], []
    for _ in range(60):
        for e in edges(edge_study(rng, table, 0.5)):
            if e.treatment == "5ep" and e.ratio and e.ratio.lo is not None and e.ratio.hi is not None:
                cover.append(e.ratio.lo <= 2.0 <= e.ratio.hi)
                means.append(math.log2(e.ratio.mean))
    assert np.mean(cover) >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / len(cover))
    assert abs(np.mean(means) - 1.0) < 0.05
