"""The page's sections: a heading, a line or two, figures, and the same numbers as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from preheat.analysis import words
from preheat.analysis.answer import decidable, described
from preheat.analysis.findings import Estimate, Findings
from preheat.analysis.words import Units
from preheat.report.cards import verdict
from preheat.report.figdata import base_name, row_name
from preheat.report.parts import Section, Table, figures_of, heads, number
from preheat.report.plates import LEVEL_OF_SETS, Drawn
from preheat.report.regimes import regime_sections
from preheat.report.stability import edge, untrained


def sections(f: Findings, drawn: Sequence[Drawn]) -> Mapping[str, Section]:
    """The sections that are figures and tables, by their place in the page."""
    made = (
        edge(f, drawn),
        _metric(f, drawn),
        _benefit(f, drawn),
        _best(f, drawn),
        _inside(f, drawn),
        _rule(f, drawn),
    )
    return {s.id: s for s in (*made, *_plain(f, drawn), *regime_sections(f, drawn))}


def _estimate(e: Estimate | None, u: Units) -> str:
    """A level with its interval."""
    if e is None:
        return words.NONE
    return u.value(e.mean) + (
        f" ({words.range_text(u.number(e.lo), u.number(e.hi))})" if e.lo is not None else ""
    )


def difference(e: Estimate, u: Units) -> str:
    """A difference with its interval."""
    text = (
        f" ({words.range_text(u.number(e.lo, sign=True), u.number(e.hi, sign=True))})"
        if e.lo is not None
        else ""
    )
    return u.difference(e.mean) + text


def _metric(f: Findings, drawn: Sequence[Drawn]) -> Section:
    u = Units.of(f.metric)
    axes = tuple(words.human(a) for a in (f.condition, f.treatment) if a)
    title = f"{words.human(f.metric).capitalize()} by {words.listed(axes)}"
    if not f.cells:
        return Section(
            "metric",
            title,
            "",
            missing="no record has this metric." if f.counts.done else "no run has a result yet.",
        )
    at = f" at the {words.human(f.nuisance)} chosen for it" if f.nuisance else ""
    ns = sorted({c.estimate.n for c in f.cells})
    seeds = words.count(ns[-1], "seed") if len(ns) == 1 else f"{ns[0]} to {ns[-1]} seeds"
    lead = f"Each cell is one setting{at}, judged on {seeds} (n = {words.listed(tuple(ns))}). {_goal(f)}"
    chosen = tuple(dict.fromkeys(k for c in f.cells for k in c.chosen))
    rows = tuple(
        (
            words.named(c.panel),
            row_name(c.condition),
            c.treatment,
            _estimate(c.estimate, u),
            str(c.estimate.n),
            *(c.chosen.get(k, "") for k in chosen),
        )
        for c in f.cells
    )
    columns = (
        *heads(f),
        f"{words.human(f.metric)} (95 % interval)",
        "n",
        *(f"chosen {words.human(k)}" for k in chosen),
    )
    return Section("metric", title, lead, figures_of(drawn, "metric"), (Table("Every cell", columns, rows),))


def _goal(f: Findings) -> str:
    return "Higher is better." if f.goal == "max" else "Lower is better."


def _benefit(f: Findings, drawn: Sequence[Drawn]) -> Section:
    u = Units.of(f.metric)
    base = base_name(f)
    title = f"Benefit over {base}"
    if not f.effects:
        return Section(
            "benefit",
            "Benefit over the baseline",
            "",
            missing="there is nothing to compare: one treatment, or no seed with both.",
        )
    lead = f"{tally(f)} Differences are paired by seed; p is corrected (Holm). {_goal(f)}"
    rows = tuple(
        (
            words.named(e.panel),
            row_name(e.condition),
            e.treatment,
            difference(e.estimate, u),
            words.p_text(e.p_adjusted),
            str(e.estimate.n),
            verdict(e.verdict, e.more_seeds),
        )
        for e in f.effects
    )
    columns = (*heads(f), f"minus {base} (95 % interval)", "p, corrected", "n", "verdict")
    return Section(
        "benefit", title, lead, figures_of(drawn, "benefit"), (Table("Every comparison", columns, rows),)
    )


def tally(f: Findings) -> str:
    """How the comparisons came out, in a sentence."""
    judged = decidable(f.effects)
    more = described(f.effects)
    if not judged:
        return f"Of {words.count(len(f.effects), 'comparison')} none is of two seeds or more: they are described only."
    counts = {
        v: sum(e.verdict == v for e in judged) for v in ("better", "worse", "equivalent", "not decided")
    }
    margin = Units.of(f.metric).margin(f.margin)
    told = (
        f"Of {words.count(len(judged), 'comparison')}{' of two seeds or more' if more else ''} "
        f"{counts['better']} are better, "
        f"{counts['worse']} worse, {counts['equivalent']} equivalent within {margin}, "
        f"{counts['not decided']} not decided."
    )
    return " ".join([told, *more])


def _best(f: Findings, drawn: Sequence[Drawn]) -> Section:
    title = f"Which {words.human(f.treatment)} to use"
    if not f.best:
        return Section("best", title, "", missing="too few seeds or treatments to name a best set.")
    lead = (
        f"Any member of a set is a sound choice: the data do not tell them apart ({LEVEL_OF_SETS}). "
        "A set of all says that nothing was shown to matter here."
    )
    if not f.choosing:
        lead += " No seed chose beforehand: the highest mean is the highest on the test set, and no result by itself."
    rows = tuple(
        (words.named(b.panel), row_name(b.condition), ", ".join(b.members), b.leader, str(b.n))
        for b in f.best
    )
    head = heads(f)
    return Section(
        "best",
        title,
        lead,
        figures_of(drawn, "best"),
        (Table("Best sets", (*head[:2], "can't be told apart", "highest mean", "n"), rows),),
    )


def _inside(f: Findings, drawn: Sequence[Drawn]) -> Section:
    u = Units.of(f.metric)
    title = "Inside the edge: how little it matters"
    if not f.inside:
        return Section(
            "inside",
            "Inside the edge",
            "",
            missing="no numeric setting was varied, or at no value did every treatment train.",
        )
    same = sum(i.equivalent for i in f.inside)
    title = title if same * 2 > len(f.inside) else "Inside the edge"
    rate = words.human(f.nuisance)
    at = (
        f"Compared at the highest {rate} of the grid that is at most half of the highest at which every run "
        "trained (at that one "
        "where there is none so low)"
    )
    lead = (
        f"{at if rate else 'Compared where every run trained'}: all treatments are shown to be equivalent "
        "within "
        f"{u.margin(f.margin)} in {same} of {words.count(len(f.inside), 'setting')}."
    )
    single = sum(i.widest is not None and i.widest.n < 2 for i in f.inside)
    lead += f" {words.count(single, 'setting')} of one seed can't show it." if single else ""
    rows = tuple(
        (
            words.named(i.panel),
            row_name(i.condition),
            words.plain(i.value)
            + (" (above half of the edge)" if i.value is not None and not i.well else ""),
            difference(i.widest, u) if i.widest else words.NONE,
            u.difference(i.seed_sd, sign=False),
            "yes" if i.equivalent else "not shown",
            i.text,
        )
        for i in f.inside
    )
    columns = (
        *heads(f)[:2],
        rate,
        "widest difference (95 % interval)",
        "sd over seeds",
        "equivalent",
        "in words",
    )
    return Section(
        "inside",
        title,
        lead,
        figures_of(drawn, "inside"),
        (Table("Treatments inside the edge", columns, rows),),
    )


def _rule(f: Findings, drawn: Sequence[Drawn]) -> Section:
    title = "A rule, and what it is worth"
    if not f.rules:
        return Section(
            "rule",
            title,
            "",
            missing="a rule is fitted where there are three numeric conditions or more, with results.",
        )
    u = Units.of(f.metric)
    lead = "\n".join(r.text for r in f.rules)
    what, over = words.human(f.treatment), words.human(f.condition)
    fit = tuple((words.named(r.panel), number(r.intercept), number(r.slope), str(r.slope.n)) for r in f.rules)
    scores = tuple(
        (
            words.named(r.panel),
            s.name,
            s.formula,
            difference(s.regret, u),
            str(s.regret.n),
            ", ".join(f"{k}: {words.plain(v)}" for k, v in s.picks.items()),
        )
        for r in f.rules
        for s in r.scores
    )
    tables = (
        Table(f"{what} = a + b log2({over}), 95 % intervals", ("panel", "a", "b", "n"), fit, folded=False),
        Table(
            f"Rules on held-out conditions; picks are for each {over}",
            ("panel", "rule", "formula", "shortfall", "n", "picks"),
            scores,
        ),
    )
    return Section("rule", title, lead, figures_of(drawn, "rule"), tables)


def _plain(f: Findings, drawn: Sequence[Drawn]) -> tuple[Section, ...]:
    """The sections that are only figures."""
    plan = (
        (
            "curves",
            "Training curves",
            "At the chosen settings.",
            figures_of(drawn, "curves"),
            "no curve was kept.",
        ),
        (
            "rates",
            "Learning rates",
            "What each treatment asks for.",
            figures_of(drawn, "rates"),
            "no schedule was kept.",
        ),
    )
    simple = tuple(
        Section(i, title, lead if g else "", g, (), "" if g else why) for i, title, lead, g, why in plan
    )
    return (*simple, untrained(f, drawn))
