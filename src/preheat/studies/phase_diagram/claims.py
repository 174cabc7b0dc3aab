"""What is claimed of the boundary of failure.

`slope/P`: each doubling of the warmup moves panel P's boundary up. `raises/P`: without warmup it is above the
first panel's without. `reaches/P`: without warmup it is at most one step of the grid below the first panel's
with the longest; a boundary is known to that step only, so "equal" can't be shown, and "not clearly below"
can. The last two are made only where the grid has runs without warmup (one update).

`one_step/P`: in most seeds of panel P, of the runs that work and have a warmup, more than half have a
critical rate at which a warmup that starts there is over after one update.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from preheat.analysis.effects import Place, untested
from preheat.analysis.seed_edges import SeedEdges, ratio_parts
from preheat.analysis.table import Table
from preheat.stats.bounds import Bounded, Parts, combined, mean_weights, slope_weights
from preheat.stats.claims import Claim
from preheat.stats.estimates import Array, factor
from preheat.stats.shares import Counted

FAMILY, SAVED = "boundary", "one_step"
ABOVE_HALF = "points of seeds above 50 %"
LEVEL = 0.95


def boundary_claims(table: Table, edges: Mapping[Place, SeedEdges]) -> list[Claim]:
    """The claims of every panel. edges: the boundary by setting and seed."""
    out, panels = [], range(len(table.panels))
    for p in panels:
        some = [(p, 0, t) for t in range(len(table.treatments)) if (p, 0, t) in edges]
        x = np.log2([table.updates[t] for _, _, t in some]) if table.lengths else np.zeros(0)
        if len(x) > 1 and np.ptp(x) > 0:
            parts = _parts([edges[at] for at in some])
            slope = combined(parts, slope_weights(parts, x))
            out.append(_claim(table, f"slope/{table.panels.labels[p]}", slope, some))
    bare, longest = (int(f(table.updates)) for f in (np.argmin, np.argmax))
    for p in panels[1:] if table.updates[bare] == 1 < table.updates[longest] else ():
        label = table.panels.labels[p]
        if all(at in edges for at in ((p, 0, bare), (0, 0, bare), (0, 0, longest))):
            plain, long = ((p, 0, bare), (0, 0, bare)), ((p, 0, bare), (0, 0, longest))
            out.append(_ratio(table, edges, f"raises/{label}", pair=plain, less=0.0))
            out.append(_ratio(table, edges, f"reaches/{label}", pair=long, less=step_of(table)))
    return out


def step_of(table: Table) -> float:
    """The widest step of the grid, in log2."""
    assert table.numeric is not None
    return float(np.diff(np.log2(np.asarray(table.numeric))).max())


def _parts(edges: Sequence[SeedEdges]) -> Parts:
    log2, width, side = (np.array([getattr(e, n) for e in edges]) for n in ("log2", "width", "side"))
    return Parts(log2, width**2, side > 0, side < 0)


def _ratio(
    table: Table,
    edges: Mapping[Place, SeedEdges],
    name: str,
    *,
    pair: tuple[Place, Place],
    less: float,
) -> Claim:
    """That the first setting's boundary is above the second's times 2^-less."""
    parts = ratio_parts([(edges[pair[0]], edges[pair[1]])])
    found = combined(parts._replace(values=parts.values + less), mean_weights(parts))
    made = _claim(table, name, found, pair)
    return replace(made, unit=f"times {2.0**-less:.3g} of it") if less else made


def _claim(table: Table, name: str, b: Bounded, rests: Sequence[Place]) -> Claim:
    m = b.moments
    p = 1.0 if b.p is None else b.p
    return Claim(
        *(name, FAMILY, (table.labels(rests[0])[0], "", ""), factor(b.estimate)),
        p=p if m.n > 1 else None,
        p_same=None,
        margin=0.0,
        unit="times",
        part=m if m.n else None,
        factor=True,
        rests=tuple(table.labels(at) for at in rests),
        why=untested(table, m.n) if m.n else "no seed tells both boundaries",
    )


def one_step_claims(table: Table, works: Array, critical: Array) -> list[Claim]:
    """One for each panel with a run that tells it. works [P, C, T, V, S]: 1.0 for runs that work; critical,
    of the same shape: the critical rate, NaN where unknown.

    A seed counts where more than half of its runs tell so, and is left out where just half do; p is that of
    the exact sign test, which holds however the shares are spread: a seed's critical rate hardly depends on
    the run, so they may be 0 or 1. With fewer than six seeds it can't be below 0.05.
    """
    warm = np.flatnonzero(np.asarray(table.updates) > 1)
    updates = np.asarray(table.updates, dtype=float)[warm, None, None]
    start = critical[:, 0, warm] / np.asarray(table.numeric, dtype=float)[:, None]
    told = (works[:, 0, warm] == 1) & np.isfinite(start)
    once = told & (updates * (1 - start) <= 1)
    out = []
    for p, label in enumerate(table.panels.labels):
        n = told[p].sum(axis=(0, 1))
        some = n > 0
        if not some.any():
            continue
        shares = once[p].sum(axis=(0, 1))[some] / n[some]
        part = Counted(int((shares > 0.5).sum()), int((shares != 0.5).sum()))
        out.append(
            Claim(
                *(f"{SAVED}/{label}", SAVED, (label, "", ""), part.within(LEVEL), part.p, None, 0.0),
                unit=ABOVE_HALF,
                part=part,
                rests=tuple(table.labels((p, 0, int(t))) for t in warm[told[p].any(axis=(1, 2))]),
                why=untested(table, part.n),
            )
        )
    return out
