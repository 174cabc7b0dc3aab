"""D-Adaptation for Adam (Defazio & Mishchenko, arXiv 2301.07733), as in the package dadaptation since 3.0."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from preheat.core.errors import UserError
from preheat.core.lengths import is_number
from preheat.core.registry import OPTIMIZERS
from preheat.core.space import Range
from preheat.core.spec import LATER
from preheat.optim.adam import adam_state, adam_threshold, check_adam
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
    zeros,
)

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer as TorchOptimizer


@OPTIMIZERS.register("dadapt_adam", label="DAdaptAdam")
@dataclass(frozen=True)
class DAdaptAdam:
    """Adam at the scheduled rate times d, an estimate that only grows; equals the package dadaptation's.

    With a = d lr c_t, c_t = 1 or with use_bias_correction sqrt(1 - beta2^t) / (1 - beta1^t), q = sqrt(beta2):

        r <- q r + (1 - q) a <g, s / (sqrt(v) + eps)>;  s <- q s + (1 - q) a g
        m <- beta1 m + (1 - beta1) a g;  v <- beta2 v + (1 - beta2) g^2
        d <- max(d, min(r / ((1 - q) |s|_1), growth_rate d));  p <- p - m / (sqrt(v) + eps)

    d begins at d0; < , > and | |_1 are over all parameters of the run together. growth_rate: null for no
    bound. Weight decay is Adam's, g + weight_decay p, or with decouple p <- (1 - a weight_decay) p. An update
    at rate 0 changes nothing. The package's layer_scale is left out.

    Its authors recommend the peak rate 1, the schedule that one would use anyway, decouple where AdamW would
    be used, and two to four times the usual weight decay where it overfits; a growth_rate such as 1.02 is a
    kind of warmup. Defazio & Mishchenko 2023, *Learning-Rate-Free Learning by D-Adaptation*, arXiv
    2301.07733.

    >>> from preheat.core.run import Run
    >>> run = Run(task="quadratic", optimizer="dadapt_adam", peak_lr=1.0, schedule="cosine", length="100")
    >>> run.hyper["d0"], run.optimizer.options["growth_rate"]
    (1e-06, None)
    """

    sets_rate: ClassVar[bool] = True  # the scheduled rate is a factor, 1

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0
    decouple: bool = False
    use_bias_correction: bool = False
    d0: float = 1e-6
    growth_rate: float | None = None
    decay_on: Decayed = field(default="all", metadata=LATER)

    def __post_init__(self) -> None:
        check_distance(self)

    @classmethod
    def space(cls, epochs: int, per_epoch: int) -> dict[str, Range]:
        """What a search may try: the growth rate, first the one that is nearest to no bound."""
        return {"growth_rate": Range(1.01, 2.0, start=2.0)}

    def build(self) -> Optimizer:
        """The pure functions. State: m, v, s, r, the number of updates t, and d in units of d0, with that of
        the last update (`used`)."""

        def preconditioner(state: OptState, hyper: Hyper) -> Params:
            scale = 1 / multiplier(state["used"], state["t"], hyper, corrected=self.use_bias_correction)
            return {n: (v.sqrt() + hyper["eps"]) * scale for n, v in state["v"].items()}

        return Optimizer(
            distance_state,
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
        lr, eps, rest = hyper["lr"], hyper["eps"], 1 - hyper["beta2"].sqrt()
        on = (lr > 0).to(lr.dtype)
        rate = lr * multiplier(state["d"], state["t"] + 1, hyper, corrected=self.use_bias_correction)
        ahead = total({n: g * state["s"][n] / (state["v"][n].sqrt() + eps) for n, g in grads.items()})
        scaled = {n: rate * g for n, g in grads.items()}
        m = {n: state["m"][n].lerp(g, (1 - hyper["beta1"]) * on) for n, g in scaled.items()}
        v = {n: state["v"][n].lerp(g * g, (1 - hyper["beta2"]) * on) for n, g in grads.items()}
        s = {n: state["s"][n].lerp(g, rest * on) for n, g in scaled.items()}
        norm = total({n: t.abs() for n, t in s.items()})
        went = on * (norm != 0)
        r = state["r"].lerp(rate * ahead, rest * went)
        d = self._grown(state["d"], r / (rest * norm * hyper["d0"]), hyper)
        if self.decouple:
            _, params = decayed(
                grads, params, {**hyper, "lr": rate * went}, decay_on=self.decay_on, decoupled=True
            )
        new = {n: p.addcdiv(-went * m[n], v[n].sqrt() + eps) for n, p in params.items()}
        return new, {"m": m, "v": v, "s": s, "r": r, **advanced(state, went, d=d)}

    def _grown(self, d: Tensor, found: Tensor, hyper: Hyper) -> Tensor:
        bounded = found if self.growth_rate is None else found.minimum(d * hyper["growth_rate"])
        return d.maximum(bounded)

    def _reference(self, named: Params) -> TorchOptimizer:
        from dadaptation import DAdaptAdam as Theirs

        groups = torch_groups(named, self.weight_decay, self.decay_on)
        growth = float("inf") if self.growth_rate is None else self.growth_rate
        betas, correct = (self.beta1, self.beta2), self.use_bias_correction
        more = {"decouple": self.decouple, "use_bias_correction": correct, "growth_rate": growth}
        found: TorchOptimizer = Theirs(groups, lr=1.0, betas=betas, eps=self.eps, d0=self.d0, **more)
        return found


def check_distance(made: Any) -> None:
    """Raise unless the options that every optimizer with an estimated d has are in range; growth_rate becomes
    a float."""
    check_adam(made)
    positive("eps", made.eps, 1e-8)
    positive("d0", made.d0, 1e-6)
    if made.growth_rate is not None:
        number("growth_rate", made.growth_rate)
        in_range("growth_rate", made.growth_rate, 1.0, float("inf"))
        object.__setattr__(made, "growth_rate", float(made.growth_rate))


def positive(what: str, value: float, usual: float) -> None:
    """Raise unless the value is above 0."""
    if not value > 0:
        raise UserError(f"{what} must be above 0, got {value:g}: write {usual:g}")


def number(what: str, value: object) -> None:
    """Raise unless the value is a number."""
    if not is_number(value):
        raise UserError(f"{what} must be a number or null, got {value!r}: leave it out")


def distance_state(params: Params) -> OptState:
    """The state before the first update: Adam's, s and r at 0, and d at d0."""
    first = next(iter(params.values()))
    begin = {"r": first.new_zeros(()), "d": first.new_ones(()), "used": first.new_ones(())}
    return {**adam_state(params), "s": zeros(params), **begin}


def multiplier(d: Tensor, t: Tensor, hyper: Hyper, *, corrected: bool) -> Tensor:
    """What the scheduled rate is multiplied by in update t: d0 d, corrected as Adam's moments are or not."""
    if not corrected:
        return hyper["d0"] * d
    t = t.clamp(min=1)
    return hyper["d0"] * d * (1 - hyper["beta2"] ** t).sqrt() / (1 - hyper["beta1"] ** t)


def total(parts: Params) -> Tensor:
    """The sum of all entries, a scalar."""
    first, *others = [p.sum() for p in parts.values()]
    return sum(others, start=first)


def advanced(state: OptState, went: Tensor, **found: Tensor) -> OptState:
    """t, the d that was used, and what is found, where the update went on (1); as they were where not (0)."""
    import torch

    now = {"t": state["t"] + 1, "used": state["d"], **found}
    return {name: torch.where(went > 0, value, state[name]) for name, value in now.items()}
