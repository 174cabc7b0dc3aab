"""torch.optim.lr_scheduler: by class name and arguments, or from a scheduler. Checked against torch 2.13."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from itertools import pairwise
from math import prod
from typing import Any, NamedTuple

from preheat.adapters.conversions.arguments import Conversion, convert, library, takes
from preheat.adapters.conversions.checks import whole_number
from preheat.adapters.conversions.joining import join, shortened
from preheat.adapters.conversions.torch_classes import TORCH_CLASSES
from preheat.core.errors import UserError
from preheat.schedules.recipes.recipe import Recipe


def from_torch(what: Any, *, lr: float | None = None, total: int | None = None, **arguments: Any) -> Recipe:
    """A scheduler of torch's as a schedule: `what` is its class's name, with the class's arguments, or a
    scheduler.

    lr: the optimizer's rate; read from the scheduler where there is one (of its first parameter group), and
    not given to OneCycleLR and CyclicLR, which set their own. total: the updates, or epochs, of the run; not
    needed where the class ends by itself (CosineAnnealingLR, OneCycleLR, PolynomialLR, a falling LinearLR),
    which it may cut. SequentialLR and ChainedScheduler by name take schedulers=[("LinearLR", {"total_iters":
    5}), ...]. LambdaLR and MultiplicativeLR become tables.

    >>> made = from_torch("CosineAnnealingLR", lr=0.1, T_max=100, eta_min=1e-3)
    >>> print(made.schedule, made.peak, made.total)
    cosine(at=left, final=0.001lr) 0.1 100
    >>> print(from_torch("LinearLR", lr=0.1, total=50, start_factor=0.1).schedule)
    constant(warmup=5, warmup_start=0.1, at=left)

    Errors: UserError where the class listens to training, where its rates are negative, or where its
    behaviour is a defect that is not imitated (see `docs/schedules-differences.md`).
    """
    total = None if total is None else whole_number("total", total)
    return shortened(_made(what, lr, total, arguments), total)


def _made(what: Any, lr: float | None, total: int | None, arguments: Mapping[str, Any]) -> Recipe:
    """The schedule on its own length where that is more than `total`."""
    told = {"lr": lr, "total": total, **arguments}
    if not isinstance(what, str):
        if arguments:
            extra = f"got {', '.join(arguments)} too"
            raise UserError(f"a scheduler brings its own arguments, {extra}: leave them out")
        what, lr, arguments = _read(what, lr)
    if arguments.get("last_epoch", -1) != -1:
        raise UserError("a schedule starts at update 0, got last_epoch: leave it out, and resume by the step")
    torchs = library("torch", _KNOWN, {"lr": None, "total": None, "last_epoch": -1}, refused=_REFUSED)
    written = [key for key, value in told.items() if value is not None]
    return convert(torchs, what, {**arguments, "lr": lr, "total": total}, told=written)


_ALONE = {
    "SequentialLR": "torch steps a sequence inside another when it is built",
    "ChainedScheduler": "torch steps a chain inside another scheduler when it is built",
    "OneCycleLR": "it changes the rate that torch gives to all the others",
    "CyclicLR": "it changes the rate that torch gives to all the others",
}
_OWN_RATE = ("LambdaLR", "CosineAnnealingWarmRestarts")  # of the others each multiplies the rate it finds


class _Part(NamedTuple):
    """A scheduler in a sequence or chain; convert: for a run of n updates."""

    name: str
    convert: Callable[[int | None], Recipe]
    lr: float
    eta_min: float


def _part(one: Any, a: Any) -> _Part:
    """A part from a scheduler, a name, or a name with arguments."""
    if isinstance(one, str):
        one = (one, {})
    pair = isinstance(one, Sequence) and len(one) == 2
    if pair and isinstance(one[0], str) and isinstance(one[1], Mapping):
        name, arguments = one
        part = _Part(name, lambda n: _made(name, a.lr, n, arguments), a.lr, arguments.get("eta_min", 0.0))
    else:
        name, lr, _ = _read(one, a.lr)
        part = _Part(name, lambda n: _made(one, a.lr, n, {}), lr or 0.0, getattr(one, "eta_min", 0.0))
    if part.name in _ALONE:
        why = _ALONE[part.name]
        raise UserError(f"torch's {part.name} can't be converted inside another scheduler: {why}")
    return part


def _sequence(a: Any) -> Recipe:
    parts = [_part(one, a) for one in a.schedulers]
    places = [whole_number("each of milestones", m) for m in a.milestones]
    if any(p.name == "MultiplicativeLR" for p in parts[1:]):
        why = "goes on from the rate before it, so it can only come first in a SequentialLR"
        raise UserError(f"torch's MultiplicativeLR {why}")
    lengths: list[int | None] = [b - a for a, b in pairwise([0, *places])]
    if len(lengths) != len(parts) - 1 or any(n is not None and n < 1 for n in lengths):
        raise UserError(
            f"{len(parts)} schedulers need {len(parts) - 1} rising milestones above 0, got {a.milestones}: "
            "say where each begins"
        )
    last = None if a.total is None else max(a.total - sum(n or 0 for n in lengths), 1)
    return join([p.convert(n) for p, n in zip(parts, [*lengths, last], strict=True)], places)


def _chain(a: Any) -> Recipe:
    parts = [_part(one, a) for one in a.schedulers]
    for p in parts:
        if p.name in _OWN_RATE:
            raise UserError(
                f"torch's {p.name} sets a rate of its own in a chain, whatever came before it: leave it out"
            )
        if p.eta_min:
            raise UserError(
                f"a chain with eta_min={p.eta_min:g} is no product of its parts in torch: write eta_min=0"
            )
    made = [p.convert(a.total) for p in parts]
    total = max(m.total for m in made)
    made = [m if m.total == total else p.convert(total) for p, m in zip(parts, made, strict=True)]
    peak = parts[0].lr * prod(m.peak / p.lr for p, m in zip(parts, made, strict=True))
    return Recipe(reduce(lambda one, other: one * other, [m.schedule for m in made]), peak, total)


_COMPOSED = {
    "SequentialLR": Conversion(_sequence, takes("schedulers", "milestones")),
    "ChainedScheduler": Conversion(_chain, takes("schedulers")),
}
_KNOWN = {**TORCH_CLASSES, **_COMPOSED}
_REFUSED = {
    "ReduceLROnPlateau": "it listens to the training, so its rates are not known beforehand; write a step or "
    "a cosine",
    "LRScheduler": "it is the base of the others; write the name of one of them",
    "SWALR": "it starts from whatever rate it finds; write the schedule and then a constant, with `then`",
}

# class: {argument: where a scheduler keeps it}
_KEPT: dict[str, Callable[[Any], dict[str, Any]]] = {
    "LambdaLR": lambda s: {"lr_lambda": s.lr_lambdas[0]},
    "MultiplicativeLR": lambda s: {"lr_lambda": s.lr_lambdas[0]},
    "MultiStepLR": lambda s: {"milestones": sorted(s.milestones.elements()), "gamma": s.gamma},
    "CyclicLR": lambda s: {
        "base_lr": s.base_lrs[0],
        "max_lr": s.max_lrs[0],
        "step_size_up": s.total_size * s.step_ratio,
        "step_size_down": s.total_size - s.total_size * s.step_ratio,
        "mode": s.mode,
        "gamma": s.gamma,
        "scale_fn": s._scale_fn_custom,
        "scale_mode": s.scale_mode,
        **_momentum(s, lambda name: getattr(s, f"{name}s")[0]),
    },
    "OneCycleLR": lambda s: _cycle(s, s.optimizer.param_groups[0]),
    "SequentialLR": lambda s: {"schedulers": s._schedulers, "milestones": s._milestones},
    "ChainedScheduler": lambda s: {"schedulers": s._schedulers},
}


def _read(scheduler: Any, lr: float | None) -> tuple[str, float | None, dict[str, Any]]:
    """The class, base rate and arguments of a scheduler."""
    name = type(scheduler).__name__
    if not type(scheduler).__module__.startswith("torch.optim."):
        got = f"got {type(scheduler).__module__}.{name}: write its name"
        raise UserError(f"only torch's own schedulers can be read, {got}")
    if name not in _KNOWN:
        return name, lr, {}
    if name in _KEPT:
        kept = _KEPT[name](scheduler)
    else:
        kept = {key: getattr(scheduler, key) for key in TORCH_CLASSES[name].options}
    rates = getattr(scheduler, "base_lrs", None)
    return name, float(rates[0]) if lr is None and rates else lr, kept


def _cycle(s: Any, group: Mapping[str, Any]) -> dict[str, Any]:
    """OneCycleLR's arguments: it keeps the rates in its optimizer's groups, and where its phases end."""
    phases = s._schedule_phases
    return {
        "max_lr": float(group["max_lr"]),
        "total_steps": s.total_steps,
        "pct_start": (phases[0]["end_step"] + 1) / s.total_steps,
        "anneal_strategy": s._anneal_func_type,
        "div_factor": float(group["max_lr"] / group["initial_lr"]),
        "final_div_factor": float(group["initial_lr"] / group["min_lr"]),
        "three_phase": len(phases) == 3,
        **_momentum(s, lambda name: group[name]),
    }


def _momentum(s: Any, find: Callable[[str], float]) -> dict[str, Any]:
    names = ("max_momentum", "base_momentum") if s.cycle_momentum else ()
    return {"cycle_momentum": s.cycle_momentum, **{name: find(name) for name in names}}
