"""Curves: how a piece goes from one factor to another. A table of pure functions and their exact means.

A curve is written for a rise. x in [0, 1] is the part of the piece's time that lies between its low end and
now, `low <= high` are the factors at its ends, and `h(0) = 0`, `h(1) = 1`:

    value(x) = high h(x) + low (1 - h(x))          exponential: high (low / high)^(1 - x)

A fall is the same rise played backwards: `1-sqrt` falls as 1 - sqrt(u), `sqrt` as sqrt(1 - u), `square` as
1 - u^2, `mirror_cosine` as 2 (1 - u) - (1 + cos(pi u)) / 2, with u the part of the piece that is over. So a
fall to 0 is computed from what remains, and its last value is as exact as its first: the usual (1 + cos)/2
loses half of its digits there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from preheat.core.errors import UserError, unknown

Array = NDArray[np.float64]


class Curve(NamedTuple):
    """value(x, low, high, power): factors at x. mean(low, high, power): their exact mean over x in [0, 1]."""

    value: Callable[[Array, float, float, float], Array]
    mean: Callable[[float, float, float], float]


def _mixed(h: Array, *, low: float, high: float) -> Array:
    """high h + low (1 - h), which is exact at both ends and never leaves [low, high]."""
    if low == 0.0:
        return h if high == 1.0 else high * h
    return np.clip(high * h + low * (1.0 - h), low, high)


def _between(h: Callable[[Array, float], Array], mean: Callable[[float], float]) -> Curve:
    """The curve of a shape h(x, power) with the mean `mean(power)`."""
    return Curve(
        lambda x, low, high, power: _mixed(h(x, power), low=low, high=high),
        lambda low, high, power: low + (high - low) * mean(power),
    )


def _logarithmic_mean(low: float, high: float) -> float:
    """(high - low) / ln(high / low): the mean of a geometric rise.

    >>> round(_logarithmic_mean(0.5, 1.0) * math.log(2), 12)
    0.5
    """
    gap = math.log(high / low)
    return high * -math.expm1(-gap) / gap if gap else high


def _cosine(x: Array, power: float) -> Array:
    """sin^(2 power): half a wave, as exact near 0 as near 1."""
    wave: Array = np.sin((math.pi / 2) * x)
    wave *= wave
    return wave if power == 1 else wave**power


def _cosine_mean(power: float) -> float:
    """Gamma(p + 1/2) / (sqrt(pi) Gamma(p + 1)): the mean of sin^(2p). Its asymptotic series where lgamma
    loses digits."""
    if power == 1:
        return 0.5
    if power < 100:
        return math.exp(math.lgamma(power + 0.5) - math.lgamma(power + 1)) / math.sqrt(math.pi)
    q = 1 / power
    return math.sqrt(q / math.pi) * (1 + q * (-1 / 8 + q * (1 / 128 + q * (5 / 1024 - q * 21 / 32768))))


def _mirrored(x: Array, power: float) -> Array:
    """2 x - sin^2(pi x / 2): what the cosine leaves out of a straight line, on its other side."""
    out: Array = 2 * x - _cosine(x, 1.0)
    return out


def _geometric(x: Array, low: float, high: float) -> Array:
    """high (low / high)^(1 - x), as a power of the nearer end's distance: half of the rounding of the farther
    one's."""
    near = x < 0.5
    part: Array = np.where(near, x, 1 - x)
    out: Array = np.where(near, low, high) * np.where(near, high / low, low / high) ** part
    return out


CURVES: dict[str, Curve] = {
    "linear": _between(lambda x, p: x, lambda p: 1 / 2),
    "cosine": _between(_cosine, _cosine_mean),
    "polynomial": _between(lambda x, p: x**p, lambda p: 1 / (p + 1)),
    "sqrt": _between(lambda x, p: np.sqrt(x), lambda p: 2 / 3),
    "1-sqrt": _between(lambda x, p: x / (1 + np.sqrt(1 - x)), lambda p: 1 / 3),
    "square": _between(lambda x, p: x * (2 - x), lambda p: 2 / 3),
    "mirror_cosine": _between(_mirrored, lambda p: 1 / 2),
    "exponential": Curve(
        lambda x, low, high, p: _geometric(x, low, high), lambda low, high, p: _logarithmic_mean(low, high)
    ),
}


def check_curve(
    name: str, low: float, *, power: float | None, called: tuple[str, str] = ("curve", "power")
) -> None:
    """Raise `UserError` unless the curve exists and fits its numbers. `called`: what the user calls curve and
    power."""
    curve, exponent = called
    if not isinstance(name, str) or name not in CURVES:
        raise unknown(curve, name, CURVES)
    if name == "exponential" and low <= 0:
        raise UserError(
            f"an exponential {curve} can't start or end at 0, got {low:g}: write a small ratio such as 0.01"
        )
    if name not in ("polynomial", "cosine") and power is not None:
        raise UserError(
            f"only a polynomial or cosine {curve} has a power, got {exponent}={power!r} with {name!r}: leave "
            f"{exponent} out"
        )
    if (power is None and name == "polynomial") or (power is not None and not 0 < power < math.inf):
        raise UserError(f"a {name} {curve} needs a finite {exponent} > 0, got {power!r}: write {exponent}=2")
