"""Treatments and where something holds of them, as the answer writes them: 5 to 20 epochs with AdamW."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from preheat.analysis.naming import choices, treatment_name, within
from preheat.analysis.table import Table
from preheat.analysis.words import GAP
from preheat.core.lengths import length
from preheat.core.words import listed
from preheat.stats.claims import Judged

MOST_NAMES = 3
Pairs = dict[tuple[str, str], Judged]


def phrase(table: Table, pairs: Pairs, *, word: str = "and") -> str:
    """Treatments with where: 5 to 20 epochs with AdamW. Empty where that is too much for a sentence. word:
    between the treatments of one place."""
    groups: dict[str, list[str]] = {}
    for panel in table.panels.labels:
        mine = {t: v for (p, t), v in pairs.items() if p == panel}
        if mine:
            groups.setdefault(names_of(table, mine, word), []).append(panel)
    if not groups or len(groups) > 2 or "" in groups:
        return ""
    return listed([f"{names}{where(table, some)}" for names, some in groups.items()])


def names_of(table: Table, some: dict[str, Judged], word: str) -> str:
    """Treatments; lengths in one unit that lie side by side as a range, "" where they are too many."""
    labels = [t for t in table.treatments.labels if t in some]
    names = [treatment_name(table, t) for t in labels]
    if len(labels) > 1 and table.lengths:
        at = [table.treatments.labels.index(t) for t in labels]
        lengths = [length(table.treatments.values[i]) for i in at]
        rising = all(a.value < b.value for a, b in pairwise(lengths))
        beside = at == list(range(at[0], at[-1] + 1)) and len({x.unit for x in lengths}) == 1
        if beside and rising and lengths[0].value:
            return f"{names[0].partition(GAP)[0]} to {names[-1]}"
    if len(names) > MOST_NAMES:
        every = "every" if word == "and" else "any"
        return f"{every} other {choices(table)}" if len(names) == len(table.treatments) - 1 else ""
    *first, last = names
    return f"{', '.join(first)} {word} {last}" if first else last


def where(table: Table, some: Sequence[str]) -> str:
    """with SGD and AdamW; empty where these are all, or there is only one."""
    every = table.panels.labels
    if len(every) < 2 or set(some) == set(every):
        return ""
    if len(some) > 2:
        return f" in {len(some)} of {len(every)} cases"
    return f" {joined(table, some, 'and')}"


def joined(table: Table, some: Sequence[str], word: str) -> str:
    """with SGD or AdamW: the preposition once where it is the same, and no name has a comma."""
    texts = [within(table, p) for p in some]
    heads = {t.partition(" ")[0] for t in texts}
    bare = len(heads) == 1 and not any("," in t for t in texts)
    return f" {word} ".join([texts[0], *(t.partition(" ")[2] if bare else t for t in texts[1:])])
