"""What is said of scores over a whole grid of rates, without choosing one."""

from __future__ import annotations

import numpy as np

from preheat.stats.estimates import Array


def mean_over_rates(rates: Array, scores: Array) -> Array:
    """[...]: the mean of scores [..., V] over log rate, integral of score d(log rate) / range, by the
    trapezoid rule; NaN where a score is unknown.

    Nothing is chosen, so nothing is biased: it is high where a setting trains well at many rates. rates [V]
    ascend; at least two.

    >>> mean_over_rates(np.array([1.0, 2.0, 8.0]), np.array([0.0, 1.0, 1.0]))
    array(0.83333333)
    """
    x = np.log2(rates)
    return np.asarray(np.trapezoid(scores, x, axis=-1) / (x[-1] - x[0]), dtype=np.float64)


def sensitivity(rates: Array, losses: Array, start: Array) -> Array:
    """[...]: the learning-rate sensitivity E[min(l, l0) - l*] of losses [..., V]: by how much the mean over
    log rate, of losses that count at most as much as `start`, is above the best one.

    Wortsman et al. 2023, *Small-scale proxies for large-scale Transformer training instabilities*, arXiv
    2309.14322. It chooses the best rate on the scores that it reports, so it describes; it is no test.

    >>> sensitivity(np.array([1.0, 2.0, 4.0]), np.array([1.0, 0.5, 9.0]), np.array(2.0))
    array(0.5)
    """
    least = losses.min(axis=-1)
    return np.asarray(mean_over_rates(rates, np.minimum(losses, start[..., None])) - least, dtype=np.float64)
