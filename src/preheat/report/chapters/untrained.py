"""Runs that did not train: how many of each setting, and how many of them diverged."""

from __future__ import annotations

import math
from dataclasses import dataclass

from preheat.analysis.edges import edges
from preheat.analysis.effects import cells
from preheat.analysis.naming import heads, rate_of
from preheat.analysis.table import Table
from preheat.analysis.words import human
from preheat.core.registry import CHAPTERS
from preheat.core.words import count
from preheat.report.chapter import Chapter, Rows, Seen, Shown, Tile
from preheat.report.chapters.common import heat, place
from preheat.report.drawing.shapes import Heat
from preheat.report.plates import Plate, by_panel


@dataclass(frozen=True)
class Lost:
    """A setting's runs with a result: those that did not train, and those of them that diverged.

    A run did not train if it diverged, or finished less than halfway from chance to the best. Without a
    numeric nuisance that was varied only divergence is known.
    """

    panel: str
    condition: str
    treatment: str
    runs: int
    untrained: int
    diverged: int


@dataclass(frozen=True)
class LostRuns:
    """Every setting; edge: whether runs that finished and did not train are known."""

    settings: tuple[Lost, ...]
    edge: bool


@CHAPTERS.register("untrained")
@dataclass(frozen=True)
class Untrained(Chapter):
    """The share of runs that did not train, and how many of them diverged."""

    def find(self, table: Table, seen: Seen) -> LostRuns | None:
        made = edges(table)
        counted = [
            Lost(
                *(e.panel, e.condition, e.treatment),
                sum(p.runs for p in e.points),
                sum(p.runs - p.trained for p in e.points),
                sum(p.diverged for p in e.points),
            )
            for e in made
        ] or [Lost(c.panel, c.condition, c.treatment, c.runs, c.diverged, c.diverged) for c in cells(table)]
        kept = tuple(x for x in counted if x.runs)
        return LostRuns(kept, bool(made)) if kept else None

    def show(self, found: LostRuns, table: Table) -> Shown:
        runs, lost, gone = (
            sum(getattr(x, n) for x in found.settings) for n in ("runs", "untrained", "diverged")
        )
        kept = "Such a run is never left out; a diverged one scores as a model that learnt nothing."
        lead = f"{gone:,} of {count(runs, 'run')} diverged. {kept}"
        if found.edge:
            lead = (
                f"{lost:,} of {count(runs, 'run')} did not train: {gone:,} diverged (a value that is not "
                f"finite), {lost - gone:,} finished less than halfway from chance to the best mean "
                f"{human(table.study.metric)} of their data. {kept}"
            )
        rows = tuple(
            (
                *place(table, x),
                str(x.runs),
                str(x.untrained),
                str(x.diverged),
                f"{100 * x.untrained / x.runs:.0f} %",
            )
            for x in found.settings
        )
        columns = (*heads(table), "runs", "did not train", "of these diverged", "share that did not train")
        stuck = lost - gone
        return Shown(
            "Runs that did not train" if found.edge else "Diverged runs",
            lead,
            plates=_plates(table, found),
            tables=(Rows("Every setting", columns, rows),),
            tiles=(Tile(f"{stuck:,}", _stuck(table, stuck)),) if stuck else (),
            short="Not trained",
        )


def _stuck(table: Table, runs: int) -> str:
    what = "run finished" if runs == 1 else "runs finished"
    return f"{what} less than halfway from chance to the best mean {human(table.study.metric)}"


def _plates(table: Table, found: LostRuns) -> tuple[Plate, ...]:
    """Did not train; and of these diverged, where any did and more did not train."""
    rates = f", at every {rate_of(table)}" if table.study.nuisance else ""
    below = f"Below the share: these runs / all runs of the setting{rates}."
    gone = sum(x.diverged for x in found.settings)
    both = 0 < gone < sum(x.untrained for x in found.settings)
    first = by_panel(
        table,
        "untrained",
        lambda panel: _shares(table, found, panel, name="untrained", label="runs that did not train (%)"),
        group="Did not train" if both else "",
        caption=below,
    )
    if not both:
        return first
    return first + by_panel(
        table,
        "diverged",
        lambda panel: _shares(table, found, panel, name="diverged", label="diverged runs (%)"),
        group="Of these: diverged",
        caption=below,
    )


def _shares(table: Table, found: LostRuns, panel: str, *, name: str, label: str) -> Heat | None:
    """Shares of the runs of each setting; colours span all panels."""
    at = {(x.panel, x.condition, x.treatment): (getattr(x, name), x.runs) for x in found.settings}
    top = 10.0 * max(1, math.ceil(10 * max(bad / runs for bad, runs in at.values())))
    return heat(
        table,
        at,
        panel,
        value=lambda n: 100 * n[0] / n[1],
        text=lambda n: f"{100 * n[0] / n[1]:.0f} %\n{n[0]}/{n[1]}",
        bar=(label, 0.0, top, "%"),
    )
