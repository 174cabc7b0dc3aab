"""Schedule-free AdamW (Defazio et al., arXiv 2405.15682), as the package schedulefree has it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from preheat.core.registry import OPTIMIZERS
from preheat.core.space import Among
from preheat.core.spec import LATER
from preheat.optim.adam import check_adam
from preheat.optim.base import Decayed, Hyper, Optimizer, OptState, Params, decays, torch_groups, zeros
from preheat.optim.schedule_free_sgd import (
    average_threshold,
    averaged,
    averaged_state,
    check_average,
    evaluated,
    weights,
)

if TYPE_CHECKING:
    from torch.optim import Optimizer as TorchOptimizer


@OPTIMIZERS.register("schedule_free_adamw", label="schedule-free AdamW")
@dataclass(frozen=True)
class ScheduleFreeAdamW:
    """AdamW whose average is evaluated, in place of a decay of the rate; equals the package schedulefree's.

    With g the gradient at y:

        v <- beta2 v + (1 - beta2) g^2;  z <- z - lr (g / (sqrt(v / (1 - beta2^t)) + eps) + weight_decay y)
        x <- (1 - c) x + c z;  y <- (1 - beta1) z + beta1 x
        c = w_t / (w_1 + ... + w_t), w_t = t^r (the largest lr so far)^weight_lr_power

    y is trained, x is evaluated and kept, and all three begin at the initial parameters. The thresholds are
    those of `schedule_free_sgd`, with beta1 for momentum.

    The schedule gives the rate: constant, with a warmup as its authors recommend. Their warmup_steps=100 is
    {name: constant, warmup: 100, at: right}. They recommend beta1 0.9, in very long runs 0.95 or 0.98, rates
    1 to 10 times those of AdamW, and to tune weight decay anew. BatchNorm's running statistics are those of
    y: preheat evaluates x with them and does not compute them anew, which the authors advise. Defazio et al.
    2024, *The Road Less Scheduled*, arXiv 2405.15682.

    >>> from preheat.core.run import Run
    >>> one, schedule = {"name": "schedule_free_adamw", "beta1": 0.95}, {"name": "constant", "warmup": "5%"}
    >>> run = Run(task="quadratic", optimizer=one, schedule=schedule, peak_lr=0.0025, length="100")
    >>> run.hyper["beta1"], run.hyper["weight_lr_power"]
    (0.95, 2.0)
    """

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0
    r: float = 0.0
    weight_lr_power: float = 2.0
    decay_on: Decayed = field(default="all", metadata=LATER)

    def __post_init__(self) -> None:
        check_adam(self)
        check_average(self)

    @classmethod
    def space(cls, epochs: int, per_epoch: int) -> dict[str, Among]:
        """What a search may try: the beta1 that its authors name, and usual weight decays."""
        return {"beta1": Among((0.9, 0.95, 0.98)), "weight_decay": Among((0.0, 0.01, 0.1))}

    def build(self) -> Optimizer:
        """The pure functions. State: v, x, z, the largest rate so far, the number of updates t, and 1 / c."""
        decay_on = self.decay_on

        def init(params: Params) -> OptState:
            return {**averaged_state(params), "v": zeros(params)}

        def update(grads: Params, state: OptState, params: Params, hyper: Hyper) -> tuple[Params, OptState]:
            v = {n: state["v"][n].lerp(g * g, 1 - hyper["beta2"]) for n, g in grads.items()}
            divisor = preconditioner({"v": v, "t": state["t"] + 1}, hyper)
            steps = {n: g / divisor[n] for n, g in grads.items()}
            decay = hyper["weight_decay"]
            steps = {n: s.addcmul(params[n], decay) if decays(decay_on, s) else s for n, s in steps.items()}
            z = {n: state["z"][n].addcmul(s, -hyper["lr"]) for n, s in steps.items()}
            return averaged({**state, "v": v}, z, hyper, hyper["beta1"])

        def reference(named: Params) -> TorchOptimizer:
            from schedulefree import AdamWScheduleFree

            groups, betas = torch_groups(named, self.weight_decay, decay_on), (self.beta1, self.beta2)
            made: Any = AdamWScheduleFree(groups, lr=1.0, betas=betas, eps=self.eps, **weights(self))
            made.train()
            found: TorchOptimizer = made
            return found

        return Optimizer(
            init,
            update,
            parameters=evaluated,
            reference=reference,
            preconditioner=preconditioner,
            threshold=lambda hyper: average_threshold(hyper["lr"], hyper["beta1"]),
        )


def preconditioner(state: OptState, hyper: Hyper) -> Params:
    """P = sqrt(v / (1 - beta2^t)) + eps, of the state after update t: z <- z - lr g / P."""
    scale = (1 - hyper["beta2"] ** state["t"]).rsqrt()
    return {n: v.sqrt() * scale + hyper["eps"] for n, v in state["v"].items()}
