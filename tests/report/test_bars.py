"""Bars in groups and families: what is drawn is what was given."""

from __future__ import annotations

from itertools import pairwise

import pytest

from preheat.analysis.words import MINUS
from preheat.report.drawing import style
from preheat.report.drawing.figures import draw
from preheat.report.drawing.shapes import Bars
from preheat.report.plates import Plate, describe, paint

VALUES = ((4e-5, 1e-5), (2e-5, None), (3e-5, 1e-6))
BARS = Bars(
    *(("N", "OC", "EH"), ("50", "200"), (("traditional", 1), ("the others of them", 2)), "schedule"),
    y_label="loss",
    values=VALUES,
    lo=((3e-5, None), (1e-5, None), (None, None)),
    hi=((5e-5, None), (4e-5, None), (None, None)),
    log=True,
)


def test_each_value_is_a_bar_beside_those_of_its_group():
    with style.drawing():
        axes = draw(BARS).axes[0]
    drawn = {(round(bar.get_x() + bar.get_width() / 2), bar.get_height()) for bar in axes.patches}
    assert drawn == {(i, v) for i, row in enumerate(VALUES) for v in row if v is not None}
    spans = sorted((bar.get_x(), bar.get_x() + bar.get_width()) for bar in axes.patches)
    assert all(a[1] <= b[0] for a, b in pairwise(spans))
    assert [t.get_text() for t in axes.get_xticklabels()] == ["N", "OC", "EH"]
    assert [t.get_text().replace("\n", " ") for t in axes.texts] == ["traditional", "the others of them"]
    intervals = [tuple(line.get_ydata()) for line in axes.get_lines() if len(line.get_xdata()) == 2]
    assert {(3e-5, 5e-5), (1e-5, 4e-5)} <= {*intervals}
    assert axes.get_yscale() == "log" and axes.get_ylim()[0] < 1e-6


@pytest.mark.parametrize(("bottom", "low"), [(None, 0.0), (0.8, 0.8)])
def test_bars_begin_at_0_or_where_they_are_told_to(bottom, low):
    one = Bars(("a",), ("x",), (("all", 1),), "", "accuracy", ((0.9,),), bottom=bottom, index=(2,))
    with style.drawing():
        axes = draw(one).axes[0]
        assert axes.get_ylim()[0] == low and axes.patches[0].get_facecolor()[:3] == pytest.approx(
            tuple(int(style.series(2)[i : i + 2], 16) / 255 for i in (1, 3, 5))
        )


def test_a_plate_of_bars_says_what_it_shows():
    plate = Plate("", "bars", "LSTM", "Means of five seeds.", BARS)
    assert describe(plate) == (
        f"Bars of loss, 2 bars in each schedule (LSTM). From 1e{MINUS}06 (EH, 200) to 4e{MINUS}05 (N, 50). Means of five seeds."
    )
    assert paint(plate).inline.startswith("<svg")


def test_bars_that_do_not_fit_are_our_own_mistake():
    with pytest.raises(AssertionError, match="a family"):
        Bars(("a",), ("x",), (), "", "", ((1.0,),))
    with pytest.raises(AssertionError, match="each bar"):
        Bars(("a",), ("x",), (("all", 1),), "", "", ((1.0, 2.0),))
