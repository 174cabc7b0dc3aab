"""A schedule as a PyTorch `LRScheduler` whose state is one integer, and a hash that only warns.

The rate of group i is always peak_i times the factor of the update at hand: nothing is accumulated, so
building, loading and stepping in any order give the same rates, and a resumed run goes on to the last digit.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from preheat.adapters.course import CHUNK, Course, course
from preheat.adapters.groups import (
    Also,
    doubts,
    get_number,
    innermost,
    moving,
    peak_rate,
    peaks,
    put_number,
    same,
    separate_tensors,
    trains,
)
from preheat.adapters.resuming import extension, inherited, no_update, read_state, settled
from preheat.core.errors import UserError, unknown
from preheat.schedules.sampling import update_number

# step() calls without an update after which a user is told: before training, and at any time
_QUIET, _STALLED = 3, 256


class ScheduleLR(LRScheduler):
    """Sets `lr = peak * factor` for each group of `optimizer`, beginning with update 0.

    schedule: a schedule, or a list with one for each group. total_steps: the number of updates, or a length
    such as "90ep" (then per_epoch); left out if the schedule is resolved already. Past it the last value
    holds. peak: one rate, or one for each group; if left out, each group's own `lr`. Floors are ratios of
    each group's peak. also: {"weight_decay": Between(...)}: other numbers of the groups that move with a
    schedule; "beta1" and "beta2" are the parts of `betas`; a list has one for each group, None for those to
    leave alone. count: with "updates" step() goes on only if the optimizer has stepped since the last call,
    so updates that a GradScaler skips, micro-batches and Accelerate's repeated calls do not run ahead; with
    "calls" every step() does. A captured CUDA graph hides the optimizer's steps, and a fused optimizer under
    GradScaler the skipped ones. last_epoch: the last update done, to resume without a state.

    `optimizer.step` is never replaced. A tensor rate (capturable) stays the tensor it is. Groups may be
    added, their own `lr` is their peak: a new one is scheduled from the next step() on, or at once by
    `assign(-1)`; what `also` gives for all moves in it if it has the value that the others had when this was
    built. Errors: UserError.

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
    ['fingerprint', 'last_epoch']
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
        if not isinstance(optimizer, Optimizer):
            raise UserError(f"optimizer must be a torch.optim.Optimizer, got {type(optimizer).__name__}")
        if count not in ("updates", "calls"):
            raise unknown("count (what step() counts)", count, ("updates", "calls"))
        self.optimizer, groups = optimizer, optimizer.param_groups
        moves = moving(groups, also or {})
        self._course = course(schedule, total_steps, per_epoch, groups=len(groups), moving=moves)
        self._always, self._idle, self._told, self._step_count = count == "calls", 0, False, 1
        self._flag = [self._always]
        self.base_lrs: list[Any] = peaks(groups, peak)
        self._doubts = doubts(groups) if peak is None else set()
        shared = [name for name, given in self._course.moving.items() if not isinstance(given, tuple)]
        self._alike = {name: get_number(groups[0], name) for name in shared}
        self._decide(inherited(innermost(optimizer), self._doubts))
        self.last_epoch = update_number(last_epoch, "last_epoch", least=-1) + 1
        self._bind()
        if self.last_epoch:
            self._settle(self.last_epoch, self._course)
        self._go(self.last_epoch)
        self._attach()

    def __repr__(self) -> str:
        return f"ScheduleLR({self.schedule}, total={self.total}, update={self.last_epoch})"

    def step(self, epoch: int | None = None) -> None:
        """Write the rates of the next update, if one was done since the last call; or those of `epoch`."""
        flag = self._flag
        if epoch is not None:
            self.set(epoch)
            return
        if not flag[0]:
            self._stalled()
            return
        flag[0] = self._always
        self._idle = 0
        self._step_count += 1
        k = self.last_epoch + 1
        groups = self.optimizer.param_groups
        i = k - self._begin
        if self._shared and groups is self._groups and len(groups) == self._size and 0 <= i < CHUNK:
            factor, self.last_epoch = self._shared[i], k
            for group, peak in zip(groups, self.base_lrs):  # noqa: B905 -- strict=True costs 60 ns
                group["lr"] = peak * factor
        else:
            self._settle(self.last_epoch, self._course)  # peaks in doubt keep the fast path shut
            self._go(k)

    def set(self, k: int) -> None:
        """Go to update `k` and write its rates; nothing depends on where the scheduler was before."""
        k = update_number(k)
        self._settle(k, self._course)
        self._go(k)

    def _go(self, k: int) -> None:
        """Go to update `k` and write its rates, unless a peak is in doubt: none is made up."""
        groups = self.optimizer.param_groups
        if groups is not self._groups or len(groups) != self._size:
            self._bind()
        if not 0 <= k - self._begin < CHUNK:
            self._load(k)
        self.last_epoch, self._flag[0], self._idle = k, self._always, 0
        if self._doubts:
            return
        for group, lr in zip(groups, self.get_last_lr(), strict=True):
            put_number(group, "lr", lr)
        for name, each in self._chunk.moves:
            for group, values in zip(groups, each, strict=True):
                if values is not None:
                    put_number(group, name, values[k - self._begin])

    def get_last_lr(self) -> list[Any]:
        """The rate of each group at the update at hand: float64 values, also where a tensor holds fewer."""
        if self._doubts:
            return [get_number(group, "lr") for group in self.optimizer.param_groups]
        i = self.last_epoch - self._begin
        return [peak * factors[i] for peak, factors in zip(self.base_lrs, self._chunk.factors, strict=True)]

    get_lr = get_last_lr

    @property
    def _last_lr(self) -> list[Any]:  # type: ignore[override]
        return self.get_last_lr()

    def _initial_step(self) -> None:  # by this and the next torch's SequentialLR begins a stage
        self.set(self.last_epoch + 1)

    def _update_lr(self, epoch: int | None = None) -> None:
        self.set(self.last_epoch + 1 if epoch is None else epoch)

    def _stalled(self) -> None:
        """No update since the last call: tell who draws a curve, or whose updates can't be seen."""
        self._idle += 1
        unseen = self._idle == _QUIET and self._step_count == 1 and not trains(self.optimizer)
        if not self._told and (unseen or self._idle == _STALLED):
            self._told = True
            warnings.warn(no_update(self._idle, self.last_epoch), UserWarning, stacklevel=3)

    def state_dict(self) -> dict[str, Any]:
        """`{"last_epoch": k, "fingerprint": hash}`: the update at hand, and what the schedule was."""
        return {"last_epoch": self.last_epoch, "fingerprint": self._course.fingerprint}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to the update of a state, and write its rates. Schedule, total and peaks stay those given here.

        Where the optimizer was loaded before this scheduler was built, a group's `lr` is a rate from mid-run;
        its peak is then the `initial_lr` beside it, unless somebody changed the rate since.
        """
        k, origin = read_state(state_dict, self._course)
        self._settle(k, origin, sure=True)
        self._go(k)

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in _DERIVED}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._bind()
        self._attach()

    @property
    def schedule(self) -> Any:
        """The schedule as it is now, extended if it was; a tuple, one for each group, where they differ."""
        first, *others = self._course.schedules
        return first if all(other == first for other in others) else self._course.schedules

    @property
    def total(self) -> int:
        """The number of updates as it is now; not `total_steps`, by which Accelerate knows a OneCycleLR."""
        return int(self._course.run.total)

    @property
    def also(self) -> Also:
        """What moves beside the rate, as it is now."""
        return dict(self._course.moving)

    def extend(self, total: int, at: int | None = None, *, how: str = "continue", **options: Any) -> None:
        """Give the run another total at update `at` (now), without a jump; see `Resolved.extend` for `how`.

        A cooldown is the rates' alone; what moves beside them is rescaled. To resume an extended run build
        with its `schedule` and `total`, or extend at the same update before loading.
        """
        place = extension(at, self.last_epoch, total)
        self._course = self._course.extended(self.base_lrs, total, at=place, how=how, **options)
        self._bind()
        self._go(self.last_epoch)

    def assign(self, group: int, schedule: Any = None, *, peak: float | None = None) -> None:
        """Give one group, also one just added, another schedule or peak from here on; its rate is written."""
        self._grow(schedule)
        i = range(len(self.base_lrs))[group]
        if peak is not None:
            self._decide({i: peak_rate(peak)})
        if schedule is not None:
            self._course = self._course.with_schedule(i, schedule)
        self._bind()
        self._go(self.last_epoch)

    def _attach(self) -> None:
        """Learn from the optimizer when it has stepped, and when its groups were loaded."""
        inner, flag, me = innermost(self.optimizer), self._flag, weakref.ref(self)

        def stepped(*_: Any) -> None:
            flag[0] = True

        def loaded(*_: Any) -> None:
            if (scheduler := me()) is not None:
                scheduler._go(scheduler.last_epoch)

        inner.preheat_schedule = me  # the next scheduler on this optimizer asks whose rates the groups have
        inner.register_step_post_hook(stepped)
        inner.register_load_state_dict_post_hook(loaded)

    def _settle(self, k: int, course: Course | None, sure: bool = False) -> None:
        """Decide the peaks in doubt; see `settled`."""
        if self._doubts:
            self._decide(settled(self.optimizer.param_groups, self._doubts, k, course, sure=sure))
            self._bind()

    def _decide(self, found: dict[int, float]) -> None:
        for i, peak in found.items():
            self.base_lrs[i] = peak
            self._doubts.discard(i)

    def _grow(self, schedule: Any = None) -> None:
        """Take in the groups that the optimizer got since, a single one with a schedule of its own."""
        new = self.optimizer.param_groups[len(self.base_lrs) :]
        for group in new:
            alike = [name for name, value in self._alike.items() if same(get_number(group, name), value)]
            self._course = self._course.grown(schedule if len(new) == 1 else None, alike)
            self.base_lrs.append(get_number(group, "lr"))

    def _bind(self) -> None:
        """Match peaks and schedules to the groups that the optimizer has now."""
        groups, n = self.optimizer.param_groups, len(self.base_lrs)
        if len(groups) < n:
            raise UserError(f"groups may be added, not removed, got {len(groups)} of {n}: build a new one")
        self._grow()
        separate_tensors(groups, betas=any(isinstance(m, tuple) for m in self._course.moving.values()))
        for i, (group, peak) in enumerate(zip(groups, self.base_lrs, strict=True)):
            if i not in self._doubts:
                group["initial_lr"] = peak
        self._groups, self._size = groups, len(groups)
        self._tracks = self._course.tracks(self.base_lrs)
        self._load(self.last_epoch)

    def _load(self, k: int) -> None:
        """Compute the chunk of factors around update `k`."""
        self._chunk = self._course.chunk(k, self._tracks)
        self._begin, one = self._chunk.begin, len({id(t) for t in self._tracks}) == 1
        tensors = any(isinstance(g["lr"], Tensor) for g in self._groups)
        plain = one and not self._doubts and not self._chunk.moves and not tensors
        self._shared: list[float] = self._chunk.factors[0] if plain else []


_DERIVED = {"_groups", "_size", "_tracks", "_chunk", "_begin", "_shared"}
