"""The documentation of the schedules and the optimizers: its examples run, its links lead somewhere, nothing
is missing, the pictures are current."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import pytest
from documented import FENCE, run

from preheat.cli import main as cli
from preheat.core.registry import SCHEDULES
from preheat.studyfiles.reader import read_study

DOCS = Path(__file__).parents[1] / "docs"
FAMILIES = sorted((DOCS / "schedules").glob("*.md"))
PAGES = [DOCS / "schedules.md", *FAMILIES, DOCS / "migrating.md", DOCS / "optimizers.md"]
DRAWING = Path(__file__).parents[1] / "tools" / "draw_docs.py"
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)")


class Section(NamedTuple):
    """A heading of a page and the blocks below it: (language, text). Its Python blocks share their names."""

    page: str
    heading: str
    blocks: list[tuple[str, str]]


def headings(text):
    """The headings of a page, without those inside code."""
    return re.findall(r"^#+ +(.*?) *$", FENCE.sub("", text), re.MULTILINE)


def slug(heading):
    """The anchor that a heading gets."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def sections(page):
    """The sections of a page that have blocks."""
    out = [Section(page.name, "", [])]
    for part in re.split(r"(^```.*?^```$)", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL):
        if found := FENCE.fullmatch(part):
            out[-1].blocks.append((found[1], found[2]))
        else:
            out += [Section(page.name, heading, []) for heading in headings(part)]
    return [s for s in out if s.blocks]


SECTIONS = [s for page in PAGES for s in sections(page)]
PYTHON = [s for s in SECTIONS if any(language == "python" for language, _ in s.blocks)]


@pytest.mark.parametrize("section", PYTHON, ids=[f"{s.page}-{s.heading}" for s in PYTHON])
def test_the_examples_run(section, tmp_path, monkeypatch):
    """One after the other, as they stand. A section that needs a library which is not installed is
    skipped."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    texts = [text for language, text in section.blocks if language == "python"]
    run(texts, f"{section.page}: {section.heading}")


def test_the_commands_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    lines = [
        line
        for s in SECTIONS
        for language, text in s.blocks
        if language == "bash"
        for line in text.splitlines()
        if line
    ]
    assert len(lines) > 3
    for line in lines:
        words = shlex.split(line, comments=True)
        assert words[0] == "preheat", f"only preheat's own commands are tested here: {line}"
        assert cli.main(words[1:]) == 0, (line, capsys.readouterr())
    assert Path("two.png").is_file() and Path("gallery.html").is_file()


def test_the_files_of_studies_are_studies(tmp_path):
    texts = [text for s in SECTIONS for language, text in s.blocks if language == "yaml"]
    assert texts
    for text in texts:
        (tmp_path / "mine.yaml").write_text(text)
        assert read_study(tmp_path / "mine.yaml").runs()


@pytest.mark.parametrize("page", [*PAGES, DOCS / "adapters.md"], ids=lambda p: p.name)
def test_every_link_leads_to_a_file_and_a_heading(page):
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    links = [(where, anchor) for where, anchor in LINK.findall(text) if ":" not in where]
    assert links
    for where, anchor in links:
        target = (page.parent / where).resolve() if where else page
        assert target.is_file(), f"{page.name} links to {where}"
        if anchor:
            assert anchor in map(slug, headings(target.read_text(encoding="utf-8"))), (
                f"{page.name} links to {where}#{anchor}"
            )


def test_every_schedule_is_in_the_catalogue_and_on_one_page():
    start = (DOCS / "schedules.md").read_text(encoding="utf-8")
    places = {
        name: [p.stem for p in FAMILIES if name in headings(p.read_text(encoding="utf-8"))]
        for name in SCHEDULES._shipped
    }
    for name, found in places.items():
        assert len(found) == 1, f"{name} is a heading of {found}"
        line = SCHEDULES._shipped[name].line
        assert f"| `{name}` | {line} | [{found[0]}](schedules/{found[0]}.md#{slug(name)}) |" in start, (
            f"no row for {name}"
        )
    assert len(places) > 25
    for page in FAMILIES:
        assert f"schedules/{page.name}" in start, f"{page.name} is not in the catalogue"


@pytest.fixture(scope="module")
def drawing():
    """tools/draw_docs.py as a module."""
    spec = importlib.util.spec_from_file_location("draw_docs", DRAWING)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pictures_show_what_would_be_drawn_now(drawing):
    """By their data: letters may be placed otherwise by another matplotlib."""
    found = sorted(p.stem for p in (DOCS / "schedules").glob("*.svg"))
    assert found == sorted(drawing.PICTURES)
    used = "".join(p.read_text(encoding="utf-8") for p in FAMILIES)
    for name, picture in drawing.PICTURES.items():
        file = DOCS / "schedules" / f"{name}.svg"
        root = ElementTree.fromstring(file.read_text(encoding="utf-8"))
        told = json.loads(next(root.iter("{http://purl.org/dc/elements/1.1/}description")).text)
        now = drawing.shown(picture)
        for label, line in now["lines"].items():
            line["factors"] = pytest.approx(line["factors"], abs=2e-4)
            assert told["lines"][label] == line, f"{name}.svg: {label}: python tools/draw_docs.py"
        assert told == now, f"{name}.svg: python tools/draw_docs.py"
        lines = [g for g in root.iter("{http://www.w3.org/2000/svg}g") if g.get("id", "").startswith("line-")]
        assert len(lines) == len(picture.schedules)
        assert file.stat().st_size < 60_000
        assert f"]({name}.svg)" in used, f"no page shows {name}.svg"


def test_equal_pictures_are_equal_files(drawing):
    picture = drawing.PICTURES["combining"]
    assert drawing.svg(picture) == drawing.svg(picture)
