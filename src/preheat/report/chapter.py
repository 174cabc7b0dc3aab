"""A chapter of a report: what is read of each record, what follows from all of them, and how that is shown.

    @CHAPTERS.register("survival")
    @dataclass(frozen=True)
    class Survival(Chapter): ...

A study names its chapters in order; page, navigation, summary and tables are made from that list, and nothing
else knows them. A chapter is three pure functions. `each` is called once for every trained record, so that a
trace is read once, however many chapters look at it. `find` knows no words: what it gives is data, goes into
`summary.json` and the tables as it is, and does not depend on which other chapters there are. What it has in
a field `claims` is judged with the claims of all chapters together, so that one page has one budget of error
and one verdict for a claim. `show` gets these verdicts, and computes nothing. A chapter that raises is left
out, with a note on the page; the others are written.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, is_dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from preheat.analysis.results import Row
from preheat.analysis.table import MISSING, Table
from preheat.analysis.training import learnt
from preheat.core.errors import UserError
from preheat.core.record import Record
from preheat.core.registry import CHAPTERS
from preheat.core.spec import as_spec, build
from preheat.core.words import count, listed
from preheat.report.plates import Plate
from preheat.stats.claims import Claim, Judged, Verdicts, budget, judge

STANDARD = ("main", "edge", "metric", "benefit", "best", "inside_edge", "curves", "probes", "untrained")
# the families of claims that feed the answer where a study names none
PRIMARY = ("main", "edge")
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


class Say(NamedTuple):
    """A sentence that may stand in the answer, of at most 25 words. rank: the lower, the earlier; the answer
    has the first three. What it claims is what primary verdicts say."""

    text: str
    rank: int = 5


class Shown(NamedTuple):
    """A chapter as it is read.

    lead: paragraphs, a line each. says: for the answer; caution: what must be known before it. short: its
    word in the navigation, the title where empty. notes: limits.
    """

    title: str
    lead: str = ""
    says: tuple[Say, ...] = ()
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
        """A frozen dataclass: what was found, as data; `claims` in it are judged. None: nothing to say. seen:
        what `each` gave, by row."""
        raise AssertionError("a chapter has find(table, seen)")

    def show(self, found: Any, verdicts: Verdicts, table: Table) -> Shown:
        """How it is read. verdicts: {a claim's name: what was judged}."""
        raise AssertionError("a chapter has show(found, verdicts, table)")


@dataclass(frozen=True)
class Written:
    """A chapter with what it found."""

    name: str
    found: Any
    shown: Shown


class Read(NamedTuple):
    """The chapters that are shown and have something to say (every: all of them, which make the answer), what
    can't be shown and why, how many traces can't be read, and which chapters raised what."""

    chapters: tuple[Written, ...] = ()
    notes: tuple[str, ...] = ()
    unread: int = 0
    failed: tuple[str, ...] = ()
    verdicts: Verdicts = MappingProxyType({})
    claims: tuple[Claim, ...] = ()
    every: tuple[Written, ...] = ()


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


def read(
    chapters: Sequence[Any],
    table: Table,
    rows: Iterable[Row],
    *,
    load: Callable[[str], Record],
    look: int = 0,
    only: Sequence[Any] = (),
) -> Read:
    """Every chapter's findings. load: one record with its trace, by run id; each is loaded once. look: how
    often the study's verdicts were looked at before, on fewer runs. only: the chapters to show; what the
    others claim is judged with what these claim, so that a part of a page has the verdicts of the whole."""
    made, notes = named(chapters)
    wanted, more = named(only) if only else (made, [])
    made, notes = {**wanted, **{n: c for n, c in made.items() if n not in wanted}}, [*notes, *more]
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
    told = {n: f for n, f in found.items() if f is not None and n not in failed}
    claims = _claims(told, table, failed)
    asked = tuple(table.study.claims.get("primary", ()))
    notes += _unclaimed(asked, claims)
    primary = asked or PRIMARY
    verdicts = judge(claims, primary, alpha=budget(look), later=budget(look + 1))
    shown: dict[str, Any] = {}
    for name in (n for n in told if n not in failed):
        shown[name] = _called(failed, name, "show", made[name].show, found[name], verdicts, table)
        if name not in failed and not isinstance(shown[name], Shown):
            failed[name] = f"chapter {name!r} failed in show: it gave {shown[name]!r:.60}, not a Shown"
    every = tuple(Written(n, found[n], s) for n, s in shown.items() if n not in failed)
    written = tuple(w for w in every if w.name in wanted)
    notes = [f"This page shows these chapters only: {listed(tuple(wanted))}.", *notes] if only else notes
    silent = [n.replace("_", " ") for n, f in found.items() if f is None and n in wanted and n not in failed]
    notes += [f"Nothing to say here on: {', '.join(silent)}."] if silent else []
    return Read(
        written, (*notes, *failed.values()), unread, tuple(failed.values()), verdicts, tuple(claims), every
    )


def _claims(found: dict[str, Any], table: Table, failed: dict[str, str]) -> list[Claim]:
    """All that is claimed. What rests on runs that have no record yet is not judged: to look while they come
    in would be to look many times. Nor is what rests on a panel in which no setting learnt anything."""
    nothing = {label for label, yes in zip(table.panels.labels, learnt(table), strict=True) if not yes}
    labels = {table.labels(at) for at, runs in _settings(table).items() if runs}
    out: dict[str, Claim] = {}
    for name, one in found.items():
        for c in getattr(one, "claims", ()):
            if c.name in out:
                failed[name] = (
                    f"chapter {name!r} failed in find: it claims {c.name!r}, which is claimed already"
                )
                continue
            whys = (
                c.why,
                "runs are missing" if any(place in labels for place in c.rests) else "",
                "nothing was learnt" if any(place[0] in nothing for place in (*c.rests, c.at)) else "",
            )
            out[c.name] = replace(c, why=next(filter(None, whys), ""))
    return list(out.values())


def _unclaimed(asked: Sequence[str], claims: Sequence[Claim]) -> list[str]:
    """That a family is called primary and no chapter claims anything of it."""
    known = dict.fromkeys(c.family for c in claims)
    lacking = [f for f in asked if f not in known]
    if not lacking:
        return []
    there = f"what is claimed here: {listed(known)}" if known else "nothing is claimed here"
    return [f"The study calls {listed(lacking)} primary, and no chapter claims any of it; {there}."]


def _settings(table: Table) -> dict[tuple[int, int, int], int]:
    """{place: how many of its runs are missing}."""
    missing = (table.state == MISSING).sum(axis=(3, 4))
    return {(int(p), int(c), int(t)): int(missing[p, c, t]) for p, c, t in np.ndindex(missing.shape)}


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


def verdict(v: Judged) -> str:
    """A verdict in words, and what it would take where there is none."""
    if v.why:
        return f"{v.verdict} ({v.why})"
    if not v.more_seeds:
        return str(v.verdict)
    about = "more than" if v.more_seeds >= 999 else "about"
    return f"{v.verdict}, {about} {count(v.more_seeds, 'more seed')}"
