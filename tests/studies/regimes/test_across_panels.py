"""Hypotheses that compare panels: H3 between tasks, H4 between optimizers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cases import sampled
from fake_results import blank, results, study
from simulated import helped, sensitive, simulated, slack

from preheat.analysis.tabulate import tabulate
from preheat.studies.regimes.across_panels import _apart, _kernel, _pseudo
from preheat.studies.regimes.hypotheses import hypotheses


def test_variance_between_warmups_is_free_of_the_seeds_noise() -> None:
    rng = np.random.default_rng(0)
    truth = np.array([0.0, 1.0, 2.0])
    x = truth[None, :, None] + 3.0 * rng.standard_normal((400, 3, 4))
    kernel = _kernel(x)
    assert _apart(kernel) == pytest.approx(1.0, abs=0.4)
    assert x.mean(axis=2).var(axis=1, ddof=1).mean() > 2.5
    assert _pseudo(kernel).mean() == pytest.approx(_apart(kernel))


def text_of_h4(truth: Any, noise: float = 0.004) -> tuple[str, str]:
    h = hypotheses(simulated(np.random.default_rng(3), blank(), truth, noise, own=0))[3]
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


def test_the_same_sensitivity_rarely_supports_h4() -> None:
    rng = np.random.default_rng(2)
    table, truth = blank(), helped(0.05)
    truth[1] = truth[0]
    found = [hypotheses(simulated(rng, table, truth))[3].verdict for _ in range(sampled(200))]
    assert np.mean([v == "supported" for v in found]) <= slack(0.05, len(found))


@pytest.mark.parametrize("seeds", [6, 8])
def test_unrelated_tasks_rarely_support_h3(seeds: int) -> None:
    of = study(seeds=seeds, scientific=("task.examples_per_class", "schedule.warmup", "task.name"))
    table = tabulate(results(np.zeros((2, 5, 5, 1, seeds)), of=of, tasks=("digits", "other"), rates=(0.1,)))
    rng = np.random.default_rng(3)
    found = [hypotheses(simulated(rng, table))[2] for _ in range(sampled(200))]
    assert np.mean([h.verdict == "supported" for h in found]) <= slack(0.05, len(found))
    shared = 0.9 + 0.05 * np.random.default_rng(0).random((1, 5, 5, 1, 1)).repeat(2, axis=0)
    assert (
        np.mean([hypotheses(simulated(rng, table, shared))[2].verdict == "supported" for _ in range(40)])
        > 0.9
    )
