"""The codes N P C E L S of the HyperbolicLR experiments."""

from __future__ import annotations

import math
from dataclasses import dataclass

from preheat.core.lengths import epochs
from preheat.core.registry import SCHEDULES
from preheat.core.space import Range, Values
from preheat.schedules.horizon import Horizon
from preheat.schedules.recipes.recipe import EPOCHS
from preheat.schedules.rule import Rule
from preheat.schedules.shapes.constant import constant
from preheat.schedules.shapes.cosine import cosine
from preheat.schedules.shapes.exponential import exponential
from preheat.schedules.shapes.hyperboliclr.code import INFIMUM, Code
from preheat.schedules.shapes.linear import linear
from preheat.schedules.shapes.polynomial import polynomial
from preheat.schedules.shapes.step import step


@SCHEDULES.register("N")
@dataclass(frozen=True, kw_only=True)
class N(Code):
    """Code N of the HyperbolicLR experiments: no schedule, `constant`.

    s = 1.

    >>> N().resolve(4, 2).table()
    array([1., 1., 1., 1.])

    Kim 2024, arXiv 2407.15200.
    """

    def built(self, run: Horizon) -> Rule:
        return constant(**EPOCHS)


@SCHEDULES.register("P")
@dataclass(frozen=True, kw_only=True)
class P(Code):
    """Code P of the HyperbolicLR experiments: `polynomial`, torch's PolynomialLR after every epoch.

    s = (1 - e / E)^power in epoch e of E.

    >>> P().resolve(4, 1).table().round(6)
    array([1.      , 0.866025, 0.707107, 0.5     ])

    Kim 2024, arXiv 2407.15200.
    """

    power: float = 0.5

    def built(self, run: Horizon) -> Rule:
        return polynomial(power=self.power, **EPOCHS)

    @classmethod
    def space(cls, epochs: int, per_epoch: int) -> Values:
        return {"power": Range(0.5, 3.0, start=0.5)}


@SCHEDULES.register("C")
@dataclass(frozen=True, kw_only=True)
class C(Code):
    """Code C of the HyperbolicLR experiments: `cosine`, torch's CosineAnnealingLR after every epoch.

    s = f + (1 - f)(1 + cos(pi e / E)) / 2 in epoch e of E, f = infimum / peak.

    >>> C().resolve(4, 1, peak=1e-2).table().round(6)
    array([1.      , 0.853568, 0.50005 , 0.146532])

    Kim 2024, arXiv 2407.15200.
    """

    infimum: float = 1e-6

    def built(self, run: Horizon) -> Rule:
        return cosine(final=self.lowest(self.infimum, run), **EPOCHS)

    @classmethod
    def space(cls, epochs: int, per_epoch: int) -> Values:
        return {**INFIMUM}


@SCHEDULES.register("E")
@dataclass(frozen=True, kw_only=True)
class E(Code):
    """Code E of the HyperbolicLR experiments: `exponential`, torch's ExponentialLR after every epoch.

    s = gamma^e in epoch e, however long the run is.

    >>> E().resolve(4, 1).table()
    array([1.      , 0.96    , 0.9216  , 0.884736])

    Kim 2024, arXiv 2407.15200.
    """

    gamma: float = 0.96

    def built(self, run: Horizon) -> Rule:
        return exponential(final=self.gamma ** self.in_epochs(run), **EPOCHS)

    @classmethod
    def space(cls, epochs: int, per_epoch: int) -> Values:
        return {"gamma": Range(0.9, 0.99, start=0.96)}


@SCHEDULES.register("L")
@dataclass(frozen=True, kw_only=True)
class L(Code):
    """Code L of the HyperbolicLR experiments: `linear`, torch's LinearLR after every epoch.

    s = 1 - (1 - end) e / E in epoch e of E; end = max(infimum / peak, 1e-6) where it is not given.

    >>> L(end=0.1).resolve(4, 1).table()
    array([1.   , 0.775, 0.55 , 0.325])

    Kim 2024, arXiv 2407.15200.
    """

    end: float | None = None
    infimum: float = 1e-6

    def built(self, run: Horizon) -> Rule:
        if self.end is not None:
            return linear(final=self.end, **EPOCHS)
        return linear(final=max(run.factor(self.lowest(self.infimum, run)), 1e-6), **EPOCHS)

    @classmethod
    def space(cls, epochs: int, per_epoch: int) -> Values:
        return {"end": Range(0.001, 0.1, log=True, start=0.001)}


@SCHEDULES.register("S")
@dataclass(frozen=True, kw_only=True)
class S(Code):
    """Code S of the HyperbolicLR experiments: `step`, torch's StepLR after every epoch.

    s = gamma^(e // period) in epoch e. period: in epochs, max(1, D // 3) where it is not given. D: the epochs
    that it is tuned at, `tuned_at`, E where that is not given; the experiments keep the period of 50 epochs.

    >>> S().resolve(6, 1).table()
    array([1.  , 1.  , 0.1 , 0.1 , 0.01, 0.01])

    Kim 2024, arXiv 2407.15200.
    """

    gamma: float = 0.1
    period: float | None = None
    tuned_at: int | None = None

    def built(self, run: Horizon) -> Rule:
        whole = self.in_epochs(run)
        period = self.period or max(1, math.floor((self.tuned_at or whole) / 3))
        if period >= whole:
            return constant(**EPOCHS)  # no drop falls into the run
        return step(period=epochs(period), gamma=self.gamma, **EPOCHS)

    @classmethod
    def space(cls, epochs: int, per_epoch: int) -> Values:
        most = max(2, epochs // 2)
        period = Range(max(1, epochs // 10), most, step=1, start=min(max(1, epochs // 3), most))
        return {"gamma": Range(0.05, 0.5, start=0.1), "period": period}
