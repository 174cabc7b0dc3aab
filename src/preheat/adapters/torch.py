"""A schedule as a PyTorch `LRScheduler` with a small state.

The rate of group i is its peak times the factor of the update at hand, times timm's lr_scale and what others
made of it: nothing is accumulated, so building, loading and stepping in any order give the same rates, and a
resumed run goes on to the last digit.
"""

from __future__ import annotations

import copy
import operator
import weakref
from collections.abc import Sequence
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from preheat.adapters.course import course
from preheat.adapters.critical import critical_lr
from preheat.adapters.curvature import hessian_trace, sharpness
from preheat.adapters.gi_adam import GIAdam
from preheat.adapters.groups import Also, beside_torchs, get_number, is_optimizer, moving, peak_rate, rated
from preheat.adapters.hooks import Updates, attach
from preheat.adapters.keeper import RateKeeper
from preheat.adapters.ledger import Ledger
from preheat.adapters.lion import Lion
from preheat.adapters.monitor import CurvatureMonitor, training_step
from preheat.adapters.range_test import lr_range_test
from preheat.adapters.resuming import (
    extension,
    needs_initial,
    read_state,
    restored,
    saved_groups,
    state_of,
)
from preheat.adapters.ri_adam import RIAdam
from preheat.adapters.warmup import WarmupLR
from preheat.core.errors import unknown
from preheat.schedules.sampling import update_number

__all__ = ["CurvatureMonitor", "GIAdam", "Lion", "RIAdam", "ScheduleLR", "WarmupLR"]
__all__ += ["critical_lr", "hessian_trace", "lr_range_test", "sharpness", "training_step"]

_RATE = operator.itemgetter("lr")


class ScheduleLR(LRScheduler):
    """Sets `lr = peak * factor` for each group of `optimizer`, beginning with update 0.

    schedule: a schedule, or a list with one for each group. total_steps: the number of updates, or a length
    such as "90ep" (then per_epoch); left out if the schedule is resolved already. Past it the last value
    holds. peak: one rate, or one for each group; if left out, each group's own `lr`. Floors are ratios of
    each group's peak. also: {"weight_decay": Between(...)}: other numbers of the groups that move with a
    schedule; "beta1" and "beta2" are the parts of `betas`; a list has one for each group, None for those to
    leave alone. count: with "updates" step() goes on only if the optimizer has stepped since the last call,
    so updates that a GradScaler skips, micro-batches and Accelerate's repeated calls do not run ahead; with
    "calls" every step() does. A captured CUDA graph hides the optimizer's steps. last_epoch: the last update
    done, to resume without a state; the peaks are then `peak`, or the groups' `initial_lr`.

    A rate that somebody else writes (ReduceLROnPlateau, a hand, a chained scheduler) is where the schedule
    goes on from: all its later rates are changed by the same ratio, until `set` or `assign`. Groups may be
    added, from the next step() on: before the first update `lr` is their peak; later `initial_lr` is, or an
    `lr` that is the optimizer's usual one, and another `lr` is taken as their rate now, with a warning. What
    `also` gives for all moves in one that has the value that the others had at the build. Groups without
    parameters may go. Two schedulers of this kind can't step at the same time. Errors: UserError.

    >>> from torch import nn, optim
    >>> from preheat.schedules import linear
    >>> optimizer = optim.SGD(nn.Linear(2, 1).parameters(), lr=0.5)
    >>> scheduler = ScheduleLR(optimizer, linear(at="left"), total_steps=4)
    >>> for _ in range(4):
    ...     print(optimizer.param_groups[0]["lr"])
    ...     optimizer.step()
    ...     scheduler.step()
    0.5
    0.375
    0.25
    0.125
    >>> sorted(scheduler.state_dict())
    ['fingerprint', 'last_epoch', 'peaks', 'rates']
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedule: Any,
        total_steps: int | str | None = None,
        *,
        per_epoch: float | None = None,
        peak: float | Sequence[float] | None = None,
        also: Also | None = None,
        count: str = "updates",
        last_epoch: int = -1,
    ) -> None:
        self.optimizer, groups = is_optimizer(optimizer), optimizer.param_groups
        if count not in ("updates", "calls"):
            raise unknown("count (what step() counts)", count, ("updates", "calls"))
        moves = moving(groups, also or {})
        made = course(schedule, total_steps, per_epoch, groups=len(groups), moving=moves)
        k = update_number(last_epoch, "last_epoch", least=-1) + 1
        if k and peak is None:
            needs_initial(groups)
        self._updates, self._step_count = Updates(always=count == "calls"), 1
        self._keeper = RateKeeper(optimizer, made, Ledger(groups, peak), k)
        if k:
            self._keeper.settle(k, made)
        self._keeper.go(k)
        self._attach()

    def __repr__(self) -> str:
        return f"ScheduleLR({self.schedule}, total={self.total}, update={self.last_epoch})"

    @property
    def last_epoch(self) -> int:
        """The update at hand, from 0; torch's name for it."""
        return self._keeper.k

    @last_epoch.setter
    def last_epoch(self, k: int) -> None:
        """Torch's compositions set it, -1 for a stage that has not begun, and who begins again; no rate is
        written."""
        keeper = self._keeper
        keeper.again = k < 0 < keeper.k  # a composition puts it back from update 0
        keeper.k, keeper.rows = max(k, -1), []
        if k < 0:
            keeper.ledger.row[0] = [None] * keeper.size

    @property
    def base_lrs(self) -> list[Any]:
        """The peak of each group; one that is changed counts from the next step() on."""
        self._keeper.match()
        self._keeper.watched = True
        return self._keeper.ledger.peaks

    @base_lrs.setter
    def base_lrs(self, peaks: Sequence[Any]) -> None:
        """Give all groups other peaks, from the next step() on."""
        known = self.base_lrs
        known[:] = rated(list(peaks), len(known))

    def step(self, epoch: int | None = None) -> None:
        """Write the rates of the next update, if one was done since the last call; or those of `epoch`."""
        if epoch is not None:
            self._update_lr(epoch)
            return
        updates, keeper = self._updates, self._keeper
        if updates.done != 1 and not updates.always and updates.odd(self.optimizer, keeper.k):
            return
        updates.done = updates.idle = 0
        self._step_count += 1
        k = keeper.k + 1
        i, groups, ledger = k - keeper.first, self.optimizer.param_groups, keeper.ledger
        here = groups is keeper.groups and len(groups) == keeper.size and 0 <= i < len(keeper.rows)
        if here and list(map(_RATE, groups)) == ledger.row[0] and not (keeper.watched and keeper.changed):
            ledger.row[0] = new = keeper.rows[i]
            for group, group["lr"] in zip(groups, new):  # noqa: B007, B905 -- half of the time of a plain loop
                pass
            keeper.k = k
            if keeper.chunk.moves:
                keeper.move()
            return
        keeper.advance(k)

    def set(self, k: int) -> None:
        """Go to update `k` and write its rates; nothing depends on where the scheduler was before, nor on
        what others wrote."""
        k = update_number(k)
        self._keeper.settle(k, self._keeper.course)
        self._keeper.go(k, afresh=True)
        self._keeper.forgotten, self._updates.done, self._updates.idle = False, 0, 0

    def get_last_lr(self) -> list[Any]:
        """The schedule's rate of each group at the update at hand: float64 values, also where a tensor holds
        fewer."""
        return self._keeper.rates()

    get_lr = get_last_lr

    @property
    def _last_lr(self) -> list[Any]:  # type: ignore[override]
        return self.get_last_lr()

    # by this and the next torch's SequentialLR enters a stage; a peak in doubt is `initial_lr` for all of
    # them
    def _initial_step(self) -> None:
        self._update_lr(self.last_epoch + 1)

    def _update_lr(self, epoch: int | None = None) -> None:
        keeper = self._keeper
        if epoch is None:
            keeper.advance(keeper.k + 1)
            return
        doubts = keeper.ledger.doubts
        keeper.ledger.settle({i: get_number(keeper.groups[i], "initial_lr") for i in doubts})
        self.set(epoch)
        keeper.register()

    def state_dict(self) -> dict[str, Any]:
        """The update at hand, a hash of the schedule, and of each group with parameters its peak and its
        rate: plain numbers, which `torch.load(weights_only=True)` takes."""
        keeper = self._keeper
        keeper.match()
        named = {"last_epoch": keeper.k, "fingerprint": keeper.counted.fingerprint}
        moves = {} if keeper.moving else {"moves": False}
        return {**named, **state_of(keeper.ledger), **moves}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to the update of a state, restore its peaks, also those that `assign` gave, and write its rates.

        Schedule and total stay those given here, and so does a peak that is not the one with which the saved
        run was built.
        """
        keeper = self._keeper
        keeper.match()
        k, origin = read_state(state_dict, counted := keeper.counted)
        saved, torchs = saved_groups(state_dict), beside_torchs(self.optimizer)
        rates, others = restored(keeper.ledger, saved, chained=torchs)
        keeper.bind()
        keeper.settle(k, origin and keeper.course, sure=True)
        keeper.go(k, but=others, moves=state_dict.get("moves", True) is not False)
        if k >= 0:
            keeper.register()
        keeper.forgotten, keeper.restored, self._updates.done, self._updates.idle = False, True, 0, 0
        for i, rate in rates.items():
            if origin is counted or i in others:
                keeper.put(i, rate, known=i not in others)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._keeper.bind()
        self._attach()

    def __copy__(self) -> ScheduleLR:
        """One that counts calls, to draw the curve: the next step() of this one writes its own rates
        again."""
        new, keeper = type(self).__new__(type(self)), copy.copy(self._keeper)
        keeper.ledger = keeper.ledger.copy()
        new.__dict__.update(self.__dict__, _keeper=keeper, _updates=Updates(always=True))
        keeper.bind()
        return new

    @property
    def schedule(self) -> Any:
        """The schedule as it is now, extended if it was; a tuple, one for each group, where they differ."""
        first, *others = self._keeper.course.schedules
        return first if all(other == first for other in others) else self._keeper.course.schedules

    @property
    def total(self) -> int:
        """The number of updates as it is now; not `total_steps`, by which Accelerate knows a OneCycleLR."""
        return int(self._keeper.course.run.total)

    @property
    def also(self) -> Also:
        """What moves beside the rate, as it is now."""
        return dict(self._keeper.course.moving)

    def extend(self, total: int, at: int | None = None, *, how: str = "continue", **options: Any) -> None:
        """Give the run another total at update `at` (now), without a jump; see `Resolved.extend` for `how`.

        A cooldown is the rates' alone; what moves beside them is rescaled. To resume an extended run build
        with its `schedule` and `total`, or extend at the same update before loading.
        """
        keeper, place = self._keeper, extension(at, self.last_epoch, total)
        keeper.heed()
        keeper.course = keeper.course.extended(keeper.ledger.peaks, total, at=place, how=how, **options)
        keeper.bind()
        keeper.go(keeper.k)

    def assign(self, group: int, schedule: Any = None, *, peak: float | None = None) -> None:
        """Give one group, also one just added, another schedule or peak from here on; its rate is written."""
        keeper = self._keeper
        keeper.bind(schedule, told=peak is not None)
        i = range(keeper.size)[group]
        keeper.heed()
        if peak is not None:
            keeper.ledger.decide({i: peak_rate(peak)})
        if schedule is not None:
            keeper.course = keeper.course.with_schedule(i, schedule)
        keeper.bind()
        keeper.go(keeper.k)

    def _attach(self) -> None:
        """Learn from the optimizer when it has stepped, and when its groups were loaded."""
        me = weakref.ref(self._keeper)

        def reloaded() -> None:
            if (keeper := me()) is not None:
                keeper.reloaded()

        self._keeper.register()
        attach(self.optimizer, self._updates, self._keeper, reloaded)
