"""Laws of chapters: none changes what another finds, a trace is read once, what is found is data."""

from __future__ import annotations

import json
import tarfile
from collections import Counter
from dataclasses import dataclass, is_dataclass, replace
from pathlib import Path

import pytest
from carried import trained
from fake_regimes import both_optimizers, joined, level, loader, peaked, trace

from preheat.analysis.results import Results, collect, read_index
from preheat.core.errors import UserError
from preheat.core.registry import CHAPTERS
from preheat.report.chapter import PRIMARY, STANDARD, Chapter, Shown
from preheat.report.data import found_json, found_tables
from preheat.report.report import report
from preheat.search.declare import Searched
from preheat.store.store import Store
from preheat.studies.mechanisms.study import Mechanisms
from preheat.studies.regimes.grid import REPORTED

EVERY = tuple(name for name in CHAPTERS.names() if CHAPTERS[name].__module__.startswith("preheat."))


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    root = tmp_path_factory.mktemp("chapters")
    with tarfile.open(Path(__file__).parents[1] / "data" / "before.tar.gz") as archive:
        archive.extractall(root, filter="data")
    return root


def opened(folder, name):
    store = Store.open(folder, create=False)
    declared, points = read_index(json.loads((folder / name / "study.json").read_text()))
    return collect(declared, points, store.heads()), store.load


@pytest.fixture(scope="module")
def study(unpacked):
    """(results, load) of a study with probes and both protocols."""
    return opened(unpacked / "images", "images")


def measured(level):
    """A probe's series, for the chapters that look at sharpness."""
    return lambda row: trace([0, 1, 2, 3], [level, 0.9 * level, 0.8 * level, 0.7 * level])


SHARPNESS = {"train_loss": measured(1.0), "sharpness": measured(4.0), "sharpness_to_threshold": measured(1.2)}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """(results, load) of small studies that are trained here: a search, and quadratic losses with two probes."""
    root = tmp_path_factory.mktemp("small")
    search = Searched(
        {"name": "quadratic", "dim": 2},
        schedules=("cosine",),
        epochs=2,
        trials=2,
        again=2,
        optimizer={"name": "sgd"},
    ).study("search")
    quadratics = replace(Mechanisms(quadratics=True, optimizers=("gd",), seeds=2).study(), name="quadratics")
    for one in (search, quadratics):
        trained(one, root)
    return tuple(opened(root, one.name) for one in (search, quadratics))


@pytest.fixture(scope="module")
def studies(unpacked, study, small):
    """(results, load) of several studies, on each of which other chapters have something to say: that one, one with a
    numeric nuisance (its traces are left alone), one that is made up, and the small ones."""
    made_up = joined(*both_optimizers(peaked, "test"), *both_optimizers(level, "validation"))
    before = opened(unpacked / "results", "before")[0], None
    return study, before, (made_up, loader(made_up, **SHARPNESS)), *small


# a chapter that says nothing without options has those of a study
ASKED = {"published": next(c for c in REPORTED if not isinstance(c, str) and c["name"] == "published")}


def found(given, chapters):
    asked = [ASKED.get(name, name) for name in chapters]
    return [{c.name: c.found for c in report(*one, chapters=asked).chapters} for one in given]


@pytest.fixture(scope="module")
def whole(studies):
    return found(studies, EVERY)


def test_the_standard_chapters_are_registered():
    assert set(STANDARD) <= set(EVERY) and len(EVERY) > len(STANDARD)


@pytest.mark.parametrize("left_out", EVERY)
def test_leaving_a_chapter_out_changes_no_other(studies, whole, left_out):
    kept = tuple(name for name in reversed(EVERY) if name != left_out)
    for without, before in zip(found(studies, kept), whole, strict=True):
        assert set(without) == set(before) - {left_out}
        for name, one in without.items():
            assert repr(one) == repr(before[name]), name  # as texts, in which a NaN equals itself


def test_every_chapter_has_something_to_say_on_one_of_the_studies(whole):
    assert set().union(*whole) == set(EVERY)


@pytest.mark.parametrize("name", EVERY)
def test_a_chapter_has_its_three_functions(name):
    chapter = CHAPTERS[name]
    assert issubclass(chapter, Chapter) and chapter.__dataclass_params__.frozen
    assert callable(chapter.each) and chapter.find is not Chapter.find and chapter.show is not Chapter.show


def test_every_trace_is_read_once_whoever_looks(study):
    results, load = study
    read: Counter[str] = Counter()

    def counting(run_id):
        read[run_id] += 1
        return load(run_id)

    report(results, counting, chapters=EVERY)
    assert len(read) == len(results.rows) and set(read.values()) == {1}


def test_what_is_found_is_data_that_becomes_files(studies):
    for one in (c for results, load in studies for c in report(results, load, chapters=EVERY).chapters):
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


class Broken(Chapter):
    """Raises, or gives what no chapter may, at one of its steps."""

    at = ""

    def each(self, record, row):
        return 1 // (self.at != "each")

    def find(self, table, seen):
        return "found" if self.at == "text" else Empty(1 // (self.at != "find"))

    def show(self, found, verdicts, table):
        return "shown" if self.at == "str" else Shown("Broken", str(1 // (self.at != "show")))


@dataclass(frozen=True)
class Empty:
    n: int


DIVIDED = "ZeroDivisionError: "
BROKEN = {
    "each": ("each", DIVIDED),
    "find": ("find", DIVIDED),
    "show": ("show", DIVIDED),
    "text": ("find", "it gave 'found', not a frozen dataclass"),
    "str": ("show", "it gave 'shown', not a Shown"),
}


@pytest.mark.parametrize("at", BROKEN)
def test_a_chapter_that_raises_is_a_note_and_the_others_are_written(study, at, monkeypatch):
    made = dataclass(frozen=True)(type("Boom", (Broken,), {"at": at, "__module__": __name__}))
    monkeypatch.setattr(CHAPTERS, "_objects", {**CHAPTERS._objects, f"boom_{at}": made})
    told = report(*study, chapters=(f"boom_{at}", "metric"))
    step, why = BROKEN[at]
    assert [c.name for c in told.chapters] == ["metric"] and len(told.failed) == 1
    assert told.failed[0].startswith(f"chapter 'boom_{at}' failed in {step}: {why}")
    assert told.failed[0] in told.notes and not any("Nothing to say" in note for note in told.notes)
    assert why != DIVIDED or "(test_chapters.py, line " in told.failed[0]


def test_the_families_that_a_study_calls_primary_are_those_that_share_a_budget(studies):
    """Others are exploratory; a family that nothing claims is a note; a claim is made once."""
    results, load = studies[1]
    given = Results(replace(results.study, claims={"primary": ["benefit", "nowhere"]}), results.rows)
    made = report(given, load)
    assert {v.family for v in made.verdicts.values() if v.primary} == {"benefit"} and not made.failed
    (note,) = [n for n in made.notes if "primary" in n]
    assert note.startswith(
        "The study calls nowhere primary, and no chapter claims any of it; what is claimed"
    )
    assert "exploratory in this study" in made.answer
    assert {v.family for v in report(results, load).verdicts.values() if v.primary} <= {
        *PRIMARY,
        "hypotheses",
    }


def test_a_chapter_that_is_named_twice_is_refused(study):
    with pytest.raises(UserError, match="each chapter is named once, got 'curves' twice"):
        report(*study, chapters=("curves", "metric", {"name": "curves", "runs": ["a"]}))
