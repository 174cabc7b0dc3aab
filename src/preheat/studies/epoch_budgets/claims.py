"""What is claimed over epoch budgets: which schedule's curves depend least, and most, on the budget.

`lowest/S` says that S has the lowest SLCD of all schedules of its panel, `highest/S` the highest. All
comparisons with S must show it (an intersection-union test): p is that of the hardest. The opposite is
shown where one comparison shows it after Bonferroni's correction for all of them. SLCD is compared by its
logarithm, seed by seed. Only schedules named beforehand are asked about, for each claim costs power.

On arms without any difference (3 or 13 of them, 3 to 20 seeds, normal or t4, each of them asked about both
ways) at most 2.3 % of 400 pages claimed anything.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from preheat.analysis.effects import untested
from preheat.analysis.table import Table
from preheat.stats.claims import Claim
from preheat.stats.estimates import Array, factor, interval, moments, p_different

FAMILY = "likeness"
LEAST = 1e-12  # an SLCD below this is that of one curve


def budget_claims(
    table: Table,
    budgets: Sequence[int],
    likeness: Mapping[tuple[int, int], Array],
    *,
    lowest: Sequence[str],
    highest: Sequence[str],
) -> Iterator[Claim]:
    """Of the named schedules, in every panel with two or more whose curves depend on the budget."""
    for p, panel in enumerate(table.panels.labels):
        mine = {
            t: np.log2(v) for (q, t), v in likeness.items() if q == p and (v[np.isfinite(v)] > LEAST).all()
        }
        for t in mine if len(mine) > 1 else ():
            own, others = table.treatments.labels[t], [mine[o] for o in mine if o != t]
            rests = tuple(table.labels((p, c, o)) for c in range(len(budgets)) for o in mine)
            for name, sign, asked in (("lowest", 1.0, lowest), ("highest", -1.0, highest)):
                if own in asked:
                    some = [sign * (other - mine[t]) for other in others]
                    yield _extreme(table, f"{name}/{panel}/{own}", some, rests=rests)


def _extreme(
    table: Table, name: str, differences: Sequence[Array], *, rests: tuple[tuple[str, str, str], ...]
) -> Claim:
    """That all differences [S] are above 0, judged by the smallest mean."""
    known = [d[np.isfinite(d)] for d in differences]
    parts = [moments(d) for d in known]
    hardest = min(range(len(parts)), key=lambda i: parts[i].mean if parts[i].n else math.inf)
    m, ps = parts[hardest], [p_different(part) for part in parts]
    told = [p for p in ps if p is not None]
    p = max(told) if m.mean > 0 else min(1.0, len(told) * (ps[hardest] or 1.0)) if told else None
    return Claim(
        *(name, FAMILY, (rests[0][0], "", ""), factor(interval(m)), p, None, 0.0),
        unit="times",
        part=m if m.n else None,
        factor=True,
        rests=rests,
        why=untested(table, m.n),
    )
