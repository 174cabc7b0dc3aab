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
