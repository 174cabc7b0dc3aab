"""Recipes of an optimizer whose parameter groups differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from preheat.core.between import Between
from preheat.schedules.curves import Array
from preheat.schedules.recipes.recipe import Recipe
from preheat.schedules.rule import Rule


@dataclass(frozen=True)
class GroupRecipes:
    """A recipe for each parameter group, where the groups differ in schedule, peak or momentum.

    groups: one `Recipe` each, in the order of the optimizer's groups, all of one total. The rest is what
    `ScheduleLR(optimizer, made.schedule, made.total, peak=made.peak, also=made.also)` takes: `schedule` and
    `peak` are one where all groups have the same, else a tuple with one for each.

    >>> from preheat.schedules import linear
    >>> made = GroupRecipes((Recipe(linear(at="left"), 0.1, 2), Recipe(linear(at="left"), 0.4, 2)))
    >>> print(made.schedule, made.peak, made.rates().tolist())
    linear(at=left) (0.1, 0.4) [[0.1, 0.05], [0.4, 0.2]]
    """

    groups: tuple[Recipe, ...]

    def __post_init__(self) -> None:
        assert len({(g.total, g.per_epoch) for g in self.groups}) == 1, self.groups

    @property
    def schedule(self) -> Rule | tuple[Rule, ...]:
        """The schedule of all groups, or of each."""
        each = tuple(g.schedule for g in self.groups)
        return each[0] if all(s == each[0] for s in each) else each

    @property
    def peak(self) -> float | tuple[float, ...]:
        """The peak rate of all groups, or of each."""
        each = tuple(g.peak for g in self.groups)
        return each[0] if len(set(each)) == 1 else each

    @property
    def total(self) -> int:
        """The updates that the recipes are written for."""
        return self.groups[0].total

    @property
    def per_epoch(self) -> float | None:
        """The updates in an epoch, or None."""
        return self.groups[0].per_epoch

    @property
    def also(self) -> Mapping[str, Between | tuple[Between | None, ...]]:
        """What moves beside the rate, by name: of all groups, or of each."""
        out: dict[str, Between | tuple[Between | None, ...]] = {}
        for name in sorted({name for g in self.groups for name in g.also}):
            each = tuple(g.also.get(name) for g in self.groups)
            first = each[0]
            out[name] = first if first is not None and all(b == first for b in each) else each
        return out

    def rates(self, n: int | None = None) -> Array:
        """The rates of each group at updates 0 to n - 1, or at all: [groups, n]."""
        return np.stack([g.rates(n) for g in self.groups])
