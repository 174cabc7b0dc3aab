"""The largest eigenvalue against dense float64 eigenvalues: alone with a tolerance, and lifted by vmap."""

from __future__ import annotations

import math

import pytest
import torch

from preheat.probes.lanczos import largest_eigenvalue, warmed

SIZES = {"a": (3, 4), "b": (), "c": (7,)}  # 20 entries


def shaped(flat, sizes=SIZES):
    parts = flat.split([math.prod(s) for s in sizes.values()])
    return {n: p.reshape(s) for (n, s), p in zip(sizes.items(), parts, strict=True)}


def flat(tensors):
    return torch.cat([t.reshape(-1) for t in tensors.values()])


def symmetric(values, seed=0):
    """A dense matrix with these eigenvalues, float64."""
    random = torch.Generator().manual_seed(seed)
    n = len(values)
    q = torch.linalg.qr(torch.randn(n, n, generator=random, dtype=torch.float64))[0]
    return q @ torch.diag(torch.as_tensor(values, dtype=torch.float64)) @ q.T


def start(seed=1, sizes=SIZES, dtype=torch.float64):
    random = torch.Generator().manual_seed(seed)
    n = sum(math.prod(s) for s in sizes.values())
    return shaped(torch.randn(n, generator=random, dtype=torch.float64).to(dtype), sizes)


def times(matrix, sizes=SIZES):
    return lambda v: shaped(matrix.to(flat(v).dtype) @ flat(v), sizes)


SPECTRA = {
    "positive": [*range(1, 21)],
    "a negative one is largest in size": [*torch.linspace(-225, 14.6, 20).tolist()],
    "all negative": [-float(k) for k in range(1, 21)],
    "repeated": [5.0, 5.0, 5.0, *[1.0] * 17],
    "over ten decades": [10.0**-k for k in range(20)],
    "tiny": [1e-12 * k for k in range(20)],
}


@pytest.mark.parametrize("values", SPECTRA.values(), ids=SPECTRA.keys())
@pytest.mark.parametrize("tol", [1e-2, 1e-10, None])
def test_it_is_the_dense_matrix_s_largest(values, tol):
    found = largest_eigenvalue(times(symmetric(values)), start(), products=24, tol=tol)
    top = max(values)
    assert found.value.dtype == torch.float64 and abs(float(found.value) - top) <= abs(top) * max(
        float(found.error), 1e-12
    )
    assert float(found.error) <= (1e-9 if tol is None else tol)
    v = flat(found.vector)
    residual = symmetric(values) @ v - found.value * v
    assert float(residual.norm() / found.value.abs()) <= float(found.error) + 1e-9
    assert float(v.norm()) == pytest.approx(1, abs=1e-12)
    assert int(found.products) <= 24 and ((tol == 1e-2) <= (int(found.products) < 20))


@pytest.mark.parametrize("full", [True, False])
def test_float32_and_other_types_keep_float64_scalars(full):
    values = torch.linspace(-225, 14.6, 20).tolist()
    for dtype, close in ((torch.float32, 1e-5), (torch.bfloat16, 0.5)):
        found = largest_eigenvalue(times(symmetric(values)), start(dtype=dtype), products=20, full=full)
        assert found.value.dtype == torch.float64 and found.vector["b"].dtype == dtype
        assert float(found.value) == pytest.approx(14.6, rel=close)


def test_lifted_it_is_each_run_s_own():
    matrices = torch.stack([*map(symmetric, SPECTRA.values()), torch.zeros(20, 20, dtype=torch.float64)])
    starts = [start(seed) for seed in range(len(matrices))]
    together = torch.vmap(lambda m, s: largest_eigenvalue(times(m), s, products=23))(
        matrices, {n: torch.stack([s[n] for s in starts]) for n in SIZES}
    )
    tops = [*map(max, SPECTRA.values()), 0.0]
    for i, (matrix, top) in enumerate(zip(matrices, tops, strict=True)):
        alone = largest_eigenvalue(times(matrix), starts[i], products=23)
        assert float(together.value[i]) == pytest.approx(float(alone.value), rel=1e-10, abs=1e-25)
        assert float(alone.value) == pytest.approx(top, rel=1e-9) and int(together.products[i]) == 23
        assert float(together.error[i]) < 1e-9


def test_a_run_whose_product_is_not_finite_is_nan_and_leaves_the_others():
    matrices = torch.stack([symmetric(range(20)) * factor for factor in (1.0, math.nan, math.inf)])
    starts = {n: t.expand(3, *t.shape) for n, t in start().items()}
    found = torch.vmap(lambda m, s: largest_eigenvalue(times(m), s, products=20))(matrices, starts)
    assert float(found.value[0]) == pytest.approx(19, rel=1e-10)
    assert found.value.isnan().tolist() == found.error.isnan().tolist() == [False, True, True]
    alone = largest_eigenvalue(times(matrices[1]), start(), products=20, tol=1e-2)
    assert math.isnan(alone.value) and int(alone.products) == 1


@pytest.mark.parametrize("tol", [1e-3, None])
def test_few_directions_are_enough(tol):
    """One parameter, a zero matrix, fewer dimensions than products, few distinct eigenvalues."""
    one = {"w": (1,)}
    for value in (3.0, -3.0, 0.0, 1e-30):
        found = largest_eigenvalue(lambda v, c=value: {"w": c * v["w"]}, start(2, one), products=9, tol=tol)
        assert float(found.value) == pytest.approx(value, rel=1e-12, abs=0) and float(found.error) < 1e-12
        assert int(found.products) == (9 if tol is None else 1)
    three = {"w": (3,)}
    for values in (
        [1.0, 2.0, 2.5],
        [-1.0, -2.0, -300.0],
        [0.0, 0.0, 0.0],
        [7.0, 7.0, 7.0],
        [0.0, -1.0, -2.0],
    ):
        found = largest_eigenvalue(
            times(symmetric(values), three), start(3, three), products=12, tol=tol and 1e-13
        )
        assert float(found.value) == pytest.approx(max(values), rel=1e-11, abs=1e-14)
        assert int(found.products) == 12 if tol is None else int(found.products) <= 3


@pytest.mark.parametrize("scale", [1e-25, 1e20])
def test_no_square_is_lost_in_float32(scale):
    diagonal = scale * torch.arange(64.0)
    begin = {"w": torch.ones(64)}
    found = largest_eigenvalue(lambda v: {"w": diagonal * v["w"]}, begin, products=64, tol=1e-4)
    assert float(found.value) == pytest.approx(63 * scale, rel=1e-4) and float(found.error) < 1e-4


def test_a_negative_eigenvalue_that_is_much_larger_ends_nothing_early():
    diagonal = torch.tensor([-1e5, 1.0, 0.9, 0.5, 0.3, 0.1])
    found = largest_eigenvalue(lambda v: {"w": diagonal * v["w"]}, {"w": torch.ones(6)}, tol=2e-2)
    assert float(found.value) == pytest.approx(1, abs=0.02) and int(found.products) == 6


def test_a_product_that_is_not_symmetric_is_in_the_error():
    random = torch.Generator().manual_seed(0)
    skew = torch.randn(20, 20, generator=random, dtype=torch.float64) / 20
    matrix = symmetric(range(20)) + skew
    found = largest_eigenvalue(times(matrix), start(), products=20)
    v = flat(found.vector)
    residual = float((matrix @ v - found.value * v).norm() / found.value)
    assert 1e-3 < residual <= float(found.error) < 0.1


def test_a_warm_start_needs_fewer_products_and_leaves_an_eigenvector_that_was_overtaken():
    before = symmetric(torch.linspace(-1, 1, 20).tolist())
    cold = largest_eigenvalue(times(before), start(), products=20, tol=1e-3)
    after = before + 0.01 * symmetric(torch.linspace(-1, 1, 20).tolist(), seed=5)
    again = largest_eigenvalue(times(after), warmed(cold.vector, start(7), share=0.01), products=20, tol=1e-2)
    fresh = largest_eigenvalue(times(after), start(7), products=20, tol=1e-2)
    assert int(again.products) < int(fresh.products)
    values, vectors = torch.linalg.eigh(before)
    second = shaped(vectors[:, -2].clone())
    stuck = largest_eigenvalue(times(before), second, products=20, tol=1e-3)
    assert float(stuck.value) == pytest.approx(float(values[-2])), "an exact eigenvector is invariant"
    moved = largest_eigenvalue(times(before), warmed(second, start(8)), products=20, tol=1e-6)
    assert float(moved.value) == pytest.approx(float(values[-1]), rel=1e-3)


def test_a_start_without_a_vector_is_the_noise():
    noise = start(4)
    zero = {n: torch.zeros_like(t) for n, t in noise.items()}
    found = flat(warmed(zero, noise))
    assert torch.allclose(found, 0.1 * flat(noise) / flat(noise).norm())
    assert float(flat(warmed(noise, start(5))).norm()) == pytest.approx(1, abs=0.11)
