"""Records of before are read: their runs have the same ids, and what nobody chooses has the same numbers.

`tests/data/before.tar.gz` was written by the version before chapters: two small studies with their records,
study.json and summary.json; in one of them the first seed chose the rate. MAP says where each key of that
summary stands now.
"""

from __future__ import annotations

import json
import math
import tarfile
from pathlib import Path

import numpy as np
import pytest

from preheat.analysis.results import collect, read_index
from preheat.analysis.tabulate import tabulate
from preheat.core.run import Run
from preheat.report.report import report
from preheat.store.store import Store

BEFORE = Path(__file__).parents[2] / "data" / "before.tar.gz"
STUDIES = {"before": "results", "images": "images"}
MAP = {
    "optimism": ("protocols", "optimism"),
    "gaps": ("protocols", "protocols"),
    "milestones": ("first_epochs", "milestones"),
}
SAME = (
    *("name", "question", "metric", "goal", "margin", "treatment", "condition", "nuisance", "treatments"),
    *("conditions", "panels", "counts"),
)
CHOSE = {"before": 1, "images": 0}  # the seeds that chose then: since, each chooses for itself


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
        assert new == old, where


@pytest.mark.parametrize("name", STUDIES)
def test_records_from_before_give_the_same_numbers_where_nobody_chooses(unpacked, name):
    data, store, old = opened(unpacked, name)
    study, points = read_index(data)
    made = report(collect(study, points, store.heads()), store.load)
    new = json.loads(json.dumps(made.summary()))
    assert not made.failed
    for key, (chapter, field) in MAP.items():
        alike(new["chapters"].get(chapter, {}).get(field, []), old[key], key)
    for key in SAME:
        alike(new[key], old[key], key)
    alike(new["chapters"]["updates"]["warmup_lengths"], old["updates"]["lengths"], "updates.lengths")
    for was, now in zip(old["edges"], new["chapters"].get("edge", {}).get("edges", []), strict=True):
        counted = ("value", "runs", "diverged", "mean")
        alike(*([{k: p[k] for k in counted} for p in edge["points"]] for edge in (now, was)), "edges")
    curves = (
        {**k, "x": x, "y": y, "lo": lo, "hi": hi} for k in old["early"] for x, y, lo, hi in points_of(k)
    )
    alike(json.loads(json.dumps(made.tables().get("first_epochs", []))), list(curves), "early")


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_in_which_the_first_seeds_chose_is_read_with_a_note_and_all_seeds_are_reported(
    unpacked, name
):
    data, store, old = opened(unpacked, name)
    chose = data["study"].get("choosing", 0)
    study, points = read_index(data)
    table = tabulate(collect(study, points, store.heads()))
    assert chose == CHOSE[name] and study.choosing == 0
    assert any(n.startswith(f"The study says that {chose} of its seeds choose") for n in study.notes) == chose
    assert list(table.seeds) == data["study"]["seeds"] and read_index(data)[0] == study
    for cell in old["cells"]:
        axes = table.panels, table.conditions, table.treatments
        at = tuple(
            a.labels.index(cell[k]) for a, k in zip(axes, ("panel", "condition", "treatment"), strict=True)
        )
        v = table.nuisances.labels.index(cell["chosen"].get("peak_lr", ""))
        scores = table.test[at][v, chose:]
        assert scores[np.isfinite(scores)].tolist() == cell["values"], "a run scores what it scored"


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
