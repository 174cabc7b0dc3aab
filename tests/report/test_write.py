"""The files of a report: figures, tables and summary beside the page, the same bytes twice, nothing foreign
lost."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, make_dataclass, replace
from pathlib import Path

import pytest
from fake_reports import CHAPTERS, empty, few, full, plates
from pages import write

from preheat.core.errors import UserError
from preheat.report.chapter import Shown, Written
from preheat.report.report import Report

FEW = ("metric", "benefit", "best")


@pytest.fixture(scope="module")
def made() -> Report:
    return full(("sgd",)).report(*CHAPTERS, "probes")


@pytest.fixture(scope="module")
def lean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(full(("sgd",)).report(*FEW), tmp_path_factory.mktemp("lean"))


def test_every_figure_is_png_and_svg(lean: Path) -> None:
    names = set(plates(full(("sgd",)).report(*FEW)))
    figures = lean.parent / "figures"
    assert {p.stem for p in figures.glob("*.png")} == {p.stem for p in figures.glob("*.svg")} == names
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in figures.glob("*.png"))
    assert all("var(--" not in p.read_text() for p in figures.glob("*.svg"))


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    some = few()
    first, second = (write(some.report(), tmp_path / name).parent for name in ("a", "b"))
    files = sorted(p.relative_to(first) for p in first.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(second) for p in second.rglob("*") if p.is_file())
    assert [f for f in files if (first / f).read_bytes() != (second / f).read_bytes()] == []
    assert len(files) > 12


def test_csv_and_json_hold_the_rows_in_full(lean: Path) -> None:
    rows = full(("sgd",)).report(*FEW).tables()["runs"]
    with (lean.parent / "tables/runs.csv").open(encoding="utf-8", newline="") as source:
        read = list(csv.DictReader(source))
    assert len(read) == len(rows) == 1050 and list(read[0]) == list(rows[0])
    told = [None if r["test_accuracy"] == "" else float(r["test_accuracy"]) for r in read]
    assert told == [r["test_accuracy"] for r in rows] and None in told
    assert [r["diverged_step"] for r in read] == [
        "" if r["diverged_step"] is None else str(r["diverged_step"]) for r in rows
    ]
    assert json.loads((lean.parent / "tables/runs.json").read_text()) == rows
    summary = json.loads((lean.parent / "summary.json").read_text())
    assert summary["name"] == "regimes" and list(summary["chapters"]) == list(FEW)


def test_a_bad_table_name_and_a_folder_that_is_a_file_are_refused(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Point:
        a: int

    found = make_dataclass("Found", ["rows"], frozen=True)((Point(1),))
    twice = tuple(Written(name, found, Shown(name)) for name in ("../x", "y"))
    with pytest.raises(UserError, match="a table's name"):
        write(replace(few().report("metric"), chapters=twice), tmp_path)
    upper = make_dataclass("Found", ["Rows"], frozen=True)((Point(1),))
    with pytest.raises(UserError, match="got 'Rows': write 'rows'"):
        write(replace(few().report("metric"), chapters=(Written("y", upper, Shown("y")),)), tmp_path)
    assert not list(tmp_path.rglob("x*"))
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="folder that can be written"):
        write(empty().report(), tmp_path / "file")


def test_what_an_earlier_report_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    f = full(("sgd",)).report(*FEW)
    write(full().report(*FEW), tmp_path)
    old = {p.name for p in (tmp_path / "figures").iterdir()}
    mine = {
        "figures/My plot.png", "figures/my-plot.png", "figures/edge.pdf", "tables/notes.csv", "tables/old.txt",
        "other.csv", "other.json", "figures/kept/a.png", "figures/kept/a.svg",
    }  # fmt: skip
    gone = {"tables/old_rows.csv", "tables/old_rows.json"}
    for name in mine | gone:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("mine")
    write(f, tmp_path)
    here = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert mine <= here and not gone & here
    left = {p.name for p in (tmp_path / "figures").iterdir() if p.is_file()} - {
        "My plot.png",
        "my-plot.png",
        "edge.pdf",
    }
    assert left < old and left == {f"{name}.{end}" for name in plates(f) for end in ("png", "svg")}
    page_text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert all(f"figures/{name}" in page_text for name in left)
    assert {"tables/runs.csv", "tables/runs.json", "summary.json", "report.html"} <= here
