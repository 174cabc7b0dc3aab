"""Crop, flip, normalise, standardise: on a batch of images, by numbers drawn beforehand, alone or under
`torch.func.vmap`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from torch import Generator, Tensor

Tensors = dict[str, "Tensor"]


class Scale(Protocol):
    """The mean and the standard deviation of each channel of a set, of pixels in 0..1."""

    @property
    def mean(self) -> tuple[float, ...]:
        """One a channel."""
        ...

    @property
    def std(self) -> tuple[float, ...]:
        """One a channel."""
        ...


def draws(generator: Generator, batch: int, *, crop: int, flip: bool, mixup: float) -> Tensors:
    """The numbers of one update: "shift" [B, 2] in 0..2 crop, "mirror" [B] 0 or 1, "mix" [B] and "partner"
    [B].

    mix: one weight ~ Beta(mixup, mixup) for the batch, written to every row; partner: a permutation, as sort
    keys, so that any slice of the batch still has one. Nothing is drawn for what is switched off.
    """
    import torch

    out: Tensors = {}
    if crop:
        out["shift"] = torch.randint(0, 2 * crop + 1, (batch, 2), generator=generator)
    if flip:
        out["mirror"] = torch.randint(0, 2, (batch,), generator=generator)
    if mixup:
        seed = int(torch.randint(0, 2**62, (), generator=generator))
        share = np.random.default_rng(seed).beta(mixup, mixup)
        out["mix"] = torch.full((batch,), share, dtype=torch.float64)
        out["partner"] = torch.randperm(batch, generator=generator)
    return out


def cropped_and_flipped(batch: Tensors, crop: int) -> Tensor:
    """batch["x"] [B, C, S, S], padded with `crop` zeros, cut at "shift" and mirrored where "mirror" is 1: one
    gather.

    Row i, column j of an image is row i + shift[0], column j + shift[1] of the padded image, or column
    S - 1 - j + shift[1] of a mirrored one. What the batch does not hold is not done.
    """
    import torch
    from torch.nn.functional import pad

    x = batch["x"]
    if "shift" not in batch and "mirror" not in batch:
        return x
    size, at = x.shape[-1], torch.arange(x.shape[-1], device=x.device)
    rows = columns = at.expand(len(x), size)
    if "mirror" in batch:
        columns = torch.where(batch["mirror"][:, None] > 0.5, size - 1 - at, at)
    if "shift" in batch:
        x, shift = pad(x, (crop,) * 4), batch["shift"].long()
        rows, columns = rows + shift[:, :1], columns + shift[:, 1:]
    index = (rows[:, :, None] * x.shape[-1] + columns[:, None, :]).flatten(1)[:, None, :]
    return x.flatten(2).gather(2, index.expand(-1, x.shape[1], -1)).reshape(batch["x"].shape)


def normalised(x: Tensor, scale: Scale, params: Tensors) -> Tensor:
    """(x / 255 - mean) / std in the parameters' float type; x: [B, C, S, S] bytes."""
    import torch

    pixels = x.to(next(iter(params.values())).dtype) / 255

    def channels(
        numbers: tuple[float, ...],
    ) -> Tensor:  # filled on the device: a copy from the host would stop a GPU
        return torch.stack([pixels.new_full((), n) for n in numbers])[:, None, None]

    return (pixels - channels(scale.mean)) / channels(scale.std)


def standardised(x: Tensor) -> Tensor:
    """(x - m) / s with the mean m and the deviation s of all pixels and channels of each image; x: [B, C, S,
    S], of a float type.

    s counts as at least 1 / sqrt(number of values), that of bytes of which one is off by 1: an image of one
    colour becomes 0.
    """
    every = (-3, -2, -1)
    spread = x.var(every, unbiased=False, keepdim=True).sqrt()
    return (x - x.mean(every, keepdim=True)) / spread.clamp_min(x[0].numel() ** -0.5)
