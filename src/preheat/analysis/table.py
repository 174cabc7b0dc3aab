"""A study's results as arrays: [P, C, T, V, S] = panels, conditions, treatments, nuisance values, seeds.

What a run scores where it has no number:
diverged, or a metric that is not finite: as much as a model that learnt nothing on its task,
`chance_<metric>` of its summary, else the worst of its panel or of all; where no run tells it 0 for an
accuracy, else the worst value that any finished run reached. Leaving such runs out would reward a setting for
losing its bad runs. failed or missing, or done without this metric (its task has other ones): unknown (NaN),
which is never chosen and left out where numbers are reported.

Every seed tunes itself: it takes the nuisance that is best on its own validation set and reports its own test
score there. So choosing is repeated with every seed, and the spread over seeds holds its luck (Bouthillier et
al. 2021, arXiv 2103.03098).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preheat.core.canon import canonical
from preheat.core.errors import UserError
from preheat.core.grid import among, label
from preheat.core.lengths import length
from preheat.core.registry import STAGES
from preheat.core.spec import as_spec
from preheat.core.study import Study
from preheat.stats.estimates import Array, resolution
from preheat.stats.rates import mean_over_rates, sensitivity

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
    among such. validation, test: scores as the module says, NaN where unknown. train: the training loss over
    the last epoch, NaN where a run did not finish; start: that of a model that learnt nothing, NaN where no
    run tells. unlike: whether `start` is below -log of the share of right answers by chance, as no mean of
    -log(probability) can be. chance: the score of a model that learnt nothing. times_chance: the training
    accuracy over the last epoch / that by chance, NaN where a run does not tell. total, per_epoch [P, C, T]:
    steps, NaN where no run tells. others: the metrics of done runs without this one.
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
    train: Array
    start: Array
    unlike: NDArray[np.bool_]
    total: Array
    per_epoch: Array
    chance: Array
    times_chance: Array
    others: tuple[str, ...] = ()
    where: Mapping[str, Index] = field(default_factory=dict)

    @property
    def sign(self) -> float:
        """+1 where a higher metric is better, -1 where a lower one is."""
        return 1.0 if self.study.goal == "max" else -1.0

    def labels(self, at: tuple[int, int, int]) -> tuple[str, str, str]:
        """The names of a setting's panel, condition and treatment."""
        return self.panels.labels[at[0]], self.conditions.labels[at[1]], self.treatments.labels[at[2]]

    @cached_property
    def step(self) -> float:
        """The resolution of the test metric."""
        return resolution(self.test[self.state == DONE])

    @property
    def tuned(self) -> bool:
        """Whether there is anything to choose."""
        return bool((self.planned.sum(axis=-1) > 1).any())

    @property
    def biased(self) -> bool:
        """Whether later runs were asked for by what other reported seeds had scored."""
        asked = [as_spec(one, "stage").name for one in self.study.stages]
        own = (name in STAGES.names() and getattr(STAGES[name], "own_seed", False) for name in asked)
        return not self.study.choosing and not all(own)

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
    def picks(self) -> NDArray[np.int64]:
        """[P, C, T, S]: the nuisance with each seed's best validation score, -1 for none. Ties go to the
        lower value, which is farther from the edge."""
        known = np.isfinite(self.validation)
        scores = np.where(known, np.round(self.sign * np.nan_to_num(self.validation), 12), -np.inf)
        return np.where(known.any(axis=3), scores.argmax(axis=3), -1)

    def picked(self, values: Any) -> Array:
        """[P, C, T, S]: `values` [P, C, T, V, S] at each seed's pick; NaN where there is none."""
        index = np.maximum(self.picks, 0)[:, :, :, None, :]
        taken = np.take_along_axis(values.astype(np.float64), index, axis=3)[:, :, :, 0, :]
        return np.where(self.picks >= 0, taken, np.nan)

    @cached_property
    def judged(self) -> Array:
        """[P, C, T, S]: each seed's test score at its own pick."""
        return self.picked(self.test)

    @cached_property
    def finished(self) -> Array:
        """[P, C, T, S]: 1 where a seed's tuned run finished, 0 where not, NaN where there is none."""
        return self.picked(self.state == DONE)

    @cached_property
    def rated(self) -> Array | None:
        """[P, C, T, S]: each seed's mean test score over the rates (`mean_over_rates`), of those that all
        treatments of a panel and condition have; None where no numeric nuisance is varied."""
        return self._over_rates(lambda rates, scores, _: mean_over_rates(rates, scores))

    @cached_property
    def sensitivity(self) -> Array | None:
        """[P, C, T, S]: Wortsman's learning-rate sensitivity (`sensitivity`), of the metric as a loss."""
        return self._over_rates(
            lambda rates, scores, chance: sensitivity(rates, -self.sign * scores, -self.sign * chance)
        )

    def _over_rates(self, measure: Callable[[Array, Array, Array], Array]) -> Array | None:
        if self.numeric is None:
            return None
        values, out = np.asarray(self.numeric), np.full(self.judged.shape, np.nan)
        for p, c in np.ndindex(out.shape[:2]):
            used = np.asarray(self.planned[p, c].any(axis=-1))
            shared = np.flatnonzero(self.planned[p, c][used].all(axis=0)) if used.any() else np.zeros(0, int)
            if len(shared) > 1:
                scores, chance = (np.moveaxis(x[p, c][:, shared], 1, -1) for x in (self.test, self.chance))
                found = measure(values[shared], scores, chance[..., 0])
                out[p, c] = np.where(used[:, None], found, np.nan)
        return out

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
    def updates(self) -> tuple[float, ...]:
        """Of every treatment that is a length, its updates in the longest run, 1 for none; 0 where treatments
        are no lengths."""
        known = self.total[np.isfinite(self.total)]
        epochs = self.per_epoch[np.isfinite(self.per_epoch)]
        total, each = (int(x.max()) if len(x) else 1 for x in (known, epochs))
        if not self.lengths:
            return (0.0,) * len(self.treatments)
        return tuple(max(float(length(v).resolve(total, each)), 1.0) for v in self.treatments.values)

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
        names = [f.name for f in fields(self) if isinstance(getattr(self, f.name), np.ndarray)]
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
