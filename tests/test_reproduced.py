"""docs/reproduced.md is what the tool writes, and what the README says of results, schedules and authors is so."""

from __future__ import annotations

import importlib.util
import json
import tarfile
from pathlib import Path

import pytest
import yaml

from preheat.analysis.results import collect, read_index
from preheat.analysis.words import GAP, Units
from preheat.core.errors import UserError
from preheat.core.registry import SCHEDULES
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
        names = {v["name"] for v in told["verdicts"]}
        without = [c for c in told["published"] if c["test"] not in names]
        assert len(without) < len(told["published"]), "what this study did not run at all has no verdict"


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


def test_the_readmes_result_is_the_kept_one(tool):
    """And so are the words of docs/studies/regimes.md on what came out."""
    told = json.loads((ROOT / "docs" / "reproduced" / "regimes.json").read_text())
    judged = {v["name"]: v for v in told["verdicts"]}
    readme, page = ((ROOT / p).read_text() for p in ("README.md", "docs/studies/regimes.md"))
    assert tool.effect(judged["over_rates/adamw/5ep"], Units.of("accuracy")).replace(GAP, " ") in readme
    assert f"{sum(v['primary'] for v in judged.values())} primary claims" in readme
    assert f"{told['counts']['done']:,} runs" in readme and f"{len(told['seeds'])} seeds" in readme
    tuned = [v["verdict"] for name, v in judged.items() if name.startswith("tuned/")]
    assert set(tuned) == {"no difference of this size"} and "made a difference of 1 point" in readme
    gains = [judged[f"over_rates/adamw/{t}"]["effect"]["mean"] for t in ("5ep", "10ep")]
    assert "gain AdamW {:.1f} and {:.1f} points".format(*(100 * x for x in gains)) in page
    for name in ("edge/adamw/5ep", "edge/adamw/10ep"):
        assert judged[name]["verdict"] == "supported" and f"{judged[name]['effect']['mean']:.1f}" == "1.3"
    assert {judged[f"hypotheses/H{k}"]["verdict"] for k in (1, 2, 4)} == {"not decided"}


def test_the_readme_counts_the_schedules():
    combined = [name for name in SCHEDULES.names() if ".combine." in SCHEDULES[name].__module__]
    alone = len(SCHEDULES.names()) - len(combined)
    text = (ROOT / "README.md").read_text()
    assert f"There are {alone} schedules, and {len(combined)} ways to combine them" in text


def test_the_citation_is_read_and_names_what_the_page_of_citations_does():
    """The keys that CFF 1.2.0 asks for, and no identifier that the page does not have."""
    told = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    page = (ROOT / "docs" / "citations.md").read_text()
    assert told["cff-version"] == "1.2.0" and {"message", "title", "authors"} <= set(told)
    assert f'version = "{told["version"]}"' in (ROOT / "pyproject.toml").read_text()
    assert len(told["references"]) == 5
    for one in told["references"]:
        assert {"type", "title", "authors"} <= set(one) and one["title"] in page
        assert all(i["value"].removeprefix("arXiv:") in page for i in one.get("identifiers", ()))
