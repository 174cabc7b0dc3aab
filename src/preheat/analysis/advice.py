"""What to do near the edge of stability, for the end of the answer."""

from __future__ import annotations

from collections.abc import Sequence

from preheat.analysis.findings import Edge, Pooled
from preheat.analysis.moves import (
    MOST,
    Panel,
    at_conditions,
    choices,
    conditions_of,
    name_of,
    panels,
    rate_of,
    sure,
)
from preheat.analysis.table import Table
from preheat.analysis.words import listed, within
from preheat.core.errors import UserError
from preheat.core.lengths import length


def near(table: Table, pooled: Sequence[Pooled], edges: Sequence[Edge]) -> list[str]:
    """What to do near the edge, as far as tests support it; none where nothing was tested."""
    if all(r.ratio.n < 2 for r in pooled):
        return []
    places = [text for p in panels(table, pooled, edges) if (text := _advice(table, p))]
    what = choices(table)
    if not places:
        return [f"no {what} was shown to allow a higher {rate_of(table)}"]
    verb = "warm up" if "warmup" in table.study.treatment else f"choose the {what}"
    return [f"if you train near the edge, {verb} {listed(places)}"]


def _advice(table: Table, panel: Panel) -> str:
    """Where and with which treatments the edge surely rises; empty where it does not."""
    ups = [e for e, r in panel.singles if r.mean > 1]
    if panel.kind == "moves":
        names = [r.treatment for r in panel.pooled if sure(r) and r.ratio.mean > 1]
        what = f"({_which(table, names)})" if names else ""
        return " ".join(x for x in (within(panel.name), what) if x) if names else ""
    if not ups:
        return ""
    at = [c for c in conditions_of(table, panel) if any(e.condition == c for e in ups)]
    if len(at) > MOST:
        which = [
            f"{at_conditions(table, at)} ({_which(table, list(dict.fromkeys(e.treatment for e in ups)))})"
        ]
    else:
        best = [_which(table, [e.treatment for e in ups if e.condition == c], short=c != at[0]) for c in at]
        which = [
            f"{at_conditions(table, [c], bare=c != at[0])} ({what})" for c, what in zip(at, best, strict=True)
        ]
    return f"{within(panel.name)} {listed(which)}".strip()


def _order(table: Table) -> dict[str, float]:
    """Lengths in one unit by their size, other treatments as the study lists them."""
    labels = table.treatments.labels
    if "warmup" in table.study.treatment:
        try:
            sizes = [length(v) for v in table.treatments.values]
        except UserError:
            sizes = []
        if len({v.unit for v in sizes if v}) == 1:
            return {name: float(v.value) for name, v in zip(labels, sizes, strict=True)}
    return {name: float(i) for i, name in enumerate(labels)}


def _which(table: Table, names: Sequence[str], *, short: bool = False) -> str:
    """The shortest warmup that raises the edge; of other treatments all that do. short: it was said before
    what it does."""
    order = _order(table)
    ranked = sorted(names, key=order.__getitem__)
    if "warmup" in table.study.treatment:
        return name_of(table, ranked[0]) + ("" if short else " is enough to raise it")
    return listed([name_of(table, name) for name in ranked[:MOST]])
