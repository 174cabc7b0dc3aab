"""What the report's figures show, and that it is what is drawn."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from fake_reports import CHAPTERS, OPTIMIZER, TREATMENTS, WARMUP, Made, found, full, plates, study
from matplotlib import rc_context

from preheat.analysis.naming import treatment_name
from preheat.analysis.results import Results
from preheat.analysis.table import Table
from preheat.core.errors import UserError
from preheat.core.registry import CHAPTERS as REGISTERED
from preheat.report.chapter import Shown
from preheat.report.drawing import style
from preheat.report.drawing.figures import draw
from preheat.report.drawing.shapes import Dot, Dots, Facets, Heat, Line, Lines, Matrix
from preheat.report.plates import Plate, apart, describe, paint
from preheat.report.report import Report
from preheat.stats.claims import Verdict
from preheat.stats.estimates import Estimate

NAMES = tuple(text.replace(" ", "\xa0", 1) for text in ("1 epoch", "5 epochs", "10 epochs", "20 epochs"))


def whole(*panels: str) -> Made:
    """The study without its missing runs: all of it is judged."""
    given = full(panels or ("sgd", "adamw"))
    rows = tuple(r for r in given.results.rows if r.outcome != "missing")
    return Made(Results(study(), rows), given.load)


@pytest.fixture(scope="module")
def made() -> Report:
    return whole().report()


@pytest.fixture(scope="module")
def drawn(made: Report) -> Mapping[str, Plate]:
    return plates(made)


def table(made: Report) -> Table:
    assert made.table is not None
    return made.table


def shown(made: Report, name: str, other: Any = None, **verdicts: Any) -> Shown:
    """The chapter as it reads with other findings, or other verdicts on its own."""
    told = {**made.verdicts, **{k.replace("__", "/"): v for k, v in verdicts.items()}}
    return REGISTERED[name]().show(found(made, name) if other is None else other, told, table(made))


def data(some: Mapping[str, Plate] | Shown, name: str) -> Any:
    every = {p.name: p for p in some.plates} if isinstance(some, Shown) else some
    return every[name].data


def test_accuracy_heat_map_shows_the_cells(made: Report, drawn: Mapping[str, Plate]) -> None:
    heat, cells = data(drawn, "accuracy-adamw"), found(made, "metric")
    cell = next(c for c in cells.cells if (c.panel, c.condition, c.treatment) == ("adamw", "20", "5ep"))
    at = heat.rows.index("20"), heat.columns.index(NAMES[1])
    assert heat.values[at[0]][at[1]] == pytest.approx(100 * cell.estimate.mean)
    assert cell.estimate.hi is not None
    half = 100 * (cell.estimate.hi - cell.estimate.mean)
    assert heat.texts[at[0]][at[1]] == f"{100 * cell.estimate.mean:.1f}\n±{half:.1f}"
    holed = replace(cells, cells=tuple(c for c in cells.cells if c is not cell))
    assert data(shown(made, "metric", holed), "accuracy-adamw").values[at[0]][at[1]] is None


def test_edges_are_pooled_over_conditions(made: Report, drawn: Mapping[str, Plate]) -> None:
    lines = data(drawn, "edge-sgd")
    assert [line.name for line in lines.lines] == ["no warmup", *NAMES]
    some = (e for e in found(made, "edge").edges if (e.panel, e.treatment) == ("sgd", "5ep"))
    points = [p for e in some for p in e.points if p.value == 0.3]
    share = 100 * sum(p.trained for p in points) / sum(p.runs for p in points)
    line = lines.lines[TREATMENTS.index("5ep")]
    assert 0 < share < 100 and line.y[line.x.index(0.3)] == pytest.approx(share)


def test_the_front_figures_have_the_primary_verdicts(made: Report, drawn: Mapping[str, Plate]) -> None:
    front = {name: p.data for name, p in drawn.items() if p.front}
    assert list(front) == ["main-tuned", "main-over-rates", "edge-moves"]
    measures = zip(front.values(), ("tuned", "over_rates", "edge"), (100, 100, 1), strict=True)
    for dots, measure, scale in measures:
        told = [v for n, v in made.verdicts.items() if n.startswith(f"{measure}/") and v.primary]
        told = [v for v in told if not v.at[1]]
        assert len(told) == 8 and dots.rows == ("SGD", "AdamW")
        assert [(d.mean, d.filled) for d in dots.dots] == [
            (pytest.approx(scale * v.effect.mean), v.differs) for v in told
        ]
    assert any(d.filled for d in front["edge-moves"].dots)


def test_a_bound_is_an_arrow_in_place_of_a_whisker_and_at_least_in_the_table(made: Report) -> None:
    f = found(made, "edge")
    places = [(e.panel, e.condition, e.treatment) for e in f.edges]
    at = places.index(("adamw", "5", "20ep"))
    least = Estimate(1.9, 1.5, None, 6, "at least")
    bounded = list(f.edges)
    bounded[at] = replace(f.edges[at], ratio=least, edge=replace(least, mean=0.28))
    name = "edge/adamw/5/20ep"
    judged = {name.replace("/", "__"): replace(made.verdicts[name], effect=least)}
    section = shown(made, "edge", replace(f, edges=tuple(bounded)), **judged)
    some = {p.name: p for p in section.plates}
    plate = some["edge-ratio-adamw"]
    assert isinstance(plate.data, Dots) and "Arrow at a dot: a bound" in plate.caption
    (dot,) = (d for d in plate.data.dots if d.mean == 1.9)
    assert (dot.row, dot.name, dot.arrow, dot.lo, dot.hi) == ("5", NAMES[3], "right", 1.5, None)
    with style.drawing():
        axes = draw(replace(plate.data, dots=(dot,))).axes[0]
    (arrow,) = axes.texts
    assert float(arrow.xy[0]) == dot.mean and arrow.get_position()[0] > 0, "to the right of the dot"
    ends = [tuple(line.get_xdata()) for line in axes.lines]
    assert (1.5, 1.9) in ends, "the line ends at the dot"
    (row,) = (r for r in section.tables[-1].rows if r[:3] == ("AdamW", "5", "20ep"))
    assert (row[3], row[5]) == ("at least 0.28 (from 1.5)", "at least 1.9 (from 1.5)")


def test_a_run_that_learnt_nothing_did_not_train_though_it_finished(
    made: Report, drawn: Mapping[str, Plate]
) -> None:
    heat = data(drawn, "untrained-sgd")
    place = ("sgd", "20", "5ep")
    lost = next(x for x in found(made, "untrained").settings if (x.panel, x.condition, x.treatment) == place)
    k, n = lost.untrained.k, lost.untrained.n
    at = heat.rows.index("20"), heat.columns.index(NAMES[1])
    assert k > lost.diverged > 0
    assert heat.texts[at[0]][at[1]] == f"{100 * k / n:.0f} %\n{k}/{n}"


def test_benefit_is_in_points_with_margin_and_verdict(made: Report, drawn: Mapping[str, Plate]) -> None:
    sure = {f"benefit__{panel}__20__20ep": decided(made, panel, 0.02) for panel in ("sgd", "adamw")}
    some = shown(made, "benefit", **sure)
    effects = found(made, "benefit").effects
    for panel in ("sgd", "adamw"):
        dots, heat = data(some, f"benefit-{panel}"), data(some, f"benefit-map-{panel}")
        assert dots.band == pytest.approx(1.0) and "(points)" in dots.x_label
        mine = [e for e in effects if e.panel == panel]
        for d, e in zip(dots.dots, mine, strict=True):
            name = treatment_name(table(made), e.treatment)
            mean = 2.0 if (e.condition, e.treatment) == ("20", "20ep") else 100 * e.estimate.mean
            assert (d.row, d.name, d.mean) == (e.condition, name, pytest.approx(mean))
            v = {**made.verdicts, "/".join(("benefit", panel, "20", "20ep")): decided(made, panel, 0.02)}
            told = v["/".join(("benefit", e.panel, e.condition, e.treatment))]
            assert d.filled == told.differs
            at = heat.rows.index(d.row), heat.columns.index(d.name)
            assert heat.values[at[0]][at[1]] == pytest.approx(d.mean)
            assert heat.faded[at[0]][at[1]] == (told.verdict is Verdict.OPEN)
        assert any(d.filled for d in dots.dots) and any(any(row) for row in heat.faded)
        assert heat.centre == 0 and heat.low == -heat.high <= -1


def decided(made: Report, panel: str, mean: float, half: float = 0.01) -> Any:
    """A verdict on the benefit of 20 epochs at 20 examples, as if it were shown."""
    v = made.verdicts[f"benefit/{panel}/20/20ep"]
    effect = Estimate(mean, mean - half, mean + half, 6)
    return replace(v, verdict=Verdict.SUPPORTED, effect=effect)


def test_differences_are_centred_and_pale_where_nothing_is_decided() -> None:
    values = ((-2.0, 0.0, 2.0, 2.0),)
    faded = ((False, False, False, True),)
    texts = (("a", "b", "c", "d"),)
    heat = Heat(("r",), ("w", "x", "y", "z"), "", "", "", values, texts, -2, 2, centre=0.0, faded=faded)
    with style.drawing():
        cells = [p for p in draw(heat).axes[0].patches if p.get_facecolor()]
        less = [p for p in draw(replace(heat, less=True)).axes[0].patches if p.get_facecolor()]
    alpha = [p.get_facecolor()[3] for p in cells]
    assert alpha[0] == alpha[2] > 4 * alpha[3] > alpha[1] == 0
    assert [p.get_edgecolor()[3] > 0 for p in cells] == [True, True, True, False], "framed: decided"
    assert cells[0].get_facecolor()[:3] != cells[2].get_facecolor()[:3]
    assert less[0].get_facecolor() == cells[2].get_facecolor(), (
        "where less is better the colours change sides"
    )


def test_panels_share_an_axis_and_outliers_are_cut_with_an_arrow(made: Report) -> None:
    calm, cut = (
        shown(made, "benefit", benefit__sgd__20__20ep=v).plates[2:4]
        for v in (decided(made, "sgd", 0.01), decided(made, "sgd", 0.3, 0.8))
    )
    spans = [p.data.span for p in calm if isinstance(p.data, Dots)]
    assert spans[0] == spans[1] is not None
    assert ["Arrows" in p.caption for p in calm] == [False, False]
    assert ["Arrows" in p.caption for p in cut] == [True, False]
    assert isinstance(cut[0].data, Dots) and cut[0].data.span is not None and cut[0].data.span[1] < 20


def test_an_axis_ends_where_the_metric_ends(drawn: Mapping[str, Plate]) -> None:
    wide = Lines("x", "accuracy (%)", (Line("a", 0, (0.0, 1.0), (20.0, 99.9)),), ends=(0.0, 100.0))
    with style.drawing():
        for given, ends in ((wide, (15, 100)), (replace(wide, bottom=-5.0), (0, 100))):
            low, high = draw(given).axes[0].get_ylim()
            assert low == pytest.approx(ends[0], abs=2) and high == ends[1]
        for name in ("curves-validation-accuracy-sgd", "edge-sgd"):
            assert all(
                axes.get_ylim()[0] >= 0 and axes.get_ylim()[1] == 100 for axes in shown_axes(drawn, name)
            )


def shown_axes(drawn: Mapping[str, Plate], name: str) -> list[Any]:
    return [axes for axes in draw(data(drawn, name)).axes if axes.get_visible()]


def test_a_colour_is_a_treatments_a_filled_mark_an_effect_and_a_dashed_line_no_difference(
    drawn: Mapping[str, Plate],
) -> None:
    """In every figure of every chapter."""
    named: dict[str, set[str]] = {}
    for plate in drawn.values():
        with style.drawing():
            figure = draw(plate.data)
        dots = plate.data.dots if isinstance(plate.data, Dots) else ()
        parts = plate.data.parts if isinstance(plate.data, Facets) else (plate.data,)
        lines = [line for part in parts if isinstance(part, Lines) for line in part.lines]
        for one in (*dots, *lines):
            named.setdefault(style.series(one.index), set()).add(one.name.partition(" (")[0])
        for line in (line for axes in figure.axes for line in axes.lines):
            level = line.get_linestyle() == "--" and len({*line.get_xdata()} & {0, 1}) > 0
            assert line.get_linestyle() in ("-", "None") or level, plate.name
        if not isinstance(plate.data, Matrix):
            filled = sum(d.filled for d in dots)
            assert sum(map(is_filled, marks(figure))) == filled, plate.name
    treatments = ("no warmup", *NAMES)
    for i, name in enumerate(treatments):
        assert named.get(style.series(i), {name}) == {name}
    others = [name for colour, some in named.items() for name in some if name not in treatments]
    assert others and all(style.series(-1 - k) not in map(style.series, range(8)) for k in range(5))


def marks(figure: Any) -> list[Any]:
    """The marks of dots and lines, but for arrows."""
    lines = [line for axes in figure.axes for line in axes.lines]
    return [line for line in lines if line.get_marker() not in ("None", "<", ">", "")]


def is_filled(line: Any) -> bool:
    return str(line.get_markerfacecolor()) == str(line.get_color())


def test_letters_are_eleven_pixels_on_a_narrow_screen(drawn: Mapping[str, Plate]) -> None:
    """At 390 pixels a figure has 358, and what needs more scrolls."""
    for name in ("main-tuned", "accuracy-adamw", "curves-train-loss-sgd"):
        text = paint(drawn[name]).inline
        ((width, least),) = re.findall(r'viewBox="0 0 ([\d.]+) [^>]*min-width: (\d+)px', text)
        letters = min(float(v) for v in re.findall(r"font(?:-size)?: (?:[a-z]+ )?([\d.]+)px", text))
        across = max(358.0, float(least))
        assert letters * across / float(width) > 10.98, name
        assert float(least) <= 358, f"{name} needs no scrolling"


def test_a_condition_is_called_as_the_study_says_in_figures_and_tables() -> None:
    given = full(("sgd",))
    of = replace(given.results.study, labels={"task.examples_per_class": {"20": "Twenty"}})
    said = Made(Results(of, given.results.rows), given.load).report("metric")
    heat = data(plates(said), "accuracy-sgd")
    assert heat.rows == ("100", "50", "20 (Twenty)", "10", "5")
    (rows,) = (t.rows for t in next(c.shown for c in said.chapters).tables)
    assert {r[1] for r in rows} == set(heat.rows)
    assert {c.condition for c in found(said, "metric").cells} >= {"20"}, "the data keep the value"
    with pytest.raises(UserError, match="labels of peak_lr must be texts"):
        replace(of, labels={"peak_lr": {"0.1": 3}})  # type: ignore[dict-item]


def test_drawn_is_the_data(drawn: Mapping[str, Plate]) -> None:
    with style.drawing():
        lines = data(drawn, "edge-sgd")
        assert isinstance(lines, Lines)
        lived = [list(line.get_ydata()) for line in draw(lines).axes[0].lines]
        assert lived == [list(line.y) for line in lines.lines]
        dots = data(drawn, "benefit-sgd")
        assert isinstance(dots, Dots)
        single = [line.get_xdata()[0] for line in draw(dots).axes[0].lines if len(line.get_xdata()) == 1]
        assert single == [d.mean for d in dots.dots]
        heat = data(drawn, "accuracy-sgd")
        assert isinstance(heat, Heat)
        assert [t.get_text() for t in draw(heat).axes[0].texts] == [t for row in heat.texts for t in row]
        best = data(drawn, "best")
        assert isinstance(best, Matrix)
        rings = [line for line in draw(best).axes[0].lines if line.get_markersize() > 10]
        assert len(rings) == sum(map(len, best.members))


def test_each_figure_names_its_axes_and_describes_itself(drawn: Mapping[str, Plate]) -> None:
    for plate in drawn.values():
        assert len(describe(plate)) > 40, plate.name
        d = plate.data
        labels = (
            [d.parts[0].x_label, d.parts[0].y_label]
            if isinstance(d, Facets)
            else [getattr(d, "x_label", "x")]
        )
        assert all(labels), plate.name


def test_every_chapter_has_its_figures_and_panels_with_one_slug_files_of_their_own(made: Report) -> None:
    have = {c.name: [p.name for p in c.shown.plates] for c in made.chapters}
    assert tuple(have) == CHAPTERS and [name for name, some in have.items() if not some] == ["hypotheses"]
    odd = ("a b", "a-b")
    rows = tuple(
        replace(r, axes={**r.axes, OPTIMIZER: odd[r.axes[OPTIMIZER] == "adamw"]})
        for r in full().results.rows
        if r.axes[WARMUP]["epochs"] < 2
    )
    two = Made(Results(study(), rows), full().load).report("metric", "untrained")
    names = [p.name for p in apart([p for c in two.chapters for p in c.shown.plates])]
    assert len(names) == len(set(names)) == 4


def test_a_figure_is_the_same_whatever_layout_the_users_settings_ask_for(
    drawn: Mapping[str, Plate],
) -> None:
    heat = next(p for p in drawn.values() if isinstance(p.data, Heat | Matrix))
    usual = paint(heat).png
    for key in ("figure.autolayout", "figure.constrained_layout.use"):
        with rc_context({key: True}):
            assert paint(heat).png == usual


def test_marks_of_small_numbers_neither_touch_nor_repeat() -> None:
    rows = ("5 examples per class", "10 examples per class")
    small = (
        Dot(rows[0], "a", 0, -0.0012, -0.0022, 0.0003, 5),
        Dot(rows[1], "a", 0, 0.0002, -0.0011, 0.0019, 5),
    )
    cells = ((0.07452, 0.07461), (0.0746, 0.0745))
    texts = (("a", "b"), ("c", "d"))
    with style.drawing():
        dots = draw(Dots(rows, "", "loss minus that with no warmup", small))
        dots.draw_without_rendering()
        boxes = [t.get_window_extent() for t in dots.axes[0].get_xticklabels() if t.get_text()]
        inside = [b for b in boxes if dots.axes[0].bbox.x0 <= (b.x0 + b.x1) / 2 <= dots.axes[0].bbox.x1]
        heat = draw(Heat(("a", "b"), ("x", "y"), "", "", "loss", cells, texts, 0.0745, 0.07461))
        bar = [t.get_text() for t in heat.axes[1].get_yticklabels()]
    assert len(inside) > 2 and all(a.x1 + 4 < b.x0 for a, b in pairwise(inside))
    assert len(bar) > 2 and len({*bar}) == len(bar)
