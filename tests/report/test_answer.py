"""The answer: at most three sentences of 25 words, practical first, and never more than the verdicts say."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import numpy as np
import pytest
from cases import sampled
from fake_results import noisy, results, study
from simulated import RATES as FINE
from simulated import moved, scores
from told import named, plain, unknown_numbers, within_limits

from preheat.analysis.naming import base_of
from preheat.analysis.notes import counts
from preheat.analysis.results import Results, Row
from preheat.analysis.table import Table
from preheat.analysis.tabulate import tabulate
from preheat.analysis.words import capital, human
from preheat.core.registry import STUDIES
from preheat.report.chapters.main_words import answer
from preheat.report.report import Report, report
from preheat.stats.claims import Claim, Judged, Verdict
from preheat.stats.estimates import Bound, Estimate

SHAPES = ("constant", "linear", "cosine", "wsd", "rex")
OPTIMIZERS = ("sgd", "adamw", "adam", "lion", "muon")
LONG = tuple(f"a long name of a schedule that has {i} many more words than one can say" for i in range(3))


# Simulated verdicts


@cache
def table_of(panels: int, names: tuple[Any, ...], metric: str, rates: int) -> Table:
    """Two seeds of every setting; names: of treatments, numbers are epochs."""
    treatment = "schedule.warmup" if isinstance(names[0], int) else "schedule.name"
    of = study(
        **{"seeds": 2, "choosing": 0, "treatment": treatment, "scientific": (treatment, "optimizer.name")},
        **{"condition": "", "metric": metric, "margin": 0.01 if metric == "accuracy" else 0.1},
        nuisance=("peak_lr",) if rates else (),
    )
    rows = []
    for p in OPTIMIZERS[:panels]:
        for name in names:
            for v in FINE[: max(1, rates)]:
                value = {"epochs": float(name)} if isinstance(name, int) else name
                axes = {treatment: value, "optimizer.name": p, **({"peak_lr": v} if rates else {})}
                for s in range(2):
                    score = {f"validation_{metric}": 0.5, f"test_{metric}": 0.5}
                    rows.append(Row(f"r{len(rows)}", axes, s, "done", None, score))
    return tabulate(Results(of, tuple(rows)))


SPECS = [
    (1, (0, 1, 5, 10, 20), "accuracy", 3),
    (2, (0, 1, 5, 10, 20), "accuracy", 3),
    (5, (0, 1, 5, 10, 20), "loss", 3),
    (2, (5, 0, 20), "error_rate", 3),
    (1, SHAPES, "accuracy", 0),
    (2, SHAPES, "loss", 3),
    (5, SHAPES, "my_score", 3),
    (2, (*SHAPES, "step", "sqrt"), "accuracy", 0),
    (2, LONG, "loss", 3),
]
MEASURES = ("tuned", "over_rates", "edge")


def drawn(table: Table, rng: np.random.Generator) -> tuple[dict[str, Judged], list[Claim]]:
    """Random verdicts: of each measure any, or all of one kind, with an effect that has the verdict's sign."""
    verdicts, claims = {}, []
    for measure in MEASURES if table.numeric else MEASURES[:1]:
        kinds = list(rng.choice(list(Verdict), int(rng.integers(1, 5)), replace=False))
        for p in table.panels.labels:
            for t in table.treatments.labels:
                if t == table.treatments.labels[table.base] or rng.random() < 0.02:
                    continue
                kind = Verdict(rng.choice(kinds))
                size = 10 ** rng.uniform(-4, -0.5) * (1 if kind is Verdict.SUPPORTED else -1)
                mean = 2 ** (20 * size) if measure == "edge" else size
                bound: Bound = rng.choice(["exact", "at least"]) if measure == "edge" else "exact"
                why = "runs are missing" if kind is Verdict.OPEN and rng.random() < 0.2 else ""
                name, family = f"{measure}/{p}/{t}", "edge" if measure == "edge" else "main"
                effect = Estimate(float(mean), None, None, 8, bound)
                verdicts[name] = Judged(
                    *(name, family, True, (p, "", t), kind, effect, 0.95, 0.5, 0.5),
                    *(table.study.margin, table.study.metric, None, why),
                )
                claims.append(Claim(name, family, (p, "", t), effect, 0.5, 0.5, table.study.margin))
    return verdicts, claims


def of_kind(verdicts: dict[str, Judged], measure: str, kind: Verdict) -> set[tuple[str, str]]:
    some = (v for name, v in verdicts.items() if name.startswith(f"{measure}/"))
    return {(v.at[0], v.at[2]) for v in some if v.verdict is kind}


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: f"{s[0]}-{str(s[1][1])[:6]}-{s[2]}-{s[3]}")
def test_simulated_answers_say_what_the_verdicts_say(spec: Any) -> None:
    table, rng = table_of(*spec), np.random.default_rng(7)
    for _ in range(sampled(120)):
        verdicts, claims = drawn(table, rng)
        said = sorted(answer(table, verdicts), key=lambda say: say.rank)
        told = tuple(capital(say.text) for say in said)
        made = Report(
            *(Results(table.study, ()), counts(table), told[:3]),
            **{"table": table, "verdicts": verdicts, "claims": tuple(claims)},
        )
        within_limits(made)
        assert unknown_numbers(made, made.says) == []
        agrees(table, verdicts, [plain(t) for t in told])
        assert table.lengths or not re.match(r"If you tune|.*(highest usable)", told[0]), told


def agrees(table: Table, verdicts: dict[str, Judged], told: list[str]) -> None:
    """Reads every sentence back."""
    kind = {m: {k: of_kind(verdicts, m, k) for k in Verdict} for m in MEASURES}
    there = {(p, t) for p in table.panels.labels for t in table.treatments.labels}
    there -= {(p, table.treatments.labels[table.base]) for p in table.panels.labels}
    better, worse = kind["tuned"][Verdict.SUPPORTED], kind["tuned"][Verdict.OPPOSITE]
    over = kind["over_rates"] if any(kind["over_rates"].values()) else kind["edge"]
    base, up = plain(base_of(table)), "raised" if table.sign > 0 else "lowered"
    what = plain(human(table.study.treatment))
    for text in (re.sub(rf"\b(epochs?|steps?) of {what}", r"\1", t) for t in told):
        if "will do" in text or re.search("made no difference of .* or more", text):
            assert kind["tuned"][Verdict.SAME] == there, text
        if "either" in text:
            assert kind["over_rates"][Verdict.SAME] == there, text
        if text == f"Use {base}.":
            assert worse == there, text
        elif m := re.search(r"[Uu]se (.*?)(?: rather than|; avoid|, if| if you|[.])", text):
            use = named(table, m[1])
            gains, losses = (over[k] for k in (Verdict.SUPPORTED, Verdict.OPPOSITE))
            if "rather than" in text or better:
                assert use is None or use == better, text
            else:
                assert use is None or use == gains - losses, text
                assert "can't" in text and not worse
            assert use is None or not use & worse, text
        if m := re.search(r"[Aa]void (.*?)(?: if you|[.])", text):
            avoid = named(table, m[1])
            losses = over[Verdict.OPPOSITE]
            assert avoid is None or avoid == (losses if "can't" in text else worse), text
        if m := re.search(r"^(?:At a tuned [^,]*, |(Averaged) [^,]*, )?(.*?) (raised|lowered) (.*)", text):
            measure = "over_rates" if m[1] else "tuned"
            measure = "edge" if "highest usable" in text else measure
            improved = (m[3] == "raised") if measure == "edge" else m[3] == up
            some = kind[measure][Verdict.SUPPORTED if improved else Verdict.OPPOSITE]
            pairs = named(table, m[2][:1].lower() + m[2][1:])
            assert pairs is None or pairs == some, text
            if also := re.search(r", (.*?) (raised|lowered) it by ", m[4]):
                pairs = named(table, also[1])
                some = kind[measure][Verdict.SUPPORTED if also[2] == up else Verdict.OPPOSITE]
                assert also[2] != m[3] and (pairs is None or pairs == some), text


def test_studies_of_shapes_of_losses_and_of_lengths_are_answered_in_their_own_words() -> None:
    def first(spec: Any, **kinds: Verdict) -> str:
        table = table_of(*spec)
        verdicts = {}
        for measure, kind in kinds.items():
            for p in table.panels.labels:
                for t in table.treatments.labels[1:]:
                    mean = {Verdict.SUPPORTED: 0.03, Verdict.OPPOSITE: -0.03}.get(kind, 0.0)
                    e = Estimate(mean, None, None, 8)
                    name = f"{measure}/{p}/{t}"
                    verdicts[name] = Judged(
                        *(name, "main", True, (p, "", t), kind, e, 0.95, 0.5, 0.5, 0.01, "", None)
                    )
        return " ".join(capital(plain(s.text)) for s in answer(table, verdicts))

    same, good, bad, open_ = Verdict.SAME, Verdict.SUPPORTED, Verdict.OPPOSITE, Verdict.OPEN
    assert first((2, (0, 5, 10), "accuracy", 3), tuned=same, over_rates=good) == (
        "If you tune the peak learning rate, any length of warmup or none will do; if you can't, use 5 to 10 epochs. "
        "At a tuned peak learning rate, the length of warmup made no difference of 1 point or more, with SGD "
        "or AdamW. Averaged over all peak learning rates tried, 5 to 10 epochs raised accuracy by 3.0 points."
    )
    assert first((1, SHAPES[:3], "loss", 3), tuned=same) == (
        "Any schedule will do if you tune the peak learning rate. "
        "At a tuned peak learning rate, the schedule made no difference of 0.1 in loss or more."
    )
    assert first((1, SHAPES[:3], "loss", 0), tuned=good) == (
        "Use linear or cosine rather than constant. Linear and cosine lowered loss by 0.03."
    )
    assert first((1, SHAPES[:3], "loss", 0), tuned=bad).startswith("Use constant. ")
    assert first((1, SHAPES[:3], "my_score", 0), tuned=open_) == (
        "These runs do not decide which schedule to use. No difference is shown, and none of 0.1 in my score "
        "is excluded."
    )


# Whole studies


def told_of(score: Any, **axes: Any) -> str:
    return plain(report(results(score, **axes), chapters=("main", "edge")).answer)


def test_the_answer_follows_the_data() -> None:
    flat = noisy((2, 5, 3, 4, 8), noise=0.002)
    assert told_of(flat).startswith(
        "If you tune the peak learning rate, any length of warmup or none will do. "
    )
    helped = flat.copy()
    helped[1, :, 1:] += 0.03
    assert told_of(helped).startswith("Use 1 to 5 epochs with AdamW rather than no warmup. At a tuned ")
    assert "lowered accuracy" in told_of(-flat + 2 * 0.9 - 0.05 * (helped - flat > 0))
    shift = np.zeros((2, 5, 3))
    shift[1, :, 1:] = 1.0
    moving = told_of(scores(moved(shift, spread=0.15)), rates=FINE)
    assert "; if you can't, use 1 to 5 epochs with AdamW." in moving
    shift[1, :2, 1:] = -0.5
    shift[1, 3:, 1:] = 3.0
    uneven = told_of(scores(moved(shift, spread=0.15)), rates=FINE)
    assert "If you can't tune it, use 1 to 5 epochs with AdamW at " in uneven
    assert "raised" not in uneven and "elsewhere no gain is shown" in uneven


def test_one_seed_and_missing_runs_come_with_a_word_of_caution() -> None:
    one = results(noisy((1, 2, 2, 2, 1)), of=study(seeds=1, choosing=0))
    said = report(one, chapters=("main",)).answer
    assert said.startswith("Compared with no warmup, test accuracy differed by ")
    assert said.endswith("One seed is a description, not a conclusion.")
    outcome = np.full((1, 2, 2, 2, 4), "done", dtype=object)
    outcome[:, :, :, :, 3] = "missing"
    late = report(results(noisy(outcome.shape), outcome=outcome), chapters=("main",))
    assert late.answer.startswith("Preliminary: 24 of 32 runs have a record. ")
    assert late.says[-1] == "Nothing is concluded: runs are missing."


@pytest.mark.parametrize("name", STUDIES._shipped)
def test_every_shipped_study_is_answered_within_the_limits(name: str) -> None:
    """Its own runs with scores that nothing changes, and with such that the treatment raises."""
    asked = STUDIES.build(name, {}).study().with_seeds(2)
    rng, points = np.random.default_rng(0), asked.points()
    treatments = [str(p.axes[asked.treatment]) for p in points]
    for gain in (0.0, 0.1):
        rows = []
        for p, treatment in zip(points, treatments, strict=True):
            y = 0.8 + gain * (treatment != treatments[0]) + 0.003 * rng.standard_normal()
            sums = {f"{split}_{asked.metric}": y for split in ("validation", "test")}
            rows.append(Row(p.run.id, p.axes, p.seed, "done", None, {**sums, "train_loss": 1 - y}))
        made = report(Results(asked, tuple(rows)))
        assert not made.failed
        within_limits(made)
        assert unknown_numbers(made, made.says) == []
        if "main" in asked.claims.get("primary", ("main",)) or not asked.chapters:
            assert made.says[0] if gain == 0 else made.says[0].startswith("Use ")
