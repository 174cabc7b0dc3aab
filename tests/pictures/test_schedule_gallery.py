"""The gallery: every schedule is on it, what it draws is what Python computes, and what it offers to copy
means the same."""

from __future__ import annotations

import json
import random
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import MISSING, dataclass, fields
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import sampled

import preheat.schedules
from preheat.cli import main as cli
from preheat.cli.schedules import schedule_words
from preheat.core.errors import UserError
from preheat.core.registry import SCHEDULES
from preheat.pictures.gallery import CODES, COMBINATIONS, gallery_page, write_gallery
from preheat.pictures.gallery_options import Option, options
from preheat.schedules.form import Segment, Span
from preheat.schedules.horizon import Horizon
from preheat.schedules.named import Named
from preheat.schedules.pieces import Piece
from preheat.schedules.resolved import Resolved
from preheat.schedules.rule import Rule

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SHIPPED = [name for name in SCHEDULES.names() if SCHEDULES[name].__module__.startswith("preheat.")]
STILL = [*COMBINATIONS, *CODES.split()]
LIVE = [name for name in SHIPPED if name not in STILL]
TOTAL = 1000
PLACES = [0.0, *(np.arange(40) * 25.0 + 0.37).tolist(), 1000.0]


@pytest.fixture(scope="module")
def page() -> str:
    return gallery_page()


def data(page: str) -> dict[str, Any]:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, flags=re.S)
    return dict(json.loads(text))


def meant(text: str) -> Any:
    """What a text is after `from preheat.schedules import *`."""
    return eval(text, {name: getattr(preheat.schedules, name) for name in preheat.schedules.__all__})


def test_every_schedule_is_on_the_page_and_every_shipped_one_moves_or_is_an_example(page: str) -> None:
    cards = data(page)
    assert sorted(re.findall(r'data-name="(\w+)"', page)) == list(cards) == SCHEDULES.names()
    assert {name for name in SHIPPED if "options" in cards[name]} == set(LIVE)
    assert all("x" in cards[name] and "rule" not in cards[name] for name in STILL)
    assert {name: cards[name]["y"][0] for name in ("EH", "OC")} == {"EH": 1.0, "OC": 0.04}
    described = re.findall(r'data-name="\w+">\s*<h3>\w+</h3>\s*<p>(.+?)</p>', page)
    assert len(described) == len(cards)


def test_the_page_is_small_needs_nothing_from_outside_and_is_the_same_twice(
    page: str, tmp_path: Path
) -> None:
    assert len(page.encode()) < 400_000
    assert not re.search(
        r"(?:https?:)?//[\w.-]+\.\w+|@import|url\((?!#)| src=", page.replace("http://www.w3.org/2000/svg", "")
    )
    assert write_gallery(tmp_path / "a.html").read_bytes() == page.encode()


@pytest.mark.parametrize("name", LIVE)
def test_every_option_but_the_sampling_has_a_control_that_opens_with_a_schedule(name: str) -> None:
    found = {o.name: o for o in options(SCHEDULES[name])}
    assert set(found) == {f.name for f in fields(SCHEDULES[name])} - {"at", "every", "warmup_at"}
    assert all(o.open in o.values for o in found.values())
    needed = {o.name: python(o, o.open) for o in found.values() if o.required or o.name == "warmup"}
    SCHEDULES.build(name, needed).resolve(TOTAL)
    assert all(
        f.default is not MISSING or found[f.name].required for f in fields(SCHEDULES[name]) if f.name in found
    )


@pytest.mark.parametrize("name", COMBINATIONS)
def test_examples_are_what_their_text_says(name: str, page: str) -> None:
    text, make = COMBINATIONS[name]
    made = meant(text)
    assert (made.schedule if isinstance(made, Resolved) else made) == make()
    assert not isinstance(made, Resolved) or made.total == TOTAL
    texts = data(page)[name]["texts"]
    assert texts["python"] == text and json.loads(texts["json"]) == make().json()


# --- in a browser ----------------------------------------------------------------------------------------


def python(option: Option, value: Any) -> Any:
    """An option's value as Python takes it."""
    if option.kind == "share" and value is not None:
        return f"{value}%"
    if option.kind == "shares":
        return [f"{v}%" for v in value]
    if option.kind == "runs":
        return round(value * TOTAL)
    return list(value) if isinstance(value, tuple) else value


def cases(name: str) -> list[dict[str, int]]:
    """Positions of controls: each option through its range by itself, two sliders at their ends, all of them,
    at random."""
    found = options(SCHEDULES[name])
    dice = random.Random(name)
    out: list[dict[str, int]] = [{}]
    for o in found:
        last = len(o.values) - 1
        out += [
            {o.name: i}
            for i in sorted({0, 1, last // 3, 2 * last // 3, last} if o.kind != "text" else range(last + 1))
        ]
    ends = [
        [(o.name, i) for i in (0, len(o.values) - 1)] for o in found if o.kind in ("share", "runs", "number")
    ]
    pairs = [dict(pair) for a, b in combinations(ends, 2) for pair in product(a, b)]
    out += dice.sample(pairs, sampled(len(pairs)))
    out += [dict(end) for end in zip(*ends, strict=True)]
    return out + [
        {o.name: dice.randrange(len(o.values)) for o in found if dice.random() < 0.6}
        for _ in range(sampled(25))
    ]


PROBE = """<script>
const cases = %s, places = %s, told = [];
const factor = (segments, t) => segments.findLast((s) => s.begin <= t).f(t);
for (const [name, list] of Object.entries(cases)) {
  const card = document.getElementById("schedule-" + name);
  const inputs = [...card.querySelectorAll("[data-option]")];
  const opening = inputs.map((i) => (i.type === "checkbox" ? i.checked : i.value));
  for (const positions of list) {
    inputs.forEach((input, i) => {
      const wanted = positions[input.dataset.option];
      if (input.type === "checkbox") input.checked = wanted === undefined ? opening[i] : wanted === 1;
      else input.value = wanted ?? opening[i];
    });
    inputs[0].dispatchEvent(new Event("input"));
    const { rule, segments, boundaries } = card.drawn, text = (k) => card.querySelector(k).textContent;
    told.push([name, text(".python"), text(".shell"), rule ?? null,
      rule ? [] : places.map((t) => factor(segments, t)), rule ? [] : boundaries.map(([t, , y]) => [t, y]),
      card.querySelectorAll("svg").length, card.querySelector(".rule").hidden,
      [...card.querySelectorAll(".copy button")].map((b) => b.disabled)]);
  }
}
const out = document.createElement("pre");
out.id = "probe";
out.textContent = JSON.stringify(told);
document.body.append(out);
</script></body>"""


def browse(page: str, probe: str, folder: Path, hash: str = "") -> tuple[str, str]:
    """The page's text after the probe ran, and what the browser logged."""
    (folder / "probe.html").write_text(page.replace("</body>", probe), encoding="utf-8")
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
        f"--user-data-dir={folder / 'profile'}",
        "--enable-logging=stderr",
    ]
    call = [
        str(CHROMIUM),
        *flags,
        "--v=0",
        "--virtual-time-budget=3000",
        "--dump-dom",
        (folder / "probe.html").as_uri() + hash,
    ]
    done = subprocess.run(call, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, done.stderr


def told(dom: str) -> Any:
    (text,) = re.findall(r'<pre id="probe">(.*?)</pre>', dom, flags=re.S)
    return json.loads(text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))


def rule_of(message: str) -> str:
    """The rule that an error states, without the values."""
    return re.split(r" \(|, |: ", message)[0]


def expected(name: str, positions: dict[str, int]) -> dict[str, Any]:
    """The options that the controls stand for."""
    found = options(SCHEDULES[name])
    now = {o.name: o.values[positions[o.name]] if o.name in positions else o.open for o in found}
    out = {}
    for o in found:
        if o.curve and (
            now[o.curve] not in ("polynomial", "cosine") or (now[o.curve] == "cosine" and now[o.name] == 1)
        ):
            continue
        out[o.name] = python(o, now[o.name])
    return out


@pytest.fixture(scope="module")
def browsed(
    page: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[tuple[dict[str, int], list[Any]]]]:
    """{name: [(positions, what the page told), ...]}."""
    asked = {name: cases(name) for name in LIVE}
    dom, log = browse(
        page, PROBE % (json.dumps(asked), json.dumps(PLACES)), tmp_path_factory.mktemp("browser")
    )
    assert "CONSOLE" not in log, [line for line in log.splitlines() if "CONSOLE" in line]
    answers = iter(told(dom))
    return {name: [(positions, next(answers)) for positions in asked[name]] for name in LIVE}


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: the page's script is not run")
@pytest.mark.parametrize("name", LIVE)
def test_the_pictures_texts_and_rules_are_pythons(name: str, browsed: Any) -> None:
    drawn = 0
    for positions, (_, text, line, rule, values, marks, pictures, hidden, off) in browsed[name]:
        wanted = expected(name, positions)
        assert (pictures, hidden, off) == ((0, False, [True] * 2) if rule else (1, True, [False] * 2)), (
            text,
            rule,
        )
        try:
            schedule = SCHEDULES.build(name, wanted)
            rate = schedule.resolve(TOTAL)
        except UserError as error:
            assert rule and rule_of(rule) == rule_of(str(error)), (text, rule, str(error))
            continue
        assert rule is None, (text, rule)
        drawn += 1
        curve = [*rate.curve(PLACES[:-1]), rate.curve(PLACES[-1], after=False)]
        np.testing.assert_allclose(values, curve, rtol=0, atol=1e-9, err_msg=text)
        found = sorted({(b.step, b.factor) for b in rate.boundaries()})
        np.testing.assert_allclose(sorted(map(tuple, marks)), found, rtol=0, atol=1e-9, err_msg=text)
        assert meant(text) == schedule
        (word,) = shlex.split(line)[2:]
        assert schedule_words([word]) == {word: schedule}
    assert drawn >= 5


# --- what a third party registers, and the page's controls -----------------------------------------------


@dataclass(frozen=True)
class halved(Rule):
    """From the peak to half of it, <b>straight</b>.

    s = 1 - u / 2.
    """

    at: str = "mid"
    every: str = "step"

    def segments(self, run: Horizon) -> tuple[Segment, ...]:
        return (Segment(Span(0.0, run.total), "decay", Piece(None, 1.0, 0.5)),)

    def json(self) -> dict[str, Any]:
        return {"name": "halved"}


@dataclass(frozen=True, kw_only=True)
class wanting(Named):
    """It has an option without a default, which nobody can guess."""

    depth: float

    def body(self) -> tuple[Piece, ...]:
        return (Piece(None, 1.0, self.depth),)


@pytest.fixture
def wide_page(monkeypatch: pytest.MonkeyPatch) -> str:
    """The page with two schedules of somebody else's."""
    for made in (halved, wanting):
        monkeypatch.setitem(SCHEDULES._objects, made.__name__, made)
    return gallery_page()


def test_what_a_third_party_registers_stands_still_and_says_what_it_lacks(wide_page: str) -> None:
    cards = data(wide_page)
    assert cards["halved"]["y"][::60] == [1.0, 0.75, 0.5] and cards["halved"]["texts"] == {
        "python": "halved()",
        "shell": "halved",
    }
    assert cards["wanting"] == {"rule": "schedule 'wanting' needs depth: write depth=..."}
    others = wide_page.partition("<h2>Others</h2>")[2]
    assert re.findall(r'data-name="(\w+)"', others) == ["halved", "wanting"]
    assert "&lt;b&gt;straight" in others and "s = 1 - u / 2." in others


CONTROLS = """<script>
const say = {}, byId = (id) => document.getElementById(id), card = (name) => byId("schedule-" + name);
const text = (name, kind) => card(name).querySelector("." + kind).textContent;
const put = (input, value, event = "input") => {
  input.value = value;
  input.dispatchEvent(new Event(event));
};
const option = (name, what) => card(name).querySelector(`[data-option="${what}"]`);
const put_last = (name, what) => put(option(name, what), option(name, what).max);
const run = async () => {
  const halved = (what) => card("halved").querySelectorAll(what).length;
  say.still = [halved("svg path.curve"), halved("input")];
  say.lacking = [card("wanting").querySelectorAll("svg").length, text("wanting", "rule")];
  put_last("wsd", "warmup");
  const buttons = () => [...card("wsd").querySelectorAll(".copy button")].map((b) => b.disabled);
  say.broken = [card("wsd").querySelectorAll("svg").length, text("wsd", "rule"), buttons()];
  put(option("wsd", "warmup"), 0);
  const drawn = card("wsd").querySelectorAll("svg").length;
  say.mended = [drawn, card("wsd").querySelector(".rule").hidden, buttons()];
  const chosen = [["scale", "log"], ["unit", "progress"], ["total", "10000"]];
  for (const [id, value] of chosen) put(byId(id), value, "change");
  put(byId("peak"), "1e-3");
  say.lines = ["wsd", "hyperbolic", "step", "halved"].map((name) => text(name, "shell"));
  say.words = [...card("cosine").querySelectorAll("svg text")].map((t) => t.textContent);
  say.label = card("cosine").querySelector("svg").getAttribute("aria-label");
  put(byId("peak"), "-1");
  say.wrong = [byId("peak").getAttribute("aria-invalid"), byId("wrong").textContent, text("wsd", "shell")];
  put(byId("find"), "hyperb");
  const left = [...document.querySelectorAll(".schedule:not([hidden])")].map((e) => e.dataset.name);
  say.found = [byId("shown").textContent, left,
    document.querySelectorAll(".family:not([hidden])").length];
  put(byId("find"), "zebra");
  say.lost = [byId("shown").textContent, document.querySelectorAll(".family:not([hidden])").length];
  put(byId("find"), "");
  const button = card("wsd").querySelector(".copy button");
  button.click();
  await new Promise((done) => setTimeout(done, 300));
  say.copied = button.textContent;
  say.theme = document.documentElement.dataset.theme;
  for (const details of document.querySelectorAll("details")) details.open = true;
  Object.assign(document.body.style, { width: "390px", margin: "0" });
  const all = (what) => [...document.querySelectorAll(what)];
  const wide = (e) => e.getBoundingClientRect().right > 391;
  say.wide = all("body *").filter(wide).map((e) => e.tagName);
  const bare = (e) => !(e.labels?.length || e.getAttribute("aria-label"));
  say.named = all("input, select, button").filter(bare).length;
};
run().catch((error) => { say.error = String(error); }).then(() => {
  const out = document.createElement("pre");
  out.id = "probe";
  out.textContent = JSON.stringify(say);
  document.body.append(out);
});
</script></body>"""


OPENED = """<script>
const out = document.createElement("pre");
const words = (name) => document.querySelector("#schedule-" + name + " .shell").textContent;
out.id = "probe";
out.textContent = JSON.stringify([words("wsd"), words("hyperbolic"), document.getElementById("total").value,
  document.querySelector("#schedule-cosine svg").getAttribute("aria-label")]);
document.body.append(out);
</script></body>"""


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: the page's script is not run")
def test_the_page_opens_at_the_commands_length_and_peak(tmp_path: Path) -> None:
    line = ["plot", "--gallery", "--epochs", "7", "--out", str(tmp_path / "own.html")]
    assert cli.main(line) == 2
    assert cli.main([*line[:2], "--steps", "30001", "--peak-lr", "3e-4", *line[4:]]) == 0
    dom, log = browse((tmp_path / "own.html").read_text(encoding="utf-8"), OPENED, tmp_path)
    assert "CONSOLE" not in log, [line for line in log.splitlines() if "CONSOLE" in line]
    flags = "--steps 30001 --peak-lr 3e-4"
    assert told(dom) == [
        f"preheat plot wsd:warmup=5% {flags}",
        f"preheat plot hyperbolic:warmup=5%,upper=60002 {flags}",
        "30001",
        "cosine: start 0 at 0; warmup ends 3e-4 at 1,500.05; end 0 at 30,001",
    ]


def test_no_formula_line_names_what_a_reader_can_not_see(page: str) -> None:
    lines = re.findall(r'<p class="formula">(.*?)</p>', page)
    assert len(lines) > 15 and not [line for line in lines if "preheat" in line or "Named" in line]
    assert "<h2>Constant and decays</h2>" in page


@pytest.mark.parametrize("name", LIVE)
def test_no_slider_starts_at_what_its_rule_refuses(name: str) -> None:
    """Beside linear curves; a warmup of 0 is right wherever something else gives the timescale."""
    found = options(SCHEDULES[name])
    straight = {o.name: "linear" for o in found if o.name.endswith("curve")}
    needed = {o.name: python(o, o.open) for o in found if o.required or o.name == "warmup"}
    for o in found:
        if o.kind in ("share", "runs", "number") and o.name != "warmup" and not o.curve:
            low = next(v for v in o.values if v is not None)
            SCHEDULES.build(name, {**straight, **needed, o.name: python(o, low)})


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: the page's script is not run")
def test_the_controls_of_the_page_in_a_browser(wide_page: str, tmp_path: Path) -> None:
    dom, log = browse(wide_page, CONTROLS, tmp_path, "#dark")
    assert "CONSOLE" not in log, [line for line in log.splitlines() if "CONSOLE" in line]
    say = told(dom)
    assert say["still"] == [1, 0] and say["lacking"] == [0, "schedule 'wanting' needs depth: write depth=..."]
    figures, rule, off = say["broken"]
    assert (figures, off) == (0, [True, True]) and rule.startswith(
        "a schedule's pieces must fit in the run, got warmup 1000 + "
    )
    assert say["mended"] == [1, True, [False, False]]
    flags = " --steps 10000 --peak-lr 0.001 --unit progress --log"
    named = ["wsd", "hyperbolic:warmup=5%,upper=20000", "step:warmup=5%", "halved"]
    assert say["lines"] == [f"preheat plot {word}{flags}" for word in named]
    read = cli.build("plot").parse_args(shlex.split(say["lines"][1])[2:])
    assert (read.schedules, read.steps, read.peak_lr, read.unit, read.log) == (
        [named[1]],
        10_000,
        1e-3,
        "progress",
        True,
    )
    assert {"progress", "learning rate", "warmup ends: 0.001", "1e-4", "0.25"} <= set(say["words"])
    assert say["label"] == "cosine: start 0 at 0; warmup ends 0.001 at 500; end 0 at 10,000"
    assert say["wrong"] == [
        "true",
        'The peak rate is a number above 0, got "-1": write 0.001.',
        say["lines"][0],
    ]
    shown, names, families = say["found"]
    lost = (
        'No schedule has these words, got "zebra": write fewer, or a part of one such as cos, warm or torch.'
    )
    assert say["lost"] == [lost, 0]
    assert names == ["exp_hyperbolic", "hyperbolic", "tanh", *sorted(CODES.split())]
    assert shown.startswith("16 of ") and families == 2
    assert (
        say["copied"] in ("Copied", "Selected")
        and say["theme"] == "dark"
        and say["wide"] == []
        and say["named"] == 0
    )


# --- the command -----------------------------------------------------------------------------------------


def test_the_command_writes_the_gallery_with_what_a_file_registers(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from preheat import SCHEDULES\nfrom preheat.schedules.shapes.linear import linear\n"
        '@SCHEDULES.register("own")\ndef own():\n    """Mine."""\n    return linear(final=0.5)\n'
    )
    code = "import sys; from preheat.cli.main import main; c = main(sys.argv[1:])"
    code += "; assert 'torch' not in sys.modules; sys.exit(c)"
    call = [sys.executable, "-c", code, "plot", "--gallery", "--import", "mine.py", "--out", "all.html"]
    done = subprocess.run(call, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "wrote all.html\n", "")
    assert data((tmp_path / "all.html").read_text(encoding="utf-8"))["own"]["y"][-1] == 0.5


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "--gallery cosine",
            "--gallery shows every schedule and has controls of its own: write only --steps, --peak-lr, "
            "--out",
        ),
        ("--gallery --log", "--gallery shows every schedule"),
        ("--gallery --warmup 90%", "--gallery shows every schedule"),
        (
            "--gallery --steps 10000001",
            "a run may have at most 10,000,000 steps, got 10,000,001: write a shorter --steps",
        ),
        ("--gallery --peak-lr 0", "--peak-lr must be a finite rate above 0, got 0: write --peak-lr 1e-3"),
        ("--gallery --out gallery.png", "write gallery.html"),
        ("--gallery --out no/where/gallery.html", "folder that exists"),
    ],
)
def test_what_the_gallery_does_not_take(line: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plot", *line.split()]) == 2
    assert words in capsys.readouterr().err
