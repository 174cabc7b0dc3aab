"""The page: one HTML text with its style, script, figures and data inside, derived from the chapters."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NamedTuple

from markupsafe import Markup

from preheat.analysis import words
from preheat.core.words import count, listed
from preheat.report.chapter import ClaimCard, Rows, Tile, Written
from preheat.report.drawing.html import page
from preheat.report.plates import Drawn
from preheat.report.report import Report
from preheat.report.runs import flat_runs, run_table

# the ids of the page itself
OWN = (
    *("answer", "sure", "front", "limits", "runs", "provenance", "downloads", "theme", "filters", "find"),
    *("choices", "shown", "pager", "back", "at", "next", "run-table", "run-data"),
)
FRONT = 3  # figures below the answer
OPEN = 2  # chapters that stand open; later ones fold


@dataclass(frozen=True)
class Group:
    """Figures side by side under a small heading."""

    title: str
    figures: tuple[Drawn, ...]


@dataclass(frozen=True)
class Section:
    """A chapter on the page. short: its word in the navigation; above: whether figures of it stand below the
    answer; folded: whether it opens on demand."""

    id: str
    title: str
    short: str
    lead: str
    groups: tuple[Group, ...]
    tables: tuple[Rows, ...]
    cards: tuple[ClaimCard, ...]
    above: bool
    folded: bool


class Front(NamedTuple):
    """A figure below the answer, its heading, and the place of its chapter."""

    heading: str
    place: str
    figure: Drawn


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
    front = _front(report, drawn)
    return page(
        "preheat.report",
        "page.html",
        scripts=("page.js",),
        title=f"{study.name}: {study.question}",
        name=study.name,
        question=study.question,
        report=report,
        tiles=_tiles(report),
        front=front,
        sections=[_section(report, i, drawn.get(c.name, ()), front) for i, c in enumerate(report.chapters)],
        table=run_table(runs, study.metric) if runs else "",
        runs=count(len(runs), "run"),
        provenance=provenance,
        downloads=_downloads(listing),
        svg=lambda d: Markup(d.inline),
    )


def _front(report: Report, drawn: Mapping[str, Sequence[Drawn]]) -> list[Front]:
    """The first figures that carry the answer, in the order of the chapters."""
    placed = zip(_places(report), report.chapters, strict=True)
    every = ((place, c, d) for place, c in placed for d in drawn.get(c.name, ()) if d.plate.front)
    return [Front(_heading(c, d), place, d) for place, c, d in itertools.islice(every, FRONT)]


def _heading(chapter: Written, d: Drawn) -> str:
    said = tuple(text for text in (d.plate.group, d.plate.title) if text)
    return words.capital(", ".join(said) or chapter.shown.title)


def _section(report: Report, i: int, drawn: Sequence[Drawn], front: Sequence[Front]) -> Section:
    chapter = report.chapters[i]
    shown = chapter.shown
    above = [f.figure for f in front]
    left = [d for d in drawn if not any(d is a for a in above)]
    titles = dict.fromkeys(d.plate.group for d in left)
    groups = tuple(Group(words.capital(t), tuple(d for d in left if d.plate.group == t)) for t in titles)
    texts = _places(report)[i], shown.title, shown.short or shown.title, shown.lead
    moved = len(left) < len(drawn)
    return Section(*texts, groups, shown.tables, shown.cards, above=moved, folded=i >= OPEN)


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


def _downloads(listing: Sequence[str]) -> dict[str, dict[str, list[str]]]:
    """The files by what they are: {kind: {name: paths}}."""
    kinds = {"tables": "Tables", "figures": "Figures"}
    out: dict[str, dict[str, list[str]]] = {"Summary": {}, "Tables": {}, "Figures": {}}
    for path in listing:
        kind = kinds.get(path.partition("/")[0], "Summary")
        out[kind].setdefault(PurePosixPath(path).stem, []).append(path)
    return {k: v for k, v in out.items() if v}
