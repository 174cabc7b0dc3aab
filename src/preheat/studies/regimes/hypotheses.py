"""The four hypotheses of Agrawal 2025, *Learning Rate Warmup Across Data Regimes*; H1 and H2 are tested here.

They are about the length of the warmup against examples per class. H1 and H2 are stated for SGD, as there:
the first panel with SGD, else the first panel. Every seed is at the peak rate that it chose itself, and where
the best warmup is meant, at the one that it chose itself on its validation set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from preheat.analysis.edges import MARGIN
from preheat.analysis.effects import untested
from preheat.analysis.naming import treatment_name
from preheat.analysis.table import Table
from preheat.analysis.words import Units, capital
from preheat.stats.estimates import Array, interval, moments, rounding
from preheat.studies.regimes.across_panels import replicates, sensitivity
from preheat.studies.regimes.hypothesis import Stated, Tested, settings_of
from preheat.studies.regimes.surface import Surface, asks_for_warmup, lines, optimizer, surfaces
from preheat.studies.regimes.updates_hypotheses import leads
from preheat.studies.regimes.warmup_grid import p_choices, warmup_grids

FAMILY = "hypotheses"
STATEMENTS = {
    "H1": "The benefit of warmup peaks at intermediate data sizes.",
    "H2": "The best warmup, in epochs, gets shorter as the data get fewer.",
    "H3": "The pattern over data size and warmup replicates across tasks.",
    "H4": "Warmup helps AdamW less than SGD.",
}
OPPOSITES = {
    "H1": "The benefit of warmup does not peak at intermediate data sizes.",
    "H2": "The best warmup, in epochs, gets longer as the data get fewer.",
    "H3": "Where warmup helps on one task, it harms on another.",
    "H4": "Warmup helps AdamW more than SGD.",
}
HOW = {
    "H1": (
        "In each size every seed takes the warmup (above none) that is best on its validation set, and its "
        "test score is compared with no warmup. At some interior size the benefit must exceed that at both "
        "end sizes (intersection-union test, paired by seed; Bonferroni over interior sizes). The effect is "
        "the lead over the nearer end; its interval is corrected as its p: the lower limit for the number of "
        "interior sizes, the upper one for the two ends."
    ),
    "H2": (
        "For every seed the slope of its best warmup on its validation set (ties averaged) on log2(examples "
        "per class), then a "
        "two-sided t test over seeds; and the warmups must differ at all (permutation test), since else the "
        "best one is chance. Noise in the choices moves the slope towards 0. The smallest slope of interest "
        "is the grid's finest step over the whole range of sizes."
    ),
    "H3": (
        "For every seed the correlation between two tasks of the benefit over data size and warmup, then a "
        "two-sided t test. That it is below 0.3 counts only where each task's own pattern repeats from seed "
        "to seed (correlation 0.5 or more)."
    ),
    "H4": (
        "The paper's word is less sensitive; it is read as the gain. What any warmup adds to the mean score "
        "over rates, SGD minus AdamW, and by what factor it moves the edge of stability, SGD over AdamW, "
        "both "
        "the mean over warmups and sizes for every seed; two-sided t tests, of which the larger p counts. "
        "The "
        "effect is that of the mean over rates. That there is no difference is claimed only where the grid "
        "of "
        f"rates tells edges {2**MARGIN:.2f} times apart."
    ),
}


def hypotheses(table: Table) -> tuple[Tested, ...]:
    """H1 to H4; none where the study does not vary warmup length and examples per class."""
    if not asks_for_warmup(table):
        return ()
    found = surfaces(table)
    metric, margin = table.study.metric, table.study.margin
    units = {"H1": metric, "H2": "epochs per doubling of the data", "H3": "correlation", "H4": metric}
    smallest = {
        "H1": margin,
        "H2": _smallest_slope(home(found)) if found else margin,
        "H3": 0.3,
        "H4": margin,
    }
    stated = {
        code: Stated(code, STATEMENTS[code], HOW[code], FAMILY, units[code], smallest[code])
        for code in STATEMENTS
    }
    if why := _obstacle(table, found):
        return tuple(s.untested(why) for s in stated.values())
    made = (
        _peak(table, found, stated["H1"]),
        _slope(table, found, stated["H2"]),
        replicates(found, stated["H3"]),
        sensitivity(table, stated["H4"]),
    )
    return tuple(replace(t, claim=replace(t.claim, rests=settings_of(table, t.claim.at[0]))) for t in made)


def home(found: Sequence[Surface]) -> Surface:
    """The panel that H1 and H2 are about."""
    return next((s for s in found if optimizer(s.axes) == "sgd"), found[0])


def _obstacle(table: Table, found: Sequence[Surface]) -> str:
    if table.biased:
        return untested(table, len(table.seeds))
    if not found:
        sizes = "it needs two data sizes and two warmups or more in every combination"
        return f"{sizes}, and at least half of the tuned runs finished."
    if not home(found).n:
        return "no seed has a result in every setting; continue the study."
    return ""


def benefit(s: Surface) -> Array:
    """[C, S]: the test score minus that without warmup, of the warmup above none that each seed likes best on
    its validation set; ties go to the shorter one."""
    others = np.delete(np.arange(len(s.names)), s.base)
    liked = others[np.round(s.validation[:, others], 12).argmax(axis=1)]
    taken = np.take_along_axis(s.judged, liked[:, None, :], axis=1)[:, 0]
    return np.asarray(taken - s.judged[:, s.base])


def _peak(table: Table, found: Sequence[Surface], stated: Stated) -> Tested:
    """H1."""
    s = home(found)
    if len(s.sizes) < 3:
        return stated.untested("it needs at least three data sizes.")
    told = [_benefits(x, table) for x in (s, *(o for o in found if o is not s)) if x.n]
    base = treatment_name(table, s.names[s.base])
    text = f"Difference from {base}: {'; '.join(told)}."
    return stated.peak(leads(benefit(s), rounding(table.step, 4)), panel=s.panel, text=text)


def _benefits(s: Surface, table: Table) -> str:
    u = Units.of(table.study.metric)
    means = zip(table.sign * benefit(s).mean(axis=1), s.labels, strict=True)
    told = ", ".join(f"{u.difference(float(v))} at {name}" for v, name in means)
    return f"{s.place} {told}".strip()


def _slope(table: Table, found: Sequence[Surface], stated: Stated) -> Tested:
    """H2."""
    s, u = home(found), Units.of(table.study.metric)
    _, slope, floor = lines(s)
    text = f"Tested {s.place}. " if s.panel else ""
    for other in found:
        if other is not s and other.n:
            _, beside, low = lines(other)
            told = u.estimate(interval(moments(beside, low)), stated.unit)
            text += f"{capital(other.place)} it is {told}{' (one seed)' if other.n == 1 else ''}. "
    text += (
        "With a fixed number of epochs fewer data also mean fewer updates, so a slope in epochs mixes both."
    )
    grid = next((g for g in warmup_grids(table) if g.panel == s.panel), None)
    gate = None if grid is None else p_choices(grid)
    return stated.tested(moments(slope, floor), gate=1.0 if gate is None else gate, panel=s.panel, text=text)


def _smallest_slope(s: Surface) -> float:
    gaps = np.diff(np.unique(s.warmup))
    span = float(np.ptp(s.doublings))
    return float(gaps[gaps > 1e-9].min()) / span if (gaps > 1e-9).any() and span > 0 else 0.0
