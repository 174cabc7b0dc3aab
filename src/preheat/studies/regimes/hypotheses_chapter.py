"""The study's four hypotheses as cards, and the rule for the length of the warmup."""

from __future__ import annotations

import math
from dataclasses import dataclass

from preheat.analysis.naming import panel_head, panel_name
from preheat.analysis.table import Table
from preheat.analysis.words import Units, brief, human
from preheat.core.registry import CHAPTERS
from preheat.report.chapter import Chapter, Rows, Say, Seen, Shown, verdict
from preheat.report.chapters.common import difference_text, dot, number
from preheat.report.chapters.main import CORRECTED, seen
from preheat.report.drawing.shapes import Dots
from preheat.report.plates import Plate, file_name, shared
from preheat.stats.claims import Claim, Judged, Verdict, Verdicts
from preheat.studies.regimes.hypotheses import OPPOSITES, hypotheses
from preheat.studies.regimes.hypothesis import Hypothesis, card
from preheat.studies.regimes.rules import ALWAYS, ORIGINAL, FittedRule, rules


@dataclass(frozen=True)
class HypothesesFound:
    """H1 to H4."""

    hypotheses: tuple[Hypothesis, ...]
    claims: tuple[Claim, ...]


@CHAPTERS.register("hypotheses")
@dataclass(frozen=True)
class HypothesesChapter(Chapter):
    """The four hypotheses on warmup and data size, each with its effect, its interval and a verdict."""

    def find(self, table: Table, seen: Seen) -> HypothesesFound | None:
        made = hypotheses(table.claimed)
        if not made:
            return None
        return HypothesesFound(tuple(t.hypothesis for t in made), tuple(t.claim for t in made))

    def show(self, found: HypothesesFound, verdicts: Verdicts, table: Table) -> Shown:
        cards = tuple(card(h, verdicts, table) for h in found.hypotheses)
        says = tuple(Say(text, 3) for h in found.hypotheses if (text := _said(verdicts[h.claim], h)))
        return Shown("Hypotheses", "Those of the paper, as primary claims.", says=says, cards=cards)


def _said(v: Judged, h: Hypothesis) -> str:
    """A hypothesis for the answer, where one way is shown."""
    if not v.primary or not v.differs:
        return ""
    return h.statement if v.verdict is Verdict.SUPPORTED else OPPOSITES[h.code]


@dataclass(frozen=True)
class Rules:
    """The fitted rule of each panel."""

    rules: tuple[FittedRule, ...]
    claims: tuple[Claim, ...]


@CHAPTERS.register("rule")
@dataclass(frozen=True)
class RuleChapter(Chapter):
    """warmup = a + b log2(examples per class), and what rules gain on data sizes that they have not seen."""

    def find(self, table: Table, seen: Seen) -> Rules | None:
        made, claims = rules(table.claimed)
        return Rules(made, tuple(claims)) if made else None

    def show(self, found: Rules, verdicts: Verdicts, table: Table) -> Shown:
        what, over = human(table.study.treatment), human(table.study.condition)
        fit = tuple(
            (panel_name(table, r.panel), number(r.intercept), number(r.slope), str(r.slope.n))
            for r in found.rules
        )
        tables = (
            Rows(
                f"{what} = a + b log2({over}), 95 % intervals",
                (panel_head(table), "a", "b", "n"),
                fit,
                folded=False,
            ),
            _scores(found, verdicts, table),
            Rows(
                f"What they pick for each {over}, and the shortfall to what other seeds like best (95 % "
                "interval)",
                (panel_head(table), "rule", "picks", "shortfall"),
                _picks(found, table),
            ),
        )
        lead = (
            f"Rules are compared with {ALWAYS} of the run and with the original's, paired by seed, on sizes "
            "left out of the fit (exploratory). Whether b is above 0 is H2."
        )
        if any(r.beyond for r in found.rules):
            lead += " Some fitted warmups lay outside the grid and were cut to its ends."
        return Shown(
            "A rule, and what it is worth",
            lead,
            plates=_plates(found, verdicts, table),
            tables=tables,
            short="Rule",
        )


def _scores(found: Rules, verdicts: Verdicts, table: Table) -> Rows:
    u, out = Units.of(table.study.metric), []
    for r in found.rules:
        for s in r.scores:
            told = [verdicts.get(f"rules/{r.panel}/{s.name}/{other}") for other in (ALWAYS, ORIGINAL)]
            texts = [
                ("", "") if v is None else (difference_text(seen(table, v), u), verdict(v)) for v in told
            ]
            out.append((panel_name(table, r.panel), s.name, s.formula, *texts[0], *texts[1], str(s.regret.n)))
    compared = f"minus {ALWAYS}", "verdict", "minus the original rule", "verdict"
    columns = (panel_head(table), "rule", "formula", *compared, "n")
    return Rows("Rules on sizes that the fit has not seen", columns, tuple(out))


def _picks(found: Rules, table: Table) -> tuple[tuple[str, ...], ...]:
    u = Units.of(table.study.metric)
    return tuple(
        (
            *(panel_name(table, r.panel), s.name),
            ", ".join(f"{k}: {brief(v)}" for k, v in s.picks.items()),
            difference_text(s.regret, u),
        )
        for r in found.rules
        for s in r.scores
    )


def _plates(found: Rules, verdicts: Verdicts, table: Table) -> tuple[Plate, ...]:
    """What each rule gains over the plain one on conditions that the fit has not seen."""
    u = Units.of(table.study.metric)
    label = f"difference in {human(table.study.metric)} from {ALWAYS}" + (f" ({u.step})" if u.step else "")
    made = []
    for r in found.rules:
        known = [(s, verdicts.get(f"rules/{r.panel}/{s.name}/{ALWAYS}")) for s in r.scores]
        dots = tuple(
            dot(s.name, (s.name, -1), seen(table, v), scale=u.scale, v=v)
            for s, v in known
            if v is not None and math.isfinite(v.effect.mean)
        )
        if dots:
            rows = tuple(d.row for d in dots)
            made.append((r.panel, Dots(rows, "", label, dots, band=table.study.margin * u.scale)))
    caption = f"{CORRECTED} Grey band: the margin."
    return tuple(
        Plate("", file_name("rule", p), panel_name(table, p), caption, d)
        for (p, _), d in zip(made, shared([d for _, d in made]), strict=True)
    )
