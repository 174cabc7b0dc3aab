"""The rule warmup = a + b log2(examples per class), and what rules cost on data sizes they have not seen."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from preheat.analysis.effects import untested
from preheat.analysis.table import Table
from preheat.analysis.words import MINUS, brief
from preheat.stats.claims import Claim, mean_claim
from preheat.stats.estimates import Array, Estimate, Moments, interval, moments, rounding
from preheat.studies.regimes.hypothesis import settings_of
from preheat.studies.regimes.original import piecewise
from preheat.studies.regimes.picks import favourites
from preheat.studies.regimes.surface import Surface, lines, surfaces


@dataclass(frozen=True)
class RuleScore:
    """A rule on held-out conditions: its mean shortfall to the treatment that other seeds like best (regret),
    and its gain over `ALWAYS`, None for that itself and where no run tells its length;
    in the metric, with 95 % intervals."""

    name: str
    formula: str
    regret: Estimate
    gain: Estimate | None
    picks: Mapping[str, float]


@dataclass(frozen=True)
class FittedRule:
    """The fitted rule warmup = a + b log2(condition), with 95 % intervals, and its comparison on held-out
    conditions. beyond: some of its warmups lay outside the grid and were cut to its ends."""

    panel: str
    intercept: Estimate
    slope: Estimate
    scores: tuple[RuleScore, ...]
    beyond: bool


ALWAYS, ORIGINAL, FITTED = "always 5%", "the original rule", "fitted rule"


def rules(table: Table) -> tuple[tuple[FittedRule, ...], list[Claim]]:
    """One for each panel with three data sizes or more, and the claims (the family `rules`) that a rule is
    better than `ALWAYS`, and the fitted one than the original's; paired by seed, on sizes that the fit has
    not seen."""
    fits = [_fit(table, s) for s in surfaces(table) if len(s.sizes) >= 3 and s.n > 0]
    return tuple(f for f, _ in fits), [c for _, claims in fits for c in claims]


def _fit(table: Table, s: Surface) -> tuple[FittedRule, list[Claim]]:
    """The fit is per seed, its intervals are t intervals over seeds; scores are per seed means over sizes."""
    a, b, floor = lines(s)
    intercept = interval(moments(a, floor * float(np.abs(s.doublings).mean())))
    slope = interval(moments(b, floor))
    fitted, beyond = held_out(s)
    tried = _tried(s, fitted, intercept, slope)
    reference, floor = best_score(s), rounding(table.step, 2) / math.sqrt(len(s.sizes))
    got = {name: interpolated(s, picks) for name, (_, picks) in tried.items()}
    pairs = [*((name, ALWAYS) for name in got if name != ALWAYS), (FITTED, ORIGINAL)]
    won = {
        (name, other): moments((got[name] - got[other]).mean(axis=0), floor)
        for name, other in pairs
        if name in got and other in got
    }
    scores = tuple(
        RuleScore(
            *(name, formula, interval(moments((reference - got[name]).mean(axis=0), floor))),
            interval(won[name, ALWAYS]) if (name, ALWAYS) in won else None,
            {k: round(v, 4) for k, v in zip(s.labels, picks.tolist(), strict=True)},
        )
        for name, (formula, picks) in tried.items()
    )
    claims = [_better(table, s.panel, f"{name}/{other}", m) for (name, other), m in won.items()]
    return FittedRule(s.panel, intercept, slope, scores, beyond), claims


def _tried(s: Surface, fitted: Array, intercept: Estimate, slope: Estimate) -> dict[str, tuple[str, Array]]:
    """{rule: (its formula, its picks [C] in epochs)}; without those that a run has no length for."""
    sign = MINUS if slope.mean < 0 else "+"
    fits = (
        f"{brief(intercept.mean)} {sign} {brief(abs(slope.mean))} log2(n) epochs; at each size from a fit on "
        "the others"
    )
    original = "5 epochs from 1000 examples per class on, max(1, n // 200) from 100 on, else 1"
    tried = {
        FITTED: (fits, fitted),
        ORIGINAL: (original, np.array([piecewise(float(n)) for n in s.sizes])),
        ALWAYS: ("5 % of the run", 0.05 * s.epochs),
        "no warmup": ("0 epochs", np.zeros(len(s.sizes))),
    }
    return {name: (formula, picks) for name, (formula, picks) in tried.items() if np.isfinite(picks).all()}


def _better(table: Table, panel: str, name: str, m: Moments) -> Claim:
    at, margin = (panel, "", ""), table.study.margin
    made = mean_claim(f"rules/{panel}/{name}", "rules", m, at=at, margin=margin, unit=table.study.metric)
    return replace(made, why=untested(table, m.n), rests=settings_of(table, panel))


def held_out(s: Surface) -> tuple[Array, bool]:
    """[C]: the fitted rule's warmup at each size from a fit on the others, and whether a pick was cut to the
    grid."""
    y = favourites(s.warmup, s.validation).mean(axis=1)
    picks = np.empty(len(s.sizes))
    for c in range(len(s.sizes)):
        rest = np.arange(len(s.sizes)) != c
        x = s.doublings[rest] - s.doublings[rest].mean()
        slope = float(x @ y[rest] / (x @ x))
        picks[c] = y[rest].mean() + slope * (s.doublings[c] - s.doublings[rest].mean())
    kept = np.clip(picks, s.warmup.min(axis=1), s.warmup.max(axis=1))
    return kept, bool((kept != picks).any())


def interpolated(s: Surface, picks: Array) -> Array:
    """[C, S']: the score at a warmup that may lie between two of the grid's, linear between them."""
    out = [[np.interp(w, s.warmup[c], s.judged[c, :, k]) for k in range(s.n)] for c, w in enumerate(picks)]
    return np.array(out)


def best_score(s: Surface) -> Array:
    """[C, S]: the score of the treatment that the other seeds like best, so that the best is not picked for
    its luck; a rule's regret may come out below 0. It describes: all seeds share most of the others."""
    if s.n < 2:
        return np.full((len(s.sizes), s.n), np.nan)
    rest = (s.judged.sum(axis=2, keepdims=True) - s.judged) / (s.n - 1)
    return np.take_along_axis(s.judged, np.round(rest, 12).argmax(axis=1)[:, None, :], axis=1)[:, 0, :]
