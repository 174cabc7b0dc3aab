"""Random fields, exact integrals, and the task: what it draws, normalises, holds out and refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.interpolate import CubicHermiteSpline
from trainings import OPTIONS, a_run, finish

from preheat.core.errors import UserError
from preheat.core.spec import build, spec
from preheat.engine.placement import single
from preheat.tasks import integral
from preheat.tasks.random_fields import antiderivative, eigenvalues, random_fields, waves


def task(**options):
    return build("task", spec("integral", **{**OPTIONS["integral"].options, **options}))


# --- functions and integrals


@pytest.mark.parametrize("scale", [0.1, 0.4])
def test_the_circulant_matrix_holds_the_kernel(scale):
    """The covariance that the eigenvalues give is the kernel's, at every distance, and none is below 0."""
    m = waves(1000, spacing=1 / 999, scale=scale)
    found = eigenvalues(np.array([scale]), m, spacing=1 / 999)
    assert m == {0.1: 2048, 0.4: 8192}[scale] and found.min() > -1e-6
    kernel = np.fft.irfft(np.maximum(found, 0), m)[0, :1000]
    distance = np.arange(1000) / 999
    np.testing.assert_allclose(kernel, np.exp(-(distance**2) / (2 * scale**2)), atol=1e-8)


def test_fields_have_mean_0_variance_1_and_the_kernels_covariance():
    """Of 4,000 fields: within five standard errors everywhere."""
    n, scale, points = 4000, 0.25, 60
    rng = np.random.default_rng(3)
    u = random_fields(np.full(n, scale), points, spacing=1 / 59, longest=0.4, rng=rng)
    distance = np.abs(np.subtract.outer(np.arange(points), np.arange(points))) / 59
    kernel = np.exp(-(distance**2) / (2 * scale**2))
    assert np.abs(u.mean(0)).max() < 5 / n**0.5
    errors = np.abs(u.T @ u / n - kernel) / np.sqrt((1 + kernel**2) / n)
    assert errors.max() < 5


def test_each_field_has_its_own_length_scale():
    n, scales = 3000, np.array([0.1, 0.3])
    rng = np.random.default_rng(1)
    u = random_fields(np.tile(scales, n), 21, spacing=0.05, longest=0.3, rng=rng)
    for i, scale in enumerate(scales):
        u_0, u_4 = u[i::2, 0], u[i::2, 4]
        assert np.mean(u_0 * u_4) == pytest.approx(np.exp(-0.02 / scale**2), abs=5 * (2 / n) ** 0.5)


def test_the_integral_is_that_of_the_spline_and_of_a_fine_quadrature():
    rng = np.random.default_rng(0)
    x = np.sort(np.concatenate([[0, 1], rng.uniform(0.01, 0.99, 98)]))
    u, at = np.sin(5 * x + np.arange(3)[:, None]), np.concatenate([[0, 1, x[50]], rng.uniform(0, 1, 20)])
    slopes = np.gradient(u, x, axis=1, edge_order=2)
    found = antiderivative(x, u, at)
    for row, values, slope in zip(found, u, slopes, strict=True):
        exact = CubicHermiteSpline(x, values, slope).antiderivative()
        np.testing.assert_allclose(row, exact(at) - exact(0), rtol=1e-11, atol=1e-14)
    for i in range(3):
        np.testing.assert_allclose(found[i], (np.cos(i) - np.cos(5 * at + i)) / 5, atol=2e-5)


def test_slopes_are_those_of_parabolas():
    """So a parabola is integrated exactly on any grid, up to its ends."""
    x, at = np.array([0.0, 0.1, 0.4, 1.0]), np.array([0.05, 0.3, 0.9, 1.0])
    np.testing.assert_allclose(antiderivative(x, (x**2 - x)[None], at)[0], at**3 / 3 - at**2 / 2, rtol=1e-12)


# --- the task


def test_targets_are_the_integrals_of_what_the_sensors_see():
    """The functions are smooth: 100 values tell their integral to 1e-3."""
    made = task(sensors=100, queries=11)
    train = {name: t.double().numpy() for name, t in made.data().train.items()}
    assert train["u"].shape == (40, 100) and train["points"].shape == train["y"].shape == (40, 11)
    np.testing.assert_allclose(train["points"], np.tile(np.linspace(0, 1, 11), (40, 1)), atol=1e-7)
    x = np.arange(0, 1000, 10) / 999
    np.testing.assert_allclose(
        antiderivative(x, train["u"], np.arange(10) / 10), train["y"][:, :10], atol=1e-3
    )
    assert (train["y"][:, 0] == 0).all()


def fields(made):
    """The functions as they were drawn: training, validation, test."""
    counts = (made.examples, made.held_out, made.held_out)
    return [integral._drawn(made._sets, n, part) for part, n in enumerate(counts)]


def brought(u, of):
    low, high = of.min(1), of.max(1)
    m, largest = low.mean() - low.std(ddof=1), high.mean() + high.std(ddof=1)
    return 2 * (u - m) / (largest - m) - 1


def test_statistics_are_of_the_training_functions_alone():
    made = task()
    drawn, data = fields(made), made.data()
    for u, part in zip(drawn, data, strict=True):
        np.testing.assert_allclose(part["u"], brought(u, drawn[0])[:, ::125], rtol=1e-5, atol=1e-6)
    other = task(held_out=20).data()
    for name, values in data.train.items():
        assert torch.equal(values, other.train[name]), "what is held out does not change what is trained on"
    rows = [tuple(row.tolist()) for part in data for row in part["u"]]
    assert len(set(rows)) == 60, "no function is in two sets"


def test_leaky_is_the_published_protocol():
    made = task(leaky=True, queries=7)
    drawn, data = fields(made), made.data()
    every = np.concatenate(drawn)
    np.testing.assert_allclose(data.train["u"], brought(drawn[0], every)[:, ::125], rtol=1e-5, atol=1e-6)
    held_out = brought(every[40:], every)[:, ::125]
    assert made.evaluated == (20, 20)
    for part in (data.validation, data.test):
        np.testing.assert_allclose(part["u"], held_out, rtol=1e-5, atol=1e-6)
    assert data.train["points"][0].tolist() == pytest.approx(
        [0, 0.167, 0.333, 0.5, 0.667, 0.833, 1], abs=1e-7
    )
    x = made._sets.grid[0]
    assert set(np.arange(1001)) - set((1000 * x).round().astype(int)) == {500}
    assert made._sets.grid[2] == 1 / 1000 and task()._sets.grid[2] == 1 / 999


def test_data_are_seeded_and_fewer_examples_are_the_first_of_more():
    few, many = (integral._drawn(task(examples=n)._sets, n, 0) for n in (40, 300))
    np.testing.assert_array_equal(few, many[:40])
    before = {name: t.clone() for name, t in task().data().train.items()}
    digest = task().origin()
    integral._made.cache_clear()
    assert all(torch.equal(t, before[name]) for name, t in task().data().train.items())
    assert task().origin() == digest != task(examples=41).origin()
    assert digest["data"].startswith("random functions sha256 ") and task().data() is task().data()


def test_length_scales_lie_within_their_range():
    rough, smooth = (task(shortest=s, longest=s).data().train["u"] for s in (0.05, 0.5))
    assert rough.diff(dim=1).abs().mean() > 2 * smooth.diff(dim=1).abs().mean()


@pytest.mark.parametrize("model", ["deeponet", "tfonet"])
def test_models_beat_the_mean(model):
    sizes = {"deeponet": {"hidden": 16, "num_branch": 8, "num_layers": 2}}
    sizes["tfonet"] = {"d_model": 8, "dim_feedforward": 16, "num_layers": 1}
    options = {"longest": 0.3, "shortest": 0.3, "model": {"name": model, **sizes[model]}}
    made = spec("integral", **{**OPTIONS["integral"].options, **options})
    run = a_run(task=made, optimizer="adamw", peak_lr=0.02, length="120", batch_size=20, evaluate="120")
    summary = finish([run], single())[2][0].summary
    train, _, test = build("task", made).data()
    mean = float((test["y"] - train["y"].mean(0)).square().mean())
    assert summary["chance_loss"] == pytest.approx(mean, rel=1e-4)
    assert summary["chance_log10_loss"] == pytest.approx(np.log10(mean), abs=1e-3)
    assert summary["test_loss"] < mean / 4 and summary["validation_loss"] < mean / 4
    assert summary["test_log10_loss"] == pytest.approx(np.log10(summary["test_loss"]))


@pytest.mark.parametrize(
    "options,message",
    [
        ({"examples": 1}, "examples of task 'integral' must be at least 2, got 1"),
        ({"held_out": 0}, "held_out of task 'integral' must be at least 1, got 0"),
        ({"queries": 1}, "queries of task 'integral' must be at least 2, got 1"),
        ({"sensors": 30}, "must divide the 1000 points of the grid, got 30: write one of 1, 2, 4, 5, 8, 10"),
        (
            {"shortest": 0.5, "longest": 0.4},
            "0.01 <= shortest <= longest <= 1, got shortest=0.5 and longest=",
        ),
        ({"shortest": 0.0}, "got shortest=0 and"),
        ({"longest": 2.0}, "and longest=2"),
        ({"leaky": 1}, "option leaky of task 'integral' must be true or false, got 1"),
        ({"model": "simplecnn"}, "takes images, and this task has functions: write one of deeponet, tfonet"),
    ],
    ids=str,
)
def test_wrong_options_are_errors_when_the_run_is_declared(options, message):
    with pytest.raises(UserError) as caught:
        a_run(task=spec("integral", **options))
    assert message in str(caught.value)
