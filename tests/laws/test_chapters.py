"""Laws of chapters: none changes what another finds, a trace is read once, what is found is data."""

from __future__ import annotations

import json
import tarfile
from collections import Counter
from dataclasses import is_dataclass
from pathlib import Path

import pytest

from preheat.analysis.results import collect, read_index
from preheat.core.registry import CHAPTERS
from preheat.report.chapter import STANDARD, Shown
from preheat.report.data import found_json, found_tables
from preheat.report.report import report
from preheat.store.store import Store

EVERY = tuple(name for name in CHAPTERS.names() if CHAPTERS[name].__module__.startswith("preheat."))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """(results, load) of a study with probes and both protocols."""
    root = tmp_path_factory.mktemp("chapters")
    with tarfile.open(Path(__file__).parents[1] / "data" / "before.tar.gz") as archive:
        archive.extractall(root, filter="data")
    store = Store.open(root / "images", create=False)
    declared, points = read_index(json.loads((root / "images" / "images" / "study.json").read_text()))
    return collect(declared, points, store.heads()), store.load


@pytest.fixture(scope="module")
def whole(study):
    results, load = study
    return {c.name: c.found for c in report(results, load, chapters=EVERY).chapters}


def test_the_standard_chapters_are_registered():
    assert set(STANDARD) <= set(EVERY) and len(EVERY) > len(STANDARD)


@pytest.mark.parametrize("left_out", EVERY)
def test_leaving_a_chapter_out_changes_no_other(study, whole, left_out):
    results, load = study
    kept = tuple(name for name in reversed(EVERY) if name != left_out)
    found = {c.name: c.found for c in report(results, load, chapters=kept).chapters}
    assert set(found) == set(whole) - {left_out}
    for name, one in found.items():
        assert one == whole[name], name


def test_every_trace_is_read_once_whoever_looks(study):
    results, load = study
    read: Counter[str] = Counter()

    def counting(run_id):
        read[run_id] += 1
        return load(run_id)

    report(results, counting, chapters=EVERY)
    assert len(read) == len(results.rows) and set(read.values()) == {1}


def test_what_is_found_is_data_that_becomes_files(study):
    results, load = study
    made = report(results, load, chapters=EVERY)
    assert len(made.chapters) >= len(EVERY) - 2
    for one in made.chapters:
        assert is_dataclass(one.found) and type(one.found).__dataclass_params__.frozen, one.name
        assert isinstance(one.shown, Shown) and one.shown.title
        json.dumps(found_json(one.found), allow_nan=False)
        for name, rows in found_tables(one.found).items():
            assert all(isinstance(v, str | int | float | None) for row in rows for v in row.values()), (
                one.name,
                name,
            )


def test_a_chapter_that_is_not_installed_is_a_note(study):
    results, load = study
    made = report(results, load, chapters=("metric", "not_here"))
    assert [c.name for c in made.chapters] == ["metric"]
    assert any("'not_here' is not installed" in note for note in made.notes)
