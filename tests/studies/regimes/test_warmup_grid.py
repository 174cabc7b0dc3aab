"""Warmups in updates: favourites, what picks at random give, and whether the warmups differ."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fake_regimes import IN_BOTH, IN_EPOCHS, PER_EPOCH, SIZE, WARMUP, hill, regimes

from preheat.analysis.table import Table
from preheat.analysis.tabulate import tabulate
from preheat.studies.regimes.picks import favourites
from preheat.studies.regimes.warmup_grid import WarmupGrid, chance, p_choices, reach, slopes, warmup_grids


def ladder(table: Table) -> WarmupGrid:
    return warmup_grids(table)[0]


def test_exponent_is_the_least_squares_slope_of_the_favourites() -> None:
    s = ladder(tabulate(regimes(hill(lambda n: 5.0 * PER_EPOCH[n], noise=0.0), IN_EPOCHS, seeds=2)))
    y = favourites(s.updates, s.judged)
    assert np.allclose(2 ** y[:, 0], [5 * PER_EPOCH[int(n)] for n in s.sizes])
    b, _ = np.polyfit(np.log2(s.sizes), y[:, 0], 1)
    assert np.allclose(slopes(s, y), b)


def test_reach_and_chance_are_those_of_all_choices() -> None:
    s = ladder(tabulate(regimes(hill(lambda n: None), IN_EPOCHS[:4], seeds=1, sizes=(500, 100, 50))))
    every = [
        slopes(s, np.array(row)[:, None])[0]
        for row in itertools.product(*(r[np.isfinite(r)] for r in s.updates))
    ]
    assert np.allclose(reach(s), (min(every), max(every)))
    drawn = chance(s)
    assert drawn.mean() == pytest.approx(np.mean(every), abs=4 * np.std(every) / np.sqrt(len(drawn)))
    assert drawn.std() == pytest.approx(np.std(every), rel=0.1)


def test_p_of_the_choices_is_uniform_without_an_effect_and_small_with_one() -> None:
    p = [
        p_choices(ladder(tabulate(regimes(hill(lambda n: None, seed=k), IN_EPOCHS, seeds=3)))) or 0
        for k in range(40)
    ]
    assert 0.35 < np.mean(p) < 0.65 and np.mean(np.array(p) < 0.05) <= 0.15
    assert (
        p_choices(ladder(tabulate(regimes(hill(lambda n: 100.0, noise=0.002), IN_EPOCHS, seeds=3)))) or 1
    ) < 0.01


def test_p_of_the_choices_does_not_ask_how_good_a_seed_is() -> None:
    """What a seed adds to all warmups of a size is no difference between warmups."""
    s = ladder(tabulate(regimes(hill(lambda n: 100.0, noise=0.02), IN_EPOCHS, seeds=3)))
    moved = s.judged.copy()
    moved[1:3] += np.array([[[0.3, -0.1, 0.0]], [[0.0, 0.2, 0.5]]])
    p = p_choices(s)
    assert (
        p is not None
        and 0.001 < p < 0.9
        and p_choices(s._replace(judged=moved)) == pytest.approx(p, abs=1e-9)
    )


def test_warmups_of_equal_updates_are_one_choice() -> None:
    """400 updates and 10 epochs of 40 are one run: a second column of it would make chance and p look at it
    twice."""
    made = regimes(hill(lambda n: None, seed=3), IN_BOTH, seeds=3)
    s = ladder(tabulate(made))
    several = [row[np.isfinite(row)] for row in s.updates]
    assert all(len(np.unique(row)) == len(row) for row in several)
    assert [len(row) for row in several] == [6, 7, 8, 8, 8]  # at 50: 5ep = 20, 20ep = 80 updates
    assert np.isfinite(s.judged).all(axis=2).sum() == sum(map(len, several))
    alone = replace(made, rows=tuple(r for r in made.rows if not twin(r.axes)))
    assert p_choices(ladder(tabulate(alone))) == p_choices(s)


def twin(axes: Any) -> bool:
    """Whether the warmup is in updates and as long as one in epochs."""
    steps = axes[WARMUP].get("steps", -1)
    return any(steps == w["epochs"] * PER_EPOCH[axes[SIZE]] for w in IN_EPOCHS)


def test_ties_share_the_pick() -> None:
    s = ladder(tabulate(regimes(lambda n, u, k: 0.5, IN_EPOCHS, seeds=2)))
    assert np.allclose(
        2 ** (favourites(s.updates, s.judged)[:, 0]), [1000**0.25 * PER_EPOCH[int(n)] for n in s.sizes]
    )
