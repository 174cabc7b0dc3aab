"""What to do near the edge of stability, for the end of the answer."""

from __future__ import annotations

from collections.abc import Sequence

from preheat.analysis.edges import Edge, Pooled
from preheat.analysis.naming import MOST, at_conditions, choices, rate_of, treatment_name, within
from preheat.analysis.table import Table
from preheat.analysis.words import human
from preheat.core.lengths import length
from preheat.core.words import listed
from preheat.report.chapters.edge_words import Panel, panels, sure_conditions


def near(table: Table, pooled: Sequence[Pooled], edges: Sequence[Edge]) -> tuple[str, ...]:
    """What to do near the edge, as far as tests support it; none where nothing was tested."""
    if all(r.ratio.n < 2 for r in pooled) or len(table.treatments) < 2:
        return ()
    places = [text for p in panels(table, pooled, edges) if (text := _advice(table, p))]
    if not places:
        return (f"no {choices(table)} was shown to allow a higher {rate_of(table)}",)
    return (f"if you train near the edge, set the {human(table.study.treatment)} {listed(places)}",)


def _advice(table: Table, panel: Panel) -> str:
    """Where and with which treatments the edge surely rises; empty where it does not."""
    ups = [e for e, r in panel.singles if r.mean > 1]
    if panel.kind == "moves":
        names = [r.treatment for r in panel.pooled if r.sure and r.ratio.mean > 1]
        what = f"({_which(table, names)})" if names else ""
        return " ".join(x for x in (within(table, panel.name), what) if x) if names else ""
    if not ups:
        return ""
    at = [c for c in sure_conditions(table, panel) if any(e.condition == c for e in ups)]
    if len(at) > MOST:
        every = list(dict.fromkeys(e.treatment for e in ups))
        which = [f"{at_conditions(table, at)} ({_which(table, every)})"]
    else:
        best = [_which(table, [e.treatment for e in ups if e.condition == c], short=c != at[0]) for c in at]
        which = [f"{at_conditions(table, [c], bare=c != at[0])} ({b})" for c, b in zip(at, best, strict=True)]
    return f"{within(table, panel.name)} {listed(which)}".strip()


def _which(table: Table, names: Sequence[str], *, short: bool = False) -> str:
    """The shortest length that raises the edge; of other treatments all that do. short: without the verb."""
    labels = table.treatments.labels
    ranked = sorted(names, key=labels.index)
    if not table.lengths:
        return listed([treatment_name(table, name) for name in ranked[:MOST]])
    sizes = {name: length(v) for name, v in zip(labels, table.treatments.values, strict=True)}
    if len({v.unit for v in sizes.values() if v}) == 1:
        ranked.sort(key=lambda name: float(sizes[name].value))
    return treatment_name(table, ranked[0]) + ("" if short else " is enough to raise it")
