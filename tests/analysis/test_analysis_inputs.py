"""The analysis as a whole: a study reads right, poor input never crashes and never claims, curves, the
index."""

from __future__ import annotations

import json
import math
import re
from array import array
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest
from fake_results import PANELS, SIZES, WARMUPS, noisy, results, study

from preheat.analysis.analyse import analyse
from preheat.analysis.findings import Findings
from preheat.analysis.results import Results, Row, collect, read_index
from preheat.analysis.tables import findings_json, tables
from preheat.core.errors import UserError
from preheat.core.grid import Block
from preheat.core.record import Series, Status
from preheat.core.spec import Spec
from preheat.core.study import index_json
from preheat.stats.averaging import thin


def test_a_whole_study_reads_right() -> None:
    score = noisy((2, 5, 5, 4, 8))
    score[..., 3, :] = 0.12
    score[:, :, :2, 2, :] = 0.12
    f = analyse(results(score))
    assert (f.treatments, f.conditions, f.panels) == (
        tuple(f"{w}ep" for w in WARMUPS),
        tuple(map(str, SIZES)),
        PANELS,
    )
    assert (len(f.cells), len(f.effects), len(f.best), len(f.edges), len(f.inside)) == (50, 40, 10, 50, 10)
    assert [h.code for h in f.hypotheses] == ["H1", "H2", "H3", "H4"]
    assert [r.panel for r in f.rules] == ["sgd", "adamw"]
    assert [(p.panel, p.treatment) for p in f.pooled] == [(p, f"{w}ep") for p in PANELS for w in WARMUPS[1:]]
    assert (f.choosing, f.judging) == ((0, 1, 2), (3, 4, 5, 6, 7))
    assert f == analyse(results(score)), "the same results give the same findings"
    assert f.runs[0] == {
        "examples_per_class": 100,
        "warmup": "0ep",
        "optimizer": "sgd",
        "peak_lr": 0.05,
        "seed": 0,
        "outcome": "done",
        "diverged_step": None,
        "validation_accuracy": score[0, 0, 0, 0, 0],
        "test_accuracy": score[0, 0, 0, 0, 0],
        "train_loss": None,
        "id": "run00000",
    }


def told(score: Any, **axes: Any) -> str:
    return analyse(results(score, **axes)).answer.replace("\N{NO-BREAK SPACE}", " ")


def test_the_answer_speaks_to_a_practitioner() -> None:
    score = noisy((2, 5, 5, 4, 8), noise=0.002)
    score[..., 3, :] = 0.12
    score[1, :, :2, 2, :] = 0.12
    said = told(score)
    assert said.startswith(
        "With AdamW, warmup raises the highest usable peak learning rate, all data sizes together: "
        "to 2.00 times that of no warmup with 5 epochs (95 % interval "
    )
    assert "; with 1 epoch (1.00, " in said and "With SGD no length of warmup is shown to move it" in said
    assert (
        "none of 40 comparisons with no warmup is surely better or worse (40 equivalent within 1 point, 0 "
        "not decided)" in said
    )
    assert said.endswith(
        "In practice: if you train near the edge, warm up with AdamW (5 epochs is enough to raise it); at a "
        "tuned peak "
        "learning rate the length of warmup hardly matters; well inside the edge the length of warmup hardly "
        "matters."
    )
    assert 4 <= len(re.findall(r"[.](?= [A-Z]|$)", said)) <= 6
    assert not re.search(r"\dep\b|sgd|adamw| -\d|0\.0\d", said)


def test_the_answer_follows_the_data() -> None:
    helped, hurt = noisy((1, 5, 2, 4, 8), noise=0.002), noisy((1, 5, 2, 4, 8), noise=0.002)
    helped[:, :, 1] += 0.03
    hurt[:, :, 1, 2:] = 0.12
    hurt[..., 3, :] = 0.12
    assert "5 are surely better and 0 worse (0 equivalent" in told(helped)
    assert "surely matters in 5 of 5 comparisons" in told(helped) and "hardly" not in told(helped)
    assert "With SGD, warmup lowers the highest usable peak learning rate" in told(hurt)
    assert "no length of warmup was shown to allow a higher peak learning rate" in told(hurt)
    one = results(hurt[..., :1], of=study(seeds=1, choosing=0))
    assert "by a factor of 0.50 on one seed: a description, not a conclusion." in analyse(one).answer
    assert "In practice" not in analyse(one).answer


def outcomes(kind: str, share: float = 1.0) -> Any:
    hit = np.random.default_rng(0).random((2, 5, 5, 4, 5)) < share
    return np.where(hit, kind, "done")


def claims(f: Findings) -> list[Any]:
    sure = [e for e in f.effects if e.verdict != "not decided"] + [
        h for h in f.hypotheses if h.verdict != "not decided"
    ]
    return [
        *sure,
        *(e for e in f.edges if (e.p_adjusted or 1) < 0.05),
        *(i for i in f.inside if i.equivalent),
    ]


def plain(name: str, **changes: Any) -> Results:
    """A study without the panels' axis, with few rows."""
    of = study(
        seeds=changes.pop("seeds", 4),
        choosing=changes.pop("choosing", 1),
        name=name,
        scientific=("schedule.warmup",),
        condition="",
    )
    of = replace(of, **changes)
    panels, sizes = ("sgd",), (1,)
    shape = (1, 1, 3, 1 if not of.nuisance else 4, len(of.seeds))
    return results(noisy(shape), of=of, panels=panels, sizes=sizes)


def renamed(given: Results, metric: str) -> Results:
    rows = [
        replace(r, summary={k.replace("accuracy", metric): v for k, v in r.summary.items()})
        for r in given.rows
    ]
    return Results(replace(given.study, metric=metric, goal="min"), tuple(rows))


def with_treatments(values: list[Any]) -> Results:
    of = study(
        seeds=4, choosing=1, scientific=("optimizer",), condition="", treatment="optimizer", nuisance=()
    )
    rng = np.random.default_rng(0)
    summary = {"total_steps": 10, "steps_per_epoch": 5}
    rows = [
        Row(
            f"{i}-{s}",
            {"optimizer": v},
            s,
            "done",
            None,
            {**summary, "validation_accuracy": rng.random(), "test_accuracy": rng.random()},
        )
        for i, v in enumerate(values)
        for s in range(4)
    ]
    return Results(of, tuple(rows))


POOR = {
    "empty": Results(study(), ()),
    "all missing": results(noisy((2, 5, 5, 4, 5)), outcome=outcomes("missing")),
    "all diverged": results(noisy((2, 5, 5, 4, 5)), outcome=outcomes("diverged")),
    "all failed": results(noisy((2, 5, 5, 4, 5)), outcome=outcomes("failed")),
    "half missing": results(noisy((2, 5, 5, 4, 5)), outcome=outcomes("missing", 0.5)),
    "nearly all diverged": results(noisy((2, 5, 5, 4, 5)), outcome=outcomes("diverged", 0.97)),
    "one seed": results(noisy((2, 5, 5, 4, 1)), of=study(seeds=1, choosing=0)),
    "one seed, no nuisance": results(noisy((2, 5, 5, 1, 1)), of=study(seeds=1, choosing=0, nuisance=())),
    "one judging seed": results(noisy((2, 5, 5, 4, 3)), of=study(seeds=3, choosing=2)),
    "choosing 0": results(noisy((2, 5, 5, 4, 5)), of=study(seeds=5, choosing=0)),
    "choosing 0, no nuisance": results(
        noisy((2, 5, 5, 1, 3), noise=0.1), of=study(seeds=3, choosing=0, nuisance=())
    ),
    "all equal": results(np.full((2, 5, 5, 4, 5), 0.9)),
    "not finite": results(np.full((2, 5, 5, 4, 5), math.nan)),
    "no condition": plain("a"),
    "no condition, no nuisance": plain("b", nuisance=(), choosing=0),
    "loss": renamed(plain("c"), "loss"),
    "loss, all diverged": renamed(results(noisy((2, 5, 5, 4, 5)), outcome=outcomes("diverged")), "loss"),
    "unknown baseline": plain("d", baseline={"epochs": 3}),
    "one treatment": results(noisy((2, 5, 1, 4, 5))),
    "one size": results(noisy((2, 1, 5, 4, 5))),
    "two sizes": results(noisy((2, 2, 5, 4, 5))),
    "one of everything": results(noisy((1, 1, 1, 1, 1)), of=study(seeds=1, choosing=0)),
    "categorical condition": results(noisy((2, 3, 5, 4, 5)), sizes=("a", "b", "c")),
    "categorical nuisance": results(noisy((2, 5, 5, 3, 5)), rates=("low", "middle", "high")),
    "one label for two treatments": with_treatments(
        [{"name": "sgd", "momentum": 0.9}, {"name": "sgd", "momentum": 0.0}]
    ),
}


@cache
def found(name: str) -> Findings:
    return analyse(POOR[name])


@pytest.mark.parametrize("name", POOR)
def test_poor_input_never_crashes_and_never_claims(name: str) -> None:
    f = found(name)
    assert not claims(f)
    assert f.answer.endswith(".") and "nan" not in " ".join(
        [f.answer, *f.notes, *(h.text for h in f.hypotheses)]
    )
    json.dumps(findings_json(f), allow_nan=False)
    for rows in tables(f).values():
        assert len({tuple(r) for r in rows}) <= 1, "rows of one table have one header"
    assert f.counts.planned == len(POOR[name].rows) == len(f.runs)


def test_poor_input_is_named() -> None:
    said = {name: " ".join([f.answer, *f.notes]) for name, f in ((name, found(name)) for name in POOR)}
    assert "no runs" in said["empty"] and "No run" in said["all missing"] and "No run" in said["all failed"]
    assert "All 1000 runs that started diverged" in said["all diverged"]
    assert said["half missing"].startswith("Preliminary: ")
    assert "description, not a conclusion" in said["one judging seed"]
    assert "biased" in said["choosing 0"] and "nothing is concluded" in said["choosing 0"]
    assert "biased" not in said["choosing 0, no nuisance"]
    assert "not among the treatments" in said["unknown baseline"]
    assert "nothing to compare" in said["one treatment"]
    labels = found("one label for two treatments").treatments
    assert labels == ("sgd(momentum=0.9)", "sgd(momentum=0)")


def test_hypotheses_only_for_warmup_against_data_size() -> None:
    assert found("no condition").hypotheses == ()
    assert found("categorical condition").hypotheses == ()
    texts = {h.code: h.text for h in found("two sizes").hypotheses}
    assert "three data sizes" in texts["H1"] and "two tasks" in texts["H3"]


def test_hypotheses_say_only_what_the_numbers_do_not() -> None:
    texts = {h.code: h.text for h in analyse(results(noisy((2, 5, 5, 4, 8)))).hypotheses}
    assert (
        "with SGD" in texts["H1"]
        and "with AdamW" in texts["H1"]
        and "points at 100" in texts["H1"].replace("\xa0", " ")
    )
    assert "With AdamW it is" in texts["H2"] and "run the study again" in texts["H3"]
    assert not any(
        re.search("not decided|supported|contradicted|judging seeds", t, re.I) for t in texts.values()
    )


# Reading and curves


class Head(NamedTuple):
    id: str
    status: Status
    summary: dict[str, float | None]


class Planned(NamedTuple):
    axes: dict[str, Any]
    seed: int
    run: Any
    names: tuple[str, ...] = ()


def test_collect_and_the_index() -> None:
    of = study(seeds=2, choosing=0, grid=(Block(product={"peak_lr": [0.1, 0.2]}),))
    points = [
        Planned({"peak_lr": r}, s, Head(f"{r}-{s}", Status("done"), {})) for r in (0.1, 0.2) for s in (0, 1)
    ]
    again, index = read_index(json.loads(json.dumps(index_json(of, points))))  # type: ignore[arg-type]
    assert again.json() == of.json() and index[1] == ({"peak_lr": 0.1}, 1, "0.1-1")
    heads = [
        Head("0.1-0", Status("done"), {"test_accuracy": 0.9}),
        Head("0.2-1", Status("diverged", 5), {}),
        Head("other", Status("done"), {}),
    ]
    rows = collect(again, index, heads).rows
    assert [(r.outcome, r.diverged) for r in rows] == [
        ("done", None),
        ("missing", None),
        ("missing", None),
        ("diverged", 5),
    ]
    for broken in ({}, [], {"study": of.json()}, {"study": of.json(), "points": [{"axes": 3}]}):
        with pytest.raises(UserError, match=r"study\.json"):
            read_index(broken)


class Factor(NamedTuple):
    warmup: float

    def resolve(self, total: int, per_epoch: float | None = None, **more: Any) -> Any:
        return lambda k: np.minimum(1.0, (np.asarray(k) + 0.5) / max(self.warmup * (per_epoch or 1), 0.5))


class Trained(NamedTuple):
    run: Any
    trace: dict[str, Series]


def test_curves_are_the_mean_over_judging_seeds() -> None:
    given = results(noisy((1, 2, 2, 1, 5)), panels=("sgd",), sizes=(50, 5), warmups=(0, 20))
    rows = {r.run_id: r for r in given.rows}

    def load(run_id: str) -> Any:
        row = rows[run_id]
        assert row.seed >= 3, "curves show the judging seeds"
        run = type(
            "Run",
            (),
            {
                "task": Spec("digits"),
                "peak_lr": 0.1,
                "factor_over": Factor(row.axes["schedule.warmup"]["epochs"]).resolve,
            },
        )
        loss = Series(array("q", range(400)), array("d", [2.0 + row.seed] * 400))
        accuracy = Series(array("q", [0, 200, 400]), array("d", [0.1, 0.5 + row.seed, 0.9]))
        return Trained(run, {"train_loss": loss, "validation_accuracy": accuracy})

    f = analyse(given, load)
    by = {(c.condition, c.treatment, c.what): c for c in f.curves}
    accuracy, loss = by["50", "0ep", "validation_accuracy"], by["50", "0ep", "train_loss"]
    assert accuracy.x == (0.0, 0.5, 1.0) and accuracy.y == pytest.approx((0.1, 4.0, 0.9)) and accuracy.n == 2
    assert accuracy.hi[1] - accuracy.y[1] == pytest.approx(math.sqrt(0.5), rel=1e-5)
    assert len(loss.x) == 100 and set(loss.y) == {5.5}
    assert [(r.panel, r.condition, r.treatment) for r in f.rates] == [("", "", "0ep"), ("", "", "20ep")]
    assert f.rates[0].y[0] == 1.0 and f.rates[1].y[0] < 0.01 and f.rates[1].y[-1] == 1.0


def test_thin_keeps_the_mean() -> None:
    x = np.arange(1000.0)
    a, b = thin(x, x**2)
    assert len(a) == 100 and b.mean() == pytest.approx((x**2).mean())
