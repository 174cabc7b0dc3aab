"""What convex theory says of a schedule: a bound on the last iterate, and the best peak rate.

For x_{t+1} = x_t - gamma eta_t g_t on a convex f, with E|g_t|^2 <= G_t^2 and D = |x_1 - x*|, and rates eta_1
... eta_T:

    E f(x_T) - f*  <=  t1 / gamma + gamma (t2 + t3)

    t1 = D^2 / (2 S)             S   = eta_1 + ... + eta_T
    t2 = c_1 / (2 S)             c_k = sum over t >= k of (eta_t G_t)^2
    t3 = 1/2 sum over k < T of (eta_k / b_{k+1}) (c_k / b_k)        b_k = eta_k + ... + eta_T

It is least at gamma = sqrt(t1 / (t2 + t3)), with the value 2 sqrt(t1 (t2 + t3)). Rates of 0 at the end are
cut off, since the last rate is divided by: the bound is then that of the iterate which met the last positive
rate.

The bound is of the form D G / sqrt(T): 2 for a linear decay to 0 as T grows, sqrt(1 + log T) or so for a
constant rate. It is not tight (the linear decay's worst case is 1), and it is for one gradient norm along the
run unless G_t is given: read it as a comparison of schedules. It knows nothing of what a warmup is for, and
so counts a warmup as lost budget. Theorem 10 of Defazio et al. 2023, arXiv 2310.07831; used to explain
cooldowns in Schaipp et al. 2025, arXiv 2501.18965.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Unpack

import numpy as np

from preheat.core.errors import UserError
from preheat.core.lengths import is_number
from preheat.schedules.curves import Array
from preheat.schedules.measures.curve import Known
from preheat.schedules.rule import Rule

_FULL, _POINTS = 1000, 400  # a curve has every step up to _FULL steps, else about _POINTS of them


@dataclass(frozen=True)
class Bound:
    """The bound at the best peak rate, that rate, and the terms (t1, t2, t3) of the module's formula."""

    value: float
    best_peak: float
    terms: tuple[float, float, float]

    def at(self, peak: float) -> float:
        """The bound at another peak rate: t1 / peak + peak (t2 + t3)."""
        start, noise, last = self.terms
        return start / peak + peak * (noise + last)

    def json(self) -> dict[str, Any]:
        """The fields."""
        return {**asdict(self), "terms": list(self.terms)}


class BoundCurve(NamedTuple):
    """The bound of the iterate x_t at the steps t (from 1 on), all at one peak rate: steps, values [n]."""

    steps: Array
    values: Array
    peak: float


def convex_bound(
    schedule: Rule,
    total: int,
    *,
    distance: float = 1.0,
    gradient: float | Sequence[float] | Array = 1.0,
    **known: Unpack[Known],
) -> Bound:
    """`table_bound` of the schedule's updates on a run of `total` steps.

    >>> from preheat.schedules import constant, linear, wsd
    >>> for one in (linear(), wsd(cooldown="20%"), constant()): print(f"{convex_bound(one, 1000).value:.4f}")
    0.0635
    0.0688
    0.0921
    """
    return table_bound(schedule.resolve(total, **known).table(), distance=distance, gradient=gradient)


def table_bound(
    rates: Sequence[float] | Array, *, distance: float = 1.0, gradient: float | Sequence[float] | Array = 1.0
) -> Bound:
    """The bound of any table of rates [T], in O(T): the least over all multiples of the table.

    distance: D. gradient: G, or its value at every update [T]. A table in absolute rates gives the factor by
    which to multiply them as `best_peak`.

    >>> table_bound([1.0])
    Bound(value=1.0, best_peak=1.0, terms=(0.5, 0.5, 0.0))
    >>> table_bound([1.0, 1.0, 0.0]) == table_bound([1.0, 1.0])
    True
    """
    eta, norms = _table(rates), _norms(gradient)
    _check(distance, norms, eta.size)
    terms = _terms(eta, np.broadcast_to(norms, eta.shape), distance)
    if terms is None:
        raise UserError("the bound needs a rate above 0, got only zeros: give a table that trains")
    start, noise, last = terms
    return Bound(2 * math.sqrt(start * (noise + last)), math.sqrt(start / (noise + last)), terms)


def bound_curve(
    rates: Sequence[float] | Array,
    *,
    peak: float | None = None,
    at: Sequence[int] | None = None,
    distance: float = 1.0,
    gradient: float | Sequence[float] | Array = 1.0,
) -> BoundCurve:
    """The bound of every iterate x_t, from the first t rates: where the schedule lowers the loss, how far.

    peak: the rate of the factor 1 (default: the best one for x_T). at: the steps t, 1 <= t <= T (default: all
    T, or about 400 of them in a long run). O(T) for each step. While all rates are 0 the bound is D G_1, that
    of the start; where a rate is 0 the iterate waits and so does its bound. Just after a sudden drop of the
    rate the bound leaps and comes back: it divides by the few small rates since; that is the formula's doing,
    not training's.

    >>> from preheat.schedules import wsd
    >>> curve = bound_curve(wsd(cooldown="20%").resolve(1000).table(), at=[400, 800, 1000])
    >>> curve.values.round(3)
    array([0.139, 0.105, 0.069])
    """
    eta, norms = _table(rates), _norms(gradient)
    best = table_bound(eta, distance=distance, gradient=norms).best_peak if peak is None else peak
    if not is_number(best) or best <= 0:
        write = "write peak=0.1, or leave it out for the best one"
        raise UserError(f"peak must be a finite rate above 0, got {peak!r}: {write}")
    _check(distance, norms, eta.size)
    few = _FULL if eta.size <= _FULL else _POINTS
    even = np.unique(np.linspace(1, eta.size, min(eta.size, few)).round())
    steps = even if at is None else np.asarray(at, dtype=np.float64)
    if not all(1 <= t <= eta.size and t == int(t) for t in steps.tolist()):
        raise UserError(
            f"steps of the curve are whole numbers from 1 to {eta.size}, got {at!r}: write at=[1, {eta.size}]"
        )
    every = np.broadcast_to(norms, eta.shape)
    values = np.array([_value(eta[:t], every[:t], distance, best) for t in steps.astype(int).tolist()])
    return BoundCurve(steps, values, best)


def _value(eta: Array, norms: Array, distance: float, peak: float) -> float:
    terms = _terms(eta, norms, distance)
    return distance * float(norms[0]) if terms is None else terms[0] / peak + peak * (terms[1] + terms[2])


def _terms(eta: Array, norms: Array, distance: float) -> tuple[float, float, float] | None:
    """(t1, t2, t3) up to the last positive rate, or None. Sums run from the end, so that nothing cancels."""
    positive = np.flatnonzero(eta)
    if not positive.size:
        return None
    used = eta[: positive[-1] + 1]
    b = np.cumsum(used[::-1])[::-1]
    c = np.cumsum(((used * norms[: used.size]) ** 2)[::-1])[::-1]
    last = float(np.sum(used[:-1] / b[1:] * (c[:-1] / b[:-1]))) / 2
    return distance**2 / (2 * float(b[0])), float(c[0] / (2 * b[0])), last


def _table(rates: Sequence[float] | Array) -> Array:
    eta = np.asarray(rates, dtype=np.float64)
    if eta.ndim != 1 or not eta.size or not (np.isfinite(eta) & (eta >= 0)).all():
        got = f"got {rates!r}: write schedule.resolve(T).table()"
        raise UserError(f"rates are a list of finite numbers >= 0, one for each update, {got}")
    return eta


def _norms(gradient: float | Sequence[float] | Array) -> Array:
    return np.asarray(gradient, dtype=np.float64)


def _check(distance: float, norms: Array, total: int) -> None:
    if not is_number(distance) or distance <= 0:
        raise UserError(f"distance must be a finite number above 0, got {distance!r}: write distance=1.0")
    if norms.shape not in ((), (total,)) or not (np.isfinite(norms) & (norms > 0)).all():
        got = f"got shape {norms.shape}: write gradient=1.0"
        raise UserError(f"gradient is a norm above 0, or one for each of the {total} updates, {got}")
