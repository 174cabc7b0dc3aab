"""Which runs trained: judged by the training loss, so that a setting that fits well and generalises badly has
trained; and by the validation score, since what generalises has trained, though others fit their data closer.

Both are put on a scale that rises with what was learnt. Where the study's metric is a share of the examples,
the training loss is read as a mean of -log(probability of the right answer), and the scale is exp(-loss),
that probability: a classifier by chance has 1 / classes; and the validation score is its own scale. Other
losses are on the scale -log(loss), since they range over decades, or -loss where some are not above 0. A run
trained if it finished and either lies beyond a share of the way from chance to the best mean of its panel and
condition: halfway, or 90 %.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from preheat.analysis.table import DONE, Table
from preheat.core.metrics import metric
from preheat.stats.estimates import Array

HALFWAY, NEARLY = 0.5, 0.9


def fitted(table: Table) -> Array:
    """[P, C, T, V, S]: how far the training loss went from chance, 0, to the best mean of its panel and
    condition, 1; NaN for a run that did not finish, or where chance is not known."""
    loss, start = table.train, table.start
    if metric(table.study.metric).unit == "%":
        return _way(np.exp(-loss), np.exp(-np.where(np.isfinite(start), start, np.inf)))
    worst = np.nanmax(loss) if np.isfinite(loss).any() else np.nan
    return _way(*_falling(loss, np.where(np.isfinite(start), start, worst)))


def generalised(table: Table) -> Array:
    """[P, C, T, V, S]: the same of the validation score."""
    scores = np.where(table.state == DONE, table.validation, np.nan)
    if metric(table.study.metric).unit == "%" or table.study.goal == "max":
        return _way(table.sign * scores, table.sign * table.chance)
    return _way(*_falling(scores, table.chance))


def trained(table: Table, share: float = HALFWAY) -> NDArray[np.bool_]:
    """[P, C, T, V, S]: which runs trained, as the module says."""
    with np.errstate(invalid="ignore"):
        reached = (fitted(table) > share) | (generalised(table) > share)
    return np.asarray((table.state == DONE) & reached)


def overfitted(table: Table) -> NDArray[np.bool_]:
    """[P, C, T, V, S]: which runs fit their training data, and score on the validation set less than halfway
    from chance to the best mean there."""
    with np.errstate(invalid="ignore"):
        return np.asarray((fitted(table) > HALFWAY) & (generalised(table) <= HALFWAY))


def _falling(losses: Array, chance: Array) -> tuple[Array, Array]:
    """Losses, and the loss by chance, on a scale that rises."""
    known = np.concatenate([x[np.isfinite(x)] for x in (losses, chance)])
    if not (known > 0).all():
        return -losses, -chance
    return -np.log(losses), -np.log(chance)


def _way(learnt: Array, chance: Array) -> Array:
    """How far from chance to the best mean over seeds of a panel and condition."""
    known = np.isfinite(learnt)
    count = known.sum(axis=-1)
    mean = np.where(count > 0, np.where(known, learnt, 0.0).sum(axis=-1) / np.maximum(count, 1), -np.inf)
    best = mean.max(axis=(2, 3))[..., None, None, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(best > chance, (learnt - chance) / (best - chance), 0.0 * learnt))
