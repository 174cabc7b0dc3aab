"""The classes of timm.scheduler as schedules. `lr`, `total`, `updates_per_epoch` are among the arguments."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from preheat.adapters.conversions.arguments import Conversion, takes
from preheat.adapters.conversions.checks import asked_total, bounded, positive, whole_number
from preheat.adapters.conversions.joining import join
from preheat.adapters.conversions.rates import (
    STEPS,
    Clock,
    Leg,
    follow,
    multistep,
    name_of,
    power_fall,
    stairs,
    table,
)
from preheat.core.errors import UserError
from preheat.core.levels import Level, rate
from preheat.schedules.combine.excerpt import excerpt
from preheat.schedules.pieces import Piece
from preheat.schedules.recipes.recipe import Recipe


class _Run(NamedTuple):
    """What every class of timm's has: the rate, the warmup, and what is counted."""

    lr: float
    warmup: int
    start: float
    clock: Clock


def per_epoch(a: Any, otherwise: str = "") -> int:
    """The updates in an epoch; otherwise: what else may be written."""
    if a.updates_per_epoch is None:
        fix = f"write updates_per_epoch=len(loader), or updates_per_epoch=1 for a table in epochs{otherwise}"
        raise UserError(
            f"a scheduler that counts epochs needs their updates, got no updates_per_epoch: {fix}"
        )
    return whole_number("updates_per_epoch", a.updates_per_epoch)


def _run(a: Any) -> _Run:
    for key in ("noise_range_t", "noise"):
        if (given := getattr(a, key, None)) is not None:
            raise UserError(f"timm's noisy rates are no schedule, got {key}={given!r}: leave it out")
    lr = positive("lr", a.lr)
    clock = Clock(per_epoch(a, ", or t_in_epochs=False if it counts updates")) if a.t_in_epochs else STEPS
    start = bounded("warmup_lr_init", a.warmup_lr_init, 0.0, lr)
    return _Run(lr, whole_number("warmup_t", a.warmup_t, least=0), start, clock)


def _level(value: float) -> Level:
    return rate(value) if value else 0.0


def _warmed(run: _Run, body: Recipe) -> Recipe:
    """The warmup in front of a body with a clock of its own."""
    if not run.warmup:
        return body
    rise = {"warmup": run.clock.length(run.warmup, run.warmup), "warmup_start": _level(run.start)}
    return join([run.clock.of("constant", run.lr, run.warmup, **rise), body], [run.warmup])


def _covered(run: _Run, body: Recipe, top: float) -> Recipe:
    """The warmup over the first part of a body that runs from 0 on."""
    counts = run.clock.counts(body)
    if run.warmup > counts:
        raise UserError(f"the warmup must fit in the run of {counts}, got warmup_t={run.warmup}: shorten it")
    rates, place = body.rates()[:: run.clock.size], run.clock.length(run.warmup, counts)
    rise: dict[str, Any] = {"warmup": place, "warmup_start": _level(run.start)}
    if name_of(body.schedule) in ("constant", "step") and rates[run.warmup - 1] == top:
        schedule: Any = body.schedule
        return replace(body, schedule=replace(schedule, **rise))
    if place.unit == "fraction" or not run.start < top <= body.peak or run.warmup == counts:
        low = [run.start + k * (top - run.start) / run.warmup for k in range(run.warmup)]
        return table([*low, *rates[run.warmup :]], run.clock)
    ramp = run.clock.rule("constant", **rise)
    rest = excerpt(body.schedule, was=body.total, begin=place)
    lower = ramp if top == body.peak else ramp.scaled(top / body.peak)
    return replace(body, schedule=lower.then(rest, at=place))


def _fall(a: Any, run: _Run, n: int, high: float) -> Recipe:
    """One cycle of n counts from the rate `high` to lr_min."""
    if hasattr(a, "lb"):
        shares = [(1 - math.tanh(bound)) / 2 for bound in (a.lb, a.ub)]
        top, last = (a.lr_min + (high - a.lr_min) * share for share in shares)
        return run.clock.of("tanh", top, n, begin=a.lb, end=a.ub, final=_level(last))
    final, k, power = _level(a.lr_min), getattr(a, "k_decay", 1.0), getattr(a, "power", None)
    if k != 1:
        return run.clock.of("k_decay", high, n, k=k, final=final, **_shape(a))
    if power is None:
        return run.clock.of("cosine", high, n, final=final)
    return power_fall(high, n, power, clock=run.clock, final=final)


def _shape(a: Any) -> dict[str, Any]:
    return {"curve": "polynomial", "power": a.power} if hasattr(a, "power") else {"curve": "cosine"}


def _cycles(a: Any, run: _Run, n: int) -> Recipe:
    """All cycles, one after the other; timm counts the run's length down to a whole number."""
    limit, decay = whole_number("cycle_limit", a.cycle_limit), positive("cycle_decay", a.cycle_decay)
    lengths = [n * positive("cycle_mul", a.cycle_mul) ** i for i in range(limit)]
    if limit == 1:
        return _fall(a, run, n, run.lr)
    smooth = getattr(a, "k_decay", 1.0) == 1 and not hasattr(a, "lb")
    if smooth and decay <= 1 and (decay == 1 or not a.lr_min):
        again = {"period": run.clock.length(n, n), "mult": a.cycle_mul, "peak_mult": decay, **_shape(a)}
        return run.clock.of("restarts", run.lr, math.floor(sum(lengths)), final=_level(a.lr_min), **again)
    if any(k != int(k) for k in lengths):
        raise UserError(f"cycles must have whole lengths, got {lengths}: write another cycle_mul")
    if a.lr_min > run.lr * min(1.0, decay ** (limit - 1)):
        raise UserError(f"lr_min must not lie above the peak of a cycle, got {a.lr_min:g}: write a lower one")
    parts = [_fall(a, run, int(k), run.lr * decay**i) for i, k in enumerate(lengths)]
    return join(parts, [int(sum(lengths[:i])) for i in range(1, limit)])


def _held(run: _Run, body: Recipe, rest: int, low: float) -> Recipe:
    """The floor held for `rest` counts after the body."""
    if rest <= 0:
        return body
    n = run.clock.counts(body)
    if name_of(body.schedule) in ("cosine", "linear", "polynomial"):
        schedule: Any = body.schedule
        (fall,) = schedule.body()
        pieces = (replace(fall, length=run.clock.length(n, n)), Piece(None, fall.end, fall.end))
        return run.clock.of("pieces", body.peak, n + rest, pieces=pieces)
    return table([*body.rates()[:: run.clock.size], *[low] * rest], run.clock)


def cycled(a: Any) -> Recipe:
    """CosineLRScheduler, TanhLRScheduler and PolyLRScheduler."""
    run, n = _run(a), whole_number("t_initial", a.t_initial)
    bounded("lr_min", a.lr_min, 0.0, run.lr)
    body, prefix = _cycles(a, run, n), run.warmup if a.warmup_prefix else 0
    body = _held(run, body, (a.total or 0) - prefix - run.clock.counts(body), a.lr_min)
    if prefix or not run.warmup:
        return _warmed(run, body)
    top = float(body.rates(run.warmup * run.clock.size + 1)[-1]) if hasattr(a, "lb") else run.lr
    return _covered(run, body, top)


def step_drops(a: Any) -> Recipe:
    """StepLRScheduler."""
    run, total, every = _run(a), asked_total(a), positive("decay_t", a.decay_t)
    ratio = bounded("decay_rate", a.decay_rate, 0.0, math.inf)
    n = total - run.warmup if a.warmup_prefix else total
    return _dropping(a, run, stairs(run.lr, n, every, gamma=ratio, clock=run.clock))


def multistep_drops(a: Any) -> Recipe:
    """MultiStepLRScheduler."""
    run, total, ratio = _run(a), asked_total(a), bounded("decay_rate", a.decay_rate, 0.0, math.inf)
    n = total - run.warmup if a.warmup_prefix else total
    # a milestone m is in force at t = m - 1
    places = [whole_number("each of decay_t", m) - 1 for m in sorted(a.decay_t)]
    return _dropping(a, run, multistep(run.lr, n, places, gamma=ratio, clock=run.clock))


def _dropping(a: Any, run: _Run, body: Recipe) -> Recipe:
    return _warmed(run, body) if a.warmup_prefix or not run.warmup else _covered(run, body, run.lr)


def stable(a: Any) -> Recipe:
    """WSDLRScheduler: stable(t) times decay(fraction), above lr_min; the warmup always comes before."""
    run, n = _run(a), whole_number("t_initial", a.t_initial)
    fall, low = whole_number("decay_t", a.decay_t), bounded("lr_min", a.lr_min, 0.0, run.lr)
    if fall > n:
        raise UserError(f"the decay must fit in t_initial, got decay_t={fall} of {n}: shorten it")
    power, curve = _stable_power(a), _decay_curve(a)
    scale = a.stable_timescale if power and a.stable_timescale is not None else run.warmup
    if power and not scale:
        why = "got no warmup to take it from: write stable_timescale=1000"
        raise UserError(f"stable_fn={a.stable_fn} needs a timescale, {why}")
    piecewise, rest = curve in _CURVES, (a.total or 0) - run.warmup - n
    if not power and rest > 0 and piecewise:
        rise, held = Leg(run.warmup, run.start, run.lr), Leg(n - fall, run.lr, run.lr)
        legs = [rise, held, Leg(fall, run.lr, low, curve), Leg(None, low, low)]
        return follow(run.warmup + n + rest, legs, clock=run.clock)
    if not power and curve == "power" and rest <= 0:
        bent = run.clock.of("k_decay", run.lr, fall, k=a.decay_power, curve="linear", final=_level(low))
        held_first = [run.clock.of("constant", run.lr, n - fall)] if n > fall else []
        return _warmed(run, join([*held_first, bent], [n - fall] if held_first else []))
    if not piecewise or rest > 0 or (power and (low or (not run.clock.per_epoch and scale != int(scale)))):
        t = [_stable_rate(a, run, k, fall=fall, law=(power, scale)) for k in range(n + max(rest, 0))]
        return _warmed(run, table(t, run.clock))
    warm = {"warmup": run.clock.length(run.warmup, 1), "warmup_start": _level(run.start)}
    shape = {"cooldown": run.clock.length(fall, 1), "cooldown_curve": curve, "final": _level(low)}
    if not power:
        return run.clock.of("wsd", run.lr, run.warmup + n, **shape, **warm)
    law = {"timescale": run.clock.length(scale, 1), **warm}
    if power == 0.5:
        decay = run.clock.rule("inverse_sqrt", **law)
    else:
        decay = run.clock.rule("inverse_time", power=power, **law)
    return run.clock.made(decay * run.clock.rule("wsd", **shape), run.lr, run.warmup + n)


def _stable_power(a: Any) -> float:
    """The power of the time of stable_fn, 0 for none."""
    if a.stable_fn == "power":
        return float(a.stable_power)
    if a.stable_fn not in ("constant", "rsqrt"):
        got = f"got {a.stable_fn!r}: write stable_fn='constant'"
        raise UserError(f"stable_fn must be constant, rsqrt or power, {got}")
    return 0.5 if a.stable_fn == "rsqrt" else 0.0


def _decay_curve(a: Any) -> Any:
    """decay_fn, a name of a curve of preheat's where one says it."""
    curve = a.decay_fn
    if not callable(curve) and curve not in _DECAYS:
        got = f"got {curve!r}: write decay_fn='1-sqrt'"
        raise UserError(f"decay_fn must be one of {', '.join(_DECAYS)} or a function, {got}")
    if curve == "power":
        return {0.5: "1-sqrt", 1.0: "linear", 2.0: "square"}.get(a.decay_power, "power")
    return curve


def _stable_rate(a: Any, run: _Run, t: int, *, fall: int, law: tuple[float, float]) -> float:
    """The rate t counts after the warmup, where no schedule of preheat's says it."""
    power, scale = law
    high = max(run.lr * (1 + t / scale) ** -power if power else run.lr, a.lr_min)
    u = min(max((t - (a.t_initial - fall)) / fall, 0.0), 1.0)
    decay = a.decay_fn(u) if callable(a.decay_fn) else _DECAYS[a.decay_fn](u, a)
    return float(a.lr_min + (high - a.lr_min) * decay)


_DECAYS: dict[str, Callable[[float, Any], float]] = {
    "linear": lambda u, a: 1 - u,
    "1-sqrt": lambda u, a: 1 - math.sqrt(u),
    "cosine": lambda u, a: math.cos(math.pi / 2 * u) ** 2,
    "power": lambda u, a: 1 - u**a.decay_power,
    "exp": lambda u, a: (a.decay_ratio**u - a.decay_ratio) / (1 - a.decay_ratio),
}
_CURVES = ("linear", "1-sqrt", "cosine", "square")
_NOISE = takes(noise_range_t=None, noise_pct=0.67, noise_std=1.0, noise_seed=42)
COMMON: dict[str, Any] = {"t_in_epochs": True, **_NOISE}
_WARM = takes(warmup_t=0, warmup_lr_init=0.0)
_CYCLES = takes("t_initial", lr_min=0.0, cycle_mul=1.0, cycle_decay=1.0, cycle_limit=1, warmup_prefix=False)
_DROPS = takes("decay_t", decay_rate=1.0, warmup_prefix=True)
_STABLE = takes("t_initial", "decay_t", lr_min=0.0, stable_fn="constant", stable_timescale=None)
_STABLE |= takes(stable_power=0.5, decay_fn="1-sqrt", decay_power=0.5, decay_ratio=0.1)
TIMM_CLASSES = {
    "CosineLRScheduler": Conversion(cycled, {**_WARM, **_CYCLES, "k_decay": 1.0}),
    "TanhLRScheduler": Conversion(cycled, {**_WARM, **_CYCLES, "lb": -7.0, "ub": 3.0}),
    "PolyLRScheduler": Conversion(cycled, {**_WARM, **_CYCLES, "k_decay": 1.0, "power": 0.5}),
    "StepLRScheduler": Conversion(step_drops, {**_WARM, **_DROPS}),
    "MultiStepLRScheduler": Conversion(multistep_drops, {**_WARM, **_DROPS}),
    "WSDLRScheduler": Conversion(stable, {**_WARM, **_STABLE}),
}
