"""Runs that failed to train, and how many of them diverged: shares with exact intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from preheat.analysis.effects import places
from preheat.analysis.naming import heads, panel_name, rate_of
from preheat.analysis.table import DIVERGED, DONE, Table
from preheat.analysis.training import FAILS, by_accuracy, did_train, overfitted
from preheat.analysis.words import NONE, human, range_text
from preheat.core.registry import CHAPTERS
from preheat.core.words import count, listed
from preheat.report.chapter import Chapter, Rows, Seen, Shown, Tile
from preheat.report.chapters.common import heat, place
from preheat.report.drawing.shapes import Heat
from preheat.report.plates import Plate, by_panel
from preheat.stats.claims import Verdicts
from preheat.stats.shares import Share, share


@dataclass(frozen=True)
class Lost:
    """A setting's runs with a result, at every nuisance: those that did not train, those of them that
    diverged, and those that trained and overfitted."""

    panel: str
    condition: str
    treatment: str
    untrained: Share
    diverged: int
    overfitted: int


@dataclass(frozen=True)
class LostRuns:
    """Every setting; by_accuracy: the panels in which the training accuracy told which runs trained, in the
    others the training loss."""

    settings: tuple[Lost, ...]
    by_accuracy: tuple[str, ...] = ()


@CHAPTERS.register("untrained")
@dataclass(frozen=True)
class Untrained(Chapter):
    """The share of runs that did not train, and how many of them diverged, or trained and overfitted."""

    def find(self, table: Table, seen: Seen) -> LostRuns | None:
        good, over = did_train(table), overfitted(table)
        out = []
        for at in places(table):
            known = np.isin(table.state[at], (DONE, DIVERGED))
            if known.any():
                lost = share(int((known & ~good[at]).sum()), int(known.sum()))
                gone = int((table.state[at] == DIVERGED).sum())
                out.append(Lost(*table.labels(at), lost, gone, int((over[at] & known).sum())))
        told = zip(table.panels.labels, by_accuracy(table), strict=True)
        return LostRuns(tuple(out), tuple(label for label, yes in told if yes)) if out else None

    def show(self, found: LostRuns, verdicts: Verdicts, table: Table) -> Shown:
        runs, lost = (sum(getattr(x.untrained, k) for x in found.settings) for k in ("n", "k"))
        gone, over = (sum(getattr(x, k) for x in found.settings) for k in ("diverged", "overfitted"))
        lead = (
            f"{lost:,} of {count(runs, 'run')} did not train: {gone:,} diverged (a value that is not "
            f"finite), {lost - gone:,} finished {_rule(found, table)}. Such a run is never left out; a "
            "diverged one scores as a model that learnt nothing."
        )
        if over:
            lead += (
                f" {over:,} trained and overfitted: their training loss is more than halfway from "
                "chance to the best, their validation "
                f"{human(table.study.metric)} less than halfway from chance to the best."
            )
        tile = Tile(f"{lost:,}", f"of {count(runs, 'run')} did not train; {gone:,} diverged")
        return Shown(
            "Runs that did not train",
            lead,
            plates=_plates(table, found),
            tables=(_rows(table, found, over=bool(over)),),
            tiles=(tile,) if lost else (),
            short="Not trained",
        )


def _rule(found: LostRuns, table: Table) -> str:
    """What told that a run which finished did not train."""
    right = f"with a training accuracy over the last epoch below {FAILS:g} times chance"
    loss = "with a training loss less than halfway from chance to that of the best setting of their data"
    panels = {x.panel for x in found.settings}
    if not found.by_accuracy:
        return loss
    if panels <= {*found.by_accuracy}:
        return right
    names = listed([panel_name(table, label) for label in found.by_accuracy])
    return f"{right} in {names}, elsewhere {loss}"


def _rows(table: Table, found: LostRuns, *, over: bool) -> Rows:
    columns: tuple[str, ...] = (
        *heads(table),
        "did not train",
        "share, 95 % interval (exact)",
        "of these diverged",
    )
    rows: list[tuple[str, ...]] = [
        (*place(table, x), f"{x.untrained.k} of {x.untrained.n}", _interval(x.untrained), str(x.diverged))
        for x in found.settings
    ]
    if over:
        columns = (*columns, "trained and overfitted")
        rows = [(*row, str(x.overfitted)) for row, x in zip(rows, found.settings, strict=True)]
    return Rows("Every setting", columns, tuple(rows))


def _interval(s: Share) -> str:
    if s.lo is None or s.hi is None:
        return NONE
    return f"{100 * s.k / s.n:.0f} % ({range_text(f'{100 * s.lo:.0f}', f'{100 * s.hi:.0f}')})"


def _plates(table: Table, found: LostRuns) -> tuple[Plate, ...]:
    """Shares of the runs of each setting; colours span all panels."""
    if not any(x.untrained.k for x in found.settings):
        return ()
    rates = f", at every {rate_of(table)}" if table.study.nuisance else ""
    at = {(x.panel, x.condition, x.treatment): x.untrained for x in found.settings}
    top = 10.0 * max(1, math.ceil(10 * max(s.k / s.n for s in at.values())))

    def make(panel: str) -> Heat | None:
        return heat(
            table,
            at,
            panel,
            value=lambda s: 100 * s.k / s.n,
            text=lambda s: f"{100 * s.k / s.n:.0f} %\n{s.k}/{s.n}",
            bar=("runs that did not train (%)", 0.0, top, "%"),
        )

    return by_panel(
        table, "untrained", make, caption=f"Below the share: these runs / all runs of the setting{rates}."
    )
