"""timm.scheduler: by class, or as create_scheduler_v2 names and takes them. Checked against timm 1.0.31."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from preheat.adapters.conversions.arguments import Conversion, convert, library, takes
from preheat.adapters.conversions.checks import whole_number
from preheat.adapters.conversions.joining import shortened, standing
from preheat.adapters.conversions.timm_classes import (
    COMMON,
    TIMM_CLASSES,
    cycled,
    multistep_drops,
    per_epoch,
    stable,
    step_drops,
)
from preheat.schedules.recipes.recipe import Recipe


def from_timm(
    name: str, *, lr: float, total: int | None = None, updates_per_epoch: int | None = None, **arguments: Any
) -> Recipe:
    """A scheduler of timm's: a class's name and arguments, or a name and arguments of create_scheduler_v2.

    lr: the optimizer's rate. A class counts epochs (t_in_epochs, the default) or updates, and so does
    create_scheduler_v2 (step_on_epochs); a rate that changes by epochs is held for all updates of one.
    updates_per_epoch: how many updates an epoch has, needed unless a class counts updates; 1 gives a table in
    epochs. total: epochs, or updates, of the run; needed for step, multistep and constant by class, and may
    cut the others. A name of create_scheduler_v2: cosine, tanh, step, multistep, poly, wsd, rsqrt, constant.
    Lower case with a class's own arguments (t_initial, decay_t) means the class.

    >>> run = {"num_epochs": 30, "warmup_epochs": 5, "warmup_prefix": True, "updates_per_epoch": 100}
    >>> made = from_timm("cosine", lr=0.1, **run)
    >>> print(made.schedule, made.peak, made.total)
    cosine(warmup=5ep, warmup_start=1e-05lr, at=left, every=epoch) 0.1 3500

    With warmup_prefix=False, timm's default, the warmup covers the first part of the curve: the rate falls at
    its end. Errors: UserError for noise, plateau and a warmup that does not fit.
    """
    if isinstance(name, str) and {"t_initial", "decay_t"} & set(arguments):
        name = _CLASS_OF.get(name, name)
    total = None if total is None else whole_number("total", total)
    known = {key: Conversion(one.make, {**one.options, **COMMON}) for key, one in TIMM_CLASSES.items()}
    known |= {key: Conversion(make, _V2) for key, make in _FACTORY.items()}
    run = {"lr": lr, "total": total, "updates_per_epoch": updates_per_epoch}
    common = takes("lr", total=None, updates_per_epoch=None)
    timms = library("timm", known, common, refused=_REFUSED)
    return standing(shortened(convert(timms, name, {**arguments, **run}), total), lr)


def _v2(a: Any) -> tuple[dict[str, Any], Callable[[float], Any]]:
    """The arguments of create_scheduler_v2 that all classes share, and what turns its epochs into counts."""
    size = per_epoch(a)
    each = 1 if a.step_on_epochs else size
    run = {"lr": a.lr, "updates_per_epoch": size, "t_in_epochs": a.step_on_epochs, "noise": a.noise}
    warm = {"warmup_t": a.warmup_epochs * each, "warmup_lr_init": a.warmup_lr}
    return {**run, **warm}, lambda epochs: epochs * each


def _v2_cycled(**more: str | float) -> Callable[[Any], Recipe]:
    def make(a: Any) -> Recipe:
        run, counts = _v2(a)
        run |= {"cycle_mul": a.cycle_mul, "cycle_decay": a.cycle_decay, "cycle_limit": a.cycle_limit}
        run |= {key: getattr(a, name) if isinstance(name, str) else name for key, name in more.items()}
        n, prefix = counts(a.num_epochs), run["warmup_t"] if a.warmup_prefix else 0
        cycles = math.floor(sum(n * a.cycle_mul**i for i in range(a.cycle_limit)))
        total = cycles + prefix + counts(a.cooldown_epochs) if a.total is None else a.total
        place = {"t_initial": n, "lr_min": a.min_lr, "warmup_prefix": a.warmup_prefix, "total": total}
        return cycled(SimpleNamespace(**run, **place))

    return make


def _v2_drops(a: Any, make: Callable[[Any], Recipe], **own: Any) -> Recipe:
    run, counts = _v2(a)
    before = a.warmup_epochs if a.warmup_prefix else 0
    total = counts(a.num_epochs + before) if a.total is None else a.total
    return make(SimpleNamespace(**own, **run, warmup_prefix=a.warmup_prefix, total=total))


def _v2_step(a: Any) -> Recipe:
    every = 90 if a.decay_epochs is None else a.decay_epochs
    return _v2_drops(a, step_drops, decay_t=_v2(a)[1](every), decay_rate=a.decay_rate)


def _v2_multistep(a: Any) -> Recipe:
    places = [_v2(a)[1](m) for m in a.decay_milestones]
    return _v2_drops(a, multistep_drops, decay_t=places, decay_rate=a.decay_rate)


def _v2_stable(fn: str, decay_fn: str) -> Callable[[Any], Recipe]:
    def make(a: Any) -> Recipe:
        run, counts = _v2(a)
        n = counts(a.num_epochs) - (0 if a.warmup_prefix else run["warmup_t"])
        fall = 0.2 if a.decay_epochs is None else a.decay_epochs
        scale = None if fn == "constant" or a.stable_timescale is None else counts(a.stable_timescale)
        total = run["warmup_t"] + n + counts(a.cooldown_epochs) if a.total is None else a.total
        run |= {"stable_fn": fn, "stable_timescale": scale, "stable_power": 0.5, "lr_min": a.min_lr}
        run |= {"decay_fn": a.decay_fn or decay_fn, "decay_power": 0.5, "decay_ratio": 0.1}
        decay = round(fall * n if 0 < fall < 1 else counts(fall))
        return stable(SimpleNamespace(**run, t_initial=n, decay_t=decay, total=total))

    return make


_V2 = takes(num_epochs=300, decay_epochs=None, decay_milestones=(90, 180, 270), cooldown_epochs=0)
_V2 |= takes(patience_epochs=10, decay_rate=0.1, min_lr=0.0, warmup_lr=1e-5, warmup_epochs=0)
_V2 |= takes(warmup_prefix=False, noise=None, noise_pct=0.67, noise_std=1.0, noise_seed=42)
_V2 |= takes(plateau_mode="max", step_on_epochs=True, cycle_mul=1.0, cycle_decay=0.1, cycle_limit=1)
_V2 |= takes(k_decay=1.0, decay_fn=None, stable_timescale=None)
_FACTORY: dict[str, Callable[[Any], Recipe]] = {
    "cosine": _v2_cycled(k_decay="k_decay"),
    "tanh": _v2_cycled(lb=-7.0, ub=3.0),
    "poly": _v2_cycled(k_decay="k_decay", power="decay_rate"),
    "step": _v2_step,
    "multistep": _v2_multistep,
    "constant": lambda a: _v2_drops(a, step_drops, decay_t=1, decay_rate=1.0),
    "wsd": _v2_stable("constant", "1-sqrt"),
    "rsqrt": _v2_stable("rsqrt", "linear"),
}
_LISTENS = "it listens to the training, so its rates are not known beforehand; write cosine or wsd"
_REFUSED = {"plateau": _LISTENS, "PlateauLRScheduler": _LISTENS}
_REFUSED |= {"none": "it is no scheduler; write 'constant'"}
_CLASS_OF = {
    "cosine": "CosineLRScheduler",
    "tanh": "TanhLRScheduler",
    "poly": "PolyLRScheduler",
    "step": "StepLRScheduler",
    "multistep": "MultiStepLRScheduler",
    "wsd": "WSDLRScheduler",
}
