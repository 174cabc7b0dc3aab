"""A warmup, then the peak rate."""

from __future__ import annotations

from dataclasses import dataclass

from preheat.core.registry import SCHEDULES
from preheat.schedules.named import Named
from preheat.schedules.pieces import Piece


@SCHEDULES.register("constant", default=True)
@dataclass(frozen=True, kw_only=True)
class constant(Named):
    """The peak rate from the end of the warmup to the end of the run.

    s = 1 after the warmup. It has no options but those of the warmup.

    >>> constant(warmup=2).resolve(4).table()
    array([0.25, 0.75, 1.  , 1.  ])

    Gradual warmup: Goyal et al. 2017, arXiv 1706.02677.
    """

    def body(self) -> tuple[Piece, ...]:
        return (Piece(None, 1.0, 1.0),)
