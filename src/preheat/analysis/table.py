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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preheat.core.canon import canonical
from preheat.core.errors import UserError
from preheat.core.grid import among, label
from preheat.core.lengths import length
from preheat.core.study import Study
from preheat.stats.estimates import Array, resolution

UNPLANNED, DONE, DIVERGED, FAILED, MISSING, UNMEASURED, LOST = range(7)
Index = tuple[int, int, int, int, int]


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
        """Whether nuisances, or the runs of later stages, are chosen on the very seeds that are reported."""
        some = bool(self.study.stages) or bool((self.planned.sum(axis=-1) > 1).any())
        return self.study.choosing == 0 and some

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
