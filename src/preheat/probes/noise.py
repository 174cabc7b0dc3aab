"""Noise of the gradient, from parts of one batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from preheat.core.lengths import Length, steps
from preheat.core.registry import PROBES
from preheat.probes.base import Moment, Probe, Tensors, at_least
from preheat.probes.hessian import rows


@PROBES.register("noise_scale")
@dataclass(frozen=True)
class NoiseScale(Probe):
    """The gradient noise scale and the signal-to-noise ratio, from the gradients of parts of the batch.

    g_c: the gradient of part c of C, b examples each; m: their mean; s2 = sum |g_c - m|^2 / (C - 1).
    gradient_variance = b s2, without bias tr(Sigma), the variance of one example's gradient summed over the
    parameters; gradient_square = |m|^2 - s2 / C, without bias |G|^2 of the true gradient G;
    noise_scale = tr(Sigma) / |G|^2, in examples: the batch size at which noise and signal are equal;
    gradient_snr = |G|^2 / tr(Sigma). The two ratios are of estimates: they scatter, and are negative where
    the batch is too small to see G. Over several measurements divide the mean of one estimate by the mean of
    the other. `chunks` = C, at most one for each example; what the batch has beyond C b examples is left out;
    all are NaN for a batch of one example. Needs no gradient of a single example, so BatchNorm is allowed:
    then each part is normalised by itself, as a batch of b would be. Costs C gradients of b examples.
    Where m processes share a batch, b counts those of one, so variance and scale are 1 / m of the true.

    S. McCandlish et al., arXiv 1812.06162, appendix A; the ratio: A. Kosson et al., arXiv 2410.23922.
    """

    ratios: ClassVar = {
        "noise_scale": ("gradient_variance", "gradient_square"),
        "gradient_snr": ("gradient_square", "gradient_variance"),
    }

    every: Length = steps(100)
    chunks: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(2, self.chunks, "chunks", "noise_scale", why="one gradient has no variance")

    def measure(self, moment: Moment, memory: Tensors) -> tuple[Tensors, Tensors]:
        """noise_scale, gradient_snr, gradient_variance and gradient_square."""
        import torch
        from torch.func import grad

        size = len(next(iter(moment.batch.values())))
        count = min(self.chunks, size)
        b = size // count
        of = grad(moment.function)
        parts = [
            moment.joined(of(moment.params, moment.buffers, rows(moment.batch, i * b, (i + 1) * b)))
            for i in range(count)
        ]
        total, scatter = [], []
        for n in moment.params:
            each = torch.stack([part[n] for part in parts])
            total.append((each.mean(0) ** 2).sum())
            scatter.append(((each - each.mean(0)) ** 2).sum())
        s2 = torch.stack(scatter).sum() / (count - 1 or torch.nan)
        variance, square = b * s2, torch.stack(total).sum() - s2 / count
        return {
            "noise_scale": variance / square,
            "gradient_snr": square / variance,
            "gradient_variance": variance,
            "gradient_square": square,
        }, memory
