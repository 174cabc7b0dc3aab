"""From an effect to a verdict, and what a contradiction means."""

from __future__ import annotations

import pytest

from preheat.analysis.words import Units
from preheat.stats.estimates import Estimate, moments
from preheat.studies.regimes.verdicts import Claim, concluded, judge


@pytest.mark.parametrize(
    ("lo", "hi", "verdict"),
    [
        (0.001, 0.02, "supported"),
        (-0.02, 0.009, "contradicted"),
        (-0.02, 0.02, "not decided"),
        (None, None, "not decided"),
        (0, 0, "not decided"),
    ],
)
def test_verdicts(lo: float | None, hi: float | None, verdict: str) -> None:
    assert judge(Estimate(0.0, lo, hi, 3), 0.01) == verdict


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
