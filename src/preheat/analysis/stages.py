"""Stages: batches of runs that a study asks for when all earlier ones have records.

    @STAGES.register("again")
    @dataclass(frozen=True)
    class Again:
        seeds: tuple[int, ...] = (1, 2)

        def more(self, table, points): ...
        def most(self, study): ...

`Study.stages` names them in order; each is asked for batches until it has no more. A search, a grid in units
of what was measured, a comparison of the best are such stages, and every run they ask for is an ordinary one.
A stage is a pure function of the records, so nothing of it is kept: a study that was stopped asks again, and
gets the runs it had.

How the table of a report treats them: as any other run, at their place. What a stage sees are the validation
scores on the seeds that choose (`Study.choosing`); the other seeds judge, and are reported. So a stage tries
settings on the choosing seeds and asks for the best of them on the judging ones: a setting that no judging
seed has is not reported, and no reported number was picked for being high. With `choosing` 0 a stage sees all
seeds, and the report draws no conclusion (`Table.biased`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from preheat.analysis.results import collect
from preheat.analysis.table import Table
from preheat.analysis.tabulate import tabulate
from preheat.core.errors import UserError
from preheat.core.spec import Spec, as_spec, build
from preheat.core.study import Point, Study, distinct
from preheat.store.folder import exists
from preheat.store.segment import Head
from preheat.store.store import Store


class Stage(Protocol):
    """Runs that are asked for when all earlier ones have records. Pure, as the module says."""

    def more(self, table: Table, points: Sequence[Point]) -> Iterable[Point]:
        """The next batch, or () when there is no more; runs that were asked for before are left out.

        table: of all earlier points on the choosing seeds, without test scores. points: all of these, with
        their runs. `table.study.placed(blocks)` makes points of settings, `Point.again(seed)` repeats one.
        """
        ...

    def most(self, study: Study) -> int:
        """How many runs its batches hold at most, all together: what a dry run says; more are an error."""
        ...


class Asked(NamedTuple):
    """What a study asks for as far as its records tell, and how many runs may follow at most."""

    points: list[Point]
    most: int


def staged(study: Study, first: Sequence[Point], root: Path) -> Asked:
    """The first points and those of the stages whose earlier runs all have a record in `root`, done, diverged
    or failed.

    Errors: UserError where a stage is not registered, or asks for more than its `most`.
    """
    points, most = list(first), 0
    stages = [(spec, build("stage", spec)) for spec in (as_spec(one, "stage") for one in study.stages)]
    known = {h.id: h for h in Store.open(root, create=False).heads()} if stages and exists(root) else {}
    for spec, stage in stages:
        left = _most(spec, stage, study)
        while complete := all(p.run.id in known for p in points):
            new = _batch(stage, study, points, known)
            if not new:
                break
            left -= len(new)
            if left < 0:
                raise UserError(
                    f"a stage asks for at most as many runs as its most() says, got {-left} more from "
                    f"{spec}: let most() count them"
                )
            points = distinct([*points, *new])
        most += 0 if complete else left
    return Asked(points, most)


def _most(spec: Spec, stage: Stage, study: Study) -> int:
    most = stage.most(study)
    if not isinstance(most, int) or most < 0:
        raise UserError(f"most() of a stage is a number of runs, 0 or more, got {most!r} from {spec}")
    return most


def _batch(stage: Stage, study: Study, points: Sequence[Point], known: Mapping[str, Head]) -> list[Point]:
    """What a stage asks for that was not asked for before."""
    have = {p.run.id for p in points}
    number = max(p.stage for p in points) + 1
    batch = distinct(stage.more(_seen(study, points, known), tuple(points)))
    return [p._replace(stage=number) for p in batch if p.run.id not in have]


def _seen(study: Study, points: Sequence[Point], known: Mapping[str, Head]) -> Table:
    """The table that a stage may look at."""
    seeds = study.seeds[: study.choosing] or study.seeds
    index = [(p.axes, p.seed, p.run.id) for p in points if not study.choosing or p.seed in seeds]
    if not index:
        raise UserError(
            f"a stage sees the seeds that choose, {list(seeds)}, and no run has one of them: give the grid "
            "one of them, or write choosing: 0"
        )
    table = tabulate(collect(study, index, known.values()))
    return replace(table, test=np.full_like(table.test, np.nan))
