"""An optimizer is two pure functions of one run's tensors (optax's form).

Its numbers (momentum, betas, decay) are arguments, so they may differ inside a fleet; what changes the shape
of the computation (nesterov or not) is an option that is not a float, and splits fleets. An optimizer's file
registers a frozen dataclass whose fields are the options and whose `build()` gives the functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

Params = dict[str, "Tensor"]
OptState = dict[str, Any]
Hyper = Mapping[str, "Tensor"]


class Optimizer(NamedTuple):
    """init(params) -> state; update(grads, state, params, hyper) -> (params, state).

    hyper holds scalar tensors: `lr`, the rate of this update, and every float option by name.
    """

    init: Callable[[Params], OptState]
    update: Callable[[Params, OptState, Params, Hyper], tuple[Params, OptState]]


def zeros(params: Params) -> Params:
    """Zeros of the parameters' shapes."""
    return {name: p.new_zeros(p.shape) for name, p in params.items()}


def in_range(what: str, value: float, low: float, high: float) -> None:
    """Raise unless low <= value < high."""
    from preheat.core.errors import UserError

    if not low <= value < high:
        raise UserError(f"{what} must be at least {low:g} and below {high:g}, got {value:g}")
