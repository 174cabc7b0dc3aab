"""Batches: an iterator from any update on, so that the loop does not know where they come from.

Here all data lie on the device, and a batch is a gather by index. The order and the noise of a run depend on
its seed and the epoch or the update alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from preheat.engine.keys import generator
from preheat.engine.prepare import Fleet, cast, sent
from preheat.engine.step import Tensors

Batches = Callable[[int], Iterator[Tensors]]  # from update k on, without an end


def resident(fleet: Fleet) -> Batches:
    """The batches of a fleet whose data lie on the device; the last batch of an epoch is what is left."""
    size = fleet.runs[0].batch_size

    def batches(k: int) -> Iterator[Tensors]:
        epoch, done = divmod(k, fleet.per_epoch)
        while True:
            rows = order(fleet, epoch)
            for i in range(done, fleet.per_epoch):
                part = rows[..., i * size : (i + 1) * size]
                flat = part.reshape(-1)
                batch = {
                    n: t.index_select(0, flat).view(*part.shape, *t.shape[1:]) for n, t in fleet.train.items()
                }
                yield {**batch, **noise(fleet, epoch * fleet.per_epoch + i, part.shape[-1])}
            epoch, done = epoch + 1, 0

    return batches


def order(fleet: Fleet, epoch: int) -> Tensor:
    """[R, N]: the training rows in the order of this epoch, a permutation drawn by each run's seed."""
    shuffled = {s: permutation(fleet.subset.shape[-1], s, epoch) for s in {r.seed for r in fleet.runs}}
    if fleet.subset.dim() == 1:
        return fleet.subset[sent(shuffled[fleet.runs[0].seed], fleet.subset.device)]
    rows = torch.stack([shuffled[r.seed] for r in fleet.runs])
    return fleet.subset.gather(1, sent(rows, fleet.subset.device))


def permutation(count: int, seed: int, epoch: int) -> Tensor:
    """[count]: the order of the training rows in an epoch, drawn by the run's seed."""
    return torch.randperm(count, generator=generator(seed, "order", index=epoch))


def noise(fleet: Fleet, step: int, batch: int) -> Tensors:
    """{name: [R, B, ...]}: what the task draws for this update, by each run's seed; {} if it draws
    nothing."""
    if not fleet.noisy:
        return {}
    return drawn(fleet, "noise", step, lambda seeded: fleet.task.noise(seeded, batch) or {})


def drawn(fleet: Fleet, purpose: str, step: int, draw: Callable[[torch.Generator], Tensors]) -> Tensors:
    """{name: [R, ...]}: what `draw` takes from the generator of (each run's seed, purpose, step), floats in
    the run's dtype."""
    each = {s: draw(generator(s, purpose, index=step)) for s in {r.seed for r in fleet.runs}}
    parts, like = [each[r.seed] for r in fleet.runs], fleet.rates
    joined = parts[0] if like.dim() == 1 else {n: torch.stack([p[n] for p in parts]) for n in parts[0]}
    return {n: sent(cast(t, like.dtype), like.device) for n, t in joined.items()}
