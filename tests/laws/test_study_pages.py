"""Every study has a page in docs/studies: its parts are there, and its commands are ones that preheat
takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from preheat.cli import main as cli
from preheat.cli import study_command
from preheat.core.registry import ORIGINALS, STUDIES

PAGES = Path(__file__).parents[2] / "docs" / "studies"
PARTS = ["Question", "Environment", "Command", "Configurations", "Minutes", "How to analyse", "What came out"]
FENCE = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHIPPED = sorted(STUDIES._shipped)


def commands(name: str) -> list[list[str]]:
    """The words of each command of a page, without the first."""
    blocks = FENCE.findall((PAGES / f"{name}.md").read_text(encoding="utf-8"))
    lines = [line for text in blocks for line in text.replace("\\\n", " ").splitlines()]
    words = [shlex.split(line, comments=True) for line in lines]
    assert all(one[0] == "preheat" for one in words if one), "only preheat's own commands are on these pages"
    return [one[1:] for one in words if one]


def test_there_are_studies_and_no_page_without_one():
    assert SHIPPED and sorted(p.stem for p in PAGES.glob("*.md")) == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_the_page_of_a_study_has_its_parts_in_order(name):
    text = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == PARTS
    for part, body in zip(PARTS, re.split(r"^## .*$", text, flags=re.MULTILINE)[1:], strict=True):
        assert len(body.split()) > 10, f"{name}.md says nothing under {part}"


@pytest.mark.parametrize("name", SHIPPED)
def test_the_commands_of_a_page_are_taken(name):
    """The parser takes them, and what they declare can be declared; nothing is trained."""
    asked = commands(name)
    assert ["study", name] in [words[:2] for words in asked]
    for command, *words in asked:
        args = cli.build(command, words).parse_args(words)
        if command == "study":
            study, points = study_command.asked(args)
            assert study.name and points, words
        if command == "original":
            meant = ORIGINALS[args.project]().meant(args)
            assert study_command.asked(cli.build("study", meant.study).parse_args(meant.study))[1], words
