"""What is claimed of an effect, and the one verdict on it.

A claim says "the effect is above 0", of which two things can be wrong: there is no effect (`p`), or it is at
least the smallest size that matters, one way or the other (`p_same`). Claims are judged together: those of
the *primary* families share one budget of alpha by Holm, and every other family, which is *exploratory*, has
one of its own. At most one of the two null hypotheses of a claim is true, which Shaffer's form of
Holm's correction uses: with at least 1 - alpha nothing false is shown in a set, neither a difference that is
not there nor the absence of one as large as the margin.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from preheat.stats.estimates import (
    ALPHA,
    Estimate,
    Moments,
    bounded,
    factor,
    interval,
    more_seeds,
    p_different,
    p_equivalent,
    range_quantile,
    range_tail,
)
from preheat.stats.shares import Counted


class Verdict(StrEnum):
    """The only words for a claim."""

    SUPPORTED = "supported"
    OPPOSITE = "the opposite is shown"
    SAME = "no difference of this size"
    OPEN = "not decided"


Place = tuple[str, str, str]


class Spread(NamedTuple):
    """The range of k means, each with standard error `error` on `df` degrees of freedom, over n seeds."""

    range: float
    error: float
    k: int
    df: int
    n: int

    def within(self, level: float) -> Estimate:
        """range -+ q error with Tukey's q(level; k, df), cut at 0: it holds whichever two are the extreme
        ones."""
        half = range_quantile(level, self.k, self.df) * self.error if self.error > 0 else 0.0
        return Estimate(self.range, max(0.0, self.range - half), self.range + half, self.n)

    @property
    def p(self) -> float:
        """Of "all means are equal"; 1 where nothing varies."""
        return range_tail(self.range / self.error, self.k, self.df) if self.error > 0 else 1.0


@dataclass(frozen=True)
class Claim:
    """One claim with its raw numbers.

    name: its own on the page. at: (panel, condition, treatment), "" for all together. effect: in `unit`, with
    an uncorrected 95 % interval. margin: the smallest effect that matters, as the effect is counted. part:
    what an interval at another level is made of, in log2 where the effect is a factor; None where it has
    none. rests: the settings whose runs it rests on.
    plans: whether "about n more seeds" was found to hold for such a claim. why: what is missing, where it
    can't be tested.
    """

    name: str
    family: str
    at: Place
    effect: Estimate
    p: float | None
    p_same: float | None
    margin: float
    unit: str = ""
    part: Moments | Spread | Counted | None = field(default=None, repr=False)
    factor: bool = False
    rests: tuple[Place, ...] = field(default=(), repr=False)
    plans: bool = False
    why: str = ""

    def within(self, level: float) -> Estimate:
        """The effect with its interval at `level`."""
        if self.part is None:
            return self.effect
        part = self.part
        e = interval(part, level) if isinstance(part, Moments) else part.within(level)
        return factor(bounded(e, self.effect.bound)) if self.factor else bounded(e, self.effect.bound)


@dataclass(frozen=True)
class Judged:
    """A claim's verdict. effect: with the interval that belongs to the verdict, at `level`; p, p_same:
    corrected for the number of claims and for what earlier looks have spent, so that below 0.05 is shown."""

    name: str
    family: str
    primary: bool
    at: Place
    verdict: Verdict
    effect: Estimate
    level: float
    p: float | None
    p_same: float | None
    margin: float
    unit: str
    more_seeds: int | None
    why: str = ""

    @property
    def differs(self) -> bool:
        """Whether an effect is shown, either way."""
        return self.verdict in (Verdict.SUPPORTED, Verdict.OPPOSITE)


Verdicts = Mapping[str, Judged]


def few(n: int) -> str:
    """Why n seeds can't show anything, if so."""
    if n > 1:
        return ""
    return "one seed: a description, not a conclusion" if n else "no result yet"


def mean_claim(name: str, family: str, m: Moments, *, at: Place, margin: float, unit: str = "") -> Claim:
    """The claim that a mean is above 0, by Student's t."""
    ps = p_different(m), p_equivalent(m, margin)
    return Claim(name, family, at, interval(m), *ps, margin, unit, m if m.n else None, why=few(m.n))


def judge(
    claims: Sequence[Claim], primary: Sequence[str], *, alpha: float = ALPHA, later: float = ALPHA
) -> dict[str, Judged]:
    """{name: verdict}. primary: the families that share one budget. later: the alpha of the next look, by
    which "about n more seeds" is planned.

    >>> two = [mean_claim(f"{m}", "a", Moments(m, 1.0, 9), at=("", "", ""), margin=1.0) for m in (0.1, 4)]
    >>> [v.verdict.value for v in judge(two, ["a"]).values()]
    ['no difference of this size', 'supported']
    """
    names = [c.name for c in claims]
    assert len(set(names)) == len(names), "a claim's name is its own"
    sets: dict[str, list[Claim]] = {}
    for c in claims:
        sets.setdefault("" if c.family in primary else f"/{c.family}", []).append(c)
    found: dict[str, Judged] = {}
    for kind, some in sets.items():
        found |= {v.name: v for v in _judged(some, alpha, later, primary=not kind)}
    return {name: found[name] for name in names}


class Corrected(NamedTuple):
    """A claim's corrected p, whether it is below alpha, and the level of the interval that goes with it."""

    p: float | None
    shown: bool
    level: float


Pair = tuple[float | None, float | None]


def corrected(ps: Sequence[Pair], alpha: float) -> list[tuple[Corrected, Corrected]]:
    """Holm's step-down over both null hypotheses of every claim (p, p_same) with Shaffer's count (1986, doi
    10.1080/01621459.1986.10478341): at most one of a claim's two is true, so the smallest p is compared with
    alpha over the number of claims, and this number falls only where all that a claim tests was rejected. So
    with 1 - alpha nothing false is shown, of either kind. level: 1 - alpha over the number at that step, of
    which the interval excludes the null exactly where the claim is shown; 1 - alpha where nothing was tested.

    >>> found = corrected([(0.001, None), (0.04, None), (None, None)], 0.05)
    >>> [(c.shown, round(c.level, 4)) for c, _ in found]
    [(True, 0.975), (True, 0.95), (False, 0.95)]
    """
    nulls = sorted((p, i, kind) for i, pair in enumerate(ps) for kind, p in enumerate(pair) if p is not None)
    left = {i: sum(p is not None for p in pair) for i, pair in enumerate(ps)}
    out = {(i, kind): Corrected(None, False, 1 - alpha) for i in range(len(ps)) for kind in (0, 1)}
    claims, largest, stopped = sum(n > 0 for n in left.values()), 0.0, 0
    for p, i, kind in nulls:
        largest = max(largest, min(1.0, claims * p))
        shown = largest < alpha
        stopped = stopped or (
            0 if shown else claims
        )  # the number at the step that failed is that of all later ones
        out[i, kind] = Corrected(largest, shown, 1 - alpha / (stopped or claims))
        left[i] -= 1
        claims -= left[i] == 0
    return [(out[i, 0], out[i, 1]) for i in range(len(ps))]


def _judged(some: Sequence[Claim], alpha: float, later: float, *, primary: bool) -> list[Judged]:
    tested: list[Pair] = [(None, None) if c.why else (c.p, c.p_same) for c in some]
    count = max(1, sum(pair != (None, None) for pair in tested))
    return [
        _one(c, found, primary=primary, plan=(alpha, later, count))
        for c, found in zip(some, corrected(tested, alpha), strict=True)
    ]


def _one(
    c: Claim, found: tuple[Corrected, Corrected], *, primary: bool, plan: tuple[float, float, int]
) -> Judged:
    (differ, same), (alpha, later, count) = found, plan
    verdict, level = Verdict.OPEN, differ.level
    if same.shown:  # a two-sided test against both margins at alpha has the interval at 1 - 2 alpha
        verdict, level = Verdict.SAME, 2 * same.level - 1
    elif differ.shown:
        verdict = Verdict.OPPOSITE if _sign(c) < 0 else Verdict.SUPPORTED  # one without a sign is shown
    more = _more(c, later, count) if verdict is Verdict.OPEN and c.plans else None
    return Judged(
        *(c.name, c.family, primary, c.at, verdict, c.within(level), level),
        *(_paid(differ.p, alpha), _paid(same.p, alpha), c.margin, c.unit, more, c.why),
    )


def _paid(p: float | None, alpha: float) -> float | None:
    """A corrected p as it compares with 0.05, where alpha is left of it."""
    return None if p is None else min(1.0, p * ALPHA / alpha)


def _sign(c: Claim) -> float:
    mean = c.effect.mean
    return math.log2(mean) if c.factor and mean > 0 else mean


def _more(c: Claim, alpha: float, count: int) -> int | None:
    """About how many more seeds would decide, at the next look's alpha."""
    m = c.part
    if not isinstance(m, Moments):
        return None
    level = alpha / count
    return more_seeds(m, [(abs(m.mean), level / 2), (c.margin - abs(m.mean), level)])


LOOK = 0.8  # the share of what is left of alpha that a look spends


def budget(look: int, alpha: float = ALPHA) -> float:
    """What the look number `look` (0 for the first) may spend of alpha: 4/5 of it, then 4/5 of the rest, so
    that all looks together never spend more than alpha.

    >>> [round(budget(k), 4) for k in range(3)]
    [0.04, 0.008, 0.0016]
    """
    return alpha * LOOK * (1 - LOOK) ** look
