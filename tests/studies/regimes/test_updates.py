"""Epochs or updates: what is excluded, as often as it says, and H1 and H2 stated in updates."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cases import sampled
from fake_regimes import IN_BOTH, IN_EPOCHS, PER_EPOCH, SIZE, TASK, WARMUP, hill, joined, regimes
from fake_results import results

from preheat.analysis.tabulate import tabulate
from preheat.stats.estimates import t_quantile
from preheat.studies.regimes.updates import UpdatesFound, updates
from preheat.studies.regimes.updates_hypotheses import _lead
from preheat.studies.regimes.warmup_grid import Exponent


def exponents(kind: str, warmups: Any, *, times: int, noise: float = 0.01) -> list[Exponent]:
    best = {"updates": lambda n: 40.0, "epochs": lambda n: 5.0 * PER_EPOCH[n], "none": lambda n: None}[kind]
    made = (updates(tabulate(regimes(hill(best, noise=noise, seed=k), warmups))) for k in range(times))
    return [u.exponents[0] for u in made if u is not None]


def share(some: list[Exponent], unit: str) -> float:
    return float(np.mean([getattr(e, unit) == "excluded" for e in some]))


def covers(some: list[Exponent], b: float) -> float:
    return float(np.mean([(e.b.lo or 0.0) <= b <= (e.b.hi or 0.0) for e in some]))


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
    some = exponents("updates", IN_BOTH, times=16)
    assert covers(some, 0.0) >= 0.8 and covers(some, 1.0) <= 0.1
    assert share(some, "epochs") >= 0.85 and share(some, "updates") <= 0.13


def test_a_fixed_number_of_epochs_is_found_and_a_fixed_number_of_updates_excluded() -> None:
    some = exponents("epochs", IN_BOTH, times=16)
    assert covers(some, some[0].epochs_b) >= 0.8 and covers(some, 0.0) <= 0.1
    assert share(some, "updates") >= 0.85 and share(some, "epochs") <= 0.13


def test_without_any_effect_nothing_is_excluded_more_than_five_percent_of_the_time() -> None:
    some = exponents("none", IN_BOTH, times=sampled(60))
    # 2 of 20, or 6 of 60: more has a chance of 7 % (6 %) at 5 %
    assert share(some, "updates") <= 0.1 and share(some, "epochs") <= 0.1
    assert all("noise" in e.text for e in some if (e.p_choices or 0) >= 0.05)


def test_a_grid_in_epochs_forces_the_exponent_and_that_is_said() -> None:
    some = exponents("epochs", IN_EPOCHS, times=4, noise=0.003)
    for e in some:
        assert e.chance == pytest.approx(e.epochs_b, abs=0.05) and e.b.lo is not None and e.b.lo > 0.5
        assert e.low > 0 and e.updates == "out of reach" and "lies within the grid" in e.text


def test_choices_at_one_end_of_the_grid_exclude_nothing() -> None:
    some = exponents("epochs", IN_EPOCHS[:3], times=1, noise=0.0) + exponents(
        "updates", IN_BOTH[:1] + IN_BOTH[6:], times=1, noise=0.001
    )
    assert some[0].at_longest == 1 and "longest" in some[0].text and some[0].updates == "not decided"


def test_one_seed_is_a_description_and_a_warmup_in_both_units_counts_by_its_updates() -> None:
    found = updates(tabulate(regimes(hill(lambda n: 40.0, noise=0.0), seeds=1)))
    assert found is not None
    (e,) = found.exponents
    assert (e.updates, e.epochs, e.b.lo, e.p_choices) == ("not decided", "not decided", None, None)
    at_50 = next(f for f in found.best_updates if f.condition == "50")
    assert [at_50.best.mean, at_50.shortest, at_50.longest] == pytest.approx([40, 4, 320])
    assert [h.verdict for h in found.hypotheses_in_updates] == ["not decided"] * 2


def panels(count: int, **how: Any) -> UpdatesFound:
    """The same study under several names of its task."""
    made = [regimes(hill(lambda n: 5.0 * PER_EPOCH[n], **how), **{TASK: f"t{i}"}) for i in range(count)]
    found = updates(tabulate(joined(*made)))
    assert found is not None and len(found.exponents) == count
    return found


def test_what_is_excluded_is_corrected_for_the_number_of_panels() -> None:
    said = []
    for count in (1, 2, 6):
        e = panels(count, noise=0.015, seed=1).exponents[0]
        assert e.b.lo is not None and e.b.hi is not None and e.p_choices is not None and e.p_choices < 0.05
        half = (e.b.hi - e.b.lo) / 2 * t_quantile(1 - 0.025 / count, e.b.n - 1) / t_quantile(0.975, e.b.n - 1)
        said.append(e.updates)
        assert (e.updates == "excluded") == (e.b.mean - half > max(0.0, e.chance))
    assert said[0] == "excluded" and said[-1] == "not excluded"


def test_the_lead_of_the_best_interior_size_is_corrected_for_their_number() -> None:
    gain = np.array([[0, 0, 0], [1, 2, 6], [0, 1, 1], [-1, 0, 0], [0, 0, 0]], dtype=np.float64)
    e = _lead(gain, 0.0)
    half = t_quantile(1 - 0.025 / 3, 2) * np.std([1, 2, 6], ddof=1) / 3**0.5
    assert e.mean == 3 and e.lo is not None and e.hi is not None and e.n == 3
    assert e.hi == pytest.approx(3 + half) and e.lo >= 3 - half
    assert _lead(gain[[0, 1, 4]], 0.0).lo == pytest.approx(
        3 - half * t_quantile(0.975, 2) / t_quantile(1 - 0.025 / 3, 2)
    )


def test_hypotheses_in_updates() -> None:
    def peak(size: int, u: float, s: int) -> float:
        return 0.8 + (0.02 if u and size == 500 else 0.0) + 1e-4 * np.sin(size + u + 7 * s)

    h1, h2 = restated(peak)
    assert (
        h1.verdict == "supported"
        and h1.effect.mean == pytest.approx(0.02, abs=1e-3)
        and "40 updates" in h1.text
    )
    assert h2.verdict == "not decided"
    h1, h2 = restated(hill(lambda n: 5.0 * PER_EPOCH[n], noise=0.003))
    assert h2.verdict == "supported" and h2.p < 0.05
    assert restated(hill(lambda n: 40.0, noise=0.003))[1].verdict == "contradicted"
    assert "No number of updates" in restated(peak, IN_EPOCHS)[0].text


def restated(score: Any, warmups: Any = IN_BOTH) -> Any:
    found = updates(tabulate(regimes(score, warmups)))
    assert found is not None
    return found.hypotheses_in_updates


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
