"""What a section of the page is made of: figures and tables under a heading, and numbers with their
intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from preheat.analysis import words
from preheat.analysis.findings import Estimate, Findings
from preheat.report.cards import Card
from preheat.report.plates import Drawn


@dataclass(frozen=True)
class Table:
    """A table of texts. folded: it opens on demand, because a figure above says the same."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    folded: bool = True


@dataclass(frozen=True)
class Group:
    """Figures side by side under a small heading."""

    title: str
    figures: tuple[Drawn, ...]


@dataclass(frozen=True)
class Section:
    """One section; `missing` says why there is nothing where there is nothing."""

    id: str
    title: str
    lead: str
    groups: tuple[Group, ...] = ()
    tables: tuple[Table, ...] = ()
    missing: str = ""
    cards: tuple[Card, ...] = ()


def figures_of(drawn: Sequence[Drawn], section: str) -> tuple[Group, ...]:
    """The figures of a section by their headings."""
    mine = [d for d in drawn if d.plate.section == section]
    titles = dict.fromkeys(d.plate.group for d in mine)
    return tuple(Group(t, tuple(d for d in mine if d.plate.group == t)) for t in titles)


def number(e: Estimate | None, times: str = "") -> str:
    """An estimate in no unit, with its interval; `times` before the mean."""
    if e is None:
        return words.NONE
    inside = words.limits(e, words.plain)
    return words.level(e, times + words.plain(e.mean)) + (f" ({inside})" if inside else "")


def heads(f: Findings) -> tuple[str, str, str]:
    """The heads of the columns that place a row."""
    return "panel", words.human(f.condition) or "condition", words.human(f.treatment)
