"""The numbers in an optimizer's parameter groups, by name. `beta1` and `beta2` are the parts of `betas`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from preheat.core.between import Between, between
from preheat.core.errors import UserError, unknown
from preheat.core.lengths import is_number

Group = dict[str, Any]
Also = Mapping[str, Between | Sequence[Between | None]]
_PARTS = {"beta1": 0, "beta2": 1}
# each is at least 0, and below this
_BELOW = {"weight_decay": math.inf, "eps": math.inf, "momentum": 1.0, "beta1": 1.0, "beta2": 1.0}
_SAME = 1e-6  # numbers that differ by less are one: a float32 tensor holds 7 digits


def same(one: float, other: float) -> bool:
    """Whether two numbers are one, as far as a float32 tensor tells."""
    return math.isclose(one, other, rel_tol=_SAME)


def get_number(group: Group, name: str) -> float:
    """The number `name` of a group; a tensor's value."""
    return float(group[name] if name in group else group["betas"][_PARTS[name]])


def lr_scale(group: Group) -> float:
    """By what timm's layer-wise decay multiplies a group's rate; 1 where it is not written."""
    scale = group.get("lr_scale", 1.0)
    if (scale.__class__ is not float and not is_number(scale)) or not 0 <= scale < math.inf:
        raise UserError(
            f"lr_scale of a group must be a finite number >= 0, got {scale!r}: write 0.5, or leave it out"
        )
    return float(scale)


def put_number(group: Group, name: str, value: float) -> None:
    """Write the number `name`; a tensor stays the same object and takes the value."""
    if name not in group:
        betas, part = group["betas"], _PARTS[name]
        if isinstance(betas[part], Tensor):
            betas[part].fill_(value)
        else:
            group["betas"] = (*betas[:part], value, *betas[part + 1 :])
    elif isinstance(group[name], Tensor):
        group[name].fill_(value)
    else:
        group[name] = value


def movable(group: Group) -> list[str]:
    """The names that may move with a schedule: all numbers of the group but its rate."""
    plain = [k for k, v in group.items() if isinstance(v, float | int | Tensor) and not isinstance(v, bool)]
    parts = list(_PARTS) if "betas" in group else []
    return [n for n in [*plain, *parts] if n not in ("lr", "initial_lr")]


def moving(groups: Sequence[Group], also: Also) -> dict[str, Between | tuple[Between | None, ...]]:
    """`also`, checked: names that every group has; one Between where the groups agree, else one for each."""
    out: dict[str, Between | tuple[Between | None, ...]] = {}
    for name, given in also.items():
        for group in groups:
            if name not in movable(group):
                raise unknown("hyperparameter of the optimizer's groups", name, movable(group))
        if isinstance(given, list | tuple):
            one_each(f"also[{name!r}] must have one entry", len(groups), len(given))
            out[name] = tuple(None if b is None else _within(name, between(b)) for b in given)
            continue
        values = [get_number(g, name) for g in groups]
        if len(set(values)) > 1:
            raise UserError(
                f"the groups differ in {name}, got {values}: write a list, a Between or None for each group"
            )
        out[name] = _within(name, between(given))
    return out


def _within(name: str, one: Between) -> Between:
    """`one`, which must stay in the range that optimizers give this number; its ends are its extremes."""
    below = _BELOW.get(name)
    if below is not None and not all(0 <= end < below for end in (one.at_zero, one.at_peak)):
        most = "" if below == math.inf else f" and below {below:g}"
        got = f"got also[{name!r}] from {one}: write at_zero and at_peak in that range"
        raise UserError(f"{name} must stay at least 0{most}, {got}")
    return one


def one_each(what: str, groups: int, given: int, *, write: str = "") -> None:
    """Errors: UserError where a list has not one for each group."""
    if given != groups:
        raise UserError(f"{what} for each of {groups} groups, got {given}{write}")


def peak_rate(value: Any) -> float:
    """A peak rate, checked."""
    if not is_number(value) or value < 0:
        raise UserError(f"a peak must be a finite rate >= 0, got {value!r}: write peak=1e-3")
    return float(value)


def peaks(groups: Sequence[Group], peak: Any) -> list[float]:
    """The peak of each group: as given, or its own rate; `initial_lr` where that may be from mid-run."""
    if peak is None:
        known = map(both, groups)
        return [initial if own == 0 or (initial and own != initial) else own for own, initial in known]
    return rated(peak, len(groups))


def rated(peak: Any, groups: int) -> list[float]:
    """One peak, or one for each group, checked."""
    many = list(peak) if isinstance(peak, list | tuple) else [peak] * groups
    one_each("peak must be one rate or one", groups, len(many), write=": write peak=1e-3")
    return [peak_rate(p) for p in many]


def both(group: Group) -> tuple[float, float]:
    """A group's rate and its `initial_lr`; twice the rate where no scheduler was on it."""
    own = get_number(group, "lr")
    return own, get_number(group, "initial_lr") if "initial_lr" in group else own


def doubts(groups: Sequence[Group]) -> set[int]:
    """The groups whose rate and `initial_lr` differ, so that either may be the peak; 0 is nobody's peak."""
    return {
        i for i, (own, initial) in enumerate(map(both, groups)) if own and initial and not same(own, initial)
    }


def separate_tensors(optimizer: Any, betas: bool) -> None:
    """Give each group a tensor of its own: torch puts one default tensor into all, and rates may differ.

    The default gets one too, or a group that is added later would begin at another group's rate.
    """
    for one in nested(optimizer):
        default = getattr(one, "defaults", {}).get("lr")
        if isinstance(default, Tensor):
            one.defaults["lr"] = default.clone()
    groups = optimizer.param_groups
    seen: set[int] = set()

    def own(value: Any) -> Any:
        if not isinstance(value, Tensor) or id(value) not in seen:
            seen.add(id(value))
            return value
        return value.clone()

    for group in groups:
        group["lr"] = own(group["lr"])
        if betas and "betas" in group:
            group["betas"] = tuple(own(b) for b in group["betas"])


# where optimizers that wrap another keep it: Accelerate, Lookahead, SAM, ZeRO and their like
_INNER = ("optimizer", "_optimizer", "base_optimizer", "_base_optimizer", "optim", "inner_optimizer")


def nested(optimizer: Any) -> list[Any]:
    """An optimizer and those inside it, the innermost last: that is the one that steps."""
    out = [optimizer]
    while True:
        own = vars(out[-1]) if hasattr(out[-1], "__dict__") else {}
        inner = next((own[name] for name in _INNER if isinstance(own.get(name), Optimizer)), None)
        if inner is None or any(inner is one for one in out):
            return out
        out.append(inner)


def is_optimizer(optimizer: Any) -> Optimizer:
    """Errors: UserError for what is none, which names the optimizer inside where there is one."""
    if isinstance(optimizer, Optimizer):
        return optimizer
    own = vars(optimizer) if hasattr(optimizer, "__dict__") else {}
    inside = next((f": give its .{name}" for name in _INNER if isinstance(own.get(name), Optimizer)), "")
    raise UserError(f"optimizer must be a torch.optim.Optimizer, got {type(optimizer).__name__}{inside}")


def beside_torchs(optimizer: Any) -> bool:
    """Whether schedulers of torch's are on the optimizer too: they mark its step."""
    return hasattr(optimizer.step, "_wrapped_by_lr_sched")


def trains(optimizer: Optimizer) -> bool:
    """Whether any parameter has a gradient."""
    return any(p.grad is not None for group in optimizer.param_groups for p in group["params"])
