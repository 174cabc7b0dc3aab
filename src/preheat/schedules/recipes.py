"""The schedules of three projects on warmup, to the digit: what their code does, with every choice an
argument.

The 13 schedules of the HyperbolicLR experiments are in `preheat.schedules.codes`. Each function returns a
`Recipe`: a schedule of this library with its peak rate and its length. All of these projects step their
schedules after an epoch unless said otherwise, so the rate of the first epoch is the schedule's at 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from preheat.core.errors import UserError, unknown
from preheat.core.lengths import epochs as ep
from preheat.core.lengths import steps
from preheat.core.levels import rate
from preheat.schedules.decays import constant, cosine
from preheat.schedules.drops import step
from preheat.schedules.pieces import Piece, Pieces
from preheat.schedules.recipe import Recipe
from preheat.schedules.rule import Rule
from preheat.schedules.warm_restarts import restarts

_EPOCHS = {"at": "left", "every": "epoch"}


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
    first: dict[str, Any] = {"warmup": ep(warmup), **_EPOCHS}
    half, late = (ep(warmup + part * (epochs - warmup)) for part in (0.5, 0.75))
    made: Mapping[str, Callable[[], Rule]] = {
        "cosine": lambda: cosine(final=rate(final), **first),
        "step": lambda: step(milestones=(half, late), gamma=0.1, **first),
        "none": lambda: constant(**first),
    }
    if decay not in made:
        raise unknown("decay", decay, made)
    return Recipe(made[decay](), peak, epochs * per_epoch, per_epoch)


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
    if reading not in ("from 0", "from 1"):
        raise unknown("reading", reading, ("from 0", "from 1"))
    if not 0 < warmup < epochs:
        raise UserError(
            f"the warmup is at least 1 epoch and shorter than the run of {epochs}, got {warmup}: write "
            "warmup=5"
        )
    low, high, floor = 1e-4, 0.1, rate(1e-5)
    wave: dict[str, Any] = {
        "period": ep(epochs - warmup if period is None else period),
        "final": floor,
        **_EPOCHS,
    }
    if reading == "from 0":
        schedule: Rule = restarts(warmup=ep(warmup), warmup_start=rate(low), **wave)
    else:
        first = Piece(ep(warmup - 1), rate(low + (high - low) / warmup), 1.0)
        schedule = Pieces((first, Piece(None, 1.0, 1.0)), **_EPOCHS).then(restarts(**wave), at=ep(warmup))
    return Recipe(schedule, high, epochs * per_epoch, per_epoch)


def delayed_generalization(kind: str = "linear", *, warmup: int, total: int, peak: float = 1e-3) -> Recipe:
    """The three warmups of the study of delayed generalisation; the peak rate after them.

    At step s < W: linear peak s/W; cosine peak (1 - cos(pi s/W))/2; exponential peak 2^(s/W - 1), which
    starts at half of the peak.

    >>> delayed_generalization("exponential", warmup=4, total=6, peak=1.0).rates().round(4)
    array([0.5   , 0.5946, 0.7071, 0.8409, 1.    , 1.    ])
    """
    shapes = {"linear": 0.0, "cosine": 0.0, "exponential": 0.5}
    if kind not in shapes:
        raise unknown("kind", kind, shapes)
    return Recipe(
        constant(warmup=steps(warmup), warmup_curve=kind, warmup_start=shapes[kind], at="left"), peak, total
    )
