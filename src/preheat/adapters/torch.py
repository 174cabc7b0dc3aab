"""A schedule as a PyTorch `LRScheduler` whose state is one integer.

The rate of group i is always peak_i times the factor of the update at hand: nothing is accumulated, so building,
loading and stepping in any order give the same rates, and a resumed run goes on to the last digit.
"""

from __future__ import annotations

import math
import operator
import warnings
import weakref
from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from preheat.adapters.groups import Also, doubts, get, innermost, moving, part, peaks, put, rate
from preheat.adapters.plan import BLOCK, declared
from preheat.core.errors import UserError, unknown

_SAME = 1e-6  # rates that differ by less are one: a float32 tensor holds 7 digits
_QUIET, _STALLED = 3, 256  # step() calls without an update after which a user is told: before training, and at any time


class ScheduleLR(LRScheduler):
    """Sets `lr = peak * factor` for each group of `optimizer`, beginning with update 0.

    schedule: a schedule, or a list with one for each group. total_steps: the number of updates, or a length such as
    "90ep" (then per_epoch); left out if the schedule is resolved already. Past it the last value holds.
    peak: one rate, or one for each group; if left out, each group's own `lr`. Floors are ratios of each group's peak.
    also: {"weight_decay": Between(...)}: other numbers of the groups that move with a schedule; "beta1" and "beta2" are
    the parts of `betas`; a list has one for each group, None for those to leave alone.
    count: with "updates" step() goes on only if the optimizer has stepped since the last call, so updates that a
    GradScaler skips, micro-batches and Accelerate's repeated calls do not run ahead; with "calls" every step() does. A
    captured CUDA graph hides the optimizer's steps, and a fused optimizer under GradScaler the skipped ones.
    last_epoch: the last update done, to resume without a state.

    `optimizer.step` is never replaced. A tensor rate (capturable) stays the tensor it is. Groups may be added: a new one
    is scheduled from the next step() on, with its own `lr` as its peak (see `assign`). Errors: UserError.

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
        groups = optimizer.param_groups
        self.optimizer = optimizer
        self._plan = declared(schedule, total_steps, per_epoch, groups=len(groups), moving=moving(groups, also or {}))
        self._always, self._idle, self._told, self._step_count = count == "calls", 0, False, 1
        self._flag = [self._always]
        self.base_lrs: list[Any] = peaks(groups, peak)
        self._doubts = doubts(groups) if peak is None else {}
        for i, (own, initial) in tuple(self._doubts.items()):
            if own == 0:  # a schedule ended there: nobody's peak
                self.base_lrs[i], _ = initial, self._doubts.pop(i)
        self._ask_earlier()
        self.last_epoch = self._first = _whole(operator.index(last_epoch) + 1)
        if self._first:
            self._settle(self._first, same=None)
        self._bind()
        self.set(self._first)
        self._attach()

    # Stepping --------------------------------------------------------------------------------------------------------

    def step(self, epoch: int | None = None) -> None:
        """Write the rates of the next update, if one was done since the last call; or those of update `epoch`."""
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
        k = self.last_epoch = self.last_epoch + 1
        groups = self.optimizer.param_groups
        i = k - self._begin
        if self._shared and groups is self._groups and len(groups) == self._size and 0 <= i < BLOCK:
            factor = self._shared[i]
            for group, peak in zip(groups, self.base_lrs):  # noqa: B905 -- the keyword costs 60 ns, the sizes are equal
                group["lr"] = peak * factor
        else:
            self._settle(k, same=None)  # peaks in doubt keep the fast path shut
            self.set(k)

    def set(self, k: int) -> None:
        """Go to update `k` and write its rates; nothing depends on where the scheduler was before."""
        k, groups = _whole(k), self.optimizer.param_groups
        if groups is not self._groups or len(groups) != self._size:
            self._bind()
        if not 0 <= k - self._begin < BLOCK:
            self._load(k)
        self.last_epoch, self._flag[0], self._idle = k, self._always, 0
        for group, lr in zip(groups, self.get_last_lr(), strict=True):
            put(group, "lr", lr)
        for name, blocks in self._block.moves:
            for group, values in zip(groups, blocks, strict=True):
                if values is not None:
                    put(group, name, values[k - self._begin])

    def get_last_lr(self) -> list[Any]:
        """The rate of each group at the current update, as floats: the float64 values, also where a tensor holds fewer digits."""
        i = self.last_epoch - self._begin
        return [peak * factors[i] for peak, factors in zip(self.base_lrs, self._block.factors, strict=True)]

    def get_lr(self) -> list[Any]:
        """The same as `get_last_lr`."""
        return self.get_last_lr()

    @property
    def _last_lr(self) -> list[Any]:  # type: ignore[override]
        return self.get_last_lr()

    def _initial_step(self) -> None:  # by this and the next torch's SequentialLR begins a stage
        self.set(self.last_epoch + 1)

    def _update_lr(self, epoch: int | None = None) -> None:
        self.set(self.last_epoch + 1 if epoch is None else epoch)

    def _stalled(self) -> None:
        """A call without an update since the last one: tell who draws a curve, or whose updates can't be seen."""
        self._idle += 1
        unseen = self._idle == _QUIET and self._step_count == 1 and not _has_gradient(self.optimizer)
        if not self._told and (unseen or self._idle == _STALLED):
            self._told = True
            warnings.warn(
                f"step() was called {self._idle} times and the optimizer did not step, so the rates stay those of update "
                f"{self.last_epoch}: count='updates' counts the optimizer's steps. For a picture write "
                "schedule.resolve(n).table(); to go on at every call write count='calls'",
                UserWarning,
                stacklevel=3,
            )

    # State -----------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """`{"last_epoch": k, "fingerprint": hash}`: the update at hand, and what the schedule was."""
        return {"last_epoch": self.last_epoch, "fingerprint": self._plan.fingerprint}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to the update of a state, and write its rates. Schedule, total and peaks stay those given here.

        Where the optimizer was loaded before this scheduler was built, a group's `lr` is a rate from mid-run; its peak is
        then the `initial_lr` beside it, unless somebody changed the rate since.
        """
        same = state_dict.get("fingerprint") == self._plan.fingerprint
        if not same:
            warnings.warn(
                f"the state was saved under another schedule or total: it gives the update, {state_dict['last_epoch']}, and "
                "what was given here stays. To change a run's total without a jump use extend()",
                UserWarning,
                stacklevel=2,
            )
        k = _whole(state_dict["last_epoch"])
        self._settle(k, same=same)
        self._bind()
        self.set(k)

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in _DERIVED}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._bind()
        self._attach()

    # Changing the plan -----------------------------------------------------------------------------------------------

    def extend(self, total: int, at: int | None = None, how: str = "continue", **options: Any) -> None:
        """Give the run another total at update `at` (now), without a jump; `how` and its options as in `Resolved.extend`."""
        place = self.last_epoch if at is None else at
        self._plan = self._plan.extended(self.base_lrs, total, at=place, how=how, **options)
        self._bind()
        self.set(self.last_epoch)

    def assign(self, group: int, schedule: Any = None, peak: float | None = None) -> None:
        """Give one group another schedule or peak from here on, and write its rate at once; also a group just added."""
        self._bind()
        if schedule is not None:
            self._plan = self._plan.with_schedule(range(self._size)[group], schedule)
        if peak is not None:
            self.base_lrs[group] = rate(peak)
        self._bind()
        self.set(self.last_epoch)

    # Inside ----------------------------------------------------------------------------------------------------------

    def _attach(self) -> None:
        """Learn from the optimizer when it has stepped, and when its groups were loaded."""
        inner, flag, me = innermost(self.optimizer), self._flag, weakref.ref(self)

        def stepped(*_: Any) -> None:
            flag[0] = True

        def loaded(*_: Any) -> None:
            if (scheduler := me()) is not None:
                scheduler.set(scheduler.last_epoch)

        inner.preheat_schedule = me  # the next scheduler on this optimizer asks whose rates the groups have
        inner.register_step_post_hook(stepped)
        inner.register_load_state_dict_post_hook(loaded)

    def _settle(self, k: int, *, same: bool | None) -> None:
        """Choose between a loaded group's own `lr` and its `initial_lr`, which are all that tells its peak at update `k`.

        same: whether the state was saved under this schedule, None without a state. A rate that this schedule does not
        give from `initial_lr` was then set by hand (it is the peak), or by another schedule (`initial_lr` is).
        """
        for i, (own, initial) in self._doubts.items():
            fits = math.isclose(initial * self._plan.resolved(self._plan.schedules[i], initial)(k), own, rel_tol=_SAME)
            if not fits and same is None:
                raise UserError(
                    f"group {i} has lr={own:g} and initial_lr={initial:g}, which this schedule does not give at update {k}: "
                    f"say which is the peak: write peak={initial:g} or peak={own:g}"
                )
            if fits or not same:
                self.base_lrs[i] = initial
        self._doubts = {}

    def _ask_earlier(self) -> None:
        """Take the peaks of an earlier ScheduleLR on this optimizer, for the groups whose rates are still those it wrote."""
        earlier: ScheduleLR | None = getattr(innermost(self.optimizer), "preheat_schedule", lambda: None)()
        if earlier is None:
            return
        for i, wrote in enumerate(earlier.get_last_lr()):
            if i in self._doubts and math.isclose(self._doubts[i][0], wrote, rel_tol=_SAME):
                self.base_lrs[i] = earlier.base_lrs[i]
            self._doubts.pop(i, None)  # else somebody set the rate since, and it is the peak

    def _bind(self) -> None:
        """Match peaks and schedules to the groups that the optimizer has now."""
        groups = self.optimizer.param_groups
        if len(groups) < len(self.base_lrs):
            raise UserError(
                f"groups may be added, not removed, got {len(groups)} of {len(self.base_lrs)}: build a new ScheduleLR"
            )
        for i in range(len(self.base_lrs), len(groups)):
            self.base_lrs.append(get(groups[i], "lr"))
            self._plan = self._plan.with_schedule(i, self._plan.schedules[0])
        part(groups, betas=any(isinstance(m, tuple) for m in self._plan.moving.values()))
        for group, peak in zip(groups, self.base_lrs, strict=True):
            group["initial_lr"] = peak
        self._groups, self._size = groups, len(groups)
        self._tracks = self._plan.tracks(self.base_lrs)
        self._load(self.last_epoch)

    def _load(self, k: int) -> None:
        """Compute the block of factors around update `k`."""
        self._block = self._plan.block(k, self._tracks)
        self._begin, one = self._block.begin, len({id(t) for t in self._tracks}) == 1
        plain = one and not self._doubts and not self._block.moves and not any(isinstance(g["lr"], Tensor) for g in self._groups)
        self._shared: list[float] = self._block.factors[0] if plain else []


_DERIVED = {"_groups", "_size", "_tracks", "_block", "_begin", "_shared"}


def _has_gradient(optimizer: Optimizer) -> bool:
    return any(p.grad is not None for group in optimizer.param_groups for p in group["params"])


def _whole(k: Any) -> int:
    if isinstance(k, bool) or not hasattr(k, "__index__") or operator.index(k) < 0:
        raise UserError(f"an update must be a whole number >= 0, got {k!r}: the first update is 0 (last_epoch=-1)")
    return operator.index(k)
