"""What probes measured, whichever they are: a number as a curve, one for each layer as a map of layers by
steps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from preheat.analysis.curves import ERROR, MeanCurve, Points, chosen, probed_curve, progress, ratio_curve
from preheat.analysis.naming import panel_name, row_label, row_name, treatment_name
from preheat.analysis.results import Row
from preheat.analysis.table import Table
from preheat.analysis.words import capital, human
from preheat.core.metrics import SPLITS
from preheat.core.record import Record
from preheat.core.registry import CHAPTERS, PROBES
from preheat.core.words import count
from preheat.report.chapter import Chapter, Seen, Shown
from preheat.report.chapters.facets import PROGRESS, even, facets
from preheat.report.drawing.shapes import Facets, Mesh
from preheat.report.plates import Plate, file_name
from preheat.stats.averaging import across, rounded
from preheat.stats.claims import Verdicts

MOST_MAPS = 4
MOST_STEPS = 48
LEAD = (
    "Each seed at the settings that it chose. Curves are means over seeds; band: one standard deviation, or "
    "the estimate's standard error, cut at 0 where no mean is below it."
)
THRESHOLD = "_threshold"  # a series NAME_threshold is a ratio to a threshold, which is at 1


@dataclass(frozen=True)
class LayerCurve:
    """What a probe measured of one layer, of one setting: means over n seeds by progress, 0 to 1."""

    panel: str
    condition: str
    treatment: str
    what: str
    layer: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    n: int


@dataclass(frozen=True)
class Probed:
    """Curves over progress (0 to 1), whole and by layer, at the chosen settings, means over the
    seeds."""

    probes: tuple[MeanCurve, ...]
    layers: tuple[LayerCurve, ...]
    ratios: Mapping[str, tuple[str, str]] = field(default_factory=dict)


class Measured(NamedTuple):
    """One run's scalars {name: points}, indexed measurements {name: {index: points}}, and which scalars are
    ratios of which others."""

    scalars: Mapping[str, Points]
    indexed: Mapping[str, Mapping[str, Points]]
    ratios: Mapping[str, tuple[str, str]]


@CHAPTERS.register("probes")
@dataclass(frozen=True)
class Probes(Chapter):
    """Everything that the runs' probes recorded: curves over a run, and maps of layers by steps.

    A series `name` is a scalar, `name.index` one of several (the norm of a layer). but: scalars that are
    drawn elsewhere.
    """

    but: tuple[str, ...] = ()

    def each(self, record: Record, row: Row) -> Measured | None:
        scalars: dict[str, Points] = {}
        indexed: dict[str, dict[str, Points]] = {}
        metrics = evaluated((*record.trace, *row.summary))
        for name, series in record.trace.items():
            whole, dot, index = name.partition(".")
            if name in metrics or (points := progress(series, row)) is None:
                continue
            if dot:
                indexed.setdefault(whole, {})[index] = points
            else:
                scalars[name] = points
        ratios = {n: pair for n, pair in _ratios(record).items() if {n, *pair} <= scalars.keys()}
        return Measured(scalars, indexed, ratios) if scalars or indexed else None

    def find(self, table: Table, seen: Seen) -> Probed | None:
        curves: list[MeanCurve] = []
        layers: list[LayerCurve] = []
        for at, some in chosen(table, seen).items():
            measured = [m for _, m in some]
            labels = table.labels(at)
            names = dict.fromkeys(n for m in measured for n in m.scalars)
            for name in names:
                error = name.endswith(ERROR) and name.removesuffix(ERROR) in names
                if not error and name not in self.but:
                    curves.append(_curve(labels, name, [m for m in measured if name in m.scalars]))
            for name in dict.fromkeys(n for m in measured for n in m.indexed):
                layers += _layers(labels, name, [m.indexed[name] for m in measured if name in m.indexed])
        ratios = {n: pair for _, m in seen for n, pair in m.ratios.items()}
        return Probed(tuple(curves), tuple(layers), ratios) if curves or layers else None

    def show(self, found: Probed, verdicts: Verdicts, table: Table) -> Shown:
        plates = []
        panels = list(dict.fromkeys(c.panel for c in found.probes))
        for what in dict.fromkeys(c.what for c in found.probes):
            for panel in panels:
                mine = [c for c in found.probes if c.what == what and c.panel == panel]
                if mine and (data := facets(table, mine)) is not None:
                    called, name = capital(human(what)), file_name("probe", what, panel)
                    shown = _bounded(mine, data)
                    over = " over ".join(f"the mean of {human(part)}" for part in found.ratios.get(what, ()))
                    heads = (called, panel_name(table, panel)) if len(panels) > 1 else ("Curves", called)
                    plates.append(Plate(heads[0], name, heads[1], _caption(over), shown))
        groups: dict[tuple[str, str], list[LayerCurve]] = {}
        for k in found.layers:
            groups.setdefault((k.what, k.panel), []).append(k)
        plates += [_maps(table, some) for some in groups.values()]
        return Shown(
            "What the probes measured",
            LEAD if found.probes else "Each seed at the settings that it chose.",
            plates=tuple(plates),
            short="Probes",
        )


def evaluated(names: Iterable[str]) -> set[str]:
    """The series of a run that are its loss and its metrics, by split; others are a probe's, whatever their
    names. names: all that the run recorded."""
    told = (n.partition("_") for n in names)
    known = {metric for split, _, metric in told if split in ("validation", "chance")}
    return {f"{split}_{metric}" for split in SPLITS for metric in known | {"loss"}}


def _ratios(record: Record) -> dict[str, tuple[str, str]]:
    """What the run's probes say of their series; of those that are not installed here nothing."""
    known = set(PROBES.names())
    declared = [PROBES[p.name].ratios for p in record.run.probes if p.name in known]
    return {n: pair for ratios in declared for n, pair in ratios.items()}


def _curve(labels: tuple[str, str, str], name: str, some: Sequence[Measured]) -> MeanCurve:
    pairs = [(m.scalars, m.ratios[name]) for m in some if name in m.ratios]
    if pairs:
        return ratio_curve(labels, name, [(lines[top], lines[under]) for lines, (top, under) in pairs])
    return probed_curve(labels, name, [m.scalars for m in some])


def _caption(over: str) -> str:
    return f"{capital(over)}; a gap where the latter is not above 0." if over else ""


def _bounded(some: Sequence[MeanCurve], data: Facets) -> Facets:
    """A line at 1 for a ratio to a threshold; nothing below 0 where no mean is."""
    positive = all(v >= 0 for k in some for v in k.y if math.isfinite(v))
    ends = (0.0, None) if positive else (None, None)
    zero = 1.0 if some[0].what.endswith(THRESHOLD) else None
    return Facets(tuple(replace(p, zero=zero, ends=ends if "y" not in p.log else p.ends) for p in data.parts))


def _layers(labels: tuple[str, str, str], name: str, some: list[Mapping[str, Points]]) -> list[LayerCurve]:
    out = []
    for layer in dict.fromkeys(layer for lines in some for layer in lines):
        x, y = across([lines[layer] for lines in some if layer in lines])[:2]
        out.append(LayerCurve(*labels, name, layer, rounded(x), rounded(y), len(some)))
    return out


def _maps(table: Table, some: Sequence[LayerCurve]) -> Plate:
    """Maps of a panel's treatments at its first condition: a row a layer, at most MOST_STEPS columns."""
    condition, what, panel = some[0].condition, human(some[0].what), some[0].panel
    mine = [k for k in some if k.condition == condition]
    treatments = even(list(dict.fromkeys(k.treatment for k in mine)), MOST_MAPS)
    layers = tuple(dict.fromkeys(k.layer for k in mine))
    longest = max(mine, key=lambda k: len(k.x)).x
    x = np.array(longest)[:: -(-len(longest) // MOST_STEPS)]
    at = {(k.treatment, k.layer): tuple(np.interp(x, k.x, k.y, right=np.nan).tolist()) for k in mine}
    none = (math.nan,) * len(x)
    parts = tuple((treatment_name(table, t), tuple(at.get((t, k), none) for k in layers)) for t in treatments)
    log = min(v for k in mine for v in k.y) >= 0
    n, where = (
        max(k.n for k in mine),
        f"{capital(row_label(table))}: {row_name(table, condition)}. " if condition else "",
    )
    caption = (
        f"{where}{'Mean over seeds' if n > 1 else 'One seed'}{'; colours on a log scale' if log else ''}."
    )
    more = len({(k.condition, k.treatment) for k in some}) - len(treatments)
    caption += f" The tables have {count(more, 'more setting')}." if more else ""
    data = Mesh(tuple(100 * x), layers, parts, PROGRESS, "", what, log)
    return Plate(
        f"{capital(what)} by layer",
        file_name("layers", some[0].what, panel),
        panel_name(table, panel),
        caption,
        data,
    )
