"""CIFAR-10 and CIFAR-100: 60,000 colour images of 32 x 32 pixels (A. Krizhevsky, 2009, Learning multiple
layers of features from tiny images).
"""

from __future__ import annotations

from dataclasses import dataclass

from preheat.core.registry import TASKS
from preheat.tasks.images import PublishedImages
from preheat.tasks.pools import Official


@TASKS.register("cifar10")
@dataclass(frozen=True)
class Cifar10(PublishedImages):
    """CIFAR-10: 50,000 training and 10,000 test images of 10 classes.

    Options as in `Images`. By default 4,500 images a class are there to train on: 500 of each class are held
    out for validation, the same for every seed.

    >>> Cifar10(examples_per_class=500).examples, Cifar10.most_per_class("test")
    (5000, 5000)
    """

    @classmethod
    def about(cls) -> Official:
        return Official(
            "cifar10", 32, (5000,) * 10, False, (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
        )


@TASKS.register("cifar100")
@dataclass(frozen=True)
class Cifar100(PublishedImages):
    """CIFAR-100: 50,000 training and 10,000 test images of 100 classes.

    Options as in `Images`. A class has 500 training images, 50 of them held out for validation by default.

    >>> Cifar100(total_examples=5000).examples, Cifar100.most_per_class()
    (5000, 450)
    """

    @classmethod
    def about(cls) -> Official:
        return Official(
            "cifar100", 32, (500,) * 100, False, (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)
        )
