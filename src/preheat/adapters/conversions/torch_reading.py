"""Schedulers of torch as their class's name and arguments, group by group; no torch is imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from preheat.adapters.conversions.torch_classes import TORCH_CLASSES
from preheat.core.errors import UserError

# arguments that may be lists with one entry for each parameter group
_EACH = ("lr", "lr_lambda", "max_lr", "base_lr", "max_momentum", "base_momentum")


@dataclass(frozen=True)
class TorchScheduler:
    """A scheduler: its class's name and arguments, `lr` among them. written: those that the user wrote;
    beta1: whether its momentum is the first of the optimizer's betas."""

    name: Any
    arguments: dict[str, Any]
    written: tuple[str, ...] = ()
    beta1: bool = False

    @property
    def parts(self) -> list[TorchScheduler]:
        """The schedulers that it is made of."""
        parts: list[TorchScheduler] = self.arguments.get("schedulers", [])
        return parts

    @property
    def lr(self) -> float | None:
        """The optimizer's rate, by which the schedule's factors are meant; None where it is not known."""
        lr: float | None = self.arguments.get("lr")
        return self.parts[0].lr if lr is None and self.parts else lr

    def sizes(self) -> set[int]:
        """The lengths of all lists that have one entry for each group."""
        own = {len(v) for k, v in self.arguments.items() if k in _EACH and _is_list(v)}
        return own.union(*(part.sizes() for part in self.parts))

    def groups(self) -> list[TorchScheduler]:
        """The scheduler of each group; one where no list is given."""
        sizes = self.sizes() or {1}
        if len(sizes) > 1 or 0 in sizes:
            got = f"got {' and '.join(map(str, sorted(sizes)))} entries: write one for each group"
            raise UserError(f"lists of a scheduler have one entry for each parameter group, {got}")
        return [self.of_group(i) for i in range(sizes.pop())]

    def of_group(self, i: int) -> TorchScheduler:
        """Entry i of each list."""
        own = {k: v[i] if k in _EACH and _is_list(v) else v for k, v in self.arguments.items()}
        if self.parts:
            own["schedulers"] = [part.of_group(i) for part in self.parts]
        return replace(self, arguments=own)


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def told(what: Any, lr: Any, arguments: Mapping[str, Any]) -> TorchScheduler:
    """What the user gives: a class's name with its arguments, or a scheduler, and perhaps the rate."""
    given = () if lr is None else ("lr",)
    if isinstance(what, str):
        own = {**arguments, "lr": lr}
        if "schedulers" not in arguments:
            return TorchScheduler(what, own, (*given, *(k for k, v in arguments.items() if v is not None)))
        if not _is_list(arguments["schedulers"]) or not arguments["schedulers"]:
            got = f"got {arguments['schedulers']!r}: write [('LinearLR', {{'total_iters': 5}}), ...]"
            raise UserError(f"schedulers is a list of names with arguments, or of schedulers, {got}")
        return TorchScheduler(
            what, {**own, "schedulers": [_part(one, lr) for one in arguments["schedulers"]]}
        )
    if arguments:
        extra = f"got {', '.join(arguments)} too"
        raise UserError(f"a scheduler brings its own arguments, {extra}: leave them out")
    return _read(what, lr, given)


def _part(one: Any, lr: Any) -> TorchScheduler:
    """A part of a sequence or chain from a scheduler, a name, or a name with arguments."""
    if isinstance(one, str):
        one = (one, {})
    pair = isinstance(one, Sequence) and len(one) == 2
    if pair and isinstance(one[0], str) and isinstance(one[1], Mapping):
        return told(one[0], lr, one[1])
    return _read(one, lr, ())


def _read(scheduler: Any, lr: Any, given: tuple[str, ...]) -> TorchScheduler:
    """The class, base rates and arguments of a scheduler. given: ("lr",) where the user wrote it."""
    name = type(scheduler).__name__
    if not type(scheduler).__module__.startswith("torch.optim."):
        got = f"got {type(scheduler).__module__}.{name}: write its name"
        raise UserError(f"only torch's own schedulers can be read, {got}")
    if name not in TORCH_CLASSES and name not in _KEPT:
        return TorchScheduler(name, {"lr": lr}, given)
    rates = [float(r) for r in getattr(scheduler, "base_lrs", ())]
    if lr is not None and len(set(rates)) > 1 and name not in ("OneCycleLR", "CyclicLR"):
        got = f"got {', '.join(f'{r:g}' for r in rates)} and lr={lr!r}"
        raise UserError(f"lr is for a scheduler whose groups have one rate, {got}: leave lr out")
    if name in _KEPT:
        kept = _KEPT[name](scheduler)
    else:
        kept = {key: getattr(scheduler, key) for key in TORCH_CLASSES[name].options}
    if "schedulers" in kept:
        kept["schedulers"] = [_read(one, lr, ()) for one in kept["schedulers"]]
        given, rates = (), []
    beta1 = bool(getattr(scheduler, "use_beta1", False))
    return TorchScheduler(name, {**kept, "lr": lr if lr is not None else rates or None}, given, beta1)


# class: {argument: where a scheduler keeps it}
_KEPT: dict[str, Callable[[Any], dict[str, Any]]] = {
    "LambdaLR": lambda s: {"lr_lambda": s.lr_lambdas},
    "MultiplicativeLR": lambda s: {"lr_lambda": s.lr_lambdas},
    "MultiStepLR": lambda s: {"milestones": sorted(s.milestones.elements()), "gamma": s.gamma},
    "CyclicLR": lambda s: {
        "base_lr": s.base_lrs,
        "max_lr": s.max_lrs,
        "step_size_up": s.total_size * s.step_ratio,
        "step_size_down": s.total_size - s.total_size * s.step_ratio,
        "mode": s.mode,
        "gamma": s.gamma,
        "scale_fn": s._scale_fn_custom,
        "scale_mode": s.scale_mode,
        **_momentum(s, lambda name: getattr(s, f"{name}s")),
    },
    "OneCycleLR": lambda s: _cycle(s, s.optimizer.param_groups),
    "SequentialLR": lambda s: {"schedulers": s._schedulers, "milestones": s._milestones},
    "ChainedScheduler": lambda s: {"schedulers": s._schedulers},
}


def _cycle(s: Any, groups: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """OneCycleLR's arguments: it keeps the rates in its optimizer's groups, and where its phases end."""
    phases, first = s._schedule_phases, groups[0]
    return {
        "max_lr": [float(group["max_lr"]) for group in groups],
        "total_steps": s.total_steps,
        "pct_start": (phases[0]["end_step"] + 1) / s.total_steps,
        "anneal_strategy": s._anneal_func_type,
        "div_factor": float(first["max_lr"] / first["initial_lr"]),
        "final_div_factor": float(first["initial_lr"] / first["min_lr"]),
        "three_phase": len(phases) == 3,
        **_momentum(s, lambda name: [group[name] for group in groups]),
    }


def _momentum(s: Any, find: Callable[[str], list[float]]) -> dict[str, Any]:
    names = ("max_momentum", "base_momentum") if s.cycle_momentum else ()
    return {"cycle_momentum": s.cycle_momentum, **{name: find(name) for name in names}}
