"""The diagonal P by which each of torch's optimizers divides its next step: theta <- theta - lr P^-1 m.

m is the optimizer's momentum as it stores it, or the gradient where it has none; so Adam's P holds the
correction of m: (1 - beta1^t) (sqrt(v / (1 - beta2^t)) + eps). t and v are those of the step about to be
taken: t counts it, and v holds its gradient. (Kalra & Barkeshli 2024, arXiv 2406.09405.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, optim

from preheat.adapters.gi_adam import GIAdam, StartedAdam
from preheat.adapters.groups import Group, get_number, nested
from preheat.adapters.ri_adam import RIAdam
from preheat.core.errors import UserError

State = Mapping[str, Tensor]


def preconditioner(optimizer: Any, params: Mapping[str, Tensor], grads: Mapping[str, Tensor]) -> Any:
    """{name: P, shaped like the parameter}, or None where P = 1 (SGD, ASGD).

    optimizer: one of torch.optim with a diagonal P, also wrapped, or the mapping itself. grads: {name:
    gradient} of the step about to be taken. Errors: UserError for an optimizer whose P is not known, and for
    a P that is not above 0. The optimizer stays as it is.
    """
    if isinstance(optimizer, Mapping):
        return _checked(dict(optimizer), params)
    one = nested(optimizer)[-1]
    if any(group.get("maximize") for group in one.param_groups):
        raise UserError(
            "the loss must be minimised, got an optimizer with maximize=True: build it without, and give "
            "loss_fn the opposite sign"
        )
    if type(one) in (optim.SGD, optim.ASGD):
        return None
    rule = RULES.get(type(one))
    if rule is None:
        known = ", ".join(sorted(t.__name__ for t in [*RULES, optim.SGD, optim.ASGD]))
        own = type(one).__module__.partition(".")[0]
        raise UserError(
            f"P is known for {known} of torch.optim, got {own}'s {type(one).__name__}: write in its place a "
            "dict {name: P}, a tensor for each of model.named_parameters() that trains, or leave it out for "
            "the Hessian's own sharpness"
        )
    groups = {id(p): group for group in one.param_groups for p in group["params"]}
    begun = one.started({p: grads[n] for n, p in params.items()}) if isinstance(one, StartedAdam) else {}
    states = {n: {"exp_avg_sq": begun[p]} if p in begun else one.state.get(p, {}) for n, p in params.items()}
    return _checked(
        {n: _of(rule, groups[id(p)], states[n], p.detach(), grads[n]) for n, p in params.items()}, params
    )


def threshold(optimizer: Any) -> tuple[float, float]:
    """The eigenvalues (of H, of P^-1/2 H P^-1/2) above which this optimizer diverges on a quadratic loss,
    with the numbers of its group with the largest rate; NaN where none is known. Weight decay is left out.

    SGD: (2 + 2 beta) / lr, Nesterov's (2 + 2 beta) / ((1 + 2 beta) lr); Adam's (2 + 2 beta1) / ((1 - beta1)
    lr). J. Cohen et al., arXiv 2103.00065 and 2207.14484.
    """
    one = nested(optimizer)[-1] if hasattr(optimizer, "param_groups") else None
    groups: list[Group] = one.param_groups if one is not None else []
    group: Group = max(groups, key=lambda group: get_number(group, "lr"), default={})
    lr = get_number(group, "lr") if group else 0.0
    if lr <= 0:
        return math.nan, math.nan
    if type(one) is optim.SGD and not group["dampening"]:
        beta = float(group["momentum"])
        found = (2 + 2 * beta) / ((1 + 2 * beta * bool(group["nesterov"])) * lr)
        return found, found
    if type(one) in (optim.Adam, optim.AdamW, GIAdam) and not group["amsgrad"]:
        beta = get_number(group, "beta1")
        return math.nan, (2 + 2 * beta) / ((1 - beta) * lr)
    return math.nan, math.nan


def _of(rule: Callable[..., Tensor], group: Group, state: State, p: Tensor, g: Tensor) -> Tensor:
    apart = group.get("decoupled_weight_decay", rule in (_adamw, _adafactor))
    decay = 0.0 if apart else float(group.get("weight_decay", 0.0))
    return rule(group, state, p, g.add(p, alpha=decay) if decay else g).expand_as(p)


def _checked(found: dict[str, Tensor], params: Mapping[str, Tensor]) -> dict[str, Tensor]:
    for name, p in params.items():
        if not isinstance(found.get(name, p), Tensor):
            raise UserError(
                f"P of {name!r} must be a tensor, got {type(found[name]).__name__}: write "
                f"torch.full_like(p, {found[name]!r})"
            )
        if name not in found or found[name].shape != p.shape:
            got = tuple(found[name].shape) if name in found else "none"
            raise UserError(f"P of {name!r} must have the shape {tuple(p.shape)}, got {got}")
        wrong = int((~((found[name] > 0) & found[name].isfinite())).sum())
        if wrong:
            raise UserError(
                f"P must be finite and above 0, got {wrong} other entries in {name!r}: give the optimizer an "
                "eps above 0, and measure where the gradient is finite"
            )
    return {n: found[n].to(p) for n, p in params.items()}


def _steps(state: State) -> float:
    """The number of the step about to be taken, from 1."""
    return float(state.get("step", 0)) + 1


def _mean(old: Tensor | None, new: Tensor, beta: float) -> Tensor:
    return (1 - beta) * new if old is None else beta * old + (1 - beta) * new


def _second(group: Group, state: State, g: Tensor) -> tuple[Tensor, float]:
    """(v, 1 - beta2^t)."""
    beta2 = get_number(group, "beta2")
    return _mean(state.get("exp_avg_sq"), g * g, beta2), 1 - beta2 ** _steps(state)


def _first(group: Group, state: State) -> float:
    """1 - beta1^t."""
    return float(1 - get_number(group, "beta1") ** _steps(state))


def _adam(group: Group, state: State, p: Tensor, g: Tensor) -> Tensor:
    v, correction = _second(group, state, g)
    if group.get("amsgrad") and "max_exp_avg_sq" in state:
        v = torch.maximum(v, state["max_exp_avg_sq"])
    return _first(group, state) * ((v / correction).sqrt() + get_number(group, "eps"))


def _adamw(group: Group, state: State, p: Tensor, g: Tensor) -> Tensor:
    return _adam(group, state, p, g)


def _nadam(group: Group, state: State, p: Tensor, g: Tensor) -> Tensor:
    """Its momentum's part of the step is mu_{t+1} m / P."""
    v, correction = _second(group, state, g)
    beta1, decay, t = get_number(group, "beta1"), get_number(group, "momentum_decay"), _steps(state)
    mu, ahead = (beta1 * (1 - 0.5 * math.pow(0.96, k * decay)) for k in (t, t + 1))
    left = 1.0 - float(state.get("mu_product", 1.0)) * mu * ahead
    return left * ((v / correction).sqrt() + get_number(group, "eps"))


def _radam(group: Group, state: State, p: Tensor, g: Tensor) -> Tensor:
    """1 - beta1^t alone while the variance of v is not known."""
    v, correction = _second(group, state, g)
    first, end = _first(group, state), 2 / (1 - get_number(group, "beta2")) - 1
    now = end - 2 * _steps(state) * (1 - correction) / correction
    if now <= 5:
        return torch.full_like(g, first)
    factor = math.sqrt((now - 4) * (now - 2) * end / ((end - 4) * (end - 2) * now))
    return first * (v.sqrt() + get_number(group, "eps")) / (math.sqrt(correction) * factor)


def _adamax(group: Group, state: State, p: Tensor, g: Tensor) -> Tensor:
    size = g.abs() + get_number(group, "eps")
    if "exp_inf" in state:
        size = torch.maximum(state["exp_inf"] * get_number(group, "beta2"), size)
    return _first(group, state) * size


def _adagrad(group: Group, state: State, p: Tensor, g: Tensor) -> Tensor:
    total = (state["sum"] + g * g).sqrt() + get_number(group, "eps")
    return total * (1 + (_steps(state) - 1) * get_number(group, "lr_decay"))


def _rmsprop(group: Group, state: State, p: Tensor, g: Tensor) -> Tensor:
    v = _mean(state.get("square_avg"), g * g, get_number(group, "alpha"))
    if group["centered"]:
        v = v - _mean(state.get("grad_avg"), g, get_number(group, "alpha")) ** 2
    return v.sqrt() + get_number(group, "eps")


def _adadelta(group: Group, state: State, p: Tensor, g: Tensor) -> Tensor:
    v = _mean(state.get("square_avg"), g * g, get_number(group, "rho"))
    moved = state.get("acc_delta", torch.zeros_like(g))
    return ((v + get_number(group, "eps")) / (moved + get_number(group, "eps"))).sqrt()


def _adafactor(group: Group, state: State, p: Tensor, g: Tensor) -> Tensor:
    """With its clipping, and with its rate relative to the size of the parameter."""
    t, (small, least) = _steps(state), group["eps"]
    small = torch.finfo(p.dtype).eps if small is None else small
    beta = 1 - math.pow(t, get_number(group, "beta2_decay"))
    if g.dim() > 1:
        rows = _mean(state.get("row_var"), (g * g).mean(-1, keepdim=True), beta)
        columns = _mean(state.get("col_var"), (g * g).mean(-2, keepdim=True), beta)
        v = rows @ columns / rows.mean(-2, keepdim=True).clamp(min=small)
    else:
        v = _mean(state.get("variance"), g * g, beta)
    root: Tensor = v.clamp(min=small**2).sqrt()
    clip = max(1.0, float((g / root).norm()) / (math.sqrt(g.numel()) * get_number(group, "d")))
    size = max(least, float(p.norm()) / math.sqrt(p.numel()))
    lr = get_number(group, "lr")
    factor: float = clip * max(1.0, lr * math.sqrt(t)) / size
    return root * factor


# by the exact class: a subclass may step otherwise
RULES: dict[type, Callable[[Group, State, Tensor, Tensor], Tensor]] = {
    optim.Adam: _adam,
    optim.AdamW: _adamw,
    GIAdam: _adam,
    RIAdam: _adam,
    optim.NAdam: _nadam,
    optim.RAdam: _radam,
    optim.Adamax: _adamax,
    optim.Adagrad: _adagrad,
    optim.RMSprop: _rmsprop,
    optim.Adadelta: _adadelta,
    optim.Adafactor: _adafactor,
}
