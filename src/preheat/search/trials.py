"""The trials of a search, read from the study's points and what came of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from preheat.analysis.results import Row
from preheat.analysis.table import DIVERGED, DONE, LOST, Table
from preheat.core.canon import canonical, finite
from preheat.core.record import Record
from preheat.core.run import Run
from preheat.core.study import Point, Study
from preheat.search.arms import Arm
from preheat.search.replay import Params, Tried

VALIDATION = "validation_"


class Seen(NamedTuple):
    """One run of a search. epochs: that it was to train; curve: its values by epoch, or the last one alone;
    () where it has none; lost: it diverged; failed: it has no value for another reason."""

    axes: Mapping[str, Any]
    seed: int
    epochs: int
    curve: tuple[float, ...]
    lost: bool = False
    failed: bool = False


def from_row(row: Row, metric: str) -> Seen:
    """What a trained run gave, without its values by epoch."""
    last = finite(row.summary.get(f"{VALIDATION}{metric}"))
    total, per_epoch = (finite(row.summary.get(n)) for n in ("total_steps", "steps_per_epoch"))
    epochs = max(round(total / per_epoch), 1) if total and per_epoch else 0
    lost = row.outcome == "diverged"
    curve = () if last is None or lost else (last,)
    return Seen(row.axes, row.seed, epochs, curve, lost, failed=not curve and not lost)


def from_table(table: Table, p: Point, by_epochs: tuple[float, ...]) -> Seen:
    """What a run gave, by a table of all that was asked for. by_epochs: its values by epoch, () where they
    are not known."""
    at = table.where[p.run.id]
    lost, done = table.state[at] in (DIVERGED, LOST), table.state[at] == DONE
    curve = (by_epochs or (float(table.validation[at]),)) if done else ()
    return Seen(p.axes, p.seed, epochs_of(p.run), curve, bool(lost), failed=not (lost or done))


def epochs_of(run: Run) -> int:
    """The epochs of a run, rounded, at least one."""
    return max(round(run.total_steps / run.steps_per_epoch), 1)


def by_epoch(record: Record, name: str) -> tuple[float, ...]:
    """A series' values after epochs 1, 2, ...; () where it has not all of them."""
    series, per_epoch = record.trace.get(name), finite(record.summary.get("steps_per_epoch"))
    if series is None or not per_epoch:
        return ()
    at = {int(step): float(v) for step, v in zip(series.steps, series.values, strict=True)}
    ends = range(int(per_epoch), max(at, default=0) + 1, int(per_epoch))
    return tuple(at[k] for k in ends) if all(k in at for k in ends) else ()


def choosing(study: Study) -> tuple[int, ...]:
    """The seeds on which a search judges its trials."""
    return study.seeds[: study.choosing] or study.seeds


def trials(
    arm: Arm, places: Iterable[Mapping[str, Any]], some: Sequence[Seen], *, study: Study
) -> list[Tried]:
    """The trials of an arm in the order in which they were asked for, with means over all seeds that choose.
    places: of all runs that were asked for, in order."""
    order: dict[str, Params] = {}
    for axes in places:
        if arm.has(axes, study.fixed):
            params = arm.params(axes)
            order.setdefault(canonical(params), params)
    runs: dict[str, list[Seen]] = {key: [] for key in order}
    for one in some:
        if arm.has(one.axes, study.fixed):
            runs[canonical(arm.params(one.axes))].append(one)
    return [_tried(order[key], mine, len(choosing(study))) for key, mine in runs.items()]


def _tried(params: Params, mine: Sequence[Seen], seeds: int) -> Tried:
    curves: dict[int, list[tuple[float, ...]]] = {}
    for one in mine:
        if one.curve:
            curves.setdefault(one.epochs, []).append(one.curve)
    whole = {e: c for e, c in curves.items() if len(c) == seeds}  # else some are still to come
    means = {e: tuple(_mean(v) for v in zip(*c, strict=False)) for e, c in whole.items()}
    return Tried(params, means, any(s.lost for s in mine), any(s.failed for s in mine))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
