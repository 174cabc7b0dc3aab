"""The single classes of torch.optim.lr_scheduler, each as a schedule of preheat's. `lr` and `total` are in
the arguments."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from itertools import accumulate
from typing import Any

from preheat.adapters.conversions.common import (
    STEPS,
    Known,
    Line,
    draw,
    levels,
    positive,
    table,
    whole,
    within,
)
from preheat.core.between import Between
from preheat.core.errors import UserError
from preheat.core.lengths import steps
from preheat.core.levels import Level, rate
from preheat.schedules.decays import constant, cosine, exponential, linear, polynomial
from preheat.schedules.drops import step
from preheat.schedules.onecycle import torch_one_cycle
from preheat.schedules.recipe import Recipe
from preheat.schedules.rule import Rule
from preheat.schedules.triangles import triangular
from preheat.schedules.warm_restarts import restarts


def _rate(a: Any) -> float:
    """The optimizer's rate."""
    if a.lr is None:
        raise UserError("torch's schedulers start from the optimizer's rate, got none: write lr=0.1")
    return positive("lr", a.lr)


def _total(a: Any, least: int = 1) -> int:
    """The run's length, where the class has none of its own; at least `least`."""
    if a.total is None:
        raise UserError(
            "this scheduler has no end of its own, got no total: write total=1000, the updates of the run"
        )
    return max(int(a.total), least)


def _floor(a: Any, value: float, name: str = "eta_min") -> Level:
    """An absolute rate as a level."""
    within(name, value, 0.0, _rate(a))
    return rate(value) if value else 0.0


def _lambda(a: Any) -> Recipe:
    return table(_rate(a) * float(a.lr_lambda(k)) for k in range(_total(a)))


def _multiplicative(a: Any) -> Recipe:
    factors = accumulate(
        (float(a.lr_lambda(k)) for k in range(1, _total(a))), lambda x, y: x * y, initial=1.0
    )
    return table(_rate(a) * f for f in factors)


def _step(a: Any) -> Recipe:
    lr, total, period, gamma = (
        _rate(a),
        _total(a),
        whole("step_size", a.step_size),
        within("gamma", a.gamma, 0.0, math.inf),
    )
    if 0 < gamma < 1 and period < total:
        return STEPS.made(step(period=steps(period), gamma=gamma, at="left"), lr, total)
    return levels(total, ((n, lr * gamma ** (n // period)) for n in range(0, total, period)))


def _multistep(a: Any) -> Recipe:
    lr, total, gamma = _rate(a), _total(a), within("gamma", a.gamma, 0.0, math.inf)
    places = sorted(whole("each of milestones", m, 0) for m in a.milestones)
    inside = [m for m in places if m < total]
    if 0 < gamma < 1 and inside and inside[0] > 0 and len(set(inside)) == len(inside):
        return STEPS.made(step(milestones=tuple(map(steps, inside)), gamma=gamma, at="left"), lr, total)
    return levels(total, ((p, lr * gamma ** sum(m <= p for m in places)) for p in sorted({0, *inside})))


def _constant(a: Any) -> Recipe:
    lr, n = _rate(a), whole("total_iters", a.total_iters)
    factor, total = within("factor", a.factor, 0.0, 1.0), _total(a)
    if factor == 0:
        raise UserError(
            "torch's ConstantLR divides by its factor, got 0: write factor=1e-8, or a run that begins later"
        )
    if n >= total or factor == 1:
        return STEPS.made(constant(at="left"), lr * factor, total)
    return STEPS.made(
        constant(warmup=steps(n), warmup_curve="constant", warmup_start=factor, at="left"), lr, total
    )


def _linear(a: Any) -> Recipe:
    lr, n = _rate(a), whole("total_iters", a.total_iters)
    start, end = (
        within("start_factor", positive("start_factor", a.start_factor), 0.0, 1.0),
        within("end_factor", a.end_factor, 0.0, 1.0),
    )
    total = max(n, int(a.total)) if a.total is not None else n if end < start else _total(a, n)
    if end == 1.0 and start < 1.0:
        return STEPS.made(constant(warmup=steps(n), warmup_start=start, at="left"), lr, total)
    if total == n and start == 1.0:
        return STEPS.made(linear(final=end, at="left"), lr, total)
    return draw(total, [Line(n, lr * start, lr * end), Line(None, lr * end, lr * end)])


def _exponential(a: Any) -> Recipe:
    lr, total, gamma = _rate(a), _total(a), positive("gamma", a.gamma)
    if gamma >= 1:
        return draw(total, [Line(None, lr, lr * gamma**total, "exponential")])
    if gamma**total < sys.float_info.min:
        return table(lr * gamma**k for k in range(total))
    return STEPS.made(exponential(final=gamma**total, at="left"), lr, total)


def _polynomial(a: Any) -> Recipe:
    lr, n, power = _rate(a), whole("total_iters", a.total_iters), a.power
    total = max(n, int(a.total or n))
    if total > n:
        return draw(total, [Line(n, lr, 0.0, "polynomial", power), Line(None, 0.0, 0.0)])
    return STEPS.made(linear(at="left") if power == 1 else polynomial(power=power, at="left"), lr, total)


def _cosine(a: Any) -> Recipe:
    n = whole("T_max", a.T_max)
    if a.total is not None and a.total > n:
        raise UserError(
            f"torch's CosineAnnealingLR climbs again after T_max, got T_max={n} and total={a.total}: "
            "write total=T_max, or CosineAnnealingWarmRestarts"
        )
    return STEPS.made(cosine(final=_floor(a, a.eta_min), at="left"), _rate(a), n)


def _restarts(a: Any) -> Recipe:
    period, mult = whole("T_0", a.T_0), whole("T_mult", a.T_mult)
    return STEPS.made(
        restarts(period=steps(period), mult=mult, final=_floor(a, a.eta_min), at="left"),
        _rate(a),
        _total(a, period),
    )


_SCALES = {"triangular": (1.0, False), "triangular2": (0.5, False), "exp_range": (1.0, True)}


def _cyclic(a: Any) -> Recipe:
    high = positive("max_lr", a.max_lr)
    low = within("base_lr", a.base_lr, 0.0, high)
    up = positive("step_size_up", a.step_size_up)
    down = up if a.step_size_down is None else positive("step_size_down", a.step_size_down)
    if a.scale_fn is None and a.mode not in _SCALES:
        raise UserError(f"mode must be one of {', '.join(_SCALES)}, got {a.mode!r}: write mode='triangular'")
    cycle, ranged = _SCALES.get(a.mode, (1.0, False))
    gamma = a.gamma if ranged else 1.0
    wide, falls = up == int(up) and down == int(down), 0 < gamma <= 1 and low < high
    if a.scale_fn is not None or not wide or not falls:
        return table(_cyclic_rates(a, low, high, up, down))
    top = up if gamma == 1 else min(up, -1 / math.log(gamma))
    share = (top / up) * gamma**top
    total = _total(a, int(up))
    options: dict[str, Any] = {
        "rise": int(up),
        "fall": int(down),
        "cycle_mult": cycle,
        "step_mult": gamma,
        "at": "left",
    }
    made = STEPS.made(
        triangular(base=rate(low) if low else 0.0, **options), low + (high - low) * share, total
    )
    return _moving(a, made, triangular(**options), share)


def _cyclic_rates(a: Any, low: float, high: float, up: float, down: float) -> list[float]:
    """What CyclicLR does where no cycle of preheat's says it: a scale of the user's, a range that grows,
    broken lengths."""
    out = []
    for k in range(_total(a)):
        cycle, x = divmod(k, up + down)
        height = x / up if x <= up else (up + down - x) / down
        by_cycle = a.scale_mode == "cycle" if a.scale_fn is not None else a.mode != "exp_range"
        scale = a.scale_fn or {"triangular": lambda n: 1.0, "triangular2": lambda n: 0.5 ** (n - 1)}.get(
            a.mode, lambda n: a.gamma**n
        )
        out.append(low + (high - low) * height * scale(cycle + 1 if by_cycle else k))
    return out


def _moving(a: Any, made: Recipe, swing: Rule, share: float = 1.0) -> Recipe:
    """With the momentum, or beta1, that torch moves against the rate; share: how far of its way it goes at
    the peak."""
    if not a.cycle_momentum:
        return made
    high = float(a.max_momentum)
    moves = Between(swing, at_zero=high, at_peak=high + (float(a.base_momentum) - high) * share)
    return replace(made, also={"momentum": moves})


def _one_cycle(a: Any) -> Recipe:
    if a.total_steps is None and (a.epochs is None or a.steps_per_epoch is None):
        raise UserError(
            "OneCycleLR needs total_steps, or epochs and steps_per_epoch, got neither: write total_steps=1000"
        )
    total = whole("total_steps", a.epochs * a.steps_per_epoch if a.total_steps is None else a.total_steps)
    if a.total is not None and a.total > total:
        raise UserError(
            f"torch's OneCycleLR raises after total_steps={total}, got total={a.total}: write "
            f"total_steps={a.total}"
        )
    curves = {"cos": "cosine", "linear": "linear"}
    if a.anneal_strategy not in curves:
        raise UserError(
            f"anneal_strategy must be cos or linear, got {a.anneal_strategy!r}: write anneal_strategy='cos'"
        )
    start = 1 / within("div_factor", a.div_factor, 1.0, math.inf)
    phases = {
        "pct_start": a.pct_start,
        "curve": curves[a.anneal_strategy],
        "three_phase": bool(a.three_phase),
    }
    final = start / positive("final_div_factor", a.final_div_factor)
    made = STEPS.made(
        torch_one_cycle(total, start=start, final=final, **phases), positive("max_lr", a.max_lr), total
    )
    return _moving(a, made, torch_one_cycle(total, start=0.0, final=0.0, **phases))


_MOMENTUM = {"cycle_momentum": True, "max_momentum": 0.9, "base_momentum": 0.8}
_CYCLIC: dict[str, Any] = {
    "base_lr": ...,
    "max_lr": ...,
    "step_size_up": 2000,
    "step_size_down": None,
    "mode": "triangular",
    "gamma": 1.0,
}
_ONE_CYCLE: dict[str, Any] = {
    "max_lr": ...,
    "total_steps": None,
    "epochs": None,
    "steps_per_epoch": None,
    "pct_start": 0.3,
}
_ONE_CYCLE |= {"anneal_strategy": "cos", "div_factor": 25.0, "final_div_factor": 1e4, "three_phase": False}
CLASSES = {
    "LambdaLR": Known(_lambda, {"lr_lambda": ...}),
    "MultiplicativeLR": Known(_multiplicative, {"lr_lambda": ...}),
    "StepLR": Known(_step, {"step_size": ..., "gamma": 0.1}),
    "MultiStepLR": Known(_multistep, {"milestones": ..., "gamma": 0.1}),
    "ConstantLR": Known(_constant, {"factor": 1 / 3, "total_iters": 5}),
    "LinearLR": Known(_linear, {"start_factor": 1 / 3, "end_factor": 1.0, "total_iters": 5}),
    "ExponentialLR": Known(_exponential, {"gamma": ...}),
    "PolynomialLR": Known(_polynomial, {"total_iters": 5, "power": 1.0}),
    "CosineAnnealingLR": Known(_cosine, {"T_max": ..., "eta_min": 0.0}),
    "CosineAnnealingWarmRestarts": Known(_restarts, {"T_0": ..., "T_mult": 1, "eta_min": 0.0}),
    "CyclicLR": Known(_cyclic, {**_CYCLIC, "scale_fn": None, "scale_mode": "cycle", **_MOMENTUM}),
    "OneCycleLR": Known(_one_cycle, {**_ONE_CYCLE, **_MOMENTUM, "max_momentum": 0.95, "base_momentum": 0.85}),
}
