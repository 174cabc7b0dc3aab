"""One setting trained with several budgets: how alike its learning curves are, and what more epochs gain.

Kim 2024, arXiv 2407.15200. Numbers only; how they are read is for who asks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from preheat.analysis.learning_curves import LearningCurve
from preheat.core.errors import UserError
from preheat.core.metrics import Goal
from preheat.stats.estimates import Array
from preheat.stats.slcd import FIRST, slcd, slcd_sum
from preheat.stats.trends import Improvement, PowerFit, improvement, power_fit


@dataclass(frozen=True)
class PairOfBudgets:
    """SLCD of the curves of two budgets: `integral` by the definition of the published tables of losses,
    `summed` by that of the published table of accuracies. NaN where it is not defined."""

    shorter: int
    longer: int
    integral: float
    summed: float


@dataclass(frozen=True)
class AcrossBudgets:
    """What the curves of one series say about budgets.

    budgets [n]: rising; finals [n]: the last value of each curve; pairs: (50, 100), (50, 150), ..., (100,
    150), ...; power: of the finals over the budgets, None where a final is not above 0; gain: from each
    budget to the next, in per cent where less is better, else a difference. notes: what could not be
    measured, and why.
    """

    series: str
    metric: str
    goal: Goal
    budgets: tuple[int, ...]
    finals: tuple[float, ...]
    pairs: tuple[PairOfBudgets, ...]
    power: PowerFit | None
    gain: Improvement
    notes: tuple[str, ...] = ()

    @property
    def integral(self) -> float:
        """The mean of SLCD over the pairs, as an integral."""
        return float(np.mean([pair.integral for pair in self.pairs]))

    @property
    def summed(self) -> float:
        """The mean of SLCD over the pairs, as a sum."""
        return float(np.mean([pair.summed for pair in self.pairs]))


def across_budgets(curves: Iterable[LearningCurve], goal: Goal) -> tuple[AcrossBudgets, ...]:
    """What follows from the curves of each series and metric that has two budgets or more, in their order.

    goal: whether the values are better the lower ("min", losses) or the higher ("max", accuracies); a name
    doesn't tell, since files call an accuracy val_loss too. A curve counts where it has a value at every
    epoch from 1 to its budget; else its SLCD, and where its end is missing its final, are NaN. Errors:
    UserError where no series has two budgets.

    >>> def curve(budget, scale):
    ...     epochs = tuple(range(1, budget + 1))
    ...     return LearningCurve("EH", budget, "loss", epochs, tuple(scale / e for e in epochs))
    >>> (found,) = across_budgets([curve(20, 1.0), curve(40, 1.0), curve(80, 1.0)], "min")
    >>> found.budgets, round(found.integral, 4), round(found.power.b, 9), round(found.gain.mean, 9)
    ((20, 40, 80), 0.0, -1.0, 50.0)
    """
    series: dict[tuple[str, str], list[LearningCurve]] = {}
    for one in curves:
        if one.budget is not None:
            series.setdefault((one.series, one.metric), []).append(one)
    some = [sorted(group, key=_budget) for group in series.values() if len(group) > 1]
    if not some:
        named = sorted(one.name for group in series.values() for one in group)
        raise UserError(
            "a comparison over budgets needs a series with two budgets or more, got "
            f"{', '.join(named) or 'none'}: give the curves of one setting at several budgets, such as "
            "EH50_val_loss and EH100_val_loss"
        )
    return tuple(_across(group, goal) for group in some)


def _budget(one: LearningCurve) -> int:
    assert one.budget is not None
    return one.budget


def _across(group: Sequence[LearningCurve], goal: Goal) -> AcrossBudgets:
    budgets = tuple(map(_budget, group))
    if len({*budgets}) < len(budgets):
        raise UserError(f"a series must have one curve for each budget, got {[one.name for one in group]}")
    finals = tuple(one.values[-1] if one.complete else math.nan for one in group)
    finals = tuple(v if math.isfinite(v) else math.nan for v in finals)
    missing = [_missing(one) for one in group]
    pairs = tuple(
        PairOfBudgets(budgets[i], budgets[j], *_slcd(group[i], group[j], known=not missing[i] + missing[j]))
        for i, j in combinations(range(len(group)), 2)
    )
    fits = not any(v <= 0 for v in finals)
    return AcrossBudgets(
        *(group[0].series, group[0].metric, goal, budgets, finals, pairs),
        power=power_fit(budgets, finals) if fits else None,
        gain=improvement(finals, relative=goal == "min"),
        notes=tuple(f"{one.name}: no SLCD, {why}" for one, why in zip(group, missing, strict=True) if why),
    )


def _missing(one: LearningCurve) -> str:
    """Why the curve can't be compared with others, or ""."""
    if not one.complete:
        return f"it ends at epoch {one.epochs[-1]:g}, before its budget"
    if (one.epochs[0], len(one.epochs)) != (1, _budget(one)):
        return (
            f"it has values at {len(one.epochs)} epochs from {one.epochs[0]:g} on, not at each of its budget"
        )
    if not all(map(math.isfinite, one.values)):
        return "a value is not finite"
    return ""


def _slcd(x: LearningCurve, y: LearningCurve, *, known: bool) -> tuple[float, float]:
    if not known:
        return math.nan, math.nan
    a, b = _values(x), _values(y)
    return slcd(a, b) if min(len(a), len(b)) > FIRST else math.nan, slcd_sum(a, b)


def _values(one: LearningCurve) -> Array:
    return np.array(one.values, dtype=np.float64)
