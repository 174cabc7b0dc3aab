"""Every treatment against the baseline, at the nuisance chosen for each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from preheat.analysis.effects import Effect, decidable, effects
from preheat.analysis.naming import base_of, choices, heads, rate_of, row_label
from preheat.analysis.table import Table
from preheat.analysis.words import Units, human, p_text
from preheat.core.registry import CHAPTERS
from preheat.core.words import count, many
from preheat.report.chapter import Chapter, Rows, Seen, Shown, Tile, verdict
from preheat.report.chapters.common import difference_text, of_panel, place, present, treatment_dot
from preheat.report.drawing.shapes import Dots
from preheat.report.plates import by_panel


@dataclass(frozen=True)
class Effects:
    """Every comparison with the baseline, paired by seed."""

    effects: tuple[Effect, ...]


@CHAPTERS.register("benefit")
@dataclass(frozen=True)
class Benefit(Chapter):
    """Every treatment minus the baseline, paired by seed, with what is surely better, worse or equivalent."""

    def find(self, table: Table, seen: Seen) -> Effects | None:
        made = effects(table.claimed)
        return Effects(made) if made else None

    def show(self, found: Effects, table: Table) -> Shown:
        u, base = Units.of(table.study.metric), base_of(table)
        better = "Higher" if table.study.goal == "max" else "Lower"
        lead = (
            f"{tally(table, found.effects)} Differences are paired by seed; p is corrected (Holm). {better} "
            "is better."
        )
        rows = tuple(
            (
                *place(table, e),
                difference_text(e.estimate, u),
                p_text(e.p_adjusted),
                str(e.estimate.n),
                verdict(e.verdict, e.more_seeds),
            )
            for e in found.effects
        )
        columns = (*heads(table), f"minus {base} (95 % interval)", "p, corrected", "n", "verdict")
        margin = u.margin(table.study.margin)
        band = (
            f"Lines: 95 % intervals. Filled: sure after correction. Grey band: within the margin of {margin}."
        )
        return Shown(
            f"Benefit over {base}",
            lead,
            says=tuple(_says(table, found.effects)),
            advice=_advice(table, found.effects),
            plates=by_panel(table, "benefit", lambda panel: _dots(table, found, panel), caption=band),
            tables=(Rows("Every comparison", columns, rows),),
            tiles=(_tile(table, found.effects),),
            short="Benefit",
        )


def _dots(table: Table, found: Effects, panel: str) -> Dots | None:
    """Each treatment minus the baseline with its interval, and the band of the margin."""
    u = Units.of(table.study.metric)
    dots = tuple(
        treatment_dot(table, e, e.estimate, scale=u.scale, filled=e.verdict in ("better", "worse"))
        for e in of_panel(found.effects, panel)
        if math.isfinite(e.estimate.mean)
    )
    band = table.study.margin * u.scale
    label = u.difference_label(base_of(table))
    return Dots(present(table, dots), row_label(table), label, dots, band=band) if dots else None


def _counts(some: Sequence[Effect]) -> dict[str, int]:
    verdicts = ("better", "worse", "equivalent", "not decided")
    return {v: sum(e.verdict == v for e in some) for v in verdicts}


def described(some: Sequence[Effect]) -> list[str]:
    """How many comparisons can't be judged, and why."""
    n = [sum(e.estimate.n == k for e in some) for k in (1, 0)]
    have = ["has" if k == 1 else "have" for k in n]
    said = [f"{n[0]} more {have[0]} one seed: described only."] if n[0] else []
    return said + ([f"{n[1]} more {have[1]} no judged run."] if n[1] else [])


def tally(table: Table, some: Sequence[Effect]) -> str:
    """How the comparisons came out, in a sentence."""
    judged, more = decidable(some), described(some)
    if not judged:
        return f"Of {count(len(some), 'comparison')} none is of two seeds or more: they are described only."
    n, margin = _counts(judged), Units.of(table.study.metric).margin(table.study.margin)
    told = (
        f"Of {count(len(judged), 'comparison')}{' of two seeds or more' if more else ''} {n['better']} are "
        f"better, {n['worse']} worse, {n['equivalent']} equivalent within {margin}, {n['not decided']} not "
        "decided."
    )
    return " ".join([told, *more])


def _tile(table: Table, some: Sequence[Effect]) -> Tile:
    """The comparisons that can be judged, and how many can't."""
    judged = decidable(some)
    if not judged:
        return Tile(
            f"{len(some)}", f"{many(len(some), 'comparison')}, none of two seeds or more: described only"
        )
    at = f", each at its best {rate_of(table)}" if table.study.nuisance else ""
    what = f"the {human(table.study.metric)} is surely better than with {base_of(table)}"
    noun = many(len(judged), "comparison")
    more = "".join(f"; {said.rstrip('.')}" for said in described(some))
    return Tile(f"{_counts(judged)['better']} of {len(judged)}", f"{noun} in which {what}{at}{more}")


def _says(table: Table, some: Sequence[Effect]) -> list[str]:
    """What is left where the nuisance is chosen well for each setting."""
    judged = [e for e in some if e.estimate.n]
    if not judged:
        return [f"no comparison with {base_of(table)} has a judged run."]
    known = decidable(some) or judged
    tuned = f"with the {rate_of(table)} tuned for each setting, " if table.study.nuisance else ""
    span = _span(table, known)
    if table.biased:
        return [f"{tuned}{span}; the same seeds chose it and report, so nothing is concluded."]
    ns = [e.estimate.n for e in known]
    if max(ns) < 2:
        return [f"{tuned}{span} on one judging seed: a description, not a conclusion."]
    seeds = count(max(ns), "seed") if min(ns) == max(ns) else f"{min(ns)} to {max(ns)} seeds"
    seeds += " that did not choose" if table.study.choosing else ""
    return [tuned + _verdicts(table, known), " ".join([f"{span}, on {seeds}.", *described(some)])]


def _span(table: Table, known: Sequence[Effect]) -> str:
    u, what = Units.of(table.study.metric), human(table.study.metric)
    lows, highs = min(e.estimate.mean for e in known), max(e.estimate.mean for e in known)
    if len(known) == 1:
        return f"test {what} differs from that with {base_of(table)} by {u.difference(lows)}"
    ran = f"the mean differences in test {what} from {base_of(table)} run"
    return f"{ran} from {u.number(lows, sign=True)} to {u.difference(highs)}"


def _verdicts(table: Table, known: Sequence[Effect]) -> str:
    n, base = _counts(known), base_of(table)
    margin = Units.of(table.study.metric).margin(table.study.margin)
    if len(known) == 1:
        name, said = known[0].treatment, known[0].verdict
        told = {
            "equivalent": f"{name} is equivalent to {base} within {margin}.",
            "not decided": f"between {name} and {base} neither a difference nor equivalence is shown.",
        }
        return told.get(said, f"{name} is surely {said} than {base}.")
    of = f"of {len(known)} comparisons with {base}"
    either = f"none {of} is surely better or worse"
    if n["better"] + n["worse"]:
        are = "is" if n["better"] == 1 else "are"
        either = f"{of} {n['better']} {are} surely better and {n['worse']} worse"
    return f"{either} ({n['equivalent']} equivalent within {margin}, {n['not decided']} not decided)."


def _advice(table: Table, some: Sequence[Effect]) -> tuple[str, ...]:
    """Whether the choice matters at a tuned nuisance, as far as tests support it."""
    tested = [e for e in some if e.p is not None and e.estimate.lo != e.estimate.hi and not table.biased]
    if not tested or len(table.treatments) < 2:
        return ()
    at = f"at a tuned {rate_of(table)} " if table.study.nuisance else ""
    what, differ = f"the {choices(table)}", sum(e.verdict in ("better", "worse") for e in tested)
    if differ:
        return (f"{at}{what} surely matters in {differ} of {count(len(tested), 'comparison')}",)
    alike = all(e.verdict == "equivalent" for e in decidable(some))
    return (f"{at}{what} hardly matters" if alike else f"{at}{what} was not shown to matter",)
