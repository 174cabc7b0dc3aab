"""Findings as a real study would give them, made from formulas: for the report's tests and screenshots."""

from __future__ import annotations

import math
import random
from functools import cache
from typing import Any

from preheat.analysis.findings import (
    BestSet,
    Cell,
    Counts,
    Curve,
    Edge,
    EdgePoint,
    Effect,
    Estimate,
    Findings,
    Hypothesis,
    Inside,
    Pooled,
    Rule,
    RuleScore,
)

CONDITIONS = ("100", "50", "20", "10", "5")
TREATMENTS = ("0ep", "1ep", "5ep", "10ep", "20ep")
PANELS = ("sgd", "adamw")
RATES = {"sgd": (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.8), "adamw": (0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.4)}
PLACES = [(p, c, t) for p in PANELS for c in CONDITIONS for t in TREATMENTS]
SEEDS = tuple(range(6))
JUDGING = SEEDS[2:]


def estimate(values: list[float]) -> Estimate:
    mean, n = sum(values) / len(values), len(values)
    if n < 2:
        return Estimate(mean, None, None, n)
    sd = math.sqrt(sum((v - mean) ** 2 for v in values) / (n - 1))
    t = {2: 12.7, 3: 4.3, 4: 3.18, 5: 2.78}.get(n, 2.5)
    return Estimate(mean, mean - t * sd / math.sqrt(n), mean + t * sd / math.sqrt(n), n)


def _level(condition: str, treatment: str) -> float:
    size, warm = float(condition), float(treatment[:-2])
    return (
        0.975 - 0.5 / size**0.7 + 0.012 * math.exp(-((math.log(size / 20)) ** 2)) * (1 - math.exp(-warm / 3))
    )


def _edge_at(panel: str, condition: str, treatment: str) -> float:
    warm = float(treatment[:-2])
    return (
        RATES[panel][3]
        * (1 + (0.05 if panel == "sgd" else 0.11) * math.log2(1 + warm))
        * (0.9 + 0.04 * math.log2(float(condition)))
    )


def _runs(noise: random.Random) -> list[dict[str, Any]]:
    return [_run(noise, place, rate, seed) for place in PLACES for rate in RATES[place[0]] for seed in SEEDS]


def _run(noise: random.Random, place: tuple[str, str, str], rate: float, seed: int) -> dict[str, Any]:
    panel, condition, treatment = place
    edge = _edge_at(panel, condition, treatment) * 2 ** noise.gauss(0, 0.15)
    outcome = "done" if rate < 1.4 * edge else "diverged"
    accuracy = (
        min(0.99, _level(condition, treatment) + noise.gauss(0, 0.008))
        if rate < edge
        else 0.1 + 0.1 * noise.random()
    )
    return {
        "id": f"{noise.getrandbits(64):016x}",
        "optimizer": panel,
        "per_class": condition,
        "warmup": treatment,
        "peak_lr": rate,
        "seed": seed,
        "outcome": outcome,
        "diverged_step": None if outcome == "done" else noise.randrange(5, 200),
        "validation_accuracy": accuracy if outcome == "done" else None,
        "test_accuracy": accuracy - 0.004 if outcome == "done" else None,
        "test_loss": noise.random() if outcome == "done" else None,
        "seconds": round(noise.random(), 3),
    }


def _cells(rows: list[dict[str, Any]]) -> list[Cell]:
    out = []
    for place in PLACES:
        mine = [r for r in rows if (r["optimizer"], r["per_class"], r["warmup"]) == place]
        rate = RATES[place[0]][1]
        values = [
            r["test_accuracy"]
            for r in mine
            if r["peak_lr"] == rate and r["seed"] in JUDGING and r["test_accuracy"]
        ]
        diverged = sum(r["outcome"] == "diverged" for r in mine)
        out.append(
            Cell(*place, {"peak_lr": f"{rate:g}"}, tuple(values), estimate(values), diverged, len(mine))
        )
    return out


def _edges(rows: list[dict[str, Any]], noise: random.Random) -> list[Edge]:
    out = []
    for place in PLACES:
        points = []
        for rate in RATES[place[0]]:
            mine = [
                r
                for r in rows
                if (r["optimizer"], r["per_class"], r["warmup"], r["peak_lr"]) == (*place, rate)
            ]
            good = sum((r["test_accuracy"] or 0) > 0.3 for r in mine)
            points.append(
                EdgePoint(rate, good, len(mine), sum(r["outcome"] == "diverged" for r in mine), 0.5)
            )
        at = math.log2(_edge_at(*place))
        ratio = _edge_at(*place) / _edge_at(place[0], place[1], "0ep")
        spread = 2 ** (0.1 + 0.1 * noise.random())
        moved = None if place[2] == "0ep" else Estimate(ratio, ratio / spread, ratio * spread, 6)
        p = None if moved is None else (0.01 if moved.lo and moved.lo > 1 else 0.4)
        out.append(Edge(*place, tuple(points), Estimate(at, at - 0.1, at + 0.1, 6), 0, moved, p))
    return out


def _pooled(edges: list[Edge]) -> list[Pooled]:
    out = []
    for p in PANELS:
        for t in TREATMENTS[1:]:
            ratios = [e.ratio.mean for e in edges if (e.panel, e.treatment) == (p, t) and e.ratio is not None]
            mean = sum(ratios) / len(ratios)
            sure = mean > 1.1
            out.append(
                Pooled(
                    p, t, "0ep", Estimate(mean, mean / 1.09, mean * 1.09, 6), 0.002, 0.016 if sure else 0.4
                )
            )
    return out


def _effects(cells: list[Cell]) -> list[Effect]:
    out = []
    at = {(c.panel, c.condition, c.treatment): c for c in cells}
    for (p, c, t), cell in at.items():
        if t != "0ep":
            e = estimate([a - b for a, b in zip(cell.values, at[p, c, "0ep"].values, strict=False)])
            assert e.lo is not None and e.hi is not None
            verdict = (
                "better"
                if e.lo > 0
                else "worse"
                if e.hi < 0
                else "equivalent"
                if e.lo > -0.01 and e.hi < 0.01
                else "not decided"
            )
            out.append(
                Effect(p, c, t, "0ep", e, 0.02, 0.3, verdict, 14 if verdict == "not decided" else None)
            )  # type: ignore[arg-type]
    return out


def _curves() -> list[Curve]:
    x = tuple(k / 59 for k in range(60))
    out = []
    for p in PANELS:
        for c in CONDITIONS:
            for i, t in enumerate(TREATMENTS):
                y = tuple(2.3 * math.exp(-(4 + 0.3 * i) * u) + 0.02 + 0.1 / float(c) for u in x)
                out.append(
                    Curve(
                        p, c, t, "train_loss", x, y, tuple(v * 0.8 for v in y), tuple(v * 1.2 for v in y), 4
                    )
                )
                z = tuple(_level(c, t) * (1 - math.exp(-(6 - i * 0.5) * u)) for u in x)
                out.append(
                    Curve(
                        p,
                        c,
                        t,
                        "validation_accuracy",
                        x,
                        z,
                        tuple(v - 0.01 for v in z),
                        tuple(v + 0.01 for v in z),
                        4,
                    )
                )
    return out


def _rates() -> list[Curve]:
    x = tuple(k / 199 for k in range(200))
    out = []
    for p in PANELS:
        for t in TREATMENTS:
            warm = float(t[:-2]) / 50
            y = tuple(
                u / warm if u < warm else math.cos(math.pi / 2 * (u - warm) / (1 - warm)) ** 2 for u in x
            )
            out.append(Curve(p, "", t, "learning_rate_factor", x, y, y, y, 1))
    return out


# fmt: off
def _hypotheses() -> tuple[Hypothesis, ...]:
    one, two, four = Estimate(0.42, -0.3, 1.1, 4), Estimate(-1.2, -1.9, -0.5, 4), Estimate(1.7, 1.2, 2.2, 4)
    return (
        Hypothesis("H1", "The benefit of warmup peaks at an intermediate data size.", "Contrast over the "
                                                                                      "sizes, paired by seed.",
                   one, "points", 0.21, "not decided", 9, "The contrast is positive, but four seeds can't "
                                                          "exclude zero."),
        Hypothesis("H2", "The optimal warmup shrinks as data grow.", "Slope of the best warmup on log2 of "
                                                                     "the size.",
                   two, "epochs per doubling", 0.004, "supported", None, "Each doubling takes about one "
                                                                         "epoch off."),
        Hypothesis("H3", "The pattern replicates across tasks.", "Rank correlation of benefits between tasks.",
                   None, "", None, "not decided", None, "One task only: this study can't answer it."),
        Hypothesis("H4", "AdamW is less sensitive to warmup than SGD.", "Ratio of the spreads over "
                                                                        "treatments.",
                   four, "times", 0.00002, "contradicted", None, "AdamW's edge moves more than that of SGD."),
    )
# fmt: on


def _insides() -> list[Inside]:
    out = []
    for p in PANELS:
        for k, c in enumerate(CONDITIONS):
            wide = 0.003 + 0.002 * k
            text = (
                "Every warmup is within the margin."
                if k < 3
                else "The seeds leave room for more than the margin."
            )
            out.append(
                Inside(
                    p,
                    c,
                    RATES[p][0],
                    Estimate(wide, wide - 0.002, wide + 0.002 + 0.001 * k, 4),
                    0.004 + 0.001 * k,
                    k < 3,
                    text,
                )
            )
    return out


def _rules() -> list[Rule]:
    scores = tuple(
        RuleScore(name, formula, Estimate(m, m - 0.002, m + 0.002, 4), {"100": 0.02, "10": 0.1})
        for name, formula, m in (
            ("fitted", "12.1 - 1.6 log2(n) ep", 0.002),
            ("fixed rule", "n < 20: 10 ep; else 5 ep", 0.004),
            ("always 5%", "2.5 ep", 0.003),
        )
    )
    text = "The fitted rule loses less than the others, within the intervals."
    return [Rule(p, Estimate(12.1, 8, 16, 4), Estimate(-1.6, -2.9, -0.3, 4), scores, text) for p in PANELS]


def _best(panel: str, condition: str, k: int, leader: int) -> BestSet:
    members = tuple(t for i, t in enumerate(TREATMENTS) if k - 1 <= i < k + 2 or i == leader)
    return BestSet(panel, condition, TREATMENTS[leader], members, 4)


@cache
def full() -> Findings:
    """Two panels, five conditions, five warmups, seven rates, six seeds: 2,100 runs."""
    noise = random.Random(1)
    rows = _runs(noise)
    cells = _cells(rows)
    edges = _edges(rows, noise)
    best = [_best(p, c, k, (k + j) % 4 + 1) for j, p in enumerate(PANELS) for k, c in enumerate(CONDITIONS)]
    gone = sum(r["outcome"] == "diverged" for r in rows)
    return Findings(
        name="regimes",
        question="How does the best length of warmup depend on the amount of data?",
        answer="Warmup moves the edge of stability and little else. With 20 epochs SGD trains at a peak rate "
        "1.22 times as high "
        "as without (95 % interval 1.12 to 1.33), AdamW at 1.48 times. Well inside the edge five warmups "
        "differ by at most 0.5 "
        "points with 100 to 20 per class, within the margin of 1 point; with 10 and 5 the seeds do not "
        "decide.",
        metric="accuracy",
        goal="max",
        margin=0.01,
        treatment="schedule.warmup",
        condition="task.per_class",
        nuisance="peak_lr",
        treatments=TREATMENTS,
        conditions=CONDITIONS,
        panels=PANELS,
        choosing=SEEDS[:2],
        judging=JUDGING,
        counts=Counts(len(rows) + 10, len(rows) - gone, gone, 0, 10),
        cells=tuple(cells),
        effects=tuple(_effects(cells)),
        best=tuple(best),
        edges=tuple(edges),
        pooled=tuple(_pooled(edges)),
        inside=tuple(_insides()),
        hypotheses=_hypotheses(),
        rules=tuple(_rules()),
        curves=tuple(_curves()),
        rates=tuple(_rates()),
        runs=tuple(rows),
        notes=(
            "10 of 2,110 runs are missing.",
            "At the lowest rate every seed trained: 3 edges are censored.",
        ),
    )


def empty() -> Findings:
    """Nothing trained: no run, no cell."""
    return Findings(
        "none",
        "Does it matter?",
        "No run is done, so there is no answer.",
        "loss",
        "min",
        0.1,
        "schedule.warmup",
        "",
        "",
        ("0", "5%"),
        (),
        ("",),
        (),
        (0,),
        Counts(4, 0, 0, 0, 4),
    )


def small() -> Findings:
    """One seed, no condition, no edge, a loss to be minimised, and a name that is HTML."""
    one = Estimate(0.41237, None, None, 1)
    cells = tuple(Cell("", "", t, {}, (0.4,), one, 0, 1) for t in ("0", "<b>5%</b>"))
    effect = Effect("", "", "<b>5%</b>", "0", Estimate(-0.01, None, None, 1), None, None, "not decided", None)
    rows = tuple(
        {"id": str(i), "task": "</script><script>alert(1)</script>", "test_loss": 0.4, "step": math.nan}
        for i in range(2)
    )
    return Findings(
        "tiny",
        "Is <script>alert(1)</script> escaped & $shown$?",
        "One seed: a description.",
        "loss",
        "min",
        0.1,
        "schedule.warmup",
        "",
        "",
        ("0", "<b>5%</b>"),
        (),
        ("",),
        (),
        (0,),
        Counts(2, 2, 0, 0, 0),
        cells=cells,
        effects=(effect,),
        runs=rows,
        notes=("One seed.",),
    )
