"""Claims of papers, and what the claims on this page say of them in the setting that was run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from preheat.analysis.results import Row
from preheat.analysis.table import Table
from preheat.analysis.words import Units, capital, human, p_text
from preheat.core.errors import UserError, unknown
from preheat.core.grid import get, label
from preheat.core.lengths import is_number
from preheat.core.record import Record
from preheat.core.registry import CHAPTERS
from preheat.core.words import listed
from preheat.report.chapter import Chapter, Rows, Seen, Shown, verdict
from preheat.report.chapters.main import seen
from preheat.stats.claims import Judged, Verdicts

UNTESTED = "not tested here"
MOST = 5


@dataclass(frozen=True)
class Paper:
    """A claim of a paper.

    claim: as the paper has it; source: author, year, title; setting: the paper's, in words; test: the name of
    the claim on the page that tests it, "" for none; where: {path: values} that a run of the paper's setting
    has.
    """

    claim: str
    source: str
    setting: str
    test: str = ""
    where: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, given: Any) -> Paper:
        """From an option of the chapter; errors: UserError for what is missing, unknown or of another
        type."""
        names = [f.name for f in fields(cls)]
        if not isinstance(given, Mapping):
            raise UserError(f"a published claim has {', '.join(names)}, got {given!r}: write {{claim: ...}}")
        for key in given:
            if key not in names:
                raise unknown("key of a published claim", key, names)
        made = {"test": "", "where": {}, **given}
        for key in names:
            if key != "where" and not isinstance(made.get(key), str):
                raise UserError(f"{key} of a published claim must be a text, got {made.get(key)!r}")
        where = made["where"]
        if not isinstance(where, Mapping) or not all(isinstance(v, list | tuple) for v in where.values()):
            raise UserError(
                f"where must be paths with lists of values, got {where!r}: write {{path: [value]}}"
            )
        return cls(**made)


@dataclass(frozen=True)
class Compared:
    """A paper's claim beside what was run. here, there: {path: values} of these runs and of the paper's;
    other: the paths at which some reported run has a value that the paper's have not."""

    claim: str
    source: str
    setting: str
    test: str
    here: Mapping[str, str]
    there: Mapping[str, str]
    other: tuple[str, ...]


@dataclass(frozen=True)
class PublishedFound:
    """Every claim, in order."""

    published: tuple[Compared, ...]


@CHAPTERS.register("published")
@dataclass(frozen=True)
class Published(Chapter):
    """Claims of papers, each with its setting, the setting tested here, and the verdict in that one. It makes
    no claims of its own.

    claims: mappings with the keys of `Paper`.
    """

    claims: tuple[Mapping[str, Any], ...] = ()

    def __post_init__(self) -> None:
        self.papers()

    def papers(self) -> list[Paper]:
        """The claims, read."""
        return [Paper.read(given) for given in self.claims]

    def each(self, record: Record, row: Row) -> tuple[tuple[str, Any], ...] | None:
        run = record.run.json()
        return tuple((path, get(run, path)) for path in self._paths()) or None

    def _paths(self) -> list[str]:
        return list(dict.fromkeys(path for paper in self.papers() for path in paper.where))

    def find(self, table: Table, seen: Seen) -> PublishedFound | None:
        have: dict[str, list[Any]] = {path: [] for path in self._paths()}
        for path, value in (pair for row, run in seen if row.run_id in table.where for pair in run):
            if value not in have[path]:
                have[path].append(value)
        made = tuple(_tested(paper, have) for paper in self.papers())
        return PublishedFound(made) if made else None

    def show(self, found: PublishedFound, verdicts: Verdicts, table: Table) -> Shown:
        told = [t for t in found.published if _told(t, verdicts)]
        elsewhere = sum(bool(t.other) for t in told)
        lead = "A verdict holds in the setting tested here."
        if told and elsewhere == len(told):
            lead += " No claim was tested in its source's setting."
        elif elsewhere:
            lead += f" {elsewhere} of {len(told)} were tested in another setting than their source's."
        columns = (
            *("claim", "verdict here", "n", "effect", "p, corrected"),
            *("tested here in", "its setting", "stated by"),
        )
        rows = tuple(_row(t, verdicts, table) for t in found.published)
        tables = [Rows("Claims of papers", columns, rows, folded=False)]
        if differ := tuple(dict.fromkeys(row for t in told for row in _differences(t))):
            tables.append(
                Rows("In what the settings differ", ("what", "here", "there"), differ, folded=False)
            )
        return Shown("What was published", lead, tables=tuple(tables), short="Published")


def _tested(paper: Paper, have: Mapping[str, Sequence[Any]]) -> Compared:
    theirs = {path: {label(v) for v in some} for path, some in paper.where.items()}
    ours = {path: {label(v) for v in have[path]} for path in theirs}
    other = tuple(path for path, some in ours.items() if not some or not some <= theirs[path])
    here, there = (
        {path: _values(some) for path, some in each.items() if some}
        for each in ({p: have[p] for p in paper.where}, paper.where)
    )
    return Compared(*(paper.claim, paper.source, paper.setting, paper.test), here, there, other)


def _values(some: Iterable[Any]) -> str:
    """All values, or the ends of many numbers."""
    values = ["no such option" if v is None else v for v in some]
    if len(values) > MOST and all(map(is_number, values)):
        return f"{label(min(values))} to {label(max(values))}"
    return listed(map(label, values))


def _told(t: Compared, verdicts: Verdicts) -> Judged | None:
    """The verdict; None where no run tells."""
    v = verdicts.get(t.test)
    return v if v is not None and v.effect.n else None


def _row(t: Compared, verdicts: Verdicts, table: Table) -> tuple[str, ...]:
    v = _told(t, verdicts)
    if v is None:
        return (t.claim, UNTESTED, "", "", "", "", t.setting, t.source)
    where = "the source's setting" if t.there else "not said"
    if t.other:
        where = "another setting" if all(path in t.here for path in t.other) else "not known"
    u = Units.of(table.study.metric)
    signed = v.unit == u.metric and v.family != "inside"  # that one is of a range, which has no sign
    effect = u.estimate(seen(table, v) if signed else v.effect, v.unit).replace(
        "95 %", f"{100 * v.level:.3g} %"
    )
    told = verdict(v), str(v.effect.n), effect, p_text(v.p), where
    return (t.claim, *told, t.setting, t.source)


def _differences(t: Compared) -> list[tuple[str, str, str]]:
    return [(capital(human(path)), t.here.get(path, "unknown"), t.there[path]) for path in t.other]
