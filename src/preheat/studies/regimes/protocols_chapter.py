"""Protocols: what choosing on the test split adds."""

from __future__ import annotations

from dataclasses import dataclass

from preheat.analysis.naming import heads, panel_name, row_label, row_name
from preheat.analysis.results import Row
from preheat.analysis.table import Table
from preheat.analysis.words import NONE, Units, human
from preheat.core.record import Record
from preheat.core.registry import CHAPTERS
from preheat.core.words import count, listed
from preheat.report.chapter import Chapter, Rows, Seen, Shown
from preheat.report.chapters.common import across, difference_text, dot, of_panel
from preheat.report.drawing.shapes import Dots
from preheat.report.plates import by_panel
from preheat.stats.claims import Verdicts
from preheat.stats.estimates import Estimate
from preheat.studies.regimes.protocols import (
    Finish,
    Gap,
    Optimism,
    chose_on_test,
    finish,
    gaps,
    optimism,
    readings,
)

BOTH = "--protocol both"
TESTED = (
    "the test split also chose here (selection test, the original protocol); for results on images that no "
    f"choice has seen run it with selection validation too ({BOTH})."
)
SELECTED = (
    "Runs with selection test follow the original protocol: the test split was used for selection, so the "
    "best over the epochs is no honest test result. The other sections report the value at the end, not the "
    "best over the epochs."
)
SETTINGS = (
    "Where one seed was run an interval is over its settings, which share images and initial weights: it "
    "does not say what another seed would give."
)


@dataclass(frozen=True)
class ProtocolsFound:
    """What choosing the epoch adds, and the gap between the two protocols.

    tested: any run selected on the test split. claimed: so did runs that claims rest on. aside: panels
    without a say.
    """

    optimism: tuple[Optimism, ...]
    protocols: tuple[Gap, ...]
    tested: bool
    claimed: bool
    aside: int


@CHAPTERS.register("protocols")
@dataclass(frozen=True)
class Protocols(Chapter):
    """How far the original protocol, which reports the best epoch on the test split, is from an honest
    one."""

    def each(self, record: Record, row: Row) -> Finish | None:
        return finish(record, row)

    def find(self, table: Table, seen: Seen) -> ProtocolsFound | None:
        read = readings(table, seen)
        made, tested = optimism(table, read), any(r.selection == "test" for r in read)
        claimed = chose_on_test(table, read)
        if not made and not claimed and not table.twins:
            return None
        return ProtocolsFound(made, gaps(table, read), tested, claimed, len(table.twins))

    def show(self, found: ProtocolsFound, verdicts: Verdicts, table: Table) -> Shown:
        over = "Lines: 95 % intervals, over seeds where there are two or more, else over treatments."
        return Shown(
            "Protocols: what choosing on the test split adds",
            "\n".join(_lead(found)),
            caution=(TESTED,) if found.claimed else (),
            plates=by_panel(table, "protocols", lambda panel: _dots(table, found, panel), caption=over),
            tables=tuple(t for t in (_gaps(found, table), _optimism(found, table)) if t.rows),
            short="Protocols",
            notes=tuple(_notes(found)),
        )


def _notes(found: ProtocolsFound) -> list[str]:
    """That a split that was selected on is reported, what is left out of the claims, and what of the gap."""
    out = []
    if found.tested:
        out.append(
            "Runs with selection test chose on the very test split that they report; see Protocols for what "
            "that adds."
        )
    if found.aside:
        out.append(
            f"{count(found.aside, 'combination')} with selection test (the original protocol) count in no "
            "comparison, edge, hypothesis or rule, because each was run with the honest protocol too. They "
            "are in the heat maps, the curves and Protocols."
        )
    if dropped := sum(g.dropped for g in found.protocols):
        pairs = count(dropped + sum(g.runs for g in found.protocols), "pair")
        out.append(
            f"The gap between the protocols leaves out {dropped:,} of {pairs} of runs: one of the two or "
            "both did not finish, and a run that diverged has no best epoch to compare."
        )
    return out


def _lead(found: ProtocolsFound) -> list[str]:
    said = [SELECTED] if found.tested else []
    if found.protocols:
        said.append(
            "Original minus honest: the best over the epochs on the test split, minus the test split "
            "measured once at the end of a run that never saw it, paired by treatment and seed. Its parts: "
            "best minus last epoch is what choosing the epoch adds; the rest is the schedule (by epoch, "
            f"with any warmup a first epoch at rate 0){_images(found)}."
        )
    else:
        other = (
            "honest protocol"
            if found.tested
            else "original protocol (best over the epochs on the test split)"
        )
        said.append(
            "Only one protocol was run: best minus last epoch is what choosing the epoch adds. For the "
            f"{other} beside it, and the gap between the two, run the study with {BOTH}."
        )
    return said + ([SETTINGS] if any(o.over == "settings" for o in found.optimism) else [])


def _images(found: ProtocolsFound) -> str:
    """What else differs between the protocols: which images, and where there are fewer, how many."""
    whole = [g.condition for g in found.protocols if " / " in g.condition]
    fewer = f"; at {listed(list(dict.fromkeys(whole)))} it also has fewer, by those held out" if whole else ""
    return (
        " and the training images: where the task's validation images come out of its training images the "
        f"honest protocol draws from what is left, as many but others{fewer}. A task with a validation split "
        "of its own, as PathMNIST, loses none"
    )


def _gaps(found: ProtocolsFound, table: Table) -> Rows:
    u = Units.of(table.study.metric)
    rows = tuple(
        (
            *(panel_name(table, g.panel), g.condition, u.value(g.best), u.value(g.honest)),
            *(difference_text(e, u) for e in (g.gap, g.optimism, g.rest)),
            *(_over(g.gap, g.over), str(g.runs)),
        )
        for g in found.protocols
    )
    parts = ("original minus honest", "best minus last epoch", "the rest")
    columns = (*heads(table)[:2], "original", "honest", *parts, "interval over", "runs")
    return Rows("The two protocols, with 95 % intervals", columns, rows, folded=False)


def _optimism(found: ProtocolsFound, table: Table) -> Rows:
    u = Units.of(table.study.metric)
    rows = tuple(
        (
            *(
                panel_name(table, o.panel),
                row_name(table, o.condition),
                o.selection,
                u.value(o.best),
                u.value(o.last),
            ),
            *(difference_text(o.optimism, u), _over(o.optimism, o.over), str(o.runs)),
        )
        for o in found.optimism
    )
    best = ("best over epochs", "last epoch", "best minus last (95 % interval)")
    caption = f"Best and last epoch, all {human(table.study.treatment)} lengths of a row together"
    return Rows(
        caption,
        (*heads(table)[:2], "split", *best, "interval over", "runs"),
        rows,
        folded=bool(found.protocols),
    )


def _over(e: Estimate, over: str) -> str:
    return f"{e.n} {over}" if e.n > 1 else NONE


def _dots(table: Table, found: ProtocolsFound, panel: str) -> Dots | None:
    """What the original's number has above the honest one, and its parts; of one protocol alone, best minus
    last."""
    s = Units.of(table.study.metric).scale
    best = "best minus last epoch"
    dots = [
        dot(row_name(table, g.condition), (name, -1 - k), e, scale=s)
        for g in of_panel(found.protocols, panel)
        for k, (name, e) in enumerate(
            (("original minus honest", g.gap), (best, g.optimism), ("the rest", g.rest))
        )
    ]
    if not found.protocols:
        dots = [
            dot(row_name(table, o.condition), (best, -2), o.optimism, scale=s)
            for o in of_panel(found.optimism, panel)
        ]
    if not dots:
        return None
    rows = tuple(dict.fromkeys(d.row for d in dots))
    return Dots(rows, row_label(table), across(Units.of(table.study.metric)), tuple(dots))
