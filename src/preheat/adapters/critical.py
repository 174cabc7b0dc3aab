"""The critical rate: the smallest one at which the next update raises the loss of its own batch.

Kalra & Barkeshli 2024, *Why Warmup the Learning Rate?*, arXiv 2406.09405, appendix B.2; Kalra et al. 2026,
*Critical sharpness*, arXiv 2601.16979 (lambda_c = 2 / eta_c).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from preheat.adapters.groups import get_number
from preheat.adapters.losses import LossFn, refuse_iterator, unsteady
from preheat.adapters.trial_loss import TrialLoss
from preheat.adapters.trials import Again, after, innermost, kept, trained
from preheat.core.errors import UserError

_FIRST = 1e-3  # where the search starts if nothing says more
_MOST = 40  # doublings, and halvings: a factor of 1e12
_FAR = 64.0  # a trial update is this many times as long as the parameters, so that its rounding is small
_CLOSE = 1e-4  # relative: evaluations of one loss that differ by more are looked at again


class CriticalRate(float):
    """A rate. bracket: (low, high), the loss has not risen at the one and has at the other, and the rate is
    their mean; error: half of the bracket, in the units of the rate, as of a sharpness; passes: the forward
    passes that it took."""

    bracket: tuple[float, float]
    error: float
    passes: int

    def __new__(cls, bracket: tuple[float, float], passes: int) -> CriticalRate:
        low, high = bracket
        found = super().__new__(cls, (low + high) / 2)
        found.bracket, found.error, found.passes = (low, high), (high - low) / 2, passes
        return found

    def __getnewargs__(self) -> tuple[Any, ...]:
        return self.bracket, self.passes


def critical_lr(
    model: Any,
    loss_fn: LossFn,
    batch: Any,
    optimizer: Any,
    *,
    start: float | None = None,
    tolerance: float = 1 / 16,
) -> CriticalRate:
    """The smallest rate, as far as doubling shows, at which the optimizer's next update on `batch` raises
    loss_fn(model, batch).

    loss_fn(model, batch): a scalar, or an output that holds it as `loss`. optimizer: any of torch.optim, or
    one that wraps it. With several groups it is the rate of the group with the largest one; the others keep
    their ratio to it. start: where the search begins, best the last result; the optimizer's rate if left out.
    From there it doubles, or halves, until the loss of one rate has risen and that of half of it has not, and
    bisects until the bracket is at most `tolerance` of the rate: 7 to 9 passes from a close start.

    One gradient is computed, not clipped. The update at rate eta is taken from trial steps of a copy of the
    optimizer, with its momentum, moments and weight decay: theta + eta d where those show that it is linear
    in eta (SGD, Adam, AdamW, Lion, ...), else a trial step at every rate. Dropout draws the same noise and
    BatchNorm starts from the same statistics in every pass. Parameters, .grad, buffers, training flags,
    optimizer and global generators are afterwards what they were, bitwise. Under DDP (give the wrapped model,
    in all processes) it is the rate of the mean of their losses.

    A rise counts above 4 roundings of the loss, in the coarsest type that its graph holds: 3 % of the loss
    under an autocast to bfloat16, where the rate comes out some percent high. On a quadratic loss and
    gradient descent it is 2 g.g / (g.Hg), at least 2 / sharpness. Elsewhere it is its own quantity: by batch
    it varies several times. Errors: UserError.

    >>> from torch import nn, optim
    >>> model = nn.Linear(1, 1, bias=False)
    >>> optimizer = optim.SGD(model.parameters(), lr=0.1)
    >>> square = lambda model, batch: (model(batch) ** 2).sum() / 2
    >>> found = critical_lr(model, square, torch.tensor([[2.0]]), optimizer, tolerance=1e-3)
    >>> round(found, 2), found.error < 1e-3  # the Hessian is 4
    (0.5, True)
    """
    inner = innermost(optimizer)
    begin = _begin(inner, start, tolerance)
    refuse_iterator(batch)
    of = TrialLoss(model, loss_fn, batch)
    with kept(of, inner, loss_fn) as again:
        along = _Along(of, batch, again)
        place = _path(inner, along.start(trained(inner)), begin)
        low, high = search(lambda rate: along.rises(place(rate)), begin, tolerance)
    return CriticalRate((low, high), along.passes)


def initial_rate(critical: float | None, peak: float) -> float:
    """The rate at which a warmup to `peak` may start: the critical one, at most the peak; a tenth of the peak
    where none was found (None).

    Write it as `warmup_start=initial_rate(critical, peak) / peak`. Kalra & Barkeshli 2024, section 6.

    >>> initial_rate(0.02, 0.1), initial_rate(0.5, 0.1), initial_rate(None, 0.1)
    (0.02, 0.1, 0.01)
    """
    if not peak > 0 or (critical is not None and not critical > 0):
        raise UserError(f"rates must be above 0, got critical={critical} and peak={peak}")
    return peak / 10 if critical is None else float(min(critical, peak))


def steps_saved(critical: float, peak: float, warmup: float, *, passes: int = 10) -> float:
    """T_save = warmup critical / peak - passes / 2: the steps saved by a warmup that starts at the critical
    rate and keeps the slope peak / warmup, with the search counted as half a step a pass.

    Such a warmup reaches the peak after T_reach = max(warmup (1 - critical / peak), 1) steps. It is negative
    where the search costs more than it saves. Kalra & Barkeshli 2024, appendix B.2.

    >>> steps_saved(0.02, 0.1, 1000), steps_saved(0.2, 0.1, 1000), steps_saved(0.001, 0.1, 100)
    (195.0, 994.0, -4.0)
    """
    if isinstance(warmup, str) or warmup < 1:
        raise UserError(f"warmup must be at least one step, as a number, got {warmup!r}: write 500")
    start = initial_rate(critical, peak)
    return float(warmup - max(warmup * (1 - start / peak), 1.0) - passes / 2)


def search(rises: Callable[[float], bool], start: float, tolerance: float) -> tuple[float, float]:
    """(low, high): the loss has not risen at low and has at high, and high - low is at most tolerance times
    their mean. Errors: UserError where the loss rises at all rates, or at none, that are looked at.

    >>> search(lambda rate: rate > 3, start=1.0, tolerance=0.3)
    (3.0, 4.0)
    """
    down = rises(start)
    low, high = (0.0, start) if down else (start, math.inf)
    for _ in range(_MOST):
        if low > 0 and high < math.inf:
            break
        rate = high / 2 if down else low * 2
        low, high = (low, rate) if rises(rate) else (rate, high)
    if high == math.inf:
        raise UserError(
            f"the loss must rise at some rate, and did not up to {low:.3g} ({_MOST} doublings of "
            f"{start:.3g}): write start={low:.1g} to go on from there, or look whether it depends on the "
            "size of the parameters (a loss after normalisation need not)"
        )
    if low == 0:
        raise UserError(
            f"the loss must fall at some rate, and rose down to {high:.3g} ({_MOST} halvings of "
            f"{start:.3g}): measure at a point that is not a minimum of this batch's loss, or in float64 if "
            "the steps are lost in rounding"
        )
    while high - low > tolerance * (low + high) / 2:
        mid = (low + high) / 2
        low, high = (low, mid) if rises(mid) else (mid, high)
    return low, high


def _begin(optimizer: Any, start: float | None, tolerance: float) -> float:
    if isinstance(tolerance, str) or not 1e-12 <= tolerance < 1:
        raise UserError(f"tolerance must be at least 1e-12 and below 1, got {tolerance!r}: write 1 / 16")
    if start is not None and (isinstance(start, str) or not 0 < start < math.inf):
        raise UserError(f"start must be a rate above 0, got {start!r}: give the last result, or leave it out")
    rates = [get_number(group, "lr") for group in optimizer.param_groups if "lr" in group]
    return float(start or max(rates, default=0.0) or _FIRST)


class _Along:
    """The loss of a model at other parameters, each time with the same buffers and noise; passes: how often
    it was computed."""

    def __init__(self, of: TrialLoss, batch: Any, again: Again) -> None:
        self._of, self._batch, self._again = of, batch, again
        self.passes = 0
        self._before = self._noise = math.nan

    def start(self, parameters: list[Tensor]) -> dict[Tensor, Tensor | None]:
        """The gradients, and the loss before the update, computed as later ones are."""
        with self._again():
            value, grads = self._of.gradients(self._batch, parameters)
        self.passes += 1
        self._before = self.loss()
        if abs(self._before - value) > _CLOSE * abs(value):  # without a graph another kernel may be used
            again = self.loss()
            if abs(again - self._before) > _CLOSE * abs(again):
                raise unsteady(value, self._before, again)
        return grads

    def loss(self, parameters: Mapping[Tensor, Tensor] = {}) -> float:
        self.passes += 1
        with self._again():
            for p, value in parameters.items():
                p.data.copy_(value)
            found = self._of.value(self._batch)
        self._noise = 4 * self._of.eps
        return float(found)

    def rises(self, parameters: dict[Tensor, Tensor]) -> bool:
        """Whether the loss there is above the one before by more than rounding, or not finite."""
        found = self.loss(parameters)
        return not math.isfinite(found) or found > self._before + self._noise * abs(self._before)


def _path(
    optimizer: Any, grads: dict[Tensor, Tensor | None], begin: float
) -> Callable[[float], dict[Tensor, Tensor]]:
    """rate -> {parameter: its value after the update at that rate}.

    Two trial updates, as long as the parameters and `_FAR` times as long, tell whether the update is linear.
    """
    before = {p: p.detach() for p in grads}
    size, unit = max(_norm(before), 1e-30), begin

    def there(rate: float) -> dict[Tensor, Tensor]:
        return after(optimizer, grads, rate)

    def moved(rate: float) -> dict[Tensor, Tensor]:
        return {p: value - before[p] for p, value in there(rate).items()}

    for _ in range(3):
        length = _norm(moved(unit))
        if 0 < length < math.inf:
            break
        unit *= 1e6 if not length else 1e-6
    else:
        raise UserError(
            f"the update must move the parameters by a finite distance, got {length:g} at rate {unit:.3g}: "
            "the gradient is 0 or not finite, or the groups have no rate"
        )
    near, far = unit * size / length, _FAR * unit * size / length
    one, other = moved(near), moved(far)
    bend = _norm({p: one[p] / near - other[p] / far for p in before}) / (_norm(other) / far)
    precision = max(torch.finfo(p.dtype).eps for p in before)
    if not bend <= min(100 * precision, 1e-3):
        return there
    _downhill(grads, other)
    return lambda rate: {p: torch.add(value, other[p], alpha=rate / far) for p, value in before.items()}


def _norm(tensors: dict[Tensor, Tensor]) -> float:
    """The Euclidean norm of all entries, in float64."""
    return math.sqrt(sum(float(torch.linalg.vector_norm(t, dtype=_wide(t))) ** 2 for t in tensors.values()))


def _wide(t: Tensor) -> torch.dtype:
    return torch.complex128 if t.is_complex() else torch.float64


def _downhill(grads: dict[Tensor, Tensor | None], moves: dict[Tensor, Tensor]) -> None:
    """Raise unless the loss falls along the moves at first."""
    found = 0.0
    for p, g in grads.items():
        if g is not None:
            dense = g.to_dense() if g.is_sparse else g
            found += float((dense.to(_wide(g)).conj() * moves[p].to(_wide(g))).sum().real)
    if not found < 0:
        raise UserError(
            "the next update must go downhill on its batch, and goes uphill (by momentum of other batches, "
            "or weight decay), so every rate raises this loss: measure on a larger batch, or at another step"
        )
