"""docs/reproduced.md is what the tool writes, and what the tool keeps of a report."""

from __future__ import annotations

import importlib.util
import json
import tarfile
from pathlib import Path

import pytest

from preheat.analysis.results import collect, read_index
from preheat.core.errors import UserError
from preheat.report.report import report
from preheat.store.store import Store
from preheat.studies.regimes.published import PUBLISHED

ROOT = Path(__file__).parents[1]
CHAPTERS = ("main", "hypotheses", {"name": "published", "claims": PUBLISHED})


@pytest.fixture(scope="module")
def tool():
    found = importlib.util.spec_from_file_location("write_reproduced", ROOT / "tools" / "write_reproduced.py")
    made = importlib.util.module_from_spec(found)
    found.loader.exec_module(made)
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A report's folder beside its records, and its summary."""
    root = tmp_path_factory.mktemp("reproduced")
    with tarfile.open(ROOT / "tests" / "data" / "before.tar.gz") as archive:
        archive.extractall(root, filter="data")
    at = root / "images" / "images"
    store = Store.open(root / "images", create=False)
    study, points = read_index(json.loads((at / "study.json").read_text()))
    made = report(collect(study, points, store.heads()), store.load, chapters=CHAPTERS)
    (at / "summary.json").write_text(json.dumps(made.summary()))
    return at


def test_the_page_is_what_is_written_now(tool):
    assert tool.page(ROOT / "docs" / "reproduced") == (ROOT / "docs" / "reproduced.md").read_text()


def test_every_kept_summary_is_small_and_names_its_command():
    for path in (ROOT / "docs" / "reproduced").glob("*.json"):
        told = json.loads(path.read_text())
        assert path.stat().st_size < 200_000 and told["command"].startswith("preheat ")
        assert {v["name"] for v in told["verdicts"]} >= {c["test"] for c in told["published"]}


def test_a_report_is_trimmed_to_claims_verdicts_and_versions(tool, folder, tmp_path):
    told = tool.trimmed(folder, "preheat study images.yaml")
    summary = json.loads((folder / "summary.json").read_text())
    assert told["versions"]["torch"] and told["counts"] == summary["counts"]
    primary = [v["name"] for v in summary["verdicts"] if v["primary"]]
    assert [v["name"] for v in told["verdicts"] if v["primary"]] == primary and primary
    (tmp_path / "images.json").write_text(json.dumps(told))
    text = tool.page(tmp_path)
    assert "`preheat study images.yaml`" in text
    assert all(f"`{name}`" in text for name in primary) and all(c["claim"] in text for c in PUBLISHED)


def test_a_changed_study_must_say_its_command(tool, folder):
    with pytest.raises(UserError, match="write --command"):
        tool.trimmed(folder)
