"""An optimizer is two pure functions of one run's tensors (optax's form).

Its numbers (momentum, betas, decay) are arguments, so they may differ inside a fleet; what changes the shape
of the computation (nesterov or not) is an option that is not a float, and splits fleets. An optimizer's file
registers a frozen dataclass whose fields are the options and whose `build()` gives the functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

if TYPE_CHECKING:
    from torch import Tensor

Params = dict[str, "Tensor"]
OptState = dict[str, Any]
Hyper = Mapping[str, "Tensor"]


def _trained(state: OptState, params: Params) -> Params:
    return params


class Optimizer(NamedTuple):
    """init(params) -> state; update(grads, state, params, hyper) -> (params, state).

    hyper holds scalar tensors: `lr`, the rate of this update, and every float option by name.
    parameters(state, params) -> params: what is evaluated and kept, such as an average of the parameters; by
    default those that are trained.
    """

    init: Callable[[Params], OptState]
    update: Callable[[Params, OptState, Params, Hyper], tuple[Params, OptState]]
    parameters: Callable[[OptState, Params], Params] = _trained


Decayed = Literal["all", "matrices"]


def decays(decay_on: Decayed, p: Tensor) -> bool:
    """Whether weight decay works on a parameter: on all, or on those with two axes or more, which leaves out
    biases and the scales of normalisation layers (as timm and nanoGPT do).

    >>> import torch
    >>> weight, bias = torch.zeros(3, 3), torch.zeros(3)
    >>> decays("matrices", weight), decays("matrices", bias), decays("all", bias)
    (True, False, True)
    """
    return decay_on == "all" or p.dim() > 1


def coupled(grads: Params, params: Params, decay: Tensor, decay_on: Decayed) -> Params:
    """The gradients with L2 weight decay: g + decay p where it works on p."""
    return {n: g.addcmul(params[n], decay) if decays(decay_on, params[n]) else g for n, g in grads.items()}


def check_decayed(decay_on: str) -> None:
    """Raise unless it is one of `Decayed`."""
    from preheat.core.errors import unknown

    if decay_on not in get_args(Decayed):
        raise unknown("decay_on", decay_on, get_args(Decayed))


def zeros(params: Params) -> Params:
    """Zeros of the parameters' shapes."""
    return {name: p.new_zeros(p.shape) for name, p in params.items()}


def in_range(what: str, value: float, low: float, high: float) -> None:
    """Raise unless low <= value < high."""
    from preheat.core.errors import UserError

    if not low <= value < high:
        raise UserError(f"{what} must be at least {low:g} and below {high:g}, got {value:g}")
