"""What is called sure: p values fit their verdicts, families are corrected, contradictions are explained,
poor parts are named."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fake_results import PANELS, RATES, blank, filled, noisy, results, study
from test_analysis_inputs import Factor, Trained

from preheat.analysis.analyse import analyse
from preheat.analysis.effects import best_sets
from preheat.analysis.findings import Estimate
from preheat.analysis.inside_edge import insides
from preheat.analysis.table import Table
from preheat.analysis.tabulate import tabulate
from preheat.analysis.words import Units
from preheat.core.errors import UserError
from preheat.core.record import Series
from preheat.core.spec import Spec
from preheat.stats.estimates import moments
from preheat.studies.regimes.hypotheses import hypotheses
from preheat.studies.regimes.rules import rules
from preheat.studies.regimes.verdicts import Claim, concluded

NULL = 0.9
SPREAD = 0.9 + 0.03 * np.array(
    [-2.0, -1.0, 0.0, 1.0, 2.0]
)  # the score of five warmups where warmup matters much


def slack(rate: float, n: int) -> float:
    """The rate and three standard deviations of a binomial share."""
    return rate + 3 * math.sqrt(rate * (1 - rate) / n)


def drawn(rng: np.random.Generator, table: Table, truth: Any = NULL, noise: float = 0.01) -> Table:
    """A study: truth [P, C, T, V, 1] and noise, on a test set of 360."""
    return filled(
        table,
        *(np.round((truth + noise * rng.standard_normal(table.state.shape)) * 360) / 360 for _ in range(2)),
    )


def sensitive(*panels: str) -> Any:
    """The truth where warmup matters with these optimizers alone."""
    return np.stack([np.broadcast_to(SPREAD if p in panels else NULL, (5, 5)) for p in PANELS])[
        ..., None, None
    ]


def two_tasks(truth: Any, seed: int) -> Table:
    of = study(seeds=8, scientific=("task.examples_per_class", "schedule.warmup", "task.name"))
    table = tabulate(results(np.zeros((2, 5, 5, 1, 8)), of=of, tasks=("digits", "other"), rates=(0.1,)))
    return drawn(np.random.default_rng(seed), table, truth)


# p and verdict


def test_supported_is_p_below_five_percent_and_an_effect_above_zero() -> None:
    """Also where the one-sided p is below 0.05 and the two-sided one is not: the interval then holds 0."""
    rng, table = np.random.default_rng(0), blank()
    pattern = 0.9 + 0.02 * rng.standard_normal((1, 5, 5, 1, 1)).repeat(2, axis=0)
    truths = (NULL, sensitive("sgd"), sensitive("adamw"), pattern, 0.9 + 0.12 * (sensitive("sgd") - 0.9))
    studies = [drawn(rng, table, t) for t in truths for _ in range(25)]
    studies += [two_tasks(0.9 + (0.35, 1.0)[i % 2] * (pattern - 0.9), i) for i in range(80)]
    seen = [h for t in studies for h in hypotheses(t) if h.effect is not None and h.p is not None]
    for h in seen:
        assert h.effect is not None and h.p is not None
        assert (h.verdict == "supported") == (h.p < 0.05 and h.effect.mean > 0), h
    assert {(h.code, h.verdict == "supported") for h in seen} >= {
        ("H2", False),
        ("H4", True),
        ("H4", False),
        ("H3", True),
    }
    close = {
        h.code
        for h in seen
        if h.effect is not None and h.p is not None and h.effect.mean > 0 and 0.05 < h.p < 0.1
    }
    assert close == {"H1", "H2", "H3", "H4"}, "each has been where one-sided and two-sided differ"


# What a contradiction means


def text_of_h4(truth: Any, noise: float = 0.004) -> tuple[str, str]:
    h = hypotheses(drawn(np.random.default_rng(3), blank(), truth, noise))[3]
    return h.verdict, h.text


@pytest.mark.parametrize(
    ("panels", "verdict", "said"),
    [
        (
            (),
            "contradicted",
            "No difference of the size that matters: neither optimizer is sensitive to warmup here.",
        ),
        (
            ("adamw",),
            "contradicted",
            "AdamW is more sensitive to warmup than SGD here. The whole interval is below 0.",
        ),
        (("sgd",), "supported", "Beyond the seeds' noise"),
    ],
)
def test_a_contradicted_h4_says_which_case_it_is(panels: tuple[str, ...], verdict: str, said: str) -> None:
    found, text = text_of_h4(sensitive(*panels))
    assert found == verdict and text.startswith(said)


def test_two_optimizers_that_are_both_sensitive_are_not_called_insensitive() -> None:
    verdict, text = text_of_h4(sensitive("sgd", "adamw"), noise=0.0001)
    assert verdict == "contradicted" and text.startswith("No difference") and "equally sensitive" in text


def test_a_contradiction_that_leaves_the_opposite_open_says_so() -> None:
    claim = Claim("H2", "how", "epochs", 0.5, Units.of("accuracy"), "Nothing here.", "The opposite.")

    def text(mean: float, lo: float, hi: float) -> str:
        h = concluded(claim, [(moments([0.0, 1.0]), 1.0)], 0.5, effect=Estimate(mean, lo, hi, 5))
        assert h.verdict == "contradicted"
        return h.text

    assert text(0.0, -0.4, 0.4).startswith("Nothing here.")
    assert text(-1.0, -2.0, -0.1).startswith("The opposite.")
    assert text(-1.0, -3.0, 0.1).startswith(
        "No such effect of the size that matters; the opposite is not excluded."
    )


# Families


def test_bad_treatments_are_dropped_and_no_set_loses_its_best() -> None:
    rng, truth = np.random.default_rng(1), np.full((2, 5, 5, 1, 1), 0.9)
    truth[:, :, :2] = 0.6
    reports = [best_sets(drawn(rng, blank(), truth)) for _ in range(100)]
    assert np.mean([not {"0ep", "1ep"} & set(b.members) for found in reports for b in found]) > 0.9
    lost = [any(not {"5ep", "10ep", "20ep"} <= set(b.members) for b in found) for found in reports]
    assert np.mean(lost) <= slack(0.05, 100), "in a whole report"


def test_changes_that_are_not_there_are_rarely_sure_in_any_panel() -> None:
    rng, table, n = np.random.default_rng(2), blank((6, 5, 5, 1, 8), panels=tuple("abcdef")), 200
    wrong = [any("the change is sure" in r.text for r in rules(drawn(rng, table))) for _ in range(n)]
    assert np.mean(wrong) <= slack(0.05, n)
    best = 0.9 - 0.05 * np.abs(np.arange(5) - np.arange(5)[::-1][:, None])[None, ..., None, None]
    told = [r.text for _ in range(5) for r in rules(drawn(rng, table, best))]
    assert np.mean(["the change is sure" in t for t in told]) > 0.9


def test_rules_that_lose_more_than_the_margin_are_rarely_shown_to_lose_less() -> None:
    """Truth: every warmup but the longest loses a little more than the margin, so no warmup and 5 % of the
    run do too."""
    rng, table, n = np.random.default_rng(3), blank((4, 5, 5, 1, 8), panels=tuple("abcd")), 200
    truth = 0.9 - 0.0102 * (np.arange(5) < 4)[None, None, :, None, None]
    losing = re.compile(r"these are shown to lose.*(always 5%|no warmup|seed 0's rule)")
    wrong = [any(losing.search(r.text) for r in rules(drawn(rng, table, truth, 0.003))) for _ in range(n)]
    assert np.mean(wrong) <= slack(0.05, n)


def test_treatments_inside_the_edge_rarely_differ_by_chance_in_any_setting() -> None:
    rng, table, n = np.random.default_rng(4), blank((2, 5, 5, 1, 6)), 200
    wrong = [any(i.text == "the treatments differ" for i in insides(drawn(rng, table))) for _ in range(n)]
    assert np.mean(wrong) <= slack(0.05, n)


# Well inside


def test_a_value_above_half_of_the_edge_is_not_called_well_inside() -> None:
    score = noisy((2, 5, 5, 4, 8), noise=0.002)
    score[..., 3, :] = 0.12
    score[0, :3, 2, 1:, 0] = 0.12  # there only the lowest rate trains always
    f = analyse(results(score))
    assert [i.well for i in f.inside] == [False] * 3 + [True] * 7
    assert f.inside[0].value == RATES[0] and "no value as low as half of the edge" in f.inside[0].text
    assert "Well inside the edge (7 of 10 settings have a value so low), all choices" in f.answer
    assert "well inside the edge the length of warmup hardly matters" not in f.answer
    score[..., 1:, :] = 0.12
    none = analyse(results(score))
    assert not any(i.well for i in none.inside) and "ell inside" not in none.answer
    assert "none is as low as half of the edge" in none.answer


# Damaged traces


def test_a_damaged_trace_is_left_out_of_the_curves_and_said() -> None:
    given = results(noisy((1, 2, 2, 1, 5)), panels=("sgd",), sizes=(50, 5), warmups=(0, 20))
    rows = {r.run_id: r for r in given.rows}
    bad = {r.run_id for r in given.rows if r.seed == 3 and r.axes["task.examples_per_class"] == 50}

    def load(run_id: str, damaged: Any = frozenset(bad)) -> Any:
        if run_id in damaged:
            raise UserError(f"a stored trace must match its checksums; that of run {run_id} does not")
        run = type(
            "Run",
            (),
            {
                "task": Spec("digits"),
                "peak_lr": 0.1,
                "factor_over": Factor(rows[run_id].axes["schedule.warmup"]["epochs"]).resolve,
            },
        )
        return Trained(run, {"train_loss": Series(range(400), [float(rows[run_id].seed)] * 400)})  # type: ignore[arg-type]

    f = analyse(given, load)
    loss = {(c.condition, c.treatment): c for c in f.curves if c.what == "train_loss"}
    assert loss["50", "0ep"].n == 1 and set(loss["50", "0ep"].y) == {4.0} and loss["5", "0ep"].n == 2
    assert any(
        n.startswith("2 runs left out of the curves: their stored traces are damaged.") for n in f.notes
    )
    whole = analyse(given, lambda run_id: load(run_id, ()))
    assert not any("damaged" in n for n in whole.notes)
    assert replace(f, curves=(), rates=(), notes=()) == replace(whole, curves=(), rates=(), notes=())
    none = analyse(given, lambda run_id: load(run_id, rows))
    assert none.curves == () and any(n.startswith("8 runs left out") for n in none.notes)
