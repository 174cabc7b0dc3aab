"""The three warmups of the study of delayed generalisation, to the digit."""

from __future__ import annotations

from preheat.core.errors import unknown
from preheat.core.lengths import steps
from preheat.schedules.recipes.recipe import Recipe
from preheat.schedules.shapes.constant import constant

_STARTS = {"linear": 0.0, "cosine": 0.0, "exponential": 0.5}


def delayed_generalization(kind: str = "linear", *, warmup: int, total: int, peak: float = 1e-3) -> Recipe:
    """The three warmups of the study of delayed generalisation; the peak rate after them.

    At step s < W: linear peak s/W; cosine peak (1 - cos(pi s/W))/2; exponential peak 2^(s/W - 1), which
    starts at half of the peak.

    >>> delayed_generalization("exponential", warmup=4, total=6, peak=1.0).rates().round(4)
    array([0.5   , 0.5946, 0.7071, 0.8409, 1.    , 1.    ])
    """
    if kind not in _STARTS:
        raise unknown("kind", kind, _STARTS)
    made = constant(warmup=steps(warmup), warmup_curve=kind, warmup_start=_STARTS[kind], at="left")
    return Recipe(made, peak, total)
