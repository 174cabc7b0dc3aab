"""H1 and H2 with warmups counted in updates; `hypotheses` counts them in epochs, or in what the grid has."""

from __future__ import annotations

import numpy as np

from preheat.analysis.naming import within
from preheat.analysis.table import Table
from preheat.analysis.words import Units, brief, capital
from preheat.stats.estimates import ALPHA, Array, Estimate, Moments, interval, moments, p_above, rounding
from preheat.studies.regimes.verdicts import Hypothesis, Verdict, judge
from preheat.studies.regimes.warmup_grid import Exponent, WarmupGrid

SMALLEST = 0.3
_H1 = "The benefit of one and the same number of updates of warmup peaks at intermediate data sizes."
_H2 = "The best warmup, in updates, gets shorter as the data get fewer."
_HOW1 = (
    "The number of updates is the geometric middle of those that the grid has at every size; between two "
    "warmups of the grid the score is interpolated in log2. The benefit at an interior size must exceed that "
    "at both end sizes; the interval is corrected for the number of interior sizes (Bonferroni)."
)
_HOW2 = (
    "b of best updates ~ size^b, of the seeds' picks, which noise moves towards the exponent of random "
    "choices. Supported only if the corrected interval is above 0 and above the exponent of random choices; "
    f"below {SMALLEST:g} (a factor of {100**SMALLEST:.0f} in warmup for 100 in data), and below that of "
    "random choices, it is too little to matter."
)


def one_length(table: Table, s: WarmupGrid) -> Hypothesis:
    """H1: the lead of an interior size over the nearer end in the benefit of the same number of updates."""
    metric, margin = table.study.metric, table.study.margin

    def stated(effect: Estimate | None, verdict: Verdict, text: str) -> Hypothesis:
        return Hypothesis("H1", _H1, _HOW1, effect, metric, None, verdict, None, capital(text))

    low, high = float(np.nanmin(s.updates, axis=1).max()), float(np.nanmax(s.updates, axis=1).min())
    if low > high + 1e-9:
        return stated(
            None,
            "not decided",
            "no number of updates lies within the grid at every size: state warmups in updates too.",
        )
    if len(s.sizes) < 3 or not np.isfinite(s.none).all():
        return stated(None, "not decided", "it needs three sizes or more, each with a run without warmup.")
    gain = benefit(s, (low + high) / 2)
    units = Units.of(metric)
    means = ", ".join(
        f"{units.difference(float(v))} at {name}" for v, name in zip(gain.mean(axis=1), s.labels, strict=True)
    )
    text = (
        f"{s.place} with {brief(2 ** ((low + high) / 2))} updates the benefit over none is {means}.".strip()
    )
    if table.biased:
        return stated(None, "not decided", f"{text} The nuisance was chosen on the seeds that are reported.")
    effect = _lead(gain, rounding(table.step, 4))
    verdict = judge(effect, margin)
    return stated(
        effect, verdict, text + (" One judging seed gives a description only." if effect.n < 2 else "")
    )


def benefit(s: WarmupGrid, log_updates: float) -> Array:
    """[C, S']: score minus that without warmup, at a number of updates, linear in log2 between the grid's
    warmups."""
    out = np.empty((len(s.sizes), s.n))
    for c, row in enumerate(s.updates):
        order = np.argsort(row)[: int(np.isfinite(row).sum())]
        out[c] = [np.interp(log_updates, row[order], s.judged[c, order, k]) for k in range(s.n)]
    return out - s.none


def _lead(gain: Array, floor: float) -> Estimate:
    """Of the interior size with the largest: the smaller of its leads over the ends; limits hold for the best
    of them all."""
    level = 1 - ALPHA / (len(gain) - 2)
    pairs = [[interval(moments(row - gain[end], floor), level) for end in (0, -1)] for row in gain[1:-1]]
    mean = max(min(e.mean for e in pair) for pair in pairs)
    if any(e.lo is None for pair in pairs for e in pair):
        return Estimate(mean, None, None, gain.shape[1])
    lo, hi = (max(min(getattr(e, side) for e in pair) for pair in pairs) for side in ("lo", "hi"))
    return Estimate(mean, lo, hi, gain.shape[1])


def shrinks(table: Table, b: Moments, e: Exponent) -> Hypothesis:
    """H2: b above 0, beyond what random choices from the grid give."""
    tests = [e.p_choices, p_above(b, max(0.0, e.chance))]
    p = None if None in tests or table.biased else min(1.0, max(tests[0] or 0.0, 2 * (tests[1] or 0.0)))
    verdict: Verdict = "not decided"
    if e.updates == "excluded" and e.b.mean > 0:
        verdict = "supported"
    elif (
        "not decided" not in (e.updates, e.epochs) and e.b.hi is not None and e.b.hi < min(SMALLEST, e.chance)
    ):
        verdict = "contradicted"
    told = f"Tested {within(table, e.panel)}. " if e.panel else ""
    return Hypothesis("H2", _H2, _HOW2, e.b, "", p, verdict, None, told + e.text)
