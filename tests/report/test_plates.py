"""What the report's figures show, and that it is what is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from fake_reports import CHAPTERS, OPTIMIZER, RATE, TREATMENTS, WARMUP, Made, found, full, plates, study
from matplotlib import rc_context

from preheat.analysis.results import Results
from preheat.analysis.table import Table
from preheat.core.registry import CHAPTERS as REGISTERED
from preheat.report.chapter import Shown
from preheat.report.chapters.edge import ALL
from preheat.report.drawing import style
from preheat.report.drawing.figures import draw
from preheat.report.drawing.shapes import Dot, Dots, Facets, Heat, Lines, Matrix
from preheat.report.plates import Plate, apart, describe, paint
from preheat.report.report import Report
from preheat.stats.estimates import Estimate


@pytest.fixture(scope="module")
def made() -> Report:
    return full().report()


@pytest.fixture(scope="module")
def drawn(made: Report) -> Mapping[str, Plate]:
    return plates(made)


def table(made: Report) -> Table:
    assert made.table is not None
    return made.table


def shown(made: Report, name: str, other: Any) -> Shown:
    """The chapter as it reads with other findings."""
    return REGISTERED[name]().show(other, table(made))


def data(some: Mapping[str, Plate] | Shown, name: str) -> Any:
    every = {p.name: p for p in some.plates} if isinstance(some, Shown) else some
    return every[name].data


def test_accuracy_heat_map_shows_the_cells(made: Report, drawn: Mapping[str, Plate]) -> None:
    heat, cells = data(drawn, "accuracy-adamw"), found(made, "metric")
    cell = next(c for c in cells.cells if (c.panel, c.condition, c.treatment) == ("adamw", "20", "5ep"))
    at = heat.rows.index("20"), heat.columns.index("5ep")
    assert heat.values[at[0]][at[1]] == pytest.approx(100 * cell.estimate.mean)
    assert cell.estimate.hi is not None
    half = 100 * (cell.estimate.hi - cell.estimate.mean)
    assert heat.texts[at[0]][at[1]] == f"{100 * cell.estimate.mean:.1f}\n±{half:.1f}"
    holed = replace(cells, cells=tuple(c for c in cells.cells if c is not cell))
    assert data(shown(made, "metric", holed), "accuracy-adamw").values[at[0]][at[1]] is None


def test_edges_are_pooled_over_conditions(made: Report, drawn: Mapping[str, Plate]) -> None:
    lines = data(drawn, "edge-sgd")
    assert [line.name for line in lines.lines] == list(TREATMENTS)
    some = (e for e in found(made, "edge").edges if (e.panel, e.treatment) == ("sgd", "5ep"))
    points = [p for e in some for p in e.points if p.value == 0.3]
    share = 100 * sum(p.trained for p in points) / sum(p.runs for p in points)
    line = lines.lines[TREATMENTS.index("5ep")]
    assert 0 < share < 100 and line.y[line.x.index(0.3)] == pytest.approx(share)


def test_all_conditions_together_are_the_first_row_of_the_edges(
    made: Report, drawn: Mapping[str, Plate]
) -> None:
    dots = data(drawn, "edge-ratio-adamw")
    assert dots.rows == (ALL, *table(made).conditions.labels)
    first = [d for d in dots.dots if d.row == ALL]
    pooled = [p for p in found(made, "edge").edges_pooled if p.panel == "adamw" and p.p_adjusted is not None]
    assert [(d.name, d.mean, d.filled) for d in first] == [
        (p.treatment, p.ratio.mean, p.p_adjusted < 0.05) for p in pooled
    ]
    assert {d.filled for d in first} == {True}
    alone = plates(full(("adamw",), (20,)).report("edge"))
    assert ALL not in data(alone, "edge-ratio-adamw").rows


def test_a_bound_is_an_arrow_in_place_of_a_whisker_and_at_least_in_the_table(made: Report) -> None:
    f = found(made, "edge")
    at = next(
        i for i, e in enumerate(f.edges) if (e.panel, e.condition, e.treatment) == ("adamw", "5", "20ep")
    )
    least = Estimate(1.9, 1.5, None, 6, "at least")
    bounded = list(f.edges)
    bounded[at] = replace(f.edges[at], ratio=least, edge=replace(least, mean=0.28))
    depends = tuple(replace(p, change=least, change_p_adjusted=0.01) for p in f.edges_pooled)
    section = shown(made, "edge", replace(f, edges=tuple(bounded), edges_pooled=depends))
    some = {p.name: p for p in section.plates}
    plate = some["edge-ratio-adamw"]
    assert isinstance(plate.data, Dots) and "Arrow at a dot: a bound" in plate.caption
    (dot,) = (d for d in plate.data.dots if d.arrow)
    assert (dot.row, dot.name, dot.arrow, dot.lo, dot.hi) == ("5", "20ep", "right", 1.5, None)
    with style.drawing():
        axes = draw(plate.data).axes[0]
    (arrow,) = axes.texts
    assert float(arrow.xy[0]) == dot.mean and arrow.get_position()[0] > 0, "to the right of the dot"
    ends = [tuple(line.get_xdata()) for line in axes.lines]
    assert (1.5, 1.9) in ends, "the line ends at the dot"
    assert "Arrow at a dot" not in some["edge-ratio-sgd"].caption
    assert "sure in 8 of 8" in section.lead
    pooled, single = section.tables
    assert "\N{MULTIPLICATION SIGN}at least" not in str(pooled.rows)
    assert "at least \N{MULTIPLICATION SIGN}1.9 (from 1.5)" in str(pooled.rows)
    (row,) = (r for r in single.rows if r[:3] == ("AdamW", "5", "20ep"))
    assert row[3:5] == ("at least 0.28 (from 1.5)", "at least 1.9 (from 1.5)")


def test_a_run_that_learnt_nothing_did_not_train_though_it_finished(
    made: Report, drawn: Mapping[str, Plate]
) -> None:
    heat, gone = data(drawn, "untrained-sgd"), data(drawn, "diverged-sgd")
    place = ("sgd", "20", "5ep")
    edge = next(e for e in found(made, "edge").edges if (e.panel, e.condition, e.treatment) == place)
    lost, away, runs = (
        sum(v) for v in zip(*((p.runs - p.trained, p.diverged, p.runs) for p in edge.points), strict=True)
    )
    at = heat.rows.index("20"), heat.columns.index("5ep")
    assert lost > away > 0
    assert heat.texts[at[0]][at[1]] == f"{100 * lost / runs:.0f} %\n{lost}/{runs}"
    assert gone.values[at[0]][at[1]] == pytest.approx(100 * away / runs)
    bare = at_one_rate(0.5).report("metric", "untrained")
    cell = next(
        c for c in found(bare, "metric").cells if (c.panel, c.condition, c.treatment) == ("", "20", "5ep")
    )
    fallback = plates(bare)
    assert cell.diverged and data(fallback, "untrained").texts[at[0]][at[1]].endswith(
        f"{cell.diverged}/{cell.runs}"
    )
    assert "diverged" not in fallback


def at_one_rate(rate: float) -> Made:
    """SGD at one peak rate: no nuisance, so no edge."""
    kept = [r for r in full().results.rows if r.axes[OPTIMIZER] == "sgd" and r.axes[RATE] == rate]
    of = study(nuisance=(), choosing=0, scientific=study().scientific[:2])
    rows = (replace(r, axes={p: r.axes[p] for p in of.axes}) for r in kept)
    return Made(Results(of, tuple(rows)), full().load)


def test_benefit_is_in_points_with_margin_and_sureness(made: Report, drawn: Mapping[str, Plate]) -> None:
    effects = found(made, "benefit").effects
    sure = 0
    for panel in ("sgd", "adamw"):
        dots = data(drawn, f"benefit-{panel}")
        assert dots.band == pytest.approx(1.0) and "(points)" in dots.x_label
        for d, e in zip(dots.dots, [e for e in effects if e.panel == panel], strict=True):
            assert (d.row, d.name, d.mean) == (e.condition, e.treatment, pytest.approx(100 * e.estimate.mean))
            assert d.filled == (e.verdict in ("better", "worse"))
            sure += d.filled
    assert 0 < sure < len(effects)


def test_panels_share_an_axis_and_outliers_are_cut_with_an_arrow(made: Report) -> None:
    f = found(made, "benefit")
    wild = list(f.effects)
    wild[3] = replace(wild[3], estimate=Estimate(0.3, -0.5, 1.1, 4))
    calm, cut = (shown(made, "benefit", replace(f, effects=tuple(e))).plates for e in (f.effects, wild))
    spans = [p.data.span for p in calm if isinstance(p.data, Dots)]
    assert spans[0] == spans[1] is not None
    assert ["Arrows" in p.caption for p in calm] == [False, False]
    assert ["Arrows" in p.caption for p in cut] == [True, False]
    assert isinstance(cut[0].data, Dots) and cut[0].data.span is not None and cut[0].data.span[1] < 20


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
        best = data(drawn, "best-sgd")
        assert isinstance(best, Matrix)
        rings = [line for line in draw(best).axes[0].lines if line.get_markersize() > 5]
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
    assert len(names) == len(set(names)) == 6


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
