"""A law over the registry: whatever a search may try of a schedule can be trained, on a long run and a short one."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from schedule_cases import ANY

from preheat.core.registry import SCHEDULES
from preheat.core.space import Among, Range
from preheat.core.spec import Spec, build

SHIPPED = [n for n in SCHEDULES.names() if SCHEDULES[n].__module__.startswith("preheat.schedules.")]
RUNS = [(50, 124), (2, 3)]
SEARCHED = [n for n in SHIPPED if SCHEDULES[n].space(*RUNS[0])]


def ends(one: Range | Among) -> list:
    return [one.first, *(one.values if isinstance(one, Among) else (one.low, one.high))]


@pytest.mark.parametrize("name", SEARCHED)
def test_every_space_builds_at_its_start_and_its_corners(name):
    given = next(options for known, options in ANY if known == name)
    for epochs, per_epoch in RUNS:
        space = SCHEDULES[name].space(epochs, per_epoch)
        for values in product(*map(ends, space.values())):
            tried = dict(zip(space, values, strict=True))
            made = build("schedule", Spec(name, {**given, **tried}))
            table = made.resolve(epochs * per_epoch, per_epoch, peak=1e-2).table()
            assert np.isfinite(table).all() and table.max() <= 1


# docs: section 2 of the facts on the experiments
FACTS = {
    "N": {},
    "P": {"power": Range(0.5, 3.0, start=0.5)},
    "C": {"infimum": Range(1e-7, 1e-4, log=True, start=1e-6)},
    "E": {"gamma": Range(0.9, 0.99, start=0.96)},
    "L": {"end": Range(0.001, 0.1, log=True, start=0.001)},
    "S": {"gamma": Range(0.05, 0.5, start=0.1), "period": Range(5, 25, step=1, start=16)},
    "OC": {"pct_start": Range(0.1, 0.5, start=0.3)},
    "CY": {"rise": Range(124, 3100, step=1, start=1550)},
}
HYPERBOLIC = {**FACTS["C"], "upper": Range(200, 400, step=50, start=250)}
FACTS |= {"WC": FACTS["C"], **dict.fromkeys(("H", "EH", "WH", "WEH"), HYPERBOLIC)}


@pytest.mark.parametrize("code", FACTS)
def test_a_code_is_searched_as_in_the_experiments(code):
    assert SCHEDULES[code].space(50, 124) == FACTS[code]


def test_the_ranges_of_a_code_follow_the_run():
    assert SCHEDULES["S"].space(2, 3)["period"] == Range(1, 2, step=1, start=1)
    assert SCHEDULES["CY"].space(2, 3)["rise"] == Range(3, 4, step=1, start=3)
    assert SCHEDULES["OC"].space(2, 3)["pct_start"] == Range(0.25, 0.5, start=0.3)
    assert SCHEDULES["EH"].space(320, 3)["upper"] == Range(350, 550, step=50, start=350)


def test_other_schedules_are_searched_by_their_warmup_and_what_is_their_own():
    assert SCHEDULES["constant"].space(50, 124) == {"warmup": Range(0.0, 0.2, start=0.05)}
    assert list(SCHEDULES["wsd"].space(50, 124)) == ["warmup", "cooldown"]
    assert SCHEDULES["radam"].space(50, 124) == {} == SCHEDULES["pieces"].space(50, 124)
