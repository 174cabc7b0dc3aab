"""The numbers in an optimizer's parameter groups, by name. `beta1` and `beta2` are the parts of `betas`."""

from __future__ import annotations

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


def get(group: Group, name: str) -> float:
    """The number `name` of a group; a tensor's value."""
    return float(group[name] if name in group else group["betas"][_PARTS[name]])


def put(group: Group, name: str, value: float) -> None:
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


def numbers(group: Group) -> list[str]:
    """The names that may move with a schedule: all numbers of the group but its rate."""
    plain = [k for k, v in group.items() if isinstance(v, float | int | Tensor) and not isinstance(v, bool)]
    parts = list(_PARTS) if "betas" in group else []
    return [n for n in [*plain, *parts] if n not in ("lr", "initial_lr")]


def moving(groups: Sequence[Group], also: Also) -> dict[str, Between | tuple[Between | None, ...]]:
    """`also`, checked: names that every group has; one Between only where the groups agree, else one for each group."""
    out: dict[str, Between | tuple[Between | None, ...]] = {}
    for name, given in also.items():
        for group in groups:
            if name not in numbers(group):
                raise unknown("hyperparameter of the optimizer's groups", name, numbers(group))
        if isinstance(given, list | tuple):
            out[name] = tuple(None if b is None else between(b) for b in given)
            if len(given) != len(groups):
                raise UserError(f"also[{name!r}] must have one entry for each of {len(groups)} groups, got {len(given)}")
            continue
        values = [get(g, name) for g in groups]
        if len(set(values)) > 1:
            raise UserError(f"the groups differ in {name}, got {values}: write a list, a Between or None for each group")
        out[name] = between(given)
    return out


def rate(value: Any) -> float:
    """A peak rate, checked."""
    if not is_number(value) or value < 0:
        raise UserError(f"a peak must be a finite rate >= 0, got {value!r}: write peak=1e-3")
    return float(value)


def peaks(groups: Sequence[Any], peak: Any) -> list[Any]:
    """The peak of each group: as given, or its own rate."""
    if peak is None:
        return [get(g, "lr") for g in groups]
    many = list(peak) if isinstance(peak, list | tuple) else [peak] * len(groups)
    if len(many) != len(groups):
        raise UserError(f"peak must be one rate or one for each of {len(groups)} groups, got {len(many)}: write peak=1e-3")
    return [rate(p) for p in many]


def doubts(groups: Sequence[Group]) -> dict[int, tuple[float, float]]:
    """{group: (its rate, its initial_lr)} of the groups where they differ, so that either may be the peak."""
    both = {i: (get(g, "lr"), get(g, "initial_lr")) for i, g in enumerate(groups) if "initial_lr" in g}
    return {i: (own, initial) for i, (own, initial) in both.items() if own != initial}


def part(groups: Sequence[Group], betas: bool) -> None:
    """Give each group a tensor of its own: torch puts one default tensor into all groups, and their rates may differ."""
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


def innermost(optimizer: Any) -> Any:
    """The optimizer inside Accelerate's wrapper, which has no hooks of its own."""
    while isinstance(getattr(optimizer, "optimizer", None), Optimizer):
        optimizer = optimizer.optimizer
    return optimizer
