"""Persistent catapult warmup: each rate is the least one at which the loss would rise (Kalra & Barkeshli)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from preheat.core.errors import UserError
from preheat.core.registry import RATE_RULES
from preheat.optim.base import Params, TrialRule, in_range

if TYPE_CHECKING:
    from torch import Tensor

_BELOW = 2.0**-10  # the first search begins that far below the scheduled rate
_ROUNDING = 4  # losses that differ by so many units of rounding are equal


@RATE_RULES.register("persistent_catapult")
@dataclass(frozen=True)
class PersistentCatapult(TrialRule):
    """A warmup without a length: the rate goes to the critical one whenever the loss is at a new low.

    At the first update, and whenever the loss L of the batch before an update is below that of the last
    search, the critical rate eta_c of that update is searched on its batch, and training goes on at it, so
    that the loss rises a little (a catapult), the sharpness falls, and a larger rate becomes possible. The
    rate is never above the scheduled one; once it has reached that, the schedule alone decides. So with
    `constant` as the schedule the run warms up to peak_lr and stays there.

    The search: from the present rate (at first from peak_lr / 1024) it doubles, or halves, until of two
    neighbours the larger raises the loss and the smaller does not, then takes middles until at the upper one
    the loss is at most L + delta |L|, or `passes` forward passes are used; eta_c is the upper one. If no rate
    below the scheduled one raises the loss, it is the scheduled one; if none lowers it (momentum can point
    uphill on a new batch), the rate stays. Losses within 4 units of rounding of L's dtype count as equal. The
    authors give delta = 0.1 for SGD and about 0.01 for Adam, say that it must shrink where the loss is flat,
    and leave the way open; here it is constant. With mini-batches the two losses that are compared are of two
    batches; the authors' runs train on all data.

    A search costs one gradient and `passes` forward passes, and the look before an update one, as long as the
    rate is below the schedule's. Kalra & Barkeshli 2024, *Why Warmup the Learning Rate?*, arXiv 2406.09405,
    algorithm 3.
    """

    delta: float = 0.1
    passes: int = 16

    def __post_init__(self) -> None:
        in_range("delta", self.delta, 0.0, float("inf"))
        if self.passes < 2:
            raise UserError(
                f"passes of rate rule 'persistent_catapult' must be at least 2, got {self.passes}: write 16"
            )

    def init(self, params: Params) -> Params:
        """rate: 0 before the first search; lowest: the loss at the last one."""
        first = next(iter(params.values()))
        return {"rate": first.new_zeros(()), "lowest": first.new_tensor(float("inf"))}

    def warming(self, state: Params, lr: Tensor) -> Tensor:
        """Whether the rate is below the scheduled one."""
        return state["rate"] < lr

    def due(self, state: Params, lr: Tensor, loss: Tensor) -> Tensor:
        """Whether the loss is below that of the last search."""
        return loss < state["lowest"]

    def search(self, state: Params, moment: Any, loss_after: Callable[[Tensor], Tensor]) -> Params:
        """The critical rate of this update, and the loss before it."""
        import torch

        here, top = moment.loss, moment.lr
        start = torch.where(state["rate"] > 0, state["rate"], top * _BELOW)
        rate, low, high = start, torch.zeros_like(top), torch.full_like(top, torch.inf)
        above, found = high, here < -torch.inf
        sunk, margin = found, _ROUNDING * torch.finfo(here.dtype).eps * here.abs()
        for _ in range(self.passes):
            rate = rate.minimum(top)
            loss = loss_after(rate)
            falls = loss <= here + margin  # what is not a number does not fall
            sunk = sunk | (loss < here - margin)
            low = torch.where(falls & ~found, rate, low)
            high, above = (torch.where(falls | found, old, new) for old, new in ((high, rate), (above, loss)))
            found = found | (low >= top) | ((low > 0) & (above <= here + self.delta * here.abs()))
            rate = torch.where(high < torch.inf, (low + high) / 2, 2 * low)
        critical = torch.where(high < torch.inf, high, low)
        settled = (low > 0) & (sunk | (high == torch.inf))
        return {"rate": torch.where(settled, critical, start), "lowest": here}

    def rate(
        self, state: Params, moment: Any, loss_on_batch: Callable[[Params], Tensor]
    ) -> tuple[Tensor, Params]:
        """The searched rate as a factor of the scheduled one, at most 1."""
        import torch

        below = state["rate"] < moment.lr
        return torch.where(below, state["rate"] / moment.lr, torch.ones_like(moment.lr)), state
