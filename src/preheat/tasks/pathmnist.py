"""PathMNIST: 107,180 patches of colon tissue, 28 x 28 pixels, nine kinds (J. Yang et al. 2023, MedMNIST v2,
from J. N. Kather et al. 2019).
"""

from __future__ import annotations

from dataclasses import dataclass

from preheat.core.registry import TASKS
from preheat.tasks.images import PublishedImages
from preheat.tasks.pools import Official

COUNTS = (9366, 9509, 10360, 10401, 8006, 12182, 7886, 9401, 12885)


@TASKS.register("pathmnist")
@dataclass(frozen=True)
class PathMnist(PublishedImages):
    """PathMNIST: 89,996 training, 10,004 validation and 7,180 test images of 9 classes.

    Options as in `Images`, without augmentation by default. The test images come from another hospital than
    the rest, so validation accuracy is higher than test accuracy. The classes are not equally frequent; the
    smallest has 7,886.

    >>> PathMnist().examples, PathMnist.most_per_class()
    (89996, 7886)
    """

    crop: int = 0
    flip: bool = False

    @classmethod
    def about(cls) -> Official:
        """The published validation split chooses."""
        return Official("pathmnist", 28, COUNTS, True, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
