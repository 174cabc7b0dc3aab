"""A chapter of a report: what is read of each record, what follows from all of them, and how that is shown.

    @CHAPTERS.register("survival")
    @dataclass(frozen=True)
    class Survival(Chapter): ...

A study names its chapters in order; page, navigation, summary and tables are made from that list, and nothing
else knows them. A chapter is three pure functions. `each` is called once for every trained record, so that a
trace is read once, however many chapters look at it. `find` knows no words: what it gives is data, goes into
`summary.json` and the tables as it is, and does not depend on which other chapters there are. `show` computes
nothing. A chapter that raises is left out, with a note on the page; the others are written.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple

from preheat.analysis.effects import Difference
from preheat.analysis.results import Row
from preheat.analysis.table import Table
from preheat.core.errors import UserError
from preheat.core.record import Record
from preheat.core.registry import CHAPTERS
from preheat.core.spec import as_spec, build
from preheat.core.words import count
from preheat.report.plates import Plate

STANDARD = ("edge", "metric", "benefit", "best", "inside_edge", "curves", "probes", "untrained")
Seen = Sequence[tuple[Row, Any]]


class Rows(NamedTuple):
    """A table of texts on the page. folded: it opens on demand, because a figure above says the same."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    folded: bool = True


class ClaimCard(NamedTuple):
    """A claim on the page; state: its verdict as a class name."""

    code: str
    statement: str
    state: str
    mark: str
    verdict: str
    effect: str
    how: str
    text: str


class Tile(NamedTuple):
    """A number of the first screen and what it counts."""

    number: str
    text: str


class Shown(NamedTuple):
    """A chapter as it is read.

    lead: paragraphs, a line each. says: sentences of the answer; advice: clauses that end it ("in practice:
    ..."); caution: what the answer must begin with. short: its word in the navigation, the title where empty.
    notes: limits.
    """

    title: str
    lead: str = ""
    says: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    caution: tuple[str, ...] = ()
    plates: tuple[Plate, ...] = ()
    tables: tuple[Rows, ...] = ()
    cards: tuple[ClaimCard, ...] = ()
    tiles: tuple[Tile, ...] = ()
    short: str = ""
    notes: tuple[str, ...] = ()


class Chapter:
    """An abstract base: `each` reads nothing of a record unless a chapter says so."""

    def each(self, record: Record, row: Row) -> Any:
        """Something small of one trained run, for `find`; None to pass it over."""
        return None

    def find(self, table: Table, seen: Seen) -> Any:
        """A frozen dataclass: all that is claimed, as data. None: nothing to say. seen: what `each` gave, by
        row."""
        raise AssertionError("a chapter has find(table, seen)")

    def show(self, found: Any, table: Table) -> Shown:
        """How it is read."""
        raise AssertionError("a chapter has show(found, table)")


@dataclass(frozen=True)
class Written:
    """A chapter with what it found."""

    name: str
    found: Any
    shown: Shown


class Read(NamedTuple):
    """The chapters that have something to say, what can't be shown and why, how many traces can't be read,
    and which chapters raised what."""

    chapters: tuple[Written, ...] = ()
    notes: tuple[str, ...] = ()
    unread: int = 0
    failed: tuple[str, ...] = ()


def named(study_chapters: Sequence[Any]) -> tuple[dict[str, Any], list[str]]:
    """{name: chapter} in order, and notes on those that are not installed; the standard ones where a study
    names none."""
    made: dict[str, Any] = {}
    notes = []
    for one in study_chapters or STANDARD:
        spec = as_spec(one, "chapter")
        if spec.name in made:
            raise UserError(f"each chapter is named once, got {spec.name!r} twice: leave one out")
        if spec.name in CHAPTERS.names():
            made[spec.name] = build("chapter", spec)
        else:
            notes.append(
                f"The chapter {spec.name!r} is not installed here, so it is left out: report with --import "
                "its file."
            )
    return made, notes


def read(chapters: Sequence[Any], table: Table, rows: Iterable[Row], load: Callable[[str], Record]) -> Read:
    """Every chapter's findings. load: one record with its trace, by run id; each is loaded once."""
    made, notes = named(chapters)
    failed: dict[str, str] = {}
    seen, unread = _seen(made, rows, load, failed)
    found: dict[str, Any] = {}
    for name in (n for n in made if n not in failed):
        one = _called(failed, name, "find", made[name].find, table, seen[name])
        if one is not None and (isinstance(one, type) or not is_dataclass(one)):
            failed[name] = (
                f"chapter {name!r} failed in find: it gave {one!r:.60}, not a frozen dataclass or None"
            )
        found[name] = one
    shown: dict[str, Any] = {}
    for name in (n for n, f in found.items() if f is not None and n not in failed):
        shown[name] = _called(failed, name, "show", made[name].show, found[name], table)
        if name not in failed and not isinstance(shown[name], Shown):
            failed[name] = f"chapter {name!r} failed in show: it gave {shown[name]!r:.60}, not a Shown"
    written = tuple(Written(n, found[n], s) for n, s in shown.items() if n not in failed)
    silent = [n.replace("_", " ") for n, f in found.items() if f is None and n not in failed]
    notes += [f"Nothing to say here on: {', '.join(silent)}."] if silent else []
    return Read(written, (*notes, *failed.values()), unread, tuple(failed.values()))


def _seen(
    made: dict[str, Any], rows: Iterable[Row], load: Callable[[str], Record], failed: dict[str, str]
) -> tuple[dict[str, list[tuple[Row, Any]]], int]:
    """What `each` of every chapter gave, by row, and how many traces can't be read."""
    seen: dict[str, list[tuple[Row, Any]]] = {name: [] for name in made}
    looking = {name: c for name, c in made.items() if getattr(type(c), "each", None) is not Chapter.each}
    unread = 0
    for row in rows if looking else ():
        if row.outcome not in ("done", "diverged"):
            continue
        try:
            record = load(row.run_id)
        except UserError:  # a damaged trace: the notes tell it
            unread += 1
            continue
        for name, chapter in looking.items():
            small = None if name in failed else _called(failed, name, "each", chapter.each, record, row)
            if small is not None:
                seen[name].append((row, small))
    return seen, unread


def _called(failed: dict[str, str], name: str, step: str, call: Callable[..., Any], *given: Any) -> Any:
    """What a function of a chapter gives; None where it raises, which `failed` then tells. A `UserError` is
    the reader's to mend and ends the report."""
    try:
        return call(*given)
    except UserError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        at = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(at.filename).name}, line {at.lineno}"
        said = ": ".join(part for part in (type(error).__name__, text) if part)
        failed[name] = f"chapter {name!r} failed in {step}: {said} ({where})"
        return None


def verdict(text: Difference | str, more: int | None) -> str:
    """A verdict, and what it would take where there is none."""
    if not more or text != "not decided":
        return text
    return f"{text}, {'more than' if more >= 999 else 'about'} {count(more, 'more seed')}"
