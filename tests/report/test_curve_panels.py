"""Learning curves as panels: which lines there are, where the axis is logarithmic, and equal bytes."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from preheat.analysis.learning_curves import LearningCurve
from preheat.cli.main import main
from preheat.core.errors import UserError
from preheat.report.curve_panels import curve_panels, write_curve_panels

FILE = Path(__file__).parents[1] / "stats" / "hyperboliclr" / "Result_CIFAR10_CNN_ACC-EH.csv"


def made(budget, *, series="EH", value=lambda e: 1 / e, **given):
    epochs = tuple(float(e) for e in range(1, budget + 1))
    return replace(LearningCurve(series, budget, "loss", epochs, tuple(map(value, epochs))), **given)


def test_the_curves_are_drawn_by_series_with_a_line_for_each_budget(tmp_path, capsys):
    band = {"low": tuple(0.5 / e for e in range(1, 21)), "high": tuple(2 / e for e in range(1, 21))}
    failed = made(30, series="C", value=lambda e: math.inf)
    curves = [
        made(40),
        made(20, **band),
        failed,
        made(60, series="C", value=lambda e: 9.0 if e < 50 else math.nan),
    ]
    found = curve_panels(curves)
    first, second = found.parts
    assert (first.title, first.y_label, first.log) == ("EH", "loss", "y")
    assert [line.name for line in first.lines] == ["20 epochs", "40 epochs"]
    assert (first.lines[0].lo, first.lines[0].hi, first.lines[1].lo) == (*band.values(), ())
    assert [(line.name, line.x[-1]) for line in second.lines] == [("60 epochs", 49)]
    assert {line.name: line.index for part in found.parts for line in part.lines} == {
        "20 epochs": -1,
        "40 epochs": -3,
        "60 epochs": -4,
    }
    write_curve_panels(curves, tmp_path / "a.svg")
    before = (tmp_path / "a.svg").read_bytes()
    write_curve_panels(curves, tmp_path / "a.svg")
    assert b"40 epochs" in before and (tmp_path / "a.svg").read_bytes() == before
    assert main(["import", "csv", str(FILE), "--plot", str(tmp_path / "b.png")]) == 0
    assert (tmp_path / "b.png").stat().st_size > 5000 and "wrote" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("curves", "path", "message"),
    [
        ([made(3), made(3, metric="other")], "a.png", "shows one metric, got 'loss', 'other'"),
        ([made(3, value=lambda e: math.nan)], "a.png", "needs a value that is finite"),
        ([made(3)], "a.pdf", r"\.png or \.svg, got .*a\.pdf: write .*a\.png"),
        ([made(3)], "nowhere/a.png", "a folder that exists"),
    ],
)
def test_what_can_not_be_drawn_is_told(curves, path, message, tmp_path):
    with pytest.raises(UserError, match=message):
        write_curve_panels(curves, tmp_path / path)
