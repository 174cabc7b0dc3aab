"""H1 to H4: p values fit their verdicts, few claims where nothing has an effect, planted effects are
found."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from cases import sampled
from fake_regimes import both_optimizers, joined, level
from fake_results import blank, noisy, results, study
from simulated import NULL, helped, null_studies, sensitive, simulated, slack

from preheat.analysis.table import Table
from preheat.analysis.tabulate import tabulate
from preheat.studies.regimes.hypotheses import hypotheses


def two_tasks(truth: Any, seed: int) -> Table:
    of = study(seeds=8, scientific=("task.examples_per_class", "schedule.warmup", "task.name"))
    table = tabulate(results(np.zeros((2, 5, 5, 1, 8)), of=of, tasks=("digits", "other"), rates=(0.1,)))
    return simulated(np.random.default_rng(seed), table, truth, own=0)


def test_supported_is_p_below_five_percent_and_an_effect_above_zero() -> None:
    """Also where the one-sided p is below 0.05 and the two-sided one is not: the interval then holds 0."""
    rng, table = np.random.default_rng(0), blank()
    pattern = 0.9 + 0.02 * rng.standard_normal((1, 5, 5, 1, 1)).repeat(2, axis=0)
    truths = (NULL, sensitive("sgd"), sensitive("adamw"), pattern, 0.9 + 0.12 * (sensitive("sgd") - 0.9))
    studies = [simulated(rng, table, t, own=0) for t in truths for _ in range(25)]
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


@pytest.mark.parametrize("code", ["H1", "H2", "H4"])
def test_no_effect_rarely_supports_a_hypothesis(code: str) -> None:
    found = [h.verdict for t in null_studies()[:200] for h in hypotheses(t) if h.code == code]
    assert len(found) == min(200, len(null_studies()))
    assert np.mean([v == "supported" for v in found]) <= slack(0.05, len(found))


def test_a_planted_effect_supports_h1_and_h4() -> None:
    rng = np.random.default_rng(4)
    table, truth = blank(), helped(0.06)
    found = [simulated(rng, table, truth) for _ in range(sampled(120))]
    verdicts = np.array([[h.verdict == "supported" for h in hypotheses(t)] for t in found])
    assert verdicts[:, 0].mean() > 0.8
    assert verdicts[:, 3].mean() > 0.8


def test_a_planted_slope_is_found_and_its_opposite_contradicted() -> None:
    rng = np.random.default_rng(5)
    best = np.array([4, 3, 2, 1, 0])
    truth = 0.9 - 0.05 * np.abs(np.arange(5) - best[:, None])[None, ..., None, None] * np.ones(
        (2, 1, 1, 1, 1)
    )
    table = blank()
    up = [hypotheses(simulated(rng, table, truth))[1].verdict for _ in range(40)]
    down = [hypotheses(simulated(rng, table, truth[:, ::-1]))[1].verdict for _ in range(40)]
    assert np.mean([v == "supported" for v in up]) > 0.9
    assert np.mean([v == "contradicted" for v in down]) > 0.9


def test_what_is_just_large_enough_is_rarely_contradicted() -> None:
    """H1 with a lead of a little more than the margin, H4 with a variance of a little more than its
    square."""
    rng = np.random.default_rng(11)
    table, pattern = blank(), np.random.default_rng(0).standard_normal((5, 5))
    pattern -= pattern.mean(axis=1, keepdims=True)
    pattern *= math.sqrt(1.05e-4 / float(pattern.var(axis=1, ddof=1).mean()))
    spread = 0.9 + np.stack([pattern, np.zeros((5, 5))])[..., None, None]
    found = [
        (
            hypotheses(simulated(rng, table, helped(0.0105), 0.004))[0].verdict,
            hypotheses(simulated(rng, table, spread))[3].verdict,
        )
        for _ in range(sampled(100))
    ]
    assert np.mean([h1 == "contradicted" for h1, _ in found]) <= slack(0.05, len(found))
    assert np.mean([h4 == "contradicted" for _, h4 in found]) <= slack(0.05, len(found))


# What is said


def test_hypotheses_only_for_warmup_against_data_size() -> None:
    of = study(seeds=4, choosing=1, scientific=("schedule.warmup",), condition="")
    bare = results(noisy((1, 1, 3, 4, 4)), of=of, panels=("sgd",), sizes=(1,))
    named = results(noisy((2, 3, 5, 4, 5)), sizes=("a", "b", "c"))
    assert hypotheses(tabulate(bare)) == hypotheses(tabulate(named)) == ()
    texts = {h.code: h.text for h in hypotheses(tabulate(results(noisy((2, 2, 5, 4, 5)))))}
    assert "three data sizes" in texts["H1"] and "two tasks" in texts["H3"]


def test_hypotheses_say_only_what_the_numbers_do_not() -> None:
    texts = {h.code: h.text for h in hypotheses(tabulate(results(noisy((2, 5, 5, 4, 8)))))}
    assert (
        "with SGD" in texts["H1"]
        and "with AdamW" in texts["H1"]
        and "points at 100" in texts["H1"].replace("\xa0", " ")
    )
    assert "With AdamW it is" in texts["H2"] and "run the study again" in texts["H3"]
    assert not any(
        re.search("not decided|supported|contradicted|judging seeds", t, re.I) for t in texts.values()
    )


def test_hypotheses_without_a_choosing_seed_name_what_sets_one_apart() -> None:
    h1 = hypotheses(tabulate(joined(*both_optimizers(level, "validation"))))[0]
    assert h1.verdict == "not decided" and "--tune-lr" in h1.text and "choosing to 1 or more" in h1.text
