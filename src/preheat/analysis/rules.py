"""The rule warmup = a + b log2(examples per class), and what rules cost on data sizes they have not seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from preheat.analysis.findings import Estimate, Rule, RuleScore
from preheat.analysis.stats import Array, interval, moments, rounding
from preheat.analysis.surface import Surface, favourites, lines, surfaces
from preheat.analysis.table import Table
from preheat.analysis.words import LEVEL, MINUS, Units, capital, plain, within


def seed_rule(examples_per_class: float) -> float:
    """The fixed rule of seed 0, in epochs.

    >>> [seed_rule(n) for n in (5000, 1000, 500, 100, 50)]
    [5.0, 5.0, 2.0, 1.0, 1.0]
    """
    if examples_per_class >= 1000:
        return 5.0
    return float(max(1, int(examples_per_class) // 200)) if examples_per_class >= 100 else 1.0


def rules(table: Table) -> tuple[Rule, ...]:
    """One for each panel with three data sizes or more; none where the nuisance was chosen on the reported seeds."""
    if table.biased:
        return ()
    return tuple(_rule(table, s) for s in surfaces(table) if len(s.sizes) >= 3 and s.n > 0)


def _rule(table: Table, s: Surface) -> Rule:
    """The fit is per judging seed, its intervals are t intervals over seeds; regrets are per seed means over sizes."""
    a, b, floor = lines(s)
    intercept = interval(moments(a, floor * float(np.abs(s.doublings).mean())))
    slope = interval(moments(b, floor))
    fitted, beyond = held_out(s)
    sign = MINUS if slope.mean < 0 else "+"
    fits = f"{plain(intercept.mean)} {sign} {plain(abs(slope.mean))} log2(n) epochs; at each size from a fit on the others"
    tried: dict[str, tuple[str, Array]] = {
        "fitted rule": (fits, fitted),
        "seed 0's rule": ("5 epochs from 1000 examples per class on, max(1, n // 200) from 100 on, else 1", _each(s, seed_rule)),
        "always 5%": ("5 % of the run", 0.05 * s.epochs),
        "no warmup": ("0 epochs", np.zeros(len(s.sizes))),
    }
    tried = {name: (formula, picks) for name, (formula, picks) in tried.items() if np.isfinite(picks).all()}
    reference = best_score(s)
    floor = rounding(table.step, 2) / math.sqrt(len(s.sizes))
    scores = tuple(
        RuleScore(name, formula, interval(moments((reference - interpolated(s, picks)).mean(axis=0), floor)), _named(s, picks))
        for name, (formula, picks) in tried.items()
    )
    margin = (table.study.margin, Units.of(table.study.metric).margin(table.study.margin))
    text = f"{within(s.panel)} {_text(slope, scores, margin, beyond)}".strip()
    return Rule(s.panel, intercept, slope, scores, capital(text))


def _each(s: Surface, rule: Callable[[float], float]) -> Array:
    return np.array([rule(float(n)) for n in s.sizes])


def _named(s: Surface, picks: Array) -> Mapping[str, float]:
    return {name: round(float(v), 4) for name, v in zip(s.labels, picks, strict=True)}


def held_out(s: Surface) -> tuple[Array, bool]:
    """[C]: the fitted rule's warmup at each size from a fit on the others, and whether a pick was cut to the grid."""
    y = favourites(s).mean(axis=1)
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

    Other seeds are the choosing ones, or all judging ones but the seed itself where none choose. So the best is
    not picked for its luck, and a rule's regret may come out below 0.
    """
    rows = np.arange(len(s.sizes))
    if s.choosing.shape[2]:
        return np.asarray(s.judged[rows, s.choosing.mean(axis=2).argmax(axis=1)], dtype=np.float64)
    if s.n < 2:
        return np.full((len(rows), s.n), np.nan)
    rest = (s.judged.sum(axis=2, keepdims=True) - s.judged) / (s.n - 1)
    return np.take_along_axis(s.judged, np.round(rest, 12).argmax(axis=1)[:, None, :], axis=1)[:, 0, :]


def _text(slope: Estimate, scores: tuple[RuleScore, ...], margin: tuple[float, str], beyond: bool) -> str:
    """margin: as a number and as it is written."""
    told = f"the best warmup changes by {plain(slope.mean)} epochs per doubling of the data"
    if slope.lo is None or slope.hi is None:
        return f"{told}; one judging seed gives a description only."
    shown = "neither growth nor decline is shown" if slope.lo <= 0 <= slope.hi else "the change is sure"
    told += f" ({LEVEL} {plain(slope.lo)} to {plain(slope.hi)}, {slope.n} seeds): {shown}."
    fine = [s.name for s in scores if s.regret.hi is not None and s.regret.hi < margin[0]]
    who = "these are shown to lose" if fine else "no rule is shown to lose"
    told += f" On sizes left out of the fit {who} less than {margin[1]} to the best warmup"
    told += f": {', '.join(fine)}." if fine else "."
    return told + (" Some fitted warmups lay outside the grid and were cut to its ends." if beyond else "")
