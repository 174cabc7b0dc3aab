"""optax's schedules by name and arguments. Checked against optax 0.2.8, whose own numbers are float32."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from preheat.adapters.conversions.arguments import Conversion, convert, library, takes
from preheat.adapters.conversions.checks import asked_total, bounded, positive, whole_number
from preheat.adapters.conversions.joining import join, rising, shortened
from preheat.adapters.conversions.rates import (
    STEPS,
    Leg,
    follow,
    levels,
    multistep,
    power_fall,
    stairs,
    table,
)
from preheat.core.errors import UserError
from preheat.core.lengths import steps
from preheat.schedules.recipes.recipe import Recipe


def from_optax(name: str, *, total: int | None = None, **arguments: Any) -> Recipe:
    """A schedule of optax's by the name of its function and its arguments.

    total: the updates of the run; not needed where the function has an end of its own, which it may cut.
    join_schedules takes schedules=[...] that are converted already, each with at least the updates until the
    next one begins, or ("linear_schedule", {"init_value": 0.0, ...}) for one that is not.

    >>> rise = {"init_value": 0.0, "peak_value": 0.1, "warmup_steps": 10}
    >>> made = from_optax("warmup_cosine_decay_schedule", **rise, decay_steps=100)
    >>> print(made.schedule, made.peak, made.total)
    cosine(warmup=10, at=left) 0.1 100

    Errors: UserError for values that optax takes and does something else with (see
    `docs/schedules-differences.md`).
    """
    return shortened(_made(name, None if total is None else whole_number("total", total), arguments), total)


def _made(name: Any, total: int | None, arguments: Mapping[str, Any]) -> Recipe:
    """The schedule on its own length where that is more than `total`."""
    return convert(library("optax", _KNOWN, {"total": None}), name, {**arguments, "total": total})


def _value(a: Any, name: str, high: float = math.inf) -> float:
    return bounded(name, getattr(a, name), 0.0, high)


def _total(a: Any, own: int) -> int:
    """The run's length: as asked for, and not below the schedule's own."""
    return max(a.total or 0, own)


def _constant(a: Any) -> Recipe:
    return STEPS.of("constant", positive("value", a.value), asked_total(a))


def _polynomial(a: Any) -> Recipe:
    first, last, n = _value(a, "init_value"), _value(a, "end_value"), _steps(a)
    begin = whole_number("transition_begin", a.transition_begin, least=0)
    power = positive("power", getattr(a, "power", 1))
    total = _total(a, begin + n) if last < first else asked_total(a, begin + n)
    if begin == 0 and total == n and first > last:
        return power_fall(first, n, power, final=last / first)
    if begin == 0 and power == 1 and last > first:
        return STEPS.of("constant", last, total, warmup=steps(n), warmup_start=first / last)
    if last > first and power not in _RISES:
        # a fall's mirror image in height, which no curve of preheat's is
        rise = [last - (last - first) * (1 - k / n) ** power for k in range(n)]
        return table([*[first] * begin, *rise, *[last] * (total - begin - n)])
    curve, exponent = _RISES[power] if last > first else ("polynomial", power)
    legs = [Leg(begin, first, first), Leg(n, first, last, curve, exponent), Leg(None, last, last)]
    return follow(total, legs)


def _steps(a: Any) -> int:
    return whole_number("transition_steps", a.transition_steps)


_RISES: dict[float, tuple[str, None]] = {1: ("linear", None), 2: ("square", None), 0.5: ("1-sqrt", None)}


def _exponential(a: Any) -> Recipe:
    first, n, ratio = positive("init_value", a.init_value), _steps(a), positive("decay_rate", a.decay_rate)
    begin = whole_number("transition_begin", a.transition_begin, least=0)
    total = asked_total(a, begin + 1)
    bound = _bound(a, first, ratio)
    if a.staircase:
        return _stairs(first, bound, ratio, n, begin=begin, total=total)
    span = total - begin
    until = span if not bound or ratio == 1 else min(span, n * math.log(bound / first) / math.log(ratio))
    last = first * math.exp(math.log(ratio) * until / n)
    if begin == 0 and until == span and ratio < 1:
        return STEPS.of("exponential", first, total, final=last / first)
    lines = [Leg(begin, first, first), Leg(until if until < span else None, first, last, "exponential")]
    return follow(total, [*lines, Leg(None, bound, bound)] if until < span else lines)


def _bound(a: Any, first: float, ratio: float) -> float:
    """end_value, where the decay stops; 0 for none."""
    if a.end_value is None:
        return 0.0
    end = bounded("end_value", a.end_value, 0.0, math.inf)
    if (end > first and ratio < 1) or (end < first and ratio >= 1):
        got = f"got {first:g} and end_value={end:g}"
        raise UserError(f"the decay must start on its own side of end_value, {got}: write another")
    return end


def _stairs(first: float, bound: float, ratio: float, n: int, *, begin: int, total: int) -> Recipe:
    if begin == 0 and not bound and ratio < 1:
        return stairs(first, total, n, gamma=ratio)
    clip = max if ratio < 1 else min
    drops = [(begin + i * n, first * ratio**i) for i in range(1, (total - begin) // n + 1)]
    return levels(total, [(0, first), *((k, clip(r, bound) if bound else r) for k, r in drops)])


def _cosine(a: Any) -> Recipe:
    first, n = positive("init_value", a.init_value), whole_number("decay_steps", a.decay_steps)
    alpha, power = _value(a, "alpha", 1.0), positive("exponent", a.exponent)
    total, low = _total(a, n), first * alpha
    if total == n:
        return STEPS.of("cosine", first, n, final=alpha, power=power)
    return follow(total, [Leg(n, first, low, "cosine", None if power == 1 else power), Leg(None, low, low)])


def _scales(a: Any) -> list[tuple[int, float]]:
    """The boundaries from 0 on and the values there, scales multiplied up."""
    value = _value(a, "init_value")
    out = [(0, value)]
    for place, scale in sorted((a.boundaries_and_scales or {}).items()):
        value *= bounded("each scale", scale, 0.0, math.inf)
        out.append((whole_number("each boundary", place, least=0), value))
    return out


def _piecewise_constant(a: Any) -> Recipe:
    values, total = _scales(a), asked_total(a)
    places, scales = [place for place, _ in values[1:]], set((a.boundaries_and_scales or {}).values())
    first = next((place for place in places if place < total), 0)
    if first > 0 and len(scales) == 1 and 0 < (gamma := scales.pop()) < 1:
        return multistep(values[0][1], total, places, gamma=gamma)
    return levels(total, dict(values).items())


def _interpolated(kind: str, values: list[tuple[int, float]], total: int) -> Recipe:
    if kind not in ("linear", "cosine"):
        write = "write interpolate_type='linear'"
        raise UserError(f"interpolate_type must be linear or cosine, got {kind!r}: {write}")
    legs = [Leg(b - a, x, y, kind) for (a, x), (b, y) in pairwise(values)]
    return follow(total, [*legs, Leg(None, values[-1][1], values[-1][1])])


def _piecewise_interpolate(a: Any) -> Recipe:
    values = _scales(a)
    return _interpolated(a.interpolate_type, values, _total(a, max(values[-1][0], 1)))


def _one_cycle(a: Any) -> Recipe:
    n, peak = _steps(a), positive("peak_value", a.peak_value)
    straight = hasattr(a, "pct_final")
    low = peak / positive("div_factor", a.div_factor)
    last = low / positive("final_div_factor", a.final_div_factor)
    places = [0, int(a.pct_start * n), *([int(a.pct_final * n)] if straight else []), n]
    if any(q <= p for p, q in pairwise(places)):
        got = f"got phases that end at {places[1:]}: write another pct_start"
        raise UserError(f"every phase of the cycle must take a step, {got}")
    if not straight and _total(a, n) == n and low <= peak:
        shape = {"warmup_start": low / peak, "final": last / peak}
        return STEPS.of("one_cycle", peak, n, warmup=steps(places[1]), **shape)
    rates = [low, peak, *([low] if straight else []), last]
    kind = "linear" if straight else "cosine"
    return _interpolated(kind, list(zip(places, rates, strict=True)), _total(a, n))


def _rise(a: Any) -> tuple[float, float, int]:
    """The warmup's two ends and its length."""
    peak, warmup = positive("peak_value", a.peak_value), whole_number("warmup_steps", a.warmup_steps, least=0)
    return _value(a, "init_value"), peak, warmup


def _warm(first: float, peak: float, warmup: int, rest: Recipe) -> Recipe:
    """The rise in front of the rest."""
    if warmup == 0:
        return rest
    if first > peak:
        rise = follow(warmup, [Leg(None, first, peak)])
    else:
        rise = STEPS.of("constant", peak, warmup, warmup=steps(warmup), warmup_start=first / peak)
    return join([rise, rest], [warmup])


def _warmup_constant(a: Any) -> Recipe:
    first, peak, warmup = _rise(a)
    total = asked_total(a, warmup + 1)
    return _warm(first, peak, warmup, STEPS.of("constant", peak, total - warmup))


def _warmup_cosine(a: Any) -> Recipe:
    first, peak, warmup = _rise(a)
    n = whole_number("decay_steps", a.decay_steps)
    if n <= warmup:
        got = f"got decay_steps={n} and warmup_steps={warmup}: write more decay_steps"
        raise UserError(f"decay_steps counts the warmup too, {got}")
    rest = {"init_value": peak, "decay_steps": n - warmup, "exponent": a.exponent}
    rest["alpha"] = _value(a, "end_value", peak) / peak
    return _warm(first, peak, warmup, _made("cosine_decay_schedule", _rest(a, warmup), rest))


def _rest(a: Any, warmup: int) -> int | None:
    return None if a.total is None else max(a.total - warmup, 1)


def _warmup_exponential(a: Any) -> Recipe:
    first, peak, warmup = _rise(a)
    names = ("transition_steps", "decay_rate", "transition_begin", "staircase", "end_value")
    rest = {"init_value": peak, **{name: getattr(a, name) for name in names}}
    return _warm(first, peak, warmup, _made("exponential_decay", _rest(a, warmup), rest))


def _joined(a: Any) -> Recipe:
    places, parts = [whole_number("each boundary", b) for b in a.boundaries], a.schedules
    if len(places) != len(parts) - 1:
        need = f"{len(parts)} schedules have {len(parts) - 1} boundaries"
        raise UserError(f"{need}, got {places}: say where each begins")
    rising([0, *places])
    last = None if a.total is None else a.total - sum(places[-1:])
    lengths = [*(b - a for a, b in pairwise([0, *places])), last]
    return join([_part(one, n) for one, n in zip(parts, lengths, strict=True)], places)


def _part(one: Any, n: int | None) -> Recipe:
    if isinstance(one, Recipe):
        return one
    name, arguments = one
    if not isinstance(arguments, Mapping):
        raise UserError(
            f"a schedule to join is converted, or a name with arguments, got {one!r}: write from_optax(...)"
        )
    return _made(name, n, arguments)


def _sgdr(a: Any) -> Recipe:
    *cycles, last = [_made("warmup_cosine_decay_schedule", None, one) for one in a.cosine_kwargs]
    places = [sum(c.total for c in cycles[: i + 1]) for i in range(len(cycles))]
    if a.total is not None and (n := a.total - sum(places[-1:])) > last.total:
        last = _made("warmup_cosine_decay_schedule", n, a.cosine_kwargs[-1])
    return join([*cycles, last], places)


_FALL = takes("transition_steps", "decay_rate", transition_begin=0, staircase=False, end_value=None)
_LINEAR = takes("init_value", "end_value", "transition_steps", transition_begin=0)
_RISE = takes("init_value", "peak_value", "warmup_steps")
_CYCLE = takes("transition_steps", "peak_value", pct_start=0.3, div_factor=25.0, final_div_factor=1e4)
_SCALED = takes("init_value", boundaries_and_scales=None)
_COSINE = takes("decay_steps", end_value=0.0, exponent=1.0)
_KNOWN: dict[str, Conversion] = {
    "constant_schedule": Conversion(_constant, takes("value")),
    "linear_schedule": Conversion(_polynomial, _LINEAR),
    "polynomial_schedule": Conversion(_polynomial, {**_LINEAR, "power": ...}),
    "exponential_decay": Conversion(_exponential, {"init_value": ..., **_FALL}),
    "cosine_decay_schedule": Conversion(_cosine, takes("init_value", "decay_steps", alpha=0.0, exponent=1.0)),
    "piecewise_constant_schedule": Conversion(_piecewise_constant, _SCALED),
    "piecewise_interpolate_schedule": Conversion(
        _piecewise_interpolate, {"interpolate_type": ..., **_SCALED}
    ),
    "linear_onecycle_schedule": Conversion(_one_cycle, {**_CYCLE, "pct_final": 0.85}),
    "cosine_onecycle_schedule": Conversion(_one_cycle, _CYCLE),
    "warmup_constant_schedule": Conversion(_warmup_constant, _RISE),
    "warmup_cosine_decay_schedule": Conversion(_warmup_cosine, {**_RISE, **_COSINE}),
    "warmup_exponential_decay_schedule": Conversion(_warmup_exponential, {**_RISE, **_FALL}),
    "sgdr_schedule": Conversion(_sgdr, takes("cosine_kwargs")),
    "join_schedules": Conversion(_joined, takes("schedules", "boundaries")),
}
