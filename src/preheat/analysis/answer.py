"""The answer in one paragraph: how far the edge moves, what is left at a tuned rate and inside the edge, what to do."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from preheat.analysis.findings import Cell, Effect, Inside, Pooled
from preheat.analysis.notes import counts
from preheat.analysis.stats import ALPHA
from preheat.analysis.table import Table
from preheat.analysis.words import LEVEL, Units, capital, count, human, listed, plain, spoken, within
from preheat.core.errors import UserError
from preheat.core.lengths import length

MOST = 4


class Found(NamedTuple):
    """What the answer is made from."""

    cells: tuple[Cell, ...]
    effects: tuple[Effect, ...]
    pooled: tuple[Pooled, ...]
    insides: tuple[Inside, ...]


def answer(table: Table, found: Found) -> str:
    """A few short sentences in the page's units. Every treatment counts in each, so none is named for being the largest."""
    n = counts(table)
    if not n.done and not n.diverged:
        return "No run of this study has a result yet, so nothing can be said."
    if not n.done:
        return f"All {n.diverged} runs that started diverged, so nothing can be said of {human(table.study.treatment)}."
    compared = _tuned(table, found.effects) if found.effects else _alone(table, found.cells)
    said = [*_edge(table, found.pooled), *compared, *_inside(table, found.insides), *_practice(table, found)]
    unknown = n.failed + n.missing
    if unknown:
        said.append(f"{unknown:,} of {count(n.planned, 'planned run')} have no result, so this is preliminary.")
    return " ".join(capital(s) for s in said)


def sure(p: Pooled) -> bool:
    """Whether the move is sure at 95 % after correction."""
    return p.p_adjusted is not None and p.p_adjusted < ALPHA


def _name(table: Table, treatment: str) -> str:
    return spoken(table.study.treatment, treatment)


def _base(table: Table) -> str:
    return _name(table, table.treatments.labels[table.base])


def _rate(table: Table) -> str:
    return " and ".join(human(path) for path in table.study.nuisance)


def _choices(table: Table) -> str:
    """What is chosen among: `length of warmup`, since "no warmup" is one of its values."""
    what = human(table.study.treatment)
    return f"length of {what}" if "warmup" in table.study.treatment else what


def _edge(table: Table, pooled: Sequence[Pooled]) -> list[str]:
    """A sentence for each of a few panels in which something moves, and one for all in which nothing is shown to."""
    if table.numeric is None or len(table.treatments) < 2:
        return []
    if not pooled:
        return ["how far the edge of stability moves can't be said: no seed's edge lies inside the grid."]
    groups = {panel: [r for r in pooled if r.panel == panel] for panel in table.panels.labels}
    tested = [r for r in pooled if r.p is not None]
    if not tested:
        what = f"against {_base(table)} the highest usable {_rate(table)} changes by {_factors(pooled)}"
        return [f"{what} on one seed: a description, not a conclusion."]
    moved = [panel for panel, group in groups.items() if any(map(sure, group))]
    still = [panel for panel, group in groups.items() if group and panel not in moved]
    out = [_moves(table, panel, groups[panel]) for panel in moved[:MOST]]
    if moved[MOST:]:
        out.append(f"It moves in {len(moved) - MOST} more.")
    return out + ([_still(table, still, [r for r in tested if r.panel in still])] if still else [])


def _factors(some: Sequence[Pooled]) -> str:
    means = [r.ratio.mean for r in some]
    low, high = _two(min(means)), _two(max(means))
    return f"a factor of {low}" if low == high else f"factors from {low} to {high}"


def _moves(table: Table, panel: str, group: Sequence[Pooled]) -> str:
    """All treatments of one panel in which the edge surely moves with some."""
    surely, rest = [r for r in group if sure(r)], [r for r in group if not sure(r)]
    ups = sum(r.ratio.mean > 1 for r in surely)
    verb = "raises" if ups == len(surely) else "moves" if ups else "lowers"
    where = f"{within(panel)}, " if panel else ""
    head = f"{where}{human(table.study.treatment)} {verb} the highest usable {_rate(table)}{_over(table)}"
    if len(surely) > MOST:
        return f"{head}: by {_factors(surely)} against {_base(table)} in {len(surely)} of {len(group)} cases."
    each = [f"{_two(r.ratio.mean)} with {_name(table, r.treatment)} ({_range(r)})" for r in surely]
    each[0] = each[0].replace(" with ", f" times that of {_base(table)} with ", 1).replace("(", f"({LEVEL} ", 1)
    text = f"{head}: to {listed(each)}"
    if not rest:
        return text + "."
    names = listed([f"{_name(table, r.treatment)} ({_two(r.ratio.mean)}, {_range(r)})" for r in rest[:MOST]])
    return f"{text}; with {names if len(rest) <= MOST else 'the others'} no move is shown."


def _range(r: Pooled) -> str:
    return f"{_two(r.ratio.lo)} to {_two(r.ratio.hi)}"


def _two(x: float | None) -> str:
    """A factor with two decimals, a large one with three digits."""
    return plain(x) if x is None or x >= 10 else f"{x:.2f}"


def _over(table: Table) -> str:
    """Over what the ratios are pooled."""
    if len(table.conditions) < 2:
        return ""
    what = "data sizes" if "examples" in table.study.condition else f"values of {human(table.study.condition)}"
    return f", all {what} together"


def _still(table: Table, panels: Sequence[str], tested: Sequence[Pooled]) -> str:
    places = [within(p) for p in panels if p]
    where = f"{listed(places)} " if len(places) <= MOST else f"in {len(places)} panels "
    head = f"{where if places else ''}no {_choices(table)} is shown to move "
    head += f"the highest usable {_rate(table)}" if len(panels) == len(table.panels) else "it"
    ends = [v for r in tested for v in (r.ratio.lo, r.ratio.hi) if v is not None]
    if not ends:
        return head + "."
    if min(ends) < 0.1 or max(ends) > 10:
        return f"{head}, but the intervals are too wide to rule it out."
    inside = f"{LEVEL}s within {_two(min(ends))} to {_two(max(ends))}" if len(tested) > 1 else f"{LEVEL} {_range(tested[0])}"
    return f"{head} ({_factors(tested)}, {inside})."


def _tuned(table: Table, effects: Sequence[Effect]) -> list[str]:
    """What is left where the nuisance is chosen well for each setting."""
    known = [e for e in effects if e.estimate.n]
    if not known:
        return [f"no comparison with {_base(table)} has a judged run."]
    u = Units.of(table.study.metric)
    lows, highs = min(e.estimate.mean for e in known), max(e.estimate.mean for e in known)
    tuned = f"with the {_rate(table)} tuned for each setting, " if table.study.nuisance else ""
    ran = f"the mean differences in test {human(table.study.metric)} from {_base(table)} run"
    span = f"{ran} from {u.number(lows, sign=True)} to {u.difference(highs)}"
    if len(known) == 1:
        span = f"test {human(table.study.metric)} differs from that with {_base(table)} by {u.difference(lows)}"
    if table.biased:
        return [f"{tuned}{span}; the same seeds chose it and report, so nothing is concluded."]
    most = max(e.estimate.n for e in known)
    if most < 2:
        return [f"{tuned}{span} on one judging seed: a description, not a conclusion."]
    seeds = f"{count(most, 'seed')} that did not choose" if table.study.choosing else count(most, "seed")
    return [tuned + _verdicts(effects, _base(table), margin=u.margin(table.study.margin)), f"{span}, on {seeds}."]


def _verdicts(effects: Sequence[Effect], base: str, *, margin: str) -> str:
    n = {v: sum(e.verdict == v for e in effects) for v in ("better", "worse", "equivalent", "not decided")}
    if len(effects) == 1:
        name, verdict = effects[0].treatment, effects[0].verdict
        told = {
            "equivalent": f"{name} is equivalent to {base} within {margin}.",
            "not decided": f"between {name} and {base} neither a difference nor equivalence is shown.",
        }
        return told.get(verdict, f"{name} is surely {verdict} than {base}.")
    of = f"of {len(effects)} comparisons with {base}"
    either = f"none {of} is surely better or worse"
    if n["better"] + n["worse"]:
        either = f"{of} {n['better']} are surely better and {n['worse']} worse"
    return f"{either} ({n['equivalent']} equivalent within {margin}, {n['not decided']} not decided)."


def _alone(table: Table, cells: Sequence[Cell]) -> list[str]:
    u, known = Units.of(table.study.metric), [c.estimate.mean for c in cells if c.estimate.n]
    head = f"there is nothing to compare with {_base(table)}."
    if not known:
        return [head]
    span = u.value(known[0]) if len(known) == 1 else f"{u.number(min(known))} to {u.value(max(known))}"
    return [head, f"The mean test {human(table.study.metric)} is {span}."]


def _inside(table: Table, insides: Sequence[Inside]) -> list[str]:
    known = [i for i in insides if i.widest is not None and i.seed_sd is not None]
    if not known:
        return []
    u = Units.of(table.study.metric)
    width = median(i.widest.mean for i in known if i.widest is not None)
    sd = median(i.seed_sd for i in known if i.seed_sd is not None)
    apart = f"all choices of {human(table.study.treatment)} lie within {u.difference(width, sign=False)} of one another"
    beside = f"beside a standard deviation of {u.difference(sd, sign=False)} between seeds"
    beside += "" if len(known) == 1 else " (medians)"
    equal, margin = sum(i.equivalent for i in known), u.margin(table.study.margin)
    shown = "this is" if equal else "this is not"
    told = f"equivalence within {margin} is shown in {equal} of {count(len(known), 'setting')}"
    if len(known) == 1:
        told = f"{shown} shown to be equivalent within {margin}"
    return [f"{'well inside the edge' if table.numeric else 'where every run trained'}, {apart}, {beside}; {told}."]


def _practice(table: Table, found: Found) -> list[str]:
    """Advice, as far as tests support it; none where nothing was tested."""
    if len(table.treatments) < 2:
        return []
    said = [*_near(table, found.pooled), *_away(table, found)]
    return [f"in practice: {'; '.join(said)}."] if said else []


def _near(table: Table, pooled: Sequence[Pooled]) -> list[str]:
    if not any(r.p is not None for r in pooled):
        return []
    what, ups = _choices(table), [r for r in pooled if sure(r) and r.ratio.mean > 1]
    if not ups:
        return [f"no {what} was shown to allow a higher {_rate(table)}"]
    order, places = _order(table), []
    for panel in dict.fromkeys(r.panel for r in ups):
        names = sorted((r.treatment for r in ups if r.panel == panel), key=order.__getitem__)
        places.append(" ".join(p for p in (within(panel), f"({_which(table, names)})") if p))
    verb = "warm up" if "warmup" in table.study.treatment else f"choose the {what}"
    return [f"if you train near the edge, {verb} {listed(places)}"]


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


def _which(table: Table, names: Sequence[str]) -> str:
    """The shortest warmup that raises the edge; of other treatments all that do."""
    listing = listed([_name(table, name) for name in names[:MOST]])
    return f"{_name(table, names[0])} is enough to raise it" if "warmup" in table.study.treatment else listing


def _away(table: Table, found: Found) -> list[str]:
    what = f"the {_choices(table)}"
    tested = [e for e in found.effects if e.p is not None and e.estimate.lo != e.estimate.hi and not table.biased]
    differ = sum(e.verdict in ("better", "worse") for e in tested)
    out = []
    if tested:
        at = f"at a tuned {_rate(table)} " if table.study.nuisance else ""
        if differ:
            out.append(f"{at}{what} surely matters in {differ} of {len(tested)} comparisons")
        elif all(e.verdict == "equivalent" for e in found.effects):
            out.append(f"{at}{what} hardly matters")
        else:
            out.append(f"{at}{what} was not shown to matter")
    if found.insides and all(i.equivalent for i in found.insides):
        out.append(f"well inside the edge {what} hardly matters")
    return out
