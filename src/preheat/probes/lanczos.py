"""The largest eigenvalue of a symmetric product, by the Lanczos algorithm.

C. Lanczos, J. Res. Natl. Bur. Stand. 45 (1950) 255; C. C. Paige, J. Inst. Maths Applics 18 (1976) 341.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from preheat.probes.base import Tensors

if TYPE_CHECKING:
    from torch import Tensor

# a remainder this many roundings long is no new direction
_ROUNDINGS = 100.0


class Eigenpair(NamedTuple):
    """value: a float64 scalar; vector: of length 1, shaped like the start; error: |H v - value v| / |value|,
    with the rounding of H v, so an eigenvalue lies that near (an isolated one lies nearer, about
    error^2 |value| / its distance to the next); products: how many were taken. The scalars are tensors."""

    value: Tensor
    vector: Tensors
    error: Tensor
    products: Tensor


def largest_eigenvalue(
    product: Callable[[Tensors], Tensors],
    start: Tensors,
    *,
    products: int = 20,
    tol: float | None = None,
    full: bool = True,
) -> Eigenpair:
    """The largest algebraic eigenvalue of v -> H v, H symmetric: the most positive one, also where a negative
    one is larger in size.

    products: the most that are taken. tol: stop where the error is at most this; None takes all of them, and
    no branch depends on the data, so `torch.vmap` of it is each run's own. full: make each direction
    orthogonal to all earlier ones, not to the last two only. start: not zero; a random one, or `warmed`. The
    directions are kept, in float32 or wider: products + 2 vectors in all; scalars are float64. Where H has
    fewer directions than products, the rest add nothing. A value that is not finite is NaN with error NaN.

    The error bounds the distance to an eigenvalue, and does not prove that it is the largest: a start with
    little along the largest one's vector may reach a loose tol at another, and one without any stays there.

    >>> import torch
    >>> diagonal = torch.tensor([2.0, 1.0, -9.0])
    >>> found = largest_eigenvalue(lambda v: {"w": diagonal * v["w"]}, {"w": torch.ones(3)})
    >>> round(float(found.value), 4), found.vector["w"].abs().round(decimals=3)
    (2.0, tensor([1., 0., 0.]))
    """
    import torch

    flat = torch.cat([t.reshape(-1) for t in start.values()])
    flat = flat.to(torch.promote_types(flat.dtype, torch.float32))
    eps = torch.finfo(flat.dtype).eps
    q, alive = flat / flat.norm(), [torch.ones_like(flat[0], dtype=torch.bool)]
    basis: list[Tensor] = []
    alphas: list[Tensor] = []
    betas: list[Tensor] = []
    for k in range(max(products, 1)):
        basis.append(q)
        w = _flat(product(_shaped(q, start)), q)
        alphas.append((q @ w).double())
        w = w - alphas[k].to(w.dtype) * q
        if k:
            w = w - betas[-1].to(w.dtype) * basis[-2]
        for b in basis if full else ():
            w = w - (b @ w) * b
        betas.append(w.norm().double())
        scale = torch.stack([*alphas, *betas]).abs().max()
        alive.append(alive[k] & ~(betas[k] <= _ROUNDINGS * eps * scale))
        q = torch.where(alive[-1], w / torch.where(alive[-1], betas[k], 1.0).to(w.dtype), 0.0)
        if tol is not None:
            error = _ritz(torch.stack(alphas), torch.stack(betas), torch.stack(alive), eps)[2]
            if not float(error) > tol or not bool(alive[-1]):
                break
    value, weights, error = _ritz(torch.stack(alphas), torch.stack(betas), torch.stack(alive), eps)
    top = sum(w.to(q.dtype) * b for w, b in zip(weights.unbind(), basis, strict=True))
    assert not isinstance(top, int)
    return Eigenpair(value, _shaped(top / top.norm(), start), error, torch.tensor(len(basis)))


def warmed(vector: Tensors, noise: Tensors, *, share: float = 0.1) -> Tensors:
    """A start near the vector of an earlier, similar product: vector / |vector| + share noise / |noise|.

    Without noise a start that is some eigenvector exactly would stay there, though another had become the
    largest. A zero vector leaves the noise.
    """
    import torch

    from preheat.probes.base import norm

    def unit(tensors: Tensors, length: float) -> Tensors:
        size = norm(tensors)
        factor = torch.where(size > 0, length / torch.where(size > 0, size, 1.0), 0.0)
        return {n: t * factor for n, t in tensors.items()}

    near, far = unit(vector, 1.0), unit(noise, share)
    return {n: near[n] + far[n] for n in near}


def _flat(tensors: Tensors, like: Tensor) -> Tensor:
    import torch

    return torch.cat([t.reshape(-1) for t in tensors.values()]).to(like.dtype)


def _shaped(flat: Tensor, like: Tensors) -> Tensors:
    import torch

    parts = torch.split(flat, [t.numel() for t in like.values()])
    return {n: part.reshape(t.shape).to(t.dtype) for (n, t), part in zip(like.items(), parts, strict=True)}


def _ritz(alphas: Tensor, betas: Tensor, alive: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """(value, weights [k], error) of the tridiagonal's largest eigenpair. alphas, betas: [k], the last beta
    is the length of what is left; alive: [k + 1], whether a direction is one. Those that are none get a
    value below all others."""
    import torch

    scale = torch.stack([alphas.abs().max(), betas.abs().max()]).max()
    below = alphas[0] - torch.where(scale > 0, scale, 1.0)
    diagonal = torch.where(alive[:-1], alphas, below)
    off = torch.where(alive[1:-1], betas[:-1], 0.0)
    matrix = torch.diag_embed(diagonal) + torch.diag_embed(off, 1) + torch.diag_embed(off, -1)
    sound = matrix.isfinite().all() & scale.isfinite()
    values, vectors = torch.linalg.eigh(torch.where(sound, matrix, 0.0))
    value, weights = values[-1], vectors[:, -1]
    ends = alive[:-1] & ~torch.cat([alive[1:-1], torch.zeros_like(alive[:1])])
    left = torch.where(ends, betas, 0.0) @ weights.abs() + eps * scale
    error = torch.where(left > 0, left / value.abs(), 0.0)
    nothing = torch.full_like(value, torch.nan)
    return torch.where(sound, value, nothing), weights, torch.where(sound, error, nothing)
