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
scores on the first `Study.choosing` seeds; the others are reported. So a stage tries settings on the former
and asks for the best of them on the latter: a setting that no reported seed has is not reported, and no
reported number was picked for being high. With `choosing` 0 a stage sees all seeds, and the report draws no
conclusion (`Table.biased`), but for stages with `own_seed = True`: what they ask for with a seed follows from
that seed's own validation scores alone, as where each seed chooses its nuisances.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from preheat.analysis.results import Results, Row, collect
from preheat.analysis.table import Table
from preheat.analysis.tabulate import tabulate
from preheat.core.errors import UserError, called
from preheat.core.record import Record
from preheat.core.spec import Spec, as_spec, build
from preheat.core.study import Point, Study, distinct
from preheat.store.folder import exists
from preheat.store.segment import Head
from preheat.store.store import Store


class Stage(Protocol):
    """Runs that are asked for when all earlier ones have records. Pure, as the module says."""

    def more(self, table: Table, points: Sequence[Point], *seen: Any) -> Iterable[Point]:
        """The next batch, or () when there is no more; runs that were asked for before are left out.

        table: of all earlier points on the choosing seeds, without test scores. points: all of these, with
        their runs. `table.study.placed(blocks)` makes points of settings, `Point.again(seed)` repeats one.
        A stage that looks at traces has `each(record, row)` as a chapter does, for the choosing seeds' runs,
        and `more(table, points, seen)`; seen: [(row, what each gave)], without those that gave None.
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

    Errors: UserError where a stage is not registered, raises, gives something else than points and a number
    of runs, or asks for more than its `most`.
    """
    points, most = list(first), 0
    stages = [_made(as_spec(one, "stage"), study) for one in study.stages]
    store = Store.open(root, create=False) if stages and exists(root) else None
    heads = {h.id: h for h in store.heads()} if store else {}
    known = _Known(heads, store.load if store else _nothing, {})
    for name, stage, allowed in stages:
        left = allowed
        while complete := all(p.run.id in known.heads for p in points):
            new = _batch(name, stage, study, points, known)
            if not new:
                break
            left -= len(new)
            if left < 0:
                raise UserError(
                    f"a stage asks for at most as many runs as its most() says, got {allowed - left} from "
                    f"{name}, whose most() says {allowed}: let most() count them all"
                )
            points = distinct([*points, *new])
        most += 0 if complete else left
    return Asked(points, most)


def _made(spec: Spec, study: Study) -> tuple[str, Stage, int]:
    """What a stage is called in errors, the stage, and how many runs it may ask for."""
    stage, name = build("stage", spec), f"stage {spec.name!r}"
    for method in ("more(table, points)", "most(study)"):
        if not callable(getattr(stage, method.partition("(")[0], None)):
            raise UserError(f"{name} must have {method}: write def {method.replace('(', '(self, ')}")
    most = called(name, "most", lambda: stage.most(study))
    if not isinstance(most, Integral) or isinstance(most, bool) or int(most) < 0:
        raise UserError(
            f"{name} must give a whole number of runs, 0 or more, in most, got {most!r:.60}: return how many "
            "runs its batches hold, all together"
        )
    return name, stage, int(most)


class _Known(NamedTuple):
    """The records that there are, by run id, what reads one with its trace, and what each stage's `each` gave
    of a run, so that a trace is read once however many batches there are."""

    heads: Mapping[str, Head]
    load: Callable[[str], Record]
    given: dict[tuple[str, str], Any]


def _nothing(run_id: str) -> Record:
    raise AssertionError("there are no records")


def _batch(name: str, stage: Stage, study: Study, points: Sequence[Point], known: _Known) -> list[Point]:
    """What a stage asks for that was not asked for before."""
    have = {p.run.id for p in points}
    number = max(p.stage for p in points) + 1
    results = _looked_at(study, points, known.heads)
    table = tabulate(results)
    table = replace(table, study=study, test=np.full_like(table.test, np.nan))
    seen = _read(name, stage, results.rows, known)
    given = called(name, "more", lambda: stage.more(table, tuple(points), *seen))
    batch = called(name, "more", lambda: list(given)) if isinstance(given, Iterable) else [given]
    for one in batch:
        if not isinstance(one, Point):
            raise UserError(
                f"{name} must give points in more, () for no more, got {one!r:.60}: return "
                "table.study.placed(blocks), or point.again(seed) of some"
            )
    return [p._replace(stage=number) for p in distinct(batch) if p.run.id not in have]


def _read(name: str, stage: Stage, rows: Iterable[Row], known: _Known) -> tuple[list[tuple[Row, Any]], ...]:
    """What the stage's `each` gave of the trained runs, by row, as an argument; none without `each`."""
    each = getattr(stage, "each", None)
    if each is None:
        return ()
    seen = []
    for row in rows:
        if row.outcome in ("done", "diverged"):
            key = (name, row.run_id)
            if key not in known.given:
                record = known.load(row.run_id)
                known.given[key] = called(name, "each", partial(each, record, row))
            if known.given[key] is not None:
                seen.append((row, known.given[key]))
    return (seen,)


def _looked_at(study: Study, points: Sequence[Point], known: Mapping[str, Head]) -> Results:
    """What a stage may look at."""
    seeds = study.seeds[: study.choosing] or study.seeds
    index = [(p.axes, p.seed, p.run.id) for p in points if not study.choosing or p.seed in seeds]
    if not index:
        raise UserError(
            f"a stage sees the seeds that choose, {list(seeds)}, and no run has one of them: give the grid "
            "one of them, or write choosing: 0"
        )
    return collect(replace(study, stages=(), seeds=seeds, choosing=0), index, known.values())
