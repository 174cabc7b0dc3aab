"""Training over time at the chosen settings: metric, loss and rate, their means over seeds, and single
runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from preheat.analysis.curves import MeanCurve, Points, chosen, mean_curve, mean_curves, progress, rate_lines
from preheat.analysis.naming import panel_name, rate_of
from preheat.analysis.results import Row
from preheat.analysis.table import Table
from preheat.analysis.words import Units, capital, human
from preheat.core.errors import UserError
from preheat.core.metrics import SPLITS
from preheat.core.record import Record
from preheat.core.registry import CHAPTERS
from preheat.core.run import Run
from preheat.report.chapter import Chapter, Seen, Shown
from preheat.report.chapters.common import finite
from preheat.report.chapters.facets import PROGRESS, axis, facets, scale
from preheat.report.drawing.shapes import Line, Lines
from preheat.report.plates import Plate, file_name
from preheat.stats.averaging import MOST_POINTS, rounded
from preheat.stats.claims import Verdicts

FACTOR, RATE, LOSS = "learning_rate_factor", "learning_rate", "train_loss"
USED = f"train_{RATE}"  # recorded where a rate rule decided


class Followed(NamedTuple):
    """What is kept of a run: its declaration, and its lines over progress by name."""

    run: Run
    lines: Mapping[str, Points]


@dataclass(frozen=True)
class CurvesFound:
    """Means over the seeds by progress, 0 to 1, at the chosen settings.

    rates: the factor of the peak rate, one for each treatment where all settings share it. loss_by_rate:
    training loss (y) at the learning rate (x) of the update, in the order of training. runs: single runs,
    `treatment` is the run's id.
    """

    curves: tuple[MeanCurve, ...]
    rates: tuple[MeanCurve, ...]
    loss_by_rate: tuple[MeanCurve, ...]
    runs: tuple[MeanCurve, ...]


@CHAPTERS.register("curves")
@dataclass(frozen=True)
class Curves(Chapter):
    """Training and validation metric, training loss and learning rate over a run, and any single run by its
    id.

    runs: the first digits of the ids of single runs to draw as well.
    """

    runs: tuple[str, ...] = ()

    def each(self, record: Record, row: Row) -> Followed:
        lines = {
            name: points
            for name, series in record.trace.items()
            if name.partition("_")[0] in SPLITS and (points := progress(series, row)) is not None
        }
        return Followed(record.run, lines)

    def find(self, table: Table, seen: Seen) -> CurvesFound | None:
        metric = table.study.metric
        names = {n: n for n in (f"validation_{metric}", f"train_{metric}", LOSS)} | {USED: RATE}
        curves: list[MeanCurve] = []
        rates: list[MeanCurve] = []
        against: list[MeanCurve] = []
        for at, some in chosen(table, seen).items():
            lines = [{shown: s.lines[n] for n, shown in names.items() if n in s.lines} for _, s in some]
            made = mean_curves(table, at, sorted(lines, key=len, reverse=True))
            row, first = some[0]
            factor = rate_lines(first.run, row)
            if factor is not None:
                x, y = factor
                rates.append(_given(table.labels(at), FACTOR, x, y))
                made.append(_given(table.labels(at), RATE, x, y * first.run.peak_lr))
                against += [_against(k, first.run, row) for k in made if k.what == LOSS]
            curves += made
        singles = tuple(k for prefix in self.runs for k in _single(prefix, seen))
        found = CurvesFound(tuple(curves), shared(rates), tuple(against), singles)
        return found if curves or singles else None

    def show(self, found: CurvesFound, verdicts: Verdicts, table: Table) -> Shown:
        mean = "Mean over seeds, band of one standard deviation."
        if table.study.nuisance:
            mean += (
                f" Each {human(table.study.treatment)} runs at its own chosen {rate_of(table)} (in brackets)."
            )
        alike = [r for r in found.rates if not r.panel and not r.condition]  # else the full rates say it
        plates = [
            *_plates(table, found.curves, "curves", mean),
            *_plates(table, alike, "rates", "As scheduled, as a share of the peak."),
            *_plates(table, found.loss_by_rate, "loss-by-rate", "Mean over seeds, in the order of training."),
            *_single_plates(found.runs),
        ]
        return Shown(
            "Training curves",
            "Each seed at the settings that it chose.",
            plates=tuple(plates),
            short="Curves",
        )


def _given(labels: tuple[str, str, str], what: str, x: np.ndarray, y: np.ndarray) -> MeanCurve:
    drawn = rounded(y)
    return MeanCurve(*labels, what, rounded(x), drawn, drawn, drawn, 1)


def _against(k: MeanCurve, run: Run, row: Row) -> MeanCurve:
    """A curve over progress as one over the rate of the update, which comes and goes: without a band."""
    total = int(row.summary["total_steps"] or 1)
    steps = np.clip(np.round(np.array(k.x) * total), 0, total - 1).astype(np.int64)
    rate = np.asarray(run.factor_over(total, row.summary.get("steps_per_epoch"))(steps)) * run.peak_lr
    return MeanCurve(k.panel, k.condition, k.treatment, k.what, rounded(rate), k.y, k.y, k.y, k.n)


def shared(rates: Sequence[MeanCurve]) -> tuple[MeanCurve, ...]:
    """One curve for each treatment, without panel and condition, where they agree to 2 % of the peak on
    average.

    A length in epochs is the same share of every run; only the grain of the steps differs between data sizes.
    """
    grid = np.linspace(0, 1, MOST_POINTS)
    tabled = np.array([np.interp(grid, r.x, r.y) for r in rates])
    names = dict.fromkeys(r.treatment for r in rates)
    for name in names:
        mine = tabled[[i for i, r in enumerate(rates) if r.treatment == name]]
        if float(np.ptp(mine, axis=0).mean()) >= 0.02:
            return tuple(rates)
    first = {r.treatment: r for r in reversed(rates)}
    return tuple(MeanCurve("", "", n, r.what, r.x, r.y, r.lo, r.hi, r.n) for n in names for r in (first[n],))


def _single(prefix: str, seen: Seen) -> list[MeanCurve]:
    """All lines of the one run whose id begins so."""
    found = [(row, s) for row, s in seen if row.run_id.startswith(prefix)]
    if len(found) != 1:
        many = "no trained run" if not found else f"{len(found)} runs"
        raise UserError(
            f"runs of chapter 'curves' are the first digits of one run's id, got {prefix!r}, which {many} of "
            "this study has"
        )
    (row, followed), labels = found[0], ("", "", found[0][0].run_id)
    curves = [mean_curve(labels, name, [points]) for name, points in followed.lines.items()]
    factor = rate_lines(followed.run, row)
    return (
        curves
        if factor is None
        else [*curves, _given(labels, RATE, factor[0], factor[1] * followed.run.peak_lr)]
    )


def _plates(table: Table, some: Sequence[MeanCurve], name: str, caption: str) -> list[Plate]:
    out, against = [], name == "loss-by-rate"
    for what in dict.fromkeys(c.what for c in some):
        for panel in dict.fromkeys(c.panel for c in some):
            mine = [c for c in some if c.what == what and c.panel == panel]
            x = human(RATE) if against else PROGRESS
            log = scale(mine) if what == LOSS else ""
            data = facets(table, mine, x=x, rates=name == "curves", log="x" + log if against else log)
            if data is not None:
                low = " The first steps lie below." if data.parts[0].bottom is not None else ""
                said = "As scheduled." if what == RATE else caption
                group = capital(human(what)) + (f" against {human(RATE)}" if against else "")
                files = file_name(name, *(() if against else (what,)), panel)
                out.append(Plate(group, files, panel_name(table, panel), said + low, data))
    return out


def _single_plates(runs: Sequence[MeanCurve]) -> list[Plate]:
    """Of each run a figure for everything that has one unit: its metrics by name, its loss, its rate."""
    out = []
    groups: dict[tuple[str, str], list[MeanCurve]] = {}
    for k in runs:
        groups.setdefault((k.treatment, k.what.partition("_")[2] if k.what != RATE else RATE), []).append(k)
    for (run, what), some in groups.items():
        whole = [(k, [100 * v for v in finite(k.x)]) for k in some]
        unit = Units.of(some[0].what).scale
        lines = tuple(
            Line(human(k.what), -1 - i, tuple(x), tuple(unit * v for v in finite(k.y)))
            for i, (k, x) in enumerate(whole)
        )
        label = axis(some[0].what) if len(some) == 1 else axis(what)
        data = Lines(PROGRESS, label, lines)
        out.append(Plate(f"Run {run}", file_name("run", run, what), "", "One run.", data))
    return out
