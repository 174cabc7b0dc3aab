"""The README's commands and examples run: as they stand, and, in seconds, with few runs of each study."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from preheat.cli import main as cli
from preheat.core.registry import REGISTRIES
from preheat.store.store import Store

TEXT = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
MARKED = re.compile(r"^<!-- test(?:: (\S+))? -->\n```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ENOUGH = "--limit 8 --jobs 1 --compile off"


class Block(NamedTuple):
    """What is marked for test: a file to write, or code in `language` to run."""

    file: str
    language: str
    text: str


SECTIONS = {
    heading: blocks
    for heading, text in re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    if (blocks := [Block(*found) for found in MARKED.findall(text)])
}


def test_every_mark_is_read():
    every = [block for blocks in SECTIONS.values() for block in blocks]
    assert len(every) == TEXT.count("<!-- test"), "a mark stands in the line above its block"
    assert {"bash", "python"} <= {block.language for block in every if not block.file}


@pytest.fixture
def registries():
    """What a test imports of its own is forgotten after it."""
    before = {kind: dict(r._objects) for kind, r in REGISTRIES.items()}
    yield
    for kind, r in REGISTRIES.items():
        ours = {name: made for name, made in r._objects.items() if made.__module__.startswith("preheat.")}
        r._objects.clear()
        r._objects.update(ours | before[kind])
    for name in [n for n in sys.modules if n.startswith("preheat_user_")]:
        del sys.modules[name]


def test_the_readmes_commands_and_examples_run_with_few_runs_of_each_study(
    tmp_path, monkeypatch, registries, capsys
):
    """In this process, studies cut to their first eight runs."""
    monkeypatch.chdir(tmp_path)
    for file, language, text in (block for blocks in SECTIONS.values() for block in blocks):
        if file:
            Path(file).write_text(text, encoding="utf-8")
        elif language == "python":
            exec(compile(text, "README.md", "exec"), {"__name__": "readme"})
        else:
            for line in filter(None, text.splitlines()):
                words = shlex.split(line, comments=True)
                assert words[0] == "preheat", f"only preheat's own commands are tested here: {line}"
                if "--data" in words:  # half a minute; with the slow test below, and in CI
                    continue
                enough = ENOUGH.split() if words[1] == "study" else []
                enough += ["--no-report"] if enough and "--import" not in words else []  # each takes seconds
                words[2:3] = [f"{name}-limit8" if words[1] == "report" else name for name in words[2:3]]
                assert cli.main([*words[1:], *enough]) == 0, (line, capsys.readouterr())
    pages = sorted(p.parent.name for p in Path("results").glob("*/report.html"))
    assert pages == ["moons-limit8", "my-study-seeds2", "regimes-small-seeds3-limit8"]
    assert Path("wsd.png").is_file() and Path("main-tuned.png").is_file()
    twice = 4  # of the 24 runs of my_study.yaml on two seeds, those of its first eight that have these seeds
    assert len(Store.open("results", create=False).ids()) == 3 * 8 + 1 + 24 - twice


@pytest.mark.slow
@pytest.mark.parametrize("heading", SECTIONS)
def test_the_readmes_commands_and_examples_run_as_they_stand(heading, tmp_path):
    """Each section by itself, so that they are tested side by side."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for file, language, text in SECTIONS[heading]:
        if file:
            (tmp_path / file).write_text(text, encoding="utf-8")
            continue
        call = (
            [sys.executable, "-c", text] if language == "python" else ["bash", "-euo", "pipefail", "-c", text]
        )
        done = subprocess.run(
            call, cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (text, done.stdout, done.stderr)
