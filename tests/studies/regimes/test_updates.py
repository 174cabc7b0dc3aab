"""Epochs or updates: what is excluded, as often as it says, and H1 and H2 stated in updates."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cases import sampled
from fake_regimes import IN_BOTH, IN_EPOCHS, PER_EPOCH, SIZE, TASK, WARMUP, hill, joined, regimes
from fake_results import results
from scipy.stats import t as student

from preheat.analysis.tabulate import tabulate
from preheat.stats.claims import Claim, Verdict, judge
from preheat.stats.estimates import Moments, interval
from preheat.studies.regimes.updates import UpdatesFound, updates


def studied(score: Any, warmups: Any = IN_BOTH, **how: Any) -> UpdatesFound:
    found = updates(tabulate(regimes(score, warmups, **how)))
    assert found is not None
    return found


def several(kind: str, warmups: Any, *, times: int, noise: float = 0.01) -> list[UpdatesFound]:
    best = {"updates": lambda n: 40.0, "epochs": lambda n: 5.0 * PER_EPOCH[n], "none": lambda n: None}[kind]
    return [studied(hill(best, noise=noise, seed=k), warmups) for k in range(times)]


def claim(found: UpdatesFound, name: str) -> Claim:
    return next(c for c in found.claims if c.name == f"updates/{name}")


def verdict(found: UpdatesFound, name: str) -> Verdict:
    """Judged alone."""
    return judge([claim(found, name)], ())[f"updates/{name}"].verdict


def share(some: list[UpdatesFound], unit: str) -> float:
    """How often it is shown, either way, that a fixed number is not the best."""
    return float(np.mean([verdict(f, f"/{unit}") in (Verdict.SUPPORTED, Verdict.OPPOSITE) for f in some]))


def covers(some: list[UpdatesFound], b: float) -> float:
    each = [f.exponents[0].b for f in some]
    return float(np.mean([(e.lo or 0.0) <= b <= (e.hi or 0.0) for e in each]))


def test_every_warmup_is_told_in_updates_epochs_and_as_a_share_of_the_run() -> None:
    found = updates(tabulate(regimes(hill(lambda n: None), seeds=2)))
    assert found is not None
    told = {
        (x.condition, x.treatment): (x.updates, round(x.epochs, 4), round(x.share, 6))
        for x in found.warmup_lengths
    }
    assert told["5000", "5ep"] == (1955, 5, 0.05)
    assert told["50", "5ep"] == (20, 5, 0.05)
    assert told["50", "20"] == (20, 5, 0.05)
    assert told["5000", "20"] == (20, 0.0512, 0.000512)
    assert ("50", "0ep") in told and len(told) == 5 * 9


def test_a_fixed_number_of_updates_is_found_and_a_fixed_number_of_epochs_excluded() -> None:
    some = several("updates", IN_BOTH, times=16)
    assert covers(some, 0.0) >= 0.8 and covers(some, 1.0) <= 0.1
    assert share(some, "epochs") >= 0.85 and share(some, "updates") <= 0.13


def test_a_fixed_number_of_epochs_is_found_and_a_fixed_number_of_updates_excluded() -> None:
    some = several("epochs", IN_BOTH, times=16)
    assert covers(some, some[0].exponents[0].epochs_b) >= 0.8 and covers(some, 0.0) <= 0.1
    assert share(some, "updates") >= 0.85 and share(some, "epochs") <= 0.13


def test_without_any_effect_nothing_is_excluded_more_than_five_percent_of_the_time() -> None:
    some = several("none", IN_BOTH, times=sampled(60))
    # 2 of 20, or 6 of 60: more has a chance of 7 % (6 %) at 5 %
    assert share(some, "updates") <= 0.1 and share(some, "epochs") <= 0.1
    for f in some:
        gate = f.exponents[0].p_choices
        assert gate is not None
        for name in ("/updates", "/epochs", "H2"):
            c = claim(f, name)
            assert (c.p or 1.0) >= gate and (c.p_same is None or c.p_same >= gate), "where all is chance"


def test_a_grid_in_epochs_forces_the_exponent_and_that_is_said() -> None:
    for f in several("epochs", IN_EPOCHS, times=4, noise=0.003):
        (e,) = f.exponents
        assert e.chance == pytest.approx(e.epochs_b, abs=0.05) and e.b.lo is not None and e.b.lo > 0.5
        assert e.low > 0 and "lies within the grid" in claim(f, "/updates").why
        assert verdict(f, "/updates") is Verdict.OPEN


def test_choices_at_one_end_of_the_grid_exclude_nothing() -> None:
    (f,) = several("epochs", IN_EPOCHS[:3], times=1, noise=0.0)
    assert f.exponents[0].at_longest == 1 and "longest" in claim(f, "/epochs").why
    assert verdict(f, "/epochs") is Verdict.OPEN


def test_one_seed_is_a_description_and_a_warmup_in_both_units_counts_by_its_updates() -> None:
    found = studied(hill(lambda n: 40.0, noise=0.0), seeds=1)
    (e,) = found.exponents
    assert (e.b.lo, e.p_choices) == (None, None)
    assert {v.verdict for v in judge(found.claims, ()).values()} == {Verdict.OPEN}
    assert all("one seed" in c.why.lower() for c in found.claims)
    at_50 = next(f for f in found.best_updates if f.condition == "50")
    assert [at_50.best.mean, at_50.shortest, at_50.longest] == pytest.approx([40, 4, 320])


def test_what_is_excluded_is_corrected_for_the_number_of_panels() -> None:
    for count in (1, 2, 6):
        made = [regimes(hill(lambda n: 5.0 * PER_EPOCH[n]), **{TASK: f"t{i}"}) for i in range(count)]
        found = updates(tabulate(joined(*made)))
        assert found is not None and len(found.exponents) == count
        one = next(c for c in found.claims if c.name.endswith("/updates") and c.at[0] in ("", "t0"))
        told = judge(found.claims, ())[one.name]
        tested = sum(c.p is not None and not c.why for c in found.claims)
        assert one.p is not None and told.p is not None and tested >= 2 * count
        assert one.p <= told.p <= min(1.0, tested * one.p + 1e-12)


def test_the_p_is_that_of_b_beyond_both_exponents_and_of_warmups_that_differ() -> None:
    """By hand: two-sided, of b over seeds against the farther of the exponent and that of random choices."""
    table = tabulate(regimes(hill(lambda n: 5.0 * PER_EPOCH[n], noise=0.02, seed=3)))
    found = updates(table)
    assert found is not None
    (e,), m = found.exponents, claim(found, "H2").leads[0][0]
    assert isinstance(m, Moments) and e.p_choices is not None
    for unit, b in (("updates", 0.0), ("epochs", e.epochs_b)):
        far = max(m.mean - max(b, e.chance), min(b, e.chance) - m.mean)
        assert claim(found, f"/{unit}").effect == interval(m._replace(mean=far))
        up, down = ((m.mean - max(b, e.chance)) / m.error, (min(b, e.chance) - m.mean) / m.error)
        p = min(1.0, 2 * min(float(student.sf(up, m.n - 1)), float(student.sf(down, m.n - 1))))
        assert claim(found, f"/{unit}").p == pytest.approx(max(p, e.p_choices))
        assert claim(found, f"/{unit}").p_same is None, "one can't show that an exponent is the true one"


def test_that_a_fixed_number_is_not_the_best_is_supported_on_either_side_of_it() -> None:
    """Best updates ~ size^b with b below 0, and above."""
    for best in (lambda n: 40.0 * 200 / PER_EPOCH[n], lambda n: 5.0 * PER_EPOCH[n]):
        found = studied(hill(best, noise=0.003))
        one = judge([claim(found, "/updates")], ())["updates//updates"]
        assert one.verdict is Verdict.SUPPORTED
        assert one.effect.lo is not None and 0 < one.effect.lo < one.effect.mean


def test_hypotheses_in_updates() -> None:
    def peak(size: int, u: float, s: int) -> float:
        return 0.8 + (0.02 if u and size == 500 else 0.0) + 1e-4 * np.sin(size + u + 7 * s)

    found = studied(peak)
    h1, h2 = found.hypotheses_in_updates
    assert verdict(found, "H1") is Verdict.SUPPORTED and "40 updates" in h1.text
    assert claim(found, "H1").effect.mean == pytest.approx(0.02, abs=1e-3)
    assert (h1.claim, h2.claim) == ("updates/H1", "updates/H2") and verdict(found, "H2") is Verdict.OPEN
    longer = studied(hill(lambda n: 5.0 * PER_EPOCH[n], noise=0.003))
    assert verdict(longer, "H2") is Verdict.SUPPORTED
    assert verdict(studied(hill(lambda n: 40.0, noise=0.003)), "H2") is Verdict.SAME
    shorter = studied(hill(lambda n: 40.0 * 200 / PER_EPOCH[n] ** 1.0, noise=0.003))
    assert verdict(shorter, "H2") is Verdict.OPPOSITE, "not: no difference of this size"
    assert "No number of updates" in studied(peak, IN_EPOCHS).hypotheses_in_updates[0].text


def test_incomplete_panels_and_other_studies() -> None:
    """AdamW of the seed's grid has other warmups at the smallest size; what has no pair of warmups has no
    exponent."""
    given = regimes(hill(lambda n: 40.0), IN_EPOCHS, seeds=2)
    kept = [
        r for r in given.rows if r.axes[WARMUP]["epochs"] in ((0, 1, 5) if r.axes[SIZE] == 50 else (0, 5, 20))
    ]
    found = updates(tabulate(replace(given, rows=tuple(kept))))
    assert (
        found is not None and len(found.best_updates) == 5 and round(found.best_updates[0].longest, 9) == 20
    )
    single = [r for r in given.rows if r.axes[WARMUP]["epochs"] in (0, 5)]
    lone = updates(tabulate(replace(given, rows=tuple(single))))
    assert (
        lone is not None
        and not lone.exponents
        and not lone.hypotheses_in_updates
        and len(lone.warmup_lengths) == 10
    )
    assert (
        updates(
            tabulate(results(np.full((1, 1, 2, 1, 2), 0.5), panels=("sgd",), sizes=("a",), warmups=(0, 1)))
        )
        is None
    )
