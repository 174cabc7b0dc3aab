"""The chapter of training curves: what it draws of every setting, and any single run by its id."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fake_reports import EPOCHS, PER_EPOCH, few, full, plates
from reported import found

from preheat.analysis.curves import MeanCurve
from preheat.core.errors import UserError
from preheat.core.metrics import Metric, register_metric
from preheat.report.chapters.curves import LOSS, RATE, _single_plates
from preheat.report.chapters.facets import facets
from preheat.report.drawing.shapes import Facets, Lines
from preheat.report.report import Report


@pytest.fixture(scope="module")
def made() -> Report:
    return full(("sgd",)).report("curves")


def test_metric_on_both_splits_loss_and_the_full_rate_are_drawn(made: Report) -> None:
    drawn = plates(made)
    assert list(drawn) == [
        "curves-validation-accuracy-sgd", "curves-train-accuracy-sgd", "curves-train-loss-sgd",
        "curves-learning-rate-sgd", "rates-learning-rate-factor", "loss-by-rate-sgd",
    ]  # fmt: skip
    train = drawn["curves-train-accuracy-sgd"].data
    assert isinstance(train, Facets) and len(train.parts) == 5
    assert (train.parts[0].y_label, drawn["curves-train-accuracy-sgd"].group) == (
        "training accuracy (%)",
        "Training accuracy",
    )
    curve = next(c for c in found(made, "curves", "curves") if c.what == "train_accuracy")
    assert train.parts[0].lines[0].y == pytest.approx([100 * v for v in curve.y])


def test_the_full_rate_is_the_schedule_times_the_chosen_peak(made: Report) -> None:
    t = made.table
    assert t is not None
    rates = [c for c in found(made, "curves", "curves") if c.what == RATE]
    assert len(rates) == 25
    for c in rates:
        at = (0, t.conditions.labels.index(c.condition), t.treatments.labels.index(c.treatment))
        peaks = [float(t.nuisances.labels[v]) for v in t.picks[at] if v >= 0]
        assert 0.9 * min(peaks) < max(c.y) <= max(peaks)
    warm = next(c for c in rates if c.treatment == "20ep")
    top = warm.x[warm.y.index(max(warm.y))]
    assert top == pytest.approx(20 / EPOCHS, abs=0.02) and warm.y[0] < warm.y[5] < warm.y[10]


def test_loss_against_rate_has_the_rate_of_each_update(made: Report) -> None:
    by_rate = found(made, "curves", "loss_by_rate")
    curves = [c for c in found(made, "curves", "curves") if c.what == LOSS]
    assert [(c.condition, c.treatment, c.y) for c in by_rate] == [
        (c.condition, c.treatment, c.y) for c in curves
    ]
    assert all(c.what == LOSS and min(c.x) > 0 and c.lo == c.y == c.hi for c in by_rate)
    data = plates(made)["loss-by-rate-sgd"].data
    assert {(p.x_label, p.y_label, "x" in p.log) for p in data.parts} == {
        ("learning rate", "training loss", True)
    }


def test_curves_keep_a_readable_number_of_plots(made: Report) -> None:
    many = tuple(str(n) for n in range(20))
    t = made.table
    assert t is not None
    one = [c for c in found(made, "curves", "curves") if c.what == LOSS and c.condition == "5"]
    wide = replace(t, conditions=replace(t.conditions, labels=many, values=tuple(range(20)), names=many))
    data = facets(wide, [replace(c, condition=n) for n in many for c in one])
    assert isinstance(data, Facets) and len(data.parts) == 6
    assert [p.title for p in data.parts][::5] == ["examples per class: 0", "examples per class: 19"]
    assert all(p.ends == (None, None) for p in data.parts), "a loss ends nowhere"
    assert all(p.log == "y" and "progress" in p.x_label for p in data.parts)


def test_a_single_run_is_drawn_by_the_first_digits_of_its_id() -> None:
    given = full(("sgd",))
    row = next(r for r in given.results.rows if r.outcome == "done")
    made = given.report({"name": "curves", "runs": [row.run_id[:8]]})
    lines = {c.what: c for c in found(made, "curves", "runs")}
    assert set(lines) == {"train_loss", "train_accuracy", "validation_accuracy", RATE}
    assert all(c.treatment == row.run_id and c.n == 1 for c in lines.values())
    assert max(lines[RATE].y) == pytest.approx(row.axes["peak_lr"], rel=0.01)
    trace = given.load(row.run_id).trace["train_loss"]
    assert lines["train_loss"].y[0] == pytest.approx(trace.values[0], rel=1e-5)
    assert len(lines["train_loss"].x) == len(trace.steps) == EPOCHS * PER_EPOCH / 4
    drawn = {name: p for name, p in plates(made).items() if name.startswith("run-")}
    assert set(drawn) == {f"run-{row.run_id}-{what}" for what in ("loss", "accuracy", "learning-rate")}
    both = drawn[f"run-{row.run_id}-accuracy"].data
    assert isinstance(both, Lines) and both.y_label == "accuracy (%)"
    assert {line.name for line in both.lines} == {"training accuracy", "validation accuracy"}


@pytest.mark.parametrize(("unit", "scale", "low"), [("%", 1.0, 12.0), ("\N{PER MILLE SIGN}", 1000.0, 0.5)])
def test_a_single_run_and_means_are_drawn_in_the_metrics_own_scale(
    unit: str, scale: float, low: float
) -> None:
    mine = register_metric(Metric(f"drawn_by_{scale:g}", "min", scale=scale, unit=unit))
    given = few()
    row = given.results.rows[0]
    what = f"validation_{mine.name}"
    curve = MeanCurve("", "", row.run_id, what, (0.0, 1.0), (low, low), (low, low), (low, low), 1)
    made = given.report("metric").table
    assert made is not None
    one, many = _single_plates([curve])[0].data, facets(made, [curve])
    assert isinstance(one, Lines) and many is not None
    assert one.lines[0].y == many.parts[0].lines[0].y == (scale * low, scale * low)
    assert f"({unit})" in one.y_label


@pytest.mark.parametrize(("prefix", "said"), [("zz", "no trained run"), ("", "1040 runs")])
def test_an_unknown_or_ambiguous_id_is_a_clear_error(prefix: str, said: str) -> None:
    with pytest.raises(UserError, match=f"first digits of one run's id, got '{prefix}', which {said}"):
        full(("sgd",)).report({"name": "curves", "runs": [prefix]})
