"""Epochs or updates: is the best warmup a number of epochs or of updates?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from preheat.analysis.naming import base_of, heads, panel_head, panel_name, row_label, row_name
from preheat.analysis.table import Table
from preheat.analysis.words import Units, brief, limits, p_text, range_text
from preheat.core.registry import CHAPTERS
from preheat.report.chapter import Chapter, Rows, Seen, Shown, verdict
from preheat.report.chapters.common import number, of_panel
from preheat.report.drawing.shapes import Line, Lines
from preheat.report.plates import by_panel
from preheat.stats.claims import Verdicts
from preheat.stats.estimates import Estimate
from preheat.studies.regimes.hypothesis import card
from preheat.studies.regimes.updates import UpdatesFound, common_updates, updates
from preheat.studies.regimes.warmup_grid import Exponent

LEAD = (
    "A warmup of some epochs holds the fewer updates the fewer the data, so a study in epochs mixes the two. "
    "Here every warmup is stated in updates. If best updates ~ size^b, b = 0 means that a fixed number of "
    "updates is best, b near 1 a fixed number of epochs."
)
RANDOM = (
    "Random choices have an exponent too: about 1 from the same epochs at every size, 0 from the same "
    "numbers of updates. Noise makes some of each seed's picks random, and so moves b and its interval "
    "towards that exponent: the interval is of the seeds' picks, not of what is best. So neither is called "
    "excluded for an exponent that random choices from this grid share."
)
NOTHING = "Nothing to estimate: nothing has two sizes with two warmups above none and a result of each."
ASIDE = "Runs that selected on the test split are left out of this, since all were done without that too."
BEST = (
    "Geometric mean over seeds; band: 95 % interval, cut to the grid. Level: a fixed number of "
    "updates is best."
)


@CHAPTERS.register("updates")
@dataclass(frozen=True)
class UpdatesChapter(Chapter):
    """Whether the best warmup is a number of epochs or of updates, as far as the grid can tell."""

    def find(self, table: Table, seen: Seen) -> UpdatesFound | None:
        return updates(table)

    def show(self, found: UpdatesFound, verdicts: Verdicts, table: Table) -> Shown:
        lead = [LEAD, RANDOM if found.exponents else NOTHING]
        lead += [ASIDE] if table.twins else []
        made = (
            _exponents(found, verdicts, table),
            _grid(found, table),
            _best(found, table),
            _lengths(found, table),
        )
        means = "Means over seeds, a line for each data size; their intervals are in the chapter of settings."
        plates = (
            *by_panel(
                table,
                "best-updates",
                lambda panel: best_updates(table, found, panel),
                group="The best warmup above none",
                caption=BEST,
            ),
            *(
                plate
                for unit in ("updates", "epochs")
                for plate in by_panel(
                    table,
                    f"by-{unit}",
                    partial(against, table, found, unit),
                    group=f"By warmup in {unit}",
                    caption=means,
                )
            ),
        )
        return Shown(
            "Epochs or updates",
            "\n".join(lead),
            plates=plates,
            tables=tuple(t for t in made if t.rows),
            cards=tuple(card(h, verdicts, table) for h in found.hypotheses_in_updates),
        )


def _exponents(found: UpdatesFound, verdicts: Verdicts, table: Table) -> Rows:
    rows = []
    for e in found.exponents:
        told = [verdicts[f"updates/{e.panel}/{unit}"] for unit in ("updates", "epochs")]
        rows.append(
            (
                *(panel_name(table, e.panel), *(verdict(v) for v in told), number(e.b), str(e.b.n)),
                f"{brief(e.chance)} ({range_text(brief(e.chance_lo), brief(e.chance_hi))})",
                *(brief(e.epochs_b), p_text(e.p_choices)),
            )
        )
    b = ("b of the seeds' picks (95 % interval)", "n", "b of random choices", "b of fixed epochs")
    columns = (
        panel_head(table),
        "not a fixed number of updates",
        "not a fixed number of epochs",
        *b,
        "p, warmups differ (raw)",
    )
    caption = (
        "b of best updates ~ size^b; noise moves it towards b of random choices. The verdicts (exploratory) "
        "are on: "
        "a fixed number is not the best"
    )
    return Rows(caption, columns, tuple(rows), folded=False)


def _grid(found: UpdatesFound, table: Table) -> Rows:
    rows = tuple(
        (panel_name(table, e.panel), range_text(brief(e.low), brief(e.high)), _common(found, e))
        for e in found.exponents
    )
    return Rows(
        "What the grid allows", (panel_head(table), "b of any picks", "updates in reach at every size"), rows
    )


def _common(found: UpdatesFound, e: Exponent) -> str:
    ends = common_updates(of_panel(found.best_updates, e.panel))
    return "none" if ends is None else range_text(*(f"{v:,.0f}" for v in ends))


def _best(found: UpdatesFound, table: Table) -> Rows:
    rows = tuple(
        (
            *(
                panel_name(table, x.panel),
                row_name(table, x.condition),
                f"{x.per_epoch:,.0f}",
                _updates(x.best),
            ),
            *(range_text(f"{x.shortest:,.0f}", f"{x.longest:,.0f}"), str(x.best.n)),
        )
        for x in found.best_updates
    )
    columns = (*heads(table)[:2], "updates per epoch", "seeds' picks in updates (95 % interval)", "grid", "n")
    return Rows("The best warmup above none, geometric mean over seeds", columns, rows)


def _updates(e: Estimate) -> str:
    """A number of updates; one that no digit of is known is not written out."""
    inside = limits(e, lambda v: f"{v:,.0f}" if v < 1e6 else "any number")
    return f"{e.mean:,.0f}" + (f" ({inside})" if inside else "")


def _lengths(found: UpdatesFound, table: Table) -> Rows:
    rows = tuple(
        (
            *(panel_name(table, x.panel), row_name(table, x.condition), x.treatment),
            *(f"{x.updates:,.0f}", brief(x.epochs), f"{100 * x.share:.3g} %"),
        )
        for x in found.warmup_lengths
    )
    return Rows("Every setting's warmup", (*heads(table), "updates", "epochs", "share of the run"), rows)


def against(table: Table, found: UpdatesFound, unit: str, panel: str) -> Lines | None:
    """The benefit over no warmup against the warmup in `unit`, a line for each data size; equal warmups are
    averaged."""
    if not of_panel(found.best_updates, panel):
        return None
    u, lines = Units.of(table.study.metric), []
    gains = {(g.condition, g.treatment): g.gain for g in of_panel(found.warmup_gains, panel)}
    for k, condition in enumerate(table.conditions.labels):
        some = [
            x for x in of_panel(found.warmup_lengths, panel) if x.condition == condition and x.updates > 0
        ]
        points: dict[float, list[float]] = {}
        for x in sorted(some, key=lambda x: float(x.updates)):
            if (gain := gains.get((condition, x.treatment))) is not None:
                points.setdefault(round(getattr(x, unit), 9), []).append(gain * u.scale)
        if points:
            lines.append(
                Line(
                    row_name(table, condition),
                    -1 - k,
                    tuple(points),
                    tuple(sum(y) / len(y) for y in points.values()),
                )
            )
    label = u.difference_label(base_of(table))
    return Lines(f"warmup ({unit})", label, tuple(lines), log="x", markers=True, zero=0.0) if lines else None


def best_updates(table: Table, found: UpdatesFound, panel: str) -> Lines | None:
    """The best warmup in updates against the data size, between the shortest and the longest of the grid."""
    mine = of_panel(found.best_updates, panel)
    if not mine:
        return None
    x = tuple(float(m.condition) for m in mine)
    band: tuple[tuple[float, ...], ...] = ()
    if all(m.best.lo is not None for m in mine):
        ends = [m.best.lo for m in mine], [m.best.hi for m in mine]
        band = tuple(
            tuple(min(max(v, m.shortest), m.longest) for v, m in zip(some, mine, strict=True))
            for some in ends
        )
    lines = (
        Line("best of the seeds", -1, x, tuple(m.best.mean for m in mine), *band),
        Line("shortest of the grid", -3, x, tuple(m.shortest for m in mine)),
        Line("longest of the grid", -5, x, tuple(m.longest for m in mine)),
    )
    return Lines(row_label(table), "warmup (updates)", lines, ticks=tuple(sorted(x)), log="xy", markers=True)
