"""The rule warmup = a + b log2(examples per class), and what rules cost on data sizes they have not seen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from preheat.analysis.naming import within
from preheat.analysis.table import Table
from preheat.analysis.words import LEVEL, MINUS, Units, brief, capital
from preheat.stats.estimates import (
    Array,
    Estimate,
    Moments,
    below_alpha,
    holm,
    interval,
    moments,
    p_above,
    p_different,
    rounding,
)
from preheat.studies.regimes.original import piecewise
from preheat.studies.regimes.picks import favourites
from preheat.studies.regimes.surface import Surface, lines, surfaces


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


class RuleFit(NamedTuple):
    """A panel's rule, the slope's moments, the regrets' by the name of the rule, and whether a pick was cut
    to the grid."""

    rule: FittedRule
    slope: Moments
    regrets: dict[str, Moments]
    beyond: bool


def rules(table: Table) -> tuple[FittedRule, ...]:
    """One for each panel with three data sizes or more; none where the nuisance was chosen on the reported
    seeds.

    What a text calls sure or shown is corrected by Holm: slopes (two-sided t tests) over the panels, losses
    below the margin (one-sided t tests) over all rules of all panels.
    """
    if table.biased:
        return ()
    fits = [_fit(table, s) for s in surfaces(table) if len(s.sizes) >= 3 and s.n > 0]
    slopes = holm([p_different(f.slope) for f in fits])
    scored = [(i, name, m) for i, f in enumerate(fits) for name, m in f.regrets.items()]
    low = holm([p_above(Moments(table.study.margin - m.mean, m.sd, m.n)) for _, _, m in scored])
    fine = [(i, name) for (i, name, _), p in zip(scored, low, strict=True) if below_alpha(p)]
    out = []
    for i, (f, p) in enumerate(zip(fits, slopes, strict=True)):
        said = _text(table, f, sure=below_alpha(p), fine=[name for k, name in fine if k == i])
        out.append(replace(f.rule, text=capital(f"{within(table, f.rule.panel)} {said}".strip())))
    return tuple(out)


def _fit(table: Table, s: Surface) -> RuleFit:
    """The fit is per judging seed, its intervals are t intervals over seeds; regrets are per seed means over
    sizes."""
    a, b, floor = lines(s)
    change = moments(b, floor)
    intercept = interval(moments(a, floor * float(np.abs(s.doublings).mean())))
    slope = interval(change)
    fitted, beyond = held_out(s)
    sign = MINUS if slope.mean < 0 else "+"
    fits = (
        f"{brief(intercept.mean)} {sign} {brief(abs(slope.mean))} log2(n) epochs; at each size from a fit on "
        "the others"
    )
    tried: dict[str, tuple[str, Array]] = {
        "fitted rule": (fits, fitted),
        "the original rule": (
            "5 epochs from 1000 examples per class on, max(1, n // 200) from 100 on, else 1",
            np.array([piecewise(float(n)) for n in s.sizes]),
        ),
        "always 5%": ("5 % of the run", 0.05 * s.epochs),
        "no warmup": ("0 epochs", np.zeros(len(s.sizes))),
    }
    tried = {name: (formula, picks) for name, (formula, picks) in tried.items() if np.isfinite(picks).all()}
    reference = best_score(s)
    floor = rounding(table.step, 2) / math.sqrt(len(s.sizes))
    lost = {
        name: moments((reference - interpolated(s, picks)).mean(axis=0), floor)
        for name, (_, picks) in tried.items()
    }
    named = {
        n: {k: round(v, 4) for k, v in zip(s.labels, x.tolist(), strict=True)} for n, (_, x) in tried.items()
    }
    scores = tuple(RuleScore(n, text, interval(lost[n]), named[n]) for n, (text, _) in tried.items())
    return RuleFit(FittedRule(s.panel, intercept, slope, scores, ""), change, lost, beyond)


def held_out(s: Surface) -> tuple[Array, bool]:
    """[C]: the fitted rule's warmup at each size from a fit on the others, and whether a pick was cut to the
    grid."""
    y = favourites(s.warmup, s.judged).mean(axis=1)
    picks = np.empty(len(s.sizes))
    for c in range(len(s.sizes)):
        rest = np.arange(len(s.sizes)) != c
        x = s.doublings[rest] - s.doublings[rest].mean()
        slope = float(x @ y[rest] / (x @ x))
        picks[c] = y[rest].mean() + slope * (s.doublings[c] - s.doublings[rest].mean())
    kept = np.clip(picks, s.warmup.min(axis=1), s.warmup.max(axis=1))
    return kept, bool((kept != picks).any())


def interpolated(s: Surface, picks: Array) -> Array:
    """[C, S']: the judged score at a warmup that may lie between two of the grid's, linear between them."""
    out = [[np.interp(w, s.warmup[c], s.judged[c, :, k]) for k in range(s.n)] for c, w in enumerate(picks)]
    return np.array(out)


def best_score(s: Surface) -> Array:
    """[C, S']: the judged score of the treatment that other seeds like best.

    Other seeds are the choosing ones, or all judging ones but the seed itself where none choose. So the best
    is not picked for its luck, and a rule's regret may come out below 0.
    """
    rows = np.arange(len(s.sizes))
    if s.choosing.shape[2]:
        return np.asarray(s.judged[rows, s.choosing.mean(axis=2).argmax(axis=1)], dtype=np.float64)
    if s.n < 2:
        return np.full((len(rows), s.n), np.nan)
    rest = (s.judged.sum(axis=2, keepdims=True) - s.judged) / (s.n - 1)
    return np.take_along_axis(s.judged, np.round(rest, 12).argmax(axis=1)[:, None, :], axis=1)[:, 0, :]


def _text(table: Table, fit: RuleFit, *, sure: bool, fine: Sequence[str]) -> str:
    """sure: the slope is not 0, fine: the rules that lose less than the margin, both after correction."""
    slope = fit.rule.slope
    told = f"the best warmup changes by {brief(slope.mean)} epochs per doubling of the data"
    if slope.lo is None or slope.hi is None:
        return f"{told}; one judging seed gives a description only."
    shown = "the change is sure" if sure else "neither growth nor decline is shown"
    if not sure and not slope.lo <= 0 <= slope.hi:
        shown += " after correction for the number of panels"
    told += f" ({LEVEL} {brief(slope.lo)} to {brief(slope.hi)}, {slope.n} seeds): {shown}."
    who = "these are shown to lose" if fine else "no rule is shown to lose"
    told += (
        f" On sizes left out of the fit {who} less than "
        f"{Units.of(table.study.metric).margin(table.study.margin)}"
    )
    told += f" to the best warmup: {', '.join(fine)}." if fine else " to the best warmup."
    return told + (
        " Some fitted warmups lay outside the grid and were cut to its ends." if fit.beyond else ""
    )
