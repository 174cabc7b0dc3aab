"""optax's schedules by name and arguments. Checked against optax 0.2.8, whose own numbers are float32."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from preheat.adapters.conversions.common import (
    STEPS,
    Known,
    Line,
    cut,
    draw,
    join,
    levels,
    library,
    positive,
    read,
    rising,
    table,
    whole,
    within,
)
from preheat.core.errors import UserError
from preheat.core.lengths import steps
from preheat.schedules.cycles import one_cycle
from preheat.schedules.decays import constant, cosine, exponential, linear, polynomial
from preheat.schedules.drops import step
from preheat.schedules.recipe import Recipe


def from_optax(name: str, *, total: int | None = None, **arguments: Any) -> Recipe:
    """A schedule of optax's by the name of its function and its arguments.

    total: the updates of the run; not needed where the function has an end of its own, which it may cut.
    join_schedules takes schedules=[...] that are converted already, each with at least the updates until the
    next one begins, or ("linear_schedule", {"init_value": 0.0, ...}) for one that is not.

    >>> made = from_optax("warmup_cosine_decay_schedule", init_value=0.0, peak_value=0.1, warmup_steps=10, decay_steps=100)
    >>> print(made.schedule, made.peak, made.total)
    cosine(warmup=10, at=left) 0.1 100

    Errors: UserError for values that optax takes and does something else with (see
    `docs/schedules-differences.md`).
    """
    return cut(_made(name, None if total is None else whole("total", total), arguments), total)


def _made(name: Any, total: int | None, arguments: Mapping[str, Any]) -> Recipe:
    """The schedule on its own length where that is more than `total`."""
    return read(library("optax", _KNOWN, {"total": None}), name, {**arguments, "total": total})


def _value(a: Any, name: str, high: float = math.inf) -> float:
    return within(name, getattr(a, name), 0.0, high)


def _total(a: Any, own: int) -> int:
    """The run's length: as asked for, and not below the schedule's own."""
    return max(a.total or 0, own)


def _asked(a: Any, least: int = 1) -> int:
    """The run's length where the schedule has no end of its own; at least `least`."""
    if a.total is None:
        raise UserError(
            "this schedule has no end of its own, got no total: write total=1000, the updates of the run"
        )
    return _total(a, least)


def _constant(a: Any) -> Recipe:
    return STEPS.made(constant(at="left"), positive("value", a.value), _asked(a))


def _polynomial(a: Any) -> Recipe:
    first, last, n = (
        _value(a, "init_value"),
        _value(a, "end_value"),
        whole("transition_steps", a.transition_steps),
    )
    begin, power = whole("transition_begin", a.transition_begin, 0), positive("power", getattr(a, "power", 1))
    total = _total(a, begin + n) if last < first else _asked(a, begin + n)
    if begin == 0 and total == n and first > last:
        fall = (
            linear(final=last / first, at="left")
            if power == 1
            else polynomial(power=power, final=last / first, at="left")
        )
        return STEPS.made(fall, first, n)
    if begin == 0 and power == 1 and last > first:
        return STEPS.made(constant(warmup=steps(n), warmup_start=first / last, at="left"), last, total)
    if (
        last > first and power not in _RISES
    ):  # a fall's mirror image in height, which no curve of preheat's is
        rise = [last - (last - first) * (1 - k / n) ** power for k in range(n)]
        return table([*[first] * begin, *rise, *[last] * (total - begin - n)])
    curve, exponent = _RISES[power] if last > first else ("polynomial", power)
    return draw(
        total, [Line(begin, first, first), Line(n, first, last, curve, exponent), Line(None, last, last)]
    )


_RISES: dict[float, tuple[str, None]] = {1: ("linear", None), 2: ("square", None), 0.5: ("1-sqrt", None)}


def _exponential(a: Any) -> Recipe:
    first, n = positive("init_value", a.init_value), whole("transition_steps", a.transition_steps)
    ratio, begin = positive("decay_rate", a.decay_rate), whole("transition_begin", a.transition_begin, 0)
    total = _asked(a, begin + 1)
    bound = _bound(a, first, ratio)
    if a.staircase:
        return _stairs(first, bound, ratio, n, begin=begin, total=total)
    span = total - begin
    until = span if not bound or ratio == 1 else min(span, n * math.log(bound / first) / math.log(ratio))
    last = first * math.exp(math.log(ratio) * until / n)
    if begin == 0 and until == span and ratio < 1:
        return STEPS.made(exponential(final=last / first, at="left"), first, total)
    lines = [Line(begin, first, first), Line(until if until < span else None, first, last, "exponential")]
    return draw(total, [*lines, Line(None, bound, bound)] if until < span else lines)


def _bound(a: Any, first: float, ratio: float) -> float:
    """end_value, where the decay stops; 0 for none."""
    if a.end_value is None:
        return 0.0
    end = within("end_value", a.end_value, 0.0, math.inf)
    if (end > first and ratio < 1) or (end < first and ratio >= 1):
        raise UserError(
            f"the decay must start on its own side of end_value, got {first:g} and end_value={end:g}: write "
            "another"
        )
    return end


def _stairs(first: float, bound: float, ratio: float, n: int, *, begin: int, total: int) -> Recipe:
    if begin == 0 and not bound and ratio < 1 and n < total:
        return STEPS.made(step(period=steps(n), gamma=ratio, at="left"), first, total)
    clip = max if ratio < 1 else min
    drops = [(begin + i * n, first * ratio**i) for i in range(1, (total - begin) // n + 1)]
    return levels(total, [(0, first), *((k, clip(r, bound) if bound else r) for k, r in drops)])


def _cosine(a: Any) -> Recipe:
    first, n, alpha = (
        positive("init_value", a.init_value),
        whole("decay_steps", a.decay_steps),
        _value(a, "alpha", 1.0),
    )
    power, total, low = positive("exponent", a.exponent), _total(a, n), first * alpha
    if total == n:
        return STEPS.made(cosine(final=alpha, power=power, at="left"), first, n)
    return draw(total, [Line(n, first, low, "cosine", None if power == 1 else power), Line(None, low, low)])


def _scales(a: Any) -> list[tuple[int, float]]:
    """The boundaries from 0 on and the values there, scales multiplied up."""
    value = _value(a, "init_value")
    out = [(0, value)]
    for place, scale in sorted((a.boundaries_and_scales or {}).items()):
        value *= within("each scale", scale, 0.0, math.inf)
        out.append((whole("each boundary", place, 0), value))
    return out


def _piecewise_constant(a: Any) -> Recipe:
    values = _scales(a)
    total, scales = _asked(a), set((a.boundaries_and_scales or {}).values())
    inside = [place for place, _ in values[1:] if place < total]
    if inside and inside[0] > 0 and len(scales) == 1 and 0 < (gamma := scales.pop()) < 1:
        return STEPS.made(
            step(milestones=tuple(map(steps, inside)), gamma=gamma, at="left"), values[0][1], total
        )
    return levels(total, {place: value for place, value in values}.items())


def _interpolated(kind: str, values: list[tuple[int, float]], total: int) -> Recipe:
    if kind not in ("linear", "cosine"):
        raise UserError(
            f"interpolate_type must be linear or cosine, got {kind!r}: write interpolate_type='linear'"
        )
    lines = [Line(b - a, x, y, kind) for (a, x), (b, y) in pairwise(values)]
    return draw(total, [*lines, Line(None, values[-1][1], values[-1][1])])


def _piecewise_interpolate(a: Any) -> Recipe:
    values = _scales(a)
    return _interpolated(a.interpolate_type, values, _total(a, max(values[-1][0], 1)))


def _one_cycle(a: Any) -> Recipe:
    n, peak = whole("transition_steps", a.transition_steps), positive("peak_value", a.peak_value)
    straight = hasattr(a, "pct_final")
    low = peak / positive("div_factor", a.div_factor)
    last = low / positive("final_div_factor", a.final_div_factor)
    places = [0, int(a.pct_start * n), *([int(a.pct_final * n)] if straight else []), n]
    if any(q <= p for p, q in pairwise(places)):
        raise UserError(
            f"every phase of the cycle must take a step, got phases that end at {places[1:]}: write another "
            "pct_start"
        )
    if not straight and _total(a, n) == n and low <= peak:
        made = one_cycle(warmup=steps(places[1]), warmup_start=low / peak, final=last / peak, at="left")
        return STEPS.made(made, peak, n)
    rates = [low, peak, *([low] if straight else []), last]
    kind = "linear" if straight else "cosine"
    return _interpolated(kind, list(zip(places, rates, strict=True)), _total(a, n))


def _rise(a: Any) -> tuple[float, float, int]:
    """The warmup's two ends and its length."""
    peak, warmup = positive("peak_value", a.peak_value), whole("warmup_steps", a.warmup_steps, 0)
    return _value(a, "init_value"), peak, warmup


def _warm(first: float, peak: float, warmup: int, rest: Recipe) -> Recipe:
    """The rise in front of the rest."""
    if warmup == 0:
        return rest
    if first > peak:
        return join([draw(warmup, [Line(None, first, peak)]), rest], [warmup])
    return join(
        [
            STEPS.made(constant(warmup=steps(warmup), warmup_start=first / peak, at="left"), peak, warmup),
            rest,
        ],
        [warmup],
    )


def _warmup_constant(a: Any) -> Recipe:
    first, peak, warmup = _rise(a)
    total = _asked(a, warmup + 1)
    return _warm(first, peak, warmup, STEPS.made(constant(at="left"), peak, total - warmup))


def _warmup_cosine(a: Any) -> Recipe:
    first, peak, warmup = _rise(a)
    n = whole("decay_steps", a.decay_steps)
    if n <= warmup:
        raise UserError(
            f"decay_steps counts the warmup too, got decay_steps={n} and warmup_steps={warmup}: write more "
            "decay_steps"
        )
    rest = {
        "init_value": peak,
        "decay_steps": n - warmup,
        "alpha": _value(a, "end_value", peak) / peak,
        "exponent": a.exponent,
    }
    return _warm(first, peak, warmup, _made("cosine_decay_schedule", _rest(a, warmup), rest))


def _rest(a: Any, warmup: int) -> int | None:
    return None if a.total is None else max(a.total - warmup, 1)


def _warmup_exponential(a: Any) -> Recipe:
    first, peak, warmup = _rise(a)
    names = ("transition_steps", "decay_rate", "transition_begin", "staircase", "end_value")
    rest = {"init_value": peak, **{name: getattr(a, name) for name in names}}
    return _warm(first, peak, warmup, _made("exponential_decay", _rest(a, warmup), rest))


def _joined(a: Any) -> Recipe:
    places = [whole("each boundary", b) for b in a.boundaries]
    if len(places) != len(a.schedules) - 1:
        raise UserError(
            f"{len(a.schedules)} schedules have {len(a.schedules) - 1} boundaries, got {places}: say where "
            "each begins"
        )
    rising([0, *places])
    lengths = [
        *(b - a for a, b in pairwise([0, *places])),
        None if a.total is None else a.total - sum(places[-1:]),
    ]
    return join([_part(one, n) for one, n in zip(a.schedules, lengths, strict=True)], places)


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


_DECAY = {
    "transition_steps": ...,
    "decay_rate": ...,
    "transition_begin": 0,
    "staircase": False,
    "end_value": None,
}
_LINEAR = {"init_value": ..., "end_value": ..., "transition_steps": ..., "transition_begin": 0}
_RISE = {"init_value": ..., "peak_value": ..., "warmup_steps": ...}
_CYCLE = {
    "transition_steps": ...,
    "peak_value": ...,
    "pct_start": 0.3,
    "div_factor": 25.0,
    "final_div_factor": 1e4,
}
_KNOWN: dict[str, Known] = {
    "constant_schedule": Known(_constant, {"value": ...}),
    "linear_schedule": Known(_polynomial, _LINEAR),
    "polynomial_schedule": Known(_polynomial, {**_LINEAR, "power": ...}),
    "exponential_decay": Known(_exponential, {"init_value": ..., **_DECAY}),
    "cosine_decay_schedule": Known(
        _cosine, {"init_value": ..., "decay_steps": ..., "alpha": 0.0, "exponent": 1.0}
    ),
    "piecewise_constant_schedule": Known(
        _piecewise_constant, {"init_value": ..., "boundaries_and_scales": None}
    ),
    "piecewise_interpolate_schedule": Known(
        _piecewise_interpolate, {"interpolate_type": ..., "init_value": ..., "boundaries_and_scales": None}
    ),
    "linear_onecycle_schedule": Known(_one_cycle, {**_CYCLE, "pct_final": 0.85}),
    "cosine_onecycle_schedule": Known(_one_cycle, _CYCLE),
    "warmup_constant_schedule": Known(_warmup_constant, _RISE),
    "warmup_cosine_decay_schedule": Known(
        _warmup_cosine, {**_RISE, "decay_steps": ..., "end_value": 0.0, "exponent": 1.0}
    ),
    "warmup_exponential_decay_schedule": Known(_warmup_exponential, {**_RISE, **_DECAY}),
    "sgdr_schedule": Known(_sgdr, {"cosine_kwargs": ...}),
    "join_schedules": Known(_joined, {"schedules": ..., "boundaries": ...}),
}
