"""What the report's figures show, and that it is what is drawn."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fake_findings import TREATMENTS, full
from matplotlib import rc_context

from preheat.analysis.findings import Estimate
from preheat.report import curvedata, figdata, stability
from preheat.report.drawing import style
from preheat.report.drawing.figures import draw
from preheat.report.drawing.shapes import Dots, Facets, Heat, Lines, Matrix
from preheat.report.plates import describe, paint, plates


def test_accuracy_heat_map_shows_the_cells() -> None:
    f = full()
    heat = figdata.accuracy(f, "adamw")
    assert heat is not None
    cell = next(c for c in f.cells if (c.panel, c.condition, c.treatment) == ("adamw", "20", "5ep"))
    at = f.conditions.index("20"), f.treatments.index("5ep")
    assert heat.values[at[0]][at[1]] == pytest.approx(100 * cell.estimate.mean)
    assert cell.estimate.hi is not None
    half = 100 * (cell.estimate.hi - cell.estimate.mean)
    assert heat.texts[at[0]][at[1]] == f"{100 * cell.estimate.mean:.1f}\n±{half:.1f}"
    holed = replace(f, cells=tuple(c for c in f.cells if c is not cell))
    again = figdata.accuracy(holed, "adamw")
    assert again is not None and again.values[at[0]][at[1]] is None


def test_edges_are_pooled_over_conditions() -> None:
    f = full()
    lines = figdata.trained(f, "sgd")
    assert lines is not None and [line.name for line in lines.lines] == list(TREATMENTS)
    points = [
        p for e in f.edges if e.panel == "sgd" and e.treatment == "5ep" for p in e.points if p.value == 0.3
    ]
    share = 100 * sum(p.trained for p in points) / sum(p.runs for p in points)
    line = lines.lines[TREATMENTS.index("5ep")]
    assert line.y[line.x.index(0.3)] == pytest.approx(share)


def test_all_conditions_together_are_the_first_row_of_the_edges() -> None:
    f = full()
    dots = figdata.edge_ratio(f, "adamw")
    assert dots is not None and dots.rows == (figdata.ALL, *f.conditions)
    first = [d for d in dots.dots if d.row == figdata.ALL]
    assert [(d.name, d.mean, d.filled) for d in first] == [
        (p.treatment, p.ratio.mean, p.p_adjusted < 0.05)
        for p in f.pooled
        if p.panel == "adamw" and p.p_adjusted is not None
    ]
    single = figdata.edge_ratio(replace(f, conditions=()), "adamw")
    assert single is not None and figdata.ALL not in single.rows


def test_a_bound_is_an_arrow_in_place_of_a_whisker_and_at_least_in_the_table() -> None:
    f = full()
    at = next(
        i for i, e in enumerate(f.edges) if (e.panel, e.condition, e.treatment) == ("adamw", "5", "20ep")
    )
    least = Estimate(1.9, 1.5, None, 6, "at least")
    bounded = tuple(
        replace(e, ratio=least, edge=replace(least, mean=0.28)) if i == at else e
        for i, e in enumerate(f.edges)
    )
    f = replace(
        f, edges=bounded, pooled=tuple(replace(p, change=least, change_p_adjusted=0.01) for p in f.pooled)
    )
    (plate,) = (p for p in plates(f) if p.name == "edge-ratio-adamw")
    assert isinstance(plate.data, Dots) and "Arrow at a dot: a bound" in plate.caption
    (dot,) = (d for d in plate.data.dots if d.arrow)
    assert (dot.row, dot.name, dot.arrow, dot.lo, dot.hi) == ("5", "20ep", "right", 1.5, None)
    with style.drawing():
        axes = draw(plate.data).axes[0]
    (arrow,) = axes.texts
    assert float(arrow.xy[0]) == dot.mean and arrow.get_position()[0] > 0, "to the right of the dot"
    ends = [tuple(line.get_xdata()) for line in axes.lines]
    assert (1.5, 1.9) in ends, "the line ends at the dot"
    assert "Arrow at a dot" not in next(p for p in plates(f) if p.name == "edge-ratio-sgd").caption
    section = stability.edge(f, [])
    assert "sure in 8 of 8" in section.lead
    pooled, single = section.tables
    assert "\N{MULTIPLICATION SIGN}at least" not in str(
        pooled.rows
    ) and "at least \N{MULTIPLICATION SIGN}1.9 (from 1.5)" in str(pooled.rows)
    (row,) = (r for r in single.rows if r[:3] == ("AdamW", "5", "20ep"))
    assert row[3:5] == ("at least 0.28 (from 1.5)", "at least 1.9 (from 1.5)")


def test_a_run_that_learnt_nothing_did_not_train_though_it_finished() -> None:
    f = full()
    heat, gone = figdata.untrained(f, "sgd"), figdata.diverged(f, "sgd")
    assert heat is not None and gone is not None
    edge = next(e for e in f.edges if (e.panel, e.condition, e.treatment) == ("sgd", "20", "5ep"))
    lost, away, runs = (
        sum(v) for v in zip(*((p.runs - p.trained, p.diverged, p.runs) for p in edge.points), strict=True)
    )
    at = f.conditions.index("20"), f.treatments.index("5ep")
    assert lost > away > 0
    assert heat.texts[at[0]][at[1]] == f"{100 * lost / runs:.0f} %\n{lost}/{runs}"
    assert gone.values[at[0]][at[1]] == pytest.approx(100 * away / runs)
    bare = replace(f, edges=())
    cell = next(c for c in f.cells if (c.panel, c.condition, c.treatment) == ("sgd", "20", "5ep"))
    fallback = figdata.untrained(bare, "sgd")
    assert fallback is not None and fallback.texts[at[0]][at[1]].endswith(f"{cell.diverged}/{cell.runs}")
    assert figdata.diverged(bare, "sgd") is None


def test_benefit_is_in_points_with_margin_and_sureness() -> None:
    f = full()
    dots = figdata.benefit(f, "sgd")
    assert dots is not None and dots.band == pytest.approx(1.0) and "(points)" in dots.x_label
    for d, e in zip(dots.dots, [e for e in f.effects if e.panel == "sgd"], strict=True):
        assert (d.row, d.name, d.mean) == (e.condition, e.treatment, pytest.approx(100 * e.estimate.mean))
        assert d.filled == (e.verdict in ("better", "worse"))


def test_panels_share_an_axis_and_outliers_are_cut_with_an_arrow() -> None:
    f = full()
    wild = tuple(
        replace(e, estimate=Estimate(0.3, -0.5, 1.1, 4)) if i == 3 else e for i, e in enumerate(f.effects)
    )
    calm, cut = (
        [p for p in plates(replace(f, effects=e)) if p.section == "benefit"] for e in (f.effects, wild)
    )
    spans = [p.data.span for p in calm if isinstance(p.data, Dots)]
    assert spans[0] == spans[1] is not None
    assert ["Arrows" in p.caption for p in calm] == [False, False]
    assert ["Arrows" in p.caption for p in cut] == [True, False]
    assert isinstance(cut[0].data, Dots) and cut[0].data.span is not None and cut[0].data.span[1] < 20


def test_drawn_is_the_data() -> None:
    f = full()
    with style.drawing():
        lines = figdata.trained(f, "sgd")
        assert isinstance(lines, Lines)
        drawn = [list(line.get_ydata()) for line in draw(lines).axes[0].lines]
        assert drawn == [list(line.y) for line in lines.lines]
        dots = figdata.benefit(f, "sgd")
        assert isinstance(dots, Dots)
        single = [line.get_xdata()[0] for line in draw(dots).axes[0].lines if len(line.get_xdata()) == 1]
        assert single == [d.mean for d in dots.dots]
        heat = figdata.accuracy(f, "sgd")
        assert isinstance(heat, Heat)
        assert [t.get_text() for t in draw(heat).axes[0].texts] == [t for row in heat.texts for t in row]
        best = figdata.best(f, "sgd")
        assert isinstance(best, Matrix)
        rings = [line for line in draw(best).axes[0].lines if line.get_markersize() > 5]
        assert len(rings) == sum(map(len, best.members))


def test_curves_keep_a_readable_number_of_plots() -> None:
    f = full()
    many = tuple(str(n) for n in range(20))
    one = [c for c in f.curves if c.panel == "sgd" and c.what == "train_loss" and c.condition == "5"]
    data = curvedata.curves(replace(f, conditions=many), [replace(c, condition=n) for n in many for c in one])
    assert isinstance(data, Facets) and len(data.parts) == 6
    assert [p.title for p in data.parts][::5] == ["examples per class: 0", "examples per class: 19"]
    assert all(p.log == "y" and "progress" in p.x_label for p in data.parts)


def test_each_figure_names_its_axes_and_describes_itself() -> None:
    for plate in plates(full()):
        assert len(describe(plate)) > 40, plate.name
        d = plate.data
        labels = (
            [d.parts[0].x_label, d.parts[0].y_label]
            if isinstance(d, Facets)
            else [getattr(d, "x_label", "x")]
        )
        assert all(labels), plate.name


def test_panels_with_one_slug_get_files_of_their_own() -> None:
    f = replace(
        full(), panels=("a b", "a-b"), curves=(), rates=(), edges=(), inside=(), rules=(), best=(), effects=()
    )
    cells = tuple(replace(c, panel=p) for p in f.panels for c in full().cells[:5])
    names = [p.name for p in plates(replace(f, cells=cells))]
    assert len(names) == len(set(names)) == 4


def test_a_figure_is_the_same_whatever_layout_the_users_settings_ask_for() -> None:
    heat = next(p for p in plates(full()) if isinstance(p.data, Heat | Matrix))
    usual = paint(heat).png
    for key in ("figure.autolayout", "figure.constrained_layout.use"):
        with rc_context({key: True}):
            assert paint(heat).png == usual
