"""The examples run: a study with a chapter of its own in one file, from training to its page."""

from __future__ import annotations

import ast
import json
import re
from html import escape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from preheat.cli.main import main
from preheat.core.registry import CHAPTERS
from preheat.core.space import Range

FILE = Path(__file__).parents[1] / "examples" / "time_to_accuracy.py"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    root = tmp_path_factory.mktemp("when")
    words = ["study", "when", "--import", str(FILE), "--seeds", "2", "--name", "when", "--results", str(root)]
    assert main([*words, "--jobs", "1", "--compile", "off"]) == 0
    return root


def test_a_study_with_its_own_chapter_has_a_page_a_summary_and_tables(trained):
    folder = trained / "when"
    summary = json.loads((folder / "summary.json").read_text())
    found = summary["chapters"]["time_to_accuracy"]
    claimed = [(v["name"], v["primary"], v["raw_p"] <= v["p"]) for v in summary["verdicts"]]
    assert claimed == [("times/2ep", True, True), ("times/10ep", True, True)]
    assert summary["answer"] == "No length of warmup is shown to change when 80 % accuracy is reached."
    assert found["level"] == 0.8
    rows = json.loads((folder / "tables" / "times.json").read_text())
    assert {row["treatment"] for row in rows} == {"0ep", "2ep", "10ep"} and all(
        row["runs"] == 2 for row in rows
    )
    assert all(0 <= row["lo"] <= row["y"] <= row["hi"] <= 1 for row in rows)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert 'id="time-to-accuracy"' in page and "When it learns" in page


def test_the_report_is_written_again_with_other_options_and_elsewhere(trained, tmp_path):
    words = [
        "report",
        "when",
        "--import",
        str(FILE),
        "--results",
        str(trained),
        "--out",
        str(tmp_path / "page"),
    ]
    assert main([*words, "--chapter", "time_to_accuracy:level=0.3"]) == 0
    summary = json.loads((tmp_path / "page" / "summary.json").read_text())
    assert list(summary["chapters"]) == ["time_to_accuracy"]
    assert summary["chapters"]["time_to_accuracy"]["level"] == 0.3


BOOM = """
from dataclasses import dataclass
from preheat.core.registry import CHAPTERS
from preheat.report.chapter import Chapter

@CHAPTERS.register("boom")
@dataclass(frozen=True)
class Boom(Chapter):
    "Raises."
    def find(self, table, seen):
        return 1 / 0
"""


def test_a_chapter_that_raises_is_named_and_the_page_is_written(trained, tmp_path, capsys, monkeypatch):
    (tmp_path / "boom.py").write_text(BOOM)
    monkeypatch.setattr(CHAPTERS, "_objects", dict(CHAPTERS._objects))
    words = ["report", "when", "--import", str(tmp_path / "boom.py"), "--results", str(trained)]
    assert main([*words, "--out", str(tmp_path / "page"), "--chapter", "boom", "--chapter", "metric"]) == 1
    said = "chapter 'boom' failed in find: ZeroDivisionError: division by zero (boom.py, line 11)"
    assert f"preheat: {said}\n" in capsys.readouterr().err
    summary = json.loads((tmp_path / "page" / "summary.json").read_text())
    assert list(summary["chapters"]) == ["metric"] and said in summary["notes"]


def test_the_notebook_runs_and_every_cell_shows_something(tmp_path, monkeypatch):
    """Its cells in order, as a kernel runs them: the value of a last expression is shown."""
    monkeypatch.chdir(tmp_path)
    book = json.loads((FILE.parent / "study.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "code"]
    names: dict[str, object] = {"__name__": "notebook"}
    shown = []
    for cell in cells:
        *before, last = ast.parse(cell).body
        assert isinstance(last, ast.Expr), cell
        exec(compile(ast.Module(before, []), "study.ipynb", "exec"), names)
        shown.append(eval(compile(ast.Expression(last.value), "study.ipynb", "eval"), names))
    result, *figures, rows, path = shown
    assert "18 runs" in "".join(book["cells"][0]["source"]) and len(result.table()) == 18
    assert escape(result.answer.split(".")[0]) in result._repr_html_() and path.is_file()
    assert all(
        f._repr_html_().startswith("<figure><img src=") and f._repr_png_()[1:4] == b"PNG" for f in figures
    )
    assert len(figures) == 2 and [row[0] for row in rows] == ["0", "2ep"]
    assert all(not cell["outputs"] for cell in book["cells"] if cell["cell_type"] == "code")


def test_the_search_of_ones_own_runs_and_the_page_shows_it(capsys):
    optuna = pytest.importorskip("optuna")
    path = FILE.parent / "own_search.py"
    text = path.read_text(encoding="utf-8")
    page = (FILE.parents[1] / "docs" / "search.md").read_text(encoding="utf-8")
    assert f"```python\n{text[text.index('import optuna') :]}```\n" in page
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(text, str(path), "exec"), names)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=42))
    study.optimize(names["objective"], n_trials=6)
    tried = {trial.params["schedule"] for trial in study.trials}
    assert len(tried) >= 2 and study.best_value < 0.6


def test_the_pages_searches_that_need_an_account_or_a_cluster_name_what_there_is():
    """They are not run: what they import of preheat is, and how they turn a space into theirs."""
    page = (FILE.parents[1] / "docs" / "search.md").read_text(encoding="utf-8")
    blocks = [text for text in re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S) if "tried(" in text]
    assert len(blocks) == 2
    told = []
    for text in blocks:
        lines = ast.parse(text).body
        ours = [n for n in lines if isinstance(n, ast.ImportFrom) and str(n.module).startswith("preheat")]
        kept = [n for n in lines if isinstance(n, ast.FunctionDef) and n.name == "tried"]
        names: dict[str, Any] = {"tune": SimpleNamespace(uniform=lambda *x: x, qrandint=lambda *x: x)}
        exec(compile(ast.Module([*ours, *kept], []), "search.md", "exec"), names)
        told.append([names["tried"](one) for one in (Range(0.0, 0.2), Range(200, 400, step=50))])
    assert told == [
        [(0.0, 0.2), (200, 400, 50)],
        [
            {"distribution": "uniform", "min": 0.0, "max": 0.2},
            {"distribution": "q_uniform", "q": 50, "min": 200, "max": 400},
        ],
    ]
