"""RI-Adam for a training loop of your own (Kalra & Barkeshli 2024, arXiv 2406.09405)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from preheat.adapters.gi_adam import StartedAdam, squared
from preheat.optim.ri_adam import normals


class RIAdam(StartedAdam):
    """torch.optim.Adam whose second moment starts at the square of a random vector as long as the gradient.

    v_0 = (z |g_1| / |z|)^2, z standard normal, both norms over all parameters that begin in this step. z is
    keyed by the values of these parameters and their order: the same network starts with the same z, and no
    global generator is touched. The arguments are torch.optim.Adam's; fused=True is refused. A state that is
    loaded goes on from where it was. The registered optimizer `ri_adam` is the same.

    >>> import torch
    >>> from torch import nn
    >>> weight = nn.Parameter(torch.ones(10000))
    >>> optimizer = RIAdam([weight], lr=0.1)
    >>> (3 * weight).sum().backward()
    >>> optimizer.step()
    >>> start = (optimizer.state[weight]["exp_avg_sq"] - 0.001 * 9) / 0.999
    >>> round(start.mean().item(), 3), round(start.std().item())
    (9.0, 13)

    Kalra & Barkeshli 2024, *Why Warmup the Learning Rate?*, arXiv 2406.09405.
    """

    def start(self, seen: Mapping[Tensor, Tensor]) -> Mapping[Tensor, Tensor]:
        """A normal vector, rescaled to the length of the gradient, squared."""
        drawn = [squared(z) for z in normals(list(seen))]
        ratio = sum(_length(squared(g)) for g in seen.values()) / sum(map(_length, drawn))
        return {p: z * ratio for p, z in zip(seen, drawn, strict=True)}


def _length(squares: Tensor) -> float:
    """The sum, of the real and the imaginary part."""
    parts = torch.view_as_real(squares) if squares.is_complex() else squares
    return float(parts.double().sum())
