"""Refinement: the schedule that a run's gradient norms ask for."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

import numpy as np

from preheat.core.errors import UserError
from preheat.schedules.curves import Array
from preheat.schedules.points import numbers
from preheat.schedules.shapes.tabulated import tabulated

_ROWS = 4096  # positions filtered at once, so that a wide filter needs little memory


def refined(norms: Iterable[float], *, power: int = 2, smooth: int = 1, **options: Any) -> tabulated:
    """The schedule that minimises the bound on the last iterate for the gradient norms G_t of an earlier run.

    With w_t = G_t^-power the factor of update t is w_t (w_(t+1) + ... + w_(T-1)), over its highest value; the
    last is 0. Norms that stay the same give the straight line to 0; a warmup comes out where the first ones
    are large.

    norms: of every update, above 0. power: 2 with l2 norms (SGD), 1 with l1 norms (Adam). smooth: the width
    of the median filter that the norms go through first, odd, 1 for none; it mirrors them at the ends.
    options: those of `tabulated`.

    >>> refined([2.0, 2.0, 2.0, 2.0, 2.0]).values
    (1.0, 0.75, 0.5, 0.25, 0.0)
    >>> refined([8.0, 4.0, 1.0, 1.0, 1.0], power=1).values
    (0.203125, 0.375, 1.0, 0.5, 0.0)

    Defazio et al. 2023, arXiv 2310.07831.
    """
    given = np.array(numbers("norms", norms))
    if given.size < 2 or given.min() <= 0:
        got = f"got {given.size} with the lowest {given.min():g}"
        raise UserError(f"norms must be above 0, two or more, {got}: leave out zeros")
    if power not in (1, 2):
        raise UserError(
            f"power must be 2 (l2 norms, SGD) or 1 (l1 norms, Adam), got {power!r}: write power=2"
        )
    whole = not isinstance(smooth, bool) and hasattr(smooth, "__index__")
    if not whole or operator.index(smooth) % 2 == 0 or smooth < 1:
        raise UserError(
            f"smooth must be an odd number of steps >= 1, got {smooth!r}: write 1 for no smoothing, or 101"
        )
    if smooth > given.size:
        wide = f"the run of {given.size} steps, got {smooth}"
        raise UserError(f"smooth must not be wider than {wide}: write a smaller odd number")
    clean = _median(given, operator.index(smooth))
    weights = (clean.min() / clean) ** power
    tail = np.append(np.cumsum(weights[::-1])[-2::-1], 0.0)
    return tabulated.of((weights * tail).tolist(), **options)[0]


def _median(x: Array, width: int) -> Array:
    """The median of the `width` values around each."""
    if width == 1:
        return x
    wide = np.lib.stride_tricks.sliding_window_view(np.pad(x, width // 2, mode="reflect"), width)
    return np.concatenate([np.median(wide[i : i + _ROWS], axis=1) for i in range(0, x.size, _ROWS)])
