"""Loss, sharpness and its threshold over the updates, and what was counted in them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from preheat.analysis.naming import heads, panel_name, row_name
from preheat.analysis.results import Row
from preheat.analysis.table import Table
from preheat.analysis.words import brief, p_text
from preheat.core.record import Record
from preheat.core.registry import CHAPTERS
from preheat.report.chapter import Chapter, Rows, Say, Seen, Shown, verdict
from preheat.report.chapters.common import number, of_panel
from preheat.report.chapters.facets import facets
from preheat.report.plates import Plate, file_name
from preheat.stats.claims import Judged, Verdict, Verdicts
from preheat.studies.mechanisms.found import (
    MechanismSetting,
    MechanismsFound,
    mechanisms,
    method,
    ruled,
)
from preheat.studies.mechanisms.study import RULE
from preheat.studies.mechanisms.traces import WarmupCourse, course

LEAD = (
    "Sharpness is the largest eigenvalue of the loss's Hessian; for Adam and GI-Adam of P^-1/2 H "
    "P^-1/2, P their preconditioner. Its threshold is where updates of a quadratic loss diverge: 2 / "
    "rate for gradient descent, 3.8 / rate with momentum 0.9, 38 / rate for Adam. A catapult is a rise "
    "of the loss above 1.1 times its lowest value with a fall of sharpness by a tenth or more; rises "
    "without such a fall are counted beside it. Between two measurements a catapult can be missed."
)
DRAWN = "Figures: geometric means over seeds, bands of one standard deviation; both axes are on log scales."
FRONT = {("gd", "sharp"), ("gd", "ratio"), ("adam", "sharp")}
AXES = {
    "loss": ("Training loss", "training loss"),
    "sharp": ("Sharpness", "sharpness"),
    "ratio": ("Sharpness over its threshold", "sharpness / threshold"),
    "raw": (
        "Adaptive optimizers: the Hessian's own sharpness, which decides nothing there",
        "sharpness of H",
    ),
}
STATEMENTS = {
    "reduction": "Sharpness falls in the warmup, to its end or to where it first meets its threshold (by the "
    "factor)",
    "sharpening": "Sharpness rises in the warmup, to its end or to where it first meets its threshold (by "
    "the factor)",
    "rides": "Sharpness then differs from its threshold",
    "starts": "Adam's first preconditioned sharpness over GI-Adam's differs from 1 / sqrt(1 - beta2)",
    "persistent": "Persistent catapult warmup has a lower loss, over all updates, than",
    "calmer": "Persistent catapult warmup has fewer rises of the loss (1 + rises, as a factor) than",
}
SAID = {
    (
        "reduction",
        Verdict.SUPPORTED,
    ): "With {where}, standard parameterisation: in the warmup sharpness falls at first.",
    (
        "reduction",
        Verdict.OPPOSITE,
    ): "With {where}, standard parameterisation: in the warmup sharpness rises at first.",
    (
        "sharpening",
        Verdict.SUPPORTED,
    ): "With {where}, mu parameterisation: in the warmup sharpness rises at first.",
    (
        "sharpening",
        Verdict.OPPOSITE,
    ): "With {where}, mu parameterisation: in the warmup sharpness falls at first.",
    (
        "rides",
        Verdict.SAME,
    ): "With {where}, mu parameterisation: at its threshold sharpness stays there while the rate rises.",
    ("starts", Verdict.SAME): "GI-Adam starts at 1/32 of Adam's preconditioned sharpness.",
}


@CHAPTERS.register("mechanisms")
@dataclass(frozen=True)
class MechanismsChapter(Chapter):
    """Loss and sharpness over the updates of a warmup: regimes, crossings and catapults."""

    def each(self, record: Record, row: Row) -> WarmupCourse | None:
        return course(record, row)

    def find(self, table: Table, seen: Seen) -> MechanismsFound | None:
        return mechanisms(table, seen)

    def show(self, found: MechanismsFound, verdicts: Verdicts, table: Table) -> Shown:
        return Shown(
            "What happens during warmup",
            f"{LEAD}\n{DRAWN}",
            says=tuple(_says(verdicts, table)),
            plates=tuple(_plates(found, table)),
            tables=(_stated(verdicts, table), _counted(found, table)),
            short="Mechanisms",
            notes=(_cadence(found),),
        )


def _plates(found: MechanismsFound, table: Table) -> list[Plate]:
    plates = []
    for p, panel in enumerate(table.panels.labels):
        mine = of_panel(found.update_curves, panel)
        told = "" if ruled(table, p) else method(table, p)
        for what, (title, name) in AXES.items():
            some = [k for k in mine if k.what == what]
            data = facets(table, some, x="1 + update", name=name, log="xy") if some else None
            if data is not None:
                names = file_name("updates", what, panel), panel_name(table, panel)
                plates.append(Plate(title, *names, "", data, front=(told, what) in FRONT))
    return plates


def _counted(found: MechanismsFound, table: Table) -> Rows:
    rows = tuple(
        (
            *(
                panel_name(table, s.panel),
                row_name(table, s.condition),
                "none" if RULE in s.panel else s.treatment,
            ),
            *(number(s.start), f"{s.crossed} of {s.n}", _known(s.crossing)),
            *(number(s.change), number(s.ridden), _kinds(s)),
            *(brief(s.catapults), brief(s.uncoupled), f"{s.diverged} of {s.n}"),
        )
        for s in found.settings
    )
    columns = (
        *heads(table),
        *("first sharpness", "seeds that cross", "at update"),
        *("sharpness before that, times the first", "then, times its threshold", "drift until then (seeds)"),
        *("catapults", "other rises", "diverged"),
    )
    return Rows("Every setting: means over seeds, 95 % intervals", columns, rows)


def _known(value: float) -> str:
    return f"{value:,.0f}" if math.isfinite(value) else ""


def _kinds(s: MechanismSetting) -> str:
    return ", ".join(f"{kind} {n}" for kind, n in sorted(s.kinds.items(), key=lambda kv: -kv[1]))


def _stated(verdicts: Verdicts, table: Table) -> Rows:
    rows = []
    for v in _mine(verdicts):
        kind, _, rest = v.name.partition("/")
        against = f" a warmup of {rest.rpartition('/')[2]}" if kind in ("persistent", "calmer") else ""
        rows.append(
            (
                f"{STATEMENTS[kind]}{against}",
                *(panel_name(table, v.at[0]), row_name(table, v.at[1]), number(v.effect), str(v.effect.n)),
                *(p_text(v.p), verdict(v)),
            )
        )
    columns = ("claim", *heads(table)[:2], "factor (interval)", "n", "p, corrected", "verdict")
    return Rows(
        "What is claimed; the verdicts on gradient descent, and on where GI-Adam starts in standard "
        "parameterisation, "
        "share one budget of error, the others are exploratory",
        columns,
        tuple(rows),
        folded=False,
    )


def _mine(verdicts: Verdicts) -> list[Judged]:
    return [v for v in verdicts.values() if v.name.partition("/")[0] in STATEMENTS]


def _says(verdicts: Verdicts, table: Table) -> list[Say]:
    """What is shown of gradient descent, and of where adaptive optimizers start."""
    out: list[Say] = []
    for v in (v for v in verdicts.values() if v.primary):
        kind, where = v.name.partition("/")[0], panel_name(table, v.at[0])
        if (kind, v.verdict) in SAID:
            out.append(Say(SAID[kind, v.verdict].format(where=where), 2 + len(out)))
    if not out and any(v.primary for v in _mine(verdicts)):
        out.append(Say("These runs decide none of the primary claims on sharpness.", 5))
    return out


def _cadence(found: MechanismsFound) -> str:
    most = max(s.cadence for s in found.settings)
    return f"Catapults were looked for in measurements at most {most} updates apart."
