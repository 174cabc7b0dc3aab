"""What probes measured, whichever they are: a number as a curve, one for each layer as a map of layers by
steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from preheat.analysis.curves import ERROR, Curve, Points, chosen, probed_curve, progress
from preheat.analysis.naming import panel_name, treatment_name
from preheat.analysis.results import Row
from preheat.analysis.table import Table
from preheat.analysis.words import human
from preheat.core.metrics import SPLITS
from preheat.core.record import Record
from preheat.core.registry import CHAPTERS
from preheat.report.chapter import Chapter, Seen, Shown
from preheat.report.chapters.facets import PROGRESS, facets
from preheat.report.drawing.shapes import Mesh
from preheat.report.plates import Plate, file_name
from preheat.stats.averaging import across, rounded

MOST_MAPS = 12
MOST_STEPS = 48


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
    """Curves over progress (0 to 1), whole and by layer, at the chosen settings, means over the judging
    seeds."""

    probes: tuple[Curve, ...]
    layers: tuple[LayerCurve, ...]


class Measured(NamedTuple):
    """One run's scalars {name: points} and indexed measurements {name: {index: points}}."""

    scalars: Mapping[str, Points]
    indexed: Mapping[str, Mapping[str, Points]]


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
        for name, series in record.trace.items():
            whole, dot, index = name.partition(".")
            if name.partition("_")[0] in SPLITS or (points := progress(series, row)) is None:
                continue
            if dot:
                indexed.setdefault(whole, {})[index] = points
            else:
                scalars[name] = points
        return Measured(scalars, indexed) if scalars or indexed else None

    def find(self, table: Table, seen: Seen) -> Probed | None:
        curves: list[Curve] = []
        layers: list[LayerCurve] = []
        for at, some in chosen(table, seen).items():
            measured = [m for _, m in some]
            labels = table.labels(at)
            for name in dict.fromkeys(n for m in measured for n in m.scalars):
                if not name.endswith(ERROR) and name not in self.but:
                    curves.append(
                        probed_curve(labels, name, [m.scalars for m in measured if name in m.scalars])
                    )
            for name in dict.fromkeys(n for m in measured for n in m.indexed):
                layers += _layers(labels, name, [m.indexed[name] for m in measured if name in m.indexed])
        return Probed(tuple(curves), tuple(layers)) if curves or layers else None

    def show(self, found: Probed, table: Table) -> Shown:
        plates = []
        for what in dict.fromkeys(c.what for c in found.probes):
            for panel in dict.fromkeys(c.panel for c in found.probes):
                mine = [c for c in found.probes if c.what == what and c.panel == panel]
                if mine and (data := facets(table, mine)) is not None:
                    band = "Mean over seeds; band: one standard deviation, or the estimate's standard error."
                    plates.append(
                        Plate(
                            human(what), file_name("probe", what, panel), panel_name(table, panel), band, data
                        )
                    )
        maps: dict[tuple[str, ...], list[LayerCurve]] = {}
        for k in found.layers:
            maps.setdefault((k.panel, k.condition, k.treatment, k.what), []).append(k)
        plates += [_map(table, some) for some in list(maps.values())[:: -(-len(maps) // MOST_MAPS) or 1]]
        more = (
            f" Of {len(maps)} maps {MOST_MAPS} at most are drawn; the tables have all."
            if len(maps) > MOST_MAPS
            else ""
        )
        return Shown(
            "What the probes measured", f"At the chosen settings.{more}", plates=tuple(plates), short="Probes"
        )


def _layers(labels: tuple[str, str, str], name: str, some: list[Mapping[str, Points]]) -> list[LayerCurve]:
    out = []
    for layer in dict.fromkeys(layer for lines in some for layer in lines):
        x, y = across([lines[layer] for lines in some if layer in lines])[:2]
        out.append(LayerCurve(*labels, name, layer, rounded(x), rounded(y), len(some)))
    return out


def _map(table: Table, some: Sequence[LayerCurve]) -> Plate:
    """A row for each layer over the x of the longest; at most MOST_STEPS columns."""
    m = max(some, key=lambda k: len(k.x))
    x = np.array(m.x)[:: -(-len(m.x) // MOST_STEPS)]
    values = tuple(tuple(np.interp(x, k.x, k.y, right=np.nan).tolist()) for k in some)
    names = panel_name(table, m.panel), m.condition, treatment_name(table, m.treatment)
    caption = (
        f"Mean over {m.n} seeds; colours on a log scale." if m.n > 1 else "One seed; colours on a log scale."
    )
    data = Mesh(tuple(100 * x), tuple(k.layer for k in some), values, PROGRESS, "", human(m.what))
    name = file_name("layers", m.what, m.panel, m.condition, m.treatment)
    return Plate(f"{human(m.what)} by layer", name, ", ".join(t for t in names if t), caption, data)
