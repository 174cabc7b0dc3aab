"""Rules that give a number: a peak rate, a rate for another batch size, a length of warmup."""

from __future__ import annotations

import math

from preheat.core.errors import UserError, unknown
from preheat.core.lengths import is_number
from preheat.schedules.damping import beta


def noam_peak(d_model: int, warmup: int) -> float:
    """The peak rate of the Transformer's schedule, (d_model warmup)^-1/2, reached after `warmup` steps.

    With `inverse_sqrt(warmup=warmup, at="right")` it is d_model^-1/2 min(n^-1/2, n warmup^-3/2) for update n
    = 1, 2, ...

    >>> round(noam_peak(512, 4000), 9)
    0.000698771

    Vaswani et al. 2017, arXiv 1706.03762.
    """
    _positive("d_model", d_model, 512)
    _positive("warmup", warmup, 4000)
    return 1 / math.sqrt(d_model * warmup)


def scaled_rate(rate: float, batch_size: float, reference: float, *, rule: str = "linear") -> float:
    """The rate for `batch_size`, from `rate` at the batch size `reference`.

    linear: rate * batch_size / reference (SGD; Goyal et al. 2017, arXiv 1706.02677). sqrt: rate *
    sqrt(batch_size / reference) (Adam; Malladi et al. 2022, arXiv 2205.10287).

    >>> scaled_rate(0.1, 1024, 256), scaled_rate(0.1, 1024, 256, rule="sqrt")
    (0.4, 0.2)
    """
    _positive("rate", rate, 0.1)
    _positive("batch_size", batch_size, 1024)
    _positive("reference", reference, 256)
    if rule not in ("linear", "sqrt"):
        raise unknown("rule (for the batch size)", rule, ("linear", "sqrt"))
    ratio = batch_size / reference
    return rate * (ratio if rule == "linear" else math.sqrt(ratio))


def adjusted_infimum(
    peak: float,
    infimum: float,
    *,
    last: float,
    total: float,
    upper: float,
    weights: tuple[float, float] = (1.0, 1.0),
) -> float:
    """An infimum for hyperbolic schedules whose runs of `total` epochs should end near the rate `last`.

    In logarithms the mean, with the weights (m, n), of two rates: that at `upper` of the straight line
    through (0, peak) and (total, last), and the `infimum` so far.

        ln infimum' = (m (ln peak + upper / total (ln last - ln peak)) + n ln infimum) / (m + n)

    >>> f"{adjusted_infimum(1e-2, 1e-6, last=1e-4, total=100, upper=250):.3e}"
    '3.162e-07'
    >>> round(adjusted_infimum(1e-2, 1e-6, last=1e-4, total=100, upper=250, weights=(0, 1)), 12)
    1e-06

    The program adjust_infimum of Kim 2024, HyperbolicLR, arXiv 2407.15200.
    """
    for name, value, such in (("peak", peak, 1e-2), ("infimum", infimum, 1e-6), ("last", last, 1e-4)):
        _positive(name, value, such)
    _positive("total", total, 100)
    if not is_number(upper) or upper < total:
        raise UserError(f"upper must be at least the total, {total:g}, got {upper!r}: write 250")
    if infimum >= peak:
        raise UserError(f"the infimum must be below the peak, {peak:g}, got {infimum:g}: write 1e-6")
    m, n = weights
    if not (is_number(m) and is_number(n) and min(m, n) >= 0 and m + n > 0):
        raise UserError(f"weights must be two numbers >= 0, not both 0, got {weights!r}: write (1, 1)")
    line = math.log(peak) + upper / total * (math.log(last) - math.log(peak))
    return math.exp((m * line + n * math.log(infimum)) / (m + n))


def untuned_period(beta2: float) -> int:
    """The steps of the untuned linear warmup, 2 / (1 - beta2), rounded to the nearest and never below 1.

    >>> [untuned_period(b) for b in (0.9, 0.95, 0.99, 0.999)]
    [20, 40, 200, 2000]

    Ma and Yarats 2019, arXiv 1910.04209.
    """
    return max(1, round(2 / (1 - beta("beta2", beta2))))


def _positive(name: str, value: float, such: float) -> None:
    if not is_number(value) or value <= 0:
        raise UserError(f"{name} must be a finite number > 0, got {value!r}: write {such:g}")
