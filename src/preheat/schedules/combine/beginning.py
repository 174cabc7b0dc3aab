"""Runs that are the beginning of a longer one: the schedule an excerpt of it, from update 0."""

from __future__ import annotations

from preheat.core.between import Between
from preheat.core.lengths import epochs
from preheat.core.protocols import Schedule
from preheat.core.run import Run
from preheat.schedules.combine.excerpt import excerpt


def whole(run: Run) -> Run | None:
    """The run of whole epochs that `run` is the beginning of; None where it is none.

    >>> from preheat.schedules import cosine
    >>> long = Run(task="digits", length="4ep")
    >>> short = long.but(schedule=excerpt(long.schedule, was=long.total_steps), length="1ep")
    >>> whole(short) == long, whole(long)
    (True, None)
    """
    inner = _inner(run.schedule)
    if inner is None or inner.was <= run.total_steps or inner.was % run.steps_per_epoch:
        return None
    also = {}
    for name, one in run.also.items():
        moved = _inner(one.schedule)
        if moved is None or moved.was != inner.was:
            return None
        also[name] = Between(_as_schedule(moved), one.at_zero, one.at_peak)
    length = epochs(inner.was // run.steps_per_epoch)
    return run.but(schedule=_as_schedule(inner), length=length, also=also)


def _inner(schedule: Schedule) -> excerpt | None:
    return schedule if isinstance(schedule, excerpt) and not schedule.begin else None


def _as_schedule(one: excerpt) -> Schedule:
    made: Schedule = one.schedule
    return made
