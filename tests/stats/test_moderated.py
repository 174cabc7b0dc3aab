"""Moderated t is limma's, and what it changes."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from preheat.stats.estimates import Moments, moments, p_different
from preheat.stats.moderated import moderated, prior, trigamma_inverse

LIMMA: dict[str, Any] = json.loads((Path(__file__).parent / "limma.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", ["finite", "infinite", "many"])
def test_it_is_limmas(case: str) -> None:
    told = LIMMA[case]
    some = [moments(row) for row in told["x"]]
    made = prior(np.array([m.sd**2 for m in some]), np.array([m.df for m in some]))
    assert made.df == pytest.approx(float(told["df_prior"][0]), rel=1e-8)
    assert made.variance == pytest.approx(told["s2_prior"][0], rel=1e-8)
    shrunk = moderated(some, math.inf)
    assert [m.sd**2 for m in shrunk] == pytest.approx(told["s2_post"], rel=1e-8)
    assert [m.df for m in shrunk] == pytest.approx(told["df_total"], rel=1e-8)
    assert [m.mean / m.error for m in shrunk] == pytest.approx(told["t"], rel=1e-8)
    assert [p_different(m) for m in shrunk] == pytest.approx(told["p"], rel=1e-8)


def test_the_cases_are_of_both_kinds() -> None:
    assert math.isinf(float(LIMMA["infinite"]["df_prior"][0]))
    assert 0 < LIMMA["finite"]["df_prior"][0] < LIMMA["many"]["df_prior"][0] < 20


@pytest.mark.parametrize("x", [1e-8, 1e-3, 0.1, 1.0, 30.0, 1e5, 1e8])
def test_the_inverse_of_trigamma(x: float) -> None:
    from scipy.special import polygamma

    assert float(polygamma(1, trigamma_inverse(x))) == pytest.approx(x, rel=1e-6)


def test_means_stay_and_spreads_move_together() -> None:
    rng = np.random.default_rng(1)
    some = [moments(rng.normal(i, 1 + i, 8)) for i in range(6)]
    made = moderated(some)
    assert [m.mean for m in made] == [m.mean for m in some]
    assert max(m.sd for m in made) < max(m.sd for m in some)
    assert min(m.sd for m in made) > min(m.sd for m in some)
    order = np.argsort([m.sd for m in some])
    assert (np.diff(np.array([m.sd for m in made])[order]) > 0).all()


def test_the_prior_counts_at_most_as_much_as_the_comparison() -> None:
    some = [moments(row) for row in LIMMA["infinite"]["x"]]
    made = moderated(some)
    middle = np.mean([m.sd**2 for m in some])
    assert [m.sd**2 for m in made] == pytest.approx([(m.sd**2 + middle) / 2 for m in some], rel=1e-12)
    assert [m.df for m in made] == [14.0] * len(some)
    assert all(m.df == 8 for m in moderated([Moments(0.0, 1.0, 5), Moments(0.0, 1.0, 5)], 2.0))


def test_what_has_no_spread_stays_and_lends_none() -> None:
    bare = [Moments(1.0, math.nan, 1), Moments(2.0, 0.0, 8), Moments(3.0, 1.0, 8)]
    made = moderated(bare)
    assert repr(made) == repr(bare), "one spread alone is no family"
    made = moderated([*bare, Moments(3.0, 2.0, 8)])
    assert repr(made[:2]) == repr(bare[:2]) and 1 < made[2].sd < made[3].sd < 2
    assert moderated([]) == []
