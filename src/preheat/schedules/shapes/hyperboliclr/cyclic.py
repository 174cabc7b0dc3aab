"""The codes OC, CY and WC of the HyperbolicLR experiments."""

from __future__ import annotations

import math
from dataclasses import dataclass

from preheat.core.between import Between
from preheat.core.lengths import epochs, steps
from preheat.core.registry import SCHEDULES
from preheat.core.space import Among, Range, Values
from preheat.schedules.horizon import Horizon
from preheat.schedules.recipes.recipe import EPOCHS
from preheat.schedules.recipes.torch_one_cycle import torch_one_cycle
from preheat.schedules.rule import Rule
from preheat.schedules.shapes.cosine import cosine
from preheat.schedules.shapes.hyperboliclr.code import INFIMUM, Code
from preheat.schedules.shapes.triangular import triangular


@SCHEDULES.register("OC")
@dataclass(frozen=True, kw_only=True)
class OC(Code):
    """Code OC of the HyperbolicLR experiments: `torch_one_cycle`, torch's OneCycleLR after every batch.

    s rises along a cosine from 1/25 to 1 at update pct_start T - 1, and falls to 4e-6 at update T - 1. The
    experiments also cycle Adam's beta1, from 0.95 to 0.85 and back: `OC().also(T)`.

    >>> OC().resolve(10).table().round(3)
    array([0.04 , 0.52 , 1.   , 0.95 , 0.812, 0.611, 0.389, 0.188, 0.05 , 0.   ])

    Kim 2024, arXiv 2407.15200.
    """

    pct_start: float = 0.3
    every = "step"

    def built(self, run: Horizon) -> Rule:
        return torch_one_cycle(run.total, pct_start=self.pct_start)

    def also(self, total: float, per_epoch: float | None = None) -> dict[str, Between]:
        swing = torch_one_cycle(total, pct_start=self.pct_start, start=0.0, final=0.0)
        return {"beta1": Between(swing, at_zero=0.95, at_peak=0.85)}

    @classmethod
    def space(cls, epochs: int, per_epoch: int) -> Values:
        """The experiments'; of fewer than 15 updates what leaves the rise half an update."""
        low = min(max(0.1, 1.5 / (epochs * per_epoch)), 0.4)
        return {"pct_start": Range(low, 0.5, start=max(0.3, low))}


@SCHEDULES.register("CY")
@dataclass(frozen=True, kw_only=True)
class CY(Code):
    """Code CY of the HyperbolicLR experiments: `triangular`, torch's CyclicLR after every batch.

    s goes from infimum / peak to 1 in `rise` updates and back in as many, again and again. rise: max(1, D //
    4) where it is not given, D the updates of `tuned_at` epochs, T where that is not given. The experiments
    also cycle Adam's beta1, from 0.9 to 0.8 and back: `CY().also(T)`.

    >>> CY(rise=2, infimum=1e-3).resolve(5, peak=1e-2).table()
    array([0.1 , 0.55, 1.  , 0.55, 0.1 ])

    Kim 2024, arXiv 2407.15200.
    """

    infimum: float = 1e-6
    rise: int | None = None
    tuned_at: int | None = None
    every = "step"

    def built(self, run: Horizon) -> Rule:
        return triangular(rise=steps(self._rise(run)), base=self.lowest(self.infimum, run), at="left")

    def also(self, total: float, per_epoch: float | None = None) -> dict[str, Between]:
        swing = triangular(rise=steps(self._rise(Horizon(total, per_epoch))), at="left")
        return {"beta1": Between(swing, at_zero=0.9, at_peak=0.8)}

    def _rise(self, run: Horizon) -> int:
        tuned = run.total
        if self.tuned_at and not self.rise:
            tuned *= self.tuned_at / self.in_epochs(run)
        return self.rise or max(1, math.floor(tuned / 4))

    @classmethod
    def space(cls, epochs: int, per_epoch: int) -> Values:
        total = epochs * per_epoch
        high = min(max(per_epoch + 1, total // 2), total)
        if high <= per_epoch:
            return {"rise": Among((per_epoch,))}
        return {"rise": Range(per_epoch, high, step=1, start=max(per_epoch, total // 4))}


@SCHEDULES.register("WC")
@dataclass(frozen=True, kw_only=True)
class WC(Code):
    """Code WC of the HyperbolicLR experiments: C after a straight warmup of W epochs from a hundredth.

    s = 0.01 + 0.99 e / W before epoch W = max(1, E // 10); then C.

    >>> WC().resolve(20, 1, peak=1e-2)([0, 1, 2])
    array([0.01 , 0.505, 1.   ])

    Kim 2024, arXiv 2407.15200.
    """

    infimum: float = 1e-6

    def built(self, run: Horizon) -> Rule:
        warm, low = epochs(self.warmup(run)), self.lowest(self.infimum, run)
        return cosine(warmup=warm, warmup_start=0.01, final=low, **EPOCHS)

    @classmethod
    def space(cls, epochs: int, per_epoch: int) -> Values:
        return {**INFIMUM}
