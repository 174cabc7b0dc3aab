"""Each seed's own best setting, trained again with something changed, such as a longer run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from preheat.analysis.table import Table
from preheat.core.canon import canonical
from preheat.core.companions import with_companions
from preheat.core.errors import UserError
from preheat.core.grid import Setting, get, put, tidy
from preheat.core.lengths import is_number
from preheat.core.registry import STAGES
from preheat.core.run import Run
from preheat.core.study import Point, Study


@STAGES.register("own_best")
@dataclass(frozen=True)
class OwnBest:
    """What each seed found best, trained by the same seed with each of some changes.

    changes: settings that are laid on a run's own, [{length: 100ep}, {length: 200ep}]; each must change an
    axis of the study that is no nuisance. scaled: paths of numbers that grow as the length does, such as
    schedule.period; rounded to a whole number where they are one. In every setting that the study's grid has
    (a panel, a condition, a treatment) a seed takes the nuisances with its own best validation score; ties go
    to the lower value. No seed sees another's scores, nor a test score, so the seeds stay independent and all
    are reported (`own_seed`).
    """

    own_seed: ClassVar[bool] = True

    changes: Sequence[Mapping[str, Any]] = ()
    scaled: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not self.changes or not all(isinstance(one, Mapping) and one for one in self.changes):
            raise UserError(
                f"stage 'own_best' needs changes of a setting, got {list(self.changes)!r}: write changes: "
                "[{length: 100ep}]"
            )

    def more(self, table: Table, points: Sequence[Point]) -> Iterator[Point]:
        """Each seed's best of the grid, with each change."""
        at = {table.where[p.run.id]: p for p in points if p.run.id in table.where}
        grid = {table.where[p.run.id][:3] for p in points if not p.stage}
        for place in sorted(grid):
            for s, v in enumerate(table.picks[place]):
                best = at.get((*place, int(v), s))
                if best is not None and np.isfinite(table.validation[(*place, int(v), s)]):
                    yield from (self._changed(best, change) for change in self.changes)

    def most(self, study: Study) -> int:
        """Each setting of the grid with each change, on every seed.

        Errors: UserError where a change is of no axis, or of a nuisance.
        """
        for change in self.changes:
            for path in change:
                if path not in study.scientific:
                    raise UserError(
                        f"stage 'own_best' changes {path}, by which the study does not tell its settings "
                        f"apart: add {path} to scientific"
                    )
        points = study.points()
        settings = {canonical({path: p.axes.get(path) for path in study.scientific}) for p in points}
        return len(settings) * len(self.changes) * len({p.seed for p in points})

    def _changed(self, best: Point, change: Mapping[str, Any]) -> Point:
        """The point with a change laid on."""
        run = best.run
        new: Setting = {k: v for k, v in run.json().items() if k != "format"}
        for path, value in change.items():
            put(new, path, value)
        if "also" not in change and getattr(run.schedule, "also", None) is not None:
            new.pop("also", None)  # it is the schedule's own, and is made again
        times = Run.from_json(new).total_steps / run.total_steps
        for path in self.scaled:
            number = get(new, path)
            if is_number(number):
                put(new, path, max(round(number * times), 1) if isinstance(number, int) else number * times)
        new = with_companions(new, {}) if run.also else new
        return Point(
            {**best.axes, **{path: tidy(v) for path, v in change.items()}}, best.seed, Run.from_json(new)
        )
