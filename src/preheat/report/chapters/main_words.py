"""The answer of a study that compares treatments, from the primary verdicts: what to do, then why."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from preheat.analysis.naming import base_of, choices, rate_of, treatment_name, within
from preheat.analysis.table import Table
from preheat.analysis.words import GAP, Units, brief, human
from preheat.core.lengths import length
from preheat.core.words import listed
from preheat.report.chapter import Say
from preheat.stats.claims import Judged, Verdict, Verdicts

MOST_WORDS = 25
Group = list[Judged]


def answer(table: Table, verdicts: Verdicts) -> tuple[Say, ...]:
    """What to do, how tuned settings compare, and what a treatment does where the rate is not tuned."""
    tuned, rated, edge = (_of(table, verdicts, name) for name in ("tuned", "over_rates", "edge"))
    told = [v for v in tuned if v.effect.n > 1 and not v.why]
    if not told:
        return _described(table, tuned)
    gains = [v for v in (*rated, *edge) if v.verdict is Verdict.SUPPORTED]
    said = [_advice(table, told, gains), _tuned(table, told), _untuned(table, rated), _edge(table, edge)]
    return tuple(Say(text, rank) for rank, text in enumerate(said) if text)


def _of(table: Table, verdicts: Verdicts, measure: str) -> Group:
    """Those of the claimed panels, in order, that are primary."""
    names = (f"{measure}/{p}/{t}" for p in table.panels.labels for t in table.treatments.labels)
    return [v for name in names if (v := verdicts.get(name)) is not None and v.primary]


def _described(table: Table, tuned: Group) -> tuple[Say, ...]:
    """Where nothing is tested: what was seen, and why it is no conclusion."""
    known = [v.effect.mean for v in tuned if v.effect.n]
    if not known:
        return (Say(f"No comparison with {base_of(table)} has a result.", 0),)
    u = Units.of(table.study.metric)
    low, high = sorted({min(known), max(known)})[::1] if min(known) != max(known) else (known[0], known[0])
    ends = u.difference(low) if low == high else f"{u.number(low, sign=True)} to {u.difference(high)}"
    why = next((v.why for v in tuned if v.why), "")
    noun = "better" if table.sign > 0 else "better (less)"
    return (
        Say(f"Against {base_of(table)} the test {human(table.study.metric)} is {noun} by {ends}.", 0),
        Say(f"Nothing is concluded: {why}.", 1),
    )


def _panels(table: Table, some: Sequence[str], word: str = "and") -> str:
    """with SGD and AdamW; empty where these are all, or there is only one."""
    every = table.panels.labels
    if len(every) < 2 or set(some) == set(every):
        return ""
    texts = [within(table, p) for p in every if p in some]
    heads = {t.partition(" ")[0] for t in texts}
    if len(texts) > 2:
        return f" in {len(texts)} of {len(every)} cases"
    names = [texts[0], *(t.partition(" ")[2] if len(heads) == 1 else t for t in texts[1:])]
    return f" {f' {word} '.join(names)}"


def _names(table: Table, some: Sequence[str]) -> str:
    """Treatments; lengths in one unit that lie side by side as a range."""
    labels = [t for t in table.treatments.labels if t in some]
    names = [treatment_name(table, t) for t in labels]
    if table.lengths and len(labels) > 1:
        units = {
            length(v).unit
            for v in (table.treatments.values[table.treatments.labels.index(t)] for t in labels)
        }
        places = [table.treatments.labels.index(t) for t in labels]
        if len(units) == 1 and places == list(range(places[0], places[-1] + 1)):
            first = names[0].partition(GAP)[0]
            return f"{first} to {names[-1]}"
    return listed(names) if len(names) < 4 else f"{len(names)} of {len(table.treatments) - 1} choices"


def _advice(table: Table, tuned: Group, gains: Group) -> str:
    """What to do."""
    rate = rate_of(table)
    better, worse = (
        [v for v in tuned if v.verdict is kind] for kind in (Verdict.SUPPORTED, Verdict.OPPOSITE)
    )
    alike = all(v.verdict is Verdict.SAME for v in tuned)
    safe = {(v.at[0], v.at[2]) for v in gains} - {(v.at[0], v.at[2]) for v in worse}
    use = _use(table, safe)
    if better:
        best = _use(table, {(v.at[0], v.at[2]) for v in better})
        return f"Use {best}." if best else ""
    if alike:
        head = (
            f"If you tune the {rate}, any {choices(table)} will do"
            if rate
            else f"Any {choices(table)} will do"
        )
        return f"{head}; if you can't, use {use}." if use and rate else f"{head}."
    if worse:
        avoid = _use(table, {(v.at[0], v.at[2]) for v in worse})
        return f"Avoid {avoid}."
    if use and rate:
        return f"If you can't tune the {rate}, use {use}."
    return f"Which {choices(table)} to use is not decided by these runs."


def _use(table: Table, safe: set[tuple[str, str]]) -> str:
    """Treatments with where: 5 to 20 epochs with AdamW."""
    groups: dict[str, list[str]] = {}
    for panel in table.panels.labels:
        names = _names(table, [t for t in table.treatments.labels if (panel, t) in safe])
        if any((panel, t) in safe for t in table.treatments.labels):
            groups.setdefault(names, []).append(panel)
    texts = [f"{names}{_panels(table, panels)}" for names, panels in groups.items()]
    return listed(texts) if len(texts) < 3 else ""


def _tuned(table: Table, tuned: Group) -> str:
    """How settings compare at a tuned rate."""
    u = Units.of(table.study.metric)
    where = f"At a tuned {rate_of(table)}" if table.study.nuisance else "Here"
    margin = u.margin(table.study.margin)
    counted = {kind: [v for v in tuned if v.verdict is kind] for kind in Verdict}
    same, better, worse = (counted[k] for k in (Verdict.SAME, Verdict.SUPPORTED, Verdict.OPPOSITE))
    if len(same) == len(tuned):
        return f"{where} no {human(table.study.treatment)} made a difference of {margin}{_each(table)}."
    if better or worse:
        some = better or worse
        does = "gained" if better else "lost"
        return f"{where} {_changed(table, some, does, u.difference)}."
    n = f"in {len(same)} of {len(tuned)} comparisons" if same else "in no comparison"
    return f"{where} no difference was shown; one of {margin} is excluded {n}."


def _each(table: Table) -> str:
    """, with SGD or AdamW."""
    texts = [within(table, p) for p in table.panels.labels]
    if len(texts) != 2:
        return ""
    head = {t.partition(" ")[0] for t in texts}
    return f", {texts[0]} or {texts[1].partition(' ')[2] if len(head) == 1 else texts[1]}"


def _changed(table: Table, some: Group, does: str, text: Callable[..., str]) -> str:
    """5 to 20 epochs gained 3.3 to 5.4 points with AdamW."""
    means = sorted(abs(v.effect.mean) for v in some)
    low, high = text(means[0], sign=False), text(means[-1], sign=False)
    size = high if low == high else f"{low.partition(GAP)[0]} to {high}"
    what = _names(table, list({v.at[2] for v in some}))
    panels = list(dict.fromkeys(v.at[0] for v in some))
    return f"{what} {does} {size}{_panels(table, panels)}"


def _untuned(table: Table, rated: Group) -> str:
    u = Units.of(table.study.metric)
    for kind, does in ((Verdict.SUPPORTED, "gained"), (Verdict.OPPOSITE, "lost")):
        if some := [v for v in rated if v.verdict is kind]:
            return f"Over all {rate_of(table)}s tried, {_changed(table, some, does, u.difference)}."
    return ""


def _edge(table: Table, edge: Group) -> str:
    for kind, does in ((Verdict.SUPPORTED, "raised"), (Verdict.OPPOSITE, "lowered")):
        if some := [v for v in edge if v.verdict is kind]:
            ends = sorted(v.effect.mean for v in some)
            size = brief(ends[0], 2) if len(some) == 1 else f"{brief(ends[0], 2)} to {brief(ends[-1], 2)}"
            what = _names(table, list({v.at[2] for v in some}))
            panels = list(dict.fromkeys(v.at[0] for v in some))
            where = _panels(table, panels)
            return f"{what} {does} the highest usable {rate_of(table)} {size} times{where}."
    return ""
