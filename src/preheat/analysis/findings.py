"""What an analysis says, as data: the contract between the statistics and every page, plot and file.

All numbers are of the study's metric on the test set unless said otherwise. `panel` is the labels of the
scientific axes other than treatment and condition, joined by ", " (for regimes: the optimizer; "" where there
are none). `condition` and `treatment` are labels, in the study's order. An interval is two-sided at 95 %.
Everything is computed from the records alone: no clock, no host, no path, so the same records give the same
text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from preheat.studies.regimes.findings import Gap, Milestone, Optimism, Updates

Verdict = Literal["supported", "contradicted", "not decided"]
Difference = Literal["better", "worse", "equivalent", "not decided"]
Bound = Literal["exact", "at least", "at most", "open"]


@dataclass(frozen=True)
class Estimate:
    """A mean over n seeds with its 95 % interval. n = 1 has no interval (lo = hi = None): a description only.

    bound: "at least" where the truth may lie above the mean by an unknown amount (hi is None), "at most"
    where below (lo is None), "open" where either (both are None).
    """

    mean: float
    lo: float | None
    hi: float | None
    n: int
    bound: Bound = "exact"


@dataclass(frozen=True)
class Cell:
    """One scientific setting at its chosen nuisance (peak rate), judged on the seeds that did not choose
    it."""

    panel: str
    condition: str
    treatment: str
    chosen: Mapping[str, str]
    values: tuple[float, ...]
    estimate: Estimate
    diverged: int
    runs: int


@dataclass(frozen=True)
class Effect:
    """Treatment minus baseline, paired by seed. p is adjusted (Holm) over all effects of the report.

    more_seeds: about how many more judging seeds would decide it, where it is not decided; else None.
    """

    panel: str
    condition: str
    treatment: str
    baseline: str
    estimate: Estimate
    p: float | None
    p_adjusted: float | None
    verdict: Difference
    more_seeds: int | None


@dataclass(frozen=True)
class BestSet:
    """The treatments that can't be told from the best one, at 95 % over all sets of the report together.

    `leader` has the highest mean.
    """

    panel: str
    condition: str
    leader: str
    members: tuple[str, ...]
    n: int


@dataclass(frozen=True)
class EdgePoint:
    """At one nuisance value: how many runs trained, of how many; and the mean metric of all of them."""

    value: float
    trained: int
    runs: int
    diverged: int
    mean: float | None


@dataclass(frozen=True)
class Edge:
    """The edge of stability in the numeric nuisance: the highest value at which training still works.

    edge: in the nuisance's own unit, the geometric mean over seeds; censored: how many seeds trained at every
    value or at none. ratio: edge over the baseline treatment's edge, as a factor (1 = unmoved), paired by
    seed; None for the baseline. Where more than a quarter of the seeds are censored to one side, an estimate
    is a bound (`Estimate.bound`). p_adjusted: Holm's over all ratios of the report; None where a bound leaves
    the direction open.
    """

    panel: str
    condition: str
    treatment: str
    points: tuple[EdgePoint, ...]
    edge: Estimate
    censored: int
    ratio: Estimate | None
    p_adjusted: float | None


@dataclass(frozen=True)
class Pooled:
    """The edge over the baseline's, all conditions of a panel together: per seed the mean over conditions, in
    log2.

    p_adjusted is Holm's over these alone: they are the few main comparisons; single conditions are a family
    of their own. change: the factor by which the ratio changes with each doubling of a numeric condition;
    None for other conditions. change_p, change_p_adjusted: of "the ratio does not depend on the condition",
    Holm's over these alone.
    """

    panel: str
    treatment: str
    baseline: str
    ratio: Estimate
    p: float | None
    p_adjusted: float | None
    change: Estimate | None = None
    change_p: float | None = None
    change_p_adjusted: float | None = None


@dataclass(frozen=True)
class Inside:
    """Inside the edge: the widest difference among treatments, and whether all are equivalent within the
    margin.

    value: the nuisance value used: the highest that is at most half of the highest at which everything
    trained, else that one. well: whether it is at most half of it, so that one may say "well inside the
    edge". seed_sd: the pooled standard deviation over seeds. widest: largest minus smallest treatment mean,
    and its interval.
    """

    panel: str
    condition: str
    value: float | None
    widest: Estimate | None
    seed_sd: float | None
    equivalent: bool
    text: str
    well: bool = True


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
class Rule:
    """The fitted rule warmup = a + b log2(condition), with intervals, and its comparison on held-out
    conditions."""

    panel: str
    intercept: Estimate
    slope: Estimate
    scores: tuple[RuleScore, ...]
    text: str


@dataclass(frozen=True)
class Curve:
    """A mean over seeds by progress: x and y as drawn, and the band of one standard deviation."""

    panel: str
    condition: str
    treatment: str
    what: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    lo: tuple[float, ...]
    hi: tuple[float, ...]
    n: int


@dataclass(frozen=True)
class Counts:
    """How many runs were planned, and how they ended; missing ones have no record."""

    planned: int
    done: int
    diverged: int
    failed: int
    missing: int


@dataclass(frozen=True)
class Findings:
    """Everything a report shows. `notes` are limits and surprises in words (one seed, missing runs, censored
    edges).

    updates, optimism, gaps, early (what probes measured, x in epochs), milestones: where the study has what
    they need.
    """

    name: str
    question: str
    answer: str
    metric: str
    goal: str
    margin: float
    treatment: str
    condition: str
    nuisance: str
    treatments: tuple[str, ...]
    conditions: tuple[str, ...]
    panels: tuple[str, ...]
    choosing: tuple[int, ...]
    judging: tuple[int, ...]
    counts: Counts
    cells: tuple[Cell, ...] = ()
    effects: tuple[Effect, ...] = ()
    best: tuple[BestSet, ...] = ()
    edges: tuple[Edge, ...] = ()
    pooled: tuple[Pooled, ...] = ()
    inside: tuple[Inside, ...] = ()
    hypotheses: tuple[Hypothesis, ...] = ()
    rules: tuple[Rule, ...] = ()
    curves: tuple[Curve, ...] = ()
    rates: tuple[Curve, ...] = ()
    updates: Updates | None = None
    optimism: tuple[Optimism, ...] = ()
    gaps: tuple[Gap, ...] = ()
    early: tuple[Curve, ...] = ()
    milestones: tuple[Milestone, ...] = ()
    runs: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = field(default=())
