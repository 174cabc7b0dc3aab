"""What the runs' courses say together: means over seeds, and the claims on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from preheat.analysis.curves import MeanCurve, chosen
from preheat.analysis.effects import Place, untested
from preheat.analysis.results import Row
from preheat.analysis.table import Table
from preheat.report.chapter import Seen
from preheat.stats.averaging import across, rounded
from preheat.stats.claims import Claim
from preheat.stats.estimates import (
    Estimate,
    Moments,
    factor,
    interval,
    moments,
    p_different,
    p_equivalent,
)
from preheat.studies.mechanisms.study import RULE
from preheat.studies.mechanisms.traces import WarmupCourse, drawn

FAMILY, OTHERS, RULED = "mechanisms", "other_mechanisms", "persistent"
PRIMARY = ("reduction/gd", "sharpening/gd", "rides/gd", "starts/standard")  # so few that three seeds can tell
MARGIN = 0.25  # in octaves: a factor of 1.19 is the smallest that matters
STANDARD, MU = "standard", "mu"
FLATTER = "gi_adam"
BETA2 = 0.999  # of Adam and GI-Adam where no other is said


@dataclass(frozen=True)
class MechanismSetting:
    """What the seeds of one setting say. start: the first sharpness; crossing: the first update above the
    threshold, of those that cross in the warmup; change, ridden: as factors; n: seeds, crossed: how many
    cross; kinds: {drift: seeds}; catapults, uncoupled: means; cadence: the longest distance between
    measurements; reached: updates until the peak rate; diverged: runs."""

    panel: str
    condition: str
    treatment: str
    n: int
    diverged: int
    start: Estimate
    crossed: int
    crossing: float
    change: Estimate
    ridden: Estimate
    kinds: Mapping[str, int]
    catapults: float
    uncoupled: float
    cadence: int
    reached: float


@dataclass(frozen=True)
class MechanismsFound:
    """Every setting, the curves over updates, and the claims."""

    settings: tuple[MechanismSetting, ...]
    update_curves: tuple[MeanCurve, ...]
    claims: tuple[Claim, ...]


def mechanisms(table: Table, seen: Seen) -> MechanismsFound | None:
    """All of it; None without a run that measured sharpness."""
    runs = chosen(table, seen)
    if not runs:
        return None
    by_seed = {at: {row.seed: c for row, c in mine} for at, mine in runs.items()}
    told = tuple(_told(table, at, mine) for at, mine in runs.items())
    curves = tuple(k for at, mine in runs.items() for k in _curves(table, at, [c for _, c in mine]))
    return MechanismsFound(told, curves, tuple(_claims(table, by_seed)))


def _told(table: Table, at: Place, mine: Sequence[tuple[Row, WarmupCourse]]) -> MechanismSetting:
    some = [c for _, c in mine]
    crossings = [c.crossing for c in some if c.crossing is not None]
    return MechanismSetting(
        *table.labels(at),
        n=len(some),
        diverged=sum(row.outcome == "diverged" for row, _ in mine),
        start=factor(interval(moments(np.log2([c.start if c.start > 0 else np.nan for c in some])))),
        crossed=len(crossings),
        crossing=float(np.exp2(np.log2(np.maximum(crossings, 1)).mean())) if crossings else np.nan,
        change=factor(interval(moments([c.change for c in some]))),
        ridden=factor(interval(moments([c.ridden for c in some]))),
        kinds=Counter(c.kind for c in some),
        catapults=float(np.mean([c.found for c in some])),
        uncoupled=float(np.mean([c.uncoupled for c in some])),
        cadence=max(c.cadence for c in some),
        reached=float(np.mean([c.reached for c in some])),
    )


def _curves(table: Table, at: Place, some: Sequence[WarmupCourse]) -> list[MeanCurve]:
    """Means of the logarithms over seeds, with one standard deviation."""
    out = []
    for what in ("loss", "sharp", "ratio", "raw"):
        lines = [line for c in some if len((line := drawn(c, what))[0]) > 1]
        if lines:
            x, *ys = across(lines)
            y, lo, hi = (rounded(np.exp2(v)) for v in ys)
            out.append(MeanCurve(*table.labels(at), what, rounded(x), y, lo, hi, len(lines)))
    return out


def _claims(table: Table, some: Mapping[Place, Mapping[int, WarmupCourse]]) -> list[Claim]:
    longest = max((t for _, _, t in some), key=lambda t: table.updates[t])
    out = []
    for at in some:
        if at[2] != longest:
            continue
        panel, condition = method(table, at[0]), table.conditions.labels[at[1]]
        fell = [-v.change for v in some[at].values()]
        if condition == STANDARD:
            out.append(_claim(table, f"reduction/{panel}", at, moments(fell)))
        if condition == MU:
            out.append(_claim(table, f"sharpening/{panel}", at, moments([-v for v in fell])))
            ridden = moments([v.ridden for v in some[at].values()])
            out.append(_claim(table, f"rides/{panel}", at, ridden))
    return [*out, *_starts(table, some), *_persistent(table, some)]


def _claim(table: Table, name: str, at: Place, m: Moments, rests: tuple[Place, ...] = ()) -> Claim:
    """That a factor is above 1; the same within the margin."""
    return Claim(
        *(name, FAMILY if name in PRIMARY else OTHERS, table.labels(at), factor(interval(m))),
        p=p_different(m),
        p_same=p_equivalent(m, MARGIN),
        margin=MARGIN,
        unit="times",
        part=m if m.n else None,
        factor=True,
        rests=tuple(table.labels(place) for place in (at, *rests)),
        why=untested(table, m.n) if m.n else "no seed tells it",
    )


def _starts(table: Table, some: Mapping[Place, Mapping[int, WarmupCourse]]) -> list[Claim]:
    """Adam's first preconditioned sharpness over GI-Adam's, as a multiple of 1 / sqrt(1 - beta2)."""
    out = []
    shortest = min((t for _, _, t in some), key=lambda t: table.updates[t])
    for (p, c, t), flat in some.items():
        if t != shortest or method(table, p) != FLATTER:
            continue
        beta2 = _beta2(table, p)
        twins = [q for q in range(len(table.panels)) if method(table, q) == "adam" and (q, c, t) in some]
        for q in (q for q in twins if _beta2(table, q) == beta2):
            other, smaller = some[q, c, t], (1 - beta2) ** 0.5
            ratios = [np.log2(other[s].start / v.start * smaller) for s, v in flat.items() if s in other]
            name = f"starts/{table.conditions.labels[c]}"
            out.append(_claim(table, name, (p, c, t), moments(ratios), ((q, c, t),)))
    return out


def _persistent(table: Table, some: Mapping[Place, Mapping[int, WarmupCourse]]) -> list[Claim]:
    """Each linear warmup against persistent catapult warmup: the mean log2 loss over all updates, of runs
    that finish; and 1 + the rises of the loss, catapults or not."""
    out = []
    for (p, c, t), mine in some.items():
        if not ruled(table, p):
            continue
        others = [
            q
            for q in range(len(table.panels))
            if not ruled(table, q) and method(table, q) == method(table, p)
        ]
        for (q, d, u), linear in some.items():
            if q in others and d == c:
                where = f"{table.conditions.labels[c]}/{table.treatments.labels[u]}"
                pairs = [(linear[s], v) for s, v in mine.items() if s in linear]
                pairs = [(a, b) for a, b in pairs if np.isfinite(a.level) and np.isfinite(b.level)]
                for kind, gains in (
                    ("persistent", [a.level - b.level for a, b in pairs]),
                    ("calmer", [np.log2((1 + _rises(a)) / (1 + _rises(b))) for a, b in pairs]),
                ):
                    made = _claim(table, f"{kind}/{where}", (p, c, t), moments(gains), ((q, d, u),))
                    out.append(replace(made, family=RULED))
    return out


def _rises(c: WarmupCourse) -> int:
    return c.found + c.uncoupled


def method(table: Table, p: int) -> str:
    """What the study calls a panel's optimizer."""
    found = _asked(table, p)
    if found.get("name") != "sgd":
        return str(found.get("name"))
    return "momentum" if found.get("momentum") else "gd"


def _asked(table: Table, p: int) -> Mapping[str, Any]:
    """A panel's optimizer with its options; {} where panels do not tell it."""
    found = table.panels.values[p].get("optimizer", table.study.fixed.get("optimizer"))
    return found if isinstance(found, Mapping) else {"name": found}


def ruled(table: Table, p: int) -> bool:
    """Whether a panel's rate is persistent catapult warmup's."""
    return RULE in str(table.panels.values[p].get("rate_rule"))


def _beta2(table: Table, p: int) -> float:
    return float(_asked(table, p).get("beta2", BETA2))
