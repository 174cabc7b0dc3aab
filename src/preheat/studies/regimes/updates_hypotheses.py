"""H1 and H2 with warmups counted in updates; `hypotheses` counts them in epochs, or in what the grid has."""

from __future__ import annotations

import numpy as np

from preheat.analysis.effects import untested
from preheat.analysis.naming import within
from preheat.analysis.table import Table
from preheat.analysis.words import Units, brief, capital
from preheat.stats.estimates import Array, Moments, moments, p_above, rounding
from preheat.studies.regimes.hypothesis import Stated, Tested
from preheat.studies.regimes.warmup_grid import Exponent, WarmupGrid

FAMILY = "updates"
SMALLEST = 0.3
_H1 = "The benefit of one and the same number of updates of warmup peaks at intermediate data sizes."
_H2 = "The best warmup, in updates, gets shorter as the data get fewer."
_HOW1 = (
    "The number of updates is the geometric middle of those that the grid has at every size; between two "
    "warmups of the grid the score is interpolated in log2. The benefit at an interior size must exceed that "
    "at both end sizes; the interval's lower limit is corrected for the number of interior sizes, the upper "
    "one for the "
    "two ends (Bonferroni)."
)
_HOW2 = (
    "b of best updates ~ size^b, of the seeds' picks, which noise moves towards the exponent of random "
    "choices. Supported only if b is above 0 and above the exponent of random choices, and the warmups "
    "differ; the opposite is shown where it is below both. "
    f"Within {SMALLEST:g} of 0 (a factor of {100**SMALLEST:.0f} in warmup for 100 in data), and below that "
    "of random choices, it is too little to matter."
)


def one_length(table: Table, s: WarmupGrid) -> Tested:
    """H1: the lead of an interior size over the nearer end in the benefit of the same number of updates."""
    metric = table.study.metric
    stated = Stated("H1", _H1, _HOW1, FAMILY, metric, table.study.margin)
    low, high = float(np.nanmin(s.updates, axis=1).max()), float(np.nanmax(s.updates, axis=1).min())
    if low > high + 1e-9:
        return stated.untested(
            "no number of updates lies within the grid at every size: state warmups in updates too."
        )
    if len(s.sizes) < 3 or not np.isfinite(s.none).all():
        return stated.untested("it needs three sizes or more, each with a run without warmup.")
    gain = benefit(s, (low + high) / 2)
    units = Units.of(metric)
    means = zip(table.sign * gain.mean(axis=1), s.labels, strict=True)
    told = ", ".join(f"{units.difference(float(v))} at {name}" for v, name in means)
    text = f"{s.place} with {brief(2 ** ((low + high) / 2))} updates the difference from none is {told}."
    text = text.strip()
    if why := untested(table, s.n):
        return stated.untested(f"{text} {capital(why)}.")
    return stated.peak(leads(gain, rounding(table.step, 4)), panel=s.panel, text=capital(text))


def benefit(s: WarmupGrid, log_updates: float) -> Array:
    """[C, S']: score minus that without warmup, at a number of updates, linear in log2 between the grid's
    warmups."""
    out = np.empty((len(s.sizes), s.n))
    for c, row in enumerate(s.updates):
        order = np.argsort(row)[: int(np.isfinite(row).sum())]
        out[c] = [np.interp(log_updates, row[order], s.judged[c, order, k]) for k in range(s.n)]
    return out - s.none


def leads(gain: Array, floor: float) -> tuple[tuple[Moments, ...], ...]:
    """Of every interior row of gain [C, S], by how much it is above the first and the last row."""
    return tuple(tuple(moments(row - gain[end], floor) for end in (0, -1)) for row in gain[1:-1])


def shrinks(table: Table, b: Moments, e: Exponent) -> Tested:
    """H2: b beyond 0 and beyond what random choices from the grid give; too small where it is below that."""
    stated = Stated("H2", _H2, _HOW2, FAMILY, "", SMALLEST)
    gate = 1.0 if e.p_choices is None else e.p_choices
    text = f"Tested {within(table, e.panel)}." if e.panel else ""
    turned = b._replace(mean=-b.mean)
    beyond = p_above(b, max(0.0, e.chance)), p_above(turned, -min(0.0, e.chance))
    known = *beyond, p_above(turned, -min(SMALLEST, e.chance)), p_above(b, -SMALLEST)
    found = [p for p in known if p is not None]
    ps: tuple[float | None, float | None] = (None, None)
    if len(found) == len(known):
        ps = max(gate, min(1.0, 2 * min(found[:2]))), max(gate, *found[2:])
    return stated.claimed(((b,),), ps, panel=e.panel, text=text, why=untested(table, b.n))
