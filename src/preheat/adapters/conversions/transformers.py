"""transformers.get_scheduler: every name of its SchedulerType. Checked against transformers 5.23."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from preheat.adapters.conversions.arguments import Conversion, convert, library, takes
from preheat.adapters.conversions.checks import base_rate, bounded, positive, whole_number
from preheat.adapters.conversions.joining import join, shortened, standing
from preheat.adapters.conversions.rates import STEPS, Leg, follow, power_fall, table
from preheat.core.errors import UserError
from preheat.core.lengths import is_number, steps
from preheat.core.levels import Level, rate
from preheat.schedules.pieces import Piece
from preheat.schedules.recipes.recipe import Recipe


def from_transformers(
    name: str,
    lr: float | None = None,
    *,
    num_warmup_steps: int = 0,
    num_training_steps: int | None = None,
    warmup_steps: float | None = None,
    scheduler_specific_kwargs: Mapping[str, Any] | None = None,
    **arguments: Any,
) -> Recipe:
    """A schedule of `transformers.get_scheduler` by its name and arguments.

    lr: the optimizer's rate. num_training_steps: the updates of the run; warmup_stable_decay may give
    num_stable_steps instead. warmup_steps: in place of num_warmup_steps, as TrainingArguments of transformers
    5 read it: below 1 the share of the run, rounded up. A schedule's own arguments are written out, or in
    scheduler_specific_kwargs as there. The names: linear, cosine, cosine_with_restarts, polynomial, constant,
    constant_with_warmup, inverse_sqrt, cosine_with_min_lr, cosine_warmup_with_min_lr, warmup_stable_decay.

    >>> made = from_transformers("cosine", 3e-4, num_warmup_steps=100, num_training_steps=1000)
    >>> print(made.schedule, made.peak, made.total)
    cosine(warmup=100, at=left) 0.0003 1000

    Errors: UserError where the name listens to training or the warmup does not fit in the run.
    """
    num_warmup_steps = _warmup(num_warmup_steps, warmup_steps, num_training_steps)
    run = {"lr": lr, "num_warmup_steps": num_warmup_steps, "num_training_steps": num_training_steps}
    given = {**arguments, **run}
    own = {} if scheduler_specific_kwargs is None else scheduler_specific_kwargs
    if not isinstance(own, Mapping):
        raise UserError(f"scheduler_specific_kwargs must be a dict, got {own!r}: write {{'num_cycles': 0.5}}")
    if twice := [key for key in own if key in given]:
        got = f"got {', '.join(twice)} in scheduler_specific_kwargs too: leave it out there"
        raise UserError(f"an argument is written once, {got}")
    common = takes(lr=None, num_warmup_steps=0, num_training_steps=None)
    theirs = library("transformers", _KNOWN, common, refused=_REFUSED, hints=_HINTS)
    made = convert(theirs, getattr(name, "value", name), {**own, **given})
    return standing(shortened(made, num_training_steps), lr)


def _warmup(given: int, asked: Any, total: Any) -> int:
    """The updates of the warmup: num_warmup_steps, or TrainingArguments' warmup_steps."""
    if asked is None:
        return given
    if given:
        got = f"got warmup_steps={asked!r} and num_warmup_steps={given!r}"
        raise UserError(f"the warmup is written once, {got}: leave num_warmup_steps out")
    if not is_number(asked) or asked < 0:
        raise UserError(
            f"warmup_steps must be a number of steps, or a share of the run below 1, got {asked!r}: write "
            "warmup_steps=0.05"
        )
    if asked >= 1:
        return int(asked)  # as transformers cuts it
    if total is None:
        raise UserError(
            f"a share of the run needs its length, got warmup_steps={asked!r}: write num_training_steps=1000"
        )
    return math.ceil(whole_number("num_training_steps", total) * float(asked))


def _run(a: Any) -> tuple[float, int, int]:
    """Peak rate, warmup and total."""
    if a.num_training_steps is None:
        raise UserError("the run's length is needed, got none: write num_training_steps=1000")
    warmup = whole_number("num_warmup_steps", a.num_warmup_steps, least=0)
    total = whole_number("num_training_steps", a.num_training_steps)
    if warmup > total:
        got = f"got num_warmup_steps={warmup} of {total}"
        raise UserError(f"the warmup must fit in the run, {got}: shorten it")
    return base_rate(a, "transformers'"), warmup, total


def _constant(a: Any) -> Recipe:
    lr, warmup, total = _run(a)
    if warmup:
        got = f"got num_warmup_steps={warmup}: write constant_with_warmup"
        raise UserError(f"transformers' constant has no warmup, {got}")
    return STEPS.of("constant", lr, total)


def _constant_with_warmup(a: Any) -> Recipe:
    lr, warmup, total = _run(a)
    return STEPS.of("constant", lr, total, warmup=steps(warmup))


def _rise_alone(lr: float, warmup: int) -> Recipe:
    """A warmup that is as long as the run, in front of any decay."""
    return STEPS.of("constant", lr, warmup, warmup=steps(warmup))


def _linear(a: Any) -> Recipe:
    lr, warmup, total = _run(a)
    if warmup == total:
        return _rise_alone(lr, warmup)
    return STEPS.of("linear", lr, total, warmup=steps(warmup))


def _floor(a: Any) -> Level:
    """min_lr, a rate, or min_lr_rate, a ratio."""
    if (a.min_lr is None) == (a.min_lr_rate is None):
        got = f"got {a.min_lr!r} and {a.min_lr_rate!r}"
        raise UserError(f"the floor is min_lr or min_lr_rate, {got}: write min_lr_rate=0.1")
    if a.min_lr is None:
        return bounded("min_lr_rate", a.min_lr_rate, 0.0, 1.0)
    return rate(bounded("min_lr", a.min_lr, 0.0, a.lr)) if a.min_lr else 0.0


def _cosine(a: Any) -> Recipe:
    lr, warmup, total = _run(a)
    final = _floor(a) if hasattr(a, "min_lr") else 0.0
    if warmup == total:
        positive("num_cycles", a.num_cycles)
        return _rise_alone(lr, warmup)
    if a.num_cycles == 0.5:
        return STEPS.of("cosine", lr, total, final=final, warmup=steps(warmup))
    factor = final if isinstance(final, float) else final.value / lr
    low, waves = lr * factor, 2 * positive("num_cycles", a.num_cycles)
    if waves != int(waves):
        wave = table(_waves(lr, low, total - warmup, waves))
        if not warmup:
            return wave
        return join([STEPS.of("constant", lr, warmup, warmup=steps(warmup)), wave], [warmup])
    half = (total - warmup) / waves
    turns = [lr, low] * int(waves)
    legs = [Leg(half, turns[i], turns[i + 1], "cosine") for i in range(int(waves))]
    return follow(total, [Leg(warmup, 0.0, lr), *legs[:-1], legs[-1]._replace(length=None)])


def _waves(high: float, low: float, n: int, waves: float, first: int = 0) -> list[float]:
    """`waves` half waves of a cosine from `high`, over n updates, seen from update `first` on."""
    return [low + (high - low) * math.cos(math.pi / 2 * (waves * (k + first) / n)) ** 2 for k in range(n)]


def _restarts(a: Any) -> Recipe:
    lr, warmup, total = _run(a)
    cycles = whole_number("num_cycles", a.num_cycles)
    if warmup == total:
        return _rise_alone(lr, warmup)
    if cycles == 1:
        return STEPS.of("cosine", lr, total, warmup=steps(warmup))
    period = STEPS.length((total - warmup) / cycles, total)
    return STEPS.of("restarts", lr, total, period=period, warmup=steps(warmup))


def _polynomial(a: Any) -> Recipe:
    lr, warmup, total = _run(a)
    end, power = bounded("lr_end", a.lr_end, 0.0, lr), positive("power", a.power)
    if warmup == total:
        return _rise_alone(lr, warmup)
    return power_fall(lr, total, power, final=rate(end) if end else 0.0, warmup=steps(warmup))


def _inverse_sqrt(a: Any) -> Recipe:
    lr, warmup, total = _run(a)
    scale = None if a.timescale in (None, warmup) and warmup else steps(a.timescale or 10_000)
    return STEPS.of("inverse_sqrt", lr, total, timescale=scale, warmup=steps(warmup))


def _cosine_from_above(a: Any) -> Recipe:
    """The variant that starts above 0 and ends on its floor: the rate of update k is the curve's at k + 1."""
    lr, warmup, total = _run(a)
    final, start = _floor(a), a.warmup_lr_rate
    if start is not None:
        start = bounded("warmup_lr_rate", start, 0.0, 1.0)
    if a.num_cycles != 0.5:
        low = final * lr if isinstance(final, float) else final.value
        waves = positive("num_cycles", a.num_cycles)
        first = [lr * _above_0(k, warmup, start) for k in range(warmup)]
        return table([*first, *_waves(lr, low, total - warmup, 2 * waves, 1)])
    if start is None and warmup == total:
        return STEPS.of("constant", lr, total, warmup=steps(warmup), at="right")
    if start is None or warmup == 0:
        return STEPS.of("cosine", lr, total, final=final, warmup=steps(warmup), at="right")
    rise = (Piece(steps(1), start, start), Piece(steps(warmup - 1), start, 1.0))
    pieces = (*rise, *([Piece(None, 1.0, final, "cosine")] if warmup < total else []))
    return STEPS.of("pieces", lr, total, pieces=pieces, at="right")


def _above_0(k: int, warmup: int, start: float | None) -> float:
    """The factor of update k of that variant's warmup."""
    return (k + 1) / warmup if start is None else start + (1 - start) * k / max(1, warmup - 1)


def _stable(a: Any) -> Recipe:
    lr = base_rate(a, "transformers'")
    warmup = whole_number("num_warmup_steps", a.num_warmup_steps, least=0)
    fall = whole_number("num_decay_steps", a.num_decay_steps, least=0)
    floor = bounded("min_lr_ratio", a.min_lr_ratio, 0.0, 1.0)
    used, total = _stable_steps(a, warmup, fall)
    for what, curve in (("warmup_type", a.warmup_type), ("decay_type", a.decay_type)):
        if curve not in ("linear", "cosine", "1-sqrt"):
            raise UserError(f"{what} must be linear, cosine or 1-sqrt, got {curve!r}: write {what}='linear'")
    rise: dict[str, Any] = {"warmup": steps(warmup), "warmup_curve": a.warmup_type, "warmup_start": floor}
    low = lr * floor
    if a.decay_type == "cosine" and a.num_cycles != 0.5:
        tail = [*_waves(lr, low, fall, 2 * positive("num_cycles", a.num_cycles)), *[low] * (total - used)]
        return join([STEPS.of("constant", lr, used - fall, **rise), table(tail)], [used - fall])
    if total == used:
        down = {"cooldown": steps(fall), "cooldown_curve": a.decay_type, "final": floor}
        return STEPS.of("wsd", lr, total, **down, **rise)
    up, held = Leg(warmup, low, lr, a.warmup_type), Leg(used - warmup - fall, lr, lr)
    return follow(total, [up, held, Leg(fall, lr, low, a.decay_type), Leg(None, low, low)])


def _stable_steps(a: Any, warmup: int, fall: int) -> tuple[int, int]:
    """The steps that warmup, plateau and decay take, and those of the run."""
    asked = 0 if a.num_training_steps is None else whole_number("num_training_steps", a.num_training_steps)
    used = asked
    if a.num_stable_steps is not None:
        used = warmup + whole_number("num_stable_steps", a.num_stable_steps, least=0) + fall
    elif not asked:
        need = "num_training_steps or num_stable_steps"
        raise UserError(f"warmup_stable_decay needs {need}, got neither: write one")
    if used < warmup + fall:
        got = f"got {warmup} + {fall} of {used} steps"
        raise UserError(f"warmup and decay must fit in the run, {got}: shorten one of them")
    return used, max(used, asked)


_FLOOR = takes(num_cycles=0.5, min_lr=None, min_lr_rate=None)
_TYPES = takes(warmup_type="linear", decay_type="cosine", min_lr_ratio=0.0, num_cycles=0.5)
_KNOWN = {
    "linear": Conversion(_linear, {}),
    "cosine": Conversion(_cosine, takes(num_cycles=0.5)),
    "cosine_with_restarts": Conversion(_restarts, takes(num_cycles=1)),
    "polynomial": Conversion(_polynomial, takes(lr_end=1e-7, power=1.0)),
    "constant": Conversion(_constant, {}),
    "constant_with_warmup": Conversion(_constant_with_warmup, {}),
    "inverse_sqrt": Conversion(_inverse_sqrt, takes(timescale=None)),
    "cosine_with_min_lr": Conversion(_cosine, _FLOOR),
    "cosine_warmup_with_min_lr": Conversion(_cosine_from_above, {**_FLOOR, "warmup_lr_rate": None}),
    "warmup_stable_decay": Conversion(_stable, {**takes("num_decay_steps", num_stable_steps=None), **_TYPES}),
}
_LISTENS = "it listens to the training, so its rates are not known beforehand; write a cosine or wsd"
_HINTS = {
    "warmup": "num_warmup_steps=10",
    "warmup_ratio": "warmup_steps=0.1, the share of the run",
    "total": "num_training_steps=1000",
    "max_steps": "num_training_steps=1000",
    "learning_rate": "lr=3e-4",
    "lr_scheduler_kwargs": "scheduler_specific_kwargs={...}",
}
_REFUSED = {"reduce_lr_on_plateau": _LISTENS, "greedy": _LISTENS}
