"""transformers.get_scheduler: every name of its SchedulerType. Checked against transformers 5.23."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from preheat.adapters.conversions.common import (
    STEPS,
    Known,
    Line,
    cut,
    draw,
    join,
    library,
    positive,
    read,
    table,
    whole,
    within,
)
from preheat.core.errors import UserError
from preheat.core.lengths import steps
from preheat.core.levels import Level, rate
from preheat.schedules.decays import constant, cosine, linear, polynomial
from preheat.schedules.pieces import Piece, Pieces
from preheat.schedules.recipe import Recipe
from preheat.schedules.roots import inverse_sqrt
from preheat.schedules.stable import wsd
from preheat.schedules.warm_restarts import restarts


def from_transformers(
    name: str,
    lr: float | None = None,
    *,
    num_warmup_steps: int = 0,
    num_training_steps: int | None = None,
    scheduler_specific_kwargs: Mapping[str, Any] | None = None,
    **arguments: Any,
) -> Recipe:
    """A schedule of `transformers.get_scheduler` by its name and arguments.

    lr: the optimizer's rate. num_training_steps: the updates of the run; warmup_stable_decay may give
    num_stable_steps instead. A schedule's own arguments are written out, or in scheduler_specific_kwargs as
    there. The names: linear, cosine, cosine_with_restarts, polynomial, constant, constant_with_warmup,
    inverse_sqrt, cosine_with_min_lr, cosine_warmup_with_min_lr, warmup_stable_decay.

    >>> made = from_transformers("cosine", 3e-4, num_warmup_steps=100, num_training_steps=1000)
    >>> print(made.schedule, made.peak, made.total)
    cosine(warmup=100, at=left) 0.0003 1000

    Errors: UserError where the name listens to training or the warmup does not fit in the run.
    """
    given = {
        **arguments,
        "lr": lr,
        "num_warmup_steps": num_warmup_steps,
        "num_training_steps": num_training_steps,
    }
    own = {} if scheduler_specific_kwargs is None else scheduler_specific_kwargs
    if not isinstance(own, Mapping):
        raise UserError(f"scheduler_specific_kwargs must be a dict, got {own!r}: write {{'num_cycles': 0.5}}")
    if twice := [key for key in own if key in given]:
        raise UserError(
            f"an argument is written once, got {', '.join(twice)} in scheduler_specific_kwargs too: leave it "
            "out there"
        )
    common = {"lr": None, "num_warmup_steps": 0, "num_training_steps": None}
    theirs = library("transformers", _KNOWN, common, refused=_REFUSED, hints=_HINTS)
    return cut(read(theirs, getattr(name, "value", name), {**own, **given}), num_training_steps)


def _rate(a: Any) -> float:
    """The optimizer's rate."""
    if a.lr is None:
        raise UserError("transformers' schedulers start from the optimizer's rate, got none: write lr=3e-4")
    return positive("lr", a.lr)


def _run(a: Any) -> tuple[float, int, int]:
    """Peak rate, warmup and total."""
    if a.num_training_steps is None:
        raise UserError("the run's length is needed, got none: write num_training_steps=1000")
    warmup, total = (
        whole("num_warmup_steps", a.num_warmup_steps, 0),
        whole("num_training_steps", a.num_training_steps),
    )
    if warmup > total:
        raise UserError(
            f"the warmup must fit in the run, got num_warmup_steps={warmup} of {total}: shorten it"
        )
    return _rate(a), warmup, total


def _rise(warmup: int, **more: Any) -> dict[str, Any]:
    return {"warmup": steps(warmup), **{"at": "left", **more}}


def _constant(a: Any) -> Recipe:
    lr, warmup, total = _run(a)
    if warmup:
        raise UserError(
            f"transformers' constant has no warmup, got num_warmup_steps={warmup}: write constant_with_warmup"
        )
    return STEPS.made(constant(at="left"), lr, total)


def _constant_with_warmup(a: Any) -> Recipe:
    lr, warmup, total = _run(a)
    return STEPS.made(constant(**_rise(warmup)), lr, total)


def _linear(a: Any) -> Recipe:
    lr, warmup, total = _run(a)
    return STEPS.made(linear(**_rise(warmup)), lr, total)


def _floor(a: Any) -> Level:
    """min_lr, a rate, or min_lr_rate, a ratio."""
    if (a.min_lr is None) == (a.min_lr_rate is None):
        raise UserError(
            f"the floor is min_lr or min_lr_rate, got {a.min_lr!r} and {a.min_lr_rate!r}: write "
            "min_lr_rate=0.1"
        )
    if a.min_lr is None:
        return within("min_lr_rate", a.min_lr_rate, 0.0, 1.0)
    return rate(within("min_lr", a.min_lr, 0.0, a.lr)) if a.min_lr else 0.0


def _cosine(a: Any) -> Recipe:
    lr, warmup, total = _run(a)
    final = _floor(a) if hasattr(a, "min_lr") else 0.0
    if a.num_cycles == 0.5:
        return STEPS.made(cosine(final=final, **_rise(warmup)), lr, total)
    factor = final if isinstance(final, float) else final.value / lr
    low, waves = lr * factor, 2 * positive("num_cycles", a.num_cycles)
    if waves != int(waves):
        wave = table(_waves(lr, low, total - warmup, waves))
        return join([STEPS.made(constant(**_rise(warmup)), lr, warmup), wave], [warmup]) if warmup else wave
    half = (total - warmup) / waves
    turns = [lr, low] * int(waves)
    lines = [Line(half, turns[i], turns[i + 1], "cosine") for i in range(int(waves))]
    return draw(total, [Line(warmup, 0.0, lr), *lines[:-1], lines[-1]._replace(length=None)])


def _waves(high: float, low: float, n: int, waves: float, first: int = 0) -> list[float]:
    """`waves` half waves of a cosine from `high`, over n updates, seen from update `first` on."""
    return [low + (high - low) * math.cos(math.pi / 2 * (waves * (k + first) / n)) ** 2 for k in range(n)]


def _restarts(a: Any) -> Recipe:
    lr, warmup, total = _run(a)
    cycles = whole("num_cycles", a.num_cycles)
    if cycles == 1:
        return STEPS.made(cosine(**_rise(warmup)), lr, total)
    return STEPS.made(
        restarts(period=STEPS.length((total - warmup) / cycles, total), **_rise(warmup)), lr, total
    )


def _polynomial(a: Any) -> Recipe:
    lr, warmup, total = _run(a)
    end = within("lr_end", a.lr_end, 0.0, lr)
    final = rate(end) if end else 0.0
    if a.power == 1:
        return STEPS.made(linear(final=final, **_rise(warmup)), lr, total)
    return STEPS.made(polynomial(power=a.power, final=final, **_rise(warmup)), lr, total)


def _inverse_sqrt(a: Any) -> Recipe:
    lr, warmup, total = _run(a)
    scale = None if a.timescale in (None, warmup) and warmup else steps(a.timescale or 10_000)
    return STEPS.made(inverse_sqrt(timescale=scale, **_rise(warmup)), lr, total)


def _cosine_from_above(a: Any) -> Recipe:
    """The variant that starts above 0 and ends on its floor: the rate of update k is the curve's at k + 1."""
    lr, warmup, total = _run(a)
    final, start = _floor(a), a.warmup_lr_rate
    if start is not None:
        start = within("warmup_lr_rate", start, 0.0, 1.0)
    if a.num_cycles != 0.5:
        first = [
            (k + 1) / warmup if start is None else start + (1 - start) * k / max(1, warmup - 1)
            for k in range(warmup)
        ]
        low = final * lr if isinstance(final, float) else final.value
        return table(
            [
                *(lr * f for f in first),
                *_waves(lr, low, total - warmup, 2 * positive("num_cycles", a.num_cycles), 1),
            ]
        )
    if start is None or warmup == 0:
        return STEPS.made(cosine(final=final, **_rise(warmup, at="right")), lr, total)
    rise = (Piece(steps(1), start, start), Piece(steps(warmup - 1), start, 1.0))
    return STEPS.made(Pieces((*rise, Piece(None, 1.0, final, "cosine")), at="right"), lr, total)


def _stable(a: Any) -> Recipe:
    lr, warmup = _rate(a), whole("num_warmup_steps", a.num_warmup_steps, 0)
    asked = 0 if a.num_training_steps is None else whole("num_training_steps", a.num_training_steps)
    fall, floor = (
        whole("num_decay_steps", a.num_decay_steps, 0),
        within("min_lr_ratio", a.min_lr_ratio, 0.0, 1.0),
    )
    for what, curve in (("warmup_type", a.warmup_type), ("decay_type", a.decay_type)):
        if curve not in ("linear", "cosine", "1-sqrt"):
            raise UserError(f"{what} must be linear, cosine or 1-sqrt, got {curve!r}: write {what}='linear'")
    if not asked and a.num_stable_steps is None:
        raise UserError(
            "warmup_stable_decay needs num_training_steps or num_stable_steps, got neither: write one"
        )
    used = (
        asked
        if a.num_stable_steps is None
        else warmup + whole("num_stable_steps", a.num_stable_steps, 0) + fall
    )
    if used < warmup + fall:
        raise UserError(
            f"warmup and decay must fit in the run, got {warmup} + {fall} of {used} steps: shorten one of "
            "them"
        )
    total = max(used, asked)
    rise = _rise(warmup, warmup_curve=a.warmup_type, warmup_start=floor)
    low = lr * floor
    if a.decay_type == "cosine" and a.num_cycles != 0.5:
        tail = [*_waves(lr, low, fall, 2 * positive("num_cycles", a.num_cycles)), *[low] * (total - used)]
        return join([STEPS.made(constant(**rise), lr, used - fall), table(tail)], [used - fall])
    if total == used:
        return STEPS.made(
            wsd(cooldown=steps(fall), cooldown_curve=a.decay_type, final=floor, **rise), lr, total
        )
    first = [
        Line(warmup, low, lr, a.warmup_type),
        Line(used - warmup - fall, lr, lr),
        Line(fall, lr, low, a.decay_type),
    ]
    return draw(total, [*first, Line(None, low, low)])


_NO_FLOOR = {"num_cycles": 0.5}
_WITH_FLOOR = {"num_cycles": 0.5, "min_lr": None, "min_lr_rate": None}
_TYPES = {"warmup_type": "linear", "decay_type": "cosine", "min_lr_ratio": 0.0, "num_cycles": 0.5}
_KNOWN = {
    "linear": Known(_linear, {}),
    "cosine": Known(_cosine, _NO_FLOOR),
    "cosine_with_restarts": Known(_restarts, {"num_cycles": 1}),
    "polynomial": Known(_polynomial, {"lr_end": 1e-7, "power": 1.0}),
    "constant": Known(_constant, {}),
    "constant_with_warmup": Known(_constant_with_warmup, {}),
    "inverse_sqrt": Known(_inverse_sqrt, {"timescale": None}),
    "cosine_with_min_lr": Known(_cosine, _WITH_FLOOR),
    "cosine_warmup_with_min_lr": Known(_cosine_from_above, {**_WITH_FLOOR, "warmup_lr_rate": None}),
    "warmup_stable_decay": Known(_stable, {"num_decay_steps": ..., "num_stable_steps": None, **_TYPES}),
}
_LISTENS = "it listens to the training, so its rates are not known beforehand; write a cosine or wsd"
_SHARE = (
    "num_warmup_steps=math.ceil(num_training_steps * share), as TrainingArguments rounds a share of the run"
)
_HINTS = {
    "warmup": "num_warmup_steps=10",
    "warmup_ratio": _SHARE,
    "warmup_steps": f"num_warmup_steps=10, or {_SHARE}",
    "total": "num_training_steps=1000",
    "max_steps": "num_training_steps=1000",
    "learning_rate": "lr=3e-4",
    "lr_scheduler_kwargs": "scheduler_specific_kwargs={...}",
}
_REFUSED = {"reduce_lr_on_plateau": _LISTENS, "greedy": _LISTENS}
