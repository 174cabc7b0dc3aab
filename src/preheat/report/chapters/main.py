"""Does the treatment matter: the mean over the conditions at tuned rates, and over all rates."""

from __future__ import annotations

import math
from dataclasses import dataclass

from preheat.analysis import words
from preheat.analysis.effects import MainEffect, effects, main_effects
from preheat.analysis.naming import base_of, panel_head, panel_name, rate_of, treatment_name, values_of
from preheat.analysis.table import Table
from preheat.analysis.words import Units, human, p_text
from preheat.core.registry import CHAPTERS
from preheat.report.chapter import Chapter, Rows, Seen, Shown, verdict
from preheat.report.chapters.common import difference_text, dot
from preheat.report.chapters.main_words import RATED, answer
from preheat.report.drawing.shapes import Dots
from preheat.report.plates import Plate, file_name
from preheat.stats.claims import Claim, Judged, Verdicts
from preheat.stats.estimates import Estimate


@dataclass(frozen=True)
class MainFound:
    """Every panel's treatments against the baseline, all conditions together."""

    main: tuple[MainEffect, ...]
    claims: tuple[Claim, ...]


@CHAPTERS.register("main")
@dataclass(frozen=True)
class MainEffects(Chapter):
    """Every treatment against the baseline over all conditions: at each seed's own nuisance, and as the mean
    over all values of it."""

    def find(self, table: Table, seen: Seen) -> MainFound | None:
        kept = table.claimed
        made, claims = main_effects(kept)
        if kept.rated is not None and len(kept.conditions) > 1:
            claims += effects(kept, kept.rated, family=RATED)[1]
        return MainFound(made, tuple(claims)) if made else None

    def show(self, found: MainFound, verdicts: Verdicts, table: Table) -> Shown:
        u, kept = Units.of(table.study.metric), table.claimed
        over = f" over all {values_of(table)}" if len(kept.conditions) > 1 else ""
        lead = f"Each comparison is with {base_of(kept)}, the mean{over}, paired by seed."
        if table.study.nuisance:
            lead += (
                f" Every seed chooses its own {rate_of(table)} on its validation set and reports its test "
                "set, so "
                "the luck of choosing is in the intervals."
            )
        if table.rated is not None:
            lead += (
                f" The mean over all {rate_of(table)}s weighs each factor of two alike and chooses nothing: "
                "it says "
                "what happens to somebody who can't tune."
            )
        plates = [_plate(kept, verdicts, *one) for one in _measures(kept)]
        return Shown(
            f"Does {human(table.study.treatment)} matter?",
            lead,
            says=answer(kept, verdicts),
            plates=tuple(p for p in plates if p is not None),
            tables=(_rows(kept, found, verdicts, u),),
            short="Does it matter",
        )


def _measures(table: Table) -> list[tuple[str, str]]:
    """(name of the measure, heading of its figure)."""
    if not table.study.nuisance:
        return [("tuned", f"{words.capital(human(table.study.metric))}")]
    tuned = ("tuned", f"At a tuned {rate_of(table)}")
    return [
        tuned,
        *([("over_rates", f"Over all {rate_of(table)}s tried")] if table.rated is not None else []),
    ]


def judged(table: Table, verdicts: Verdicts, measure: str) -> list[Judged]:
    """The verdicts of one measure, panels and treatments in order."""
    names = (
        f"{measure}/{panel}/{treatment}"
        for panel in table.panels.labels
        for treatment in table.treatments.labels
    )
    return [verdicts[name] for name in names if name in verdicts]


def _plate(table: Table, verdicts: Verdicts, measure: str, heading: str) -> Plate | None:
    u = Units.of(table.study.metric)
    label = u.difference_label(base_of(table))
    data = panel_dots(table, judged(table, verdicts, measure), label, scale=u.scale)
    if data is None:
        return None
    better = "Right" if table.sign > 0 else "Left"
    caption = f"{better} of the dashed line: better. "
    if measure == "tuned":
        caption += (
            f"{intervals_of(data)} Grey band: within {u.margin(table.study.margin)}, too little to matter."
        )
    else:
        caption += "Marks and band as in the figure before."
    return Plate(heading, file_name("main", measure), "", caption, data, front=True)


CORRECTED = (
    "Filled: a difference is shown. Thick: one that matters is excluded. Hollow and thin: not decided. Lines "
    "are "
    "intervals, corrected for the number of claims."
)


def intervals_of(data: Dots) -> str:
    """What a dot's line and its filling mean."""
    return CORRECTED if any(d.lo is not None or d.hi is not None for d in data.dots) else "One seed."


def panel_dots(
    table: Table, some: list[Judged], label: str, *, scale: float = 1.0, factor: bool = False
) -> Dots | None:
    """A row for each panel, a dot for each treatment."""
    labels = table.treatments.labels
    dots = [
        dot(
            panel_name(table, v.at[0]) or "all",
            (treatment_name(table, v.at[2]), labels.index(v.at[2])),
            v.effect if factor else seen(table, v),
            scale=scale,
            v=v,
        )
        for v in some
        if math.isfinite(v.effect.mean) and (not factor or v.effect.mean > 0)
    ]
    if not dots:
        return None
    rows = tuple(dict.fromkeys(d.row for d in dots))
    if factor:
        return Dots(rows, "", label, tuple(dots), zero=1.0, log=True)
    return Dots(rows, "", label, tuple(dots), band=table.study.margin * scale)


def seen(table: Table, v: Judged) -> Estimate:
    """A judged effect as a difference of the metric: a claim counts better as above 0, also where less is
    better."""
    e = v.effect
    if table.sign > 0:
        return e
    lo, hi = (None if x is None else -x for x in (e.hi, e.lo))
    return Estimate(-e.mean, lo, hi, e.n, e.bound)


def _rows(table: Table, found: MainFound, verdicts: Verdicts, u: Units) -> Rows:
    told = {"tuned": "tuned" if table.study.nuisance else "mean", "over_rates": "over all rates"}
    moved = {(m.panel, m.treatment): m.sensitivity for m in found.main}
    rows = []
    for measure, text in told.items():
        for v in judged(table, verdicts, measure):
            e = moved[v.at[0], v.at[2]] if measure == "over_rates" else None
            row = (
                *(panel_name(table, v.at[0]), v.at[2], text, difference_text(seen(table, v), u)),
                *(p_text(v.p), str(v.effect.n), verdict(v), "" if e is None else difference_text(e, u)),
            )
            rows.append(row)
    columns = (
        *(panel_head(table), human(table.study.treatment), "measure", f"minus {base_of(table)} (interval)"),
        *("p, corrected", "n", "verdict", "rate sensitivity (95 % interval)"),
    )
    over = f", all {values_of(table)} together" if len(table.conditions) > 1 else ""
    kept = columns if any(r[-1] for r in rows) else columns[:-1]
    caption = (
        f"Every comparison{over}. Rate sensitivity, E[min(l, l0) - l*] (Wortsman et al. "
        "2023): "
        "below 0 the rate matters less than with the baseline; it picks the best rate, so it describes only."
    )
    return Rows(caption, kept, tuple(r[: len(kept)] for r in rows))
