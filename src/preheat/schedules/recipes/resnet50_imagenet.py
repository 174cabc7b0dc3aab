"""The schedule of a guide to ResNet-50 on ImageNet, to the digit, in both readings of its formula."""

from __future__ import annotations

from typing import Any

from preheat.core.errors import UserError, unknown
from preheat.core.lengths import epochs as ep
from preheat.core.levels import rate
from preheat.schedules.pieces import Piece, Pieces
from preheat.schedules.recipes.recipe import EPOCHS, Recipe
from preheat.schedules.rule import Rule
from preheat.schedules.shapes.restarts import restarts

READINGS = ("from 0", "from 1")


def resnet50_imagenet(
    *,
    epochs: int = 100,
    warmup: int = 5,
    per_epoch: int = 5005,
    reading: str = "from 0",
    period: int | None = 100,
) -> Recipe:
    """The guide to ResNet-50 on ImageNet: 1e-4 to 0.1 in 5 epochs, then a cosine to 1e-5 with warm restarts.

    Its formula is lr = 1e-4 + (0.1 - 1e-4) * current_epoch / W. reading "from 0" counts the epochs 0, 1, ...,
    so that the first one trains at 1e-4 and epoch W at 0.1; "from 1" counts 1, 2, ..., so that the last epoch
    of the warmup trains at 0.1 already. period: the guide's T_0 = 100 epochs leaves the rate at 6.3e-4 when
    95 are over; None writes what the guide means, E - W, whose curve ends at 1e-5 with the run.

    >>> resnet50_imagenet(per_epoch=1).rates()[[0, 1, 5, 99]].round(6)
    array([0.0001  , 0.02008 , 0.1     , 0.000896])
    """
    if reading not in READINGS:
        raise unknown("reading", reading, READINGS)
    if not 0 < warmup < epochs:
        got = f"got {warmup}: write warmup=5"
        raise UserError(f"the warmup is at least 1 epoch and shorter than the run of {epochs}, {got}")
    low, high = 1e-4, 0.1
    cycle = ep(epochs - warmup if period is None else period)
    wave: dict[str, Any] = {"period": cycle, "final": rate(1e-5), **EPOCHS}
    if reading == "from 0":
        schedule: Rule = restarts(warmup=ep(warmup), warmup_start=rate(low), **wave)
    else:
        first = Piece(ep(warmup - 1), rate(low + (high - low) / warmup), 1.0)
        schedule = Pieces((first, Piece(None, 1.0, 1.0)), **EPOCHS).then(restarts(**wave), at=ep(warmup))
    return Recipe(schedule, high, epochs * per_epoch, per_epoch)
