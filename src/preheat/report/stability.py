"""The sections on the edge of stability, and on the runs that did not train."""

from __future__ import annotations

from collections.abc import Sequence

from preheat.analysis import words
from preheat.analysis.findings import Findings, Pooled
from preheat.report.figdata import base_name, depends, lost_runs, row_name, sure
from preheat.report.parts import Section, Table, figures_of, heads, number
from preheat.report.plates import Drawn


def edge(f: Findings, drawn: Sequence[Drawn]) -> Section:
    """How far each treatment moves the edge."""
    rate = words.human(f.nuisance) or "value"
    title = "The edge of stability: what warmup moves" if "warmup" in f.treatment else "The edge of stability"
    if not f.edges:
        return Section("edge", title, "", missing="no numeric setting was varied, or no run of it is done.")
    lead = f"The edge is the highest {rate} at which training still works. {_moved(f)}"
    lead += " Every run counts, also those that diverged."
    rows = tuple(
        (
            words.named(e.panel),
            row_name(e.condition),
            e.treatment,
            number(e.edge),
            number(e.ratio),
            words.p_text(e.p_adjusted),
            str(e.edge.n),
            str(e.censored),
        )
        for e in f.edges
    )
    columns = (*heads(f), f"edge ({rate})", "times the baseline's", "p, corrected", "seeds", "censored seeds")
    what = "The edge with 95 % intervals. Censored: the seed trained at every value or at none. At least, at most, from, up to: "
    table = Table(
        what + "more than a quarter of the seeds are censored, so only a bound is known.", columns, rows
    )
    return Section("edge", title, lead, figures_of(drawn, "edge"), (*_pooled(f), table))


def _moved(f: Findings) -> str:
    """How many comparisons of each family are sure."""
    singles = [e for e in f.edges if e.ratio is not None]
    parts = [f"in {sum(map(sure, singles))} of {words.count(len(singles), 'comparison')} with {base_name(f)}"]
    if f.pooled and len(f.conditions) > 1:
        first = f"in {sum(map(sure, f.pooled))} of {words.count(len(f.pooled), 'comparison')} over all {values(f)} together"
        parts = [first, f"{parts[0]} at a single one"]
    told = f"It moves surely (p < 0.05, each family corrected for its number by Holm) {' and '.join(parts)}."
    asked = [r for r in f.pooled if r.change_p_adjusted is not None]
    if asked:
        known = f"{sum(map(depends, asked))} of {len(asked)}"
        told += f" That the move depends on the {words.human(f.condition)} is sure in {known}."
    return told


def values(f: Findings) -> str:
    """What the conditions are, in the plural."""
    return (
        "data sizes"
        if "examples" in f.condition or "per_class" in f.condition
        else f"values of {words.human(f.condition)}"
    )


def _pooled(f: Findings) -> tuple[Table, ...]:
    if not f.pooled:
        return ()
    rows = tuple(
        (words.named(p.panel), p.treatment, *_ratio(p), *_change(f, p), str(p.ratio.n)) for p in f.pooled
    )
    more: tuple[str, ...] = ()
    if any(p.change_p_adjusted is not None for p in f.pooled):
        more = (
            *(("per doubling",) if any(p.change for p in f.pooled) else ()),
            "p that it depends, corrected",
        )
    columns = (
        "panel",
        words.human(f.treatment),
        f"edge, times that with {base_name(f)}",
        "p, corrected",
        *more,
        "seeds",
    )
    what = f"All {values(f)} together" if len(f.conditions) > 1 else "The edge"
    what += ": per seed the mean over them, with 95 % intervals"
    what += (
        f"; and how it changes per doubling of {words.human(f.condition)}" if "per doubling" in more else ""
    )
    return (Table(what, columns, rows, folded=False),)


def _ratio(p: Pooled) -> tuple[str, str]:
    return number(p.ratio), words.p_text(p.p_adjusted)


def _change(f: Findings, p: Pooled) -> tuple[str, ...]:
    """How the ratio depends on the condition, in as many columns as the table has for it."""
    if all(q.change_p_adjusted is None for q in f.pooled):
        return ()
    times = (
        (number(p.change, words.TIMES) if p.change else words.NONE,)
        if any(q.change for q in f.pooled)
        else ()
    )
    return (*times, words.p_text(p.change_p_adjusted))


def untrained(f: Findings, drawn: Sequence[Drawn]) -> Section:
    """The share of runs that did not train, and how many of them diverged."""
    title = "Runs that did not train" if f.edges else "Diverged runs"
    found = lost_runs(f)
    if not found:
        return Section("untrained", title, "", missing="no run was counted.")
    lost, gone, runs = (sum(n[i] for n in found.values()) for i in range(3))
    kept = "Such a run is never left out; a diverged one scores as a model that learnt nothing."
    lead = f"{gone:,} of {words.count(runs, 'run')} diverged. {kept}"
    if f.edges:
        lead = (
            f"{lost:,} of {words.count(runs, 'run')} did not train: {gone:,} diverged (a value that is not "
            "finite), "
            f"{lost - gone:,} finished below halfway from chance to the best mean {words.human(f.metric)} of "
            f"their data. {kept}"
        )
    rows = tuple(
        (words.named(p), row_name(c), t, str(n[2]), str(n[0]), str(n[1]), f"{100 * n[0] / n[2]:.0f} %")
        for (p, c, t), n in found.items()
    )
    columns = (*heads(f), "runs", "did not train", "of these diverged", "share that did not train")
    return Section(
        "untrained", title, lead, figures_of(drawn, "untrained"), (Table("Every setting", columns, rows),)
    )
