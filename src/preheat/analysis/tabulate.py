"""From a study's results to its table: the axes in the study's order, and what each run scores."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preheat.analysis.results import Results, Row
from preheat.analysis.table import DIVERGED, DONE, FAILED, LOST, MISSING, UNMEASURED, Axis, Table, number
from preheat.analysis.training import FAILS
from preheat.core.canon import canonical, finite
from preheat.core.grid import full_label, label
from preheat.core.metrics import metric
from preheat.core.registry import REGISTRIES
from preheat.core.study import Study
from preheat.stats.estimates import Array

NOTHING: Mapping[str, Mapping[str, str]] = MappingProxyType({})
CODES = {"done": DONE, "diverged": DIVERGED, "failed": FAILED, "missing": MISSING}


def tabulate(results: Results) -> Table:
    """The table of a study's results; every axis in the study's order, numeric nuisances ascending. The seeds
    that stages look at are not in it."""
    study = results.study
    looked = set(study.seeds[: study.choosing])
    rows = [r for r in results.rows if r.seed not in looked]
    others = [p for p in study.scientific if p not in (study.treatment, study.condition)]
    panels = _axis([{p: r.axes.get(p) for p in others} for r in rows], study.labels)
    conditions = _straight(
        _axis([{study.condition: r.axes.get(study.condition)} if study.condition else {} for r in rows])
    )
    conditions = replace(conditions, names=_called(conditions, study.labels.get(study.condition, {})))
    treatments = _axis([{study.treatment: r.axes.get(study.treatment)} for r in rows])
    nuisances = _sorted(_axis([{p: r.axes.get(p) for p in study.nuisance} for r in rows]))
    seeds = tuple(s for s in dict.fromkeys((*study.seeds, *(r.seed for r in rows))) if s not in looked)
    shape = (len(panels), len(conditions), len(treatments), len(nuisances), len(seeds))
    axes = (panels, conditions, treatments, nuisances)
    paths = (others, [study.condition] if study.condition else [], [study.treatment], list(study.nuisance))
    find = [{canonical(v): i for i, v in enumerate(a.values)} for a in axes]
    place = {s: i for i, s in enumerate(seeds)}
    where = {}
    for r in rows:
        p, c, t, v = (
            f[canonical({path: r.axes.get(path) for path in some})]
            for f, some in zip(find, paths, strict=True)
        )
        where[r.run_id] = (p, c, t, v, place[r.seed])
    arrays = _fill(study, rows, list(where.values()), shape)
    made = Table(study, panels, _bare(conditions), _bare(treatments), nuisances, seeds, *arrays)
    return replace(made, where=where)


def _called(axis: Axis, said: Mapping[str, str]) -> tuple[str, ...]:
    """How values read, with what the study calls them: 5000 (Standard)."""
    names = zip(axis.labels, axis.names, strict=True)
    return tuple(f"{name} ({said[label]})" if label in said else name for label, name in names)


def _bare(axis: Axis) -> Axis:
    return replace(axis, values=tuple(next(iter(v.values()), None) for v in axis.values))


def _axis(values: Iterable[Mapping[str, Any]], called: Mapping[str, Mapping[str, str]] = NOTHING) -> Axis:
    """called: by path and the full text of a value how it reads."""
    different = list({canonical(v): v for v in values}.values())
    paths = list(different[0]) if different else []

    def joined(read: Callable[[str, Any], Any]) -> tuple[str, ...]:
        texts = {p: names([read(p, v[p]) for v in different]) for p in paths}
        full = [paths for _ in different]
        said = [[p for p in paths if v[p] is not None] for v in different]  # what is not there has no name
        made = [
            tuple(", ".join(texts[p][i] for p in some) for i, some in enumerate(each))
            for each in (said, full)
        ]
        return made[0] if all(made[0]) and len({*made[0]}) == len(different) else made[1]

    def read(path: str, value: Any) -> Any:
        return called.get(path, {}).get(full_label(value)) or _displayed(path, value)

    return Axis(joined(lambda _, value: value), tuple(different), joined(read))


def _displayed(path: str, value: Any) -> Any:
    """The value with a registered name as it is displayed: AdamW for adamw."""
    kind = path.removesuffix(".name")
    if kind not in REGISTRIES:
        return value
    if isinstance(value, Mapping):
        return {**value, "name": REGISTRIES[kind].label(str(value.get("name")))}
    return REGISTRIES[kind].label(value) if isinstance(value, str) else value


def names(values: Sequence[Any]) -> list[str]:
    """A label for each value, longer where two different values share a short one.

    >>> names([{"name": "sgd", "momentum": 0.9}, {"name": "sgd", "momentum": 0.0}, "adam"])
    ['sgd(momentum=0.9)', 'sgd(momentum=0)', 'adam']
    """
    short = [label(v) for v in values]
    kinds: dict[str, set[str]] = {}
    for s, v in zip(short, values, strict=True):
        kinds.setdefault(s, set()).add(canonical(v))
    return [s if len(kinds[s]) == 1 else _long(s, v) for s, v in zip(short, values, strict=True)]


def _long(short: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{short}({', '.join(f'{k}={label(v)}' for k, v in value.items() if k != 'name')})"
    return canonical(value)


def _straight(axis: Axis) -> Axis:
    """Numbers that go up and down, as where panels differ in them, in the direction of the first two; else as
    it is."""
    values = [v for value in axis.values for v in value.values()]
    steps = np.diff([float(v) for v in values]) if all(number(v) for v in values) else np.zeros(0)
    if not (steps > 0).any() or not (steps < 0).any():
        return axis
    up = _sorted(axis)
    return up if steps[0] > 0 else up.some(range(len(up))[::-1])


def _sorted(axis: Axis) -> Axis:
    single = [list(v.values()) for v in axis.values]
    if not single or any(len(v) != 1 or not number(v[0]) for v in single):
        return axis
    order = sorted(range(len(axis)), key=lambda i: float(single[i][0]))
    return axis.some(order)


def _fill(
    study: Study, rows: Sequence[Row], where: Sequence[tuple[int, ...]], shape: tuple[int, ...]
) -> tuple[Any, ...]:
    state = np.zeros(shape, dtype=np.int8)
    scores = {part: np.full(shape, np.nan) for part in ("validation", "test")}
    train, start, times = (np.full(shape, np.nan) for _ in range(3))
    unlike = np.zeros(shape, dtype=bool)
    lengths = {name: np.full(shape[:3], np.nan) for name in ("total_steps", "steps_per_epoch")}
    for row, at in zip(rows, where, strict=True):
        state[at] = UNMEASURED if _unmeasured(study, row) else CODES[row.outcome]
        for part, array in scores.items():
            score = finite(row.summary.get(f"{part}_{study.metric}")) if row.outcome == "done" else None
            array[at] = np.nan if score is None else score
        loss = finite(row.summary.get("train_loss")) if row.outcome == "done" else None
        train[at] = np.nan if loss is None else loss
        start[at], unlike[at] = _loss_by_chance(row)
        times[at] = _times_chance(row)
        for name, array in lengths.items():
            known = finite(row.summary.get(name))
            array[at[:3]] = array[at[:3]] if known is None else known
    chance = _chance(study, rows, where, seen=np.stack(list(scores.values())))
    state[(state == DIVERGED) & _foreign(state)] = LOST
    lost = (state == DIVERGED) | (state == DONE)
    scored = [np.where(lost & ~np.isfinite(s), chance, s) for s in scores.values()]
    others = {
        k.removeprefix("test_")
        for r in rows
        if _unmeasured(study, r)
        for k in r.summary
        if k.startswith("test_")
    }
    return state, *scored, train, start, unlike, *lengths.values(), chance, times, tuple(sorted(others))


def _loss_by_chance(row: Row) -> tuple[float, bool]:
    """(the loss of a model that learnt nothing, `unlike` of `Table`): what the task says, else -log of its
    share of right answers."""
    told, right = (finite(row.summary.get(f"chance_{name}")) for name in ("loss", "accuracy"))
    least = -math.log(right) if right else math.nan
    if told is None:
        return least, False
    return told, told < least * (1 - 1e-6)


def _times_chance(row: Row) -> float:
    """`times_chance` of `Table`; NaN too where no accuracy could be 1.5 times chance."""
    right, chance = (finite(row.summary.get(f"{part}_accuracy")) for part in ("train", "chance"))
    if row.outcome != "done" or right is None or chance is None or not 0 < FAILS * chance < 1:
        return math.nan
    return right / chance


def _unmeasured(study: Study, row: Row) -> bool:
    """Whether a done run lacks the metric. One that is there but not finite is None, which is a result."""
    return row.outcome == "done" and any(
        f"{part}_{study.metric}" not in row.summary for part in ("validation", "test")
    )


def _foreign(state: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Panels and conditions whose done runs all lack the metric: a diverged run has no score there either,
    and no edge."""
    inside = (2, 3, 4)
    lacks = (state == UNMEASURED).any(axis=inside, keepdims=True) & ~(state == DONE).any(
        axis=inside, keepdims=True
    )
    return np.asarray(lacks)


def _chance(study: Study, rows: Sequence[Row], where: Sequence[tuple[int, ...]], *, seen: Array) -> Array:
    """[P, C, T, V, S]: the score of a model that learnt nothing, as the module says; NaN where no run is
    planned.

    seen [2, P, C, T, V, S]: all scores.
    """
    worst = metric(study.metric).worst
    keys = [f"chance_{study.metric}", *(["chance"] if worst is not None else [])]
    own, planned = np.full(seen.shape[1:], np.nan), np.zeros(seen.shape[1:], dtype=bool)
    for row, at in zip(rows, where, strict=True):
        planned[at] = True
        own[at] = next((v for k in keys if (v := finite(row.summary.get(k))) is not None), np.nan)
    for part in (*own, own):
        part[np.isnan(part)] = _worst(study, part)
    unknown = _worst(study, seen) if worst is None or study.goal == "min" else worst
    return np.where(planned, np.where(np.isnan(own), unknown, own), np.nan)


def _worst(study: Study, values: Array) -> float:
    """The worst finite value; NaN for none."""
    known = values[np.isfinite(values)]
    if not len(known):
        return np.nan
    return float(known.min() if study.goal == "max" else known.max())
