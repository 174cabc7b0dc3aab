"""What a study can show, before it is run: the smallest difference that its seeds find with 80 % power."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from preheat.analysis.effects import difference, places
from preheat.analysis.naming import values_of
from preheat.analysis.results import collect
from preheat.analysis.table import Table
from preheat.analysis.tabulate import tabulate
from preheat.analysis.words import Units
from preheat.core.study import Point, Study
from preheat.core.words import count
from preheat.stats.claims import budget
from preheat.stats.estimates import moments, smallest_found
from preheat.store.segment import Head

OF_METRIC = {"main", "benefit"}  # the families whose claims are differences of the metric


class Comparisons(NamedTuple):
    """A family's comparisons and the standard deviation between seeds of one of them."""

    claims: int
    sd: float


def can_show(study: Study, points: Sequence[Point], heads: Iterable[Head], *, look: int = 0) -> str:
    """In a sentence: which differences the study's seeds can show, over all conditions together and at one;
    nothing where its primary claims are of something else than the metric, such as a boundary.

    look: how often its verdicts were looked at before, each of which leaves less to spend. The spread between
    seeds is that of the records there are, else assumed to be the margin.
    """
    table = tabulate(collect(study, [(p.axes, p.seed, p.run.id) for p in points], heads))
    n = len(table.seeds)
    if not n or not len(table.conditions):
        return ""
    if n < 2:
        return "One seed can't show a difference: it describes."
    main, cells = _families(table)
    if not main.claims or not OF_METRIC & {*(study.claims.get("primary") or OF_METRIC)}:
        return ""
    u = Units.of(study.metric)
    found = u.difference(smallest_found(main.sd, n, level=budget(look) / main.claims), sign=False)
    many = len(table.conditions) > 1
    text = f"{count(n, 'seed')} can show (80 % power) a difference of about {found}"
    if many:
        one = u.difference(smallest_found(cells.sd, n, level=budget(look) / cells.claims), sign=False)
        text += f" over all {values_of(table)} together, {one} at a single one (exploratory)"
    spread = u.difference(cells.sd, sign=False)
    why = f"by {spread}, as the margin (assumed)"
    if any(math.isfinite(m) for m in _spreads(table)):
        why = f"by {spread} (measured on the runs that have records)"
    return f"{text}, if differences vary between seeds {why}."


def _families(table: Table) -> tuple[Comparisons, Comparisons]:
    """Of the primary comparisons, and of those at single conditions: with a rate to tune, three measures each
    (at the tuned rate, over all rates, the edge)."""
    pairs = len(table.panels) * (len(table.treatments) - 1)
    each = [v for v in _spreads(table) if math.isfinite(v)]
    sd = math.sqrt(sum(v * v for v in each) / len(each)) if each else table.study.margin
    many = len(table.conditions)
    return Comparisons(pairs * (3 if table.numeric else 1), sd / math.sqrt(many)), Comparisons(
        pairs * many, sd
    )


def _spreads(table: Table) -> list[float]:
    """The standard deviation over seeds of every comparison with the baseline; NaN where fewer than two are
    known."""
    return [
        moments(difference(table, table.judged, at, table.base)).sd
        for at in places(table)
        if at[2] != table.base
    ]
