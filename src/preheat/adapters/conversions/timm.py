"""timm.scheduler: by class, or by the names and arguments of create_scheduler_v2. Checked against timm
1.0.31."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from preheat.adapters.conversions.common import Known, cut, library, read, whole
from preheat.adapters.conversions.timm_classes import (
    CLASSES,
    COMMON,
    cycled,
    multistep,
    per_epoch,
    stable,
    step,
)
from preheat.schedules.recipe import Recipe


def from_timm(
    name: str, *, lr: float, total: int | None = None, updates_per_epoch: int | None = None, **arguments: Any
) -> Recipe:
    """A scheduler of timm's: a class's name with its arguments, or a name of create_scheduler_v2 with those
    of it.

    lr: the optimizer's rate. A class counts epochs (t_in_epochs, the default) or updates, and so does
    create_scheduler_v2 (step_on_epochs); a rate that changes by epochs is held for all updates of one.
    updates_per_epoch: how many updates an epoch has, needed unless a class counts updates; 1 gives a table in
    epochs. total: epochs, or updates, of the run; needed for step, multistep and constant by class, and may
    cut the others. A name of create_scheduler_v2: cosine, tanh, step, multistep, poly, wsd, rsqrt, constant.
    Lower case with a class's own arguments (t_initial, decay_t) means the class.

    >>> made = from_timm("cosine", lr=0.1, num_epochs=30, warmup_epochs=5, warmup_prefix=True, updates_per_epoch=100)
    >>> print(made.schedule, made.peak, made.total)
    cosine(warmup=5ep, warmup_start=1e-05lr, at=left, every=epoch) 0.1 3500

    With warmup_prefix=False, timm's default, the warmup covers the first part of the curve: the rate falls at
    its end. Errors: UserError for noise, plateau and a warmup that does not fit.
    """
    if isinstance(name, str) and {"t_initial", "decay_t"} & set(arguments):
        name = _CLASS_OF.get(name, name)
    total = None if total is None else whole("total", total)
    known = {key: Known(one.make, {**one.options, **COMMON}) for key, one in CLASSES.items()}
    known |= {key: Known(make, _V2) for key, make in _FACTORY.items()}
    timms = library("timm", known, {"lr": ..., "total": None, "updates_per_epoch": None}, refused=_REFUSED)
    return cut(
        read(timms, name, {**arguments, "lr": lr, "total": total, "updates_per_epoch": updates_per_epoch}),
        total,
    )


def _v2(a: Any) -> tuple[dict[str, Any], Callable[[float], Any]]:
    """The arguments of create_scheduler_v2 that all classes share, and what turns its epochs into counts."""
    size = per_epoch(a)
    each = 1 if a.step_on_epochs else size
    run = {"lr": a.lr, "updates_per_epoch": size, "t_in_epochs": a.step_on_epochs, "noise": a.noise}
    return {
        **run,
        "warmup_t": a.warmup_epochs * each,
        "warmup_lr_init": a.warmup_lr,
    }, lambda epochs: epochs * each


def _v2_cycled(**more: str | float) -> Callable[[Any], Recipe]:
    def make(a: Any) -> Recipe:
        run, counts = _v2(a)
        cycles = {
            "cycle_mul": a.cycle_mul,
            "cycle_decay": a.cycle_decay,
            "cycle_limit": a.cycle_limit,
            "lr_min": a.min_lr,
        }
        own = {key: getattr(a, name) if isinstance(name, str) else name for key, name in more.items()}
        n, prefix = counts(a.num_epochs), run["warmup_t"] if a.warmup_prefix else 0
        whole_run = (
            math.floor(sum(n * a.cycle_mul**i for i in range(a.cycle_limit)))
            + prefix
            + counts(a.cooldown_epochs)
        )
        total = whole_run if a.total is None else a.total
        return cycled(
            SimpleNamespace(**run, **cycles, **own, t_initial=n, warmup_prefix=a.warmup_prefix, total=total)
        )

    return make


def _v2_drops(a: Any, make: Callable[[Any], Recipe], **own: Any) -> Recipe:
    run, counts = _v2(a)
    total = counts(a.num_epochs + (a.warmup_epochs if a.warmup_prefix else 0)) if a.total is None else a.total
    return make(SimpleNamespace(**own, **run, warmup_prefix=a.warmup_prefix, total=total))


def _v2_step(a: Any) -> Recipe:
    every = 90 if a.decay_epochs is None else a.decay_epochs
    return _v2_drops(a, step, decay_t=_v2(a)[1](every), decay_rate=a.decay_rate)


def _v2_multistep(a: Any) -> Recipe:
    return _v2_drops(
        a, multistep, decay_t=[_v2(a)[1](m) for m in a.decay_milestones], decay_rate=a.decay_rate
    )


def _v2_stable(name: str) -> Callable[[Any], Recipe]:
    def make(a: Any) -> Recipe:
        run, counts = _v2(a)
        n = counts(a.num_epochs) - (0 if a.warmup_prefix else run["warmup_t"])
        fall = 0.2 if a.decay_epochs is None else a.decay_epochs
        scale = None if name == "wsd" or a.stable_timescale is None else counts(a.stable_timescale)
        total = run["warmup_t"] + n + counts(a.cooldown_epochs) if a.total is None else a.total
        shape = {
            "stable_fn": "rsqrt" if name == "rsqrt" else "constant",
            "stable_timescale": scale,
            "lr_min": a.min_lr,
        }
        shape |= {
            "decay_fn": a.decay_fn or ("linear" if name == "rsqrt" else "1-sqrt"),
            "decay_power": 0.5,
            "decay_ratio": 0.1,
        }
        decay = round(fall * n if 0 < fall < 1 else counts(fall))
        return stable(
            SimpleNamespace(**run, **shape, stable_power=0.5, t_initial=n, decay_t=decay, total=total)
        )

    return make


_V2: dict[str, Any] = {
    "num_epochs": 300,
    "decay_epochs": None,
    "decay_milestones": (90, 180, 270),
    "cooldown_epochs": 0,
}
_V2 |= {
    "patience_epochs": 10,
    "decay_rate": 0.1,
    "min_lr": 0.0,
    "warmup_lr": 1e-5,
    "warmup_epochs": 0,
    "warmup_prefix": False,
}
_V2 |= {
    "noise": None,
    "noise_pct": 0.67,
    "noise_std": 1.0,
    "noise_seed": 42,
    "plateau_mode": "max",
    "step_on_epochs": True,
}
_V2 |= {
    "cycle_mul": 1.0,
    "cycle_decay": 0.1,
    "cycle_limit": 1,
    "k_decay": 1.0,
    "decay_fn": None,
    "stable_timescale": None,
}
_FACTORY: dict[str, Callable[[Any], Recipe]] = {
    "cosine": _v2_cycled(k_decay="k_decay"),
    "tanh": _v2_cycled(lb=-7.0, ub=3.0),
    "poly": _v2_cycled(k_decay="k_decay", power="decay_rate"),
    "step": _v2_step,
    "multistep": _v2_multistep,
    "constant": lambda a: _v2_drops(a, step, decay_t=1, decay_rate=1.0),
    "wsd": _v2_stable("wsd"),
    "rsqrt": _v2_stable("rsqrt"),
}
_LISTENS = "it listens to the training, so its rates are not known beforehand; write cosine or wsd"
_REFUSED = {
    "plateau": _LISTENS,
    "PlateauLRScheduler": _LISTENS,
    "none": "it is no scheduler; write 'constant'",
}
_CLASS_OF = {
    "cosine": "CosineLRScheduler",
    "tanh": "TanhLRScheduler",
    "poly": "PolyLRScheduler",
    "step": "StepLRScheduler",
    "multistep": "MultiStepLRScheduler",
    "wsd": "WSDLRScheduler",
}
