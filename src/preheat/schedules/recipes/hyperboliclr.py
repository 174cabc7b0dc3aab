"""The 13 schedules of the HyperbolicLR experiments, by their codes. Kim 2024, arXiv 2407.15200."""

from __future__ import annotations

from dataclasses import fields, replace

from preheat.core.errors import UserError, unknown
from preheat.core.lengths import epochs
from preheat.core.levels import Rate, rate
from preheat.core.registry import SCHEDULES
from preheat.schedules.horizon import Horizon, horizon
from preheat.schedules.recipes.recipe import EPOCHS, Recipe
from preheat.schedules.rule import Rule
from preheat.schedules.sampling import step_count
from preheat.schedules.shapes.constant import constant
from preheat.schedules.shapes.exp_hyperbolic import exp_hyperbolic
from preheat.schedules.shapes.hyperbolic import hyperbolic
from preheat.schedules.shapes.hyperboliclr.code import Code

CODES = ("N", "P", "C", "E", "L", "S", "OC", "CY", "H", "EH", "WH", "WEH", "WC")


def hyperboliclr(
    code: str,
    *,
    epochs: int,
    per_epoch: int,
    peak: float = 1e-2,
    first_epoch_at_peak: bool = False,
    **options: float,
) -> Recipe:
    """One of the experiments' schedules with its defaults: N P C E L S OC CY H EH WH WEH WC.

    Constant, polynomial, cosine, exponential, linear, step, one-cycle, cyclic, (exp-)hyperbolic, the same two
    and cosine with a warmup of W = max(1, E // 10) of E `epochs`. OC and CY step after every batch and cycle
    Adam's beta1, the others step after every epoch.

    options: infimum (all but N P E S, 1e-6), power (P, 0.5), gamma (E 0.96, S 0.1), period (S, in epochs, E
    // 3), end (L, max(infimum/peak, 1e-6)), pct_start (OC, 0.3), rise (CY, in steps, T // 4), upper (H EH WH
    WEH, in epochs, 250), tuned_at (S CY, E: the epochs at which they were tuned, for the experiments keep
    their counts for other budgets). first_epoch_at_peak: the experiments' WH and WEH train their first epoch
    at the full peak rate, because the rate is first set after it; off by default. Errors: UserError for an
    unknown code or option, and where the schedule does not fit.

    >>> hyperboliclr("H", epochs=50, per_epoch=124).rates()[[0, 124, 49 * 124]].round(8)
    array([0.01      , 0.0099331 , 0.00480152])
    """
    if code not in CODES:
        raise unknown("code", code, CODES)
    known = [f.name for f in fields(SCHEDULES[code])]
    for name in options:
        if name not in known:
            raise unknown(f"option of code {code}", name, known)
    if first_epoch_at_peak and code not in ("WH", "WEH"):
        raise UserError(
            f"only WH and WEH have a first epoch at the peak, got code {code!r}: leave first_epoch_at_peak "
            "out"
        )
    total = step_count("epochs", epochs, 1) * step_count("per_epoch", per_epoch, 1)
    one: Code = SCHEDULES[code](**options)
    run = horizon(total, per_epoch, peak=peak)
    made = _late(one, run) if first_epoch_at_peak else one.built(run)
    return Recipe(made, peak, total, per_epoch, one.also(total, per_epoch))


def _late(one: Code, run: Horizon) -> Rule:
    """An epoch at the peak, then the warmup from where it would have been after one epoch."""
    made = one.built(run)
    assert isinstance(made, hyperbolic | exp_hyperbolic) and isinstance(made.infimum, Rate) and run.peak
    warmup, low = one.warmup(run), made.infimum.value
    start = rate(low + (run.peak - low) / warmup)
    rest = replace(made, warmup=epochs(warmup - 1), warmup_start=start)
    return constant(**EPOCHS).then(rest, at=epochs(1))
