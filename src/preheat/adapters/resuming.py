"""What a saved state, and a loaded optimizer, tell of a run: its update, and the peaks of its groups."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from preheat.adapters.course import Course
from preheat.adapters.groups import Group, both, same
from preheat.core.errors import UserError
from preheat.schedules.sampling import update_number


def read_state(state: Any, course: Course) -> tuple[int, Course | None]:
    """The update of a scheduler's state, and the course it was saved on; None and a warning for another's."""
    if not isinstance(state, Mapping) or "last_epoch" not in state:
        got = f"the keys {list(state)}" if isinstance(state, Mapping) else repr(state)
        raise UserError(
            f"a scheduler's state has last_epoch, the update at hand, got {got}: give what "
            "scheduler.state_dict() returned, or build with last_epoch=<the last update done>"
        )
    k = update_number(state["last_epoch"], "last_epoch of a state")
    origin = course.origin(state["fingerprint"], k) if "fingerprint" in state else None
    if origin is None:
        foreign = f"a state of another scheduler: its update is taken, {k}, and nothing else"
        other = (
            f"the state was saved under another schedule or total: it gives the update, {k}, and what was "
            "given here stays. If the saved run was extended, build with its scheduler.schedule and "
            "scheduler.total, or call extend(total, at=<the update of the extension>, ...) before loading. "
            "To change a total without a jump build with the old one, load and call extend()"
        )
        warnings.warn(other if "fingerprint" in state else foreign, UserWarning, stacklevel=3)
    return k, origin


def settled(
    groups: Sequence[Group], doubts: Collection[int], k: int, course: Course | None, *, sure: bool
) -> dict[int, float]:
    """The peaks of the groups in doubt, whose own `lr` and `initial_lr` are all that tells their peak at
    update `k`.

    course: what their run followed, None for another; sure: whether a state says so. A rate that it does not
    give from `initial_lr` was then set by hand, and is the peak.
    """
    out = {}
    for i in doubts:
        own, initial = both(groups[i])
        fits = course is None or same(initial * course.resolved(course.schedules[i], initial)(k), own)
        if not fits and not sure:
            raise UserError(
                f"the optimizer was loaded, and its group {i} has lr={own:g} and initial_lr={initial:g}, "
                f"which this schedule does not give at update {k}: to resume write load_state_dict(<the "
                "scheduler's state>), or build with last_epoch=<the last update done>; to begin a new run "
                f"write peak={initial:g} or peak={own:g}"
            )
        out[i] = initial if fits else own
    return out


def inherited(optimizer: Any, doubts: Collection[int]) -> dict[int, float]:
    """The peaks of groups in doubt that an earlier ScheduleLR on this optimizer can tell.

    A rate that it wrote belongs to its peak; another was set by hand since, and so was one above the peak of
    a scheduler that is gone.
    """
    word = getattr(optimizer, "preheat_schedule", None)
    if word is None:
        return {}
    earlier, out = word(), {}
    wrote = earlier.get_last_lr() if earlier else []
    for i in doubts:
        own, initial = both(optimizer.param_groups[i])
        if earlier and i in earlier._doubts:
            continue
        if i < len(wrote) and same(own, wrote[i]):
            out[i] = earlier.base_lrs[i]
        elif earlier or own > initial:
            out[i] = own
    return out


def no_update(calls: int, k: int) -> str:
    """What to tell who calls step() and trains nothing."""
    return (
        f"step() was called {calls} times and the optimizer did not step, so the rates stay those of update "
        f"{k}: count='updates' counts the optimizer's steps. For a picture write "
        "schedule.resolve(n).table(); to go on at every call write count='calls'"
    )


def extension(at: Any, now: int, total: Any) -> int:
    """The update at which a run is extended: `at`, or now; once one is done, and not among those done."""
    if at is None and not now:
        raise UserError(
            "a run is extended at the update at hand, and none is done yet: before a state is loaded write "
            f"extend({total}, at=<the updates done>), or load it first; a new run is built with "
            f"total_steps={total}"
        )
    if at is not None and update_number(at, "at") < now:
        raise UserError(
            f"a run is extended at the update at hand, {now}, or a later one, got at={at}: leave at out; to "
            "repeat an extension on resume call extend before load_state_dict"
        )
    return now if at is None else update_number(at, "at")
