"""Cells, effects, main effects and best sets: paired, signed, and as rarely wrong as they say."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cases import sampled
from fake_results import RATES, blank, filled, noisy, results, study
from simulated import helped, null_studies, simulated, slack

from preheat.analysis.effects import best_sets, cells, effects, main_effects
from preheat.analysis.table import Table
from preheat.analysis.tabulate import tabulate
from preheat.report.chapter import named
from preheat.report.chapters.best import members
from preheat.stats.claims import Claim, Verdict, judge
from preheat.stats.estimates import Moments, interval, moments, p_different, p_equivalent
from preheat.stats.moderated import moderated
from preheat.studies.regimes.grid import REPORTED


def verdicts(claims: list[Claim], *primary: str) -> dict[str, Verdict]:
    return {name: v.verdict for name, v in judge(claims, primary).items()}


def differing(claims: list[Claim]) -> bool:
    return any(v in (Verdict.SUPPORTED, Verdict.OPPOSITE) for v in verdicts(claims).values())


# Settings


def test_a_cell_tells_what_was_chosen_how_many_were_lost_and_the_mean_of_the_rest() -> None:
    test = np.full((1, 1, 2, 2, 8), 0.9)
    test[0, 0, 1, 1, 6:] = 0.1
    validation = np.where(np.arange(2)[:, None] == (np.arange(8) < 5), 0.9, 0.5) * np.ones((1, 1, 2, 1, 1))
    outcome = np.full(test.shape, "done", dtype="U8")
    outcome[0, 0, 1, 0, 5] = "diverged"
    first, second = cells(tabulate(results(validation, test, outcome=outcome, rates=(0.1, 0.2))))
    assert first.chosen == {"peak_lr": "0.1 (3), 0.2 (5)"} and second.chosen == {
        "peak_lr": "0.1 (2), 0.2 (6)"
    }
    assert (first.lost.k, first.lost.n, second.lost.k, second.lost.n) == (0, 8, 0, 8)
    assert second.estimate.mean == pytest.approx(0.9) and second.runs == 16 and second.diverged == 1
    lost = cells(tabulate(results(1 - validation + 0.5, test, outcome=outcome, rates=(0.1, 0.2))))[1]
    assert (lost.lost.k, lost.lost.n, lost.survivors.n) == (2, 8, 6)
    assert lost.survivors.mean == pytest.approx(0.9) and lost.estimate.mean == pytest.approx(0.7)


def test_a_cell_without_a_result_has_no_number() -> None:
    outcome = np.full((1, 1, 2, 1, 3), "done", dtype="U8")
    outcome[0, 0, 1] = "failed"
    cell = cells(tabulate(results(np.full(outcome.shape, 0.9), outcome=outcome)))[1]
    assert cell.values == () and cell.lost.n == 0 and math.isnan(cell.estimate.mean)
    assert cell.chosen == {"peak_lr": ""}


# Effects


def test_effects_are_paired_and_a_claim_above_zero_means_better_whatever_the_goal() -> None:
    test = noisy((1, 2, 2, 1, 8), noise=0.2)
    test[0, :, 1] = test[0, :, 0] - 0.05 + noisy((1, 8), 1, 0.001) - 0.9
    table = tabulate(results(test))
    differences = test[0, 0, 1, 0] - test[0, 0, 0, 0]
    for goal, sign, verdict in (("max", 1.0, Verdict.OPPOSITE), ("min", -1.0, Verdict.SUPPORTED)):
        (effect, _), (claim, _) = effects(replace(table, study=replace(table.study, goal=goal)))
        assert (effect.baseline, effect.treatment, effect.estimate.n) == ("0ep", "1ep", 8)
        assert effect.estimate.mean == pytest.approx(differences.mean()), "an effect keeps its own sign"
        assert claim.effect.mean == pytest.approx(sign * differences.mean())
        assert verdicts([claim]) == {"benefit//100/1ep".replace("//", "/sgd/"): verdict}
        assert claim.margin == table.study.margin
        assert claim.rests == (("sgd", "100", "1ep"), ("sgd", "100", "0ep"))


@pytest.mark.parametrize("goal", ["max", "min"])
def test_main_effects_are_those_of_plain_numpy(goal: str) -> None:
    """Two panels, three sizes, three warmups, four rates, six seeds: means over sizes, paired by seed."""
    sign = 1.0 if goal == "max" else -1.0
    validation, test = noisy((2, 3, 3, 4, 6), 1), noisy((2, 3, 3, 4, 6), 2)
    of = study(seeds=6, goal=goal)
    table = tabulate(results(validation, test, of=of))
    index = (sign * validation).argmax(axis=3)[:, :, :, None]
    tuned = np.take_along_axis(test, index, axis=3)[:, :, :, 0]
    x = np.log2(RATES)
    rated = np.trapezoid(np.moveaxis(test, 3, -1), x, axis=-1) / (x[-1] - x[0])
    found, claims = main_effects(table)
    named = {c.name: c for c in claims}
    assert len(found) == 4 and len(named) == 8 and all(c.family == "main" and not c.plans for c in claims)
    for measure, values in (("tuned", tuned), ("over_rates", rated)):
        each = (values[:, :, 1:] - values[:, :, :1]).mean(axis=1)
        raw = [Moments(d.mean(), d.std(ddof=1), 6) for d in each.reshape(4, 6)]
        for e, m, shrunk in zip(found, raw, moderated(raw), strict=True):
            told = getattr(e, measure)
            assert (told.mean, told.lo, told.hi) == pytest.approx(
                (interval(m).mean, interval(m).lo, interval(m).hi)
            )
            claim = named[f"{measure}/{e.panel}/{e.treatment}"]
            assert claim.effect.mean == pytest.approx(sign * m.mean)
            assert claim.p == pytest.approx(p_different(shrunk))
            assert claim.p_same == pytest.approx(p_equivalent(shrunk, of.margin))
            assert len(claim.rests) == 6 and claim.at == (e.panel, "", e.treatment)


def test_main_effects_leave_out_conditions_that_lack_a_treatment_and_seeds_that_lack_a_condition() -> None:
    test = noisy((1, 3, 3, 1, 5), 3)
    given = results(test, rates=(0.1,))
    rows = [
        r
        for r in given.rows
        if (r.axes["task.examples_per_class"], r.axes["schedule.warmup"]["epochs"]) != (100, 5.0)
    ]
    at = rows.index(next(r for r in rows if r.seed == 4 and r.axes["schedule.warmup"] == {"epochs": 1.0}))
    rows[at] = replace(rows[at], outcome="missing", summary={})
    found, claims = main_effects(tabulate(replace(given, rows=tuple(rows))))
    one, two = found
    each = (test[0, :, 1:, 0] - test[0, :, :1, 0]).swapaxes(0, 1)
    assert one.tuned.n == 4 and one.tuned.mean == pytest.approx(each[0].mean(axis=0)[:4].mean())
    assert two.tuned.n == 5 and two.tuned.mean == pytest.approx(each[1, 1:].mean(axis=0).mean())
    assert {c.name: (c.family, len(c.rests)) for c in claims} == {
        "tuned/sgd/1ep": ("main", 6),
        "tuned/sgd/5ep": ("main_some", 4),
    }
    assert one.over_rates is None and one.sensitivity is None, "one rate only"


def test_between_runs_that_did_not_finish_all_is_equal_and_that_is_no_result() -> None:
    """AdamW diverged everywhere: no difference is called shown to be absent. Where only the treatment trained,
    the difference is still shown."""
    outcome = np.full((2, 2, 3, 2, 5), "done", dtype="U8")
    outcome[1] = "diverged"
    found = judge(main_effects(tabulate(results(noisy(outcome.shape), outcome=outcome)))[1], ("main",))
    lost = [v for v in found.values() if v.at[0] == "adamw"]
    assert len(lost) == 4 and {v.verdict for v in lost} == {Verdict.OPEN}
    assert {v.why for v in lost} == {"no tuned run finished"}
    outcome[1, :, 1, 0, 1:3], outcome[1, 0, 1, 0] = "done", "done"
    found = judge(main_effects(tabulate(results(noisy(outcome.shape), outcome=outcome)))[1], ("main",))
    assert found["tuned/adamw/1ep"].verdict is Verdict.SUPPORTED and not found["tuned/adamw/1ep"].why
    assert found["tuned/adamw/1ep"].p_same is None and found["tuned/adamw/5ep"].verdict is Verdict.OPEN


# Simulated studies


def test_no_effect_gives_few_claims_in_a_whole_study() -> None:
    single = [differing(effects(t)[1]) for t in null_studies()]
    together = [differing(main_effects(t)[1]) for t in null_studies()]
    assert np.mean(single) <= slack(0.05, len(single))
    assert np.mean(together) <= slack(0.05, len(together))


def test_choosing_and_reporting_on_the_same_numbers_would_claim_too_much() -> None:
    """The winner's curse: the best of five warmups tested on the seeds that chose it. This is what must not
    be done."""

    def naive(table: Table) -> list[bool]:
        x = table.test[..., 0, :].reshape(10, 5, 8)
        tops = x.mean(axis=-1).argmax(axis=1)
        return [top > 0 and p_different(moments(x[i, top] - x[i, 0])) < 0.05 for i, top in enumerate(tops)]  # type: ignore[operator]

    claims = np.array([naive(t) for t in null_studies()])
    assert claims.mean() > slack(0.05, claims.size)
    assert claims.any(axis=1).mean() > 5 * 0.05


def test_a_planted_effect_is_found_and_its_warmup_kept() -> None:
    rng, table = np.random.default_rng(4), blank()
    studies = [simulated(rng, table, helped(0.06)) for _ in range(sampled(60))]
    seen = [verdicts(effects(t)[1])["benefit/sgd/20/5ep"] for t in studies]
    assert np.mean([v is Verdict.SUPPORTED for v in seen]) > 0.5
    strong = [left(simulated(rng, table, helped(0.12))) for _ in range(sampled(60))]
    assert all("5ep" in kept["sgd"] for kept in strong)
    assert np.mean(["0ep" not in kept["sgd"] for kept in strong]) > 0.9


def left(table: Table) -> dict[str, set[str]]:
    """{panel: the treatments of which none is shown to be better}."""
    made = {**judge(best_sets(table)[1], ()), **judge(main_effects(table)[1], ())}
    base = table.treatments.labels[table.base]
    return {s.panel: set(members(s, made, base)) for s in best_sets(table)[0]}


def test_best_sets_claim_every_pair_once_and_leave_those_with_the_baseline_to_the_main_effects() -> None:
    test = noisy((1, 2, 3, 1, 6), 5)
    (found,), (claim,) = best_sets(tabulate(results(test, panels=("sgd",), rates=(0.1,))))
    assert found.n == 6 and found.treatments == ("0ep", "1ep", "5ep")
    means = test[0, :, :, 0].mean(axis=0)
    assert found.leader == found.treatments[int(means.mean(axis=1).argmax())]
    assert claim.name == "best/sgd/5ep/1ep" and claim.effect.mean == pytest.approx(
        (means[2] - means[1]).mean()
    )


@pytest.mark.parametrize("seeds", [3, 8])
def test_the_best_stays_in_the_set(seeds: int) -> None:
    """The hardest case: all are equal, so each is a best one. At most 5 % of reports drop any from any of
    their sets."""
    rng, table = np.random.default_rng(6), blank((2, 5, 5, 1, seeds))
    dropped = [any(len(s) < 5 for s in left(simulated(rng, table)).values()) for _ in range(sampled(150))]
    assert np.mean(dropped) <= slack(0.05, len(dropped))


def test_equivalence_is_found_where_it_holds_and_rarely_where_it_does_not() -> None:
    rng = np.random.default_rng(7)
    table = blank((1, 2, 2, 1, 8), panels=("sgd",), sizes=(50, 5), warmups=(0, 5))
    quiet = [v for _ in range(60) for v in verdicts(effects(simulated(rng, table, noise=0.001))[1]).values()]
    assert np.mean([v is Verdict.SAME for v in quiet]) > 0.9
    apart = 0.9 + np.array([0.0, 0.0101])[None, None, :, None, None]
    wrong = [
        Verdict.SAME in verdicts(effects(simulated(rng, table, apart, 0.002))[1]).values()
        for _ in range(sampled(200))
    ]
    assert np.mean(wrong) <= slack(0.05, len(wrong))


# Bad input

POOR: dict[str, Any] = {
    "one seed": noisy((2, 3, 3, 4, 1)),
    "one treatment": noisy((2, 3, 1, 4, 4)),
    "one of everything": noisy((1, 1, 1, 1, 1)),
    "a constant metric": np.full((2, 3, 3, 4, 5), 0.5),
    "scores that are not finite": np.full((2, 3, 3, 4, 5), np.nan),
}


def poor(name: str) -> Table:
    if name in POOR:
        return tabulate(results(POOR[name]))
    if name == "no numeric nuisance":
        return tabulate(results(noisy((2, 3, 3, 1, 5)), of=study(seeds=5, nuisance=())))
    if name == "no baseline":
        given = results(noisy((2, 3, 3, 4, 5)), of=study(seeds=5, baseline={"epochs": 0.0}))
        rows = tuple(r for r in given.rows if r.axes["schedule.warmup"]["epochs"])
        return tabulate(replace(given, rows=rows))
    shape = (2, 3, 3, 4, 5)
    return tabulate(results(noisy(shape), outcome=np.full(shape, name)))


@pytest.mark.parametrize(
    "name", [*POOR, "failed", "diverged", "missing", "no numeric nuisance", "no baseline"]
)
def test_poor_input_raises_nothing_and_claims_nothing(name: str) -> None:
    table = poor(name)
    chapters, _ = named([c for c in REPORTED if c not in ("curves", "probes", "protocols")])
    claims = [c for one in chapters.values() for c in getattr(one.find(table, ()), "claims", ())]
    judged = judge(claims, ("main", "edge", "hypotheses"))
    if name not in ("no numeric nuisance", "no baseline"):
        assert {v.verdict for v in judged.values()} <= {Verdict.OPEN}
    if name == "one seed":
        assert claims and all(c.why for c in claims)
    assert all(c.why or c.p is not None for c in claims), "what is not tested says why"


def test_a_table_of_noise_in_one_seed_says_nothing_of_the_others() -> None:
    """A seed without a score at one rate is judged at the others; without any it is left out of its pairs."""
    x = noisy((1, 2, 2, 3, 5))
    hidden = x.copy()
    hidden[0, 0, 1, :, 4] = np.nan
    table = filled(tabulate(results(x, rates=RATES[:3])), hidden, hidden)
    found, _ = effects(table)
    assert [e.estimate.n for e in found] == [4, 5]
