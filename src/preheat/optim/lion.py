"""Lion: the sign of an interpolated momentum (Chen et al., arXiv 2302.06675)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from preheat.core.registry import OPTIMIZERS
from preheat.core.spec import LATER
from preheat.optim.base import (
    Decayed,
    Hyper,
    Optimizer,
    OptState,
    Params,
    check_decayed,
    decayed,
    in_range,
    zeros,
)


@OPTIMIZERS.register("lion", label="Lion")
@dataclass(frozen=True)
class SignMomentum:
    """Lion: every entry moves by the rate, to where momentum and gradient point, with AdamW's weight decay.

    p <- (1 - lr weight_decay) p - lr sign(beta1 m + (1 - beta1) g);  then m <- beta2 m + (1 - beta2) g. Where
    that sum is 0 an entry stays. The size of a gradient does not count, so no eigenvalue bounds the rate: it
    has no preconditioner and no threshold. An entry whose gradient is 0 but for rounding moves by lr all the
    same. Rates 3 to 10 times below AdamW's are usual. Chen et al. 2023, *Symbolic Discovery of Optimization
    Algorithms*, arXiv 2302.06675.
    """

    beta1: float = 0.9
    beta2: float = 0.99
    weight_decay: float = 0.0
    decay_on: Decayed = field(default="all", metadata=LATER)

    def __post_init__(self) -> None:
        in_range("beta1", self.beta1, 0.0, 1.0)
        in_range("beta2", self.beta2, 0.0, 1.0)
        in_range("weight_decay", self.weight_decay, 0.0, math.inf)
        check_decayed(self.decay_on)

    def build(self) -> Optimizer:
        """The pure functions. State: m."""
        decay_on = self.decay_on

        def init(params: Params) -> OptState:
            return {"m": zeros(params)}

        def update(grads: Params, state: OptState, params: Params, hyper: Hyper) -> tuple[Params, OptState]:
            grads, params = decayed(grads, params, hyper, decay_on=decay_on, decoupled=True)
            down, beta1, beta2 = -hyper["lr"], hyper["beta1"], hyper["beta2"]
            signs = {n: m.lerp(grads[n], 1 - beta1).sign() for n, m in state["m"].items()}
            new = {n: p.addcmul(signs[n], down) for n, p in params.items()}
            return new, {"m": {n: m.lerp(grads[n], 1 - beta2) for n, m in state["m"].items()}}

        return Optimizer(init, update)
