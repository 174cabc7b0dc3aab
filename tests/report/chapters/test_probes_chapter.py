"""Whatever a run's probes recorded is drawn: a number as a curve, one of each layer as a map of layers by steps."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from fake_reports import LAYERS, TREATMENTS, Made, few, full, plates, series
from reported import found

from preheat.core.record import Record, Series
from preheat.core.spec import spec
from preheat.report.drawing import style
from preheat.report.drawing.figures import draw
from preheat.report.drawing.shapes import Facets, Mesh
from preheat.report.plates import describe
from preheat.report.report import Report


@pytest.fixture(scope="module")
def made() -> Report:
    return full().report("probes")


def with_trace(given: Made, **trace: Series) -> Made:
    """The same runs with these series recorded, as a user's own probe does."""

    def load(run_id: str) -> Record:
        return replace(given.load(run_id), trace=trace)

    return Made(given.results, load)


def test_numbers_are_curves_and_layers_are_maps(made: Report) -> None:
    drawn = plates(made)
    assert set(drawn) == {
        f"{name}-{panel}"
        for name in ("probe-grad-norm", "probe-trace", "layers-grad-norm")
        for panel in ("sgd", "adamw")
    }
    assert all(isinstance(drawn[f"probe-{n}-sgd"].data, Facets) for n in ("grad-norm", "trace"))
    mesh = drawn["layers-grad-norm-sgd"].data
    assert isinstance(mesh, Mesh) and mesh.rows == LAYERS and mesh.log
    assert (
        "Examples per class: 100. Mean over seeds; colours on a log scale."
        in drawn["layers-grad-norm-sgd"].caption
    )


def test_a_standard_error_is_the_band_and_no_curve_of_its_own(made: Report) -> None:
    curves = found(made, "probes", "probes")
    assert {c.what for c in curves} == {"grad_norm", "trace"}
    for c in (c for c in curves if c.what == "trace"):
        half = [(hi - lo) / 2 for hi, lo in zip(c.hi, c.lo, strict=True)]
        assert half == pytest.approx([0.5 / math.sqrt(c.n)] * len(half), rel=1e-3) and 1 < c.n <= 6
        assert c.y[0] - c.y[-1] == pytest.approx(8 * c.x[-1], rel=1e-3)


def test_maps_hold_the_layers_in_their_order_and_an_even_choice_of_treatments(made: Report) -> None:
    mesh = plates(made)["layers-grad-norm-adamw"].data
    titles = [title.replace("\N{NO-BREAK SPACE}", " ") for title, _ in mesh.parts]
    assert titles == ["no warmup", "1 epoch", "10 epochs", "20 epochs"]
    for _, rows in mesh.parts:
        assert [row[0] for row in rows] == pytest.approx([1, 2, 3], rel=1e-5)
        assert all(a > b for row in rows for a, b in pairwise(row))
    curves = found(made, "probes", "layers")
    assert len(curves) == 2 * 5 * len(TREATMENTS) * len(LAYERS), "the tables have all"
    with style.drawing():
        axes = [a for a in draw(mesh).axes if a.get_title()]
    assert [a.get_title() for a in axes] == [title for title, _ in mesh.parts]
    assert [t.get_text() for t in axes[0].get_yticklabels()] == list(LAYERS)


@pytest.mark.parametrize("low", [0.0, -1.0, 1e-12])
def test_a_users_own_probe_is_drawn_whatever_its_values(low: float) -> None:
    own = {
        "my_score": series((0, 20, 40), (0.5, 0.2, 0.9)),
        "noise.a/b": series((0, 20, 40), (low, 1.0, 2.0)),
        "noise.c": series((0, 40), (3.0, math.nan)),
        "once": series((0,), (7.0,)),
        "never": series((), ()),
    }
    made = with_trace(few(), **own).report("probes")
    drawn = plates(made)
    assert set(drawn) == {"probe-my-score", "probe-once", "layers-noise"}
    mesh = drawn["layers-noise"].data
    assert mesh.rows == ("a/b", "c") and mesh.log == (low >= 0)
    assert ("log scale" in drawn["layers-noise"].caption) == (low >= 0)
    for plate in drawn.values():
        assert "nan" not in describe(plate)
        with style.drawing():
            draw(plate.data).draw_without_rendering()


def test_an_unlucky_name_of_a_users_probe_is_drawn() -> None:
    """What looks like a split's series or a standard error, but is none."""
    own = {name: series((0, 20, 40), (0.5, 0.2, 0.9)) for name in ("train_snr", "test_thing", "noise_se")}
    kept = {name: series((0, 20, 40), (0.5, 0.2, 0.9)) for name in ("train_accuracy", "validation_accuracy")}
    made = with_trace(few(), **own, **kept, train_loss=series((0, 1), (2.0, 1.0))).report("probes")
    assert set(plates(made)) == {"probe-train-snr", "probe-test-thing", "probe-noise-se"}


def test_a_ratio_is_that_of_the_means_and_a_threshold_has_its_line() -> None:
    """Seeds whose denominators differ in sign: the mean of their ratios would be -4."""
    given, at = few(), (0, 20, 40)
    seeds = {row.run_id: i % 2 for i, row in enumerate(given.results.rows)}

    def load(run_id: str) -> Record:
        record, under = given.load(run_id), (-0.1, 3.1)[seeds[run_id]]
        trace = {
            "noise_scale": series(at, [1 / under] * 3),
            "gradient_variance": series(at, (1.0, 1.0, 1.0)),
            "gradient_square": series(at, (under, under, under)),
            "sharpness_to_threshold": series(at, [0.2 + 3 * seeds[run_id]] * 3),
        }
        return replace(record, run=replace(record.run, probes=(spec("noise_scale"),)), trace=trace)

    made = Made(given.results, load).report("probes")
    curves = {c.what: c for c in found(made, "probes", "probes") if c.n == 6}
    assert curves["noise_scale"].y == pytest.approx([1 / 1.5] * 3, rel=1e-4)
    assert curves["noise_scale"].lo == curves["noise_scale"].hi
    drawn = plates(made)
    assert drawn["probe-noise-scale"].caption.startswith(
        "The mean of gradient variance over the mean of grad"
    )
    part = drawn["probe-sharpness-to-threshold"].data.parts[0]
    assert part.zero == 1.0 and part.ends == (0.0, None)
    assert drawn["probe-gradient-variance"].data.parts[0].zero is None
    assert {p.group for p in drawn.values()} == {"Curves"}, "one panel: side by side"


def test_what_is_drawn_elsewhere_can_be_left_out() -> None:
    made = full(("sgd",)).report({"name": "probes", "but": ["grad_norm"]})
    assert {c.what for c in found(made, "probes", "probes")} == {"trace"}
    assert {k.what for k in found(made, "probes", "layers")} == {"grad_norm"}


def test_runs_without_probes_have_no_such_chapter() -> None:
    made = with_trace(few(), train_loss=series((0, 1), (2.0, 1.0))).report("metric", "probes")
    assert [c.name for c in made.chapters] == ["metric"]
    assert "Nothing to say here on: probes." in made.notes
