"""The codes H, EH, WH and WEH of the HyperbolicLR experiments."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from preheat.core.lengths import epochs
from preheat.core.registry import SCHEDULES
from preheat.core.space import Range, Values
from preheat.schedules.horizon import Horizon
from preheat.schedules.recipes.recipe import EPOCHS
from preheat.schedules.rule import Rule
from preheat.schedules.shapes.exp_hyperbolic import exp_hyperbolic
from preheat.schedules.shapes.hyperbolic import hyperbolic
from preheat.schedules.shapes.hyperboliclr.code import INFIMUM, Code


@dataclass(frozen=True, kw_only=True)
class HyperbolicCode(Code):
    """H, EH, WH and WEH: an infimum, a rate, and an upper bound U in epochs. An abstract base."""

    infimum: float = 1e-6
    upper: float = 250.0
    shape: ClassVar[type[hyperbolic] | type[exp_hyperbolic]]
    warms: ClassVar[bool] = False

    def built(self, run: Horizon) -> Rule:
        low = self.lowest(self.infimum, run)
        given: dict[str, Any] = {"upper": epochs(self.upper), "infimum": low, **EPOCHS}
        if self.warms:
            given |= {"warmup": epochs(self.warmup(run)), "warmup_start": low}
        return self.shape(**given)

    @classmethod
    def space(cls, epochs: int, per_epoch: int) -> Values:
        """The experiments': U of 200 to 400 epochs. A run that is longer begins at its own length."""
        low = max(200, 50 * math.ceil(epochs / 50))
        return {**INFIMUM, "upper": Range(low, low + 200, step=50, start=max(250, low))}


@SCHEDULES.register("H")
@dataclass(frozen=True, kw_only=True)
class H(HyperbolicCode):
    """Code H of the HyperbolicLR experiments: `hyperbolic`, HyperbolicLR after every epoch.

    s = 1 - (1 - f)(h(0) - h(e)) in epoch e, f = infimum / peak, h as in `hyperbolic`; `upper` is in epochs.

    >>> (1e-2 * H().resolve(6200, 124, peak=1e-2)([0, 124, 49 * 124])).round(8)
    array([0.01      , 0.0099331 , 0.00480152])

    Kim 2024, arXiv 2407.15200.
    """

    shape = hyperbolic


@SCHEDULES.register("EH")
@dataclass(frozen=True, kw_only=True)
class EH(HyperbolicCode):
    """Code EH of the HyperbolicLR experiments: `exp_hyperbolic`, ExpHyperbolicLR after every epoch.

    s = f^(h(0) - h(e)) in epoch e, f = infimum / peak, h as in `exp_hyperbolic`; `upper` is in epochs.

    >>> (1e-2 * EH().resolve(6200, 124, peak=1e-2)([0, 124, 49 * 124])).round(8)
    array([1.00000e-02, 9.40237e-03, 8.32500e-05])

    Kim 2024, arXiv 2407.15200.
    """

    shape = exp_hyperbolic


@SCHEDULES.register("WH")
@dataclass(frozen=True, kw_only=True)
class WH(HyperbolicCode):
    """Code WH of the HyperbolicLR experiments: H after a straight warmup of W epochs from the infimum.

    s = f + (1 - f) e / W before epoch W = max(1, E // 10), f = infimum / peak; then H.

    >>> WH().resolve(20, 1, peak=1e-2)([0, 1, 2]).round(6)
    array([1.0000e-04, 5.0005e-01, 1.0000e+00])

    Kim 2024, arXiv 2407.15200.
    """

    shape = hyperbolic
    warms = True


@SCHEDULES.register("WEH")
@dataclass(frozen=True, kw_only=True)
class WEH(HyperbolicCode):
    """Code WEH of the HyperbolicLR experiments: EH after a straight warmup of W epochs from the infimum.

    s = f + (1 - f) e / W before epoch W = max(1, E // 10), f = infimum / peak; then EH.

    >>> WEH().resolve(20, 1, peak=1e-2)([0, 1, 2]).round(6)
    array([1.0000e-04, 5.0005e-01, 1.0000e+00])

    Kim 2024, arXiv 2407.15200.
    """

    shape = exp_hyperbolic
    warms = True
