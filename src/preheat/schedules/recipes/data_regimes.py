"""The schedule of Agrawal 2025, *Learning Rate Warmup Across Data Regimes*, to the digit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from preheat.core.errors import unknown
from preheat.core.lengths import epochs as ep
from preheat.core.levels import rate
from preheat.schedules.recipes.recipe import EPOCHS, Recipe
from preheat.schedules.rule import Rule
from preheat.schedules.shapes.constant import constant
from preheat.schedules.shapes.cosine import cosine
from preheat.schedules.shapes.step import step


def data_regimes(
    *,
    epochs: int = 100,
    warmup: int = 5,
    per_epoch: int,
    peak: float = 0.1,
    decay: str = "cosine",
    final: float = 0.0,
) -> Recipe:
    """The schedule of the study of warmup across data regimes: linear warmup, then cosine, step or none.

    Epoch e = 0, 1, ...; W `warmup` epochs of E: peak e / W, then with u = (e - W)/(E - W) the cosine
    from peak to `final`; "step": a tenth from u = 1/2, a hundredth from u = 3/4; "none": the peak. With W >=
    1 the whole first epoch trains at rate 0.

    >>> data_regimes(per_epoch=1).rates()[[0, 1, 5, 52]].round(6).tolist()
    [0.0, 0.02, 0.1, 0.050827]
    """
    first: dict[str, Any] = {"warmup": ep(warmup), **EPOCHS}
    half, late = (ep(warmup + part * (epochs - warmup)) for part in (0.5, 0.75))
    made: Mapping[str, Callable[[], Rule]] = {
        "cosine": lambda: cosine(final=rate(final), **first),
        "step": lambda: step(milestones=(half, late), gamma=0.1, **first),
        "none": lambda: constant(**first),
    }
    if decay not in made:
        raise unknown("decay", decay, made)
    return Recipe(made[decay](), peak, epochs * per_epoch, per_epoch)
