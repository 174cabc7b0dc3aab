"""Critical sharpness: from the least rate at which the update that follows would raise the loss; and what it
is on a quadratic loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from preheat.core.lengths import Length, steps
from preheat.core.registry import PROBES
from preheat.probes.base import Moment, Probe, Tensors, at_least, norm
from preheat.probes.hessian import dot, hessian

if TYPE_CHECKING:
    from torch import Tensor

_FIRST = 1e-3  # where a rate of 0 says nothing
_FAR = 2.0**30  # a start that is further from the rate than this factor is given up
_ROUNDING = 4  # losses that differ by so many units of rounding are equal


@PROBES.register("critical_sharpness")
@dataclass(frozen=True)
class CriticalSharpness(Probe):
    """The critical sharpness 2 / eta_c; eta_c is the least rate at which this update would raise the loss.

    At p, and after this update at other rates, the batch's training loss is computed `passes` times: once at
    p, then at rates that grow (or shrink) by the factors 2, 4, 8, ... until of two neighbours the larger
    raises the loss and the smaller does not, then in the middle between such two: geometric while they are
    more than a factor 2 apart. The first rate is eta_c of the last measurement, or lr (0.001 where that is
    0). eta_c is the middle of the last interval. critical_sharpness_error, relative to it: half the
    interval's width, and how far rounding (4 units of the loss, one of the parameters) may move eta_c.
    Without an interval the value is NaN, the error infinite, and the next measurement goes on from there;
    also where the update is not downhill on this batch by more than rounding (by momentum, for example). A
    loss that rises, falls and rises again along the update may be taken at a later rise.
    critical_sharpness_to_threshold: lr / eta_c. Where the loss is quadratic along the update d per unit of
    rate, 2 / eta_c is d'Hd / (-g'd): at most the sharpness for gradient descent. The cost is `passes` forward
    passes and updates.

    D. Kalra et al., arXiv 2601.16979; the search: D. Kalra, M. Barkeshli, arXiv 2406.09405, appendix B.2.
    """

    every: Length = steps(100)
    passes: int = 12

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(3, self.passes, "passes", "critical_sharpness", why="the loss here, below and above")

    def start(self, moment: Moment) -> Tensors:
        """The rate to look at first: that of the update."""
        return {"rate": moment.lr.clone()}

    def measure(self, moment: Moment, memory: Tensors) -> tuple[Tensors, Tensors]:
        """critical_sharpness, its error, and lr / eta_c."""
        import torch

        at, lr = moment.at, torch.where(moment.lr > 0, moment.lr, _FIRST)
        assert at is not None

        def loss(rate: Tensor) -> Tensor:
            value: Tensor = moment.joined(moment.function(at(rate), moment.buffers, moment.batch))
            return value

        here = moment.joined(moment.function(moment.params, moment.buffers, moment.batch))
        margin = _ROUNDING * torch.finfo(here.dtype).eps * here.abs()
        begin = torch.where(memory["rate"] > 0, memory["rate"], lr)
        rate, low = begin, torch.zeros_like(lr)
        high = torch.full_like(lr, torch.inf)
        for i in range(self.passes - 1):
            raised = ~(loss(rate) <= here + margin)  # what is not a number is no descent
            low, high = torch.where(raised, low, rate), torch.where(raised, rate, high)
            middle = torch.where(high > 2 * low, (low * high).sqrt(), (low + high) / 2)
            inside = torch.where(low > 0, middle, high / 2 ** (i + 1))
            rate = torch.where(high < torch.inf, inside, 2 ** (i + 1) * low)
        bracketed = (low > 0) & (high < torch.inf)
        last = torch.where(low > 0, low, high)
        fall, blur = _fall(moment, at(torch.where(bracketed, (low + high) / 2, last)))
        bracketed = bracketed & (fall > 0)
        critical = torch.where(bracketed, (low + high) / 2, torch.nan)
        error = (high - low) / 2 / critical + (margin + blur) / fall
        rate = torch.where(fall > 0, rate, begin)
        near = (rate < lr * _FAR) & (rate > lr / _FAR)
        return {
            "critical_sharpness": 2 / critical,
            "critical_sharpness_error": torch.where(bracketed, error, torch.inf),
            "critical_sharpness_to_threshold": moment.lr / critical,
        }, {"rate": torch.where(near, rate, lr)}


def _fall(moment: Moment, after: Tensors) -> tuple[Tensor, Tensor]:
    """(how far the loss falls by an update, to first order; what the rounding of the parameters makes of
    it). The fall is 0 where it is not above that."""
    import torch

    moves = {n: after[n] - p for n, p in moment.params.items()}
    eps = max(torch.finfo(p.dtype).eps for p in moment.params.values())
    slope = torch.stack([(moment.grads[n] * d).sum() for n, d in moves.items()]).sum()
    blur = eps * norm({n: moment.grads[n] * p for n, p in moment.params.items()})
    seen = (-slope > _ROUNDING * blur) & (norm(moves) > _ROUNDING * eps * norm(moment.params))
    return torch.where(seen, -slope, torch.zeros_like(slope)), blur


@PROBES.register("directional_sharpness")
@dataclass(frozen=True)
class DirectionalSharpness(Probe):
    """The curvature along the update over the slope, d'Hd / (-g'd) for the update d per unit of rate.

    H: the Hessian of this batch's training loss, by one product; g: its gradient. Where the loss is quadratic
    along d this is the critical sharpness. NaN where the update is not downhill on this batch by more than
    rounding (by momentum, for example). The cost is about 3 gradients.

    D. Kalra et al., arXiv 2601.16979.
    """

    every: Length = steps(100)

    def measure(self, moment: Moment, memory: Tensors) -> tuple[Tensors, Tensors]:
        """directional_sharpness."""
        import torch

        assert moment.at is not None
        after = moment.at(torch.ones_like(moment.lr))
        d = {n: after[n] - p for n, p in moment.params.items()}
        fall, _ = _fall(moment, after)
        bend = dot(d, hessian(moment, moment.batch)(d))
        return {"directional_sharpness": torch.where(fall > 0, bend / fall, torch.nan)}, memory
