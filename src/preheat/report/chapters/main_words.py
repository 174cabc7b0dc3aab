"""The answer of a study that compares treatments, from the primary verdicts: what to do, then why.

Every sentence is tried in full and then shorter, until it has at most 25 words; what does not fit in any form
is left to the figures.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from preheat.analysis.naming import base_of, choices, rate_of
from preheat.analysis.table import Table
from preheat.analysis.words import GAP, Units, brief, capital, human, level
from preheat.core.words import listed
from preheat.report.chapter import Say
from preheat.report.chapters.main_names import Pairs, joined, phrase
from preheat.stats.claims import Judged, Verdict, Verdicts

MOST_WORDS = 25
RATED = "over_rates_at"  # the family of the comparisons over all rates at one condition
Group = list[Judged]


class Primary(NamedTuple):
    """The primary verdicts of one measure. whole: every comparison of the study has one."""

    some: Group
    whole: bool

    def of(self, kind: Verdict) -> Pairs:
        """{(panel, treatment): verdict} of one kind."""
        return {(v.at[0], v.at[2]): v for v in self.some if v.verdict is kind}

    @property
    def alike(self) -> bool:
        """Whether every comparison is shown to be too small to matter."""
        return self.whole and all(v.verdict is Verdict.SAME for v in self.some)


def answer(table: Table, verdicts: Verdicts) -> tuple[Say, ...]:
    """What to do, how tuned settings compare, and what a treatment does where the rate is not tuned."""
    tuned, rated, edge = (_of(table, verdicts, name) for name in ("tuned", "over_rates", "edge"))
    if not tuned.some:
        said = [_edge(table, edge)]
        if not said[0]:
            claimed = any(n.startswith("tuned/") for n in verdicts)
            end = "are exploratory in this study" if claimed else "have no result yet"
            said.append(f"The comparisons with {base_of(table)} {end}.")
    elif not any(v.effect.n > 1 and not v.why for v in tuned.some):
        return _described(table, tuned.some)
    else:
        uneven = _uneven(table, rated, verdicts)
        said = [
            _noun(table, _advice(table, tuned, None if uneven else rated, edge)),
            _noun(table, uneven),
            _tuned(table, tuned),
            _untuned(table, tuned, rated),
            _edge(table, edge),
        ]
    return tuple(Say(text, 2 * rank) for rank, text in enumerate(said) if text)


def _of(table: Table, verdicts: Verdicts, measure: str) -> Primary:
    """Those of the claimed panels, in order, that are primary."""
    there, some, base = np.asarray(table.planned.any(axis=(1, 3))), [], table.base
    whole = True
    for p, panel in enumerate(table.panels.labels):
        for t, treatment in enumerate(table.treatments.labels):
            v = verdicts.get(f"{measure}/{panel}/{treatment}")
            if v is not None and v.primary:
                some.append(v)
            elif t != base and there[p, t]:
                whole = False
    return Primary(some, whole and bool(some))


def _fitting(*tried: str) -> str:
    """The first that is a sentence of a readable length; empty where none is."""
    return next((text for text in tried if text and len(text.split()) <= MOST_WORDS), "")


def _described(table: Table, tuned: Group) -> tuple[Say, ...]:
    """Where nothing is tested: what was seen, and why it is no conclusion."""
    u, base = Units.of(table.study.metric), base_of(table)
    known = sorted(table.sign * v.effect.mean for v in tuned if v.effect.n)
    if not known:
        return (Say(f"No comparison with {base} has a result.", 0),)
    ends = list(dict.fromkeys(u.difference(x) for x in (known[0], known[-1])))
    by = " to ".join([*(e.partition(GAP)[0] for e in ends[:-1]), ends[-1]])
    what = f"test {human(table.study.metric)} differed by {by}"
    one = max(v.effect.n for v in tuned) == 1
    why = next((v.why for v in tuned if v.why), "")
    end = "One seed is a description, not a conclusion." if one else f"Nothing is concluded: {why}."
    seen = _fitting(f"Compared with {base}, {what}.", f"Compared with the baseline, {what}.")
    return tuple(Say(text, rank) for rank, text in enumerate((seen, _fitting(end))) if text)


# What to do


def _noun(table: Table, text: str) -> str:
    """Lengths say of what they are, unless the sentence does: 3 epochs of warmup."""
    what = human(table.study.treatment)
    if not table.lengths or what in text:
        return text
    return _fitting(re.sub(r"\b(epochs?|steps?)\b", rf"\1 of {what}", text, count=1), text)


def _uneven(table: Table, rated: Primary, verdicts: Verdicts) -> str:
    """Where a gain over all rates is an average that does not hold at every condition, at which it is
    shown."""
    gains, rate = rated.of(Verdict.SUPPORTED), rate_of(table) if table.tuned else ""
    names, what = phrase(table, gains, word="or"), human(table.study.condition)
    at = {
        c: [v for p, t in gains if (v := verdicts.get(f"{RATED}/{p}/{c}/{t}")) and v.effect.n]
        for c in table.conditions.labels
    }
    if not names or not rate or all(v.effect.mean > 0 for some in at.values() for v in some):
        return ""
    shown = [c for c, some in at.items() if some and all(v.verdict is Verdict.SUPPORTED for v in some)]
    if not shown:
        return _fitting(f"If you can't tune it, {names} gained on average, but not at every {what}.")
    where = f"at {listed(shown, 'or')} {what}"
    return _fitting(
        f"If you can't tune it, use {names} {where}; elsewhere no gain is shown.",
        f"If you can't tune it, use {names} {where}.",
        f"If you can't tune it, use {names} in {len(shown)} of {len(at)} cases of {what}.",
    )


def _advice(table: Table, tuned: Primary, rated: Primary | None, edge: Primary) -> str:
    """What to do. rated: None where the gains over all rates have a sentence of their own."""
    rate, what = rate_of(table) if table.tuned else "", choices(table)
    better, worse = tuned.of(Verdict.SUPPORTED), tuned.of(Verdict.OPPOSITE)
    if better or worse:
        return _use(table, better, worse, rated or Primary([], whole=False))
    over = edge if rated is not None and not rated.some else rated or Primary([], whole=False)
    gains, losses = over.of(Verdict.SUPPORTED), over.of(Verdict.OPPOSITE)
    safe = phrase(table, {at: v for at, v in gains.items() if at not in losses}, word="or") if rate else ""
    risky = phrase(table, losses, word="or") if rate and not safe else ""
    then = (f"use {safe}" if safe else "") or (f"avoid {risky}" if risky else "")
    if tuned.alike and rate:
        none = " or none" if table.lengths else ""
        alone = f"If you tune the {rate}, any {what}{none} will do"
        if not table.lengths:
            alone = f"Any {what} will do if you tune the {rate}"
        return _fitting(f"{alone}; if you can't, {then}." if then else "", f"{alone}.")
    if tuned.alike:
        return f"Any {what} will do."
    if then:
        told = f"{capital(then)} if you can't tune the {rate}"
        return _fitting(f"{told}; if you can, these runs don't decide.", f"{told}.")
    return f"These runs do not decide which {what} to use."


def _use(table: Table, better: Pairs, worse: Pairs, rated: Primary) -> str:
    """Treatments that are shown to be better than the baseline, or worse."""
    base, n = base_of(table), len(table.panels)
    sure = rated.of(Verdict.SUPPORTED)
    alone = bool(rated.some) and not all(at in sure for at in better)
    when = f", if you tune the {rate_of(table)}" if alone else ""
    use, avoid = phrase(table, better, word="or"), phrase(table, worse, word="or")
    counted = _counted(table, len(better), len(worse))
    if not better and len(worse) == (len(table.treatments) - 1) * n:
        return _fitting(f"Use {base}{when}.", counted)
    if not better:
        return _fitting(f"Avoid {avoid}." if avoid else "", counted)
    if not use:
        return counted
    also = f"; avoid {avoid}" if avoid else ""
    return _fitting(
        f"Use {use} rather than {base}{when}{also}.",
        f"Use {use} rather than {base}{when}." if not worse or avoid else "",
        f"Use {use}{when}.",
        counted,
    )


def _counted(table: Table, better: int, worse: int) -> str:
    """Where no choice holds in general."""
    told = [f"{n} were {word}" for n, word in ((better, "better"), (worse, "worse")) if n]
    what = human(table.study.treatment)
    return _fitting(
        f"Choose the {what} case by case: of the comparisons with {base_of(table)}, {listed(told)}.",
        f"Choose the {what} case by case: of the comparisons, {listed(told)}.",
        f"Choose case by case: {listed(told)}.",
    )


# Why


def _at_tuned(table: Table) -> str:
    return f"At a tuned {rate_of(table)}, " if table.tuned else ""


def _tuned(table: Table, tuned: Primary) -> str:
    """How settings compare at a tuned rate."""
    at, size = _at_tuned(table), _margin(table)
    better, worse, same = (tuned.of(k) for k in (Verdict.SUPPORTED, Verdict.OPPOSITE, Verdict.SAME))
    if tuned.alike:
        head = f"{at}the {choices(table)} made no difference of {size} or more"
        return _fitting(f"{head}{_each(table)}.", f"{head}.")
    if better or worse:
        return _changes(table, better, worse, at, lost=_lost(table, better | worse))
    if not same:
        return _fitting(f"{at}no difference is shown, and none of {size} is excluded.")
    told = f"one of {size} is excluded in {len(same)} of {len(tuned.some)} comparisons"
    return _fitting(f"{at}no difference is shown; {told}.")


def _margin(table: Table) -> str:
    """The smallest difference that matters: 1 point, 0.1 in loss."""
    u = Units.of(table.study.metric)
    return u.margin(table.study.margin) + ("" if u.step else f" in {human(table.study.metric)}")


def _each(table: Table) -> str:
    """, with SGD or AdamW."""
    n = len(table.panels)
    if n < 2:
        return ""
    return f", {joined(table, table.panels.labels, 'or')}" if n == 2 else f", in any of {n} cases"


def _changes(table: Table, better: Pairs, worse: Pairs, at: str, *, lost: str = "") -> str:
    """5 to 20 epochs with AdamW raised accuracy by 3.3 to 5.4 points, 1 epoch lowered it by 0.3."""
    up, down = ("raised", "lowered") if table.sign > 0 else ("lowered", "raised")
    what = human(table.study.metric)
    told = [
        (names, f"{does} {{}} by {_sizes(table, pairs)}")
        for pairs, does in ((better, up), (worse, down))
        if pairs and (names := phrase(table, pairs))
    ]
    texts = [f"{names} {does.format('it' if i else what)}" for i, (names, does) in enumerate(told)]
    return _fitting(f"{at}{', '.join(texts)}{lost}.", f"{at}{texts[0]}{lost}.") if texts else ""


def _lost(table: Table, pairs: Pairs) -> str:
    """; 8 of 40 of these runs failed. Empty where none did: a failed run counts as chance, and moves a mean
    far."""
    panels, labels = table.panels.labels, table.treatments.labels
    done = [table.finished[panels.index(p), :, labels.index(t)] for p, t in pairs]
    known = np.concatenate([x[np.isfinite(x)] for x in done])
    failed = int((known != 1).sum())
    return f"; {failed} of these {len(known)} runs failed" if failed else ""


def _sizes(table: Table, pairs: Pairs) -> str:
    """3.3 to 5.4 points."""
    u = Units.of(table.study.metric)
    means = sorted(abs(v.effect.mean) for v in pairs.values())
    texts = list(dict.fromkeys(_size(u, x) for x in (means[0], means[-1])))
    return " to ".join([*(t.partition(GAP)[0] for t in texts[:-1]), texts[-1]])


def _size(u: Units, x: float) -> str:
    """A difference without its sign; a small one by its first digit."""
    if float(u.number(x)):
        return u.difference(x, sign=False)
    return brief(x * u.scale, 1) + (f"{GAP}{u.step}" if u.step else "")


def _untuned(table: Table, tuned: Primary, rated: Primary) -> str:
    """What a treatment does to the mean over the rates."""
    at = f"Averaged over all {rate_of(table)}s tried, "
    better, worse = rated.of(Verdict.SUPPORTED), rated.of(Verdict.OPPOSITE)
    if better or worse:
        return _changes(table, better, worse, at)
    if rated.alike:
        also = " either" if tuned.alike else ""
        return _fitting(f"{at}the {choices(table)} made no difference of {_margin(table)}{also}.")
    return ""


def _edge(table: Table, edge: Primary) -> str:
    """How far a treatment moves the edge."""
    for kind, does in ((Verdict.SUPPORTED, "raised"), (Verdict.OPPOSITE, "lowered")):
        pairs = edge.of(kind)
        if names := phrase(table, pairs):
            head = f"{names} {does} the highest usable {rate_of(table)}"
            return _fitting(f"{head} to {_factors(pairs)} times that with {base_of(table)}.", f"{head}.")
    return ""


def _factors(pairs: Pairs) -> str:
    """1.2 to at least 3.1."""
    ends = sorted((v.effect for v in pairs.values()), key=lambda e: e.mean)
    texts = [level(e, f"{e.mean:.0f}" if e.mean >= 99.5 else brief(e.mean, 2)) for e in (ends[0], ends[-1])]
    return " to ".join(dict.fromkeys(texts))
