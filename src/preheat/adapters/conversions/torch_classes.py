"""The single classes of torch.optim.lr_scheduler as schedules. `lr` and `total` are among the arguments."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import accumulate
from typing import Any

from preheat.adapters.conversions.arguments import Conversion, takes
from preheat.adapters.conversions.checks import asked_total, base_rate, bounded, positive, whole_number
from preheat.adapters.conversions.rates import STEPS, Leg, follow, multistep, power_fall, stairs, table
from preheat.core.between import Between
from preheat.core.errors import UserError
from preheat.core.lengths import steps
from preheat.core.levels import Level, rate
from preheat.schedules.recipes.recipe import Recipe
from preheat.schedules.recipes.torch_one_cycle import torch_one_cycle
from preheat.schedules.rule import Rule
from preheat.schedules.shapes.triangular import triangular


def _rate(a: Any) -> float:
    return base_rate(a, "torch's")


def _floor(a: Any) -> Level:
    """eta_min, an absolute rate, as a level."""
    bounded("eta_min", a.eta_min, 0.0, _rate(a))
    return rate(a.eta_min) if a.eta_min else 0.0


def _lambda(a: Any) -> Recipe:
    return table(_rate(a) * float(a.lr_lambda(k)) for k in range(asked_total(a)))


def _multiplicative(a: Any) -> Recipe:
    each = (float(a.lr_lambda(k)) for k in range(1, asked_total(a)))
    return table(_rate(a) * f for f in accumulate(each, lambda x, y: x * y, initial=1.0))


def _step(a: Any) -> Recipe:
    period, gamma = whole_number("step_size", a.step_size), bounded("gamma", a.gamma, 0.0, math.inf)
    return stairs(_rate(a), asked_total(a), period, gamma=gamma)


def _multistep(a: Any) -> Recipe:
    lr, total, gamma = _rate(a), asked_total(a), bounded("gamma", a.gamma, 0.0, math.inf)
    places = sorted(whole_number("each of milestones", m, least=0) for m in a.milestones)
    return multistep(lr, total, places, gamma=gamma)


def _constant(a: Any) -> Recipe:
    lr, n = _rate(a), whole_number("total_iters", a.total_iters)
    factor, total = bounded("factor", a.factor, 0.0, 1.0), asked_total(a)
    if factor == 0:
        raise UserError(
            "torch's ConstantLR divides by its factor, got 0: write factor=1e-8, or a run that begins later"
        )
    if n >= total or factor == 1:
        return STEPS.of("constant", lr * factor, total)
    return STEPS.of("constant", lr, total, warmup=steps(n), warmup_curve="constant", warmup_start=factor)


def _linear(a: Any) -> Recipe:
    lr, n = _rate(a), whole_number("total_iters", a.total_iters)
    start = bounded("start_factor", positive("start_factor", a.start_factor), 0.0, 1.0)
    end = bounded("end_factor", a.end_factor, 0.0, 1.0)
    total = n if a.total is None and end < start else asked_total(a, n)
    if end == 1.0 and start < 1.0:
        return STEPS.of("constant", lr, total, warmup=steps(n), warmup_start=start)
    if total == n and start == 1.0:
        return STEPS.of("linear", lr, total, final=end)
    return follow(total, [Leg(n, lr * start, lr * end), Leg(None, lr * end, lr * end)])


def _exponential(a: Any) -> Recipe:
    lr, total, gamma = _rate(a), asked_total(a), positive("gamma", a.gamma)
    if gamma >= 1:
        return follow(total, [Leg(None, lr, lr * gamma**total, "exponential")])
    if gamma**total < sys.float_info.min:
        return table(lr * gamma**k for k in range(total))
    return STEPS.of("exponential", lr, total, final=gamma**total)


def _polynomial(a: Any) -> Recipe:
    lr, n, power = _rate(a), whole_number("total_iters", a.total_iters), a.power
    total = max(n, int(a.total or n))
    if total > n:
        return follow(total, [Leg(n, lr, 0.0, "polynomial", power), Leg(None, 0.0, 0.0)])
    return power_fall(lr, total, power)


def _cosine(a: Any) -> Recipe:
    n = whole_number("T_max", a.T_max)
    if a.total is not None and a.total > n:
        raise UserError(
            f"torch's CosineAnnealingLR climbs again after T_max, got T_max={n} and total={a.total}: "
            "write total=T_max, or CosineAnnealingWarmRestarts"
        )
    return STEPS.of("cosine", _rate(a), n, final=_floor(a))


def _restarts(a: Any) -> Recipe:
    period, mult = whole_number("T_0", a.T_0), whole_number("T_mult", a.T_mult)
    total = asked_total(a, period)
    return STEPS.of("restarts", _rate(a), total, period=steps(period), mult=mult, final=_floor(a))


# mode: the scale of cycle n = 1, 2, ... or of update k, and whether it is by cycle
_SCALES: dict[str, tuple[Callable[[float, float], float], bool]] = {
    "triangular": (lambda n, gamma: 1.0, True),
    "triangular2": (lambda n, gamma: 0.5 ** (n - 1), True),
    "exp_range": (lambda k, gamma: gamma**k, False),
}


def _cyclic(a: Any) -> Recipe:
    high = positive("max_lr", a.max_lr)
    low = bounded("base_lr", a.base_lr, 0.0, high)
    up = positive("step_size_up", a.step_size_up)
    down = up if a.step_size_down is None else positive("step_size_down", a.step_size_down)
    if a.scale_fn is None and a.mode not in _SCALES:
        raise UserError(f"mode must be one of {', '.join(_SCALES)}, got {a.mode!r}: write mode='triangular'")
    gamma = a.gamma if a.mode == "exp_range" else 1.0
    whole, falls = up == int(up) and down == int(down), 0 < gamma <= 1 and low < high
    if a.scale_fn is not None or not whole or not falls:
        return table(_cyclic_rates(a, (low, high), (up, down), gamma))
    top = up if gamma == 1 else min(up, -1 / math.log(gamma))
    share = (top / up) * gamma**top
    total, cycle = asked_total(a, int(up)), 0.5 if a.mode == "triangular2" else 1.0
    swing = triangular(
        rise=steps(int(up)), fall=steps(int(down)), cycle_mult=cycle, step_mult=gamma, at="left"
    )
    peak = low + (high - low) * share
    made = STEPS.made(replace(swing, base=rate(low) if low else 0.0), peak, total)
    return _moving(a, made, swing, share)


def _cyclic_rates(a: Any, ends: tuple[float, float], steps: tuple[float, float], gamma: float) -> list[float]:
    """CyclicLR where no triangle says it: a scale of the user's, a range that grows, broken lengths."""
    (low, high), (up, down) = ends, steps
    scale, by_cycle = _SCALES.get(a.mode, _SCALES["exp_range"])
    if a.scale_fn is not None:
        scale, by_cycle = lambda n, gamma: a.scale_fn(n), a.scale_mode == "cycle"
    out = []
    for k in range(asked_total(a)):
        cycle, x = divmod(k, up + down)
        height = x / up if x <= up else (up + down - x) / down
        out.append(low + (high - low) * height * scale(cycle + 1 if by_cycle else k, gamma))
    return out


def _moving(a: Any, made: Recipe, swing: Rule, share: float = 1.0) -> Recipe:
    """With the momentum, or beta1, that moves against the rate, and goes `share` of its way at the peak."""
    if not a.cycle_momentum:
        return made
    high = float(a.max_momentum)
    moves = Between(swing, at_zero=high, at_peak=high + (float(a.base_momentum) - high) * share)
    return replace(made, also={"momentum": moves})


_CURVES = {"cos": "cosine", "linear": "linear"}


def _one_cycle(a: Any) -> Recipe:
    if a.total_steps is None and (a.epochs is None or a.steps_per_epoch is None):
        raise UserError(
            "OneCycleLR needs total_steps, or epochs and steps_per_epoch, got neither: write total_steps=1000"
        )
    given = a.epochs * a.steps_per_epoch if a.total_steps is None else a.total_steps
    total = whole_number("total_steps", given)
    if a.total is not None and a.total > total:
        got = f"got total={a.total}: write total_steps={a.total}"
        raise UserError(f"torch's OneCycleLR raises after total_steps={total}, {got}")
    if a.anneal_strategy not in _CURVES:
        got = f"got {a.anneal_strategy!r}: write anneal_strategy='cos'"
        raise UserError(f"anneal_strategy must be cos or linear, {got}")
    start = 1 / bounded("div_factor", a.div_factor, 1.0, math.inf)
    final = start / positive("final_div_factor", a.final_div_factor)
    phases: dict[str, Any] = {"pct_start": a.pct_start, "three_phase": bool(a.three_phase)}
    phases["curve"] = _CURVES[a.anneal_strategy]
    rule = torch_one_cycle(total, start=start, final=final, **phases)
    made = STEPS.made(rule, positive("max_lr", a.max_lr), total)
    return _moving(a, made, torch_one_cycle(total, start=0.0, final=0.0, **phases))


_MOMENTUM = {"cycle_momentum": True, "max_momentum": 0.9, "base_momentum": 0.8}
_CYCLIC = takes("base_lr", "max_lr", step_size_up=2000, step_size_down=None, mode="triangular", gamma=1.0)
_ONE_CYCLE = takes("max_lr", total_steps=None, epochs=None, steps_per_epoch=None, pct_start=0.3)
_ONE_CYCLE |= takes(anneal_strategy="cos", div_factor=25.0, final_div_factor=1e4, three_phase=False)
TORCH_CLASSES = {
    "LambdaLR": Conversion(_lambda, takes("lr_lambda")),
    "MultiplicativeLR": Conversion(_multiplicative, takes("lr_lambda")),
    "StepLR": Conversion(_step, takes("step_size", gamma=0.1)),
    "MultiStepLR": Conversion(_multistep, takes("milestones", gamma=0.1)),
    "ConstantLR": Conversion(_constant, takes(factor=1 / 3, total_iters=5)),
    "LinearLR": Conversion(_linear, takes(start_factor=1 / 3, end_factor=1.0, total_iters=5)),
    "ExponentialLR": Conversion(_exponential, takes("gamma")),
    "PolynomialLR": Conversion(_polynomial, takes(total_iters=5, power=1.0)),
    "CosineAnnealingLR": Conversion(_cosine, takes("T_max", eta_min=0.0)),
    "CosineAnnealingWarmRestarts": Conversion(_restarts, takes("T_0", T_mult=1, eta_min=0.0)),
    "CyclicLR": Conversion(_cyclic, {**_CYCLIC, "scale_fn": None, "scale_mode": "cycle", **_MOMENTUM}),
    "OneCycleLR": Conversion(
        _one_cycle, {**_ONE_CYCLE, **_MOMENTUM, "max_momentum": 0.95, "base_momentum": 0.85}
    ),
}
