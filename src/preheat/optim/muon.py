"""Muon: orthogonalised momentum for matrices, AdamW for the rest (Jordan et al. 2024)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from preheat.core.errors import unknown
from preheat.core.registry import OPTIMIZERS
from preheat.core.spec import LATER
from preheat.optim.adam import adam_update, check_adam
from preheat.optim.base import Decayed, Hyper, Optimizer, OptState, Params, decayed, in_range, zeros

if TYPE_CHECKING:
    from torch import Tensor

_QUINTIC = (3.4445, -4.7750, 2.0315)  # Jordan's coefficients, with 5 iterations
_LEAST = 1e-7  # of the norm that a matrix is divided by

Adjusted = Literal["match_rms_adamw", "original"]


@OPTIMIZERS.register("muon", label="Muon")
@dataclass(frozen=True)
class Muon:
    """Momentum made orthogonal, for parameters of two axes; AdamW at the same rate for all others.

    b <- momentum b + (1 - momentum) g;  p <- (1 - lr weight_decay) p - lr s O, where O is five Newton-Schulz
    steps x <- a x + (b' x x' + c (x x')^2) x from b / |b| (with nesterov from g + momentum (b - g)), which
    bring all its singular values near 1. adjust: match_rms_adamw, s = 0.2 sqrt(max(rows, columns)), with
    which AdamW's rate and decay serve; original, s = sqrt(max(1, rows / columns)). beta1, beta2 and eps are
    AdamW's. An embedding or a last layer that is a matrix gets Muon too; the authors leave them to AdamW.
    Equals torch.optim.Muon, which takes matrices alone and computes O in bfloat16; here it has the
    parameters' precision. K. Jordan et al. 2024, https://kellerjordan.github.io/posts/muon; Liu et al. 2025,
    *Muon is Scalable for LLM Training*, arXiv 2502.16982.
    """

    momentum: float = 0.95
    weight_decay: float = 0.1
    nesterov: bool = True
    adjust: Adjusted = "match_rms_adamw"
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    decay_on: Decayed = field(default="all", metadata=LATER)

    def __post_init__(self) -> None:
        in_range("momentum", self.momentum, 0.0, 1.0)
        if self.adjust not in get_args(Adjusted):
            raise unknown("adjust", self.adjust, get_args(Adjusted))
        check_adam(self)

    def build(self) -> Optimizer:
        """The pure functions. State: the momentum of each matrix; m and v of the others, and t."""
        decay_on, nesterov, adjust = self.decay_on, self.nesterov, self.adjust

        def init(params: Params) -> OptState:
            matrices, others = _parts(params)
            t = next(iter(params.values())).new_zeros(())
            return {"momentum": zeros(matrices), "m": zeros(others), "v": zeros(others), "t": t}

        def update(grads: Params, state: OptState, params: Params, hyper: Hyper) -> tuple[Params, OptState]:
            grads, params = decayed(grads, params, hyper, decay_on=decay_on, decoupled=True)
            (matrices, others), mu = _parts(params), hyper["momentum"]
            moved = {n: b.lerp(grads[n], 1 - mu) for n, b in state["momentum"].items()}
            ahead = {n: grads[n].lerp(b, mu) for n, b in moved.items()} if nesterov else moved
            new, adam = adam_update({n: grads[n] for n in others}, state, others, hyper)
            for n, p in matrices.items():
                step = orthogonal(ahead[n]) * _scale(p, adjust)
                new[n] = p.addcmul(step, -hyper["lr"])
            return {n: new[n] for n in params}, {**adam, "momentum": moved}

        return Optimizer(init, update)


def _parts(params: Params) -> tuple[Params, Params]:
    """(those of two axes, the others)."""
    matrices = {n: p for n, p in params.items() if p.dim() == 2}
    return matrices, {n: p for n, p in params.items() if n not in matrices}


def _scale(p: Tensor, adjust: Adjusted) -> float:
    rows, columns = p.shape
    return (
        0.2 * math.sqrt(max(rows, columns)) if adjust == "match_rms_adamw" else max(1, rows / columns) ** 0.5
    )


def orthogonal(x: Tensor) -> Tensor:
    """A matrix with the singular vectors of x and singular values between about 0.7 and 1.2.

    x: [rows, columns]; singular values of x below about 1/1000 of its norm are brought less near to 1.

    >>> import torch
    >>> found = torch.linalg.svdvals(orthogonal(torch.diag(torch.tensor([3.0, 1.0, 0.2]))))
    >>> bool((found > 0.68).all() and (found < 1.21).all())
    True
    """
    tall, (a, b, c) = x.shape[0] > x.shape[1], _QUINTIC
    x = x.mT if tall else x
    x = x / (x * x).sum().sqrt().clamp(min=_LEAST)
    for _ in range(5):
        gram = x @ x.mT
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x.mT if tall else x
