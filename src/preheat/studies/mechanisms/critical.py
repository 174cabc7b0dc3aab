"""Whether the critical sharpness is the curvature along the step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from preheat.analysis.curves import chosen
from preheat.analysis.effects import Place, untested
from preheat.analysis.naming import panel_head, panel_name
from preheat.analysis.results import Row
from preheat.analysis.table import Table
from preheat.analysis.words import p_text
from preheat.core.record import Record
from preheat.core.registry import CHAPTERS
from preheat.core.words import listed
from preheat.report.chapter import Chapter, Rows, Say, Seen, Shown, verdict
from preheat.report.chapters.common import number
from preheat.stats.claims import Claim, Verdict, Verdicts
from preheat.stats.estimates import interval, moments, p_different, p_equivalent
from preheat.studies.mechanisms.found import method

FAMILY, NAME = "agreement", "agrees"
BOTH = ("critical_sharpness", "directional_sharpness")
MARGIN = 1.0  # per cent
LEAD = (
    "The critical rate eta_c is the least at which an update would raise the loss of its batch, found by "
    "forward passes alone. lambda is d'Hd / (-g'd) for the step d, by a product with the Hessian. For each "
    "run: by how much 2 / eta_c is above lambda, at the measured update where they differ most."
)

SAME = "{}: 2 / eta_c is the curvature along the step, to one per cent."
OTHER = "{}: 2 / eta_c is not the curvature along the step."


class Disagreement(NamedTuple):
    """Of one run: by how many per cent 2 / eta_c is above lambda, where they differ most; at how many updates
    both were found (the update goes downhill), of how many measured."""

    worst: float
    told: int
    measured: int


@dataclass(frozen=True)
class AgreementSetting:
    """Of one optimizer: measurements that tell both, and all, over its runs."""

    panel: str
    told: int
    measured: int


@dataclass(frozen=True)
class CriticalFound:
    """Every optimizer, and the claims that the two differ."""

    settings: tuple[AgreementSetting, ...]
    claims: tuple[Claim, ...]


def disagreement(record: Record) -> Disagreement | None:
    """What a run tells; None where it did not measure both."""
    if any(name not in record.trace for name in BOTH):
        return None
    first, second = (dict(zip(record.trace[n].steps, record.trace[n].values, strict=True)) for n in BOTH)
    pairs = np.array([(first[k], second[k]) for k in first if k in second], dtype=float).reshape(-1, 2)
    good = pairs[(np.isfinite(pairs) & (pairs > 0)).all(axis=1)]
    above = 100 * (good[:, 0] / good[:, 1] - 1)
    worst = float(above[np.abs(above).argmax()]) if len(above) else math.nan
    return Disagreement(worst, len(good), len(pairs))


@CHAPTERS.register("critical_rates")
@dataclass(frozen=True)
class CriticalRates(Chapter):
    """Whether 2 over the critical rate is the curvature along the step, to one per cent."""

    def each(self, record: Record, row: Row) -> Disagreement | None:
        return disagreement(record)

    def find(self, table: Table, seen: Seen) -> CriticalFound | None:
        runs = {at: [one for _, one in mine] for at, mine in chosen(table, seen).items()}
        settings = tuple(
            AgreementSetting(table.labels(at)[0], sum(d.told for d in some), sum(d.measured for d in some))
            for at, some in runs.items()
        )
        return CriticalFound(settings, tuple(_claim(table, *pair) for pair in runs.items())) if runs else None

    def show(self, found: CriticalFound, verdicts: Verdicts, table: Table) -> Shown:
        mine = {v.at[0]: v for name, v in verdicts.items() if name.startswith(f"{NAME}/")}
        rows = tuple(
            (
                *(panel_name(table, s.panel), f"{s.told:,} of {s.measured:,}", number(mine[s.panel].effect)),
                *(str(mine[s.panel].effect.n), p_text(mine[s.panel].p_same), verdict(mine[s.panel])),
            )
            for s in found.settings
        )
        columns = (
            *(panel_head(table), "measurements with both", "% above lambda (interval)", "n"),
            *("p of 1 % or more, corrected", "verdict"),
        )
        return Shown(
            "The critical rate and the curvature along the step",
            LEAD,
            says=_says(verdicts, table),
            tables=(Rows("Claim: 2 / eta_c differs from lambda", columns, rows, folded=False),),
            short="Critical rates",
        )


def _says(verdicts: Verdicts, table: Table) -> tuple[Say, ...]:
    mine = [v for name, v in verdicts.items() if name.startswith(f"{NAME}/")]
    shown = (
        (SAME, [panel_name(table, v.at[0]) for v in mine if v.verdict is Verdict.SAME]),
        (OTHER, [panel_name(table, v.at[0]) for v in mine if v.differs]),
    )
    said = tuple(Say(text.format(listed(some)), 1) for text, some in shown if some)
    return said or (Say("These runs do not decide whether eta_c is 2 / lambda along the step.", 1),)


def _claim(table: Table, at: Place, some: Sequence[Disagreement]) -> Claim:
    """That the two differ; the same within the margin."""
    m = moments([one.worst for one in some])
    return Claim(
        *(f"{NAME}/{method(table, at[0])}", FAMILY, table.labels(at), interval(m)),
        p=p_different(m),
        p_same=p_equivalent(m, MARGIN),
        margin=MARGIN,
        unit="% above lambda",
        part=m if m.n else None,
        rests=(table.labels(at),),
        why=untested(table, m.n) if m.n else "no update tells both",
    )
