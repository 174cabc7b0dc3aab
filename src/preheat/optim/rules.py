"""Rates that listen to training: a factor of the scheduled rate, decided at every update.

A rule's file registers a frozen dataclass, `@RATE_RULES.register("polyak")`, that is a `RateRule`; a run
names it as `rate_rule`. The rate of update k is then peak_lr times the schedule's factor times the rule's, so
there is no table of rates beforehand, and a record holds the rates that were used as `train_learning_rate`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

Tensors = dict[str, "Tensor"]
LossOnBatch = Callable[[Tensors], "Tensor"]


class RateRule(ABC):
    """Pure functions of one run's tensors, so a rule works alone, in a fleet and resumed: its state is in the
    checkpoint."""

    def init(self, params: Tensors) -> Tensors:
        """The state before the first update, {name: tensor}; {} where the rule remembers nothing."""
        return {}

    @abstractmethod
    def rate(self, state: Tensors, moment: Any, loss_on_batch: LossOnBatch) -> tuple[Tensor, Tensors]:
        """(factor of the scheduled rate, a scalar of at least 0; the next state), before the update.

        moment: a `preheat.probes.base.Moment` of this update; its `after` are the parameters before it, and
        `drawn` and `start` are empty. loss_on_batch(params): the loss of this batch at other parameters.
        """
