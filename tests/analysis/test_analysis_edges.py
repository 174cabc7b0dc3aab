"""Edges beyond the grid are bounds; whether a move depends on the condition; what the answer says of both."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from fake_results import SIZES, WARMUPS, blank, filled, noisy, results

from preheat.analysis.analyse import analyse
from preheat.analysis.edges import edges, pooled
from preheat.analysis.findings import Edge, Pooled
from preheat.analysis.table import Table
from preheat.analysis.tabulate import tabulate
from preheat.analysis.tables import tables
from preheat.stats.bounds import (
    Bounded,
    Parts,
    combined,
    contrast_weights,
    corrected,
    dependence,
    mean_weights,
    slope_weights,
)
from preheat.stats.estimates import Moments

RATES = tuple(2.0 ** np.arange(-6, 1, 0.5))


def slack(rate: float, n: int) -> float:
    """The rate and three standard deviations of a binomial share."""
    return rate + 3 * math.sqrt(rate * (1 - rate) / n)


def scores(log2: Any, rates: tuple[float, ...] = RATES, seed: int = 0) -> Any:
    """[P, C, T, V, S] from edges [P, C, T, S] in log2: 0.9 below the edge, 0.1 above."""
    trains = np.log2(np.array(rates))[:, None] < np.asarray(log2)[..., None, :]
    return np.where(trains, 0.9, 0.1) + noisy(trains.shape, seed, 0.002) - 0.9


def moved(shift: Any, *, spread: float = 0.3, seed: int = 0, seeds: int = 8) -> Any:
    """Edges [P, C, T, S] near 2**-3.2, moved by shift [P, C, T] octaves."""
    shift = np.asarray(shift, dtype=float)
    return (
        -3.2 + shift[..., None] + spread * np.random.default_rng(seed).standard_normal((*shift.shape, seeds))
    )


def told(log2: Any, **axes: Any) -> str:
    return analyse(results(scores(log2), rates=RATES, **axes)).answer.replace("\N{NO-BREAK SPACE}", " ")


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


def test_being_censored_makes_no_other_comparison_surer() -> None:
    sharp, hidden = Bounded(Moments(1.0, 1.0, 8), 0.0, 0.0), Bounded(Moments(-1.0, 1.0, 8), 1.0, 0.0)
    assert hidden.p is None and sharp.p is not None
    assert corrected([sharp, hidden, None]) == [pytest.approx(2 * sharp.p), None, None]


def test_a_bound_turns_round_at_a_negative_weight() -> None:
    x = np.array([0.0, 1.0, 2.0])
    values = np.tile(np.array([2.0, 1.0, 0.0])[:, None], (1, 8))
    no, yes = np.zeros((3, 8), dtype=bool), np.zeros((3, 8), dtype=bool)
    yes[0] = True
    parts = Parts(values, np.full((3, 8), 0.25), yes, no)
    slope = combined(parts, slope_weights(parts, x))
    assert slope.moments.mean == pytest.approx(-1.0) and slope.bound == "at most", (
        "the first value may be higher still"
    )
    assert combined(parts, mean_weights(parts)).bound == "at least"
    assert combined(parts, contrast_weights(parts, 1)).bound == "at most"
    assert dependence(parts, x)[1] is not None and dependence(parts, x)[1] < 0.01  # type: ignore[operator]
    turned = Parts(values[::-1], parts.squares, yes, no)
    assert dependence(turned, x)[1] == 1.0, "a slope that censoring alone could have made is not tested"


def test_slopes_and_contrasts_by_hand() -> None:
    rng = np.random.default_rng(0)
    values, x = rng.standard_normal((4, 6)), np.array([0.0, 1.0, 3.0, 4.0])
    values[2, 0] = values[0, 1] = math.nan
    none = np.zeros((4, 6), dtype=bool)
    parts = Parts(values, np.zeros((4, 6)), none, none)
    kept = [np.isfinite(values[:, s]) for s in range(6)]
    by_hand = [np.polyfit(x[k], values[k, s], 1)[0] for s, k in enumerate(kept)]
    assert combined(parts, slope_weights(parts, x)).moments.mean == pytest.approx(np.mean(by_hand))
    contrast = [values[3, s] - np.nanmean(values[:3, s]) for s in range(6)]
    assert combined(parts, contrast_weights(parts, 3)).moments.mean == pytest.approx(np.mean(contrast))


# Whether the move depends on the condition


def null_table(sizes: tuple[Any, ...] = SIZES) -> Table:
    return blank((2, 5, 5, len(RATES), 8), rates=RATES, sizes=sizes)


@pytest.mark.parametrize("sizes", [SIZES, ("a", "b", "c", "d", "e")])
def test_a_move_that_is_the_same_everywhere_is_rarely_said_to_depend(sizes: tuple[Any, ...]) -> None:
    table, n = null_table(sizes), 100
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


# The answer


def test_the_answer_tells_the_conditions_where_the_move_depends_on_them() -> None:
    shift = np.zeros((2, 5, 5))
    shift[1, 3, 2:], shift[1, 4, 2:] = 1.5, 2.0
    said = told(moved(shift, spread=0.15))
    first = said.split(". ")[0] + ". " + said.split(". ")[1]
    assert (
        "With AdamW, how far warmup moves the highest usable peak learning rate depends on the examples per "
        "class" in first
    )
    assert "examples per class: at 10 it rises to " in first and " and at 5 to " in first
    assert "with 5, 10 and 20 epochs" in first and "at 100, 50 and 20 no move is shown" in first
    assert "all data sizes together" not in said, "a mean over sizes that differ is no headline"
    advice = (
        "warm up with AdamW at 10 examples per class (5 epochs is enough to raise it) and at 5 (5 epochs);"
    )
    assert advice in said


def test_the_answer_pools_where_no_dependence_is_shown() -> None:
    shift = np.zeros((2, 5, 5))
    shift[1, :, 2:] = 1.0
    said = told(moved(shift))
    assert (
        "With AdamW, warmup raises the highest usable peak learning rate, all data sizes together: to "
        in said
    )
    assert "not shown to depend on the examples per class" in said and " by itself" in said
    assert "if you train near the edge, warm up with AdamW (5 epochs is enough to raise it);" in said


def test_the_answer_names_a_single_condition_that_is_sure_alone() -> None:
    shift = np.zeros((1, 5, 2))
    shift[0, :, 1] = -0.15
    shift[0, 2, 1] = 1.2
    said = told(moved(shift, spread=0.4, seed=2), panels=("sgd",), warmups=WARMUPS[:2])
    assert (
        "With SGD, warmup raises the highest usable peak learning rate: at 20 examples per class it rises to "
        in said
    )
    assert "at 100, 50, 10 and 5 no move is shown" in said
    assert "warm up with SGD at 20 examples per class (1 epoch is enough to raise it)" in said


def test_the_answer_says_at_least() -> None:
    shift = np.zeros((1, 5, 2))
    shift[0, :, 1] = 3.4
    said = told(moved(shift), panels=("sgd",), warmups=WARMUPS[:2])
    assert re.search(
        r"to at least \d+\.?\d* times that of no warmup with 1 epoch \(95 % interval from \d+\.\d+\)", said
    ), said
    lost = told(moved(np.full((1, 5, 2), 9.0)), panels=("sgd",), warmups=WARMUPS[:2])
    assert "no seed's edge lies inside the grid" in lost


# Tables


def test_tables_of_edges_are_in_the_unit_of_the_rate_and_in_factors() -> None:
    shift = np.zeros((2, 5, 5))
    shift[1, 4] = 4.5
    f = analyse(results(scores(moved(shift)), rates=RATES))
    rows = tables(f)["edges"]
    assert all(RATES[0] <= row["edge"] <= RATES[-1] for row in rows)
    assert {"edge_lo", "edge_hi", "edge_bound", "factor", "factor_lo", "factor_hi", "factor_bound"} <= set(
        rows[0]
    )
    assert not {"ratio", "log2_edge"} & set(rows[0])
    last = rows[-1]
    assert (last["panel"], last["condition"], last["edge_bound"], last["edge_hi"]) == (
        "adamw",
        "5",
        "at least",
        None,
    )
    assert {"factor", "change_factor", "change_p_adjusted"} <= set(tables(f)["edges_pooled"][0])
    note = next(n for n in f.notes if "censored" in n)
    assert "as a bound" in note
