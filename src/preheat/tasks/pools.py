"""The sets of images as they are published, and the pool, validation and test set that are made of them."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from preheat.tasks.base import Data, Tensors
from preheat.tasks.folders import held_out
from preheat.tasks.sets import named

if TYPE_CHECKING:
    from torch import Tensor

    from preheat.tasks.formats import Split
    from preheat.tasks.sets import Stamp

RANDOM_ROWS = 256  # of the validation and of the test set of source "random"


class Official(NamedTuple):
    """A set as it is published. counts: training images of each class; validation: whether it has a split of
    that name."""

    name: str
    size: int
    counts: tuple[int, ...]
    validation: bool
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def pool(self, selection: str) -> tuple[int, ...]:
        """Images of each class to train on: all, or all but the tenth that is held out."""
        return (
            self.counts
            if self.validation or selection == "test"
            else tuple(n - held_out(n) for n in self.counts)
        )


@lru_cache(maxsize=8)
def class_counts(about: Official, stamps: tuple[Stamp, ...]) -> tuple[int, ...]:
    """[C]: training images of each class in the local files."""
    from preheat.tasks import files

    return tuple(
        np.bincount(files.arrays(about.name, "local").train[1], minlength=len(about.counts)).tolist()
    )


@lru_cache(maxsize=4)
def published(about: Official, source: str, selection: str, stamps: tuple[Stamp, ...]) -> Data:
    """The three sets from the files with these stamps, the pool sorted by class; a validation set that is not
    published is held out of each class."""
    from preheat.tasks import files

    found = files.arrays(about.name, source)
    if named(about.name).tree:
        count = sum(map(held_out, np.bincount(found.train[1]).tolist()))
        return consecutive(found.train, found.test, held=count, selection=selection)
    images, labels = found.train
    rows = [np.flatnonzero(labels == c) for c in range(len(about.counts))]
    validation = found.test if selection == "test" else found.validation
    if validation is None:
        mixed = [np.random.default_rng(c).permutation(r) for c, r in enumerate(rows)]
        held = np.concatenate([r[: held_out(len(r))] for r in mixed])
        validation, rows = (images[held], labels[held]), [np.sort(r[held_out(len(r)) :]) for r in mixed]
    pool = np.concatenate(rows)
    return Data(*(_tensors(*part) for part in ((images[pool], labels[pool]), validation, found.test)))


def consecutive(train: Split, test: Split, *, held: int, selection: str, validation: bool = False) -> Data:
    """The three sets as parts of the arrays, not copied: the last `held` rows of `train` are those held out,
    or, with `validation`, the published validation set."""
    images, labels = train
    count = len(labels) - held
    pool = train if selection == "test" and not validation else (images[:count], labels[:count])
    chosen = test if selection == "test" else (images[count:], labels[count:])
    return Data(_tensors(*pool), _tensors(*chosen), _tensors(*test))


def _tensors(images: np.ndarray, labels: np.ndarray) -> Tensors:
    import torch

    return {"x": torch.from_numpy(images), "y": torch.from_numpy(labels)}


@lru_cache(maxsize=2)
def random_sets(about: Official, counts: tuple[int, ...]) -> Data:
    """Random bytes; the pool's labels are sorted, those of the other sets go round."""
    import torch

    generator = torch.Generator().manual_seed(0)

    def part(labels: Tensor) -> Tensors:
        shape = (len(labels), 3, about.size, about.size)
        return {"x": torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator), "y": labels}

    pool = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    others = [part(torch.arange(RANDOM_ROWS) % len(counts)) for _ in range(2)]
    return Data(part(pool), *others)
