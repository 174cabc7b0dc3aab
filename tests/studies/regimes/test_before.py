"""The law of rebuilding: records of before are read, their runs have the same ids, and the report has the same numbers.

`tests/data/before.tar.gz` was written by the version before chapters: two small studies with their records, study.json and
summary.json. MAP says where each key of that summary stands now.
"""

from __future__ import annotations

import json
import math
import re
import tarfile
from pathlib import Path

import pytest

from preheat.analysis.results import collect, read_index
from preheat.core.run import Run
from preheat.report.report import report
from preheat.store.store import Store

BEFORE = Path(__file__).parents[2] / "data" / "before.tar.gz"
STUDIES = {"before": "results", "images": "images"}
MAP = {
    "cells": ("metric", "cells"),
    "effects": ("benefit", "effects"),
    "best": ("best", "best"),
    "edges": ("edge", "edges"),
    "pooled": ("edge", "edges_pooled"),
    "inside": ("inside_edge", "inside"),
    "hypotheses": ("hypotheses", "hypotheses"),
    "rules": ("rule", "rules"),
    "optimism": ("protocols", "optimism"),
    "gaps": ("protocols", "protocols"),
    "milestones": ("first_epochs", "milestones"),
}
UPDATES = {
    "lengths": "warmup_lengths",
    "favourites": "best_updates",
    "exponents": "exponents",
    "hypotheses": "hypotheses_in_updates",
}
SAME = (
    "name",
    "question",
    "metric",
    "goal",
    "margin",
    "treatment",
    "condition",
    "nuisance",
    "treatments",
    "conditions",
    "panels",
    "choosing",
    "judging",
    "counts",
    "answer",
)
ELSEWHERE = {"updates", "early", "notes"}  # compared below; notes are words, in the order of the chapters
RENAMED = {"seed 0's rule": "the original rule"}


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    root = tmp_path_factory.mktemp("before")
    with tarfile.open(BEFORE) as archive:
        archive.extractall(root, filter="data")
    return root


def opened(root: Path, name: str):
    folder = root / STUDIES[name]
    data = json.loads((folder / name / "study.json").read_text(encoding="utf-8"))
    return data, Store.open(folder, create=False), json.loads((folder / name / "summary.json").read_text())


def alike(new, old, where: str = ""):
    """Equal, numbers to rounding (sums may be taken in another order)."""
    if isinstance(old, dict):
        assert set(new) == set(old), where
        for key in old:
            alike(new[key], old[key], f"{where}.{key}")
    elif isinstance(old, list):
        assert len(new) == len(old), where
        for i, (a, b) in enumerate(zip(new, old, strict=True)):
            alike(a, b, f"{where}[{i}]")
    elif isinstance(old, float) and isinstance(new, float):
        assert math.isclose(new, old, rel_tol=1e-12, abs_tol=1e-15), where
    else:
        if isinstance(old, str):
            for was, now in RENAMED.items():
                old = old.replace(was, now)
        assert new == old, where


@pytest.mark.parametrize("name", STUDIES)
def test_the_report_of_records_from_before_has_the_same_numbers(unpacked, name):
    data, store, old = opened(unpacked, name)
    study, points = read_index(data)
    made = report(collect(study, points, store.heads()), store.load)
    new = json.loads(json.dumps(made.summary()))
    chapters = new["chapters"]
    assert set(old) == {*MAP, *SAME, *ELSEWHERE}, "every key of before is compared"
    for key, (chapter, field) in MAP.items():
        alike(chapters.get(chapter, {}).get(field, []), old[key], key)
    for key, field in UPDATES.items():
        alike(chapters["updates"][field], old["updates"][key], f"updates.{key}")
    for key in SAME:
        alike(new[key], old[key], key)
    curves = (
        {**k, "x": x, "y": y, "lo": lo, "hi": hi} for k in old["early"] for x, y, lo, hi in points_of(k)
    )
    alike(json.loads(json.dumps(made.tables().get("first_epochs", []))), list(curves), "early")
    said, now = ({_steps_left_out(note) for note in notes} for notes in (old["notes"], new["notes"]))
    assert {note.replace("the seed's protocol", "the original protocol") for note in said} <= now


def _steps_left_out(note):
    """The step of the metric is written as short as it is now: 1 point, no longer 1.0 points."""
    return re.sub(r"steps of [\d.]+\xa0points?", "steps", note)


def points_of(curve):
    """The points of a curve, which are rows of a table now."""
    return zip(*(curve[k] for k in ("x", "y", "lo", "hi")), strict=True)


@pytest.mark.parametrize("name", STUDIES)
def test_every_record_of_before_is_read_and_its_run_has_the_id_that_it_had(unpacked, name):
    data, store, _ = opened(unpacked, name)
    ids = {point["run"] for point in data["points"]}
    assert not store.damage() and ids <= store.ids(check=True)
    for run_id in ids:
        record = store.load(run_id)
        again = Run.from_json(record.run.json(), trusted=True)
        assert record.id == again.id == run_id and record.trace
