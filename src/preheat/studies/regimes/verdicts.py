"""From an effect with its interval to one of three verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from preheat.analysis.words import Units, capital
from preheat.stats.estimates import ALPHA, Estimate, Moments, more_seeds

STATEMENTS = {
    "H1": "The benefit of warmup peaks at intermediate data sizes.",
    "H2": "The best warmup, in epochs, gets shorter as the data get fewer.",
    "H3": "The pattern over data size and warmup replicates across tasks.",
    "H4": "AdamW is less sensitive to the length of the warmup than SGD.",
}

_NOT_SUCH = "No such effect of the size that matters; the opposite is not excluded."
Verdict = Literal["supported", "contradicted", "not decided"]


@dataclass(frozen=True)
class Hypothesis:
    """One of the study's hypotheses as a test: an effect in `unit` with an interval, and what follows from
    it.

    p: two-sided, as the interval is, so that supported means p < 0.05 and an effect above 0.
    text: what the effect, its interval and the verdict do not say by themselves.
    """

    code: str
    statement: str
    how: str
    effect: Estimate | None
    unit: str
    p: float | None
    verdict: Verdict
    more_seeds: int | None
    text: str


@dataclass(frozen=True)
class Claim:
    """A hypothesis as "the effect is above 0". smallest: the smallest effect of interest, in `unit`; units:
    the metric's.

    nothing, opposite: what a contradiction means where the effect is too small to matter either way, and
    where it is below 0.
    """

    code: str
    how: str
    unit: str
    smallest: float
    units: Units
    nothing: str
    opposite: str


def judge(effect: Estimate, smallest: float) -> Verdict:
    """supported: the whole interval is above 0. contradicted: all of it is below the smallest effect of
    interest.

    An interval without width is no evidence: nothing varied.
    """
    if effect.lo is None or effect.hi is None or effect.lo == effect.hi:
        return "not decided"
    if effect.lo > 0:
        return "supported"
    return "contradicted" if effect.hi < smallest else "not decided"


Ways = Sequence[tuple[Moments, float]]


def both_ways(claim: Claim, m: Moments) -> Ways:
    """What would decide: the mean's distance from 0, and from the smallest effect of interest."""
    return [(m, m.mean), (m, claim.smallest - m.mean)]


def concluded(claim: Claim, ways: Ways, p: float | None, *, effect: Estimate, text: str = "") -> Hypothesis:
    """The hypothesis with its verdict. ways: pairs of moments and the distance that an interval's end must
    clear.

    p must be two-sided, as the interval is: then supported means p < 0.05 and an effect above 0.
    """
    verdict = judge(effect, claim.smallest)
    numbers = [more_seeds(m, [(distance, ALPHA / 2)]) for m, distance in ways]
    more = min((n for n in numbers if n is not None), default=None) if verdict == "not decided" else None
    words = " ".join(w for w in (_remark(claim, effect, verdict, more), text) if w)
    return Hypothesis(
        claim.code, STATEMENTS[claim.code], claim.how, effect, claim.unit, p, verdict, more, words
    )


def undecided(claim: Claim, why: str, *, more: int | None = None) -> Hypothesis:
    """A hypothesis that the study at hand can't test, and what to run instead."""
    return Hypothesis(
        claim.code,
        STATEMENTS[claim.code],
        claim.how,
        None,
        claim.unit,
        None,
        "not decided",
        more,
        capital(why),
    )


def _remark(claim: Claim, effect: Estimate, verdict: Verdict, more: int | None) -> str:
    """What the numbers do not say by themselves."""
    if effect.lo is None or effect.hi is None:
        return "One judging seed gives a description only."
    if verdict == "contradicted":
        least = claim.units.amount(claim.smallest, claim.unit, sign=False)
        if effect.hi < 0:
            return f"{claim.opposite} The whole interval is below 0."
        which = claim.nothing if effect.lo > -claim.smallest else _NOT_SUCH
        return f"{which} The whole interval is below the smallest effect of interest, {least}."
    return "Nothing varied between seeds." if verdict == "not decided" and more is None else ""
