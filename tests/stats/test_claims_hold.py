"""Whole reports of simulated studies claim nothing false more often than they may, and find what is there:
the quick form of `benchmarks/claims.py`, which `docs/statistics.md` has in full."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def told() -> tuple[list[Any], list[Any]]:
    """(of nothing, of what was planted), as users saw it."""
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(str(BENCHMARKS))
        import claims

        nulls, planted = claims.cases_of(claims.quick())
        made = claims.simulated([*nulls, *planted], 1)
        for name in ("claims", "worlds"):
            sys.modules.pop(name)
    return made[: len(nulls)], made[len(nulls) :]


def test_few_reports_claim_anything_false(told: tuple[list[Any], list[Any]]) -> None:
    nulls, _ = told
    assert len(nulls) == 32
    # at 5 % four or more of 32 have a chance of 8 %, at 30 %, as in version 0.1, of 99.7 %
    assert sum(any(t.primary) for t in nulls) <= 5
    assert sum(t.exploratory[0] for t in nulls) <= 16


def test_intervals_hold_the_truth(told: tuple[list[Any], list[Any]]) -> None:
    for what, low in (("tuned, plain", 0.88), ("benefit, plain", 0.92), ("benefit, moderated", 0.92)):
        pairs = [t.covered[what] for some in told for t in some]
        held, n = (sum(each) for each in zip(*pairs, strict=True))
        assert low < held / n < 0.995, what


def test_what_is_planted_is_found(told: tuple[list[Any], list[Any]]) -> None:
    _, planted = told
    for at in ("cell", "main"):
        some = [t for t in planted if t.case.at == at]
        assert len(some) == 8 and sum(bool(t.found) for t in some) >= 5
    assert not any(t.primary[0] for t in planted)


def test_more_seeds_are_as_many_as_were_said(told: tuple[list[Any], list[Any]]) -> None:
    plans = [decided for some in told for t in some for _, decided in t.plans]
    assert len(plans) >= 20 and sum(plans) >= 0.6 * len(plans)
    assert all(t.seeds > t.case.seeds for some in told for t in some if t.plans)
