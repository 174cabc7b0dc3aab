"""scikit-learn's bundled handwritten digits: 1,797 real images of 8 x 8 pixels, 10 classes, no download.

Source: E. Alpaydin, C. Kaynak, UCI Optical Recognition of Handwritten Digits (test part), CC BY 4.0.
"""

from __future__ import annotations

import gzip
import importlib.util
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from preheat.core.errors import UserError, unknown
from preheat.core.registry import MODELS, TASKS
from preheat.core.spec import LATER, as_spec, build
from preheat.tasks.base import Classification, Data, chosen, taking
from preheat.tasks.objectives import OBJECTIVES

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

POOL, VALIDATION = (
    100,
    37,
)  # per class; the smallest class has 174 images, what is left (427 in all) is the test set
STANDARDISE = ("none", "image")
OWN = ("mlp", "cnn")  # this task's own models, words in a run


@TASKS.register("digits", default=True)
@dataclass(frozen=True)
class Digits(Classification):
    """Handwritten digits (1,797 real 8 x 8 images): how well can few examples be learnt?

    examples_per_class: 1 to 100, drawn anew from a pool of 100 a class by each seed. model: "mlp"
    (64-64-64-10, 8,970 parameters) or "cnn" (two 3 x 3 convolutions of 16 and 32 channels with BatchNorm,
    5,178 parameters), both with He normal initialisation and biases 0, or any registered model, by name or
    with options. Pixels are divided by 16. The split is fixed: 1,000 training pool, 370 validation, 427 test
    images, stratified, the same for every seed. objective: "cross_entropy", or "mse", half the mean over
    examples and outputs of (f - onehot(y))^2. standardise: "image" scales each image by its own mean and
    deviation. watch: record the accuracy on the batch of every update as train_accuracy.

    >>> Digits(examples_per_class=5).examples
    50
    """

    examples_per_class: int = POOL
    model: Any = "mlp"
    objective: str = field(default="cross_entropy", metadata=LATER)
    standardise: str = field(default="none", metadata=LATER)
    watch: bool = field(default=False, metadata=LATER)

    def __post_init__(self) -> None:
        if not 1 <= self.examples_per_class <= POOL:
            raise UserError(
                f"examples_per_class of digits must be 1 to {POOL} (the rest is held out), got "
                f"{self.examples_per_class}"
            )
        for name, known in (("objective", OBJECTIVES), ("standardise", STANDARDISE)):
            if getattr(self, name) not in known:
                raise unknown(f"{name} of task 'digits'", getattr(self, name), known)
        one = as_spec(self.model, "model")
        if one.name not in (*OWN, *MODELS.names()):
            raise unknown("model of task 'digits'", one.name, (*OWN, *taking("images")))
        if one.name in OWN and one.options:
            raise UserError(
                f"model {one.name!r} of task 'digits' has no options, got {one}: write model={one.name}"
            )
        object.__setattr__(self, "model", one.name if one.name in OWN else chosen(one, (1, 8, 8)))

    @classmethod
    def most_per_class(cls, selection: str = "validation") -> int:
        """100: the split is fixed, whatever chooses."""
        return POOL

    @property
    def examples(self) -> int:
        return 10 * self.examples_per_class

    @property
    def classes(self) -> int:
        return 10

    def data(self) -> Data:
        """x: [N, 64] for the MLP, [N, 1, 8, 8] else, in 0..1 or standardised; the pool is sorted by class."""
        import torch

        pixels, labels = _images()
        pixels = pixels / 16.0
        if self.standardise == "image":
            pixels = (pixels - pixels.mean(1, keepdims=True)) / pixels.std(1, keepdims=True)
        order = [np.random.default_rng(c).permutation(np.flatnonzero(labels == c)) for c in range(10)]
        cuts = {
            "train": slice(0, POOL),
            "validation": slice(POOL, POOL + VALIDATION),
            "test": slice(POOL + VALIDATION, None),
        }
        shape = (-1, 64) if self.model == "mlp" else (-1, 1, 8, 8)

        def part(name: str) -> dict[str, Tensor]:
            rows = np.concatenate([o[cuts[name]] for o in order])
            return {
                "x": torch.from_numpy(pixels[rows]).reshape(shape),
                "y": torch.from_numpy(labels[rows]),
            }

        return Data(part("train"), part("validation"), part("test"))

    def subset(self, generator: Generator) -> Tensor:
        import torch

        rows = [
            c * POOL + torch.randperm(POOL, generator=generator)[: self.examples_per_class] for c in range(10)
        ]
        return torch.cat(rows)

    def network(self) -> nn.Module:
        """The MLP or the CNN, He-initialised, or the registered model as it initialises itself."""
        from torch import nn

        if self.model not in OWN:
            made: nn.Module = build("model", self.model).network((1, 8, 8), 10)
            return made
        net = _mlp() if self.model == "mlp" else _cnn()
        for layer in net.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        return net


def _mlp() -> nn.Module:
    from torch import nn

    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def _cnn() -> nn.Module:
    from torch import nn

    def block(i: int, o: int) -> list[nn.Module]:
        return [nn.Conv2d(i, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU(), nn.MaxPool2d(2)]

    return nn.Sequential(
        *block(1, 16), *block(16, 32), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10)
    )


@lru_cache(maxsize=1)
def _images() -> tuple[np.ndarray, np.ndarray]:
    """(pixels [1797, 64] float64, labels [1797] int64), read from scikit-learn's file without importing
    scikit-learn."""
    found = importlib.util.find_spec("sklearn")
    if found is None or not found.submodule_search_locations:
        raise UserError("task 'digits' reads its images from scikit-learn's files: pip install scikit-learn")
    path = Path(found.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"
    with gzip.open(path, "rt") as file:
        table = np.loadtxt(file, delimiter=",")
    return table[:, :64], table[:, 64].astype(np.int64)
