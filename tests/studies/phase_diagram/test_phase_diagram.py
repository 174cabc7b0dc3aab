"""The study of the phase diagram: boundaries of made-up runs, what is claimed of nothing, and a tiny study."""

from __future__ import annotations

import html
import json
import math
import re
from functools import cache

import numpy as np
import pytest
from carried import trained
from pages import CHROMIUM, browse, write
from reported import found, shown

from preheat.analysis.results import Results, Row, collect
from preheat.analysis.tabulate import tabulate
from preheat.core.canon import digest
from preheat.core.errors import UserError
from preheat.core.grid import Block, label
from preheat.report.plates import paint
from preheat.report.report import report
from preheat.stats.claims import budget, judge
from preheat.stats.shares import Counted
from preheat.store.store import Store
from preheat.studies.phase_diagram.boundaries import Ended, diagram
from preheat.studies.phase_diagram.study import PhaseDiagram

WARMUPS = (1, 16, 256)


@cache
def declared(seeds):
    study = PhaseDiagram(warmups=WARMUPS, seeds=seeds).study()
    return study, study.points()


def made_up(edges, *, seeds, critical=0.01, moved=(0.0, 0.0), random=None, of=None):
    """(table, seen) of runs that work up to edges [optimizer, warmup] in log2, per seed and run moved."""
    study, points = declared(seeds) if of is None else (of, of.points())
    random = random or np.random.default_rng(0)
    spread, noise = moved
    own = spread * random.standard_normal(seeds + 1)
    rows, seen = [], []
    for point in points:
        name, warmup = point.axes["optimizer.name"], label(point.axes["schedule.warmup"])
        rate = point.axes["peak_lr"]
        edge = edges[name][
            [f"{w}" for w in WARMUPS].index(warmup.split()[0].removesuffix("step").removesuffix("s"))
        ]
        works = np.log2(rate) < edge + own[point.seed] + noise * random.standard_normal()
        score = 0.9 + 0.01 * random.standard_normal() if works else 0.1
        summary = {"total_steps": 2048, "steps_per_epoch": 8, "chance_accuracy": 0.1, "train_loss": 1 - score}
        summary |= {f"{split}_accuracy": score for split in ("validation", "test")}
        rows.append(Row(point.run.id, point.axes, point.seed, "done", None, summary))
        seen.append((rows[-1], Ended(score, critical)))
    return tabulate(Results(study, tuple(rows))), seen


def judged(table, seen):
    told = diagram(table, seen)
    return told, judge(told.claims, ("boundary",), alpha=budget(0), later=budget(1))


def test_boundaries_and_claims_of_a_known_diagram():
    edges = {"adam": [-4.0, -3.0, -2.0], "gi_adam": [-2.0, -2.0, -2.0]}
    told, verdicts = judged(*made_up(edges, seeds=8, moved=(0.4, 0.0)))
    for b in told.boundaries:
        at = [n for n, w in enumerate(WARMUPS) if b.treatment.startswith(f"{w}step") or b.treatment == str(w)]
        assert abs(np.log2(b.boundary.mean) - edges[b.panel][at[0]]) < 0.5, "to half of the grid's step"
        assert abs(np.log2(b.checked.mean / b.boundary.mean)) < 0.4, "and the regression tells the same"
    said = {name: str(v.verdict) for name, v in verdicts.items()}
    assert said["slope/adam"] == said["raises/gi_adam"] == "supported"
    assert said["slope/gi_adam"] == "not decided" and said["reaches/gi_adam"] == "supported", (
        "equal, to a step"
    )
    assert verdicts["slope/adam"].effect.mean == pytest.approx(2 ** (2 / 8), rel=0.1), (
        "two octaves over eight"
    )


@pytest.mark.parametrize("seeds", [3, 8])
def test_nothing_is_claimed_where_nothing_is_so(seeds):
    """The boundary differs by seed and by run only; and with the second optimizer a whole step lower, which is
    where "at most one step below" begins to be false. At most 5 % of pages may claim anything."""
    random, n = np.random.default_rng(seeds), 40
    own = {"seeds": seeds, "moved": (0.5, 0.7), "random": random}
    flat, lower = ({"adam": [-3.2] * 3, "gi_adam": [low] * 3} for low in (-3.2, -4.2))
    pages = [judged(*made_up(flat, **own))[1] for _ in range(n)]
    shown = ("supported", "the opposite is shown")
    wrong = [
        any(v.verdict in shown for name, v in page.items() if name[:3] in ("slo", "rai")) for page in pages
    ]
    assert sum(wrong) <= 5, "binomial, 0.05 of 40: 5 or fewer in 99 % of cases"
    equal = [judged(*made_up(lower, **own))[1]["reaches/gi_adam"].verdict == "supported" for _ in range(n)]
    assert sum(equal) <= 5


def test_a_grid_on_one_side_says_which_way_to_go():
    table, seen = made_up({"adam": [9.0] * 3, "gi_adam": [-99.0] * 3}, seeds=2)
    told, verdicts = judged(table, seen)
    from preheat.studies.phase_diagram.chapter import DiagramChapter

    notes = DiagramChapter().show(told, verdicts, table).notes
    assert any(
        re.search(r"Adam, warmup 1.step, .*: no run fails, .* add rates higher than 0.655", note)
        for note in notes
    )
    assert any(
        re.search(r"GI-Adam, .*: every run fails, .* add rates lower than 0.00512", note) for note in notes
    )


def test_the_order_of_the_warmups_does_not_matter_and_without_warmup_means_without():
    edges = {"adam": [-4.0, -3.0, -2.0], "gi_adam": [-3.0, -3.0, -3.0]}
    effects = []
    for order in ((1, 16, 256), (256, 16, 1)):
        study = PhaseDiagram(warmups=order, seeds=4).study()
        _, verdicts = judged(*made_up(edges, seeds=4, of=study))
        effects.append({n: round(v.effect.mean, 6) for n, v in verdicts.items()})
    assert effects[0] == effects[1] and effects[0]["raises/gi_adam"] == 2.0
    late = PhaseDiagram(warmups=(16, 256), seeds=2).study()
    _, verdicts = judged(*made_up(edges, seeds=2, of=late))
    assert {n for n in verdicts if n[:3] != "one"} == {"slope/adam", "slope/gi_adam"}, "none without warmup"


def test_a_warmup_from_the_critical_rate_reaches_its_peak_sooner():
    table, seen = made_up({n: [-3.0] * 3 for n in ("adam", "gi_adam")}, seeds=2, critical=0.02048)
    cells = {(c.treatment, c.rate): c for c in diagram(table, seen).cells if c.panel == "adam"}
    last = max((t for t, _ in cells), key=lambda t: float(re.sub(r"\D", "", t)))
    assert cells[last, 0.04096].reach == 128 and cells[last, 0.04096].save == 256 - 128 - 5
    assert cells[last, 0.01024].reach == 1


def of_half(shares, *, seeds):
    """The claims that a warmup from the critical rate takes one update, of runs that all work up to 0.2; a
    seed's critical rate is above about so many of the rates (a number for each seed)."""
    _, points = declared(seeds)
    rates = sorted({p.axes["peak_lr"] for p in points})[:6]
    table, seen = made_up({n: [np.log2(rates[-1]) + 0.5] * 3 for n in ("adam", "gi_adam")}, seeds=seeds)
    where = {p.run.id: p.seed for p in points}
    told = [
        (row, one._replace(critical=rates[0] / 1.5 * 2 ** (6 * shares[where[row.run_id] - 1])))
        for row, one in seen
    ]
    return {n: v for n, v in judged(table, told)[1].items() if n.startswith("one_step/")}


def test_most_runs_need_no_warmup_from_the_critical_rate_or_few_or_it_is_not_decided():
    """Of six rates that work with two warmups; a seed in which just half do is no sign either way."""
    for shares, verdict, mean, n in (
        ([1.0] * 8, "supported", 50.0, 8),
        ([4 / 6] * 8, "supported", 50.0, 8),
        ([5 / 6, 5 / 6, 1.0, 1.0], "not decided", 50.0, 4),
        ([0.0] * 8, "the opposite is shown", -50.0, 8),
        ([1 / 6, 5 / 6, 3 / 6, 2 / 6, 4 / 6], "not decided", 0.0, 4),
    ):
        v = of_half(shares, seeds=len(shares))["one_step/adam"]
        assert (v.verdict, v.effect.n, v.primary) == (verdict, n, False)
        assert v.effect.mean == pytest.approx(mean) and v.effect.lo <= v.effect.mean <= v.effect.hi
        assert v.p >= 2 / 2**n


def test_seeds_that_tell_all_or_nothing_by_chance_are_rarely_called():
    """The shares may be 0 or 1 by the seed: of six seeds all agree by chance in 1 of 32."""
    p = [Counted(k, 6).p for k in range(7)]
    false = sum(math.comb(6, k) for k in range(7) if p[k] <= 0.05) / 2**6
    assert false <= 0.05 and min(p) == 2 / 64


def test_one_seed_says_nothing_of_the_critical_rate():
    one = of_half([1.0], seeds=1)["one_step/adam"]
    assert one.verdict == "not decided" and one.p is None and "one seed" in one.why


def test_without_a_critical_rate_nothing_is_said_of_it():
    for critical, edge in ((np.nan, -3.0), (0.02, -99.0)):
        table, seen = made_up({n: [edge] * 3 for n in ("adam", "gi_adam")}, seeds=2, critical=critical)
        assert not [c for c in diagram(table, seen).claims if c.name.startswith("one_step/")]
    known = [(row, one) for row, one in seen if row.axes["optimizer.name"] == "adam"]
    assert not [c for c in diagram(table, known).claims if c.name == "one_step/gi_adam"]


TINY = {"model": {"name": "fcn", "width": 8, "depth": 2}, "steps": 12, "warmups": (1, 8), "seeds": 2}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    root = tmp_path_factory.mktemp("diagram")
    study = PhaseDiagram(**TINY, batch_size=500, peak_rates=(0.01, 0.1, 30.0)).study()
    points, _ = trained(study, root)
    store = Store.open(root, create=False)
    index = [(p.axes, p.seed, p.run.id) for p in points]
    return report(collect(study, index, store.heads()), store.load)


def test_a_tiny_study_has_its_diagram_with_every_run_to_read(tiny):
    cells = found(tiny, "diagram", "cells")
    assert len(cells) == 2 * 2 * 3 and all(c.n == 2 for c in cells) and found(tiny, "diagram", "by_accuracy")
    over = found(tiny, "diagram", "over_rates")
    assert len(over) == 4 and all(0 <= r.sensitivity.mean <= 1 and 0 < r.mean.mean < 1 for r in over)
    lead = shown(tiny, "diagram").lead
    assert "another rule" not in lead and "lambda_0" not in lead, "one rule for both; rates as they are"
    (first, *_) = shown(tiny, "diagram").plates
    drawn = paint(first).inline
    assert drawn.count('class="told"') == 6 and drawn.count('tabindex="0"') == 1
    assert re.search(r'aria-label="[^"]*seed 1 [\d.]+\s% \(run [0-9a-f]{8}\); seed 2', drawn)


PROBE = """<script>
const said = [], cells = [...document.querySelectorAll("figure .told")], figure = cells[0].closest("figure");
const read = () => figure.querySelector(".readout").textContent;
cells[4].dispatchEvent(new PointerEvent("pointerenter")); said.push(read());
cells[0].focus(); said.push(read());
const key = (k) => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: k, bubbles: true }));
key("ArrowRight"); key("ArrowDown"); said.push(read(), document.activeElement.getAttribute("tabindex"));
key("ArrowDown"); said.push(read() === said[2]);
said.push(figure.querySelector(".readout").closest(".scroll") === null);
document.body.insertAdjacentHTML("beforeend", '<pre id="probe">' + JSON.stringify(said) + "</pre>");
</script></body>"""


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: the page's script is not run")
def test_a_run_is_read_by_pointer_and_by_keyboard(tiny, tmp_path):
    page = write(tiny, tmp_path)
    page.write_text(page.read_text(encoding="utf-8").replace("</body>", PROBE), encoding="utf-8")
    dom, log = browse(page, tmp_path / "profile")
    told = html.unescape(re.findall(r'<pre id="probe">(\[.*?)</pre>', dom)[-1])
    pointed, focused, moved, index, stays, outside = json.loads(told)
    assert pointed.startswith("warmup 8\u00a0steps, peak learning rate 0.1: seed 1")
    assert focused.startswith("warmup 1\u00a0step, peak learning rate 0.01: seed 1")
    assert moved == pointed and index == "0" and stays, "one step right and one down; the edge holds"
    assert outside, "it stays in sight where the figure scrolls sideways"
    assert "CONSOLE" not in log


@pytest.mark.parametrize("metric", ["loss", "accuracy"])
def test_a_task_without_a_model_is_run_by_its_own_metric(metric, tmp_path):
    options = {**TINY, "task": "quadratic", "metric": metric}
    study = PhaseDiagram(
        **{**options, "model": {"name": "fcn", "width": 128}}, peak_rates=(0.1, 1e-4)
    ).study()
    points, _ = trained(study, tmp_path)
    index = [(p.axes, p.seed, p.run.id) for p in points]
    store = Store.open(tmp_path, create=False)
    made = report(collect(study, index, store.heads()), store.load)
    if metric == "accuracy":
        assert "have no accuracy: write metric: loss" in made.answer
        return
    assert not found(made, "diagram", "by_accuracy"), "failure is judged by the training loss"
    failed = {c.rate: c.failed for c in found(made, "diagram", "cells") if c.panel == "adam"}
    assert failed == {0.1: 0, 1e-4: 2}


def test_rates_in_units_of_sharpness_come_after_the_measurement():
    study = PhaseDiagram(**TINY, optimizers=("sgd",), unit="sharpness", peak_rates=(0.5, 64.0)).study()
    assert study.choosing == 1 and study.seeds == (0, 1, 2) and len(study.points()) == 1
    assert study.stages[0]["blocks"][0]["product"]["peak_lr"] == [0.5, 64.0]


def test_rates_in_units_of_sharpness_are_told_as_multiples_with_the_rate_beside_them():
    rates = {**TINY, "unit": "sharpness", "peak_rates": (0.5, 64.0), "optimizers": ("sgd",), "seeds": 1}
    study = PhaseDiagram(**rates, batch_size=500).study()
    (block,) = study.stages[0]["blocks"]
    grid = {**block, "product": {**block["product"], "peak_lr": [0.0235, 3.01]}}
    points = study.placed([Block(**grid, seeds=(1,))])
    rows = []
    for p in points:
        summary = {"total_steps": 12, "steps_per_epoch": 2, "chance_accuracy": 0.1, "train_loss": 0.1}
        summary |= {"validation_accuracy": 0.9, "test_accuracy": 0.9, "train_accuracy": 0.9}
        rows.append(Row(p.run.id, p.axes, p.seed, "done", None, summary))
    page = report(Results(study, tuple(rows)), chapters=("diagram",))
    told, plate = shown(page, "diagram"), shown(page, "diagram").plates[0].data
    assert plate.columns == ("0.5 (0.0235)", "64 (3.01)") and "in 2 / lambda_0" in plate.column_label
    assert "multiples of 2 / lambda_0, which is 0.047 here" in told.lead
    cells = next(t for t in told.tables if t.caption.startswith("Every cell"))
    assert [row[2] for row in cells.rows[:2]] == ["0.5 (0.0235)", "64 (3.01)"]
    assert "lambda_0" in cells.columns[2] and "c is the least at which" in cells.caption


def test_the_unit_of_sharpness_is_noted_where_it_is_no_threshold():
    plain, mixed = (
        PhaseDiagram(**TINY, optimizers=some, unit="sharpness").study().notes
        for some in (("sgd",), ("sgd", "lion"))
    )
    assert plain == () and "for lion it is a unit only" in mixed[0]


def test_other_seeds_keep_their_roles():
    """`--seeds 4`: one still measures, the others train, and no seed does both."""
    made = PhaseDiagram(**TINY, optimizers=("sgd",), unit="sharpness").study().with_seeds(4)
    assert made.seeds == (0, 1, 2, 3) and made.choosing == 1
    assert {p.seed for p in made.points()} == {0}
    with pytest.raises(UserError, match=r"two seeds, .*, got \[0\]: write --seeds 2"):
        made.with_seeds(1)


@pytest.mark.parametrize(
    "options,message",
    [
        ({"optimizers": ("adm",)}, "unknown optimizer 'adm': did you mean 'adam'"),
        ({"unit": "octave"}, "unknown unit of study 'phase-diagram' 'octave'"),
        ({"schedule": "linear"}, "unknown schedule of study 'phase-diagram' 'linear'"),
        ({"warmups": (0, 16)}, r"must be 1 to steps=2048 updates, got \[0\]: 1 is no warmup"),
        ({"seeds": 0}, "seeds of study 'phase-diagram' must be at least 1: .*, got 0"),
        ({"task_options": {"crop": 1}}, "unknown option of task 'digits' 'crop'"),
        ({"task_options": [1]}, r"task_options of study 'phase-diagram' must be a mapping, got \[1\]"),
        ({"optimizers": ("adam", {"name": "adam", "beta2": 0.99})}, "each name once, got .'adam', 'adam'."),
        ({"optimizers": ({"name": "adam", "beta3": 0.99},)}, "unknown option of optimizer 'adam' 'beta3'"),
        ({"peak_rates": (0.1,)}, r"two or more above 0, on both sides of the boundary, got \[0.1\]"),
        ({"peak_rates": (0.1, -1.0)}, "two or more above 0"),
        ({"peak_rates": (0.1, 0.2, 0.1)}, "must be different, to six digits, .* write each rate once"),
        ({"task": "quadratic", "model": "myrtle"}, "unknown option of task 'quadratic' 'model'"),
        ({"task": "quadratic", "objective": "mse"}, "unknown option of task 'quadratic' 'objective'"),
        ({"parameterisation": "mup"}, "unknown parameterisation of model 'fcn' 'mup': did you mean 'mu'"),
    ],
)
def test_bad_options_are_errors(options, message):
    with pytest.raises(UserError, match=message):
        PhaseDiagram(**options).study().points()


def test_the_runs_of_the_default_study_are_what_they_were():
    """A change of what is trained must be seen."""
    ids = [p.run.id for p in PhaseDiagram().study().points()]
    assert (len(ids), digest(ids)[:16]) == (288, "0240dd625eee7f90")


def test_options_of_the_task_and_the_optimizers_are_those_of_every_run():
    study = PhaseDiagram(
        optimizers=({"name": "adam", "beta2": 0.99}, "gi_adam"), task_options={"objective": "mse"}, seeds=[7]
    ).study()
    runs = [p.run for p in study.points()]
    assert len(runs) == 2 * 6 * 8 and {r.seed for r in runs} == {7}
    assert {(r.optimizer.name, r.optimizer.options["beta2"]) for r in runs} == {
        ("adam", 0.99),
        ("gi_adam", 0.999),
    }
    assert {r.task.options["objective"] for r in runs} == {"mse"}
