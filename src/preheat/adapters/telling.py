"""What an adapter warns of, in words."""

from __future__ import annotations


def no_update(calls: int, k: int) -> str:
    """What to tell who calls step() and trains nothing."""
    return (
        f"step() was called {calls} times and the optimizer did not step, so the rates stay those of update "
        f"{k}: count='updates' counts the optimizer's steps. To go to update k write set(k); for a picture "
        "schedule.resolve(n).table(); to go on at every call count='calls'"
    )


def too_rare(n: int) -> str:
    """What to tell whose step() comes once in many updates."""
    return (
        f"step() came after {n} updates, and again: with count='updates' a schedule's total counts updates, "
        "so "
        "call step() after every one (in Lightning interval='step'); where the total counts calls, as "
        "epochs, "
        "write count='calls'"
    )


def forgotten(k: int) -> str:
    """What to tell whose optimizer was loaded with other rates than the scheduler gives where it goes on."""
    return (
        f"the optimizer was loaded with rates that the schedule does not give at update {k}, from which it "
        "goes on: to resume write load_state_dict(<the scheduler's state>) too; for a new run set(0) says so"
    )


def another_peak(i: int, given: float, saved: float) -> str:
    """What to tell whose peak is not the one that the saved run was built with."""
    return (
        f"the saved run was built with the peak {saved:g} of group {i}, this one with {given:g}, which "
        "stays; to "
        f"go on with the saved one build with peak={saved:g}"
    )


def nothing_to_scale(i: int, rate: float) -> str:
    """What to tell where a rate of 0 was overwritten by somebody else."""
    return (
        f"somebody else wrote lr={rate:g} into group {i} where the schedule's rate is 0, which can't be "
        f"scaled: the schedule's rate is written. For another peak write assign({i}, peak=...)"
    )


def taken_in(i: int, rate: float, peak: float, k: int) -> str:
    """What to tell of a group added in mid-run with a rate that may be its rate or its peak."""
    said = (
        f"its rate now, so its peak is {peak:g}" if peak != rate else "its peak, since the schedule is at 0"
    )
    return (
        f"group {i} was added at update {k} with lr={rate:g}, which is taken as {said}: for another peak "
        "write "
        f"assign({i}, peak=...), or initial_lr into the group"
    )


def replaced(i: int, rate: float, saved: float) -> str:
    """What to tell whose rate is lost, as a state has another one."""
    return (
        f"group {i} had lr={rate:g}, which is neither the schedule's nor the saved run's, and now has "
        f"lr={saved:g} "
        f"of the state: to change it write the rate, or assign({i}, peak=...), after loading"
    )


def raised(i: int, rate: float) -> str:
    """What to tell where a rate above the schedule's was written while that still rises."""
    return (
        f"somebody else wrote lr={rate:g} into group {i}, more than the schedule has where it still rises: "
        "the "
        f"schedule's rate is written. For another peak write assign({i}, peak=...)"
    )


def frozen(i: int) -> str:
    """What to tell where a group was given the rate 0."""
    return (
        f"somebody else wrote lr=0 into group {i}, which stays at 0: to let it go on write a rate into it, "
        "or "
        f"assign({i}, peak=...)"
    )


def left_over(n: int) -> str:
    """What to tell where a state has more groups than the optimizer."""
    return (
        f"the state that was loaded has {n} more groups than the optimizer: add them, or build a new "
        "scheduler"
    )
