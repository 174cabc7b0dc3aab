"""A warmup, then one curve to the end of the run: constant, linear, cosine, polynomial, exponential.

u in [0, 1] is the progress through what follows the warmup (W steps of T): u = (t - W) / (T - W), with t the
position of the update, k + 1/2 by default.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from preheat.core.levels import Level
from preheat.core.registry import SCHEDULES
from preheat.core.spec import LATER
from preheat.schedules.named import Named, floor_ratio
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
        """One piece for all that follows the warmup."""
        return (Piece(None, 1.0, 1.0),)


@SCHEDULES.register("linear")
@dataclass(frozen=True, kw_only=True)
class linear(Named):
    """A straight line from the peak to `final` at the end of the run.

    s = 1 - (1 - final) u: 1 where the warmup ends, `final` at T.

    >>> linear(at="left").resolve(4).table()
    array([1.  , 0.75, 0.5 , 0.25])

    Linear decay to zero as the best default: Defazio et al. 2023, arXiv 2310.07831; Bergsma et al. 2025,
    arXiv 2502.15938.
    """

    final: Level = 0.0

    def body(self) -> tuple[Piece, ...]:
        """One piece for all that follows the warmup."""
        return (Piece(None, 1.0, floor_ratio(self.final)),)


@SCHEDULES.register("cosine")
@dataclass(frozen=True, kw_only=True)
class cosine(Named):
    """Half a cosine wave from the peak to `final` at the end of the run.

    s = final + (1 - final) c^power, c = sin^2(pi (1 - u) / 2), which is (1 + cos(pi u)) / 2 without its loss
    of digits near the end. A power above 1 falls sooner and ends flatter.

    >>> cosine(at="left").resolve(4).table().round(6)
    array([1.      , 0.853553, 0.5     , 0.146447])

    Equal to torch's CosineAnnealingLR(T_max=T, eta_min=final * lr) with at="left", and to optax's
    cosine_decay_schedule(1, T, alpha=final, exponent=power).
    Loshchilov and Hutter 2016, arXiv 1608.03983.
    """

    final: Level = 0.0
    power: float = field(default=1.0, metadata=LATER)

    def body(self) -> tuple[Piece, ...]:
        """One piece for all that follows the warmup."""
        return (Piece(None, 1.0, floor_ratio(self.final), "cosine", None if self.power == 1 else self.power),)


@SCHEDULES.register("polynomial")
@dataclass(frozen=True, kw_only=True)
class polynomial(Named):
    """A power of the remaining time, from the peak to `final` at the end of the run.

    s = final + (1 - final)(1 - u)^power. power 1 is linear; above 1 the fall is steep first and flat last.

    >>> polynomial(power=2, at="left").resolve(4).table()
    array([1.    , 0.5625, 0.25  , 0.0625])

    Equal to torch's PolynomialLR(total_iters=T, power) with at="left" and final=0.
    The "poly" policy: Liu et al. 2015, arXiv 1506.04579.
    """

    power: float = 2.0
    final: Level = 0.0

    def body(self) -> tuple[Piece, ...]:
        """One piece for all that follows the warmup."""
        return (Piece(None, 1.0, floor_ratio(self.final), "polynomial", self.power),)


@SCHEDULES.register("exponential")
@dataclass(frozen=True, kw_only=True)
class exponential(Named):
    """The same ratio between every two neighbouring updates, from the peak to `final` (above 0) at the end of
    the run.

    s = final^u, and from one update to the next it falls by the factor final^(1 / (T - W)).

    >>> exponential(final=1/16, at="left").resolve(4).table()
    array([1.   , 0.5  , 0.25 , 0.125])

    Equal to torch's ExponentialLR(gamma) with at="left" and final = gamma^T.
    Li, Zhuang and Orabona 2020, arXiv 2002.05273.
    """

    final: Level = 0.01

    def body(self) -> tuple[Piece, ...]:
        """One piece for all that follows the warmup."""
        return (Piece(None, 1.0, floor_ratio(self.final), "exponential"),)
