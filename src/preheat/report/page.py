"""The page: one HTML text with its style, script, figures and data inside, derived from the chapters."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from preheat.analysis import words
from preheat.core.words import count, listed
from preheat.report.chapter import ClaimCard, Rows, Tile
from preheat.report.drawing.html import page
from preheat.report.plates import Drawn
from preheat.report.report import Report
from preheat.report.runs import flat_runs, run_table

# the ids of the page itself
OWN = (
    *("answer", "sure", "limits", "runs", "provenance", "downloads", "theme", "filters", "find", "choices"),
    *("shown", "pager", "back", "at", "next", "run-table", "run-data"),
)


@dataclass(frozen=True)
class Group:
    """Figures side by side under a small heading."""

    title: str
    figures: tuple[Drawn, ...]


@dataclass(frozen=True)
class Section:
    """A chapter on the page. short: its word in the navigation."""

    id: str
    title: str
    short: str
    lead: str
    groups: tuple[Group, ...]
    tables: tuple[Rows, ...]
    cards: tuple[ClaimCard, ...]


def render(
    report: Report,
    *,
    drawn: Mapping[str, Sequence[Drawn]],
    provenance: Mapping[str, str],
    listing: Sequence[str],
) -> str:
    """The whole page. drawn: the figures of each chapter; listing: the files beside the page, relative."""
    runs = flat_runs(report.results)
    study = report.results.study
    return page(
        "preheat.report",
        "page.html",
        scripts=("page.js",),
        title=f"{study.name}: {study.question}",
        name=study.name,
        question=study.question,
        report=report,
        tiles=_tiles(report),
        sections=[_section(report, i, drawn.get(c.name, ())) for i, c in enumerate(report.chapters)],
        table=run_table(runs) if runs else "",
        runs=count(len(runs), "run"),
        provenance=provenance,
        downloads=_downloads(listing),
        svg=lambda d: Markup(d.inline),
    )


def _section(report: Report, i: int, drawn: Sequence[Drawn]) -> Section:
    chapter = report.chapters[i]
    shown = chapter.shown
    titles = dict.fromkeys(d.plate.group for d in drawn)
    groups = tuple(Group(words.capital(t), tuple(d for d in drawn if d.plate.group == t)) for t in titles)
    title = shown.title
    return Section(
        _places(report)[i], title, shown.short or title, shown.lead, groups, shown.tables, shown.cards
    )


def _tiles(report: Report) -> list[tuple[Tile, str]]:
    """How the runs ended, then the chapters' own, each with the place that it leads to.

    Counts, not the largest of many: a maximum over comparisons would flatter.
    """
    c = report.counts
    ends = ((c.diverged, "diverged"), (c.failed, "failed"), (c.missing, "missing"))
    lost = listed(tuple(f"{n:,} {word}" for n, word in ends if n))
    ended = "run finished" if c.done == 1 else "runs finished"
    first = Tile(f"{c.done:,}", ended if lost == "none" else f"{ended}; {lost}")
    placed = zip(_places(report), report.chapters, strict=True)
    return [(first, "runs"), *((tile, place) for place, chapter in placed for tile in chapter.shown.tiles)]


def _places(report: Report) -> list[str]:
    """An id of its own for each chapter, whatever the chapters are called."""
    out: list[str] = []
    for chapter in report.chapters:
        name = words.slug(chapter.name)
        tried = itertools.chain([name], (f"{name}-{n}" for n in itertools.count(2)))
        out.append(next(place for place in tried if place not in (*OWN, *out)))
    return out


def _downloads(listing: Sequence[str]) -> dict[str, list[str]]:
    """The files by what they are."""
    kinds = {"tables": "Tables", "figures": "Figures"}
    out: dict[str, list[str]] = {"Summary": [], "Tables": [], "Figures": []}
    for path in listing:
        out[kinds.get(path.partition("/")[0], "Summary")].append(path)
    return {k: v for k, v in out.items() if v}
