"""What trackers are told of a run: of its record the same as while it trains.

After `step` updates: what was evaluated or probed there. And where a *window* ends, which is an epoch as a
rule: the mean over its updates of the training loss, and of what else each update records; and the rate of
its last update.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from preheat.core.errors import UserError
from preheat.core.record import Record, Series, Trace
from preheat.core.run import Run
from preheat.core.study import Study

EACH, RATE = "train_", "learning_rate"  # what is recorded at every update begins so; the rate's name
FEW_EPOCHS, PARTS, MOST = 20, 100, 1000


class News(NamedTuple):
    """Values of a run after `step` updates."""

    run_id: str
    step: int
    values: Mapping[str, float]


class Windows(NamedTuple):
    """Updates of a run, and of an epoch."""

    total: int
    per_epoch: int

    @property
    def window(self) -> int:
        """Updates over which what each of them records is averaged.

        An epoch; several where the run has more than 1,000; a hundredth of a run of fewer than 20 epochs.

        >>> Windows(6200, 124).window, Windows(20000, 10).window, Windows(3000, 3000).window
        (124, 20, 30)
        """
        if self.total < FEW_EPOCHS * self.per_epoch:
            return max(self.total // PARTS, 1)
        return self.per_epoch * math.ceil(self.total / (self.per_epoch * MOST))

    def ends(self, since: int, until: int) -> list[int]:
        """Where windows end, from step `since` on and before `until`; the last at the total.

        >>> Windows(50, 20).ends(0, 50)[:2], Windows(50, 2).ends(45, 51)
        ([1, 2], [46, 48, 50])
        """
        width = self.window
        first = max(math.ceil(since / width), 1) * width
        found = [*range(first, min(until, self.total), width)]
        return [*found, self.total] if since <= self.total < until else found

    def begins(self, end: int) -> int:
        """Where the window that ends at `end` begins."""
        return (end - 1) // self.window * self.window


def news(
    run: Run, trace: Trace, span: Windows, *, since: int = 0, until: int | None = None
) -> Iterator[News]:
    """What is told of a trace, or of a part of one, by rising steps from `since` on and before `until`.

    A window that the trace does not hold whole is left out.
    """
    until = span.total + 1 if until is None else until
    found: dict[int, dict[str, float]] = {}
    for name, series in trace.items():
        if not name.startswith(EACH):
            for step, value in zip(series.steps, series.values, strict=True):
                if since <= step < until:
                    found.setdefault(step, {})[name] = value
    for end in span.ends(since, until):
        values = _window(run, trace, span, end)
        if values:
            found.setdefault(end, {}).update(values)
    for step in sorted(found):
        yield News(run.id, step, found[step])


def _window(run: Run, trace: Trace, span: Windows, end: int) -> dict[str, float]:
    found, begin = dict[str, float](), span.begins(end)
    for name, series in trace.items():
        if name.startswith(EACH) and (part := _part(series, begin, end)):
            ruled = name == f"{EACH}{RATE}"  # a rate rule decides on it
            found[RATE if ruled else name] = part[-1] if ruled else sum(part) / len(part)
    if found and RATE not in found:
        try:
            factor = run.factor_over(span.total, span.per_epoch)
        except UserError:  # its schedule is not installed
            return found
        found[RATE] = run.peak_lr * float(factor(end - 1))
    return found


def _part(series: Series, begin: int, end: int) -> list[float]:
    """The values of updates begin to end - 1; none where some are missing."""
    first = series.steps[0] if len(series.steps) else end
    if begin < first or end - first > len(series.steps):
        return []
    return list(series.values[begin - first : end - first])


def always_told(study: Study) -> tuple[str, ...]:
    """The paths that a run's name tells though all runs so far agree: stages ask for others."""
    return study.axes if study.stages else ()


def news_of(record: Record, *, since: int = 0) -> Iterator[News]:
    """What is told of a record."""
    summary = record.summary
    total, per_epoch = summary.get("total_steps"), summary.get("steps_per_epoch")
    if total and per_epoch:
        yield from news(record.run, record.trace, Windows(int(total), int(per_epoch)), since=since)
