"""What `benchmarks/curvature.py` compares with: its truth and its counts, on a network with a dense Hessian."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def racers():
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(str(BENCHMARKS))
        import curvature_racers

        sys.modules.pop("curvature_racers")
    return curvature_racers


@pytest.fixture(scope="module")
def case():
    """(model, batch, the eigenvalues of its dense Hessian): BatchNorm, where the largest in size is
    negative."""
    torch.manual_seed(30)
    body = [nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 6), nn.BatchNorm1d(6), nn.ReLU()]
    model, x = nn.Sequential(*body, nn.Linear(6, 3)), torch.randn(32, 4)
    y = torch.randint(3, (32,))
    double = {n: p.detach().double() for n, p in model.named_parameters()}
    buffers = {n: b.double() if b.is_floating_point() else b for n, b in model.named_buffers()}

    def loss(flat: torch.Tensor) -> torch.Tensor:
        parts = flat.split([p.numel() for p in double.values()])
        own = {n: part.view(p.shape) for (n, p), part in zip(double.items(), parts, strict=True)}
        copies = {n: b.clone() for n, b in buffers.items()}
        return nn.functional.cross_entropy(
            torch.func.functional_call(model, {**own, **copies}, x.double()), y
        )

    start = torch.cat([p.reshape(-1) for p in double.values()])
    values = torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, start))
    assert values[0] < -2 * values[-1]
    return model, (x, y), values


def test_the_truth_is_the_dense_hessians_most_positive_eigenvalue(racers, case):
    model, batch, values = case
    assert racers.reference(model, batch) == pytest.approx(float(values[-1]), rel=1e-6)


def test_estimates_after_each_product_are_those_of_the_whole_call(racers, case):
    model, batch, values = case
    point = racers.Point(model, batch, float(values[-1]))
    tries = racers.our_tries(point, 3)
    for k in (1, 4, 8):
        assert tries[k - 1].products == k
        assert racers.our_lanczos(point, 3, k) == pytest.approx(tries[k - 1].estimate, rel=1e-4)
    assert tries[-1].estimate == pytest.approx(point.truth, rel=1e-4)


def test_eigsh_reaches_the_truth_and_power_iteration_the_largest_in_size(racers, case):
    model, batch, values = case
    point = racers.Point(model, batch, float(values[-1]))
    found, products = racers.eigsh_on_ours(point, 0, (20, 1e-3))
    assert found == pytest.approx(point.truth, rel=1e-3)
    assert products >= 20
    largest = float(values[values.abs().argmax()])
    assert racers.power(point, 0, 400)[-1] == pytest.approx(largest, rel=1e-2)
