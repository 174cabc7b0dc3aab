"""Inside the first epochs: gradient, distance, curvature and rate, where a warmup acts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from preheat.analysis.curves import MeanCurve, chosen
from preheat.analysis.naming import heads, panel_name, row_name
from preheat.analysis.results import Row
from preheat.analysis.table import Table
from preheat.analysis.words import NONE, brief, capital
from preheat.core.record import Record
from preheat.core.registry import CHAPTERS
from preheat.report.chapter import Chapter, Rows, Seen, Shown
from preheat.report.chapters.common import of_panel
from preheat.report.chapters.facets import facets
from preheat.report.drawing.shapes import Facets
from preheat.report.plates import by_panel
from preheat.stats.claims import Verdicts
from preheat.studies.regimes.first_epochs import RATE, Milestone, Opening, early_curves, milestones, opening

NAMES = {
    "grad_norm": "gradient norm",
    "distance": "distance from the start",
    "hessian_trace": "Hessian trace",
    "learning_rate": "learning rate",
}
BANDS = {
    "hessian_trace": "Mean over seeds; band: the estimate's standard error; a single point has none drawn.",
    "learning_rate": "As scheduled.",
}
PLUS_MINUS = "\N{PLUS-MINUS SIGN}"
FEW = 3


@dataclass(frozen=True)
class FirstEpochsFound:
    """Curves by epoch up to the tenth, and what they are at epochs 1, 5 and 10."""

    first_epochs: tuple[MeanCurve, ...]
    milestones: tuple[Milestone, ...]


@CHAPTERS.register("first_epochs")
@dataclass(frozen=True)
class FirstEpochs(Chapter):
    """What the probes measured during the first ten epochs, at the chosen settings."""

    def each(self, record: Record, row: Row) -> Opening | None:
        return opening(record, row)

    def find(self, table: Table, seen: Seen) -> FirstEpochsFound | None:
        curves = tuple(c for at, some in chosen(table, seen).items() for c in early_curves(table, at, some))
        return FirstEpochsFound(curves, milestones(curves)) if curves else None

    def show(self, found: FirstEpochsFound, verdicts: Verdicts, table: Table) -> Shown:
        sizes = " at the first, middle and last of the sizes" if len(table.conditions) > FEW else ""
        lead = (
            f"What the probes measured during the first ten epochs, at the chosen settings{sizes}; the table "
            "has every setting."
        )
        if any(c.what == "hessian_trace" for c in found.first_epochs):
            lead += (
                " The Hessian trace is an estimate from random vectors (Hutchinson); its band is its "
                "standard error."
            )
        plates = tuple(
            plate
            for what, name in NAMES.items()
            for plate in by_panel(
                table,
                f"first-epochs-{name}",
                partial(early, table, found, what),
                group=capital(name),
                caption=BANDS.get(what, "Mean over seeds; band: one standard deviation."),
            )
        )
        tables = tuple(t for t in (_rows(found, table),) if t.rows)
        return Shown("Inside the first epochs", lead, plates=plates, tables=tables, short="First epochs")


def few(conditions: Sequence[str]) -> list[str]:
    """At most three: the first, the middle one and the last.

    >>> few(["5000", "1000", "500", "100", "50"])
    ['5000', '500', '50']
    """
    n = len(conditions)
    return list(conditions) if n <= FEW else [conditions[i] for i in (0, n // 2, n - 1)]


def early(table: Table, found: FirstEpochsFound, what: str, panel: str) -> Facets | None:
    """What a probe measured in the first epochs: a small multiple for a few data sizes."""
    mine = [c for c in of_panel(found.first_epochs, panel) if c.what == what]
    here = few([c for c in table.conditions.labels if any(k.condition == c for k in mine)])
    log = "" if what == RATE else None
    return facets(table, [c for c in mine if c.condition in here], x="epoch", name=NAMES[what], log=log)


def _rows(found: FirstEpochsFound, table: Table) -> Rows:
    whats = [w for w in NAMES if any(m.what == w for m in found.milestones)]
    at = {(m.panel, m.condition, m.treatment, m.epoch, m.what): m for m in found.milestones}
    places = dict.fromkeys((m.panel, m.condition, m.treatment, m.epoch) for m in found.milestones)
    rows = tuple(
        (
            *(panel_name(table, p[0]), row_name(table, p[1]), p[2], brief(p[3])),
            *(_measured(at.get((*p, w))) for w in whats),
        )
        for p in places
    )
    caption = f"Means over seeds {PLUS_MINUS} the half width of the figures' band, at epochs 1, 5 and 10"
    return Rows(caption, (*heads(table), "epoch", *(NAMES[w] for w in whats)), rows)


def _measured(m: Milestone | None) -> str:
    if m is None:
        return NONE
    half = (m.hi - m.lo) / 2
    return brief(m.mean) + (f" {PLUS_MINUS} {brief(half, 2)}" if half > 0 else "")
