"""Ways to the largest eigenvalue of a loss's Hessian: ours, and those of the peers that are installed."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh
from torch import Tensor, nn

from preheat.adapters.loss_graph import loss_graph, trained, untouched
from preheat.probes.lanczos import largest_eigenvalue, warmed

Tensors = dict[str, Tensor]
Batch = tuple[Tensor, Tensor]
PEERS = {
    "PyHessian": "pyhessian",
    "hessian-eigenthings": "hessian_eigenthings",
    "curvlinops-for-pytorch": "curvlinops",
}
LANCZOS, POWER = 48, 150  # the most products that are tried
GRID = [(ncv, tol) for ncv in (2, 3, 4, 5, 6, 8, 10, 12, 15, 20) for tol in (1e-1, 1e-2, 1e-3)]


class Point(NamedTuple):
    """Where the sharpness is asked for; truth: what it is; before: an earlier vector, for a warm start."""

    model: nn.Module
    batch: Batch
    truth: float = 0.0
    before: Tensors | None = None


class Tried(NamedTuple):
    """After so many products, with this setting, a contender says `estimate`."""

    products: int
    estimate: float
    setting: Any


class Racer(NamedTuple):
    """tries(point, seed): what it says after each number of products; run(point, seed, setting): the whole
    call at one of those settings, which is timed. A contender that refuses raises."""

    name: str
    tries: Callable[[Point, int], list[Tried]]
    run: Callable[[Point, int, Any], object]


class Default(NamedTuple):
    """A call as a user writes it. run(point, seed): (value, products)."""

    name: str
    run: Callable[[Point, int], tuple[float, int]]


def loss_fn(model: nn.Module, batch: Batch) -> Tensor:
    return nn.functional.cross_entropy(model(batch[0]), batch[1])


@contextmanager
def product_of(point: Point) -> Iterator[tuple[Callable[[Tensors], Tensors], Tensors]]:
    """(v -> H v, the parameters), by our adapter."""
    params = trained(point.model)
    with untouched(point.model, loss_fn):
        graph = loss_graph(point.model, loss_fn, point.batch, params, group=None)
        with torch.no_grad():
            yield graph.product, params


def reference(model: nn.Module, batch: Batch, *, most: int = 300, tol: float = 1e-7) -> float:
    """The largest eigenvalue in float64, by Lanczos from two random starts that must agree."""
    point = Point(copy.deepcopy(model).double(), (batch[0].double(), batch[1]))
    with product_of(point) as (product, params):
        products = min(most, sum(p.numel() for p in params.values()))
        found = [
            float(largest_eigenvalue(product, noise(params, seed), products=products, tol=tol).value)
            for seed in (1001, 1002)
        ]
    if abs(found[0] - found[1]) > 1e-5 * abs(found[0]):
        raise RuntimeError(f"two starts must agree on the reference, got {found[0]} and {found[1]}")
    return max(found)


def noise(params: Tensors, seed: int) -> Tensors:
    """The start that hessian-eigenthings draws, too."""
    generator = torch.Generator().manual_seed(seed)
    return shaped(torch.randn(sum(p.numel() for p in params.values()), generator=generator), params)


def flat(tensors: Tensors) -> np.ndarray:
    return torch.cat([t.detach().reshape(-1) for t in tensors.values()]).double().cpu().numpy()


def shaped(whole: Tensor, params: Tensors) -> Tensors:
    parts = whole.split([p.numel() for p in params.values()])
    return {n: part.view(p.shape).to(p) for (n, p), part in zip(params.items(), parts, strict=True)}


def ritz(vectors: list[np.ndarray], images: list[np.ndarray]) -> list[Tried]:
    """What Lanczos says after each product: the largest eigenvalue of Q'HQ, Q its first k directions."""
    q, hq = np.stack(vectors), np.stack(images)
    inner = q @ hq.T
    inner = (inner + inner.T) / 2
    return [Tried(k, float(np.linalg.eigvalsh(inner[:k, :k])[-1]), k) for k in range(1, len(q) + 1)]


def begin(point: Point, params: Tensors, seed: int) -> Tensors:
    """A random start, or near the earlier vector."""
    random = noise(params, seed)
    return warmed(point.before, random) if point.before else random


def our_lanczos(point: Point, seed: int, products: int) -> float:
    with product_of(point) as (product, params):
        return float(largest_eigenvalue(product, begin(point, params, seed), products=products).value)


def our_tries(point: Point, seed: int) -> list[Tried]:
    vectors, images = [], []
    with product_of(point) as (product, params):

        def told(v: Tensors) -> Tensors:
            found = product(v)
            vectors.append(flat(v))
            images.append(flat(found))
            return found

        most = min(LANCZOS, sum(p.numel() for p in params.values()))
        largest_eigenvalue(told, begin(point, params, seed), products=most)
    return ritz(vectors, images)


def power(point: Point, seed: int, products: int, change: float = 0.0) -> list[float]:
    """Power iteration on our product: the Rayleigh quotients; it ends where one differs from the last by at
    most `change`."""
    found: list[float] = []
    with product_of(point) as (product, params):
        v = begin(point, params, seed)
        for _ in range(products):
            size = torch.stack([t.square().sum() for t in v.values()]).sum().sqrt()
            v = {n: t / size for n, t in v.items()}
            image = product(v)
            found.append(float(torch.stack([(v[n] * t).sum() for n, t in image.items()]).sum()))
            v = image
            if len(found) > 1 and abs(found[-1] - found[-2]) <= change * abs(found[-2]):
                break
    return found


def counted(values: list[float]) -> list[Tried]:
    return [Tried(k, value, k) for k, value in enumerate(values, 1)]


def our_operator(product: Callable[[Tensors], Tensors], params: Tensors) -> tuple[LinearOperator, list[int]]:
    """Our product for SciPy, and what counts its products."""
    count, size = [0], sum(p.numel() for p in params.values())

    def times(v: np.ndarray) -> np.ndarray:
        count[0] += 1
        return flat(product(shaped(torch.from_numpy(v.reshape(-1).copy()), params)))

    return LinearOperator((size, size), matvec=times, dtype=np.float64), count


def arpack(operator: Any, start: np.ndarray, ncv: int | None, tol: float) -> float:
    return float(eigsh(operator, k=1, which="LA", v0=start, ncv=ncv, tol=tol, return_eigenvectors=False)[0])


def eigsh_tries(point: Point, seed: int) -> list[Tried]:
    """All settings of the grid."""
    out = []
    with product_of(point) as (product, params):
        operator, count = our_operator(product, params)
        start = flat(point.before or noise(params, seed))
        for ncv, tol in GRID:
            count[0] = 0
            with suppress(ArpackError):
                value = arpack(operator, start, ncv, tol)
                out.append(Tried(count[0], value, (ncv, tol)))
    return out


def eigsh_on_ours(point: Point, seed: int, setting: tuple[int | None, float]) -> tuple[float, int]:
    with product_of(point) as (product, params):
        operator, count = our_operator(product, params)
        return arpack(operator, flat(point.before or noise(params, seed)), *setting), count[0]


def curvlinops_operator(point: Point) -> Any:
    curvlinops = importlib.import_module("curvlinops")
    params = [*trained(point.model).values()]
    made = curvlinops.HessianLinearOperator(point.model, nn.CrossEntropyLoss(), params, [point.batch])
    return made.to_scipy()


def curvlinops(point: Point, seed: int, setting: tuple[int | None, float]) -> tuple[float, int]:
    inner, count = curvlinops_operator(point), [0]

    def times(v: np.ndarray) -> np.ndarray:
        count[0] += 1
        return np.asarray(inner @ v.reshape(-1).astype(np.float32))

    operator = LinearOperator(inner.shape, matvec=times, dtype=np.float64)
    return arpack(operator, flat(point.before or noise(trained(point.model), seed)), *setting), count[0]


def curvlinops_tries(point: Point, seed: int) -> list[Tried]:
    """The settings tried on our product, for it is the same matrix; a refusal raises."""
    curvlinops_operator(point)
    return eigsh_tries(point, seed)


def pyhessian(point: Point, seed: int, **options: Any) -> float:
    """PyHessian's eigenvalue, on a copy, for it leaves the model in evaluation mode."""
    module = importlib.import_module("pyhessian.hessian")
    torch.manual_seed(seed)
    cuda = point.batch[0].is_cuda
    tool = module.hessian(copy.deepcopy(point.model), nn.CrossEntropyLoss(), data=point.batch, cuda=cuda)
    return float(tool.eigenvalues(**options)[0][0])


def pyhessian_tries(point: Point, seed: int, **options: Any) -> list[Tried]:
    """Its estimate after each product."""
    module = importlib.import_module("pyhessian.hessian")
    plain, seen = module.hessian_vector_product, []

    def told(grads: Any, params: Any, v: Any) -> Any:
        found = plain(grads, params, v)
        seen.append(float(module.group_product(found, v)))
        return found

    module.hessian_vector_product = told
    try:
        pyhessian(point, seed, **(options or {"maxIter": POWER, "tol": 0.0}))
    finally:
        module.hessian_vector_product = plain
    return counted(seen)


def eigenthings(point: Point, seed: int, tool: str = "lanczos", **options: Any) -> tuple[float, int]:
    """hessian-eigenthings' value and products, on a copy, for it moves BatchNorm's buffers."""
    library = importlib.import_module("hessian_eigenthings.algorithms")
    found = getattr(library, tool)(eigenthings_operator(point), k=1, seed=seed, **options)
    return float(found.eigenvalues[0]), int(found.iterations)


def eigenthings_operator(point: Point) -> Any:
    operators = importlib.import_module("hessian_eigenthings.operators")
    return operators.HessianOperator(copy.deepcopy(point.model), [point.batch], loss_fn)


def eigenthings_tries(point: Point, seed: int) -> list[Tried]:
    module = importlib.import_module("hessian_eigenthings.algorithms")
    operator = eigenthings_operator(point)
    plain, vectors, images = operator.matvec, [], []

    def told(v: Tensor) -> Tensor:
        found = plain(v)
        vectors.append(flat({"v": v}))
        images.append(flat({"v": found}))
        return found

    operator.matvec = told
    module.lanczos(operator, k=1, seed=seed, which="LA", max_iter=LANCZOS)
    return ritz(vectors, images)


def installed(peer: str) -> bool:
    try:
        importlib.import_module(PEERS[peer])
    except ImportError:
        return False
    return True
