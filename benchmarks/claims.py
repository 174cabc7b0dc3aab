"""Does what a report claims hold? Whole reports of simulated studies whose truth is known.

    python benchmarks/claims.py                              the full form: about 40 minutes on 2 cores
    python benchmarks/claims.py --nulls 60 --planted 40 --seeds 8    a few minutes
    python benchmarks/claims.py --quick                      what the test runs: 15 seconds

Every report is `find` of all chapters of the study `regimes` and the verdicts on all their claims together;
only the drawing is left out, and the chapters that read traces. `worlds.py` says how results are made and
which verdicts are false. After its first look a user follows "about n more seeds" of a claim drawn among
those that say so (at most 40), adds exactly so many seeds, and looks again, three times at most; every look
is paid for (`budget`). Printed are tables in Markdown, shares with their exact intervals (Clopper and
Pearson).
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from multiprocessing import get_context
from typing import Any, NamedTuple

import numpy as np

from preheat.analysis.table import Table
from preheat.report.chapter import PRIMARY, named
from preheat.stats.claims import Claim, Judged, Verdict, budget, judge
from preheat.stats.estimates import Estimate, interval, moments
from preheat.stats.shares import share
from preheat.studies.regimes.grid import REPORTED
from worlds import KINDS, SHAPE, World, effect, joined, table, wrong

CELLS = (0.01, 0.02, 0.03, 0.05)
MAIN = 0.01
LOOKS, MOST = 3, 40
SEEDS = (8, 16, 40)


class Case(NamedTuple):
    """One report. gain: what is planted; at: "" for nothing, "cell" or "main"."""

    kind: str
    seeds: int
    number: int
    at: str = ""
    gain: float = 0.0


@dataclass
class Told:
    """What one user saw. primary, exploratory: whether anything false was claimed, at each look; covered:
    {intervals of a kind: (how many hold, of how many)}; plans: (primary, decided as planned); found: whether
    what was planted was; seeds: at the last look."""

    case: Case
    primary: list[bool] = field(default_factory=list)
    exploratory: list[bool] = field(default_factory=list)
    covered: dict[str, tuple[int, int]] = field(default_factory=dict)
    plans: list[tuple[bool, bool]] = field(default_factory=list)
    found: bool | None = None
    decided: int = 0
    seeds: int = 0
    falsely: list[str] = field(default_factory=list)


@cache
def _chapters() -> dict[str, Any]:
    return named(REPORTED)[0]


def look(made: Table, number: int) -> tuple[dict[str, Any], dict[str, Claim], dict[str, Judged]]:
    """What all chapters found, their claims, and the verdicts of this look."""
    found = {name: c.find(made, []) for name, c in _chapters().items()}
    claims = [c for f in found.values() for c in getattr(f, "claims", ())]
    verdicts = judge(claims, PRIMARY, alpha=budget(number), later=budget(number + 1))
    return found, {c.name: c for c in claims}, verdicts


def user(case: Case, looks: int = LOOKS) -> Told:
    """One study, its report, and what follows "about n more seeds" of it."""
    rng = np.random.default_rng([KINDS.index(case.kind), case.seeds, case.number, round(1e4 * case.gain)])
    world, planted = _world(case)
    made, told, followed = table(world, case.seeds, rng), Told(case), ""
    for number in range(looks + 1):
        found, claims, verdicts = look(made, number)
        false = [v for v in verdicts.values() if v.verdict in wrong(claims[v.name], world)]
        told.primary.append(any(v.primary for v in false))
        told.exploratory.append(any(not v.primary for v in false))
        told.falsely += [v.name for v in false]
        if followed:
            told.plans.append((verdicts[followed].primary, verdicts[followed].verdict is not Verdict.OPEN))
        if not number:
            told.covered = covered(found, claims, world)
            told.found = verdicts[planted].verdict is Verdict.SUPPORTED if planted else None
            told.decided = sum(v.primary and v.verdict is not Verdict.OPEN for v in verdicts.values())
        told.seeds = len(made.seeds)
        asked = [v for v in verdicts.values() if v.more_seeds is not None and v.more_seeds <= MOST]
        if not asked or number == looks:
            break
        chosen = asked[int(rng.integers(len(asked)))]
        assert chosen.more_seeds is not None
        followed, made = chosen.name, joined(made, table(world, chosen.more_seeds, rng))
    return told


def _world(case: Case) -> tuple[World, str]:
    """The world of a case, and the name of the claim that is true in it."""
    if not case.at:
        return World(case.kind), ""
    gain, p, s, t = (
        np.zeros(SHAPE[:3]),
        case.number % 2,
        case.number // 8 % SHAPE[1],
        1 + case.number // 2 % 4,
    )
    gain[p, s if case.at == "cell" else slice(None), t] = case.gain
    panel, size, warmup = table(World(case.kind), 1, np.random.default_rng(0)).labels((p, s, t))
    name = ("benefit", panel, size, warmup) if case.at == "cell" else ("tuned", panel, warmup)
    return World(case.kind, gain), "/".join(name)


def covered(found: dict[str, Any], claims: dict[str, Claim], world: World) -> dict[str, tuple[int, int]]:
    """How many of the uncorrected 95 % intervals hold the truth, by what they are of."""
    gain = np.zeros(SHAPE[:3]) if world.gain is None else world.gain
    held: dict[str, list[bool]] = defaultdict(list)

    def tell(what: str, e: Estimate, truth: float | None) -> None:
        if truth is not None and e.lo is not None and e.hi is not None:
            held[what].append(e.lo <= truth <= e.hi)

    equal = world.gain is None and world.kind != "shifted"
    for c in claims.values():
        what = c.name.partition("/")[0]
        if what in ("tuned", "benefit"):
            tell(f"{what}, moderated", c.effect, effect(c, gain))
        elif equal and what == "over_rates":
            tell(f"{what}, moderated", c.effect, 0.0)
        elif equal and what == "edge" and c.effect.bound == "exact":
            tell("edge" if c.family == "edge" else "edge, at one size", c.effect, 1.0)
    for e in found["benefit"].effects:
        name = "/".join(("benefit", e.panel, e.condition, e.treatment))
        tell("benefit, plain", e.estimate, effect(claims[name], gain) if name in claims else None)
    for m in found["main"].main:
        name = f"tuned/{m.panel}/{m.treatment}"
        tell("tuned, plain", m.tuned, effect(claims[name], gain))
        if equal:
            tell("over_rates, plain", m.over_rates, 0.0)
    return {what: (sum(some), len(some)) for what, some in held.items()}


def simulated(cases: Sequence[Case], looks: int, workers: int = 1) -> list[Told]:
    """All cases, by `workers` processes; where something is planted with one more look at most."""
    given = [(c, min(looks, 1) if c.at else looks) for c in cases]
    if workers < 2:
        return [user(*one) for one in given]
    with get_context("spawn").Pool(workers) as pool:
        return pool.starmap(user, given, chunksize=4)


def text(k: int, n: int) -> str:
    """k of n in per cent, with its exact interval."""
    s = share(k, n)
    return "-" if s.lo is None or s.hi is None else f"{100 * k / n:.1f} [{100 * s.lo:.1f}, {100 * s.hi:.1f}]"


def _counted(some: Iterable[bool]) -> str:
    each = list(some)
    return text(sum(each), len(each))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def false_table(told: Sequence[Told]) -> str:
    """False claims per report, without and with more looks."""
    rows = []
    for n in sorted({t.case.seeds for t in told}):
        for kind in (*KINDS, "all kinds"):
            some = [t for t in told if t.case.seeds == n and kind in (t.case.kind, "all kinds")]
            if some:
                measures: tuple[Callable[[Told], bool], ...] = (
                    lambda t: t.primary[0],
                    lambda t: any(t.primary),
                    lambda t: t.exploratory[0],
                    lambda t: any(t.exploratory),
                )
                shares = [_counted(map(measure, some)) for measure in measures]
                rows.append([str(n), kind, str(len(some)), *shares])
    head = ["seeds", "kind", "reports", "primary", "with looks", "exploratory", "with looks"]
    return _table(head, rows)


def covered_table(told: Sequence[Told]) -> str:
    """Coverage; the interval is over reports, since the intervals of one report depend on each other."""
    rows = []
    for n in sorted({t.case.seeds for t in told}):
        some = [t.covered for t in told if t.case.seeds == n]
        for what in sorted({w for c in some for w in c}):
            held = [c[what] for c in some if what in c]
            e = interval(moments([k / m for k, m in held]))
            ends = "" if e.lo is None or e.hi is None else f" [{100 * e.lo:.1f}, {100 * e.hi:.1f}]"
            rows.append([str(n), what, str(sum(m for _, m in held)), f"{100 * e.mean:.1f}{ends}"])
    return _table(["seeds", "of", "intervals", "hold the truth"], rows)


def found_table(told: Sequence[Told]) -> str:
    """Power."""
    rows = []
    for key in sorted({(t.case.seeds, t.case.at, t.case.gain) for t in told}):
        some = [t for t in told if (t.case.seeds, t.case.at, t.case.gain) == key]
        where = "one size (exploratory)" if key[1] == "cell" else "all sizes (primary)"
        found = _counted(bool(t.found) for t in some)
        false = _counted(t.primary[0] for t in some), _counted(t.exploratory[0] for t in some)
        rows.append([str(key[0]), where, f"{100 * key[2]:.0f}", str(len(some)), found, *false])
    head = ["seeds", "planted at", "points", "reports", "found", "false: primary", "exploratory"]
    return _table(head, rows)


def plans_table(told: Sequence[Told]) -> str:
    """Of the claims that said "about n more seeds" and got n, how many were decided."""
    rows = []
    for what, cases in (("nothing planted", False), ("planted", True)):
        for n in sorted({t.case.seeds for t in told}):
            plans = [p for t in told if t.case.seeds == n and bool(t.case.at) is cases for p in t.plans]
            if plans:
                kinds = [[done for primary, done in plans if primary is kind] for kind in (True, False)]
                rows.append([what, str(n), *(f"{_counted(k)} of {len(k)}" for k in kinds)])
    return _table(["", "seeds at first", "decided: primary", "exploratory"], rows)


def cases_of(options: argparse.Namespace) -> tuple[list[Case], list[Case]]:
    """(nulls, planted), as the options say."""
    nulls = [Case(k, n, i) for n in options.seeds for k in options.kinds for i in range(options.nulls)]
    ways = [("main", MAIN), *(("cell", gain) for gain in options.cells)]
    some = range(options.planted)
    return nulls, [Case(KINDS[0], n, i, at, g) for n in options.seeds for at, g in ways for i in some]


def quick() -> argparse.Namespace:
    """The options of the quick form: 8 seeds, 8 nulls of each kind, one more look."""
    return argparse.Namespace(nulls=8, planted=8, seeds=[8], kinds=list(KINDS), cells=[0.02], looks=1)


def main() -> None:
    """The tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--nulls", type=int, default=400, help="of each kind and number of seeds (400)")
    parser.add_argument("--planted", type=int, default=200, help="reports of each planted effect (200)")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS), help="8 16 40")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--cells", type=float, nargs="*", default=list(CELLS), help="effects at one size")
    parser.add_argument("--looks", type=int, default=LOOKS, help="looks after the first (3)")
    parser.add_argument("--workers", type=int, default=2, help="processes, one thread each (2)")
    parser.add_argument("--quick", action="store_true", help="the form of the test")
    options = parser.parse_args()
    workers, started = options.workers, time.perf_counter()
    options = quick() if options.quick else options
    nulls, planted = cases_of(options)
    told = simulated([*nulls, *planted], options.looks, workers)
    blank, full = told[: len(nulls)], told[len(nulls) :]
    for title, made in (
        ("False claims per report (%)", false_table(blank)),
        ("Uncorrected 95 % intervals that hold the truth (%)", covered_table(told)),
        ("Planted effects (%)", found_table(full)),
        ('"About n more seeds", when n were added (%)', plans_table(told)),
    ):
        print(f"\n{title}\n\n{made}")
    names: dict[str, int] = defaultdict(int)
    for t in blank:
        for name in {n.partition("/")[0] if "H" not in n else n for n in t.falsely}:
            names[name] += 1
    print("\nFalse, in how many reports:", ", ".join(f"{k} {v}" for k, v in sorted(names.items())) or "none")
    print(f"{len(told)} reports in {(time.perf_counter() - started) / 60:.1f} minutes on {workers} cores.")


if __name__ == "__main__":
    main()
