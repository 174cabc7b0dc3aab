"""Studies in which one protocol chose on the test split, and in which not every setting has every seed: what
is claimed of which."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_regimes import IN_EPOCHS, SELECTION, SIZE, WARMUP, record, regimes, trace

from preheat.analysis.analyse import analyse
from preheat.analysis.answer import decidable, described
from preheat.analysis.findings import Findings
from preheat.analysis.results import Results, Row
from preheat.analysis.tabulate import tabulate
from preheat.analysis.tables import tables
from preheat.report.page import how_sure, tiles
from preheat.report.sections import sections
from preheat.report.write import write_report
from preheat.studies.regimes.surface import honest, twins

SIZES = (1000, 500, 100)
WARMUPS = [*IN_EPOCHS, {"steps": 40}]  # 40 updates and 5 epochs are one run at 100 per class
TASK, OPTIMIZER = "task.name", "optimizer.name"
Score = Callable[[int, float, int], float]


def noise(*key: float) -> float:
    """The same for the same run, so that two settings that are one run score alike."""
    return 0.004 * float(np.random.default_rng([int(1000 * k) for k in key]).standard_normal())


def plain(size: int, updates: float, seed: int) -> float:
    return 0.8 + noise(size, updates, seed)


def peaked(size: int, updates: float, seed: int) -> float:
    """Warmup helps by 10 points, at the middle size only."""
    return plain(size, updates, seed) + (0.1 if updates and size == 500 else 0.0)


def joined(*parts: Results, **changes: Any) -> Results:
    rows = [replace(r, run_id=f"p{i}") for i, r in enumerate(r for part in parts for r in part.rows)]
    return Results(replace(parts[0].study, **changes), tuple(rows))


def panel(
    score: Score, selection: str, *, seeds: int = 3, sizes: Sequence[int] = SIZES, task: str = "cifar10"
) -> list[Results]:
    """SGD and AdamW."""
    axes = {SELECTION: selection, TASK: task}
    return [
        regimes(score, WARMUPS, seeds=seeds, sizes=sizes, **{OPTIMIZER: o}, **axes) for o in ("sgd", "adamw")
    ]


def load(results: Results) -> Callable[[str], Any]:
    rows = {r.run_id: r for r in results.rows}

    def one(run_id: str) -> Any:
        end = int(rows[run_id].summary.get("total_steps") or 800)
        last = rows[run_id].summary.get("validation_accuracy") or 0.0
        return record(rows[run_id], validation_accuracy=trace([0, end // 2, end], [0.1, last + 0.02, last]))

    return one


def told(results: Results) -> Findings:
    return analyse(results, load(results))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def alone() -> Findings:
    return told(joined(*panel(plain, "validation")))


@pytest.fixture(scope="module")
def both() -> Findings:
    """The seed's protocol with a benefit of 10 points, the honest one without any."""
    return told(joined(*panel(peaked, "test", sizes=(5000, 500, 100)), *panel(plain, "validation")))


def test_claims_of_both_protocols_are_those_of_the_honest_one(both: Findings, alone: Findings) -> None:
    assert both.answer == alone.answer and both.rules and both.best
    for kind in ("effects", "best", "inside", "rules", "hypotheses"):
        assert getattr(both, kind) == getattr(alone, kind), kind
    assert both.updates is not None and alone.updates is not None
    assert (
        both.updates.exponents == alone.updates.exponents
        and both.updates.hypotheses == alone.updates.hypotheses
    )
    assert not any(e.verdict == "better" for e in both.effects)
    same = {e.treatment: e.estimate for e in both.effects if e.condition == "100" and "sgd" in e.panel}
    assert same["5ep"] == same["40"]


def test_the_seeds_panels_stay_where_cells_and_protocols_are_shown(both: Findings, tmp_path: Path) -> None:
    seeds = {"cifar10, sgd, test", "cifar10, adamw, test"}
    labels = {frozenset(x.split(", ")) for x in seeds}
    for kind in ("cells", "curves", "gaps"):
        assert labels <= {frozenset(x.panel.split(", ")) for x in getattr(both, kind)}, kind
    assert [g.condition for g in both.gaps][:3] == ["5000 / 1000", "500", "100"]
    assert any("count in no comparison" in n and n.startswith("2 panels") for n in both.notes)
    panels = tuple(p for p in both.panels if "sgd" in p)
    small = replace(both, panels=panels, curves=(), rates=(), best=(), inside=(), rules=(), updates=None)
    path = write_report(small, tmp_path, provenance={}, summary={}, tables=tables(both))
    text = re.sub(r"\s+", " ", path.read_text(encoding="utf-8"))
    assert "0 of 30" in text and "count in no comparison" in text and "The test split also chose" not in text
    assert len(list((tmp_path / "figures").glob("accuracy*.svg"))) == 2


def test_the_seeds_protocol_alone_is_what_there_is_and_the_answer_says_so() -> None:
    f = told(joined(*panel(peaked, "test")))
    assert f.answer.startswith("The test split also chose") and any(e.verdict == "better" for e in f.effects)
    bare = joined(*panel(peaked, "test"))
    axes = [{k: v for k, v in r.axes.items() if k != SELECTION} for r in bare.rows]
    kept = replace(bare.study, scientific=tuple(p for p in bare.study.scientific if p != SELECTION))
    hidden = Results(kept, tuple(replace(r, axes=a) for r, a in zip(bare.rows, axes, strict=True)))
    whole = load(bare)
    assert analyse(hidden, whole).answer == f.answer, "records tell it where the axes do not"  # type: ignore[arg-type]
    assert "test split" not in analyse(hidden).answer, "without records nothing tells"


def test_only_a_twin_takes_a_panel_out() -> None:
    other = panel(plain, "test", task="cifar100")
    table = tabulate(
        joined(
            *panel(plain, "test", sizes=(5000, 100)), *panel(plain, "validation", sizes=(1000, 100)), *other
        )
    )
    pairs = [(table.panels.values[p], table.panels.values[q]) for p, q in twins(table).items()]
    assert len(pairs) == 2 and all(a[SELECTION] == "test" and b[SELECTION] == "validation" for a, b in pairs)
    assert all(a[TASK] == b[TASK] == "cifar10" and a[OPTIMIZER] == b[OPTIMIZER] for a, b in pairs)
    fair = honest(table)
    assert [(v[TASK], v[SELECTION]) for v in fair.panels.values] == [("cifar10", "validation")] * 2 + [
        ("cifar100", "test")
    ] * 2
    assert set(fair.conditions.labels) == {"1000", "500", "100"} and fair.test.shape == (4, 3, 6, 1, 3)
    assert honest(fair) is fair


@pytest.mark.parametrize("selection", ["test", "validation"])
def test_a_pair_of_which_either_run_diverged_is_left_out_of_the_gap_and_counted(selection: str) -> None:
    given = joined(*panel(plain, "test"), *panel(plain, "validation"))
    want = {SELECTION: selection, OPTIMIZER: "sgd", SIZE: 500, WARMUP: {"epochs": 5.0}}
    (gone,) = [i for i, r in enumerate(given.rows) if r.seed == 1 and {k: r.axes[k] for k in want} == want]
    rows = list(given.rows)
    rows[gone] = replace(rows[gone], outcome="diverged", diverged=7, summary={"chance_accuracy": 0.1})
    f = told(replace(given, rows=tuple(rows)))
    g = next(g for g in f.gaps if g.condition == "500" and "sgd" in g.panel)
    assert (
        (g.runs, g.dropped) == (17, 1)
        and g.gap.mean == pytest.approx(0.02)
        and g.rest.mean == pytest.approx(0, abs=1e-9)
    )
    assert sum(x.dropped for x in f.gaps) == 1 and any("leaves out 1 of 108 pairs" in n for n in f.notes)
    assert next(r for r in tables(f)["protocols"] if r["dropped"])["runs"] == 17


def test_a_diverged_run_scores_its_own_tasks_chance() -> None:
    parts = [
        regimes(plain, IN_EPOCHS[:2], seeds=2, sizes=(100, 50), **{TASK: t}) for t in ("cifar10", "cifar100")
    ]
    rows: list[Row] = []
    for chance, part in zip((0.1, 0.01), parts, strict=True):
        rows += [replace(r, summary={**r.summary, "chance_accuracy": chance}) for r in part.rows]
    lost = [
        i for i, r in enumerate(rows) if r.axes[SIZE] == 50 and r.axes[WARMUP]["epochs"] == 1 and r.seed == 0
    ]
    for i in lost:
        rows[i] = replace(
            rows[i],
            outcome="diverged",
            diverged=3,
            summary={k: rows[i].summary[k] for k in ("chance_accuracy",)},
        )
    f = analyse(joined(*(replace(p, rows=tuple(rows[8 * i : 8 * i + 8])) for i, p in enumerate(parts))))
    low = {c.panel: min(c.values) for c in f.cells if c.diverged}
    assert low == {"cifar10": 0.1, "cifar100": 0.01}
    assert any("2 of 16 runs diverged and count with 10.0\xa0% and 1.0\xa0% (by task)" in n for n in f.notes)
    silent = [replace(r, summary={}) if i == lost[0] else r for i, r in enumerate(rows)]
    table = tabulate(
        joined(*(replace(p, rows=tuple(silent[8 * i : 8 * i + 8])) for i, p in enumerate(parts)))
    )
    assert np.nanmin(table.test[1]) == 0.01 and np.nanmin(table.test[0]) == 0.1, (
        "its panel's where its own summary lacks it"
    )


def mixed() -> Findings:
    """SGD with three seeds, AdamW with one and ten times the differences."""

    def wide(size: int, updates: float, seed: int) -> float:
        return 0.8 + 10 * noise(size, updates, seed) + (0.2 if updates else 0.0)

    grids = [
        regimes(s, IN_EPOCHS, seeds=n, sizes=SIZES, **{OPTIMIZER: o})
        for s, n, o in ((plain, 3, "sgd"), (wide, 1, "adamw"))
    ]
    return analyse(joined(*grids))


def test_one_seed_numbers_are_not_given_as_those_of_more() -> None:
    f = mixed()
    judged = [e.estimate.mean for e in f.effects if e.estimate.n > 1]
    assert len(judged) == len(decidable(f.effects)) == 12 and len(f.effects) == 24
    span = f"run from {100 * min(judged):+.1f} to {100 * max(judged):+.1f}\xa0points, on 3 seeds. 12 more have one seed: described only."
    assert span.replace("-", "\N{MINUS SIGN}") in f.answer and "of 12 comparisons" in f.answer
    (tile,) = [t for t in tiles(f) if t.anchor == "benefit"]
    assert tile.number.endswith("of 12") and "12 more have one seed" in tile.text
    sure = how_sure(f)
    assert (
        "(n\xa0=\xa01 to 3: not every setting has every seed)" in sure[0]
        and "no rate had to be chosen" in sure[0]
    )
    assert "Of 12 comparisons of two seeds or more" in sections(f, [])["benefit"].lead
    assert "no result by itself" in sections(f, [])["best"].lead
    assert "no result by itself" not in sections(replace(f, choosing=(7,)), [])["best"].lead
    assert any("15 of 30 settings have one judging seed" in n for n in f.notes)


def test_comparisons_of_one_seed_or_none_are_counted_apart() -> None:
    f = mixed()
    lone = [e for e in f.effects if e.estimate.n == 1]
    nothing = replace(lone[0], estimate=replace(lone[0].estimate, n=0))
    assert described(f.effects) == ["12 more have one seed: described only."] and described([]) == []
    assert described([lone[0], nothing]) == [
        "1 more has one seed: described only.",
        "1 more has no judged run.",
    ]
    only = replace(f, effects=tuple(lone))
    assert "described only" in sections(only, [])["benefit"].lead
    (tile,) = [t for t in tiles(only) if t.anchor == "benefit"]
    assert (tile.number, tile.text) == ("12", "comparisons, none of two seeds or more: described only")


def test_seeds_that_chose_and_judge_are_not_said_to_have_had_no_choice() -> None:
    f = replace(mixed(), nuisance="peak_lr")
    assert "chose the peak learning rate and judge it too" in how_sure(f)[0]


def test_hypotheses_without_a_choosing_seed_name_what_sets_one_apart(alone: Findings) -> None:
    h1 = alone.hypotheses[0]
    assert h1.verdict == "not decided" and "--tune-lr" in h1.text and "choosing to 1 or more" in h1.text
