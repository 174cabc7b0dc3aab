"""The best of what was tried, trained again on the seeds that did not choose it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from preheat.analysis.table import DONE, Table
from preheat.core.errors import UserError
from preheat.core.grid import label
from preheat.core.registry import STAGES
from preheat.core.study import Point, Study


@STAGES.register("best_on_fresh_seeds")
@dataclass(frozen=True)
class BestOnFreshSeeds:
    """The best setting of each group, on the seeds that are reported.

    per: the axes that tell groups apart, none for one group. most_groups: how many groups there may be. The
    best one has the best mean validation score over the seeds that choose, of the settings that finished on
    all of them and are as long as any of the group; ties go to the one asked for first. With this stage no
    reported number was picked for being high.
    """

    per: Sequence[str] = ()
    most_groups: int = 1

    def more(self, table: Table, points: Sequence[Point]) -> Iterator[Point]:
        """The best setting of each group on every seed that is reported."""
        study = table.study
        chosen = study.seeds[: study.choosing]
        best: dict[tuple[str, ...], tuple[tuple[int, float], Point]] = {}
        for p in points:
            if p.seed != chosen[0]:
                continue
            score = p.run.total_steps, _score(table, table.where[p.run.id])
            group = tuple(label(p.axes.get(path)) for path in self.per)
            if np.isfinite(score[1]) and (group not in best or score > best[group][0]):
                best[group] = score, p
        yield from (p.again(seed) for _, p in best.values() for seed in study.seeds[study.choosing :])

    def most(self, study: Study) -> int:
        """Each group with every seed that is reported. Errors: UserError where no seed chooses."""
        if not study.choosing:
            raise UserError(
                "stage 'best_on_fresh_seeds' needs seeds that choose, and others that are fresh, got "
                "choosing: 0: write choosing: 1"
            )
        return self.most_groups * (len(study.seeds) - study.choosing)


def _score(table: Table, at: tuple[int, ...]) -> float:
    """The mean over seeds, higher is better; minus infinity where one did not finish."""
    setting = at[:-1]
    known = table.state[setting] == DONE
    asked = table.state[setting] != 0
    if not (known == asked).all() or not asked.any():
        return -np.inf
    return float(table.sign * table.validation[setting][asked].mean())
