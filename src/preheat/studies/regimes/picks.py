"""What each judging seed likes best on a grid of warmups, and how much of it the grid leaves open.

values [C, T]: the warmups of each size, NaN where there is none. judged [C, T, S']: their scores, higher is
better.
"""

from __future__ import annotations

import numpy as np

from preheat.stats.estimates import Array


def best(judged: Array) -> Array:
    """[C, T, S'], 1.0 at the best warmups of a size, which may be several that tie."""
    scores = np.nan_to_num(judged, nan=-np.inf)
    same = np.isclose(scores, scores.max(axis=1, keepdims=True), rtol=0, atol=1e-9)
    return np.asarray(same & np.isfinite(scores), dtype=np.float64)


def shares(judged: Array) -> Array:
    """[C, T, S']: each seed's pick, 1 for the best warmup of a size, shared among those that tie."""
    picked = best(judged)
    return np.asarray(picked / picked.sum(axis=1, keepdims=True), dtype=np.float64)


def favourites(values: Array, judged: Array) -> Array:
    """[C, S']: each seed's best warmup at each size, the mean of those that tie."""
    picked = best(judged)
    summed = (picked * np.nan_to_num(values)[..., None]).sum(axis=1)
    return np.asarray(summed / picked.sum(axis=1), dtype=np.float64)


def open_widths(values: Array, judged: Array) -> Array:
    """[C, S']: the width of the stretch of warmups that the grid can't tell from the favourite.

    A grid value stands for everything up to halfway to its neighbours; tied values for all of theirs.
    """
    picked = best(judged) > 0
    out = np.empty((len(values), judged.shape[2]))
    for c, row in enumerate(values):
        known = np.unique(row[np.isfinite(row)])
        middle = (known[1:] + known[:-1]) / 2
        at = np.searchsorted(known, np.nan_to_num(row, nan=known[0]))
        low, high = np.append(known[0], middle)[at], np.append(middle, known[-1])[at]
        top = np.where(picked[c], high[:, None], -np.inf).max(axis=0)
        out[c] = top - np.where(picked[c], low[:, None], np.inf).min(axis=0)
    return out
