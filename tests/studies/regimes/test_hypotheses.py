"""H1 to H4: what their p values are, few claims where nothing has an effect, planted effects are found."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cases import sampled
from fake_regimes import both_optimizers, joined, level
from fake_results import blank, noisy, results, study
from scipy.stats import t as student
from simulated import NULL, helped, null_studies, simulated, slack

from preheat.analysis.table import MISSING, Table
from preheat.analysis.tabulate import tabulate
from preheat.report.chapter import named, read
from preheat.stats.claims import Judged, Verdict, judge
from preheat.stats.estimates import Array, Moments, interval, moments, p_different, p_equivalent
from preheat.studies.regimes.hypotheses import benefit, hypotheses
from preheat.studies.regimes.hypothesis import Stated, lead
from preheat.studies.regimes.hypothesis import Tested as Found
from preheat.studies.regimes.surface import surfaces
from preheat.studies.regimes.updates_hypotheses import leads
from preheat.studies.regimes.warmup_grid import p_choices, warmup_grids

H1 = Stated("H1", "It peaks.", "how", "hypotheses", "accuracy", 0.01)


def stated_of(table: Table) -> dict[str, Found]:
    return {t.hypothesis.code: t for t in hypotheses(table)}


def alone(t: Found) -> Judged:
    """Judged as if nothing else were claimed."""
    return judge([t.claim], ())[t.claim.name]


def verdicts(table: Table) -> dict[str, Verdict]:
    """Each judged by itself."""
    return {code: alone(t).verdict for code, t in stated_of(table).items()}


# H1


def gain(*means: float, noise: float = 0.002, seeds: int = 8) -> Array:
    """[C, S]: a benefit with these means over seeds."""
    draw = np.random.default_rng(0).standard_normal((len(means), seeds))
    return np.asarray(means)[:, None] + noise * (draw - draw.mean(axis=1, keepdims=True))


@pytest.mark.parametrize(
    ("means", "verdict"),
    [
        ((0.0, 0.05, 0.0), Verdict.SUPPORTED),
        ((0.0, 0.0, 0.01, 0.05, 0.0), Verdict.SUPPORTED),
        ((0.05, 0.0, 0.05), Verdict.OPPOSITE),
        ((0.05, 0.0, -0.05, 0.0, 0.05), Verdict.OPPOSITE),
        ((0.0, 0.002, 0.0), Verdict.SAME),
        ((0.0, 0.002, 0.001, -0.002, 0.0), Verdict.SAME),
        ((0.0, 0.05, 0.051), Verdict.SAME),
        ((0.0, 0.05, 0.1), Verdict.OPPOSITE),
    ],
)
def test_a_peak_is_supported_refuted_or_too_small_as_the_arrays_have_it(means: Any, verdict: Verdict) -> None:
    found = alone(H1.peak(leads(gain(*means), 0.0)))
    assert found.verdict is verdict, found
    lead = max(min(m - means[0], m - means[-1]) for m in means[1:-1])
    assert found.effect.mean == pytest.approx(lead)
    assert alone(H1.peak(leads(gain(*means, noise=0.1), 0.0))).verdict is Verdict.OPEN, "in noise"


def test_h1s_p_is_an_intersection_union_test_with_bonferroni_over_sizes() -> None:
    """By hand: one-sided t tests over seeds of every interior size against both ends."""
    x = gain(0.0, 0.004, 0.002, -0.003, 0.001, noise=0.006, seeds=7)

    def above(d: Array, null: float) -> float:
        return float(student.sf((d.mean() - null) / (d.std(ddof=1) / math.sqrt(7)), 6))

    pairs = [[x[c] - x[0], x[c] - x[-1]] for c in (1, 2, 3)]
    up = min(1.0, 3 * min(max(above(d, 0.0) for d in row) for row in pairs))
    claim = H1.peak(leads(x, 0.0)).claim
    assert claim.effect.mean > 0 and claim.p == pytest.approx(min(1.0, 2 * up))
    less = max(min(1.0, 2 * min(above(-d, -0.01) for d in row)) for row in pairs)
    more = min(1.0, 3 * min(max(above(d, -0.01) for d in row) for row in pairs))
    assert claim.p_same == pytest.approx(max(less, more))
    y = -x - 10 * np.abs(x)
    dips = [[y[0] - y[c], y[-1] - y[c]] for c in (1, 2, 3)]
    low = max(min(1.0, 2 * min(above(d, 0.0) for d in row)) for row in dips)
    down = H1.peak(leads(y, 0.0)).claim
    assert down.effect.mean < 0 and down.p == pytest.approx(min(1.0, 2 * low))


def test_the_lead_of_the_best_interior_size_is_corrected_for_their_number() -> None:
    x = np.array([[0, 0, 0], [1, 2, 6], [0, 1, 1], [-1, 0, 0], [0, 0, 0]], dtype=np.float64)
    e = H1.peak(leads(x, 0.0)).claim.effect
    error = float(np.std([1, 2, 6], ddof=1)) / 3**0.5
    other = 2 / 3 - student.ppf(1 - 0.025 / 3, 2) * float(np.std([0, 1, 1], ddof=1)) / 3**0.5
    assert e.mean == 3 and e.n == 3 and e.lo == pytest.approx(other), "the largest lower limit of three sizes"
    one = H1.peak(leads(x[[0, 1, 4]], 0.0)).claim.effect
    assert one.lo == pytest.approx(3 - student.ppf(0.975, 2) * error)
    assert one.hi == e.hi == pytest.approx(3 + student.ppf(1 - 0.025 / 2, 2) * error), "the two ends"


def test_h1s_interval_excludes_what_its_verdict_says() -> None:
    """0 where a lead or none is shown; the margin, or its opposite, where no difference is; at any level."""
    draw, seen = np.random.default_rng(2), set()
    for _ in range(400):
        means = draw.choice([-0.03, -0.01, 0.0, 0.003, 0.01, 0.03], size=int(draw.integers(3, 6)))
        claim = H1.peak(leads(gain(*means, noise=float(draw.choice([0.002, 0.01, 0.03]))), 0.0)).claim
        for more in (0, 3):
            others = [replace(claim, name=f"{i}", p=1e-9, p_same=1e-9) for i in range(more)]
            found = judge([claim, *others], ("hypotheses",))[claim.name]
            lo, hi = found.effect.lo, found.effect.hi
            assert lo is not None and hi is not None and lo <= found.effect.mean <= hi
            seen.add(found.verdict)
            if found.verdict is Verdict.SAME:
                assert lo > -0.01 and hi < 0.01
            else:
                assert (found.verdict is Verdict.SUPPORTED) == (lo > 0)
                assert (found.verdict is Verdict.OPPOSITE) == (hi < 0)
    assert seen == set(Verdict)


def test_h1s_benefit_is_of_the_warmup_that_each_seed_likes_on_its_validation_set() -> None:
    validation, test = noisy((1, 3, 4, 1, 6), 1), noisy((1, 3, 4, 1, 6), 2)
    axes: dict[str, Any] = {"panels": ("sgd",), "sizes": (100, 20, 5), "rates": (0.1,)}
    (s,) = surfaces(tabulate(results(validation, test, **axes)))
    for c in range(3):
        for k in range(6):
            liked = 1 + int(validation[0, 2 - c, 1:, 0, k].argmax())
            assert benefit(s)[c, k] == pytest.approx(test[0, 2 - c, liked, 0, k] - test[0, 2 - c, 0, 0, k])


# H2


def test_h2_is_gated_by_a_test_that_the_warmups_differ() -> None:
    table = simulated(np.random.default_rng(0), blank(), NULL)
    gate = p_choices(next(g for g in warmup_grids(table) if g.panel == "sgd"))
    claim = stated_of(table)["H2"].claim
    assert gate is not None and gate > 0.1 and claim.p is not None and claim.p_same is not None
    assert claim.p >= gate and claim.p_same >= gate, (
        "neither a slope nor its absence, where the best is chance"
    )


def test_a_planted_slope_is_found_and_its_opposite_too() -> None:
    rng, table = np.random.default_rng(5), blank()
    best = np.array([4, 3, 2, 1, 0])
    fall = -0.05 * np.abs(np.arange(5) - best[:, None])[None, ..., None, None]
    truth = 0.9 + fall * np.ones((2, 1, 1, 1, 1))
    up = [verdicts(simulated(rng, table, truth))["H2"] for _ in range(10)]
    down = [verdicts(simulated(rng, table, truth[:, ::-1]))["H2"] for _ in range(10)]
    assert set(up) == {Verdict.SUPPORTED} and set(down) == {Verdict.OPPOSITE}


# All of them


def test_no_effect_rarely_shows_one() -> None:
    found = [verdicts(t) for t in null_studies()]
    for code in ("H1", "H2"):
        shown = [v[code] in (Verdict.SUPPORTED, Verdict.OPPOSITE) for v in found]
        assert np.mean(shown) <= slack(0.05, len(found)), code


def test_a_planted_peak_supports_h1() -> None:
    rng, table = np.random.default_rng(4), blank()
    found = [verdicts(simulated(rng, table, helped(0.06)))["H1"] for _ in range(sampled(60))]
    assert np.mean([v is Verdict.SUPPORTED for v in found]) > 0.8


def test_a_lead_of_a_little_more_than_the_margin_is_rarely_called_none() -> None:
    rng, table = np.random.default_rng(11), blank()
    found = [verdicts(simulated(rng, table, helped(0.0105), 0.004))["H1"] for _ in range(sampled(100))]
    assert np.mean([v is Verdict.SAME for v in found]) <= slack(0.05, len(found))


def test_of_a_loss_lower_is_better() -> None:
    rng = np.random.default_rng(6)
    table = simulated(rng, blank(), helped(0.06), 0.004)
    least = replace(table, validation=-table.validation, test=-table.test)
    turned = replace(least, study=replace(table.study, goal="min"))
    for code in ("H1", "H2"):
        one, other = stated_of(table)[code].claim, stated_of(turned)[code].claim
        assert one.p == pytest.approx(other.p) and one.effect.mean == pytest.approx(other.effect.mean)


def first(text: str) -> float:
    """The first signed number of a text."""
    found = re.search(r"[+-][\d.]+", text.replace("\N{MINUS SIGN}", "-"))
    assert found is not None, text
    return float(found[0])


def test_of_a_loss_effects_read_as_differences_of_it_everywhere() -> None:
    """Warmup lowers the loss most at the middle size: cards, rules and published claims say it with a minus."""
    x = simulated(np.random.default_rng(6), blank(), helped(0.06), 0.004)
    papers = [{"claim": "It peaks.", "source": "A", "setting": "any", "test": "hypotheses/H1"}]
    chapters = ("hypotheses", "rule", {"name": "published", "claims": papers})
    least = replace(x, validation=-x.validation, test=-x.test, study=replace(x.study, goal="min"))
    told = []
    for table in (x, least):
        seen = read(chapters, table, (), load=lambda _: None)  # type: ignore[arg-type, return-value]
        shown = {c.name: c.shown for c in seen.chapters}
        (row,) = shown["published"].tables[0].rows
        h1, rules = shown["hypotheses"].cards[0], shown["rule"].tables[1].rows
        dots = [d.mean for d in shown["rule"].plates[0].data.dots]
        texts = h1.effect, h1.text, row[3], rules[0][3]
        told.append([*map(first, texts), *dots])
        assert h1.state == "supported"
    assert told[1] == pytest.approx([-v for v in told[0]]) and told[0][0] > 0 and told[0][2] > 0


def test_a_slope_is_a_t_test_over_seeds_with_the_larger_p_of_the_gate() -> None:
    x = np.array([0.2, 0.5, 0.1, 0.7, 0.4])
    stated = Stated("H2", "", "", "hypotheses", "epochs", 0.3)
    m = moments(x)
    for gate in (0.0, 0.4):
        claim = stated.tested(m, gate=gate).claim
        assert claim.effect == interval(m)
        assert claim.p == max(p_different(m) or 0, gate) and claim.p_same == max(
            p_equivalent(m, 0.3) or 0, gate
        )
    one = stated.tested(moments([1.0])).claim
    assert (one.p, one.p_same, one.effect.lo) == (None, None, None) and "one seed" in one.why


def test_no_hypothesis_is_judged_while_runs_that_it_rests_on_are_missing() -> None:
    table = simulated(np.random.default_rng(4), blank(), helped(0.06), 0.004)
    state = table.state.copy()
    state[0, 2, 1, 0, 3] = MISSING
    half = replace(table, state=state)
    chapters = ("hypotheses", "rule")
    assert all(c.rests for c in read(chapters, table, (), load=lambda _: None).claims if not c.why)  # type: ignore[arg-type, return-value]
    seen = read(chapters, half, (), load=lambda _: None).verdicts  # type: ignore[arg-type, return-value]
    assert {v.why for v in seen.values() if v.at[0] in ("sgd", "")} >= {"runs are missing"}
    assert all(v.verdict is Verdict.OPEN for v in seen.values() if v.at[0] == "sgd")
    assert named(chapters)[0].keys() == {"hypotheses", "rule"}


# What is said


def test_hypotheses_only_for_warmup_against_data_size() -> None:
    of = study(seeds=4, scientific=("schedule.warmup",), condition="")
    bare = results(noisy((1, 1, 3, 4, 4)), of=of, panels=("sgd",), sizes=(1,))
    named_sizes = results(noisy((2, 3, 5, 4, 5)), sizes=("a", "b", "c"))
    assert hypotheses(tabulate(bare)) == hypotheses(tabulate(named_sizes)) == ()
    texts = {c: t.hypothesis.text for c, t in stated_of(tabulate(results(noisy((2, 2, 5, 4, 5))))).items()}
    assert "three data sizes" in texts["H1"] and "two tasks" in texts["H3"]


def test_hypotheses_say_only_what_the_numbers_do_not() -> None:
    table = tabulate(results(noisy((2, 5, 5, 4, 8))))
    texts = {code: t.hypothesis.text.replace("\xa0", " ") for code, t in stated_of(table).items()}
    assert all(w in texts["H1"] for w in ("with SGD", "with AdamW", "points at 100"))
    assert "With AdamW it is" in texts["H2"] and "run the study again" in texts["H3"]
    assert not any(re.search("not decided|supported|contradicted|the opposite is", t) for t in texts.values())


def test_a_study_at_one_peak_rate_has_no_h4_and_says_what_it_takes() -> None:
    found = stated_of(tabulate(joined(*both_optimizers(level, "validation"))))
    assert "several peak rates" in found["H4"].claim.why and found["H4"].claim.p is None
    assert alone(found["H4"]).verdict is Verdict.OPEN
    assert found["H1"].claim.p is not None, "without anything to choose the others are judged"


def test_the_best_row_of_smallest_leads() -> None:
    rows = ((Moments(2.0, 1.0, 9), Moments(1.0, 1.0, 9)), (Moments(0.5, 1.0, 9), Moments(4.0, 1.0, 9)))
    e = lead(rows, 0.9)
    parts = [[interval(m, 0.95) for m in row] for row in rows]
    assert e.mean == 1.0 and e.n == 9
    assert e.lo == max(min(p.lo for p in row) for row in parts)  # type: ignore[type-var]
    assert e.hi == max(min(p.hi for p in row) for row in parts)  # type: ignore[type-var]
