"""Which runs trained: judged in training, so that a setting that fits well and generalises badly has trained.

Two rules. `did_train` and `learnt` take the training accuracy where all finished runs of a panel have
recorded it: a run trained whose accuracy over the last epoch is 1.5 times that of chance or more. A loss says
less there: of one squared error after 2048 updates and another a millionth as large, both may have every
answer right, and of a loss just below chance none. Elsewhere, and for edges in every panel, the loss tells.

The training loss is put on a scale that rises with what was learnt. Where the study's metric is a share of
the examples, the loss is read as a mean of -log(probability of the right answer), and the scale is
exp(-loss), that probability: a classifier by chance has 1 / classes. Else, and where a task's own loss by
chance is below -log(1 / classes), which the squared error has, it is -log(loss), since losses range over
decades, or -loss where some are not above 0. A run trained if it finished and lies beyond a share
of the way from chance to the setting of its panel and condition with the best validation score: halfway, or
90 %. Where chance is not known, the panel's worst run takes its place. The lowest training loss is no such
level: where the best setting fits less than an overfitted one, that would call it a failure.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from preheat.analysis.table import DONE, Table
from preheat.core.metrics import metric
from preheat.stats.estimates import Array

HALFWAY, NEARLY = 0.5, 0.9
FAILS = 1.5  # a training accuracy below so many times chance


def progress(table: Table) -> Array:
    """[P, C, T, V, S]: how far training went from chance, 0, to the mean of the setting of its panel and
    condition that validates best, 1; NaN for a run that did not finish, or where chance is not known."""
    learnt, chance = _scaled(table)
    fits = _means(learnt)
    scores = np.where(np.isfinite(fits), _means(table.sign * table.validation), -np.inf)
    where = scores.reshape(*scores.shape[:2], -1).argmax(axis=-1)
    best = np.take_along_axis(fits.reshape(*fits.shape[:2], -1), where[..., None], axis=-1)
    best = best[..., None, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(best > chance, (learnt - chance) / (best - chance), 0.0 * learnt))


def _means(values: Array) -> Array:
    """[P, C, T, V]: over the seeds that have a value; -inf for none."""
    known = np.isfinite(values)
    mean = np.where(known, values, 0.0).sum(axis=-1) / np.maximum(known.sum(axis=-1), 1)
    return np.asarray(np.where(known.any(axis=-1), mean, -np.inf))


def trained(table: Table, share: float = HALFWAY) -> NDArray[np.bool_]:
    """[P, C, T, V, S]: which runs trained by their loss, as the module says."""
    with np.errstate(invalid="ignore"):
        return np.asarray((table.state == DONE) & (progress(table) > share))


def by_accuracy(table: Table) -> NDArray[np.bool_]:
    """[P]: in which panels the training accuracy tells which runs trained: all that finished recorded it."""
    done, inside = table.state == DONE, (1, 2, 3, 4)
    return np.asarray(done.any(axis=inside) & (np.isfinite(table.times_chance) | ~done).all(axis=inside))


def did_train(table: Table) -> NDArray[np.bool_]:
    """[P, C, T, V, S]: which runs trained, by the training accuracy where `by_accuracy`, else by the loss."""
    told = by_accuracy(table)[:, None, None, None, None]
    with np.errstate(invalid="ignore"):
        right = (table.state == DONE) & (table.times_chance >= FAILS)
    return np.asarray(np.where(told, right, trained(table)))


def overfitted(table: Table) -> NDArray[np.bool_]:
    """[P, C, T, V, S]: which runs trained by their loss, and score on the validation set less than halfway
    from chance to the best mean there."""
    scores = table.sign * table.validation
    best = _means(scores).max(axis=(2, 3))[..., None, None, None]
    with np.errstate(invalid="ignore"):
        low = scores <= (table.sign * table.chance + best) / 2
    return np.asarray(trained(table) & np.isfinite(scores) & low)


def learnt(table: Table) -> NDArray[np.bool_]:
    """[P]: in which panels any setting learnt anything, its mean over seeds; yes where a run does not tell
    the loss by chance.

    Where `by_accuracy`, a training accuracy above 1.5 times chance. Else by the loss: a probability of the
    right answer has gained a tenth of the way from chance to 1, or as much as chance is where that is less;
    another loss is 5 % below that by chance.
    """
    start, loss = table.start, table.train
    with np.errstate(invalid="ignore", over="ignore"):
        chance = np.exp(-start)
        right = np.exp(-loss) - chance - np.minimum(chance, 0.1 * (1 - chance))
        gain = np.where(_probable(table), right, start - loss - 0.05 * np.abs(start))
    gain = np.where(by_accuracy(table)[:, None, None, None, None], table.times_chance - FAILS, gain)
    means = _means(gain)
    return np.asarray(~np.isfinite(means).any(axis=(1, 2, 3)) | (means > 0).any(axis=(1, 2, 3)))


def _probable(table: Table) -> NDArray[np.bool_]:
    """[P, C, 1, 1, 1]: where the loss is read as a mean of -log(probability)."""
    share = metric(table.study.metric).unit == "%"
    return share & ~np.asarray(table.unlike.any(axis=(2, 3, 4), keepdims=True))


def _scaled(table: Table) -> tuple[Array, Array]:
    """(what was learnt, what chance has), [P, C, T, V, S]."""
    loss, start, probable = table.train, table.start, _probable(table)
    with np.errstate(over="ignore"):
        right = np.exp(-loss), np.exp(-np.where(np.isfinite(start), start, np.inf))
    sized = _sized(*(np.where(probable, np.nan, x) for x in (loss, start)))
    return np.where(probable, right[0], sized[0]), np.where(probable, right[1], sized[1])


def _sized(loss: Array, start: Array) -> tuple[Array, Array]:
    """`_scaled` of losses that are no mean of -log(probability)."""
    positive = bool((loss[np.isfinite(loss)] > 0).all() and (start[np.isfinite(start)] > 0).all())
    worst = np.where(np.isfinite(loss), loss, -np.inf).max(axis=(1, 2, 3, 4), keepdims=True)  # of the panel
    worst = np.where(np.isfinite(worst), worst, np.nan)
    chance = np.where(np.isfinite(start), start, worst)
    if not positive:
        return -loss, -chance
    with np.errstate(divide="ignore"):
        return -np.log(loss), -np.log(chance)
