"""An optimizer is two pure functions of one run's tensors (optax's form).

Its numbers (momentum, betas, decay) are arguments, so they may differ inside a fleet: in `build()` every
option that is a float reads as NaN, so that a function that takes it from `self` can't be right for one run
and wrong for another. What changes the shape of the computation (nesterov or not) is an option that is not a
float, and splits fleets. An optimizer's file registers a frozen dataclass whose fields are the options and
whose `build()` gives the functions.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from preheat.core.errors import UserError, unknown
from preheat.core.spec import Spec, build

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer as TorchOptimizer

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
    reference({name: parameter}) -> a torch optimizer that does the same, at a rate that is set in its groups:
    the oracle of the law "equals the reference"; None where there is none.
    preconditioner(state after an update, hyper) -> {parameter: its shape}, positive: the diagonal P by which
    that update divided, without the learning rate; None where an update divides by nothing.
    threshold(hyper) -> (first, lasting), scalars: the eigenvalue of the Hessian H (of P^-1 H, with a
    preconditioner) above which the updates of a quadratic loss diverge; first: above which the first update
    from the initial state makes the loss larger. Without weight decay, which adds its own to the eigenvalue,
    without clipping, and with P held fixed. None where it is not known.
    """

    init: Callable[[Params], OptState]
    update: Callable[[Params, OptState, Params, Hyper], tuple[Params, OptState]]
    parameters: Callable[[OptState, Params], Params] = _trained
    reference: Callable[[Params], TorchOptimizer] | None = None
    preconditioner: Callable[[OptState, Hyper], Params] | None = None
    threshold: Callable[[Hyper], tuple[Tensor, Tensor]] | None = None


def functions(one: Spec) -> Optimizer:
    """The functions of a registered optimizer, with NaN for its float options, as the module says.

    >>> functions(Spec("sgd")).init({})
    {'momentum': {}}
    """
    made = copy(build("optimizer", one))
    for option in fields(made):
        if isinstance(getattr(made, option.name), float):
            object.__setattr__(made, option.name, math.nan)
    found: Optimizer = made.build()
    return found


def shaping(one: Spec) -> dict[str, Any]:
    """The options of a registered optimizer without the numbers that may differ inside a fleet; one that is a
    number in place of none stays, for it changes what is computed.

    >>> shaping(Spec("sgd", {"momentum": 0.9, "nesterov": True}))
    {'nesterov': True}
    """
    usual = {f.name: f.default for f in fields(build("optimizer", one))}
    return {
        name: v
        for name, v in one.options.items()
        if not (isinstance(v, float) and isinstance(usual.get(name), float))
    }


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


def decayed(
    grads: Params, params: Params, hyper: Hyper, *, decay_on: Decayed, decoupled: bool
) -> tuple[Params, Params]:
    """(gradients, parameters) with weight decay: decoupled (1 - lr decay) p, else g + decay p."""
    if not decoupled:
        return coupled(grads, params, hyper["weight_decay"], decay_on), params
    keep = 1 - hyper["lr"] * hyper["weight_decay"]
    return grads, {n: p * keep if decays(decay_on, p) else p for n, p in params.items()}


def torch_groups(named: Params, weight_decay: float, decay_on: Decayed) -> list[dict[str, Any]]:
    """The parameters as groups of a torch optimizer: those that decay, and the rest where there are some."""
    split = {w: [p for p in named.values() if decays(decay_on, p) == w] for w in (True, False)}
    return [{"params": some, "weight_decay": w * weight_decay} for w, some in split.items() if some]


def check_decayed(decay_on: str) -> None:
    """Raise unless it is one of `Decayed`."""
    if decay_on not in get_args(Decayed):
        raise unknown("decay_on", decay_on, get_args(Decayed))


def zeros(params: Params) -> Params:
    """Zeros of the parameters' shapes."""
    return {name: p.new_zeros(p.shape) for name, p in params.items()}


def in_range(what: str, value: float, low: float, high: float) -> None:
    """Raise unless low <= value < high."""
    if not low <= value < high:
        raise UserError(f"{what} must be at least {low:g} and below {high:g}, got {value:g}")


class RateRule(ABC):
    """A rate that listens to training: a factor of the scheduled rate, decided at every update.

    A rule's file registers a frozen dataclass, `@RATE_RULES.register("polyak")`, that is a `RateRule`; a run
    names it as `rate_rule`. The rate of update k is then peak_lr times the schedule's factor times the
    rule's, so there is no table of rates beforehand, and a record holds the rates that were used as
    `train_learning_rate`. Both functions are pure, of one run's tensors, so a rule works alone, in a fleet
    and resumed: its state is in the checkpoint.
    """

    def init(self, params: Params) -> Params:
        """The state before the first update, {name: tensor}; {} where the rule remembers nothing."""
        return {}

    @abstractmethod
    def rate(
        self, state: Params, moment: Any, loss_on_batch: Callable[[Params], Tensor]
    ) -> tuple[Tensor, Params]:
        """(factor of the scheduled rate, a scalar of at least 0; the next state), before the update.

        moment: a `preheat.probes.base.Moment` of this update; its `after` are the parameters before it, and
        `drawn` and `start` are empty. loss_on_batch(params): the loss of this batch at other parameters.
        """


class TrialRule(RateRule):
    """A rate rule that looks at trial updates, in the few updates in which it must.

    Before each update the engine asks `warming`, then, with one forward pass, `due`. Where a run of a fleet
    is due it calls `search` before `rate`. Each call of loss_after is a forward pass of all runs of the
    fleet; runs that are not due keep their state.
    """

    @abstractmethod
    def warming(self, state: Params, lr: Tensor) -> Tensor:
        """Whether a search may still come at the scheduled rate lr: a bool scalar."""

    @abstractmethod
    def due(self, state: Params, lr: Tensor, loss: Tensor) -> Tensor:
        """Whether to search before this update: a bool scalar. loss: of its batch at the parameters before
        it."""

    @abstractmethod
    def search(self, state: Params, moment: Any, loss_after: Callable[[Tensor], Tensor]) -> Params:
        """The state after a search. moment: as for `rate`. loss_after(lr): the loss of this batch after this
        update at the rate lr, with the run's momentum, moments, decay and clipping."""
