"""What a saved state, and a loaded optimizer, tell of a run: its update, and the peaks of its groups."""

from __future__ import annotations

import math
import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from preheat.adapters.course import Course
from preheat.adapters.groups import Group, beside_torchs, both, get_number, lr_scale, nested, same
from preheat.adapters.ledger import Ledger, Saved
from preheat.adapters.telling import another_peak, replaced
from preheat.core.errors import UserError
from preheat.core.lengths import is_number
from preheat.schedules.sampling import update_number


def read_state(state: Any, course: Course) -> tuple[int, Course | None]:
    """The update of a scheduler's state, and the course it was saved on; None and a warning for another's."""
    if not isinstance(state, Mapping) or "last_epoch" not in state:
        got = f"the keys {list(state)}" if isinstance(state, Mapping) else repr(state)
        raise UserError(
            f"a scheduler's state has last_epoch, the update at hand, got {got}: give what "
            "scheduler.state_dict() returned, or build with last_epoch=<the last update done>"
        )
    k = update_number(state["last_epoch"], "last_epoch of a state", least=-1)
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


def state_of(ledger: Ledger) -> dict[str, Any]:
    """What a state keeps of the groups that have parameters: peaks (None in doubt) and the rates they have;
    given, outside, others only where they say more: the peaks of the build, the ratios by which others had
    changed rates before the last step(), and the places of those whose rates are now another's."""
    some = ledger.filled()
    peaks, given = (
        [None if i in ledger.doubts else float(of[i]) for i in some] for of in (ledger.peaks, ledger.given)
    )
    out: dict[str, Any] = {"peaks": peaks, "rates": [get_number(ledger.groups[i], "lr") for i in some]}
    if given != peaks:
        out["given"] = given
    if any(ledger.outside[i] != 1.0 for i in some):
        out["outside"] = [ledger.outside[i] for i in some]
    others = [some.index(i) for i in ledger.others() if i in some]
    return {**out, "others": others} if others else out


def saved_groups(state: Mapping[str, Any]) -> list[Saved]:
    """What a state keeps of each group; nothing for one of an earlier version, or of another scheduler."""
    names = ("peaks", "rates")
    if not all(name in state for name in (*names, "fingerprint")):
        return []
    peaks, rates, others = state["peaks"], state["rates"], state.get("others", [])
    given = state.get("given", peaks)
    outside = state.get("outside", [1.0] * len(peaks) if isinstance(peaks, list) else 0)
    lists = (peaks, given, outside, rates)
    numbers = all(isinstance(one, list | tuple) for one in (*lists, others)) and not (
        len({len(one) for one in lists}) > 1
        or not all(_numbers(one, none=one is peaks or one is given) for one in lists)
        or not all(type(i) is int and 0 <= i < len(peaks) for i in others)
    )
    if not numbers:
        raise UserError(
            f"a scheduler's state has a peak and a rate for each group, got peaks={peaks!r:.80} and "
            f"rates={rates!r:.80}: give what scheduler.state_dict() returned"
        )
    return [Saved(*each, i not in others) for i, each in enumerate(zip(*lists, strict=True))]


def _numbers(values: Sequence[Any], *, none: bool) -> bool:
    return all(none if v is None else is_number(v) and 0 <= v < math.inf for v in values)


def restored(ledger: Ledger, saved: Sequence[Saved], *, chained: bool) -> tuple[dict[int, float], set[int]]:
    """Take over the peaks of a state; {group: its rate then} of those that were taken over, and the groups
    whose rate was another's. chained: whether schedulers of torch's write rates too.

    What was given now stays where it differs from what the saved run was built with. But a rate that is the
    one of the state was loaded with the optimizer by something that dropped `initial_lr`, so it is no peak.
    A rate that is neither the schedule's nor the state's was written by somebody, and is replaced.
    """
    some, out = ledger.filled(), {}
    for i, one in zip(some, saved, strict=False):
        ledger.outside[i] = one.outside
        if one.peak is None or one.given is None:
            continue
        own, mine = get_number(ledger.groups[i], "lr"), float(ledger.given[i])
        doubt = i in ledger.doubts
        loaded = same(mine, one.rate) and not ledger.explicit
        if doubt or same(mine, one.given) or same(mine, one.peak) or loaded:
            ledger.peaks[i], ledger.given[i], out[i] = one.peak, one.given, one.rate
            ledger.doubts.discard(i)
            if not chained and not same(own, one.rate) and (doubt or not ledger.own(i)):
                warnings.warn(replaced(i, own, one.rate), UserWarning, stacklevel=3)
        else:
            warnings.warn(another_peak(i, mine, one.given), UserWarning, stacklevel=3)
    ledger.pending = list(saved[len(some) :])
    return out, {i for i, one in zip(some, saved, strict=False) if not one.own}


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
        rate = 0.0 if course is None else initial * course.resolved(course.schedules[i], initial)(k)
        fits = course is None or same(rate * lr_scale(groups[i]), own)
        if not fits and not sure:
            raise UserError(
                f"the optimizer was loaded, and its group {i} has lr={own:g} and initial_lr={initial:g}, "
                f"which this schedule does not give at update {k}: to resume write load_state_dict(<the "
                "scheduler's state>), or build with last_epoch=<the last update done>; to begin a new run "
                f"write peak={initial:g} or peak={own:g}"
            )
        out[i] = initial if fits else own
    return out


def found(optimizer: Any) -> list[tuple[float, float | None]]:
    """The rate of each group, and its `initial_lr` where it has one."""
    return [(both(g)[0], both(g)[1] if "initial_lr" in g else None) for g in optimizer.param_groups]


def resumed(optimizer: Any, ledger: Ledger) -> list[tuple[float, float | None]]:
    """What an optimizer held before a scheduler with `peak` and `last_epoch` was built on it; nothing where
    it was not loaded, or where an earlier scheduler wrote its rates."""
    held = found(optimizer)
    trained = bool(optimizer.state) or any(initial not in (None, lr) for lr, initial in held)
    earlier = hasattr(nested(optimizer)[-1], "preheat_schedule")
    return held if trained and ledger.explicit and not earlier else []


def strange(held: Sequence[tuple[float, float | None]], ledger: Ledger, rates: Sequence[float]) -> bool:
    """Whether an optimizer was loaded with a rate that its schedule does not give under the same peak."""
    for i in ledger.filled() if held else ():
        (lr, initial), peak = held[i], ledger.peaks[i]
        if not same(lr, rates[i]) and not (same(lr, peak) if initial is None else not same(initial, peak)):
            return True
    return False


def inherited(optimizer: Any, ledger: Ledger) -> dict[int, float]:
    """The peaks of groups in doubt that an earlier ScheduleLR on this optimizer can tell.

    A rate that it wrote belongs to its peak; another was set by hand since, and so was one above the peak of
    a scheduler that is gone.
    """
    known = getattr(nested(optimizer)[-1], "preheat_schedule", None)
    if known is None:
        return {}
    earlier, out = known[0](), {}
    for i in ledger.doubts:
        own, initial = both(ledger.groups[i])
        if earlier and i in earlier.doubts:
            continue
        if earlier and i < len(earlier.peaks) and same(own, earlier.row[0][i] or 0.0):
            out[i] = earlier.peaks[i]
        elif not beside_torchs(optimizer) and (earlier or own > initial):
            out[i] = own
    return out


def chained(optimizer: Any, ledger: Ledger, course: Course, k: int) -> None:
    """Where schedulers of torch's are on the optimizer, settle doubts as they do: the peak is `initial_lr`,
    and others made of it the rate that is there, which in mid-run has this schedule's factor in it.

    Before the first update what they made of it counts for peaks that were given, too.
    """
    if not beside_torchs(optimizer):
        return
    found = dict(enumerate(map(both, ledger.groups)))
    if not ledger.explicit or k or getattr(optimizer, "_opt_called", False):
        found = {i: found[i] for i in ledger.doubts}
    ledger.settle({i: found[i][1] for i in set(ledger.doubts)})
    for i, (own, initial) in found.items():
        factor = course.factor(i, initial, k) * lr_scale(ledger.groups[i]) if k else 1.0
        ledger.outside[i] = own / initial / factor if factor and initial else 1.0


def needs_initial(groups: Sequence[Group]) -> None:
    """Errors: UserError for a group whose rate may be from mid-run, as nothing tells its peak."""
    bare = [i for i, group in enumerate(groups) if "initial_lr" not in group]
    if bare:
        raise UserError(
            f"with last_epoch >= 0 every group needs initial_lr, its peak, got group {bare[0]} without (some "
            "checkpoints drop it): write peak=1e-3, or load the scheduler's state instead"
        )


def alone(optimizer: Any, ledger: Ledger, others: Sequence[int]) -> None:
    """Errors: UserError where the rates that somebody else wrote are those of a later ScheduleLR."""
    row: list[list[Any]] = getattr(nested(optimizer)[-1], "preheat_schedule", (None, [[]]))[1]
    if row is ledger.row:
        return
    last = {i: row[0][i] for i in others if i < len(row[0])}  # None for a stage that has not begun
    if any(lr is not None and same(get_number(ledger.groups[i], "lr"), lr) for i, lr in last.items()):
        raise UserError(
            "a later ScheduleLR on this optimizer wrote its rates, and each of the two would scale the "
            "other's: "
            "write one schedule, first * second or first.then(second, at=...), or put both into a "
            "SequentialLR; "
            "to look at a schedule write schedule.resolve(n).table()"
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
