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
_ROUNDINGS = 8.0


class Eigenpair(NamedTuple):
    """value: a float64 scalar; vector: of length 1, shaped like the start; error: |H v - value v| / |value|,
    with the rounding of H v and what H lacks of symmetry, so an eigenvalue lies that near (an isolated one
    lies nearer, about error^2 |value| / its distance to the next); products: how many were taken. The scalars
    are tensors."""

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
    q, alive = flat / _length(flat).to(flat.dtype), [torch.ones_like(flat[0], dtype=torch.bool)]
    basis: list[Tensor] = []
    alphas: list[Tensor] = []
    betas: list[Tensor] = []
    skews: list[Tensor] = []  # of a symmetric H they are rounding
    for k in range(max(products, 1)):
        basis.append(q)
        w = _flat(product(_shaped(q, start)), q)
        alphas.append((q @ w).double())
        w = w - alphas[k].to(w.dtype) * q
        if k:
            w = w - betas[-1].to(w.dtype) * basis[-2]
        skews.append(torch.zeros_like(alphas[k]))
        for b in basis if full else ():
            part = b @ w
            skews[k] = skews[k] + part.double() ** 2
            w = w - part * b
        betas.append(_length(w))
        scale = torch.stack([*alphas, *betas]).abs().max()
        alive.append(alive[k] & ~(betas[k] <= _ROUNDINGS * eps * scale))
        q = torch.where(alive[-1], w / torch.where(alive[-1], betas[k], 1.0).to(w.dtype), 0.0)
        if tol is not None:
            error = _ritz(alphas, betas, skews, alive=alive, eps=eps)[2]
            if not float(error) > tol or not bool(alive[-1]):
                break
    value, weights, error = _ritz(alphas, betas, skews, alive=alive, eps=eps)
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


def _length(w: Tensor) -> Tensor:
    """The Euclidean norm, where squares would be 0 or infinite too."""
    import torch

    top = torch.linalg.vector_norm(w, torch.inf)
    top = torch.where(top > 0, top, 1.0)
    size: Tensor = (w / top).norm().double() * top.double()
    return size


def _flat(tensors: Tensors, like: Tensor) -> Tensor:
    import torch

    return torch.cat([t.reshape(-1) for t in tensors.values()]).to(like.dtype)


def _shaped(flat: Tensor, like: Tensors) -> Tensors:
    import torch

    parts = torch.split(flat, [t.numel() for t in like.values()])
    return {n: part.reshape(t.shape).to(t.dtype) for (n, t), part in zip(like.items(), parts, strict=True)}


def _ritz(
    diagonals: list[Tensor], lengths: list[Tensor], skews: list[Tensor], *, alive: list[Tensor], eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """(value, weights [k], error) of the tridiagonal's largest eigenpair. diagonals, lengths: k each, the
    last length is of what is left; skews: the squared lengths of what was taken off beside the tridiagonal;
    alive: k + 1, whether a direction is one. Those that are none get a value below all others."""
    import torch

    alphas, betas, living = (torch.stack(each) for each in (diagonals, lengths, alive))
    scale = torch.stack([alphas.abs().max(), betas.abs().max()]).max()
    below = alphas[0] - torch.where(scale > 0, scale, 1.0)
    diagonal = torch.where(living[:-1], alphas, below)
    off = torch.where(living[1:-1], betas[:-1], 0.0)
    matrix = torch.diag_embed(diagonal) + torch.diag_embed(off, 1) + torch.diag_embed(off, -1)
    sound = matrix.isfinite().all() & scale.isfinite()
    values, vectors = torch.linalg.eigh(torch.where(sound, matrix, 0.0))
    value, weights = values[-1], vectors[:, -1]
    ends = living[:-1] & ~torch.cat([living[1:-1], torch.zeros_like(living[:1])])
    left = torch.where(ends, betas, 0.0) @ weights.abs() + eps * scale
    left = left + torch.stack(skews).sqrt() @ weights.abs()
    error = torch.where(left > 0, left / value.abs(), 0.0)
    nothing = torch.full_like(value, torch.nan)
    return torch.where(sound, value, nothing), weights, torch.where(sound, error, nothing)
