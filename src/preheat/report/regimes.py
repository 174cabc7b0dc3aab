"""The page's sections on data regimes: epochs or updates, the two protocols, inside the first epochs."""

from __future__ import annotations

from collections.abc import Sequence

from preheat.analysis import words
from preheat.analysis.findings import Estimate, Findings
from preheat.analysis.words import Units, capital
from preheat.report.cards import card
from preheat.report.parts import Section, Table, figures_of, heads, number
from preheat.report.plates import Drawn
from preheat.report.regimedata import EARLY
from preheat.studies.regimes.findings import Exponent, Milestone, Updates
from preheat.studies.regimes.updates import common_updates

BOTH = "--protocol both"
PLUS_MINUS = "\N{PLUS-MINUS SIGN}"


def regime_sections(f: Findings, drawn: Sequence[Drawn]) -> list[Section]:
    """Those that the study has what they need for."""
    made = (_updates(f, drawn), _protocols(f, drawn), _early(f, drawn))
    return [s for s in made if s is not None]


def _updates(f: Findings, drawn: Sequence[Drawn]) -> Section | None:
    found = f.updates
    if found is None:
        return None
    lead = (
        "A warmup of some epochs holds the fewer updates the fewer the data, so a study in epochs mixes the "
        "two. Here every "
        "warmup is stated in updates. If best updates ~ size^b, b = 0 means that a fixed number of updates "
        "is best, b near 1 a "
        "fixed number of epochs."
    )
    if not found.exponents:
        lead += "\nNothing to estimate: no panel has two sizes with two warmups above none and a judged run of each."
    else:
        lead += (
            "\nRandom choices have an exponent too: about 1 from the same epochs at every size, 0 from the "
            "same numbers of "
            "updates. Noise makes some of each seed's picks random, and so moves b and its interval towards "
            "that exponent: the "
            "interval is of the seeds' picks, not of what is best. So neither is called excluded for an "
            "exponent that random "
            "choices from this grid share."
        )
        lead += "".join(f"\n{capital('; '.join(panels))}: {text}" for text, panels in _said(found).items())
    if f.gaps:
        lead += "\nPanels that selected on the test split are left out of this, since each was run without that too."
    made = (_exponents(found), _grid(found), _best(f, found), _lengths(f, found))
    tables = tuple(t for t in made if t.rows)
    cards = tuple(card(h, Units.of(f.metric)) for h in found.hypotheses)
    return Section("updates", "Epochs or updates", lead, figures_of(drawn, "updates"), tables, cards=cards)


def _said(found: Updates) -> dict[str, list[str]]:
    """What follows in words, with the panels of which it is said."""
    out: dict[str, list[str]] = {}
    for e in found.exponents:
        out.setdefault(e.text, []).append(words.named(e.panel) or "here")
    return out


def _exponents(found: Updates) -> Table:
    rows = tuple(
        (
            words.named(e.panel),
            e.updates,
            e.epochs,
            number(e.b),
            str(e.b.n),
            f"{words.plain(e.chance)} "
            f"({words.range_text(words.plain(e.chance_lo), words.plain(e.chance_hi))})",
            words.plain(e.epochs_b),
            words.p_text(e.p_choices),
        )
        for e in found.exponents
    )
    columns = (
        "panel", "fixed updates", "fixed epochs", "b of the seeds' picks", "n", "b of random choices", "b of fixed epochs",
        "p, warmups differ",
    )  # fmt: skip
    caption = "b of best updates ~ size^b, with 95 % intervals over judging seeds; noise moves it towards b of random choices"
    return Table(caption, columns, rows, folded=False)


def _grid(found: Updates) -> Table:
    rows = tuple(
        (words.named(e.panel), words.range_text(words.plain(e.low), words.plain(e.high)), _common(found, e))
        for e in found.exponents
    )
    return Table("What the grid allows", ("panel", "b of any picks", "updates in reach at every size"), rows)


def _common(found: Updates, e: Exponent) -> str:
    ends = common_updates([x for x in found.favourites if x.panel == e.panel])
    return "none" if ends is None else words.range_text(*(f"{v:,.0f}" for v in ends))


def _best(f: Findings, found: Updates) -> Table:
    rows = tuple(
        (
            words.named(x.panel),
            x.condition,
            f"{x.per_epoch:,.0f}",
            _whole(x.best),
            words.range_text(f"{x.shortest:,.0f}", f"{x.longest:,.0f}"),
            str(x.best.n),
        )
        for x in found.favourites
    )
    columns = (*heads(f)[:2], "updates per epoch", "seeds' picks in updates (95 % interval)", "grid", "n")
    return Table("The best warmup above none, geometric mean over judging seeds", columns, rows)


def _whole(e: Estimate) -> str:
    """A number of updates; one that no digit of is known is not written out."""
    inside = words.limits(e, lambda v: f"{v:,.0f}" if v < 1e6 else "any number")
    return f"{e.mean:,.0f}" + (f" ({inside})" if inside else "")


def _lengths(f: Findings, found: Updates) -> Table:
    rows = tuple(
        (
            words.named(x.panel),
            x.condition,
            x.treatment,
            f"{x.updates:,.0f}",
            words.plain(x.epochs),
            f"{100 * x.share:.3g} %",
        )
        for x in found.lengths
    )
    return Table("Every setting's warmup", (*heads(f), "updates", "epochs", "share of the run"), rows)


def _protocols(f: Findings, drawn: Sequence[Drawn]) -> Section | None:
    if not f.optimism:
        return None
    tested = any(o.selection == "test" for o in f.optimism)
    said = []
    if tested:
        said.append(
            "Runs with selection test follow the seed's protocol: the test split was used for selection, so "
            "the best over the "
            "epochs is no honest test result. The other sections report the value at the end, not the best "
            "over the epochs."
        )
    if f.gaps:
        said.append(
            "Seed's minus honest: the best over the epochs on the test split, minus the test split measured "
            "once at the end of a "
            "run that never saw it, paired by treatment and seed. Its parts: best minus last epoch is what "
            "choosing the epoch "
            f"adds; the rest is the schedule (by epoch, with any warmup a first epoch at rate 0){_images(f)}."
        )
    else:
        other = "honest protocol" if tested else "seed's protocol (best over the epochs on the test split)"
        said.append(
            "Only one protocol was run: best minus last epoch is what choosing the epoch adds. For the "
            f"{other} beside it, and "
            f"the gap between the two, run the study with {BOTH}."
        )
    if any(o.over == "settings" for o in f.optimism):
        said.append(
            "Where one seed was run an interval is over its settings, which share images and initial "
            "weights: it does not say "
            "what another seed would give."
        )
    tables = tuple(t for t in (_gaps(f), _optimism(f)) if t.rows)
    return Section(
        "protocols",
        "Protocols: what choosing on the test split adds",
        "\n".join(said),
        figures_of(drawn, "protocols"),
        tables,
    )


def _images(f: Findings) -> str:
    """What else differs between the protocols: which images, and where there are fewer, how many."""
    whole = [g.condition for g in f.gaps if " / " in g.condition]
    fewer = (
        f"; at {words.listed(list(dict.fromkeys(whole)))} it also has fewer, by those held out"
        if whole
        else ""
    )
    return (
        " and the training images: where the task's validation images come out of its training images the "
        "honest protocol draws "
        f"from what is left, as many but others{fewer}. A task with a validation split of its own, as "
        "PathMNIST, loses none"
    )


def _gaps(f: Findings) -> Table:
    u = Units.of(f.metric)
    rows = tuple(
        (
            words.named(g.panel), g.condition, u.value(g.best), u.value(g.honest),
            *(_difference(u, e) for e in (g.gap, g.optimism, g.rest)), _over(g.gap, g.over), str(g.runs),
        )
        for g in f.gaps
    )  # fmt: skip
    columns = (
        *heads(f)[:2],
        "seed's",
        "honest",
        "seed's minus honest",
        "best minus last epoch",
        "the rest",
        "interval over",
        "runs",
    )
    return Table("The two protocols, with 95 % intervals", columns, rows, folded=False)


def _optimism(f: Findings) -> Table:
    u = Units.of(f.metric)
    rows = tuple(
        (
            words.named(o.panel), o.condition or "all", o.selection, u.value(o.best), u.value(o.last),
            _difference(u, o.optimism), _over(o.optimism, o.over), str(o.runs),
        )
        for o in f.optimism
    )  # fmt: skip
    columns = (
        *heads(f)[:2],
        "split",
        "best over epochs",
        "last epoch",
        "best minus last (95 % interval)",
        "interval over",
        "runs",
    )
    return Table(
        f"Best and last epoch, all {words.human(f.treatment)} lengths of a row together",
        columns,
        rows,
        folded=bool(f.gaps),
    )


def _over(e: Estimate, over: str) -> str:
    return f"{e.n} {over}" if e.n > 1 else words.NONE


def _difference(u: Units, e: Estimate) -> str:
    text = (
        f" ({words.range_text(u.number(e.lo, sign=True), u.number(e.hi, sign=True))})"
        if e.lo is not None
        else ""
    )
    return u.difference(e.mean) + text


def _early(f: Findings, drawn: Sequence[Drawn]) -> Section | None:
    if not f.early:
        return None
    sizes = " at the first, middle and last of the sizes" if len(f.conditions) > 3 else ""
    lead = f"What the probes measured during the first ten epochs, at the chosen settings{sizes}; the table has every setting."
    if any(c.what == "hessian_trace" for c in f.early):
        lead += " The Hessian trace is an estimate from random vectors (Hutchinson); its band is its standard error."
    whats = [w for w in EARLY if any(m.what == w for m in f.milestones)]
    at = {(m.panel, m.condition, m.treatment, m.epoch, m.what): m for m in f.milestones}
    places = dict.fromkeys((m.panel, m.condition, m.treatment, m.epoch) for m in f.milestones)
    rows = tuple(
        (
            words.named(p[0]),
            p[1] or "all",
            p[2],
            words.plain(p[3]),
            *(_measured(at.get((*p, w))) for w in whats),
        )
        for p in places
    )
    caption = f"Means over seeds {PLUS_MINUS} the half width of the figures' band, at epochs 1, 5 and 10"
    tables = (Table(caption, (*heads(f), "epoch", *(EARLY[w] for w in whats)), rows),) if rows else ()
    return Section("early", "Inside the first epochs", lead, figures_of(drawn, "early"), tables)


def _measured(m: Milestone | None) -> str:
    if m is None:
        return words.NONE
    half = (m.hi - m.lo) / 2
    return words.plain(m.mean) + (f" {PLUS_MINUS} {words.plain(half, 2)}" if half > 0 else "")
