"""What a search found, as it is read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from preheat.analysis.results import Row
from preheat.analysis.table import Table
from preheat.analysis.words import NONE, Units, human, last_part
from preheat.core.grid import label
from preheat.core.record import Record
from preheat.core.registry import CHAPTERS
from preheat.core.words import count, listed
from preheat.report.chapter import Chapter, Rows, Say, Seen, Shown
from preheat.report.chapters.common import dot, level
from preheat.report.drawing.shapes import Dots, Line, Lines
from preheat.report.plates import Plate
from preheat.search.found import ArmFound, SearchFound, TrialFound, search_found
from preheat.stats.claims import Verdicts

LEAD = (
    "Each arm was searched by itself, and its trials were chosen by the validation score on {seeds}. The "
    "best setting of each was then trained on other seeds, which chose nothing: their test score is what to "
    "expect. "
    "One search of an arm is one draw, so a small difference between arms may be luck, and no verdict is "
    "given."
)
SHOWN = 8  # arms that are drawn


@CHAPTERS.register("search")
@dataclass(frozen=True)
class SearchChapter(Chapter):
    """The best setting of each arm of a search, and how the search came to it."""

    def each(self, record: Record, row: Row) -> bool:
        return True

    def find(self, table: Table, seen: Seen) -> SearchFound | None:
        return search_found(table, [row for row, _ in seen])

    def show(self, found: SearchFound, verdicts: Verdicts, table: Table) -> Shown:
        u = Units.of(table.study.metric)
        chosen = count(table.study.choosing or len(table.study.seeds), "seed")
        plates = [Plate("", "search_history", "How the search went", *_history(found, table, u), front=True)]
        if any(b.fresh for b in found.best):
            best = Plate("", "search_best", "The best of each arm", *_fresh(found, u), front=True)
            plates.insert(0, best)
        return Shown(
            "What the search found",
            LEAD.format(seeds=chosen),
            says=tuple(_says(found, table, u)),
            plates=tuple(plates),
            tables=(_best(found, u), _trials(found, u)),
            short="Search",
            notes=tuple(_notes(found)),
        )


def _says(found: SearchFound, table: Table, u: Units) -> list[Say]:
    some = [b for b in found.best if b.fresh is not None]
    if not some:
        tried = sum(b.trials for b in found.best)
        return [Say(f"The search is not over: {count(tried, 'trial')} have records.", 1)]
    top = some[0]  # by validation, as it was chosen
    assert top.fresh is not None
    test, fresh = human(f"test_{table.study.metric}"), count(top.fresh.n, "fresh seed")
    of = f"; of {len(some)} arms it was best in validation" if len(some) > 1 else ""
    out = [Say(f"{_called(top)}: {test} {level(top.fresh, u)} on {fresh}{of}.", 1)]
    if len(some) > 1:
        out.append(
            Say("Each arm was searched once, so these runs give no verdict on which arm is better.", 2)
        )
    return out


def _called(one: ArmFound) -> str:
    """An arm with its rate, short enough for a sentence."""
    rate = json.loads(one.params).get("peak_lr")
    return one.arm if rate is None else f"{one.arm} at a peak rate of {rate:g}"


def _params(text: str) -> str:
    if not text:
        return NONE
    return ", ".join(f"{last_part(path)} {label(value)}" for path, value in json.loads(text).items())


def _best(found: SearchFound, u: Units) -> Rows:
    rows = tuple(
        (
            *(b.arm, _params(b.params), _count(b), u.value(b.value)),
            NONE if b.fresh is None else f"{level(b.fresh, u)}, n = {b.fresh.n}",
        )
        for b in found.best
    )
    name = human(u.metric)
    columns = ("arm", "its best setting", "trials", f"validation {name}", f"test {name} on fresh seeds")
    caption = "The best setting of each arm, chosen by its validation score; fresh seeds with 95 % intervals"
    return Rows(caption, columns, rows, folded=False)


def _count(b: ArmFound) -> str:
    return str(b.trials) if b.trials == b.complete else f"{b.trials}, {b.complete} complete"


def _trials(found: SearchFound, u: Units) -> Rows:
    rows = tuple(
        (t.arm, str(t.number), t.outcome, u.value(t.value), str(t.epochs), _params(t.params))
        for t in found.tried
    )
    columns = ("arm", "trial", "outcome", f"validation {human(u.metric)}", "epochs", "setting")
    return Rows("Every trial", columns, rows)


def _fresh(found: SearchFound, u: Units) -> tuple[str, Dots]:
    some = [b for b in found.best if b.fresh is not None]
    dots = tuple(dot(b.arm, ("", 0), b.fresh, scale=u.scale) for b in some if b.fresh is not None)
    data = Dots(tuple(b.arm for b in some), "arm", u.label(), dots, zero=None, positive=u.ends[0] == 0)
    return (
        f"The best setting of each arm on seeds that chose nothing: mean and 95 % interval, n = {_n(some)}.",
        data,
    )


def _n(some: Sequence[ArmFound]) -> str:
    return listed(sorted({str(b.fresh.n) for b in some if b.fresh}))


def _history(found: SearchFound, table: Table, u: Units) -> tuple[str, Lines]:
    shown = [b.arm for b in found.best][:SHOWN]
    lines = tuple(
        _best_so_far(name, index, [t for t in found.tried if t.arm == name], sign=table.sign, scale=u.scale)
        for index, name in enumerate(shown)
    )
    caption = "The best validation score so far, by trial."
    if len(found.best) > SHOWN:
        caption += f" Only the best {SHOWN} arms are drawn; the table holds all."
    data = Lines(
        "trial", f"{human(u.metric)} in validation, best so far", tuple(line for line in lines if line.x)
    )
    return caption, data


def _best_so_far(name: str, index: int, some: Sequence[TrialFound], *, sign: float, scale: float) -> Line:
    x: list[float] = []
    y: list[float] = []
    for t in some:
        if t.value is not None:
            better = not y or sign * t.value * scale > sign * y[-1]
            x.append(t.number)
            y.append(t.value * scale if better else y[-1])
    return Line(name, index, tuple(x), tuple(y))


def _notes(found: SearchFound) -> list[str]:
    """Where the best lies at an end of what was tried, and which arms have none."""
    out = []
    for b in found.best:
        if b.ends:
            out.append(
                f"{b.arm}: the best {listed([last_part(p) for p in b.ends])} lies at an end of what was "
                "tried; a wider range may hold a better one."
            )
        if b.lacking:
            of = b.lacking + (b.fresh.n if b.fresh else 0)
            out.append(
                f"{b.arm}: {b.lacking} of {count(of, 'fresh seed')} without a value (diverged, failed or "
                "missing); the mean is of the others."
            )
        values = {t.value for t in found.tried if t.arm == b.arm and t.value is not None}
        if b.complete > 1 and len(values) == 1:
            out.append(f"{b.arm}: all trials have the same value, so what was tried did nothing.")
        if not b.complete:
            out.append(f"{b.arm}: no trial is complete.")
    return out
