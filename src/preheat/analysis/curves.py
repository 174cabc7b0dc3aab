"""Lines of many runs over time: each thinned as its record is read, then means over the seeds of a
setting."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from preheat.analysis.effects import Place
from preheat.analysis.results import Row
from preheat.analysis.table import Table
from preheat.core.record import Record, Series
from preheat.core.run import Run
from preheat.stats.averaging import MOST_POINTS, across, rounded, thin
from preheat.stats.estimates import Array

Load = Callable[[str], Record]
Points = tuple[Array, Array]
Small = TypeVar("Small")
ERROR = "_se"  # a series NAME_se is the standard error of NAME


@dataclass(frozen=True)
class MeanCurve:
    """A mean over n seeds by x, and the band of one standard deviation; one run where n is 1."""

    panel: str
    condition: str
    treatment: str
    what: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    lo: tuple[float, ...]
    hi: tuple[float, ...]
    n: int


def chosen(table: Table, seen: Iterable[tuple[Row, Small]]) -> dict[Place, list[tuple[Row, Small]]]:
    """What was seen of every setting's tuned runs, each seed's at the nuisance that it chose, settings in
    order."""
    out: dict[Place, list[tuple[Row, Small]]] = {}
    for row, small in seen:
        if row.run_id not in table.where:
            continue
        p, c, t, v, s = table.where[row.run_id]
        if table.picks[p, c, t, s] == v:
            out.setdefault((p, c, t), []).append((row, small))
    return dict(sorted(out.items()))


def progress(series: Series, row: Row) -> Points | None:
    """A series thinned, x from 0 to 1 through the run; None where no value is finite."""
    steps = np.array(series.steps, dtype=np.float64)
    if not len(steps):
        return None
    x, y = thin(steps / (total(row) or float(steps[-1]) or 1.0), np.array(series.values, dtype=np.float64))
    return (x, y) if np.isfinite(y).any() else None


def total(row: Row) -> int:
    """The run's steps; 0 where its summary does not tell."""
    return int(row.summary.get("total_steps") or 0)


def mean_curve(labels: tuple[str, str, str], what: str, lines: Sequence[Points]) -> MeanCurve:
    """The mean of lines and their spread. labels: panel, condition, treatment."""
    x, y, lo, hi = (rounded(v) for v in across(lines))
    return MeanCurve(*labels, what, x, y, lo, hi, len(lines))


def probed_curve(labels: tuple[str, str, str], name: str, some: Sequence[Mapping[str, Points]]) -> MeanCurve:
    """The mean of what runs measured; where each has a standard error (`name_se`), the band is the mean's."""
    x, y, lo, hi = across([lines[name] for lines in some])
    errors = [lines[name + ERROR] for lines in some if name + ERROR in lines]
    if len(errors) == len(some):
        error = np.sqrt(np.mean([np.interp(x, a, b) ** 2 for a, b in errors], axis=0) / len(errors))
        lo, hi = y - error, y + error
    return MeanCurve(*labels, name, rounded(x), rounded(y), rounded(lo), rounded(hi), len(some))


def ratio_curve(labels: tuple[str, str, str], name: str, parts: Sequence[tuple[Points, Points]]) -> MeanCurve:
    """The mean of numerators over the mean of denominators, without a band; NaN where the latter is not
    above 0. parts: (numerator, denominator) of each run."""
    x, top = across([a for a, _ in parts])[:2]
    at, under = across([b for _, b in parts])[:2]
    under = np.interp(x, at, under)
    y = rounded(np.divide(top, under, out=np.full_like(top, np.nan), where=under > 0))
    return MeanCurve(*labels, name, rounded(x), y, y, y, len(parts))


def mean_curves(table: Table, at: Place, some: Sequence[Mapping[str, Points]]) -> list[MeanCurve]:
    """A curve for each name that the runs of a setting have a line of."""
    names = dict.fromkeys(name for lines in some for name in lines)
    return [mean_curve(table.labels(at), n, [lines[n] for lines in some if n in lines]) for n in names]


def rate_lines(run: Run, row: Row) -> Points | None:
    """The factor of the peak rate as the updates of a run saw it, over its progress; None without its
    length, and where a rate rule decided, whose rates are in the record."""
    steps = total(row)
    if not steps or run.rate_rule is not None:
        return None
    at = np.unique(np.linspace(0, steps - 1, min(MOST_POINTS, steps)).round().astype(np.int64))
    factor = run.factor_over(steps, row.summary.get("steps_per_epoch"))(at)
    return at / steps, np.asarray(factor, dtype=np.float64)
