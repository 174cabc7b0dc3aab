"""The report: what its figures show, that its page is whole, safe and the same twice, and that its table
works."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fake_findings import PANELS, empty, full, small

from preheat.analysis.findings import Estimate, Findings
from preheat.core.errors import UserError
from preheat.report import figdata, page
from preheat.report.drawing import style
from preheat.report.plates import plates
from preheat.report.write import write_report

VOID = {"meta", "br", "img", "input", "link", "hr"}
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def write(findings: Findings, folder: Path) -> Path:
    rows = [dict(r) for r in findings.runs[:3]]
    summary = {"name": findings.name, "done": findings.counts.done}
    return write_report(
        findings,
        folder,
        provenance={"version": "0.1.0 <x>"},
        summary=summary,
        tables={"runs": rows} if rows else {},
    )


def lean(findings: Findings) -> Findings:
    """Few figures, for tests of the page."""
    return replace(findings, panels=PANELS[:1], curves=(), rates=(), edges=(), inside=(), rules=(), best=())


def half() -> Findings:
    """Every kind of section, of one panel."""
    f = full()
    curves, rates = (tuple(c for c in some if c.panel == PANELS[0]) for some in (f.curves, f.rates))
    return replace(f, panels=PANELS[:1], curves=curves, rates=rates, rules=f.rules[:1])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(half(), tmp_path_factory.mktemp("half"))


class Balance(HTMLParser):
    """Opening and closing tags, ids and addresses of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.figures = self.labelled = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids += [values["id"] or ""] if "id" in values else []
        self.addresses += [v for k, v in attrs if k in ("href", "src") and v]
        self.figures += tag == "svg"
        self.labelled += tag == "svg" and bool(values.get("aria-label")) and values.get("role") == "img"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"


def parsed(path: Path) -> Balance:
    parser = Balance()
    parser.feed(path.read_text(encoding="utf-8"))
    parser.close()
    return parser


@pytest.mark.parametrize("kind", ["whole", "small", "empty"])
def test_page_is_well_formed_and_needs_nothing_from_outside(kind: str, whole: Path, tmp_path: Path) -> None:
    path = whole if kind == "whole" else write({"small": small, "empty": empty}[kind](), tmp_path)
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
    assert (
        found.figures == found.labelled == len(list((path.parent / "figures").glob("*.svg")))
        if kind != "empty"
        else not found.figures
    )


def test_a_page_of_two_panels_and_4200_runs_is_below_two_megabytes(whole: Path) -> None:
    assert 2 * whole.stat().st_size < 2e6


def test_every_figure_is_png_and_svg(whole: Path) -> None:
    names = {p.name for p in plates(half())}
    figures = whole.parent / "figures"
    assert {p.stem for p in figures.glob("*.png")} == {p.stem for p in figures.glob("*.svg")} == names
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in figures.glob("*.png"))
    assert all("var(--" not in p.read_text() for p in figures.glob("*.svg"))
    sections = {p.section for p in plates(half())}
    assert sections == {"edge", "metric", "benefit", "best", "inside", "rule", "curves", "rates", "untrained"}


def test_inline_figures_take_their_colours_from_the_page(whole: Path) -> None:
    text = whole.read_text(encoding="utf-8")
    drawings = "".join(re.findall(r"<svg.*?</svg>", text, flags=re.S))
    assert "var(--ink)" in drawings and "var(--series1)" in drawings
    fixed = set(re.findall(r'style="[^"]*?(#[0-9a-f]{6})', drawings))
    assert not fixed & set(style.LIGHT.values())
    assert len(set(style.LIGHT.values())) == len(style.LIGHT)


def test_the_same_findings_give_the_same_bytes(tmp_path: Path) -> None:
    some = replace(lean(full()), runs=full().runs[:5])
    first, second = write(some, tmp_path / "a").parent, write(some, tmp_path / "b").parent
    files = sorted(p.relative_to(first) for p in first.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(second) for p in second.rglob("*") if p.is_file())
    assert [f for f in files if (first / f).read_bytes() != (second / f).read_bytes()] == []


def test_csv_and_json_hold_the_rows_in_full(whole: Path) -> None:
    rows = [dict(r) for r in full().runs[:3]]
    with (whole.parent / "tables/runs.csv").open(encoding="utf-8", newline="") as source:
        read = list(csv.DictReader(source))
    assert list(read[0]) == list(rows[0])
    assert [float(r["test_accuracy"]) for r in read] == [r["test_accuracy"] for r in rows]
    assert read[0]["diverged_step"] == ""
    assert json.loads((whole.parent / "tables/runs.json").read_text()) == rows
    assert json.loads((whole.parent / "summary.json").read_text())["name"] == "regimes"


def test_user_text_is_escaped(tmp_path: Path) -> None:
    text = write(small(), tmp_path).read_text(encoding="utf-8")
    assert "<script>alert" not in text and "<b>5%" not in text and "0.1.0 <x>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text and "$shown$" in text
    (data,) = re.findall(r'<script type="application/json" id="run-data">(.*?)</script>', text, flags=re.S)
    assert json.loads(data)["rows"][0][1] == "</script><script>alert(1)</script>"


def test_a_bad_table_name_and_a_folder_that_is_a_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a table's name"):
        write_report(empty(), tmp_path, provenance={}, summary={}, tables={"../x": [{"a": 1}]})
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="folder that can be written"):
        write(empty(), tmp_path / "file")


def test_what_an_earlier_report_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    f = lean(full())
    write(replace(f, panels=PANELS), tmp_path)
    old = {p.name for p in (tmp_path / "figures").iterdir()}
    mine = {
        "figures/My plot.png", "figures/my-plot.png", "figures/edge.pdf", "tables/notes.csv", "tables/old.txt",
        "other.csv", "other.json", "figures/kept/a.png", "figures/kept/a.svg",
    }  # fmt: skip
    gone = {"tables/old_rows.csv", "tables/old_rows.json"}
    for name in mine | gone:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("mine")
    write(f, tmp_path)
    here = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert mine <= here and not gone & here
    left = {p.name for p in (tmp_path / "figures").iterdir() if p.is_file()} - {
        "My plot.png",
        "my-plot.png",
        "edge.pdf",
    }
    assert left < old and left == {f"{p.name}.{end}" for p in plates(f) for end in ("png", "svg")}
    page_text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert all(f"figures/{name}" in page_text for name in left)
    assert {"tables/runs.csv", "tables/runs.json", "summary.json", "report.html"} <= here


def test_sets_are_told_at_the_level_of_the_whole_page(whole: Path) -> None:
    text = whole.read_text(encoding="utf-8")
    assert text.count("at 95 %, over all sets of the page together") >= 2


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    text = write(empty(), tmp_path).read_text(encoding="utf-8")
    assert (
        "No run is recorded." in text and "Left out, “Training curves”" in text and 'id="metric"' not in text
    )
    one = write(small(), tmp_path / "one").read_text(encoding="utf-8")
    assert "One seed gives a description, not a conclusion." in one and "Lower is better." in one


def test_the_first_screen_counts_and_does_not_pick_the_largest() -> None:
    f = full()
    numbers = [t.number for t in page.tiles(f)]
    better = sum(e.verdict == "better" for e in f.effects)
    assert numbers[2] == f"{better} of {len(f.effects)}" and numbers[0] == f"{f.counts.done:,}"
    well = tuple(replace(i, well=k > 3) for k, i in enumerate(f.inside))
    assert page.tiles(replace(f, inside=well))[-1].number.endswith(f"of {len(f.inside) - 4}")
    depends = page.tiles(replace(f, pooled=tuple(replace(p, change_p_adjusted=0.01) for p in f.pooled)))[1]
    assert "together" in page.tiles(f)[1].text and "together" not in depends.text
    assert depends.number.endswith(f"of {sum(e.ratio is not None for e in f.edges)}")
    sure = " ".join(page.how_sure(f))
    assert "Seeds 0 and 1 chose" in sure and "seeds 2, 3, 4 and 5 judge" in sure and "10 are missing" in sure
    cards = [page.card(h, figdata.Units.of("accuracy")) for h in f.hypotheses]
    assert cards[0].verdict == "not decided, about 9 more seeds" and cards[1].effect.endswith(
        "p\xa0=\xa00.004, n\xa0=\xa04"
    )
    in_metric = page.card(
        replace(f.hypotheses[0], unit="accuracy", effect=Estimate(0.004, 0.001, 0.007, 4)),
        figdata.Units.of("accuracy"),
    )
    assert in_metric.effect.startswith("+0.4\xa0points (95 % interval +0.1 to +0.7)")


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


def browse(path: Path, profile: Path) -> Iterator[str]:
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
    ]
    flags += [
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={profile}",
        "--enable-logging=stderr",
        "--v=0",
    ]
    call = [str(CHROMIUM), *flags, "--virtual-time-budget=3000", "--dump-dom", path.as_uri() + "#dark"]
    done = subprocess.run(call, capture_output=True, text=True, timeout=120, check=True)
    yield done.stdout
    yield done.stderr


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: the page's script is not run")
def test_the_table_filters_and_sorts_in_a_browser(whole: Path, tmp_path: Path) -> None:
    f = full()
    page_text = whole.read_text(encoding="utf-8")
    probed = tmp_path / "probe.html"
    probed.write_text(page_text.replace("</body>", PROBE), encoding="utf-8")
    dom, log = browse(probed, tmp_path / "profile")
    (told,) = re.findall(r'<pre id="probe">(.*?)</pre>', dom)
    said = dict(part.split("=", 1) for part in told.strip(";").split(";"))
    gone = sum(r["optimizer"] == "adamw" and r["outcome"] == "diverged" for r in f.runs)
    long = sum(r["warmup"] == "20ep" for r in f.runs)
    assert said == {
        "page": "50", "found": f"{gone:,}", "all": "true", "chosen": f"{long:,}", "sorted": "true",
        "at": f"page 2 of {-(-len(f.runs) // 50)}", "theme": "dark",
    }  # fmt: skip
    assert "CONSOLE" not in log, [line for line in log.splitlines() if "CONSOLE" in line]
