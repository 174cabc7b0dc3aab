"""The page: that it is whole, safe and needs nothing from outside, what its first screen says, and its
table."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from fake_reports import CHAPTERS, empty, few, found, full, small
from pages import CHROMIUM, browse, parsed, write

from preheat.analysis.words import Units
from preheat.core.registry import CHAPTERS as REGISTERED
from preheat.report.chapter import Shown, Tile, Written
from preheat.report.drawing import style
from preheat.report.page import _tiles
from preheat.report.report import Report
from preheat.stats.estimates import Estimate
from preheat.studies.regimes.hypotheses_chapter import card
from preheat.studies.regimes.verdicts import Hypothesis


@pytest.fixture(scope="module")
def made() -> Report:
    return full().report(*CHAPTERS, "probes")


@pytest.fixture(scope="module")
def whole(made: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(made, tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("kind", ["whole", "small", "empty"])
def test_page_is_well_formed_and_needs_nothing_from_outside(kind: str, whole: Path, tmp_path: Path) -> None:
    path = whole if kind == "whole" else write({"small": small, "empty": empty}[kind]().report(), tmp_path)
    found = parsed(path)
    assert not found.open
    assert len(found.ids) == len(set(found.ids))
    for address in found.addresses:
        if address.startswith("#"):
            assert address[1:] in found.ids, address
        else:
            assert (path.parent / address).is_file(), address
    text = path.read_text(encoding="utf-8")
    assert not re.search(
        r"(?:https?:)?//[\w.-]+\.\w+|@import|url\((?!#)",
        re.sub(r"<script type=.*?</script>", "", text, flags=re.S),
    )
    assert "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'" in text
    assert (
        found.figures == found.labelled == len(list((path.parent / "figures").glob("*.svg")))
        if kind != "empty"
        else not found.figures
    )


def test_a_page_of_two_panels_and_4200_runs_is_below_two_megabytes(whole: Path) -> None:
    text = whole.read_text(encoding="utf-8")
    (runs,) = re.findall(r'<script type="application/json" id="run-data">(.*?)</script>', text, flags=re.S)
    assert len(json.loads(runs)["rows"]) == 2100
    assert whole.stat().st_size + len(runs.encode()) < 2e6


def test_sections_and_navigation_are_the_chapters_in_their_order(made: Report, whole: Path) -> None:
    text = whole.read_text(encoding="utf-8")
    sections = re.findall(r'<section id="([\w-]+)"', text)
    places = [name.replace("_", "-") for name in (*CHAPTERS, "probes")]
    assert sections == ["sure", *places, "limits", "runs", "provenance", "downloads"]
    (nav,) = re.findall(r"<nav.*?</nav>", text, flags=re.S)
    links = re.findall(r'<a href="#([\w-]+)">([^<]+)</a>', nav)
    assert [place for place, _ in links] == ["sure", *places, "limits", "runs", "downloads"]
    named = [c.shown.short or c.shown.title for c in made.chapters]
    assert [name for _, name in links][1:-3] == named and all(len(name) < 25 for name in named)
    for c in made.chapters:
        assert f">{c.shown.title}</h2>" in text
    groups = re.findall(r"<h3>([^<]+)</h3>\n<div class=\"figures\">", text)
    assert groups and all(g[0] == g[0].upper() for g in groups), groups


def test_inline_figures_take_their_colours_from_the_page(whole: Path) -> None:
    text = whole.read_text(encoding="utf-8")
    drawings = "".join(re.findall(r"<svg.*?</svg>", text, flags=re.S))
    assert "var(--ink)" in drawings and "var(--series1)" in drawings
    fixed = set(re.findall(r'style="[^"]*?(#[0-9a-f]{6})', drawings))
    assert not fixed & set(style.LIGHT.values())
    assert len(set(style.LIGHT.values())) == len(style.LIGHT)


def test_user_text_is_escaped(tmp_path: Path) -> None:
    text = write(small().report(), tmp_path).read_text(encoding="utf-8")
    assert "<script>alert" not in text and "<b>5%" not in text and "0.1.0 <x>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text and "$shown$" in text
    (data,) = re.findall(r'<script type="application/json" id="run-data">(.*?)</script>', text, flags=re.S)
    assert json.loads(data)["rows"][0][1] == "</script><script>alert(1)</script>"


def test_sets_are_told_at_the_level_of_the_whole_page(whole: Path) -> None:
    text = whole.read_text(encoding="utf-8")
    assert text.count("at 95 %, over all sets of the page together") >= 2


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    text = write(empty().report(), tmp_path).read_text(encoding="utf-8")
    assert "No run is recorded." in text and 'id="metric"' not in text
    assert "The study has no runs, so nothing can be said." in text
    one = write(small().report(), tmp_path / "one").read_text(encoding="utf-8")
    assert "One seed gives a description, not a conclusion." in one and "Lower is better." in one
    assert "<li>Nothing to say here on: edge, hypotheses, rule.</li>" in one and 'id="edge"' not in one


def test_the_first_screen_counts_and_does_not_pick_the_largest(made: Report) -> None:
    tiles = _tiles(made)
    at = {place: tile for tile, place in tiles}
    effects, edges = found(made, "benefit").effects, found(made, "edge")
    better = sum(e.verdict == "better" for e in effects)
    assert tiles[2] == (at["benefit"], "benefit") and at["benefit"].number == f"{better} of {len(effects)}"
    assert tiles[0] == (at["runs"], "runs") and at["runs"].number == f"{made.counts.done:,}"
    inside = found(made, "inside_edge").inside
    well = tuple(replace(i, well=k > 3) for k, i in enumerate(inside))
    assert tile(made, "inside_edge", inside=well).number.endswith(f"of {len(inside) - 4}")
    sure = tuple(replace(p, change_p_adjusted=0.01) for p in edges.edges_pooled)
    depends = tile(made, "edge", edges_pooled=sure)
    assert "together" in at["edge"].text and "together" not in depends.text
    assert depends.number.endswith(f"of {sum(e.ratio is not None for e in edges.edges)}")
    stuck = sum(p.runs - p.trained - p.diverged for e in edges.edges for p in e.points)
    assert at["untrained"].number == f"{stuck:,}" and stuck > 0
    said = " ".join(made.sure)
    assert "Seeds 0 and 1 chose" in said and "seeds 2, 3, 4 and 5 judge" in said and "10 are missing" in said


def tile(made: Report, name: str, **changes: Any) -> Tile:
    """A chapter's tile with some findings changed."""
    assert made.table is not None
    (one,) = REGISTERED[name]().show(replace(found(made, name), **changes), made.table).tiles
    return one


def test_a_card_cites_the_effect_and_what_it_would_take() -> None:
    one, two = Estimate(0.42, -0.3, 1.1, 4), Estimate(-1.2, -1.9, -0.5, 4)
    undecided = Hypothesis("H1", "It peaks.", "So.", one, "points", 0.21, "not decided", 9, "Four seeds.")
    shrinks = Hypothesis("H2", "It shrinks.", "So.", two, "epochs per doubling", 0.004, "supported", None, "")
    u = Units.of("accuracy")
    assert card(undecided, u).verdict == "not decided, about 9 more seeds"
    assert card(shrinks, u).effect.endswith("p\xa0=\xa00.004, n\xa0=\xa04")
    in_metric = card(replace(undecided, unit="accuracy", effect=Estimate(0.004, 0.001, 0.007, 4)), u)
    assert in_metric.effect.startswith("+0.4\xa0points (95 % interval +0.1 to +0.7)")


@dataclass(frozen=True)
class Nothing:
    """No finding at all."""


def test_chapters_whose_names_are_the_pages_own_or_alike_get_places_of_their_own(tmp_path: Path) -> None:
    names = ("runs", "my chapter", "my_chapter", "limits")
    some = tuple(Written(n, Nothing(), Shown(f"On {n}", tiles=(Tile("1", n),))) for n in names)
    path = write(replace(few().report("metric"), chapters=some), tmp_path)
    ids = parsed(path).ids
    assert len(ids) == len(set(ids))
    text = path.read_text(encoding="utf-8")
    for n in names:
        ((place,),) = (re.findall(rf'<li><a href="#([\w-]+)"><strong>1</strong> <span>{n}<', text),)
        assert f'<h2 id="{place}-title">On {n}</h2>' in text


PROBE = """<script>
const out = document.createElement("pre"); out.id = "probe"; document.body.append(out);
const say = (k, v) => { out.textContent += k + "=" + v + ";"; };
const rows = () => [...document.querySelectorAll("#run-table tbody tr")];
const cell = (r, j) => r.cells[j].textContent;
try {
  const heads = [...document.querySelectorAll("#run-table th")].map((h) => h.textContent);
  say("page", rows().length);
  const find = document.getElementById("find");
  find.value = "adamw diverged"; find.dispatchEvent(new Event("input"));
  say("found", document.getElementById("shown").textContent.split(" ")[0]);
  say("all", rows().every((r) => /adamw/.test(r.textContent) && /diverged/.test(r.textContent)));
  find.value = ""; find.dispatchEvent(new Event("input"));
  const choice = document.querySelector('select[data-column="warmup"]');
  choice.value = "20ep"; choice.dispatchEvent(new Event("change"));
  say("chosen", document.getElementById("shown").textContent.split(" ")[0]);
  choice.selectedIndex = 0; choice.dispatchEvent(new Event("change"));
  const j = heads.indexOf("validation accuracy"), sort = document.querySelectorAll("#run-table th button")[j];
  sort.click(); sort.click();
  const top = rows().map((r) => Number(cell(r, j)));
  say("sorted", top.every((v, i) => i === 0 || top[i - 1] >= v));
  document.getElementById("next").click();
  say("at", document.getElementById("at").textContent);
  say("theme", document.documentElement.dataset.theme);
} catch (e) { say("error", e); }
</script></body>"""


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: the page's script is not run")
def test_the_table_filters_and_sorts_in_a_browser(made: Report, whole: Path, tmp_path: Path) -> None:
    page_text = whole.read_text(encoding="utf-8")
    probed = tmp_path / "probe.html"
    probed.write_text(page_text.replace("</body>", PROBE), encoding="utf-8")
    dom, log = browse(probed, tmp_path / "profile")
    (told,) = re.findall(r'<pre id="probe">(.*?)</pre>', dom)
    said = dict(part.split("=", 1) for part in told.strip(";").split(";"))
    runs = made.tables()["runs"]
    gone = sum(r["optimizer"] == "adamw" and r["outcome"] == "diverged" for r in runs)
    long = sum(r["warmup"] == "20ep" for r in runs)
    assert said == {
        "page": "50", "found": f"{gone:,}", "all": "true", "chosen": f"{long:,}", "sorted": "true",
        "at": f"page 2 of {-(-len(runs) // 50)}", "theme": "dark",
    }  # fmt: skip
    assert "CONSOLE" not in log, [line for line in log.splitlines() if "CONSOLE" in line]
