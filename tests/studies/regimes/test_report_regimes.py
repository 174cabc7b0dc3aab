"""The page of a study of data regimes: its sections, its tables, and panels of which the grid is not
whole."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from fake_findings import full
from fake_regimes import IN_EPOCHS, SELECTION, SIZE, WARMUP, hill, record, regimes, trace
from test_report import parsed

from preheat.analysis.analyse import analyse
from preheat.analysis.findings import Estimate, Findings
from preheat.analysis.results import Results
from preheat.analysis.tables import tables
from preheat.report import figdata, regimedata
from preheat.report.page import tiles
from preheat.report.plates import plates
from preheat.report.sections import sections
from preheat.report.write import write_report
from preheat.studies.regimes.findings import Gap, Milestone

NEW = ("updates", "protocols", "early")


def found(*, selection: str | None = "test") -> Findings:
    """SGD on the whole grid with three seeds, AdamW on a part of it with one, probes and (if selection) the
    seed's protocol."""
    extra = {SELECTION: selection} if selection else {}
    grids = [
        regimes(hill(lambda n: 40.0), IN_EPOCHS, seeds=n, **{"optimizer.name": o}, **extra)
        for n, o in ((3, "sgd"), (1, "adamw"))
    ]
    part = [
        r
        for r in grids[1].rows
        if r.axes[SIZE] in (5000, 50) and r.axes[WARMUP]["epochs"] in ((0, 5) if r.axes[SIZE] == 50 else (5,))
    ]
    rows = [replace(r, run_id=f"q{i}") for i, r in enumerate((*grids[0].rows, *part))]
    study = replace(grids[0].study, notes=("Three sizes are one.",))
    at = {r.run_id: r for r in rows}

    def load(run_id: str) -> object:
        total = int(at[run_id].summary["total_steps"] or 0)
        per = total // 100
        end = at[run_id].summary["validation_accuracy"] or 0.0
        probes = (
            {"grad_norm": trace(range(0, 11 * per, per), [5.0 - 0.3 * e for e in range(11)])}
            if selection
            else {}
        )
        return record(
            at[run_id], validation_accuracy=trace([0, total // 2, total], [0.1, end + 0.01, end]), **probes
        )

    return analyse(Results(study, tuple(rows)), load)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def f() -> Findings:
    return found()


def test_a_study_without_regimes_has_none_of_the_sections() -> None:
    assert not set(NEW) & set(sections(full(), []))
    assert not [p for p in plates(full()) if p.section in NEW]


def test_sections_say_what_was_selected_on_what_and_what_gives_the_rest(f: Findings) -> None:
    places = sections(f, [])
    assert set(NEW) <= set(places)
    said = places["protocols"].lead
    assert (
        "the test split was used for selection" in said
        and "--protocol both" in said
        and "Only one protocol" in said
    )
    assert [c.code for c in places["updates"].cards] == ["H1", "H2"]
    exponents, grid, best, lengths = places["updates"].tables
    assert (
        exponents.columns[:3] == ("panel", "fixed updates", "fixed epochs")
        and not exponents.folded
        and grid.folded
    )
    assert "noise moves it" in exponents.caption and "of the seeds' picks" in places["updates"].cards[1].how
    assert (
        [r[0] for r in exponents.rows] == ["SGD, test"]
        and len(best.rows) == 5
        and len(lengths.rows) == 25 + 3
    )
    assert ("SGD, test", "5000", "5ep", "1,955", "5", "5 %") in lengths.rows
    assert (
        "best minus last" in places["protocols"].tables[0].columns[5]
        and len(places["protocols"].tables[0].rows) == 7
    )
    early = places["early"].tables[0]
    assert early.columns[3:] == ("epoch", "gradient norm", "learning rate") and early.rows[0][3:5] == (
        "1",
        "4.7",
    )


def test_both_protocols_have_a_table_of_the_gap() -> None:
    a, b = (found(selection=s) for s in ("test", "validation"))
    assert (
        "honest protocol" in sections(a, [])["protocols"].lead
        and "seed's protocol" in sections(b, [])["protocols"].lead
    )
    assert "used for selection" not in sections(b, [])["protocols"].lead
    e = Estimate(0.02, 0.01, 0.03, 3)
    parts = Estimate(0.03, 0.02, 0.04, 3), e, Estimate(0.01, None, None, 1)
    gap = Gap("sgd, test", "5000 / 4500", 0.93, 0.9, *parts, "seeds", 15)
    both = sections(replace(a, gaps=(gap, replace(gap, condition="500"))), [])["protocols"]
    assert [text.replace("\N{NO-BREAK SPACE}", " ") for text in both.tables[0].rows[0]] == [
        "SGD, test", "5000 / 4500", "93.0 %", "90.0 %", "+3.0 points (+2.0 to +4.0)", "+2.0 points (+1.0 to "
                                                                                      "+3.0)", "+1.0 points",
        "3 seeds", "15",
    ]  # fmt: skip
    assert [t.folded for t in both.tables] == [
        False,
        True,
    ] and "at 5000 / 4500 it also has fewer" in both.lead
    assert (
        "also has fewer"
        not in sections(replace(a, gaps=(replace(gap, condition="500"),)), [])["protocols"].lead
    )


def test_a_panel_list_can_be_read_and_a_band_is_half_its_width(f: Findings) -> None:
    assert f.updates is not None
    (e,) = f.updates.exponents
    other = [replace(x, panel="adamw, test") for x in f.updates.favourites]
    both = replace(
        f.updates, exponents=(e, replace(e, panel="adamw, test")), favourites=(*f.updates.favourites, *other)
    )
    assert f"SGD, test; AdamW, test: {e.text}" in sections(replace(f, updates=both), [])["updates"].lead
    at = Milestone("sgd, test", "5000", "5ep", "grad_norm", 1.0, 2.0, 1.5, 2.5, 3)
    assert (
        sections(replace(f, milestones=(at,)), [])["early"].tables[0].rows[0][4]
        == "2 \N{PLUS-MINUS SIGN} 0.5"
    )


def test_figures_of_regimes_show_what_was_measured(f: Findings) -> None:
    lines = regimedata.by_updates(f, "sgd, test")
    assert lines is not None and [x.name for x in lines.lines] == list(f.conditions)
    assert lines.lines[0].x == (391, 1955, 3910, 7820)
    gain = {(e.condition, e.treatment): e.estimate.mean for e in f.effects if e.panel == "sgd, test"}
    assert lines.lines[0].y[1] == pytest.approx(100 * gain["5000", "5ep"])
    best = regimedata.best_updates(f, "sgd, test")
    assert (
        best is not None
        and best.ticks == (50, 100, 500, 1000, 5000)
        and best.lines[1].y[-1] == pytest.approx(391)
    )
    assert all(lo >= s - 1e-9 for lo, s in zip(best.lines[0].lo, best.lines[1].y, strict=True))
    norm = regimedata.early(f, "sgd, test", "grad_norm")
    assert norm is not None and [p.title[-4:].strip(": ") for p in norm.parts] == ["5000", "500", "50"]
    assert (
        regimedata.by_updates(f, "adamw, test") is None
        and regimedata.early(f, "adamw, test", "distance") is None
    )


def test_a_grid_that_is_not_whole_shows_only_what_was_run(f: Findings) -> None:
    heat = figdata.accuracy(f, "adamw, test")
    assert heat is not None and (heat.rows, heat.columns) == (("5000", "50"), ("0ep", "5ep"))
    assert (
        heat.values[0][0] is None
        and heat.texts[0] == ("\N{EN DASH}", heat.texts[0][1])
        and "n = 1" in heat.texts[0][1]
    )
    sets = figdata.best(f, "adamw, test")
    assert (
        sets is not None and sets.rows == ("50",) and sets.columns == ("0ep", "5ep") and sets.absent == ((),)
    )
    whole = figdata.accuracy(f, "sgd, test")
    assert whole is not None and len(whole.rows) == len(whole.columns) == 5 and None not in whole.values[0]
    few = replace(f, cells=tuple(c for c in f.cells if (c.condition, c.treatment) != ("100", "10ep")))
    gone = figdata.best(few, "sgd, test")
    assert gone is not None and gone.absent[gone.rows.index("100")] == ("10ep",)
    assert [t.number for t in tiles(f) if "equivalent" in t.text] == [
        f"{sum(i.equivalent for i in f.inside)} of 5"
    ]


def test_the_page_is_whole_and_names_every_new_file(f: Findings, tmp_path: Path) -> None:
    small = replace(f, curves=(), rates=(), best=(), inside=(), effects=f.effects[:20])
    path = write_report(small, tmp_path, provenance={}, summary={"name": f.name}, tables=tables(f))
    page = parsed(path)
    assert not page.open and len(page.ids) == len(set(page.ids)) and set(NEW) <= set(page.ids)
    assert all(a[1:] in page.ids if a.startswith("#") else (tmp_path / a).is_file() for a in page.addresses)
    names = {p.stem for p in (tmp_path / "tables").glob("*.csv")}
    assert {
        "warmup_lengths",
        "best_updates",
        "exponents",
        "hypotheses_in_updates",
        "optimism",
        "probes",
        "milestones",
    } <= names
    assert {p.stem for p in (tmp_path / "figures").glob("best-updates*")} == {"best-updates-sgd-test"}
    text = re.sub(r"\s+", " ", path.read_text(encoding="utf-8"))
    assert "Three sizes are one." in text and ">Epochs or updates</a>" in text
