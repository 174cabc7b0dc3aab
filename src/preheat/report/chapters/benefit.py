"""Every treatment against the baseline at every condition, each seed at the nuisance that it chose."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from preheat.analysis.effects import Effect, effects
from preheat.analysis.naming import base_of, heads, rate_of, row_label
from preheat.analysis.table import Table
from preheat.analysis.words import Units, half, human, p_text
from preheat.core.registry import CHAPTERS
from preheat.core.words import count
from preheat.report.chapter import Chapter, Rows, Seen, Shown, verdict
from preheat.report.chapters.common import difference_text, heat, of_panel, place, present, treatment_dot
from preheat.report.chapters.main import CORRECTED, seen
from preheat.report.chapters.main_words import RATED
from preheat.report.drawing.shapes import Dots, Heat
from preheat.report.plates import by_panel
from preheat.stats.claims import Claim, Judged, Verdict, Verdicts
from preheat.stats.estimates import Estimate

MAP, DOTS = "All at a glance", "With intervals"


@dataclass(frozen=True)
class Effects:
    """Every comparison with the baseline, paired by seed. over_rates: of the mean score over all rates."""

    effects: tuple[Effect, ...]
    over_rates: tuple[Effect, ...]
    claims: tuple[Claim, ...]


@CHAPTERS.register("benefit")
@dataclass(frozen=True)
class Benefit(Chapter):
    """Every treatment minus the baseline at each condition, paired by seed: exploratory."""

    def find(self, table: Table, seen: Seen) -> Effects | None:
        kept = table.claimed
        if len(kept.conditions) < 2:
            return None  # the main effects say it
        made, claims = effects(kept)
        rated = effects(kept, kept.rated, family=RATED)[0] if kept.rated is not None else ()
        return Effects(made, rated, tuple(claims)) if made else None

    def show(self, found: Effects, verdicts: Verdicts, table: Table) -> Shown:
        base = base_of(table)
        better = "Higher" if table.study.goal == "max" else "Lower"
        at, rated = (
            {e: verdicts.get("/".join((family, e.panel, e.condition, e.treatment))) for e in some}
            for family, some in (("benefit", found.effects), (RATED, found.over_rates))
        )
        rated = {e: v for e, v in rated.items() if v is not None}  # claimed by the main effects
        margin = Units.of(table.study.metric).margin(table.study.margin)
        band = f"{CORRECTED} Grey band: within {margin}."
        cells = f"Half the corrected interval below. Framed: decided ({margin} counts). Pale: not decided."
        over = f"Over all {rate_of(table)}s tried"
        return Shown(
            f"Benefit over {base}, setting by setting",
            f"{tally(list(at.values()))} Exploratory: these comparisons have a budget of error of their own "
            f"and only narrow the answer. {better} is better.",
            plates=(
                *by_panel(table, "benefit-map", partial(_map, table, at), group=MAP, caption=cells),
                *by_panel(table, "benefit", partial(_dots, table, at), group=DOTS, caption=band),
                *by_panel(
                    table, "benefit-over-rates", partial(_dots, table, rated), group=over, caption=band
                ),
            ),
            tables=(_rows(table, "Every comparison", at), _rows(table, over, rated)),
            short="Setting by setting",
        )


def _rows(table: Table, caption: str, at: dict[Effect, Judged | None]) -> Rows:
    u = Units.of(table.study.metric)
    rows = tuple(
        (*place(table, e), difference_text(_shown(table, e, v), u), *_told(v), str(e.estimate.n))
        for e, v in at.items()
    )
    columns = (*heads(table), f"minus {base_of(table)} (interval)", "p, corrected", "verdict", "n")
    return Rows(caption, columns, rows)


def _shown(table: Table, e: Effect, v: Judged | None) -> Estimate:
    return e.estimate if v is None else seen(table, v)


def _told(v: Judged | None) -> tuple[str, str]:
    return ("", "all runs of both diverged") if v is None else (p_text(v.p), verdict(v))


def _dots(table: Table, found: dict[Effect, Judged | None], panel: str) -> Dots | None:
    """Each treatment minus the baseline with its interval, and the band of the margin."""
    u = Units.of(table.study.metric)
    dots = tuple(
        treatment_dot(table, e, _shown(table, e, v), scale=u.scale, v=v)
        for e in of_panel(found, panel)
        for v in [found[e]]
        if math.isfinite(e.estimate.mean)
    )
    band = table.study.margin * u.scale
    label = u.difference_label(base_of(table))
    return Dots(present(table, dots), row_label(table), label, dots, band=band) if dots else None


def _map(table: Table, found: dict[Effect, Judged | None], panel: str) -> Heat | None:
    """Condition by treatment, centred on no difference and pale where nothing is decided; colours span all
    panels."""
    u = Units.of(table.study.metric)
    at = {
        (e.panel, e.condition, e.treatment): (
            _shown(table, e, v),
            v is not None and v.verdict is not Verdict.OPEN,
        )
        for e, v in found.items()
        if math.isfinite(e.estimate.mean)
    }
    reach = max((abs(e.mean) for e, _ in at.values()), default=0.0)
    reach = max(reach, table.study.margin) * u.scale  # what is too small to matter stays pale

    def text(cell: tuple[Estimate, bool]) -> str:
        width = half(cell[0])
        return f"{u.number(cell[0].mean, sign=True)}\n" + (
            "n = 1" if width is None else f"±{u.number(width)}"
        )

    bar = f"difference in {human(table.study.metric)}", -reach, reach, u.step
    made = heat(table, at, panel, value=lambda c: c[0].mean * u.scale, text=text, bar=bar)
    if made is None:
        return None
    open_ones = heat(table, at, panel, value=lambda c: float(not c[1]), text=str, bar=bar)
    assert open_ones is not None, "the same cells"
    faded = tuple(tuple(bool(v) for v in row) for row in open_ones.values)
    return replace(made, centre=0.0, faded=faded, less=table.sign < 0)


def tally(some: Sequence[Judged | None]) -> str:
    """How comparisons came out, in a sentence."""
    known = [v for v in some if v is not None]
    counted = [(sum(v.verdict is kind for v in known), kind) for kind in Verdict]
    texts = {
        Verdict.SUPPORTED: "better",
        Verdict.OPPOSITE: "worse",
        Verdict.SAME: "no difference of this size",
        Verdict.OPEN: "not decided",
    }
    told = ", ".join(f"{n} {texts[kind]}" for n, kind in counted)
    return f"Of {count(len(some), 'comparison')}: {told}."
