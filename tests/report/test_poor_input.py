"""Poor input never crashes, never claims, and is named."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from analysed import Analysed, analyse
from fake_results import noisy, results, study
from told import within_limits

from preheat.analysis.results import Results, Row
from preheat.core.canon import known
from preheat.stats.claims import Verdict


def outcomes(kind: str, share: float = 1.0) -> Any:
    hit = np.random.default_rng(0).random((2, 5, 5, 4, 5)) < share
    return np.where(hit, kind, "done")


def plain(name: str, **changes: Any) -> Results:
    """A study without the panels' axis, with few rows."""
    of = study(
        seeds=changes.pop("seeds", 4),
        name=name,
        scientific=("schedule.warmup",),
        condition="",
    )
    of = replace(of, **changes)
    panels, sizes = ("sgd",), (1,)
    shape = (1, 1, 3, 1 if not of.nuisance else 4, len(of.seeds))
    return results(noisy(shape, seed=1), of=of, panels=panels, sizes=sizes)


def renamed(given: Results, metric: str) -> Results:
    rows = [
        replace(r, summary={k.replace("accuracy", metric): v for k, v in r.summary.items()})
        for r in given.rows
    ]
    return Results(replace(given.study, metric=metric, goal="min"), tuple(rows))


def with_treatments(values: list[Any]) -> Results:
    of = study(seeds=4, scientific=("optimizer",), condition="", treatment="optimizer", nuisance=())
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
    "one seed": results(noisy((2, 5, 5, 4, 1)), of=study(seeds=1)),
    "one seed, no nuisance": results(noisy((2, 5, 5, 1, 1)), of=study(seeds=1, nuisance=())),
    "an old split": results(noisy((2, 5, 5, 4, 3), noise=0.05), of=study(seeds=3, choosing=2)),
    "stages that saw all": results(
        noisy((2, 5, 5, 4, 5)), of=study(seeds=5, stages=("search",), chapters=("main", "edge", "best"))
    ),
    "no nuisance": results(noisy((2, 5, 5, 1, 3), noise=0.1), of=study(seeds=3, nuisance=())),
    "all equal": results(np.full((2, 5, 5, 4, 5), 0.9)),
    "not finite": results(np.full((2, 5, 5, 4, 5), math.nan)),
    "no condition": plain("a"),
    "no condition, no nuisance": plain("b", nuisance=()),
    "nothing learnt": results(noisy((2, 5, 5, 4, 5), noise=0.01) - 0.8),
    "loss": renamed(plain("c"), "loss"),
    "loss, all diverged": renamed(results(noisy((2, 5, 5, 4, 5)), outcome=outcomes("diverged")), "loss"),
    "unknown baseline": plain("d", baseline={"epochs": 3}),
    "one treatment": results(noisy((2, 5, 1, 4, 5))),
    "one size": results(noisy((2, 1, 5, 4, 5))),
    "two sizes": results(noisy((2, 2, 5, 4, 5))),
    "one of everything": results(noisy((1, 1, 1, 1, 1)), of=study(seeds=1)),
    "categorical condition": results(noisy((2, 3, 5, 4, 5)), sizes=("a", "b", "c")),
    "categorical nuisance": results(noisy((2, 5, 5, 3, 5)), rates=("low", "middle", "high")),
    "one label for two treatments": with_treatments(
        [{"name": "sgd", "momentum": 0.9}, {"name": "sgd", "momentum": 0.0}]
    ),
}


@cache
def found(name: str) -> Analysed:
    return analyse(POOR[name])


LITTLE = ("one seed", "missing", "diverged", "failed", "equal", "finite", "one treatment", "of everything")


@pytest.mark.parametrize("name", POOR)
def test_poor_input_never_crashes_and_never_claims(name: str) -> None:
    f = found(name)
    assert not f.report.failed
    verdicts = f.report.verdicts.values()
    assert not any(v.differs for v in verdicts), "nothing differs in any of these"
    if any(word in name for word in (*LITTLE, "stages that saw all")):
        assert all(v.verdict is Verdict.OPEN for v in verdicts)
    within_limits(f.report)
    said = " ".join([f.answer, *f.notes, *(h.text for h in f.hypotheses)])
    assert not re.search(r"\bnan\b|\bNone\b", said)
    json.dumps(known(f.report.summary()), allow_nan=False)
    for rows in f.report.tables().values():
        assert len({tuple(r) for r in rows}) <= 1, "rows of one table have one header"
    assert f.counts.planned == len(POOR[name].rows) == len(f.runs)


def test_poor_input_is_named() -> None:
    said = {name: " ".join([f.answer, *f.notes]) for name, f in ((name, found(name)) for name in POOR)}
    assert "no runs" in said["empty"] and "No run" in said["all missing"] and "No run" in said["all failed"]
    assert "All 1000 runs that started diverged" in said["all diverged"]
    assert said["half missing"].startswith("Preliminary: ")
    assert "description, not a conclusion" in said["one seed"]
    assert "its seeds choose the nuisances. This is no longer so" in said["an old split"]
    assert "biased" in said["stages that saw all"] and "Nothing is concluded" in said["stages that saw all"]
    assert "biased" not in said["no nuisance"]
    assert said["nothing learnt"].startswith("No setting of this study learnt anything: the lowest training")
    assert "learnt anything" not in said["all equal"] + said["no condition"]
    assert "not among the treatments" in said["unknown baseline"]
    assert "nothing to compare" in said["one treatment"]
    labels = found("one label for two treatments").treatments
    assert labels == ("sgd(momentum=0.9)", "sgd(momentum=0)")
