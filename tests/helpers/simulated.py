"""Simulated studies of which the truth is known: tables [P, C, T, V, S] as in `fake_results`."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
from cases import sampled
from fake_results import PANELS, blank, filled, noisy

from preheat.analysis.table import Table

NULL = 0.9
SPREAD = NULL + 0.03 * np.arange(-2.0, 3.0)  # the score of five warmups where warmup matters much
GRAIN = 1 / 360  # an accuracy on 360 examples
RATES = tuple(2.0 ** np.arange(-6, 1, 0.5))


def slack(rate: float, n: int) -> float:
    """The rate and three standard deviations of a binomial share."""
    return rate + 3 * math.sqrt(rate * (1 - rate) / n)


def simulated(
    rng: np.random.Generator, table: Table, truth: Any = NULL, noise: Any = 0.01, *, own: float = 0.01
) -> Table:
    """A study: truth [P, C, T, V, 1], noise and each seed's own level, rounded as an accuracy is."""
    shape = table.state.shape
    level = own * rng.standard_normal((*shape[:2], 1, 1, shape[4])) if own else 0.0
    drawn = (truth + level + noise * rng.standard_normal(shape) for _ in range(2))
    return filled(table, *(np.round(x / GRAIN) * GRAIN for x in drawn))


@cache
def null_studies() -> tuple[Table, ...]:
    """Studies in which nothing has an effect."""
    rng, table = np.random.default_rng(1), blank((2, 5, 5, 3, 8))
    return tuple(simulated(rng, table) for _ in range(sampled(250)))


def helped(peak: float) -> Any:
    """[P, C, T, V, 1]: warmup helps SGD by `peak` at the middle size, best at 5 epochs; AdamW not at all."""
    gain = peak * np.outer([0, 0.5, 1, 0.5, 0], [0, 0.5, 1, 0.5, 0.2])
    return NULL + np.stack([gain, np.zeros((5, 5))])[..., None, None]


def sensitive(*panels: str) -> Any:
    """The truth where warmup matters with these optimizers alone."""
    some = [np.broadcast_to(SPREAD if p in panels else NULL, (5, 5)) for p in PANELS]
    return np.stack(some)[..., None, None]


def scores(log2: Any, rates: tuple[float, ...] = RATES, seed: int = 0) -> Any:
    """[P, C, T, V, S] from edges [P, C, T, S] in log2: 0.9 below the edge, 0.1 above."""
    trains = np.log2(np.array(rates))[:, None] < np.asarray(log2)[..., None, :]
    return np.where(trains, 0.9, 0.1) + noisy(trains.shape, seed, 0.002) - 0.9


def moved(shift: Any, *, spread: float = 0.3, seed: int = 0, seeds: int = 8) -> Any:
    """Edges [P, C, T, S] near 2**-3.2, moved by shift [P, C, T] octaves."""
    shift = np.asarray(shift, dtype=float)
    draw = np.random.default_rng(seed).standard_normal((*shift.shape, seeds))
    return -3.2 + shift[..., None] + spread * draw
