"""What a search found: every trial, and the best of each arm on fresh seeds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from preheat.analysis.results import Row
from preheat.analysis.table import Table
from preheat.core.canon import canonical, finite, plain
from preheat.core.space import Range
from preheat.search.arms import Arm, arms, searching
from preheat.search.replay import Params, Tried
from preheat.search.trials import choosing, from_row, trials
from preheat.stats.estimates import Estimate, interval, moments

NEAR = 0.05  # of a range, in which its end is near


@dataclass(frozen=True)
class TrialFound:
    """A trial. outcome: complete, stopped (by a pruner), diverged, failed, or not over; value: its validation
    metric, None where it has none; epochs: that it was trained; params: as JSON."""

    arm: str
    number: int
    outcome: str
    value: float | None
    epochs: int
    params: str


@dataclass(frozen=True)
class ArmFound:
    """The best trial of an arm. value: its validation metric, by which it was chosen; fresh: the test metric
    of the same setting on seeds that chose nothing; lacking: those of these seeds without a value; ends:
    options within a twentieth of an end of their range."""

    arm: str
    trials: int
    complete: int
    value: float | None
    fresh: Estimate | None
    lacking: int
    params: str
    ends: tuple[str, ...]


@dataclass(frozen=True)
class SearchFound:
    """The arms, the best first, and every trial."""

    best: tuple[ArmFound, ...]
    tried: tuple[TrialFound, ...]


def search_found(table: Table, rows: Sequence[Row]) -> SearchFound | None:
    """All of it; None for a study without a search."""
    study = table.study
    stage = searching(study)
    if stage is None or "spaces" not in stage.options:
        return None
    chosen = set(choosing(study))
    looked = [r for r in rows if r.seed in chosen]
    given = [from_row(r, study.metric) for r in looked]
    best, tried = [], []
    for arm in arms(stage.options["spaces"]):
        mine = trials(arm, [r.axes for r in looked], given, study=study)
        whole = max((e for t in mine for e in t.curves), default=0)
        best.append(_best(table, arm, mine, rows, whole=whole))
        over = best[-1].fresh is not None
        tried += [_trial(arm, k, t, whole=whole, over=over) for k, t in enumerate(mine)]
    sign = table.sign
    best.sort(key=lambda b: (b.value is None, -sign * (b.value or 0.0)))
    return SearchFound(tuple(best), tuple(tried))


def _trial(arm: Arm, number: int, one: Tried, *, whole: int, over: bool) -> TrialFound:
    epochs, value = max(one.curves, default=0), None
    outcome = "stopped" if over else "not over"
    if one.failed or one.lost:
        outcome = "failed" if one.failed else "diverged"
    elif whole in one.curves:
        outcome, value = "complete", one.curves[whole][-1]
    return TrialFound(arm.name, number, outcome, value, epochs, _text(one.params))


def _best(table: Table, arm: Arm, mine: Sequence[Tried], rows: Sequence[Row], *, whole: int) -> ArmFound:
    complete = [t for t in mine if whole in t.curves and not t.lost and not t.failed]
    if not complete:
        return ArmFound(arm.name, len(mine), 0, None, None, 0, "", ())
    top = max(complete, key=lambda t: table.sign * t.curves[whole][-1])
    fresh = [v for r in rows if (v := _fresh(table, arm, top.params, r)) is not None]
    estimate = interval(moments(fresh)) if fresh else None
    value = top.curves[whole][-1]
    lacking = len(table.study.seeds) - table.study.choosing - len(fresh)
    return ArmFound(
        *(arm.name, len(mine), len(complete), value, estimate),
        lacking=lacking if fresh else 0,
        params=_text(top.params),
        ends=_ends(arm, top.params),
    )


def _fresh(table: Table, arm: Arm, params: Params, row: Row) -> float | None:
    """The test metric of a run of the setting on a seed that chose nothing."""
    study = table.study
    if row.seed in choosing(study) or not arm.has(row.axes, study.fixed):
        return None
    same = canonical(arm.params(row.axes)) == canonical(params)
    return finite(row.summary.get(f"test_{study.metric}")) if same and row.outcome == "done" else None


def _ends(arm: Arm, params: Mapping[str, Any]) -> tuple[str, ...]:
    """The options whose best value lies at an end of what was tried."""
    out = []
    for path, one in arm.space.items():
        if isinstance(one, Range) and not NEAR <= one.place(params[path]) <= 1 - NEAR:
            out.append(path)
    return tuple(out)


def _text(params: Mapping[str, Any]) -> str:
    return json.dumps(plain(params))
