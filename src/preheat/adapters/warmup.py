"""A warmup before, or over, any scheduler of PyTorch's."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from torch.optim.lr_scheduler import LRScheduler

from preheat.adapters.groups import get_number, put_number, rated, same
from preheat.adapters.telling import nothing_to_scale, raised
from preheat.core.errors import UserError, unknown
from preheat.core.lengths import steps
from preheat.schedules.sampling import step_count, update_number
from preheat.schedules.shapes.constant import constant

_KEPT = ("last_epoch", "targets", "rates", "scheduler")


class WarmupLR(LRScheduler):
    """Warms up to the rates of another scheduler, in `warmup` calls of step().

    The rate of group i at call k < warmup is w(k) times the one that `scheduler` wants, with w rising from
    `start` to 1: `constant(warmup=warmup, warmup_start=start, ...)`. scheduler: any of torch's or ours, also
    ReduceLROnPlateau, SequentialLR and ChainedScheduler, just built on its optimizer. how: "before": it waits
    until the warmup is over, and then begins at its first rate; "over": it is stepped from the beginning,
    and its rates are multiplied, as pytorch_warmup dampens them. curve, at: the warmup's, as `warmup_curve`
    and `at` of every schedule; with at="left" the first factor is `start`, with "right" the last one is 1.

    `step()` hands its arguments on, such as ReduceLROnPlateau's metric; while `scheduler` waits they are not
    looked at. A rate that somebody else writes during the warmup is where it goes on from. The state holds
    that of `scheduler`, so a run resumes exactly in any order of building and loading. Errors: UserError.

    >>> from torch import nn, optim
    >>> optimizer = optim.SGD(nn.Linear(2, 1).parameters(), lr=0.5)
    >>> plateau = optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
    >>> scheduler = WarmupLR(plateau, warmup=2, at="left")
    >>> for loss in (3.0, 2.0, 1.0, 1.0, 1.0):
    ...     print(optimizer.param_groups[0]["lr"])
    ...     optimizer.step()
    ...     scheduler.step(loss)
    0.0
    0.25
    0.5
    0.5
    0.25

    The sources. "before": Goyal et al. 2017, *Accurate, Large Minibatch SGD*; "over": Ma and Yarats 2021,
    *On the Adequacy of Untuned Warmup for Adaptive Optimization*.
    """

    def __init__(
        self,
        scheduler: Any,
        warmup: int,
        *,
        start: float = 0.0,
        curve: str = "linear",
        at: str = "mid",
        how: str = "before",
    ) -> None:
        if not hasattr(scheduler, "optimizer") or not hasattr(scheduler, "step"):
            raise UserError(
                f"scheduler must be one of torch's or ours, built on its optimizer, got {scheduler!r:.60}: "
                "write "
                "WarmupLR(CosineAnnealingLR(optimizer, 90), warmup=5)"
            )
        if how not in ("before", "over"):
            raise unknown("how (a warmup stands to its scheduler)", how, ("before", "over"))
        self.warmup = step_count("warmup", warmup, 1)
        ramp = constant(warmup=steps(self.warmup), warmup_start=start, warmup_curve=curve, at=at)
        self._ramp: list[float] = ramp.resolve(self.warmup).table().tolist()
        self.scheduler, self.optimizer, self.how = scheduler, scheduler.optimizer, how
        self._said = [self.warmup, start, curve, at, how]
        self._k, self._step_count = 0, 1
        self._known = list(self.optimizer.param_groups)
        self._targets = [get_number(group, "lr") for group in self._known]
        self._wrote: list[float] = list(self._targets)
        self._write()

    def __repr__(self) -> str:
        return f"WarmupLR({type(self.scheduler).__name__}, {self.warmup}, {self.how}, call={self.last_epoch})"

    @property
    def base_lrs(self) -> list[Any]:  # type: ignore[override]
        """Those of the scheduler; the rates that it wants where it has none."""
        return list(getattr(self.scheduler, "base_lrs", self._targets))

    @property
    def last_epoch(self) -> int:
        """The calls done."""
        return self._k

    @last_epoch.setter
    def last_epoch(self, k: int) -> None:
        """Errors: UserError, as nothing but a SequentialLR sets it."""
        raise UserError(
            "a WarmupLR is no stage of a SequentialLR, which sets last_epoch: put it around that, "
            "WarmupLR(SequentialLR(...), warmup=...)"
        )

    @property
    def finished(self) -> bool:
        """Whether the warmup is over."""
        return self.last_epoch >= self.warmup

    def step(self, *args: Any, **kwargs: Any) -> None:
        """Go on by one: in the warmup, then in the scheduler, which gets the arguments."""
        waiting = not self.finished
        if waiting:
            self._heed()
        self._k += 1
        self._step_count += 1
        if self.how == "over" and waiting:
            self._put(self._targets)  # the scheduler goes on from its own rates
        if self.how == "over" or not waiting:
            self.scheduler.step(*args, **kwargs)
        if self.how == "over" and waiting:
            self._targets = [get_number(group, "lr") for group in self.optimizer.param_groups]
        if waiting:
            self._write()

    def get_last_lr(self) -> list[Any]:
        """The rate of each group."""
        return [get_number(group, "lr") for group in self.optimizer.param_groups]

    get_lr = get_last_lr

    @property
    def _last_lr(self) -> list[Any]:  # type: ignore[override]
        return self.get_last_lr()

    def state_dict(self) -> dict[str, Any]:
        """The calls done, the rates that the scheduler wants, those that the groups have, its own state, and
        what the warmup was."""
        values = (self.last_epoch, list(self._targets), self.get_last_lr(), self.scheduler.state_dict())
        return {**dict(zip(_KEPT, values, strict=True)), "warmup": self._said}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state: warmup, `how` and scheduler stay those given here."""
        if not isinstance(state_dict, Mapping) or any(name not in state_dict for name in _KEPT):
            got = list(state_dict) if isinstance(state_dict, Mapping) else state_dict
            raise UserError(
                f"a state of WarmupLR has {', '.join(_KEPT)}, got {got!r:.80}: give what "
                "scheduler.state_dict() "
                "returned; the state of a scheduler without warmup goes to that scheduler"
            )
        k = update_number(state_dict["last_epoch"], "last_epoch of a state")
        n = len(self.optimizer.param_groups)
        targets, rates = (list(state_dict[name]) for name in ("targets", "rates"))
        if len(targets) != n or len(rates) != n:
            raise UserError(
                f"the state is of {len(targets)} groups, got an optimizer of {n}: add the groups first"
            )
        targets, rates = rated(targets, n), rated(rates, n)
        if state_dict.get("warmup", self._said) != self._said:
            said = f"the state was saved under another warmup, {state_dict['warmup']}: {self._said} stays"
            warnings.warn(said, UserWarning, stacklevel=2)
        self._put(rates)  # before the scheduler looks at them
        self.scheduler.load_state_dict(state_dict["scheduler"])
        self._k, self._targets = k, targets
        self._put(rates)

    def _factor(self) -> float:
        return 1.0 if self.finished else self._ramp[self._k]

    def _write(self) -> None:
        factor = self._factor()
        self._put([target if factor == 1.0 else target * factor for target in self._targets])

    def _put(self, rates: list[float]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            put_number(group, "lr", rate)
        self._wrote = list(rates)

    def _heed(self) -> None:
        """Take over the rates that somebody else wrote, and groups that came or, without parameters, went."""
        groups, factor = self.optimizer.param_groups, self._factor()
        kept = [i for i, group in enumerate(self._known) if any(group is one for one in groups)]
        if len(groups) < len(self._known) and len(kept) == len(groups):
            self._targets, self._wrote = ([some[i] for i in kept] for some in (self._targets, self._wrote))
        self._known = list(groups)
        for i, group in enumerate(groups):
            rate = rated(get_number(group, "lr"), 1)[0]
            if i == len(self._targets):
                self._targets.append(rate)
                self._wrote.append(rate * factor)
            elif not same(rate, self._wrote[i]):
                higher = rate > self._targets[i] * factor and factor < 1
                if not factor or higher:
                    text = raised(i, rate) if factor else nothing_to_scale(i, rate)
                    warnings.warn(text, UserWarning, stacklevel=3)
                    continue
                self._targets[i] = rate / factor
