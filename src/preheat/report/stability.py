"""The sections on the edge of stability, and on the runs that did not train."""

from __future__ import annotations

from collections.abc import Sequence

from preheat.analysis import words
from preheat.analysis.findings import Estimate, Findings
from preheat.report.figdata import base_name, lost_runs, row_name, sure
from preheat.report.gallery import Drawn
from preheat.report.parts import Section, Table, figures_of, heads, number


def _power(e: Estimate) -> str:
    """An edge is kept as a logarithm to base 2."""
    lo, hi = (None if v is None else _exp2(v) for v in (e.lo, e.hi))
    return number(Estimate(_exp2(e.mean), lo, hi, e.n))


def _exp2(v: float) -> float:
    return float(2.0 ** min(v, 999.0))


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
            _power(e.edge),
            number(e.ratio),
            words.p_text(e.p_adjusted),
            str(e.edge.n),
            str(e.censored),
        )
        for e in f.edges
    )
    columns = (*heads(f), f"edge ({rate})", "times the baseline's", "p, corrected", "seeds", "censored seeds")
    table = Table("The edge with 95 % intervals. Censored: the seed trained at every value or at none.", columns, rows)
    return Section("edge", title, lead, figures_of(drawn, "edge"), (*_pooled(f), table))


def _moved(f: Findings) -> str:
    """How many comparisons of either family are sure."""
    singles = [e for e in f.edges if e.ratio is not None]
    parts = [f"in {sum(map(sure, singles))} of {words.count(len(singles), 'comparison')} with {base_name(f)}"]
    if f.pooled and len(f.conditions) > 1:
        first = f"in {sum(map(sure, f.pooled))} of {words.count(len(f.pooled), 'comparison')} over all {values(f)} together"
        parts = [first, f"{parts[0]} at a single one"]
    return f"It moves surely (p < 0.05, each family corrected for its number by Holm) {' and '.join(parts)}."


def values(f: Findings) -> str:
    """What the conditions are, in the plural."""
    return "data sizes" if "examples" in f.condition or "per_class" in f.condition else f"values of {words.human(f.condition)}"


def _pooled(f: Findings) -> tuple[Table, ...]:
    if not f.pooled:
        return ()
    rows = tuple(
        (words.named(p.panel), p.treatment, number(p.ratio), words.p_text(p.p_adjusted), str(p.ratio.n)) for p in f.pooled
    )
    columns = ("panel", words.human(f.treatment), f"edge, times that with {base_name(f)}", "p, corrected", "seeds")
    what = f"All {values(f)} together" if len(f.conditions) > 1 else "The edge"
    return (Table(f"{what}: per seed the mean over them, with 95 % intervals", columns, rows, folded=False),)


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
            f"{lost:,} of {words.count(runs, 'run')} did not train: {gone:,} diverged (a value that is not finite), "
            f"{lost - gone:,} finished below halfway from chance to the best mean {words.human(f.metric)} of their data. {kept}"
        )
    rows = tuple(
        (words.named(p), row_name(c), t, str(n[2]), str(n[0]), str(n[1]), f"{100 * n[0] / n[2]:.0f} %")
        for (p, c, t), n in found.items()
    )
    columns = (*heads(f), "runs", "did not train", "of these diverged", "share that did not train")
    return Section("untrained", title, lead, figures_of(drawn, "untrained"), (Table("Every setting", columns, rows),))
