"""The page of a study of data regimes: its chapters, its tables, and panels of which the grid is not
whole."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_regimes import (
    IN_EPOCHS,
    OPTIMIZER,
    SELECTION,
    SIZE,
    WARMUP,
    hill,
    loader,
    regimes,
    trace,
    two_protocols,
)
from fake_results import noisy, results
from pages import parsed, write
from reported import changed, found, plate, shown

from preheat.analysis.results import Results, Row
from preheat.core.record import Series
from preheat.report.report import Report, report
from preheat.stats.estimates import Estimate
from preheat.studies.regimes.first_epochs import Milestone
from preheat.studies.regimes.grid import IMAGES, REPORTED
from preheat.studies.regimes.protocols import Gap
from preheat.studies.regimes.study import Regimes

NEW = ("updates", "protocols", "first_epochs")
GAP = "\N{NO-BREAK SPACE}"


def gradient(row: Row) -> Series:
    per = int(row.summary["steps_per_epoch"] or 1)
    return trace(range(0, 11 * per, per), [5.0 - 0.3 * e for e in range(11)])


def made(
    *, selection: str | None = "test", kept: Callable[[Row], bool] = lambda row: True, chapters: Any = ()
) -> Report:
    """SGD on the whole grid with three seeds, AdamW on a part of it with one, probes and (if selection) the
    original protocol. kept: the rows that were planned."""
    extra = {SELECTION: selection} if selection else {}
    grids = [
        regimes(hill(lambda n: 40.0), IN_EPOCHS, seeds=n, **{OPTIMIZER: o}, **extra)
        for n, o in ((3, "sgd"), (1, "adamw"))
    ]
    part = [
        r
        for r in grids[1].rows
        if r.axes[SIZE] in (5000, 50) and r.axes[WARMUP]["epochs"] in ((0, 5) if r.axes[SIZE] == 50 else (5,))
    ]
    rows = [replace(r, run_id=f"q{i}") for i, r in enumerate((*grids[0].rows, *part)) if kept(r)]
    given = Results(replace(grids[0].study, notes=("Three sizes are one.",)), tuple(rows))
    return report(given, loader(given, **({"grad_norm": gradient} if selection else {})), chapters=chapters)


@pytest.fixture(scope="module")
def f() -> Report:
    return made()


def test_a_study_without_regimes_has_none_of_the_chapters() -> None:
    other = report(results(noisy((1, 2, 2, 2, 4)), sizes=("a", "b")), chapters=REPORTED)
    names = {c.name for c in other.chapters}
    assert not set(NEW) & names and not {"hypotheses", "rule"} & names and {"edge", "metric"} <= names


def test_chapters_say_what_was_selected_on_what_and_what_gives_the_rest(f: Report) -> None:
    assert set(NEW) <= {c.name for c in f.chapters}
    said = shown(f, "protocols").lead
    assert (
        "the test split was used for selection" in said
        and "--protocol both" in said
        and "Only one protocol" in said
    )
    place = shown(f, "updates")
    assert [c.code for c in place.cards] == ["H1", "H2"]
    exponents, grid, best, lengths = place.tables
    assert (
        exponents.columns[:3]
        == ("optimizer and selection", "not a fixed number of updates", "not a fixed number of epochs")
        and not exponents.folded
        and grid.folded
    )
    assert "noise moves it" in exponents.caption and "of the seeds' picks" in place.cards[1].how
    assert (
        [r[0] for r in exponents.rows] == ["SGD, test"]
        and len(best.rows) == 5
        and len(lengths.rows) == 25 + 3
    )
    assert ("SGD, test", "5000", "5ep", "1,955", "5", "5 %") in lengths.rows
    (table,) = shown(f, "protocols").tables
    assert "best minus last" in table.columns[5] and len(table.rows) == 7
    early = shown(f, "first_epochs").tables[0]
    assert early.columns[3:] == ("epoch", "gradient norm", "learning rate")
    assert early.rows[0][3:5] == ("1", "4.7")


def test_both_protocols_have_a_table_of_the_gap(f: Report) -> None:
    honest = made(selection="validation", chapters=("protocols",))
    assert "honest protocol" in shown(f, "protocols").lead
    assert "original protocol" in shown(honest, "protocols").lead
    assert "used for selection" not in shown(honest, "protocols").lead
    e = Estimate(0.02, 0.01, 0.03, 3)
    parts = Estimate(0.03, 0.02, 0.04, 3), e, Estimate(0.01, None, None, 1)
    gap = Gap("sgd, test", "5000 / 4500", 0.93, 0.9, *parts, "seeds", 15)
    both = changed(f, "protocols", protocols=(gap, replace(gap, condition="500")))
    assert [text.replace(GAP, " ") for text in both.tables[0].rows[0]] == [
        *("SGD, test", "5000 / 4500", "93.0 %", "90.0 %"),
        *("+3.0 points (+2.0 to +4.0)", "+2.0 points (+1.0 to +3.0)", "+1.0 points", "3 seeds", "15"),
    ]
    assert [t.folded for t in both.tables] == [False, True]
    assert "at 5000 / 4500 it also has fewer" in both.lead
    same = changed(f, "protocols", protocols=(replace(gap, condition="500"),))
    assert "also has fewer" not in same.lead


def test_the_exponents_table_has_the_pages_verdicts_and_a_band_is_half_its_width(f: Report) -> None:
    (row,) = shown(f, "updates").tables[0].rows
    for unit, told in zip(("updates", "epochs"), row[1:3], strict=True):
        assert told.startswith(str(f.verdicts[f"updates/sgd, test/{unit}"].verdict))
    at = Milestone("sgd, test", "5000", "5ep", "grad_norm", 1.0, 2.0, 1.5, 2.5, 3)
    rows = changed(f, "first_epochs", milestones=(at,)).tables[0].rows
    assert rows[0][4] == "2 \N{PLUS-MINUS SIGN} 0.5"


def test_figures_of_regimes_show_what_was_measured(f: Report) -> None:
    lines = plate(f, "updates", "by-updates-sgd-test")
    assert f.table is not None and [x.name for x in lines.lines] == list(f.table.conditions.labels)
    assert lines.lines[0].x == (391, 1955, 3910, 7820)
    effects = [e for e in found(f, "benefit", "effects") if e.panel == "sgd, test"]
    gain = {(e.condition, e.treatment): e.estimate.mean for e in effects}
    assert lines.lines[0].y[1] == pytest.approx(100 * gain["5000", "5ep"])
    told = {
        (g.condition, g.treatment): g.gain
        for g in found(f, "updates", "warmup_gains")
        if g.panel == "sgd, test"
    }
    assert told == pytest.approx(gain) and f.tables()["warmup_gains"], (
        "they are found, not made while drawing"
    )
    best = plate(f, "updates", "best-updates-sgd-test")
    assert best.ticks == (50, 100, 500, 1000, 5000) and best.lines[1].y[-1] == pytest.approx(391)
    assert all(lo >= s - 1e-9 for lo, s in zip(best.lines[0].lo, best.lines[1].y, strict=True))
    norm = plate(f, "first_epochs", "first-epochs-gradient-norm-sgd-test")
    assert [p.title[-4:].strip(": ") for p in norm.parts] == ["5000", "500", "50"]
    assert plate(f, "updates", "by-updates-adamw-test") is None
    assert not [p.name for p in shown(f, "first_epochs").plates if "distance" in p.name]


def test_a_grid_that_is_not_whole_shows_only_what_was_run(f: Report) -> None:
    heat = plate(f, "metric", "accuracy-adamw-test")
    assert (heat.rows, heat.columns) == (
        ("5000", "50"),
        ("no warmup", "5\N{NO-BREAK SPACE}epochs"),
    ) and heat.values[0][0] is None
    assert heat.texts[0] == ("\N{EN DASH}", heat.texts[0][1]) and "n = 1" in heat.texts[0][1]
    whole = plate(f, "metric", "accuracy-sgd-test")
    assert len(whole.rows) == len(whole.columns) == 5 and None not in whole.values[0]
    sets = {b.panel: b for b in found(f, "best", "best")}
    assert sets["adamw, test"].treatments == ("0ep", "5ep") and sets["adamw, test"].n == 1
    assert len(sets["sgd, test"].treatments) == 5 and sets["sgd, test"].n == 3
    at = {SIZE: 100, WARMUP: {"epochs": 10.0}}
    few = made(kept=lambda row: {k: row.axes[k] for k in at} != at, chapters=("best",))
    rests = {place for c in few.claims if c.at[0] == "sgd, test" for place in c.rests}
    assert {c for _, c, _ in rests} == {"5000", "1000", "500", "50"}, "where all treatments were run"
    assert len({c for _, c, _ in next(c.rests for c in f.claims if c.name.startswith("best/sgd"))}) == 5


def test_the_page_is_whole_and_names_every_new_file(tmp_path: Path) -> None:
    path = write(made(chapters=(*NEW, "hypotheses")), tmp_path)
    page = parsed(path)
    assert not page.open and len(page.ids) == len(set(page.ids))
    assert {"updates", "protocols", "first-epochs", "hypotheses"} <= set(page.ids)
    assert all(a[1:] in page.ids if a.startswith("#") else (tmp_path / a).is_file() for a in page.addresses)
    names = {p.stem for p in (tmp_path / "tables").glob("*.csv")}
    assert {
        *("warmup_lengths", "best_updates", "exponents", "hypotheses_in_updates"),
        *("optimism", "first_epochs", "milestones"),
    } <= names
    assert {p.stem for p in (tmp_path / "figures").glob("best-updates*")} == {"best-updates-sgd-test"}
    text = re.sub(r"\s+", " ", path.read_text(encoding="utf-8"))
    assert "Three sizes are one." in text and ">Epochs or updates</a>" in text
    assert json.loads((tmp_path / "summary.json").read_text())["name"] == "made-up"


def test_what_a_regimes_study_found_is_json_and_tables() -> None:
    given, records = two_protocols()
    f = report(given, records.__getitem__)
    data = json.loads(json.dumps(f.summary(), allow_nan=False))["chapters"]
    assert data["updates"]["exponents"] and len(data["protocols"]["protocols"]) == 2
    rows = f.tables()
    assert {"b", "b_lo", "b_hi", "b_n", "chance", "p_choices"} <= set(rows["exponents"][0])
    told = json.loads(json.dumps(f.summary()))["verdicts"]
    assert {"updates/validation/updates", "updates/H1"} <= {v["name"] for v in told}
    assert {"gap", "optimism_lo", "rest", "over"} <= set(rows["protocols"][0])
    assert len(rows["warmup_lengths"]) == 12 and rows["hypotheses_in_updates"][0]["code"] == "H1"


def test_notes_of_the_study_come_first() -> None:
    given, records = two_protocols(notes=("cifar100: three sizes are one.",))
    assert report(given, records.__getitem__).notes[0] == "cifar100: three sizes are one."


def test_a_regimes_study_names_its_primary_families_and_so_does_one_that_is_adopted() -> None:
    made = [Regimes(), Regimes(tasks=IMAGES, tune_lr=True), Regimes(tasks=IMAGES)]
    named = [list(r.study().claims["primary"]) for r in made]
    assert named == [["main", "edge", "hypotheses"]] * 2 + [["main", "hypotheses"]], "one rate has no edge"
    for r in made:
        old = Regimes.adopt(replace(r.study(), claims={}))
        assert old is not None and old.claims == r.study().claims
