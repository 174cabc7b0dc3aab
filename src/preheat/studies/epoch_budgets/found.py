"""What the runs of a study over epoch budgets say: finals, likeness of curves, power laws, ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from preheat.analysis.effects import Place
from preheat.analysis.results import Row
from preheat.analysis.table import Table
from preheat.core.lengths import length
from preheat.stats.claims import Claim
from preheat.stats.estimates import Array, Estimate, interval, moments
from preheat.stats.slcd import slcd
from preheat.stats.trends import PowerFit, power_fit
from preheat.studies.epoch_budgets.claims import budget_claims

Curves = Mapping[tuple[int, int], Mapping[int, Array]]  # {(panel, treatment): {budget's number: [S, E]}}


@dataclass(frozen=True)
class ArmBudgets:
    """One schedule (of one optimizer) over the budgets [n].

    final: the test metric at each budget, over seeds; slcd: each seed's mean over all pairs of budgets, in
    logarithms of the validation loss; mean_curve: the same of the curves averaged over seeds, as published;
    power: of the averaged final losses over the budgets; rank: among the arms by the test metric at each
    budget, 1 the best; learnt: whether the mean final loss at the largest budget is below that by chance.
    """

    panel: str
    treatment: str
    budgets: tuple[int, ...]
    final: tuple[Estimate, ...]
    slcd: Estimate | None
    mean_curve: float | None
    power: PowerFit | None
    rank: tuple[Estimate, ...]
    learnt: bool


@dataclass(frozen=True)
class BudgetsFound:
    """The arms in the study's order, and what is claimed of them."""

    arms: tuple[ArmBudgets, ...]
    claims: tuple[Claim, ...]


def budgets_found(
    table: Table,
    seen: Sequence[tuple[Row, tuple[float, ...]]],
    *,
    lowest: Sequence[str] = (),
    highest: Sequence[str] = (),
) -> BudgetsFound | None:
    """All of it; None where there are no two budgets in epochs. lowest, highest: the schedules of which it is
    asked whether their SLCD is."""
    budgets = _budgets(table)
    if len(budgets) < 2:
        return None
    curves = _curves(table, seen, budgets)
    places = sorted(curves)
    if not places:
        return None
    finals = {at: table.judged[at[0], :, at[1]] for at in places}  # [C, S]
    ranks = _ranks(table, np.stack([finals[at] for at in places]))
    likeness = {at: _likeness(curves[at]) for at in places}
    arms = tuple(
        _arm(table, at, budgets, finals[at], ranks=ranks[i], curves=curves[at], likeness=likeness[at])
        for i, at in enumerate(places)
    )
    made = budget_claims(table, budgets, likeness, lowest=lowest, highest=highest)
    return BudgetsFound(arms, tuple(made))


def _budgets(table: Table) -> tuple[int, ...]:
    found = [length(v) for v in table.conditions.values]
    return tuple(int(b.value) for b in found) if all(b.unit == "epochs" for b in found) else ()


def _curves(
    table: Table, seen: Sequence[tuple[Row, tuple[float, ...]]], budgets: Sequence[int]
) -> dict[tuple[int, int], dict[int, Array]]:
    """Each seed's curve of its own pick; NaN where it has none of all epochs."""
    told = {table.where[row.run_id]: values for row, values in seen if row.run_id in table.where}
    out: dict[tuple[int, int], dict[int, Array]] = {}
    for p, c, t in np.argwhere(table.planned.any(axis=-1)):
        made = np.full((len(table.seeds), budgets[c]), np.nan)
        for s, v in enumerate(table.picks[p, c, t]):
            values = told.get((int(p), int(c), int(t), int(v), s), ())
            if len(values) == budgets[c]:
                made[s] = values
        out.setdefault((int(p), int(t)), {})[int(c)] = made
    return {at: by for at, by in out.items() if len(by) == len(budgets)}


def _likeness(curves: Mapping[int, Array]) -> Array:
    """[S]: each seed's mean SLCD over all pairs of budgets; NaN where a curve is not whole."""
    pairs = list(combinations(sorted(curves), 2))
    seeds = len(next(iter(curves.values())))
    out = np.full(seeds, np.nan)
    for s in range(seeds):
        whole = [curves[c][s] for c in sorted(curves)]
        if all(np.isfinite(y).all() and (y > 0).all() for y in whole):
            out[s] = np.mean([slcd(curves[a][s], curves[b][s]) for a, b in pairs])
    return out


def _ranks(table: Table, finals: Array) -> Array:
    """[A, C, S]: the rank of each arm among all, ties halved; NaN where one arm has no score."""
    from scipy.stats import rankdata

    known = np.isfinite(finals).all(axis=0)
    ranks = np.asarray(rankdata(-table.sign * np.where(known, finals, 0.0), axis=0))
    return np.where(known, ranks, np.nan)


def _arm(
    table: Table,
    at: tuple[int, int],
    budgets: tuple[int, ...],
    finals: Array,
    *,
    ranks: Array,
    curves: Mapping[int, Array],
    likeness: Array,
) -> ArmBudgets:
    p, t = at
    means = {c: y.mean(axis=0) for c, y in curves.items()}
    whole = all(np.isfinite(y).all() and (y > 0).all() for y in means.values())
    pairs = list(combinations(sorted(means), 2))
    ends = [float(y[-1]) for _, y in sorted(means.items())]
    place: Place = (p, len(budgets) - 1, t)
    chance = float(np.nanmean(table.chance[place])) if np.isfinite(table.chance[place]).any() else np.nan
    return ArmBudgets(
        *(table.panels.labels[p], table.treatments.labels[t], budgets),
        final=tuple(_over_seeds(finals[c]) for c in range(len(budgets))),
        slcd=_over_seeds(likeness) if np.isfinite(likeness).any() else None,
        mean_curve=float(np.mean([slcd(means[a], means[b]) for a, b in pairs])) if whole else None,
        power=power_fit(budgets, ends) if whole else None,
        rank=tuple(_over_seeds(ranks[c]) for c in range(len(budgets))),
        learnt=bool(table.sign * (float(np.nanmean(finals[-1])) - chance) > 0),
    )


def _over_seeds(values: Array) -> Estimate:
    known = values[np.isfinite(values)]
    return interval(moments(known))
