"""Schedule-free SGD (Defazio et al., arXiv 2405.15682), as the package schedulefree has it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from preheat.core.registry import OPTIMIZERS
from preheat.core.space import Among
from preheat.core.spec import LATER
from preheat.optim.base import (
    Decayed,
    Hyper,
    Optimizer,
    OptState,
    Params,
    check_decayed,
    coupled,
    in_range,
    torch_groups,
)

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer as TorchOptimizer


@OPTIMIZERS.register("schedule_free_sgd", label="schedule-free SGD")
@dataclass(frozen=True)
class ScheduleFreeSGD:
    """SGD whose average is evaluated, in place of a decay of the rate; equals the package schedulefree's.

    g, the gradient at y, is taken with weight_decay y added to it:

        z <- z - lr g;  x <- (1 - c) x + c z;  y <- (1 - momentum) z + momentum x
        c = w_t / (w_1 + ... + w_t), w_t = t^r (the largest lr so far)^weight_lr_power

    y is trained, x is evaluated and kept, and all three begin at the initial parameters. Stable up to the
    eigenvalue 2 / ((1 - momentum) lr), the limit of small c: before, when c is large, the threshold is lower,
    (4 - 2 c) / ((2 (1 - momentum) + c (2 momentum - 1)) lr); in a first step, where c = 1, it is 2 / lr.

    The schedule gives the rate: constant, with a warmup as its authors recommend. Their warmup_steps=100 is
    {name: constant, warmup: 100, at: right}. They recommend momentum 0.9, in very long runs 0.95 or 0.98, and
    rates 10 to 50 times those of SGD. BatchNorm's running statistics are those of y: preheat evaluates x with
    them and does not compute them anew, which the authors advise. Defazio et al. 2024, *The Road Less
    Scheduled*, arXiv 2405.15682.

    >>> from preheat.core.run import Run
    >>> schedule = {"name": "constant", "warmup": "5%", "at": "right"}
    >>> one = "schedule_free_sgd"
    >>> Run(task="quadratic", optimizer=one, schedule=schedule, peak_lr=1.0, length="100").hyper
    {'momentum': 0.9, 'weight_decay': 0.0, 'r': 0.0, 'weight_lr_power': 2.0}
    """

    momentum: float = 0.9
    weight_decay: float = 0.0
    r: float = 0.0
    weight_lr_power: float = 2.0
    decay_on: Decayed = field(default="all", metadata=LATER)

    def __post_init__(self) -> None:
        in_range("momentum", self.momentum, 0.0, 1.0)
        in_range("weight_decay", self.weight_decay, 0.0, math.inf)
        check_decayed(self.decay_on)
        check_average(self)

    @classmethod
    def space(cls, epochs: int, per_epoch: int) -> dict[str, Among]:
        """What a search may try: the momenta that its authors name, and usual weight decays."""
        return {"momentum": Among((0.9, 0.95, 0.98)), "weight_decay": Among((0.0, 1e-4, 5e-4))}

    def build(self) -> Optimizer:
        """The pure functions. State: x, z, the largest rate so far, the number of updates t, and 1 / c."""
        decay_on = self.decay_on

        def update(grads: Params, state: OptState, params: Params, hyper: Hyper) -> tuple[Params, OptState]:
            grads = coupled(grads, params, hyper["weight_decay"], decay_on)
            z = {n: state["z"][n].addcmul(g, -hyper["lr"]) for n, g in grads.items()}
            return averaged(state, z, hyper, hyper["momentum"])

        def reference(named: Params) -> TorchOptimizer:
            from schedulefree import SGDScheduleFree

            groups, more = torch_groups(named, self.weight_decay, decay_on), weights(self)
            made: Any = SGDScheduleFree(groups, lr=1.0, momentum=self.momentum, **more)
            made.train()
            found: TorchOptimizer = made
            return found

        return Optimizer(
            averaged_state,
            update,
            parameters=evaluated,
            reference=reference,
            threshold=lambda hyper: average_threshold(hyper["lr"], hyper["momentum"]),
        )


def check_average(made: Any) -> None:
    """Raise unless r and weight_lr_power are in range."""
    in_range("r", made.r, 0.0, math.inf)
    in_range("weight_lr_power", made.weight_lr_power, 0.0, math.inf)


def weights(made: Any) -> dict[str, float]:
    """r and weight_lr_power."""
    return {"r": made.r, "weight_lr_power": made.weight_lr_power}


def averaged_state(params: Params) -> OptState:
    """The state before the first update: x and z are the parameters, all numbers are 0."""
    first = next(iter(params.values()))
    return {"x": dict(params), "z": dict(params), **{n: first.new_zeros(()) for n in ("t", "high", "count")}}


def averaged(state: OptState, z: Params, hyper: Hyper, beta: Tensor) -> tuple[Params, OptState]:
    """(y, the state) from the new z.

    count is 1 / c = (w_1 + ... + w_t) / w_t, from which a sum of millions of small weights loses no digits.
    """
    import torch

    t, high = state["t"] + 1, state["high"].maximum(hyper["lr"])
    rose = torch.where(high > 0, state["high"] / high, 1.0) ** hyper["weight_lr_power"]
    count = 1 + state["count"] * (state["t"] / t) ** hyper["r"] * rose
    x = {n: old.lerp(z[n], 1 / count) for n, old in state["x"].items()}
    y = {n: new.lerp(x[n], beta) for n, new in z.items()}
    return y, {**state, "x": x, "z": z, "t": t, "high": high, "count": count}


def evaluated(state: OptState, params: Params) -> Params:
    """x, the average."""
    found: Params = state["x"]
    return found


def average_threshold(lr: Tensor, beta: Tensor) -> tuple[Tensor, Tensor]:
    """2 / lr in the first step, where y = z; later, where y = (1 - beta) z + beta x and x hardly moves,
    2 / ((1 - beta) lr)."""
    return 2 / lr, 2 / ((1 - beta) * lr)
