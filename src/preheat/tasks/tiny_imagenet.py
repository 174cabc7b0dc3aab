"""Tiny-ImageNet-200: 110,000 labelled colour images of 64 x 64 pixels, 200 classes of ImageNet (F.-F. Li, A.
Karpathy, J. Johnson 2015, Stanford CS231n).
"""

from __future__ import annotations

from dataclasses import dataclass

from preheat.core.registry import TASKS
from preheat.tasks.images import PublishedImages
from preheat.tasks.pools import Official


@TASKS.register("tiny_imagenet")
@dataclass(frozen=True)
class TinyImageNet(PublishedImages):
    """Tiny-ImageNet-200: 100,000 training and 10,000 test images of 200 classes.

    Options as in `Images`. The published validation set is the test set, since the published test set has no
    labels. A class has 500 training images, 50 of them held out for validation by default.

    >>> TinyImageNet(examples_per_class=10).examples, TinyImageNet.most_per_class()
    (2000, 450)
    """

    @classmethod
    def about(cls) -> Official:
        """Means and deviations of the training images, as they are in use."""
        return Official(
            "tiny_imagenet", 64, (500,) * 200, False, (0.4802, 0.4481, 0.3975), (0.2770, 0.2691, 0.2821)
        )
