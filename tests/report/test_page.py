"""The page: that it is whole, safe and needs nothing from outside, what its first screen says, and its
table."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from fake_reports import CHAPTERS, empty, few, found, full, small
from pages import CHROMIUM, browse, parsed, write

from preheat.report.chapter import Shown, Tile, Written
from preheat.report.drawing import style
from preheat.report.drawing.shapes import Line, Lines
from preheat.report.page import FRONT, OPEN, _tiles
from preheat.report.plates import Plate
from preheat.report.report import Report
from preheat.stats.claims import judge
from preheat.stats.estimates import Moments
from preheat.studies.regimes.hypothesis import Stated, card


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


def test_navigation_is_the_order_of_the_sections_and_lies_after_answer_figures_and_tiles(
    made: Report, whole: Path
) -> None:
    text = whole.read_text(encoding="utf-8")
    places = [name.replace("_", "-") for name in (*CHAPTERS, "probes")]
    bodies = re.findall(r'<section(?: id="([\w-]+)")? aria-labelledby="([\w-]+)-title">', text)
    sections = [own or title for own, title in bodies]
    assert sections == [*places, "limits", "runs", "provenance", "downloads"]
    (nav,) = re.findall(r"<nav.*?</nav>", text, flags=re.S)
    links = re.findall(r'<a href="#([\w-]+)">([^<]+)</a>', nav)
    assert [place for place, _ in links] == sections
    named = [c.shown.short or c.shown.title for c in made.chapters]
    assert [name for _, name in links][:-4] == named and all(len(name) < 25 for name in named)
    marks = ("<h1>", 'id="answer"', 'id="sure"', 'id="front"', 'class="tiles"', "<nav", "<main>")
    at = [text.index(mark) for mark in marks]
    assert at == sorted(at)
    for c in made.chapters:
        assert f">{c.shown.title}</h2>" in text
    groups = re.findall(r"<h3>([^<]+)</h3>\n<div class=\"figures\">", text)
    assert groups and all(g[0] == g[0].upper() for g in groups), groups


def test_the_answer_is_a_sentence_a_line_then_how_sure_it_is_and_the_rest_folds(
    made: Report, whole: Path
) -> None:
    text = whole.read_text(encoding="utf-8")
    (answer,) = re.findall(r'<div id="answer".*?</div>', text, flags=re.S)
    assert answer.count("<p>") == len(made.says) > 1
    (sure,) = re.findall(r'<div id="sure".*?</div>', text, flags=re.S)
    first, rest = made.sure[0], made.sure[1:]
    assert f"<summary>{first}</summary>" in sure and sure.count("<li>") == len(rest) > 0


def test_front_figures_stand_once_and_a_fourth_stays_in_its_chapter(made: Report, tmp_path: Path) -> None:
    data = Lines("x", "y", (Line("a", 0, (0.0, 1.0), (0.0, 1.0)),))
    own = tuple(Plate("", f"one-{k}", f"Figure {k}", "", data, front=True) for k in range(FRONT + 1))
    more = Written("more", Nothing(), Shown("More", plates=own))
    path = write(replace(few().report("metric"), chapters=(more,)), tmp_path)
    text = path.read_text(encoding="utf-8")
    front, rest = text.split('class="tiles"')
    titles = [f'<p class="panel">Figure {k}</p>' for k in range(FRONT + 1)]
    assert [t in front for t in titles] == [True] * FRONT + [False]
    assert [t in rest for t in titles] == [False] * FRONT + [True] and 'href="#front"' in rest
    none = write(replace(few().report("metric"), chapters=()), tmp_path / "none").read_text(encoding="utf-8")
    assert 'id="front"' not in none


def test_later_chapters_fold_around_the_place_that_links_lead_to(whole: Path) -> None:
    text = whole.read_text(encoding="utf-8")
    places = [name.replace("_", "-") for name in (*CHAPTERS, "probes")]
    folded = re.findall(r'<details class="chapter">.*?<div id="([\w-]+)" class="body">', text, flags=re.S)
    assert folded == places[OPEN:]


def test_files_are_linked_at_the_end_only(whole: Path) -> None:
    text = whole.read_text(encoding="utf-8")
    before, _, files = text.partition('id="downloads-title"')
    assert not re.search(r'href="(figures|tables)/', before)
    figures = {p.name for p in (whole.parent / "figures").iterdir()}
    assert all(f'href="figures/{name}"' in files for name in figures) and figures


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


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    text = write(empty().report(), tmp_path).read_text(encoding="utf-8")
    assert "No run is recorded." in text and 'id="metric"' not in text
    assert "The study has no runs, so nothing can be said." in text
    one = write(small().report(), tmp_path / "one").read_text(encoding="utf-8")
    assert "One seed gives a description, not a conclusion." in one and "Lower is better." in one
    assert (
        "<li>Nothing to say here on: edge, hypotheses, benefit, rule.</li>" in one and 'id="edge"' not in one
    )


def test_tiles_count_the_runs_and_how_they_ended(made: Report) -> None:
    at = {place: tile for tile, place in _tiles(made)}
    c = made.counts
    assert at["runs"] == (f"{c.done:,}", f"runs finished; {c.diverged:,} diverged and {c.missing} missing")
    lost = [x.untrained.k for x in found(made, "untrained").settings]
    assert at["untrained"].number == f"{sum(lost):,}" and sum(lost) > 0


def test_a_card_cites_the_effect_and_its_verdict(made: Report) -> None:
    assert made.table is not None
    one = Stated("H2", "It shrinks.", "So.", "hypotheses", "epochs per doubling", 0.5)
    tested = one.tested(Moments(-1.2, 0.3, 4))
    judged = judge([tested.claim], ["hypotheses"])
    first = card(tested.hypothesis, judged, made.table)
    assert first.verdict == "the opposite is shown" and first.effect.startswith(
        "\N{MINUS SIGN}1.2\xa0epochs per"
    )
    points = replace(one, unit="accuracy", smallest=0.01).tested(Moments(0.04, 0.01, 4))
    told = card(points.hypothesis, judge([points.claim], ["hypotheses"]), made.table)
    assert told.verdict == "supported" and told.effect.startswith("+4.0\xa0points (95")


def test_the_runs_table_is_in_percent_and_its_ids_are_short(whole: Path, made: Report) -> None:
    text = whole.read_text(encoding="utf-8")
    (data,) = re.findall(r'<script type="application/json" id="run-data">(.*?)</script>', text, flags=re.S)
    table = json.loads(data)
    heads, rows = table["columns"], made.tables()["runs"]
    j, k = heads.index("test accuracy (%)"), heads.index("id")
    assert table["shorten"] == {str(k): 8}
    shown = [float(row[j]) for row in table["rows"] if row[j] is not None]
    known = [100 * r["test_accuracy"] for r in rows if r["test_accuracy"] is not None]
    assert shown == pytest.approx(known, abs=0.051) and len(shown) > 1000
    assert all(any(row[i] not in (None, "") for row in table["rows"]) for i in range(len(heads)))
    assert [row[k] for row in table["rows"]] == [r["id"] for r in rows], "the whole id is the title"
    losses = write(small().report(), whole.parent / "loss").read_text(encoding="utf-8")
    (columns,) = re.findall(r'"columns":(\[.*?\])', losses)
    assert "test loss" in json.loads(columns) and "%" not in columns


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
  const j = heads.indexOf("validation accuracy (%)"), sort = document.querySelectorAll("#run-table th button")[j];
  sort.click(); sort.click();
  const top = rows().map((r) => Number(cell(r, j)));
  say("sorted", top.every((v, i) => i === 0 || top[i - 1] >= v));
  document.getElementById("next").click();
  say("at", document.getElementById("at").textContent);
  say("theme", document.documentElement.dataset.theme);
  say("ids", rows().every((r) => r.lastChild.textContent.length === 8 && r.lastChild.title.length === 16));
  const wide = document.getElementById("run-table").parentElement;
  say("cut", wide.scrollWidth > wide.clientWidth);
  const front = document.getElementById("front").getBoundingClientRect();
  const figures = [...document.querySelectorAll("#front figure")].map((f) => f.getBoundingClientRect());
  say("front", front.bottom + scrollY < 900 && figures.every((f) => f.top === figures[0].top));
  const ends = ["main", "downloads"].map((id) => document.getElementById(id).getBoundingClientRect().top + scrollY);
  say("nav", document.querySelector("nav").getBoundingClientRect().bottom + scrollY < ends[0] && ends[0] < ends[1]);
  const links = [...document.querySelectorAll("nav a")].map((a) => document.querySelector(a.hash));
  say("order", links.every((e, i) => i === 0 || links[i - 1].compareDocumentPosition(e) & 4));
  const last = links.filter((e) => e.closest("details")).pop(), chapter = last.closest("details");
  say("folded", chapter.open);
  document.querySelector(".setting").textContent = "long".repeat(60);
  const narrow = document.body.style;
  narrow.width = "390px"; narrow.margin = 0; out.hidden = true;
  say("inside", document.body.scrollWidth <= 390);
  narrow.width = narrow.margin = ""; out.hidden = false;
  location.hash = last.id;
  setTimeout(() => say("opened", chapter.open), 50);
} catch (e) { say("error", e); }
</script></body>"""


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: the page's script is not run")
def test_table_front_figures_and_folded_chapters_in_a_browser(
    made: Report, whole: Path, tmp_path: Path
) -> None:
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
        "at": f"page 2 of {-(-len(runs) // 50)}", "theme": "dark", "ids": "true", "cut": "false",
        "inside": "true", "front": "true", "nav": "true", "order": "true", "folded": "false", "opened": "true",
    }  # fmt: skip
    assert "CONSOLE" not in log, [line for line in log.splitlines() if "CONSOLE" in line]
