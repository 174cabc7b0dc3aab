"""One of the study's hypotheses: its statement, how it is tested, and the claim that is judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from preheat.analysis.effects import places
from preheat.analysis.table import Table
from preheat.analysis.words import GAP, Units, capital, p_text
from preheat.report.chapter import ClaimCard, verdict
from preheat.report.chapters.main import seen
from preheat.stats.claims import Claim, Judged, Place, Verdict, Verdicts, few
from preheat.stats.estimates import ALPHA, Estimate, Moments, interval, p_above, p_different, p_equivalent

MARKS = {
    Verdict.SUPPORTED: "\N{CHECK MARK}",
    Verdict.OPPOSITE: "\N{BALLOT X}",
    Verdict.SAME: "\N{ALMOST EQUAL TO}",
    Verdict.OPEN: "?",
}
NOTHING = Estimate(float("nan"), None, None, 0)
Leads = Sequence[tuple[Moments, ...]]


@dataclass(frozen=True)
class Hypothesis:
    """A hypothesis as "the effect is above 0". claim: the name of its claim; text: what its numbers do not
    say."""

    code: str
    statement: str
    how: str
    claim: str
    text: str = ""


@dataclass(frozen=True)
class LeadClaim(Claim):
    """A claim on the largest over rows of the smallest lead within a row."""

    leads: Leads = field(default=(), repr=False)

    def within(self, level: float) -> Estimate:
        """The effect with the interval that belongs to `some_above` and `none_above`."""
        return lead(self.leads, level) if self.leads else self.effect


@dataclass(frozen=True)
class Tested:
    """A hypothesis with its claim."""

    hypothesis: Hypothesis
    claim: Claim = field(repr=False)


@dataclass(frozen=True)
class Stated:
    """What is stated before anything is tested. family: of its claim; smallest: the smallest effect of
    interest, in `unit`."""

    code: str
    statement: str
    how: str
    family: str
    unit: str
    smallest: float

    @property
    def name(self) -> str:
        """The claim's name."""
        return f"{self.family}/{self.code}"

    def tested(
        self, m: Moments, *, gate: float = 0.0, panel: str = "", text: str = "", why: str = ""
    ) -> Tested:
        """By a t test over seeds. gate: the p of what must hold whichever is claimed, of which the larger one
        counts."""
        p, same = p_different(m), p_equivalent(m, self.smallest)
        ps = None if p is None else max(p, gate), None if same is None else max(same, gate)
        return self.claimed(((m,),) if m.n else (), ps, panel=panel, text=text, why=why)

    def claimed(
        self,
        leads: Leads,
        ps: tuple[float | None, float | None],
        *,
        panel: str = "",
        text: str = "",
        why: str = "",
    ) -> Tested:
        """leads, ps: as a `LeadClaim` has them, ps with p_same."""
        effect = lead(leads) if leads else NOTHING
        claim = LeadClaim(
            *(self.name, self.family, (panel, "", ""), effect, *ps, self.smallest, self.unit),
            leads=leads,
            why=why or few(effect.n),
        )
        return Tested(Hypothesis(self.code, self.statement, self.how, self.name, text), claim)

    def untested(self, why: str) -> Tested:
        """One that the study at hand can't test, and what to run instead."""
        claim = Claim(
            self.name, self.family, ("", "", ""), NOTHING, None, None, self.smallest, self.unit, why=why
        )
        return Tested(Hypothesis(self.code, self.statement, self.how, self.name, capital(why)), claim)

    def peak(self, leads: Leads, *, panel: str = "", text: str = "") -> Tested:
        """That some row has all its leads above 0: an intersection-union test within a row, Bonferroni over
        rows.

        The opposite, that each row has a lead below 0, takes one lead of every row to be shown below:
        Bonferroni within a row, and all rows at once. That the smallest leads are too small to matter takes
        both against the margin: below it in every row, and above minus it in some.
        """
        if any(m.n < 2 for row in leads for m in row):
            return self.claimed(leads, (None, None), panel=panel, text=text)
        p = some_above(leads) if lead(leads).mean > 0 else none_above(leads)
        small = max(none_above(leads, self.smallest), some_above(leads, -self.smallest))
        return self.claimed(leads, (min(1.0, 2 * p), small), panel=panel, text=text)


def lead(leads: Leads, level: float = 1 - ALPHA) -> Estimate:
    """The largest over rows of the smallest lead within a row, with the limits that exclude a null exactly
    where `some_above`, `none_above` do: the lower one is corrected for the number of rows, the upper one for
    the number of leads in a row (Bonferroni)."""
    mean = max(min(m.mean for m in row) for row in leads)
    n = min(m.n for row in leads for m in row)
    if n < 2:
        return Estimate(mean, None, None, n)
    lows = [[_limit(m, "lo", level, len(leads)) for m in row] for row in leads]
    highs = [[_limit(m, "hi", level, len(row)) for m in row] for row in leads]
    lo, hi = (max(min(row) for row in side) for side in (lows, highs))
    return Estimate(mean, lo, hi, n)


def _limit(m: Moments, side: str, level: float, count: int) -> float:
    return float(getattr(interval(m, 1 - (1 - level) / count), side))


def some_above(leads: Leads, null: float = 0.0) -> float:
    """p of "no row has all its leads above `null`": the largest p within a row, times the number of rows."""
    return min(1.0, len(leads) * min(max(_above(m, null) for m in row) for row in leads))


def none_above(leads: Leads, null: float = 0.0) -> float:
    """p of "some row has all its leads above `null`": the smallest p within a row times their number, of all
    rows the largest."""
    below = [[_above(m._replace(mean=-m.mean), -null) for m in row] for row in leads]
    return max(min(1.0, len(row) * min(row)) for row in below)


def _above(m: Moments, null: float) -> float:
    p = p_above(m, null)
    assert p is not None
    return p


def settings_of(table: Table, panel: str = "") -> tuple[Place, ...]:
    """The settings of a panel, of all panels where it is "": on whose runs a claim about it rests."""
    named = [table.labels(at) for at in places(table)]
    return tuple(at for at in named if panel in ("", at[0]))


def card(h: Hypothesis, verdicts: Verdicts, table: Table) -> ClaimCard:
    """A hypothesis with its effect and p in one line, as it would be cited; one in the metric is a difference
    of it."""
    v = verdicts[h.claim]
    effect = "no estimate" if not v.effect.n else _estimate(v, table)
    parts = [effect, p_text(v.p), f"n{GAP}={GAP}{v.effect.n}" if v.effect.n else ""]
    cited = ", ".join(p for p in parts if p)
    state = str(v.verdict).replace(" ", "-")
    return ClaimCard(h.code, h.statement, state, MARKS[v.verdict], _said(h, v), cited, h.how, h.text)


def _said(h: Hypothesis, v: Judged) -> str:
    return str(v.verdict) if v.why and capital(v.why) == h.text else verdict(v)


def _estimate(v: Judged, table: Table) -> str:
    u = Units.of(table.study.metric)
    e = seen(table, v) if v.unit == u.metric else v.effect
    text = u.amount(e.mean, v.unit)
    if e.lo is None or e.hi is None:
        return text
    ends = [u.amount(x, v.unit).partition(GAP)[0] for x in (e.lo, e.hi)]
    return f"{text} ({100 * v.level:.3g} % interval {ends[0]} to {ends[1]})"
