"""A panel's scores over data size and warmup, as the hypotheses and the rules need them.

Only for studies of warmup length against examples per class: the condition is a number above 0 whose path
says "examples", the treatment is a length whose path says "warmup".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preheat.analysis.naming import within
from preheat.analysis.table import Table, number
from preheat.core.grid import label
from preheat.core.lengths import length
from preheat.stats.estimates import Array
from preheat.studies.regimes.picks import favourites, open_widths

SELECTION = "task.selection"


@dataclass(frozen=True)
class Surface:
    """One panel. sizes [C] ascend; warmup [C, T] in epochs; judged, validation [C, T, S]: signed test and
    validation scores.

    Scores are at the nuisance that each seed chose, higher is better, and only seeds with every score are
    kept. place: the panel in a sentence. axes: the panel's {path: value}. seeds: those kept. labels, names:
    sizes and treatments as in the findings. base: the index of the baseline. epochs [C]: the length of a run.
    """

    panel: str
    place: str
    axes: Mapping[str, Any]
    seeds: tuple[int, ...]
    sizes: Array
    labels: tuple[str, ...]
    names: tuple[str, ...]
    warmup: Array
    judged: Array
    validation: Array
    base: int
    epochs: Array

    @property
    def n(self) -> int:
        """Seeds."""
        return int(self.judged.shape[2])

    @property
    def doublings(self) -> Array:
        """log2 of the sizes."""
        return np.log2(self.sizes)


def selects(panel: Mapping[str, Any]) -> str:
    """The split that a panel's runs select on, as far as its axes tell."""
    return str(panel.get(SELECTION) or "validation")


def optimizer(panel: Mapping[str, Any]) -> str:
    """The name of a panel's optimizer; empty where its axes do not tell."""
    return next((label(panel[p]).lower() for p in ("optimizer", "optimizer.name") if p in panel), "")


def asks_for_warmup(table: Table) -> bool:
    """Whether the study is one of warmup length against examples per class."""
    names = (table.study.condition.split(".")[-1], table.study.treatment.split(".")[-1])
    numeric = all(number(v) and v > 0 for v in table.conditions.values)
    return "examples" in names[0] and "warmup" in names[1] and numeric and table.lengths


def surfaces(table: Table) -> tuple[Surface, ...]:
    """One for each panel that has at least two sizes and two treatments in every combination.

    A panel of which fewer than half of the tuned runs finished is left out: between diverged runs all is
    equal.
    """
    if not asks_for_warmup(table):
        return ()
    made = [_surface(table, p) for p in range(len(table.panels))]
    return tuple(s for s in made if s is not None)


def _surface(table: Table, p: int) -> Surface | None:
    planned = table.planned[p].any(axis=-1)
    sizes = np.flatnonzero(planned.any(axis=1))
    treatments = (
        np.flatnonzero(planned[sizes].all(axis=0) & _one_unit(table))
        if len(sizes)
        else np.array([], dtype=int)
    )
    if len(sizes) < 2 or len(treatments) < 2 or table.base not in treatments:
        return None
    sizes = sizes[np.argsort([float(table.conditions.values[c]) for c in sizes], kind="stable")]
    runs = [_length_of_run(table, p, int(c)) for c in sizes]
    warmup = np.array([[_epochs(table.treatments.values[t], run) for t in treatments] for run in runs])
    if not np.isfinite(warmup).all() or not finished(table, p)[np.ix_(sizes, treatments)].mean() >= 0.5:
        return None
    order = np.argsort(warmup[0], kind="stable")
    treatments, grid = treatments[order], np.ix_(sizes, treatments[order])
    judged, validation = (
        table.sign * scores[p][grid] for scores in (table.judged, table.picked(table.validation))
    )
    whole = np.isfinite(judged).all(axis=(0, 1))
    return Surface(
        panel=table.panels.labels[p],
        place=within(table, table.panels.labels[p]),
        axes=table.panels.values[p],
        seeds=tuple(s for s, kept in zip(table.seeds, whole, strict=True) if kept),
        sizes=np.array([float(table.conditions.values[c]) for c in sizes]),
        labels=tuple(table.conditions.labels[c] for c in sizes),
        names=tuple(table.treatments.labels[t] for t in treatments),
        warmup=warmup[:, order],
        judged=judged[..., whole],
        validation=validation[..., whole],
        base=int(np.flatnonzero(treatments == table.base)[0]),
        epochs=np.array([total / per_epoch for total, per_epoch in runs]),
    )


def finished(table: Table, p: int) -> Array:
    """[C, T]: the share of one panel's tuned runs that finished; 0 where none is planned."""
    done = table.finished[p]
    counts = np.isfinite(done).sum(axis=-1)
    return np.asarray((done == 1).sum(axis=-1) / np.maximum(counts, 1), dtype=np.float64)


def _one_unit(table: Table) -> NDArray[np.bool_]:
    """[T]: the warmups in one unit, epochs where there are several: others would change places from size to
    size."""
    lengths = [length(v) for v in table.treatments.values]
    units = {v.unit for v in lengths if v}
    unit = "epochs" if "epochs" in units else next(iter(sorted(units)), "epochs")
    return np.array([not v or v.unit == unit for v in lengths])


def _length_of_run(table: Table, p: int, c: int) -> tuple[float, float]:
    """(steps, steps per epoch) of the runs of one panel and size; NaN where no record tells."""
    known = np.stack([table.total[p, c], table.per_epoch[p, c]], axis=-1)
    known = known[np.isfinite(known).all(axis=1) & (known[:, 1] > 0)]
    return (float(known[0, 0]), float(known[0, 1])) if len(known) else (math.nan, math.nan)


def _epochs(warmup: Any, run: tuple[float, float]) -> float:
    """A warmup in epochs of a run of (steps, steps per epoch)."""
    wanted = length(warmup)
    return float(wanted.value) if wanted.unit == "epochs" or not wanted else wanted.resolve(*run) / run[1]


def lines(surface: Surface) -> tuple[Array, Array, float]:
    """(intercept [S'], slope [S'], floor of the slope's sd) of favourite = a + b log2(size), least squares
    per seed; a favourite is the best on the seed's validation set.

    The floor is what the grid leaves open, widths w: sqrt(sum (x - mean)^2 w^2 / 12) / sum (x - mean)^2.
    """
    x = surface.doublings - surface.doublings.mean()
    y = favourites(surface.warmup, surface.validation)
    slope = np.round(x @ y / (x @ x), 12)
    intercept = y.mean(axis=0) - slope * surface.doublings.mean()
    open_ = (x**2) @ open_widths(surface.warmup, surface.validation) ** 2 / 12
    floor = math.sqrt(float(open_.mean())) / float(x @ x) if surface.n else 0.0
    return intercept, slope, floor
