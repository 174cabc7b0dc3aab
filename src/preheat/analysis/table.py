"""A study's results as arrays: [P, C, T, V, S] = panels, conditions, treatments, nuisance values, seeds.

What a run scores where it has no number:
diverged, or a metric that is not finite: as much as a model that learnt nothing on its task,
`chance_<metric>` of its summary, else the worst of its panel or of all; where no run tells it 0 for an
accuracy, else the worst value that any finished run reached. Leaving such runs out would reward a setting for
losing its bad runs. failed or missing, or done without this metric (its task has other ones): unknown (NaN).
It is left out where numbers are reported, and counts as the worst where a nuisance is chosen, so an
unfinished setting is not preferred.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preheat.analysis.results import Results, Row
from preheat.core.canon import canonical
from preheat.core.errors import UserError
from preheat.core.grid import among, label
from preheat.core.lengths import length
from preheat.core.metrics import metric
from preheat.core.registry import REGISTRIES
from preheat.core.study import Study
from preheat.stats.estimates import Array, resolution

UNPLANNED, DONE, DIVERGED, FAILED, MISSING, UNMEASURED, LOST = range(7)
Index = tuple[int, int, int, int, int]
CODES = {"done": DONE, "diverged": DIVERGED, "failed": FAILED, "missing": MISSING}


@dataclass(frozen=True)
class Axis:
    """The different values of one axis in order, with their labels, and how these read in a sentence."""

    labels: tuple[str, ...]
    values: tuple[Any, ...]
    names: tuple[str, ...] = ()

    def some(self, kept: Sequence[int]) -> Axis:
        """The axis with these values alone."""
        return Axis(
            *(tuple(part[i] for i in kept if part) for part in (self.labels, self.values, self.names))
        )

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Table:
    """The arrays and their axes. Values of panels and nuisances are {path: value}.

    state: how each run ended, 0 where none is planned; UNMEASURED: done without the metric, LOST: diverged
    among such. validation, test: scores as the module says, NaN where unknown. chance: the score of a model
    that learnt nothing. total, per_epoch [P, C, T]: steps, NaN where no run tells. others: the metrics of
    done runs without this one.
    """

    study: Study
    panels: Axis
    conditions: Axis
    treatments: Axis
    nuisances: Axis
    seeds: tuple[int, ...]
    state: NDArray[np.int8]
    validation: Array
    test: Array
    total: Array
    per_epoch: Array
    chance: Array
    others: tuple[str, ...] = ()
    where: Mapping[str, Index] = field(default_factory=dict)

    @property
    def sign(self) -> float:
        """+1 where a higher metric is better, -1 where a lower one is."""
        return 1.0 if self.study.goal == "max" else -1.0

    @property
    def choosers(self) -> slice:
        """The seeds that choose."""
        return slice(0, self.study.choosing)

    @property
    def judges(self) -> slice:
        """The seeds that are reported."""
        return slice(self.study.choosing, len(self.seeds))

    def labels(self, at: tuple[int, int, int]) -> tuple[str, str, str]:
        """The names of a setting's panel, condition and treatment."""
        return self.panels.labels[at[0]], self.conditions.labels[at[1]], self.treatments.labels[at[2]]

    @cached_property
    def step(self) -> float:
        """The resolution of the test metric."""
        return resolution(self.test[self.state == DONE])

    @cached_property
    def biased(self) -> bool:
        """Whether nuisances are chosen on the very seeds that are reported."""
        return self.study.choosing == 0 and bool((self.planned.sum(axis=-1) > 1).any())

    @cached_property
    def planned(self) -> NDArray[np.bool_]:
        """[P, C, T, V]: whether the grid has the setting."""
        return np.asarray((self.state != UNPLANNED).any(axis=-1))

    @cached_property
    def base(self) -> int:
        """The index of the baseline treatment; the first one where the study names none that is there."""
        name = None if self.study.baseline is None else label(self.study.baseline)
        same = [i for i, v in enumerate(self.treatments.values) if label(v) == name]
        return same[0] if same else 0

    @cached_property
    def chosen(self) -> NDArray[np.int64]:
        """[P, C, T]: the nuisance with the best mean validation score over the choosing seeds, -1 for none.

        Ties go to the lower value, which is farther from the edge. Without choosing seeds all seeds choose.
        """
        seeds = self.choosers if self.study.choosing else slice(None)
        scores, known = self.validation[..., seeds], np.isfinite(self.validation[..., seeds])
        told = bool(np.isfinite(self.chance).any())
        worst = np.nanmin(self.sign * np.stack([self.validation, self.chance])) if told else 0.0
        mean = np.where(known, self.sign * scores, worst).mean(axis=-1)
        usable = self.planned & known.any(axis=-1)
        best = np.where(usable, np.round(mean, 12), -np.inf).argmax(axis=-1)
        return np.where(usable.any(axis=-1), best, -1)

    def at_chosen(self, values: Array, seeds: slice) -> Array:
        """[P, C, T, S']: `values` at the chosen nuisance; NaN where there is none."""
        index = np.maximum(self.chosen, 0)[..., None, None]
        taken = np.take_along_axis(values[..., seeds].astype(np.float64), index, axis=3)[..., 0, :]
        return np.where(self.chosen[..., None] >= 0, taken, np.nan)

    @cached_property
    def judged(self) -> Array:
        """[P, C, T, S']: the test score at the chosen nuisance on the judging seeds."""
        return self.at_chosen(self.test, self.judges)

    @cached_property
    def choosing(self) -> Array:
        """[P, C, T, S'']: the validation score at the chosen nuisance on the choosing seeds."""
        return self.at_chosen(self.validation, self.choosers)

    @cached_property
    def numeric(self) -> tuple[float, ...] | None:
        """The nuisance values where there is just one nuisance, numeric, with several values; else None."""
        if len(self.study.nuisance) != 1 or len(self.nuisances) < 2:
            return None
        values = [next(iter(v.values())) for v in self.nuisances.values]
        return tuple(float(v) for v in values) if all(number(v) and v > 0 for v in values) else None

    @cached_property
    def lengths(self) -> bool:
        """Whether the treatments are lengths, such as 5 epochs: all can be read as one, and one says its
        unit."""
        values = [v for v in self.treatments.values if not number(v)]
        return bool(values) and all(map(_is_length, self.treatments.values))

    @cached_property
    def twins(self) -> dict[int, int]:
        """{panel that `Study.claims` leaves aside: the panel that is like it but for that}, where there is
        one."""
        aside = self.study.claims.get("aside", {})
        values = self.panels.values
        rest = [canonical({k: v for k, v in panel.items() if k not in aside}) for panel in values]
        put = [any(among(panel.get(path), some) for path, some in aside.items()) for panel in values]
        fair = {r: p for p, r in reversed(list(enumerate(rest))) if not put[p]}
        return {p: fair[r] for p, r in enumerate(rest) if put[p] and r in fair}

    @cached_property
    def claimed(self) -> Table:
        """The part on which claims rest: without panels that have a twin; conditions that only they have go
        too."""
        if not self.twins:
            return self
        panels = [p for p in range(len(self.panels)) if p not in self.twins]
        conditions = [int(c) for c in np.flatnonzero(self.planned[panels].any(axis=(0, 2, 3)))]
        names = ("state", "validation", "test", "chance", "total", "per_epoch")
        parts = {name: getattr(self, name)[np.ix_(panels, conditions)] for name in names}
        where = {
            run: (panels.index(at[0]), conditions.index(at[1]), *at[2:])
            for run, at in self.where.items()
            if at[0] in panels and at[1] in conditions
        }
        axes = self.panels.some(panels), self.conditions.some(conditions)
        return replace(self, panels=axes[0], conditions=axes[1], where=where, **parts)


def _is_length(value: object) -> bool:
    try:
        length(value)
    except UserError:
        return False
    return True


def number(value: Any) -> bool:
    """Whether it is a number (true and false are not)."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def tabulate(results: Results) -> Table:
    """The table of a study's results; every axis in the study's order, numeric nuisances ascending."""
    study, rows = results.study, results.rows
    others = [p for p in study.scientific if p not in (study.treatment, study.condition)]
    panels = _axis([{p: r.axes.get(p) for p in others} for r in rows])
    conditions = _straight(
        _axis([{study.condition: r.axes.get(study.condition)} if study.condition else {} for r in rows])
    )
    treatments = _axis([{study.treatment: r.axes.get(study.treatment)} for r in rows])
    nuisances = _sorted(_axis([{p: r.axes.get(p) for p in study.nuisance} for r in rows]))
    seeds = tuple(dict.fromkeys((*study.seeds, *(r.seed for r in rows))))
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


def _bare(axis: Axis) -> Axis:
    return replace(axis, values=tuple(next(iter(v.values()), None) for v in axis.values))


def _axis(values: Iterable[Mapping[str, Any]]) -> Axis:
    different = list({canonical(v): v for v in values}.values())
    paths = list(different[0]) if different else []

    def joined(read: Callable[[str, Any], Any]) -> tuple[str, ...]:
        texts = {p: names([read(p, v[p]) for v in different]) for p in paths}
        return tuple(", ".join(texts[p][i] for p in paths) for i in range(len(different)))

    return Axis(joined(lambda _, value: value), tuple(different), joined(_displayed))


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
    lengths = {name: np.full(shape[:3], np.nan) for name in ("total_steps", "steps_per_epoch")}
    for row, at in zip(rows, where, strict=True):
        state[at] = UNMEASURED if _unmeasured(study, row) else CODES[row.outcome]
        for part, array in scores.items():
            array[at] = (
                _finite(row.summary.get(f"{part}_{study.metric}")) if row.outcome == "done" else np.nan
            )
        for name, array in lengths.items():
            known = _finite(row.summary.get(name))
            array[at[:3]] = known if np.isfinite(known) else array[at[:3]]
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
    return state, *scored, *lengths.values(), chance, tuple(sorted(others))


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


def _finite(value: Any) -> float:
    return float(value) if number(value) and np.isfinite(value) else np.nan


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
        own[at] = next((v for k in keys if np.isfinite(v := _finite(row.summary.get(k)))), np.nan)
    for part in (*own, own):
        part[np.isnan(part)] = _worst(study, part)
    unknown = _worst(study, seen) if worst is None or study.goal == "min" else worst
    return np.where(planned, np.where(np.isnan(own), unknown, own), np.nan)


def _worst(study: Study, values: Array) -> float:
    """The worst finite value; NaN for none."""
    known = values[np.isfinite(values)]
    return float(known.min() if study.goal == "max" else known.max()) if len(known) else np.nan
