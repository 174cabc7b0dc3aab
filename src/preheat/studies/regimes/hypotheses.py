"""The four hypotheses of Agrawal 2025, *Warmup across data regimes*; H1 and H2 are tested here.

They are about the length of the warmup against examples per class. H1 and H2 are stated for SGD, as there:
the first panel with SGD, else the first panel. All use the settings at the nuisance that the choosing seeds
chose, and judge on the other seeds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from preheat.analysis.naming import treatment_name
from preheat.analysis.table import Table
from preheat.analysis.words import Units, capital
from preheat.stats.estimates import (
    Array,
    Estimate,
    Moments,
    interval,
    moments,
    p_above,
    p_different,
    rounding,
)
from preheat.studies.regimes.across_panels import replicates, sensitivity
from preheat.studies.regimes.surface import Surface, asks_for_warmup, lines, optimizer, surfaces
from preheat.studies.regimes.verdicts import Claim, Hypothesis, both_ways, concluded, undecided

_SLOPE = "epochs per doubling of the data"


def hypotheses(table: Table) -> tuple[Hypothesis, ...]:
    """H1 to H4; none where the study does not vary warmup length and examples per class."""
    if not asks_for_warmup(table):
        return ()
    found = surfaces(table)
    metric, margin, u = table.study.metric, table.study.margin, Units.of(table.study.metric)
    claims = (
        Claim("H1", _H1, metric, margin, u, *_CONTRADICTED["H1"]),
        Claim("H2", _H2, _SLOPE, _smallest_slope(home(found)) if found else margin, u, *_CONTRADICTED["H2"]),
        Claim("H3", _H3, "correlation", 0.3, u, *_CONTRADICTED["H3"]),
        Claim("H4", _H4, f"{metric} squared", margin**2, u, *_CONTRADICTED["H4"]),
    )
    why = _obstacle(table, found)
    if why:
        return tuple(undecided(claim, why) for claim in claims)
    return (
        _peak(table, found, claims[0]),
        _slope(found, claims[1]),
        replicates(found, claims[2]),
        sensitivity(found, claims[3]),
    )


_H1 = (
    "In each size the warmup (above none) that the choosing seeds liked best is compared with no warmup on "
    "the other seeds; the interior size with the largest benefit on the choosing seeds must exceed both end "
    "sizes (intersection-union test, paired by seed). The effect is its lead over the nearer end; the "
    "interval's upper end allows for any interior size. p is twice the larger one-sided p, to belong to the "
    "interval."
)
_H2 = (
    "For every judging seed the slope of its best warmup (ties averaged) on log2(examples per class), then a "
    "two-sided t test over seeds. The smallest slope of interest is the grid's finest step over the whole "
    "range of sizes."
)
_H3 = (
    "For every judging seed the correlation between two tasks of the benefit over data size and warmup, then "
    "a two-sided t test. A correlation below 0.3 contradicts only where each task's own pattern repeats from "
    "seed to seed (correlation 0.5 or more)."
)
_H4 = (
    "The variance between warmups without the seeds' noise (covariances between different seeds), averaged "
    "over sizes, of SGD minus that of AdamW; interval and two-sided p by the jackknife over seeds."
)
_UNCHOSEN = (
    "no seed is set apart to choose the warmup. For regimes on images use --tune-lr, which sets two of five "
    "apart; for other tasks set choosing to 1 or more."
)
_CONTRADICTED = {
    "H1": (
        "No peak of the size that matters: warmup helps about as much at intermediate sizes as at the ends.",
        "The opposite: at every intermediate size warmup helps less than at one of the ends.",
    ),
    "H2": (
        "No slope of the size that matters: the best warmup in epochs hardly depends on the data size.",
        "The opposite: the best warmup, in epochs, gets longer as the data get fewer.",
    ),
    "H3": (
        "No correlation of the size that matters: each task has a steady pattern, and the patterns are not "
        "alike.",
        "The opposite: where warmup helps more on one task it helps less on the other.",
    ),
    "H4": (
        "No difference of the size that matters: the two optimizers are about equally sensitive to warmup "
        "here.",
        "AdamW is more sensitive to warmup than SGD here.",
    ),
}


def home(found: Sequence[Surface]) -> Surface:
    """The panel that H1 and H2 are about."""
    return next((s for s in found if optimizer(s.axes) == "sgd"), found[0])


def _obstacle(table: Table, found: Sequence[Surface]) -> str:
    if table.biased:
        return "the nuisance is chosen on the seeds that are reported; set choosing to 1 or more."
    if not found:
        sizes = "it needs two data sizes and two warmups or more in every combination"
        return f"{sizes}, and at least half of the judged runs finished."
    if not home(found).n:
        return "no judging seed has a result in every setting; continue the study."
    return ""


def _benefit(s: Surface) -> tuple[Array, Array]:
    """(judged benefit [C, S'] of the warmup that the choosing seeds liked best, what they saw of it [C])."""
    chosen = s.choosing.mean(axis=2)
    gain = np.delete(chosen - chosen[:, [s.base]], s.base, axis=1)
    others = np.delete(np.arange(len(s.names)), s.base)
    rows = np.arange(len(s.sizes))
    return s.judged[rows, others[gain.argmax(axis=1)]] - s.judged[:, s.base], gain.max(axis=1)


def _peak(table: Table, found: Sequence[Surface], claim: Claim) -> Hypothesis:
    """H1; theta = max over interior sizes of min(lead over the smallest size, lead over the largest)."""
    s = home(found)
    if len(s.sizes) < 3:
        return undecided(claim, "it needs at least three data sizes.")
    if not s.choosing.shape[2]:
        return undecided(
            claim,
            "no choosing seed has every setting; continue the study." if table.study.choosing else _UNCHOSEN,
        )
    benefit, gain = _benefit(s)
    inner = np.arange(len(s.sizes))[1:-1]
    floor = rounding(table.step, 4)
    leads = {int(i): [moments(benefit[i] - benefit[end], floor) for end in (0, -1)] for i in inner}
    top = int(inner[gain[inner].argmax()])
    effect, p = _lead(leads)[top], [p_above(m) for m in leads[top]]
    weaker, last = (
        min(leads[top], key=_lower),
        max((min(pair, key=_upper) for pair in leads.values()), key=_upper),
    )
    effect = Estimate(effect.mean, effect.lo, interval(last).hi, effect.n)
    both = None if None in p else min(1.0, 2 * max(v for v in p if v is not None))
    told = [
        _benefits(x, claim) for x in (s, *(o for o in found if o is not s)) if x.n and x.choosing.shape[2]
    ]
    base = treatment_name(table, s.names[s.base])
    text = f"The choosing seeds pointed at {s.labels[top]} per class. Benefit over {base}: {'; '.join(told)}."
    ways = [(weaker, weaker.mean), (last, claim.smallest - last.mean)]
    return concluded(claim, ways, both, effect=effect, text=text)


def _benefits(s: Surface, claim: Claim) -> str:
    means = zip(_benefit(s)[0].mean(axis=1), s.labels, strict=True)
    told = ", ".join(f"{claim.units.difference(float(v))} at {name}" for v, name in means)
    return f"{s.place} {told}".strip()


def _lower(m: Moments) -> float:
    lo = interval(m).lo
    return m.mean if lo is None else lo


def _upper(m: Moments) -> float:
    hi = interval(m).hi
    return m.mean if hi is None else hi


def _lead(leads: dict[int, list[Moments]]) -> dict[int, Estimate]:
    """Of the smaller of two leads: each limit is the smaller limit, which holds whichever lead is the smaller
    one."""
    out = {}
    for i, pair in leads.items():
        ends = [interval(m) for m in pair]
        lo = [e.lo for e in ends if e.lo is not None]
        hi = [e.hi for e in ends if e.hi is not None]
        out[i] = Estimate(min(e.mean for e in ends), min(lo, default=None), min(hi, default=None), pair[0].n)
    return out


def _slope(found: Sequence[Surface], claim: Claim) -> Hypothesis:
    """H2."""
    s = home(found)
    _, slope, floor = lines(s)
    m = moments(slope, floor)
    text = f"Tested {s.place}. " if s.panel else ""
    for other in found:
        if other is not s and other.n:
            _, beside, floor = lines(other)
            told = claim.units.estimate(interval(moments(beside, floor)), claim.unit) + (
                " (one seed)" if other.n == 1 else ""
            )
            text += f"{capital(other.place)} it is {told}. "
    text += (
        "With a fixed number of epochs fewer data also mean fewer updates, so a slope in epochs mixes both: "
    )
    text += "see Epochs or updates."
    return concluded(claim, both_ways(claim, m), p_different(m), effect=interval(m), text=text)


def _smallest_slope(s: Surface) -> float:
    gaps = np.diff(np.unique(s.warmup))
    span = float(np.ptp(s.doublings))
    return float(gaps[gaps > 1e-9].min()) / span if (gaps > 1e-9).any() and span > 0 else 0.0
