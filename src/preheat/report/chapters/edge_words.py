"""What the answer says of the edge of stability: where it surely moves, and whether that depends on the
condition.

A panel depends if the move of any treatment surely changes with the condition: then single conditions are
told, because a mean over all would hide it. Else it moves if the mean over all conditions surely does. Else
single conditions are told if any is sure. Else it is still.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from preheat.analysis.edges import Edge, Pooled
from preheat.analysis.naming import (
    MOST,
    at_conditions,
    base_of,
    choices,
    rate_of,
    treatment_name,
    values_of,
    within,
)
from preheat.analysis.table import Table
from preheat.analysis.words import GAP, LEVEL, brief, human, level, limits
from preheat.core.words import listed
from preheat.stats.estimates import Estimate


class Panel(NamedTuple):
    """A panel's pooled ratios, and the sure ratios of its single conditions."""

    name: str
    pooled: list[Pooled]
    singles: list[tuple[Edge, Estimate]]

    @property
    def kind(self) -> str:
        """depends, moves, single or still, as the module says."""
        if any(r.depends for r in self.pooled):
            return "depends"
        if any(r.sure for r in self.pooled):
            return "moves"
        return "single" if self.singles else "still"


def panels(table: Table, pooled: Sequence[Pooled], edges: Sequence[Edge]) -> list[Panel]:
    """Every panel with a known ratio."""
    out = []
    for name in table.panels.labels:
        mine = [r for r in pooled if r.panel == name]
        singles = [(e, e.ratio) for e in edges if e.panel == name and e.ratio is not None and e.sure]
        if mine:
            out.append(Panel(name, mine, singles if len(table.conditions) > 1 else []))
    return out


def edge_sentences(table: Table, pooled: Sequence[Pooled], edges: Sequence[Edge]) -> list[str]:
    """A sentence for each of a few panels in which something moves, and one for all in which nothing is shown
    to."""
    if table.numeric is None or len(table.treatments) < 2:
        return []
    if not pooled:
        return ["how far the edge of stability moves can't be said: no seed's edge lies inside the grid."]
    if all(r.ratio.n < 2 for r in pooled):
        what = (
            f"against {base_of(table)} the highest usable {rate_of(table)} changes by "
            f"{_factors([r.ratio for r in pooled])}"
        )
        return [f"{what} on one seed: a description, not a conclusion."]
    found = panels(table, pooled, edges)
    moved, still = [p for p in found if p.kind != "still"], [p for p in found if p.kind == "still"]
    out = [_moves(table, p) if p.kind == "moves" else _by_condition(table, p) for p in moved[:MOST]]
    if moved[MOST:]:
        out.append(f"It moves in {len(moved) - MOST} more.")
    return out + ([_still(table, still, every=len(still) == len(table.panels))] if still else [])


def _two(x: float) -> str:
    """A factor with two decimals, a large one with three digits."""
    return brief(x) if x >= 10 else f"{x:.2f}"


def _span(some: Sequence[Estimate]) -> str:
    """The smallest and the largest mean, as a bound where one is."""
    low, high = (_two(f(e.mean for e in some)) for f in (min, max))
    bounds = {e.bound for e in some} - {"exact", "open"}
    kind = f"{bounds.pop()} " if len(bounds) == 1 else ""
    return kind + (low if low == high else f"{low} to {high}")


def _factors(some: Sequence[Estimate]) -> str:
    text = _span(some)
    return f"a factor of {text}" if " to " not in text else f"factors from {text}"


def _verb(ratios: Sequence[Estimate], *, words: tuple[str, str, str]) -> str:
    """The word for up, down or both."""
    ups = sum(r.mean > 1 for r in ratios)
    if ups == len(ratios):
        return words[0]
    return words[2] if ups else words[1]


def _head(table: Table, panel: Panel, ratios: Sequence[Estimate]) -> str:
    where = f"{within(table, panel.name)}, " if panel.name else ""
    verb = _verb(ratios, words=("raises", "lowers", "moves"))
    return f"{where}{human(table.study.treatment)} {verb} the highest usable {rate_of(table)}"


def _moves(table: Table, panel: Panel) -> str:
    """All treatments of one panel in which the mean over the conditions surely moves with some."""
    group = panel.pooled
    surely, rest = [r for r in group if r.sure], [r for r in group if not r.sure]
    head = f"{_head(table, panel, [r.ratio for r in surely])}{_over(table)}"
    tail = f"{_alike(table, panel)}."
    if len(surely) > MOST:
        some = f"in {len(surely)} of {len(group)} cases"
        return f"{head}: by {_factors([r.ratio for r in surely])} against {base_of(table)} {some}{tail}"
    each = [
        f"{_mean(r.ratio)} with {treatment_name(table, r.treatment)} ({limits(r.ratio, _two)})"
        for r in surely
    ]
    each[0] = (
        each[0].replace(" with ", f" times that of {base_of(table)} with ", 1).replace("(", f"({LEVEL} ", 1)
    )
    text = f"{head}: to {listed(each)}"
    if rest:
        names = listed([f"{treatment_name(table, r.treatment)} ({_told(r.ratio)})" for r in rest[:MOST]])
        text += f"; with {names if len(rest) <= MOST else 'the others'} no move is shown"
    return text + tail


def _mean(e: Estimate) -> str:
    return level(e, _two(e.mean))


def _told(e: Estimate) -> str:
    return ", ".join(part for part in (_mean(e), limits(e, _two)) if part)


def _over(table: Table) -> str:
    """Over what the ratios are pooled."""
    return f", all {values_of(table)} together" if len(table.conditions) > 1 else ""


def _alike(table: Table, panel: Panel) -> str:
    """Where a move that is told for all conditions together is sure by itself; that it is not shown to depend
    on them."""
    if len(table.conditions) < 2:
        return ""
    at = sure_conditions(table, panel)
    sure_at = (
        f"sure {at_conditions(table, at)} by itself"
        if at
        else f"at none of the {values_of(table)} sure by itself"
    )
    if len(at) == len(table.conditions):
        sure_at = f"sure at each of the {values_of(table)} by itself"
    return f"; {sure_at}, not shown to depend on the {human(table.study.condition)}"


def sure_conditions(table: Table, panel: Panel) -> list[str]:
    """The conditions where some treatment's move is sure, in the study's order."""
    there = {e.condition for e, _ in panel.singles}
    return [c for c in table.conditions.labels if c in there]


def _by_condition(table: Table, panel: Panel) -> str:
    """A panel in which the move depends on the condition, or is sure at single conditions only."""
    at = sure_conditions(table, panel)
    if panel.kind == "depends":
        where = f"{within(table, panel.name)}, " if panel.name else ""
        what = human(table.study.treatment)
        head = (
            f"{where}how far {what} moves the highest usable {rate_of(table)} depends on the "
            f"{human(table.study.condition)}"
        )
    else:
        head = _head(table, panel, [r for _, r in panel.singles])
    if not at:
        return f"{head}; at none of the {values_of(table)} by itself is a move shown."
    rest = [c for c in table.conditions.labels if c not in at]
    still = f"; {at_conditions(table, rest, bare=True)} no move is shown" if rest else ""
    if len(at) > MOST:
        text = (
            f"{at_conditions(table, at)} by {_factors([r for _, r in panel.singles])} against "
            f"{base_of(table)}"
        )
    else:
        text = _each(table, panel, at)
    return f"{head}: {text}{still}{_besides(table, panel)}."


def _each(table: Table, panel: Panel, at: Sequence[str]) -> str:
    """For each condition the sure treatments with their ratios, the interval where there is one of them."""
    out: list[str] = []
    last = ""
    for c in at:
        sures = [(e, r) for e, r in panel.singles if e.condition == c]
        ratios = [r for _, r in sures]
        where = at_conditions(table, [c], bare=bool(out) or panel.kind == "depends")
        verb = _verb(ratios, words=("rises", "falls", "moves"))
        times = "" if out else f" times that of {base_of(table)}"
        names = _names(table, [e.treatment for e, _ in sures])
        inside = (
            f" ({LEVEL} {limits(ratios[0], _two)})" if len(ratios) == 1 and limits(ratios[0], _two) else ""
        )
        does = "to" if verb == last else f"it {verb} to"
        out.append(f"{where} {does} {_span(ratios)}{times} with {names}{inside}")
        last = verb
    return listed(out)


def _names(table: Table, treatments: Sequence[str]) -> str:
    """Treatments in a list; lengths in one unit name it once."""
    names = [treatment_name(table, t) for t in treatments[:MOST]]
    if len(treatments) > MOST:
        return f"{len(treatments)} of {len(table.treatments) - 1} choices"
    numbers, units = (
        [n.partition(GAP)[0] for n in names],
        {n.partition(GAP)[2].removesuffix("s") for n in names},
    )
    one = len(names) > 1 and units in ({"epoch"}, {"step"})
    return f"{listed(numbers)}{GAP}{units.pop()}s" if one else listed(names)


def _besides(table: Table, panel: Panel) -> str:
    """In a panel that depends: treatments that are not shown to, and whose mean over the conditions surely
    moves."""
    some = [r for r in panel.pooled if r.sure and not r.depends]
    if panel.kind != "depends" or not some or len(some) > MOST:
        return ""
    each = listed(
        [
            f"{_mean(r.ratio)} with {treatment_name(table, r.treatment)} ({limits(r.ratio, _two)})"
            for r in some
        ]
    )
    return f"; where no dependence is shown, it is {each}{_over(table)}"


def _still(table: Table, some: Sequence[Panel], *, every: bool) -> str:
    """every: nothing is shown to move in any panel."""
    places = [within(table, p.name) for p in some if p.name]
    where = f"{listed(places)} " if len(places) <= MOST else f"in {len(places)} panels "
    head = f"{where if places else ''}no {choices(table)} is shown to move "
    head += f"the highest usable {rate_of(table)}" if every else "it"
    ratios = [r.ratio for p in some for r in p.pooled if r.ratio.n > 1]
    exact = [r for r in ratios if r.lo is not None and r.hi is not None]
    ends = [v for r in exact for v in (r.lo, r.hi) if v is not None]
    if not ends:
        return f"{head}, but too many edges lie beyond the grid to rule it out."
    if min(ends) < 0.1 or max(ends) > 10:
        return f"{head}, but the intervals are too wide to rule it out."
    inside = (
        f"{LEVEL}s within {_two(min(ends))} to {_two(max(ends))}"
        if len(exact) > 1
        else f"{LEVEL} {limits(exact[0], _two)}"
    )
    more = f"; {len(ratios) - len(exact)} more known as a bound only" if len(exact) < len(ratios) else ""
    return f"{head} ({_factors(exact)}, {inside}{more})."
