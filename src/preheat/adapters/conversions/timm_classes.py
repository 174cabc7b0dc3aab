"""The classes of timm.scheduler, each as a schedule of preheat's. Arguments come with `lr`, `total`,
`updates_per_epoch`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from preheat.adapters.conversions.common import (
    STEPS,
    Clock,
    Known,
    Line,
    draw,
    join,
    levels,
    positive,
    table,
    whole,
    within,
)
from preheat.core.errors import UserError
from preheat.core.levels import Level, rate
from preheat.schedules.algebra import excerpt
from preheat.schedules.decays import constant, cosine, linear, polynomial
from preheat.schedules.drops import step as stairs
from preheat.schedules.kdecay import k_decay
from preheat.schedules.pieces import Piece, Pieces
from preheat.schedules.rational import inverse_time
from preheat.schedules.recipe import Recipe
from preheat.schedules.roots import inverse_sqrt
from preheat.schedules.rule import Rule
from preheat.schedules.stable import wsd
from preheat.schedules.tangents import tanh
from preheat.schedules.warm_restarts import restarts


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
    return whole("updates_per_epoch", a.updates_per_epoch)


def _run(a: Any) -> _Run:
    for key in ("noise_range_t", "noise"):
        if getattr(a, key, None) is not None:
            raise UserError(
                f"timm's noisy rates are no schedule, got {key}={getattr(a, key)!r}: leave it out"
            )
    lr = positive("lr", a.lr)
    clock = Clock(per_epoch(a, ", or t_in_epochs=False if it counts updates")) if a.t_in_epochs else STEPS
    return _Run(
        lr, whole("warmup_t", a.warmup_t, 0), within("warmup_lr_init", a.warmup_lr_init, 0.0, lr), clock
    )


def _level(value: float) -> Level:
    return rate(value) if value else 0.0


def _warmed(run: _Run, body: Recipe) -> Recipe:
    """The warmup in front of a body with a clock of its own."""
    if not run.warmup:
        return body
    length = run.clock.length(run.warmup, run.warmup)
    rise = constant(warmup=length, warmup_start=_level(run.start), **run.clock.sampling)
    return join([run.clock.made(rise, run.lr, run.warmup), body], [run.warmup])


def _covered(run: _Run, body: Recipe, top: float) -> Recipe:
    """The warmup over the first part of a body that runs from 0 on."""
    counts = body.total // (run.clock.per_epoch or 1)
    if run.warmup > counts:
        raise UserError(f"the warmup must fit in the run of {counts}, got warmup_t={run.warmup}: shorten it")
    rates = body.rates()[:: run.clock.per_epoch or 1]
    if isinstance(body.schedule, constant | stairs) and rates[run.warmup - 1] == top:
        options: dict[str, Any] = {
            "warmup": run.clock.length(run.warmup, counts),
            "warmup_start": _level(run.start),
        }
        return replace(body, schedule=replace(body.schedule, **options))
    place = run.clock.length(run.warmup, counts)
    if place.unit == "fraction" or not run.start < top <= body.peak or run.warmup == counts:
        rise = [run.start + k * (top - run.start) / run.warmup for k in range(run.warmup)]
        return table([*rise, *rates[run.warmup :]], run.clock)
    ramp: Rule = constant(warmup=place, warmup_start=_level(run.start), **run.clock.sampling)
    rest = excerpt(body.schedule, was=body.total, begin=place)
    return replace(
        body, schedule=(ramp if top == body.peak else ramp.scaled(top / body.peak)).then(rest, at=place)
    )


def _fall(a: Any, run: _Run, n: int, high: float) -> Recipe:
    """One cycle of n counts from the rate `high` to lr_min."""
    final, k = _level(a.lr_min), getattr(a, "k_decay", 1.0)
    if hasattr(a, "lb"):
        shares = [(1 - math.tanh(bound)) / 2 for bound in (a.lb, a.ub)]
        top, last = (a.lr_min + (high - a.lr_min) * share for share in shares)
        return run.clock.made(tanh(begin=a.lb, end=a.ub, final=_level(last), **run.clock.sampling), top, n)
    power = getattr(a, "power", None)
    if k != 1:
        shape: dict[str, Any] = (
            {"curve": "cosine"} if power is None else {"curve": "polynomial", "power": power}
        )
        made: Rule = k_decay(k=k, final=final, **shape, **run.clock.sampling)
    elif power is None:
        made = cosine(final=final, **run.clock.sampling)
    elif power == 1:
        made = linear(final=final, **run.clock.sampling)
    else:
        made = polynomial(power=power, final=final, **run.clock.sampling)
    return run.clock.made(made, high, n)


def _cycles(a: Any, run: _Run, n: int) -> Recipe:
    """All cycles, one after the other; timm counts the run's length down to a whole number."""
    limit, decay = whole("cycle_limit", a.cycle_limit), positive("cycle_decay", a.cycle_decay)
    lengths = [n * positive("cycle_mul", a.cycle_mul) ** i for i in range(limit)]
    if limit == 1:
        return _fall(a, run, n, run.lr)
    smooth = getattr(a, "k_decay", 1.0) == 1 and not hasattr(a, "lb")
    if smooth and decay <= 1 and (decay == 1 or not a.lr_min):
        shape = {"curve": "polynomial", "power": a.power} if hasattr(a, "power") else {}
        period, total = run.clock.length(n, n), math.floor(sum(lengths))
        options = {
            "mult": a.cycle_mul,
            "peak_mult": decay,
            "final": _level(a.lr_min),
            **shape,
            **run.clock.sampling,
        }
        return run.clock.made(restarts(period=period, **options), run.lr, total)
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
    n = body.total // (run.clock.per_epoch or 1)
    if isinstance(body.schedule, cosine | linear | polynomial):
        (fall,) = body.schedule.body()
        pieces = (replace(fall, length=run.clock.length(n, n)), Piece(None, fall.end, fall.end))
        return run.clock.made(Pieces(pieces, **run.clock.sampling), body.peak, n + rest)
    return table([*body.rates()[:: run.clock.per_epoch or 1], *[low] * rest], run.clock)


def cycled(a: Any) -> Recipe:
    """CosineLRScheduler, TanhLRScheduler and PolyLRScheduler."""
    run, n = _run(a), whole("t_initial", a.t_initial)
    within("lr_min", a.lr_min, 0.0, run.lr)
    body, prefix = _cycles(a, run, n), run.warmup if a.warmup_prefix else 0
    body = _held(run, body, (a.total or 0) - prefix - body.total // (run.clock.per_epoch or 1), a.lr_min)
    if prefix or not run.warmup:
        return _warmed(run, body)
    top = float(body.rates(run.warmup * (run.clock.per_epoch or 1) + 1)[-1]) if hasattr(a, "lb") else run.lr
    return _covered(run, body, top)


def _counts(a: Any) -> int:
    """The run's length where the class has none."""
    if a.total is None:
        raise UserError(
            "this scheduler has no end of its own, got no total: write total=100, the epochs or updates of "
            "the run"
        )
    return whole("total", a.total)


def step(a: Any) -> Recipe:
    """StepLRScheduler."""
    run, total, every = _run(a), _counts(a), positive("decay_t", a.decay_t)
    ratio = within("decay_rate", a.decay_rate, 0.0, math.inf)
    n = total - run.warmup if a.warmup_prefix else total
    if 0 < ratio < 1 and every < n and (run.clock.per_epoch or every == int(every)):
        body = run.clock.made(
            stairs(period=run.clock.length(every, n), gamma=ratio, **run.clock.sampling), run.lr, n
        )
    else:
        body = levels(n, ((t, run.lr * ratio ** (t // every)) for t in range(n)), run.clock)
    return _warmed(run, body) if a.warmup_prefix or not run.warmup else _covered(run, body, run.lr)


def multistep(a: Any) -> Recipe:
    """MultiStepLRScheduler."""
    run, total, ratio = _run(a), _counts(a), within("decay_rate", a.decay_rate, 0.0, math.inf)
    n = total - run.warmup if a.warmup_prefix else total
    places = [
        whole("each of decay_t", m) - 1 for m in sorted(a.decay_t)
    ]  # a milestone m is in force at t = m - 1
    inside = [m for m in places if m < n]
    if 0 < ratio < 1 and inside and inside[0] > 0 and len(set(inside)) == len(inside):
        given = tuple(run.clock.length(m, n) for m in inside)
        body = run.clock.made(stairs(milestones=given, gamma=ratio, **run.clock.sampling), run.lr, n)
    else:
        drops = [(t, run.lr * ratio ** sum(m <= t for m in places)) for t in sorted({0, *inside})]
        body = levels(n, drops, run.clock)
    return _warmed(run, body) if a.warmup_prefix or not run.warmup else _covered(run, body, run.lr)


def stable(a: Any) -> Recipe:
    """WSDLRScheduler: stable(t) times decay(fraction), above lr_min; the warmup always comes before."""
    run, n = _run(a), whole("t_initial", a.t_initial)
    fall, low = whole("decay_t", a.decay_t), within("lr_min", a.lr_min, 0.0, run.lr)
    if fall > n:
        raise UserError(f"the decay must fit in t_initial, got decay_t={fall} of {n}: shorten it")
    power = a.stable_power if a.stable_fn == "power" else {"constant": 0.0, "rsqrt": 0.5}.get(a.stable_fn)
    curve = a.decay_fn
    if not callable(curve) and curve not in _DECAYS:
        raise UserError(
            f"decay_fn must be one of {', '.join(_DECAYS)} or a function, got {curve!r}: write "
            "decay_fn='1-sqrt'"
        )
    if power is None:
        raise UserError(
            f"stable_fn must be constant, rsqrt or power, got {a.stable_fn!r}: write stable_fn='constant'"
        )
    if curve == "power":
        curve = {0.5: "1-sqrt", 1.0: "linear", 2.0: "square"}.get(a.decay_power, "power")
    scale = a.stable_timescale if power and a.stable_timescale is not None else run.warmup
    if power and not scale:
        raise UserError(
            f"stable_fn={a.stable_fn} needs a timescale, got no warmup to take it from: write "
            "stable_timescale=1000"
        )
    piecewise, rest = curve in ("linear", "1-sqrt", "cosine", "square"), (a.total or 0) - run.warmup - n
    if not power and rest > 0 and piecewise:
        lines = [
            Line(run.warmup, run.start, run.lr),
            Line(n - fall, run.lr, run.lr),
            Line(fall, run.lr, low, curve),
        ]
        return draw(run.warmup + n + rest, [*lines, Line(None, low, low)], run.clock)
    if not power and curve == "power" and rest <= 0:
        bent = k_decay(k=a.decay_power, curve="linear", final=_level(low), **run.clock.sampling)
        parts = [run.clock.made(constant(**run.clock.sampling), run.lr, n - fall)] if n > fall else []
        return _warmed(run, join([*parts, run.clock.made(bent, run.lr, fall)], [n - fall] if parts else []))
    if not piecewise or rest > 0 or (power and (low or (not run.clock.per_epoch and scale != int(scale)))):
        t = [_stable_rate(a, run, k, fall=fall, law=(power, scale)) for k in range(n + max(rest, 0))]
        return _warmed(run, table(t, run.clock))
    rise = {
        "warmup": run.clock.length(run.warmup, 1),
        "warmup_start": _level(run.start),
        **run.clock.sampling,
    }
    shape = {"cooldown": run.clock.length(fall, 1), "cooldown_curve": curve, "final": _level(low)}
    made: Rule = wsd(**shape, **(rise if not power else run.clock.sampling))
    if power:
        law = {"timescale": run.clock.length(scale, 1), **rise}
        made = (inverse_sqrt(**law) if power == 0.5 else inverse_time(power=power, **law)) * made
    return run.clock.made(made, run.lr, run.warmup + n)


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
_WARM = {"warmup_t": 0, "warmup_lr_init": 0.0}
COMMON: dict[str, Any] = {
    "t_in_epochs": True,
    "noise_range_t": None,
    "noise_pct": 0.67,
    "noise_std": 1.0,
    "noise_seed": 42,
}
_CYCLES = {
    "t_initial": ...,
    "lr_min": 0.0,
    "cycle_mul": 1.0,
    "cycle_decay": 1.0,
    "cycle_limit": 1,
    "warmup_prefix": False,
}
_DROPS = {"decay_t": ..., "decay_rate": 1.0, "warmup_prefix": True}
_STABLE = {"stable_fn": "constant", "stable_timescale": None, "stable_power": 0.5}
_DECAY = {"decay_fn": "1-sqrt", "decay_power": 0.5, "decay_ratio": 0.1}
CLASSES = {
    "CosineLRScheduler": Known(cycled, {**_WARM, **_CYCLES, "k_decay": 1.0}),
    "TanhLRScheduler": Known(cycled, {**_WARM, **_CYCLES, "lb": -7.0, "ub": 3.0}),
    "PolyLRScheduler": Known(cycled, {**_WARM, **_CYCLES, "k_decay": 1.0, "power": 0.5}),
    "StepLRScheduler": Known(step, {**_WARM, **_DROPS}),
    "MultiStepLRScheduler": Known(multistep, {**_WARM, **_DROPS}),
    "WSDLRScheduler": Known(
        stable, {**_WARM, **_STABLE, **_DECAY, "t_initial": ..., "decay_t": ..., "lr_min": 0.0}
    ),
}
