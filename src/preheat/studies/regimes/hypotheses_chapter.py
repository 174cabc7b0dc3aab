"""The study's four hypotheses as cards, and the rule for the length of the warmup."""

from __future__ import annotations

import math
from dataclasses import dataclass

from preheat.analysis.naming import panel_name
from preheat.analysis.table import Table
from preheat.analysis.words import GAP, Units, brief, human, p_text
from preheat.core.registry import CHAPTERS
from preheat.report.chapter import Chapter, ClaimCard, Rows, Seen, Shown, verdict
from preheat.report.chapters.common import difference_text, dot, number
from preheat.report.drawing.shapes import Dots
from preheat.report.plates import Plate, file_name, shared
from preheat.studies.regimes.hypotheses import hypotheses
from preheat.studies.regimes.rules import FittedRule, rules
from preheat.studies.regimes.verdicts import Hypothesis

MARKS = {"supported": "\N{CHECK MARK}", "contradicted": "\N{BALLOT X}", "not decided": "?"}


def card(h: Hypothesis, u: Units, *, p_of: str = "") -> ClaimCard:
    """A hypothesis with its effect and p in one line, as it would be cited. p_of: what the p is of, where
    that is not the effect alone."""
    effect = "no estimate" if h.effect is None else u.estimate(h.effect, h.unit)
    p = f"{p_text(h.p)} {p_of}".strip() if p_text(h.p) else ""
    parts = [effect, f"n{GAP}={GAP}{h.effect.n}" if h.effect else ""]
    parts.insert(len(parts) if p_of else 1, p)
    said = verdict(h.verdict, h.more_seeds)
    cited = ", ".join(p for p in parts if p)
    return ClaimCard(
        h.code, h.statement, h.verdict.replace(" ", "-"), MARKS[h.verdict], said, cited, h.how, h.text
    )


@dataclass(frozen=True)
class HypothesesFound:
    """H1 to H4."""

    hypotheses: tuple[Hypothesis, ...]


@CHAPTERS.register("hypotheses")
@dataclass(frozen=True)
class HypothesesChapter(Chapter):
    """The four hypotheses on warmup and data size, each with its effect, its interval and a verdict."""

    def find(self, table: Table, seen: Seen) -> HypothesesFound | None:
        made = hypotheses(table.claimed)
        return HypothesesFound(made) if made else None

    def show(self, found: HypothesesFound, table: Table) -> Shown:
        u = Units.of(table.study.metric)
        return Shown("Hypotheses", cards=tuple(card(h, u) for h in found.hypotheses))


@dataclass(frozen=True)
class Rules:
    """The fitted rule of each panel."""

    rules: tuple[FittedRule, ...]


@CHAPTERS.register("rule")
@dataclass(frozen=True)
class RuleChapter(Chapter):
    """warmup = a + b log2(examples per class), and what rules lose on data sizes that they have not seen."""

    def find(self, table: Table, seen: Seen) -> Rules | None:
        made = rules(table.claimed)
        return Rules(made) if made else None

    def show(self, found: Rules, table: Table) -> Shown:
        what, over = human(table.study.treatment), human(table.study.condition)
        fit = tuple(
            (panel_name(table, r.panel), number(r.intercept), number(r.slope), str(r.slope.n))
            for r in found.rules
        )
        columns = ("panel", "rule", "formula", "shortfall", "n", "picks")
        tables = (
            Rows(f"{what} = a + b log2({over}), 95 % intervals", ("panel", "a", "b", "n"), fit, folded=False),
            Rows(f"Rules on held-out conditions; picks are for each {over}", columns, _scores(found, table)),
        )
        lead = "\n".join(r.text for r in found.rules)
        return Shown(
            "A rule, and what it is worth", lead, plates=_plates(found, table), tables=tables, short="Rule"
        )


def _scores(found: Rules, table: Table) -> tuple[tuple[str, ...], ...]:
    u = Units.of(table.study.metric)
    return tuple(
        (
            panel_name(table, r.panel),
            *(s.name, s.formula, difference_text(s.regret, u), str(s.regret.n)),
            ", ".join(f"{k}: {brief(v)}" for k, v in s.picks.items()),
        )
        for r in found.rules
        for s in r.scores
    )


def _plates(found: Rules, table: Table) -> tuple[Plate, ...]:
    """What each rule loses on held-out conditions against the best treatment there."""
    u = Units.of(table.study.metric)
    label = "shortfall to the best treatment" + (f" ({u.step})" if u.step else "")
    made = []
    for r in found.rules:
        scores = [s for s in r.scores if math.isfinite(s.regret.mean)]
        dots = tuple(dot(s.name, s.name, i, s.regret, scale=u.scale) for i, s in enumerate(scores))
        if dots:
            rows = tuple(d.row for d in dots)
            made.append((r.panel, Dots(rows, "", label, dots, band=table.study.margin * u.scale)))
    caption = "Lines: 95 % intervals, on conditions that the fit has not seen. Grey band: the margin."
    return tuple(
        Plate("", file_name("rule", p), panel_name(table, p), caption, d)
        for (p, _), d in zip(made, shared([d for _, d in made]), strict=True)
    )
