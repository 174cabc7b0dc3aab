"""The range test: train while the rate grows, and look where the loss falls and where it rises.

Smith 2017, *Cyclical Learning Rates for Training Neural Networks*, arXiv 1506.01186.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from preheat.adapters.losses import LossFn, seed
from preheat.adapters.trial_loss import NotFinite, TrialLoss
from preheat.adapters.trials import advance, innermost, kept, ratios, trained, twin
from preheat.core.errors import UserError

_KEEP = 0.9  # of the running mean that smooths the losses
_FIRST = 10  # losses that are always waited for
_RISE = 0.75  # of the span of the losses, at which a test ends
_ROUNDING = 1e-6  # relative: a rise that may be rounding
_RATES = np.geomspace(1e-5, 10.0, 100)


class RateSpread(NamedTuple):
    """A rate over the repeats: median, least, greatest, and in how many of them it was found."""

    median: float
    least: float
    greatest: float
    n: int


@dataclass(frozen=True)
class RangeTest:
    """What the repeats of a range test found.

    rates: [T]; losses: [K, T], the loss of each batch before its update, NaN after the end. fastest, lowest,
    diverges: [K], the rates at which the smoothed loss falls fastest per log rate, at which it is lowest, and
    at which the test ended; NaN where it did not. `str` is a table of them.
    """

    rates: np.ndarray
    losses: np.ndarray
    fastest: np.ndarray
    lowest: np.ndarray
    diverges: np.ndarray

    def spread(self, name: str) -> RateSpread:
        """Of "fastest", "lowest" or "diverges" over the repeats that have it."""
        if name not in ("fastest", "lowest", "diverges"):
            raise UserError(f"a spread is of 'fastest', 'lowest' or 'diverges', got {name!r}")
        found = getattr(self, name)
        found = found[np.isfinite(found)]
        if not len(found):
            return RateSpread(math.nan, math.nan, math.nan, 0)
        return RateSpread(float(np.median(found)), float(found.min()), float(found.max()), len(found))

    def __str__(self) -> str:
        k = len(self.losses)
        rows = [f"{'loss':<15}  {'median':>8}  {'least':>8}  {'greatest':>8}  of {k}"]
        for name, words in (("fastest", "falls fastest"), ("lowest", "is lowest"), ("diverges", "diverges")):
            one = self.spread(name)
            rows.append(f"{words:<15}  {one.median:>8.2g}  {one.least:>8.2g}  {one.greatest:>8.2g}  {one.n}")
        return "\n".join(rows)


def lr_range_test(
    model: Any,
    loss_fn: LossFn,
    batches: Sequence[Any],
    optimizer: Any,
    *,
    rates: Any = _RATES,
    repeats: int = 5,
) -> RangeTest:
    """Train `repeats` times from here, an update at each of the ascending `rates`, and leave all as it was.

    batches: a list that is gone through again and again, in another order each time; repeat i draws orders
    and noise from seed i. The optimizer is a copy, with its state, without its hooks; with several groups the
    rate is that of the group with the largest one, the others keep their ratio to it. The losses are smoothed
    by a running mean (0.9, without its bias at the start). A repeat ends where a loss is not finite, or,
    after 10 of them, where the mean has risen from its lowest value by 3/4 of the span, greatest minus least,
    of the losses until that value. So a constant that is added to the loss changes nothing. Afterwards
    parameters, .grad, buffers, training flags, optimizer and global generators are what they were, bitwise.
    Under DDP (give the wrapped model, in all processes) losses and gradients are means over them.

    What it can't tell: the repeats show how much order and noise matter, not how much other initial weights
    do; and what a rate does in 100 updates is not what it does in a run: see docs/lr-finder.md. Errors:
    UserError.

    >>> import torch
    >>> from torch import nn, optim
    >>> model = nn.Linear(1, 1, bias=False)
    >>> batches = [torch.tensor([[1.0]]), torch.tensor([[1.5]])]
    >>> square = lambda model, x: ((model(x) - 1) ** 2).mean()
    >>> found = lr_range_test(model, square, batches, optim.SGD(model.parameters(), lr=1.0), repeats=3)
    >>> found.losses.shape, found.spread("diverges").n
    ((3, 100), 3)
    """
    inner, grid = innermost(optimizer, "batches"), _grid(rates)
    held = _listed(batches)
    if repeats < 2:
        raise UserError(f"repeats must be at least 2, for a spread, got {repeats}: write 5")
    losses = np.full((repeats, len(grid)), np.nan)
    of = TrialLoss(model, loss_fn, held[0], "batches")
    with kept(of, inner, loss_fn) as again:
        for i in range(repeats):
            with again():
                seed(i)
                order = _ordered(len(held), i)
                bad = _one(of, (held, order), inner, to=(grid, losses[i]))
            if bad is not None:
                with again():
                    _check_batch(of, held, bad)
    marks = np.array([_marks(grid, row) for row in losses])
    return RangeTest(grid, losses, *marks.T)


def _grid(rates: Any) -> np.ndarray:
    grid = np.asarray(rates, dtype=np.float64)
    if grid.ndim != 1 or len(grid) < 10 or not (np.diff(grid) > 0).all() or not grid[0] > 0:
        raise UserError(
            f"rates must be at least 10 that ascend, above 0, got {np.array2string(grid, threshold=4)}: "
            "write numpy.geomspace(1e-5, 10, 100)"
        )
    return grid


def _listed(batches: Any) -> list[Any]:
    if not isinstance(batches, list | tuple) or not batches:
        raise UserError(
            f"batches must be a list with at least one, got {type(batches).__name__}: write "
            "list(itertools.islice(loader, 100))"
        )
    return list(batches)


def _ordered(n: int, seed: int) -> Iterator[int]:
    drawn = np.random.default_rng(seed)
    while True:
        yield from drawn.permutation(n).tolist()


def _check_batch(of: TrialLoss, batches: list[Any], i: int) -> None:
    """Raise if the loss of batch i is not finite before the test either."""
    loss = float(of.value(batches[i]))
    if not math.isfinite(loss):
        raise UserError(
            f"the loss of each batch must be finite before the test, got {loss:g} for batches[{i}]: look at "
            "what is in it, and leave it out"
        )


def _one(
    of: TrialLoss, batches: tuple[list[Any], Iterator[int]], optimizer: Any, *, to: tuple[Any, Any]
) -> int | None:
    """Train once, and write the losses. The batch whose loss was not finite."""
    own = trained(optimizer)
    other, scales, smooth = twin(optimizer, {p: p for p in own}), ratios(optimizer), _Smooth()
    for k, (rate, i) in enumerate(zip(to[0], batches[1], strict=False)):
        try:
            loss, grads = of.gradients(batches[0][i], own)
        except NotFinite:
            return i
        to[1][k] = loss
        smooth.add(loss)
        if smooth.risen:
            return None
        for p, g in grads.items():
            p.grad = g
        advance(other, float(rate), scales)
        other.zero_grad()
    return None


class _Smooth:
    """A running mean without its bias; risen: whether it is above its lowest value since loss `_FIRST` by
    more than `_RISE` of the span of the losses until then."""

    def __init__(self) -> None:
        self._mean, self._weight, self._least, self.risen = 0.0, 0.0, math.inf, False
        self._losses: list[float] = []
        self._span = 0.0

    def add(self, value: float) -> float:
        self._losses.append(value)
        self._mean = _KEEP * self._mean + (1 - _KEEP) * value
        self._weight = _KEEP * self._weight + 1 - _KEEP
        found = self._mean / self._weight
        if len(self._losses) >= _FIRST and found < self._least:
            self._least, self._span = found, max(self._losses) - min(self._losses)
        self.risen = found > self._least + max(_RISE * self._span, _ROUNDING * abs(self._least))
        return found


def _marks(grid: np.ndarray, losses: np.ndarray) -> tuple[float, float, float]:
    """fastest, lowest, diverges of one repeat."""
    n = int(np.isfinite(losses).sum())
    smooth = _Smooth()
    mean = np.array([smooth.add(x) for x in losses[:n]])
    diverges = float(grid[n - 1]) if n < len(grid) or smooth.risen else math.nan
    low = int(np.argmin(mean))
    if low < 2:
        return math.nan, float(grid[low]), diverges
    slope = np.gradient(mean[: low + 1], np.log(grid[: low + 1]))
    return float(grid[int(np.argmin(slope))]), float(grid[low]), diverges
