"""What a study of data regimes says beside the common findings: epochs or updates, protocols, the first
epochs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from preheat.stats.estimates import Estimate

Exclusion = Literal["excluded", "not excluded", "not decided", "out of reach"]


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
class RuleScore:
    """A rule's mean shortfall to the best treatment on held-out conditions (regret, in the metric), with its
    interval."""

    name: str
    formula: str
    regret: Estimate
    picks: Mapping[str, float]


@dataclass(frozen=True)
class FittedRule:
    """The fitted rule warmup = a + b log2(condition), with intervals, and its comparison on held-out
    conditions."""

    panel: str
    intercept: Estimate
    slope: Estimate
    scores: tuple[RuleScore, ...]
    text: str


@dataclass(frozen=True)
class WarmupLength:
    """A setting's warmup in three units: updates, epochs, and the share of the run (0 to 1)."""

    panel: str
    condition: str
    treatment: str
    updates: float
    epochs: float
    share: float


@dataclass(frozen=True)
class Favourite:
    """The best warmup above none at one size, in updates: the geometric mean over judging seeds.

    shortest, longest: of the grid at this size.
    """

    panel: str
    condition: str
    per_epoch: float
    best: Estimate
    shortest: float
    longest: float


@dataclass(frozen=True)
class Exponent:
    """b of best updates ~ size^b, over judging seeds.

    epochs_b: what b is under a fixed number of epochs (about 1). low, high: the least and largest b that
    picks from the grid can give. chance, chance_lo, chance_hi: mean and central 95 % of b where the choice at
    each size is random. p_choices: of "the warmups above none do not differ", Holm's over panels.
    at_shortest, at_longest: the share of picks at the grid's ends. updates, epochs: whether a fixed number of
    them is excluded as the best; text: why, in words.
    """

    panel: str
    b: Estimate
    epochs_b: float
    low: float
    high: float
    chance: float
    chance_lo: float
    chance_hi: float
    p_choices: float | None
    at_shortest: float
    at_longest: float
    updates: Exclusion
    epochs: Exclusion
    text: str


@dataclass(frozen=True)
class Updates:
    """Warmups in updates, what is best in updates, and H1 and H2 stated in updates for one panel."""

    lengths: tuple[WarmupLength, ...]
    favourites: tuple[Favourite, ...]
    exponents: tuple[Exponent, ...]
    hypotheses: tuple[Hypothesis, ...]


@dataclass(frozen=True)
class Optimism:
    """Best over the epochs minus the last epoch, on the split that `selection` names, all treatments of a
    condition together.

    over: what the interval is over, "seeds" (each the mean over its treatments) or, with one seed,
    "settings". runs: how many. best, last: means.
    """

    panel: str
    condition: str
    selection: str
    best: float
    last: float
    optimism: Estimate
    over: str
    runs: int


@dataclass(frozen=True)
class Gap:
    """The original's number (best over epochs on the test split) minus the honest one (its value at the end).

    Paired by treatment and seed; gap = optimism + rest, where optimism is best minus last of the
    original protocol. panel: of the original protocol; condition: "5000 / 4500" where the two protocols'
    whole pools differ. over, runs: as in `Optimism`, of pairs of which both runs finished; dropped: how many
    did not.
    """

    panel: str
    condition: str
    best: float
    honest: float
    gap: Estimate
    optimism: Estimate
    rest: Estimate
    over: str
    runs: int
    dropped: int = 0


@dataclass(frozen=True)
class Milestone:
    """What a probe measured at an epoch: the mean over n seeds and the band that its curve has."""

    panel: str
    condition: str
    treatment: str
    what: str
    epoch: float
    mean: float
    lo: float
    hi: float
    n: int
