"""Prodigy (Mishchenko & Defazio, arXiv 2306.06101), as the package prodigyopt has it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from preheat.core.registry import OPTIMIZERS
from preheat.core.space import Range
from preheat.core.spec import LATER
from preheat.optim.adam import adam_threshold
from preheat.optim.base import (
    Decayed,
    Hyper,
    Optimizer,
    OptState,
    Params,
    coupled,
    decayed,
    in_range,
    torch_groups,
)
from preheat.optim.dadapt_adam import (
    advanced,
    check_distance,
    distance_state,
    multiplier,
    number,
    positive,
    total,
)

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer as TorchOptimizer


@OPTIMIZERS.register("prodigy", label="Prodigy")
@dataclass(frozen=True)
class Prodigy:
    """Adam at the scheduled rate times d, an estimate of the distance to go; equals the package prodigyopt's.

    With p_0 the initial parameters, a = d lr c_t and e = d a / d0, or with safeguard_warmup d^2 / d0; c_t = 1
    or with use_bias_correction sqrt(1 - beta2^t) / (1 - beta1^t); beta3: null for sqrt(beta2):

        r <- beta3 r + d a / d0 <g, p_0 - p>;  s <- beta3 s + e g
        m <- beta1 m + (1 - beta1) d g;  v <- beta2 v + (1 - beta2) (d g)^2
        d <- the largest d_coef r / |s|_1 so far;  p <- p - a m / (sqrt(v) + d eps), d the new one

    d begins at d0 and grows at most by growth_rate in an update, null for no bound; < , > and | |_1 are over
    all parameters of the run together. Weight decay is p <- (1 - a weight_decay) p, or without decouple
    g + weight_decay p. An update at rate 0 changes nothing. At beta1 = 0 the package takes the new d for m,
    the paper and preheat the old one. The package's slice_p is left out.

    Its author recommends the peak rate 1, the schedule constant or cosine over the whole run,
    safeguard_warmup where the schedule has a warmup, and to tune d_coef (0.5 to 2, at most 0.1 to 10) rather
    than the rate; for diffusion models also use_bias_correction and a weight decay of 0.01. Mishchenko &
    Defazio 2024, *Prodigy: An Expeditiously Adaptive Parameter-Free Learner*, arXiv 2306.06101.

    >>> from preheat.core.run import Run
    >>> one = {"name": "prodigy", "safeguard_warmup": True, "use_bias_correction": True}
    >>> schedule = {"name": "cosine", "warmup": "5%"}
    >>> run = Run(task="quadratic", optimizer=one, peak_lr=1.0, schedule=schedule, length="100")
    >>> run.hyper["d_coef"], run.optimizer.options["beta3"]
    (1.0, None)
    """

    sets_rate: ClassVar[bool] = True  # the scheduled rate is a factor, 1

    beta1: float = 0.9
    beta2: float = 0.999
    beta3: float | None = None
    eps: float = 1e-8
    weight_decay: float = 0.0
    decouple: bool = True
    use_bias_correction: bool = False
    safeguard_warmup: bool = False
    d0: float = 1e-6
    d_coef: float = 1.0
    growth_rate: float | None = None
    decay_on: Decayed = field(default="all", metadata=LATER)

    def __post_init__(self) -> None:
        check_distance(self)
        positive("d_coef", self.d_coef, 1.0)
        if self.beta3 is not None:
            number("beta3", self.beta3)
            in_range("beta3", self.beta3, 0.0, 1.0)
            object.__setattr__(self, "beta3", float(self.beta3))

    @classmethod
    def space(cls, epochs: int, per_epoch: int) -> dict[str, Range]:
        """What a search may try: d_coef, the number that its author would tune."""
        return {"d_coef": Range(0.1, 10.0, log=True, start=1.0)}

    def build(self) -> Optimizer:
        """The pure functions. State: m, v, s, r, the initial parameters, the number of updates t, and in
        units of d0 d, the largest estimate, and the d of the last update (`used`)."""

        def init(params: Params) -> OptState:
            state = distance_state(params)
            return {**state, "begin": dict(params), "d_max": state["d"]}

        def preconditioner(state: OptState, hyper: Hyper) -> Params:
            d0, used = hyper["d0"], state["used"]
            divisor = d0 * used * multiplier(used, state["t"], hyper, corrected=self.use_bias_correction)
            eps = d0 * state["d"] * hyper["eps"]
            return {n: (v.sqrt() + eps) / divisor for n, v in state["v"].items()}

        return Optimizer(
            init,
            self._update,
            reference=self._reference,
            preconditioner=preconditioner,
            threshold=adam_threshold,
        )

    def _update(
        self, grads: Params, state: OptState, params: Params, hyper: Hyper
    ) -> tuple[Params, OptState]:
        if not self.decouple:
            grads = coupled(grads, params, hyper["weight_decay"], self.decay_on)
        lr, d0 = hyper["lr"], hyper["d0"]
        on = (lr > 0).to(lr.dtype)
        rate = lr * multiplier(state["d"], state["t"] + 1, hyper, corrected=self.use_bias_correction)
        scaled = {n: d0 * state["d"] * g for n, g in grads.items()}
        m = {n: state["m"][n].lerp(g, (1 - hyper["beta1"]) * on) for n, g in scaled.items()}
        v = {n: state["v"][n].lerp(g * g, (1 - hyper["beta2"]) * on) for n, g in scaled.items()}
        r, s = self._sums(grads, state, params, {**hyper, "rate": rate, "on": on})
        norm = total({n: t.abs() for n, t in s.items()})
        went = on * (norm != 0)
        d, d_max = self._grown(state, hyper["d_coef"] * r / (norm * d0), hyper)
        found = advanced(state, went, r=r, d=d, d_max=d_max)
        if self.decouple:
            _, params = decayed(
                grads, params, {**hyper, "lr": rate * went}, decay_on=self.decay_on, decoupled=True
            )
        down, eps = -rate * went, d0 * found["d"] * hyper["eps"]
        new = {n: p.addcdiv(down * m[n], v[n].sqrt() + eps) for n, p in params.items()}
        return new, {"m": m, "v": v, "s": s, "begin": state["begin"], **found}

    def _sums(self, grads: Params, state: OptState, params: Params, hyper: Hyper) -> tuple[Tensor, Params]:
        """r, and s where the rate is above 0 (on), after this gradient."""
        beta3 = hyper["beta2"].sqrt() if self.beta3 is None else hyper["beta3"]
        ahead = total({n: g * (state["begin"][n] - params[n]) for n, g in grads.items()})
        of_g = state["d"] * (hyper["d0"] * state["d"] if self.safeguard_warmup else hyper["rate"])
        keep, of_g = 1 - (1 - beta3) * hyper["on"], of_g * hyper["on"]
        s = {n: keep * state["s"][n] + of_g * g for n, g in grads.items()}
        return beta3 * state["r"] + state["d"] * hyper["rate"] * ahead, s

    def _grown(self, state: OptState, found: Tensor, hyper: Hyper) -> tuple[Tensor, Tensor]:
        """(d, the largest estimate so far)."""
        import torch

        d, d_max = state["d"], state["d_max"].maximum(found)
        if self.growth_rate is None:
            return d_max, d_max
        d = torch.where(d == 1, d.maximum(found), d)  # from d0 it may jump
        return d_max.minimum(d * hyper["growth_rate"]), d_max

    def _reference(self, named: Params) -> TorchOptimizer:
        from prodigyopt import Prodigy as Theirs

        groups = torch_groups(named, self.weight_decay, self.decay_on)
        found: TorchOptimizer = Theirs(
            groups,
            lr=1.0,
            betas=(self.beta1, self.beta2),
            beta3=self.beta3,
            eps=self.eps,
            decouple=self.decouple,
            use_bias_correction=self.use_bias_correction,
            safeguard_warmup=self.safeguard_warmup,
            d0=self.d0,
            d_coef=self.d_coef,
            growth_rate=float("inf") if self.growth_rate is None else self.growth_rate,
        )
        return found
