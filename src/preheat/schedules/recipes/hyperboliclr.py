"""The 13 schedules of the HyperbolicLR experiments, by their codes. Kim 2024, arXiv 2407.15200."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from preheat.core.between import Between
from preheat.core.errors import UserError, unknown
from preheat.core.lengths import epochs, steps
from preheat.core.levels import rate
from preheat.schedules.recipes.recipe import EPOCHS, Recipe
from preheat.schedules.recipes.torch_one_cycle import torch_one_cycle
from preheat.schedules.rule import Rule
from preheat.schedules.sampling import step_count
from preheat.schedules.shapes.constant import constant
from preheat.schedules.shapes.cosine import cosine
from preheat.schedules.shapes.exp_hyperbolic import exp_hyperbolic
from preheat.schedules.shapes.exponential import exponential
from preheat.schedules.shapes.hyperbolic import hyperbolic
from preheat.schedules.shapes.linear import linear
from preheat.schedules.shapes.polynomial import polynomial
from preheat.schedules.shapes.step import step
from preheat.schedules.shapes.triangular import triangular


class Hyperparameters(NamedTuple):
    """What a code is written for."""

    epochs: int
    per_epoch: int
    peak: float
    options: dict[str, float]

    @property
    def infimum(self) -> float:
        """The lowest rate."""
        return self.get("infimum", 1e-6)

    @property
    def tuned(self) -> int:
        """The epochs at which S and CY got their step counts."""
        return int(self.get("tuned_at", self.epochs))

    @property
    def warmup(self) -> int:
        """W, in epochs."""
        return max(1, self.epochs // 10)

    def get(self, name: str, default: float) -> float:
        """An option, or its default."""
        return self.options.get(name, default)


def _hyperbolic(
    made: type[hyperbolic] | type[exp_hyperbolic], warm: bool
) -> Callable[[Hyperparameters], Rule]:
    def build(s: Hyperparameters) -> Rule:
        shape: dict[str, Any] = {"upper": epochs(s.get("upper", 250)), "infimum": rate(s.infimum), **EPOCHS}
        return made(**shape, warmup=epochs(s.warmup), warmup_start=rate(s.infimum)) if warm else made(**shape)

    return build


def _step(s: Hyperparameters) -> Rule:
    period = s.get("period", max(1, s.tuned // 3))
    return step(period=epochs(period), gamma=s.get("gamma", 0.1), **EPOCHS)


def _triangular(s: Hyperparameters) -> Rule:
    rise = int(s.get("rise", max(1, s.tuned * s.per_epoch // 4)))
    return triangular(rise=steps(rise), base=rate(s.infimum), at="left")


def _one_cycle(s: Hyperparameters) -> Rule:
    return torch_one_cycle(s.epochs * s.per_epoch, pct_start=s.get("pct_start", 0.3))


# code: (what it builds, its options)
_CODES: dict[str, tuple[Callable[[Hyperparameters], Rule], tuple[str, ...]]] = {
    "N": (lambda s: constant(**EPOCHS), ()),
    "P": (lambda s: polynomial(power=s.get("power", 0.5), **EPOCHS), ("power",)),
    "C": (lambda s: cosine(final=rate(s.infimum), **EPOCHS), ("infimum",)),
    "E": (lambda s: exponential(final=s.get("gamma", 0.96) ** s.epochs, **EPOCHS), ("gamma",)),
    "L": (lambda s: linear(final=s.get("end", max(s.infimum / s.peak, 1e-6)), **EPOCHS), ("end", "infimum")),
    "S": (_step, ("gamma", "period", "tuned_at")),
    "OC": (_one_cycle, ("pct_start",)),
    "CY": (_triangular, ("infimum", "rise", "tuned_at")),
    "H": (_hyperbolic(hyperbolic, False), ("infimum", "upper")),
    "EH": (_hyperbolic(exp_hyperbolic, False), ("infimum", "upper")),
    "WH": (_hyperbolic(hyperbolic, True), ("infimum", "upper")),
    "WEH": (_hyperbolic(exp_hyperbolic, True), ("infimum", "upper")),
    "WC": (
        lambda s: cosine(warmup=epochs(s.warmup), warmup_start=0.01, final=rate(s.infimum), **EPOCHS),
        ("infimum",),
    ),
}
CODES = tuple(_CODES)


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
    if code not in _CODES:
        raise unknown("code", code, CODES)
    build, known = _CODES[code]
    for name in options:
        if name not in known:
            raise unknown(f"option of code {code}", name, known)
    if first_epoch_at_peak and code not in ("WH", "WEH"):
        raise UserError(
            f"only WH and WEH have a first epoch at the peak, got code {code!r}: leave first_epoch_at_peak "
            "out"
        )
    one = Hyperparameters(
        step_count("epochs", epochs, 1), step_count("per_epoch", per_epoch, 1), peak, options
    )
    made = _late(code, one) if first_epoch_at_peak else build(one)
    return Recipe(made, peak, epochs * per_epoch, per_epoch, _also(code, made, one))


def _also(code: str, made: Rule, s: Hyperparameters) -> dict[str, Between]:
    """Adam's beta1, which torch cycles against the rate."""
    if code == "OC":
        swing = torch_one_cycle(
            s.epochs * s.per_epoch, pct_start=s.get("pct_start", 0.3), start=0.0, final=0.0
        )
        return {"beta1": Between(swing, at_zero=0.95, at_peak=0.85)}
    if code == "CY":
        assert isinstance(made, triangular)
        return {"beta1": Between(triangular(rise=made.rise, at="left"), at_zero=0.9, at_peak=0.8)}
    return {}


def _late(code: str, s: Hyperparameters) -> Rule:
    """An epoch at the peak, then the warmup from where it would have been after one epoch."""
    made = hyperbolic if code == "WH" else exp_hyperbolic
    start = rate(s.infimum + (s.peak - s.infimum) / s.warmup)
    rest = made(
        upper=epochs(s.get("upper", 250)),
        infimum=rate(s.infimum),
        warmup=epochs(s.warmup - 1),
        warmup_start=start,
        **EPOCHS,
    )
    return constant(**EPOCHS).then(rest, at=epochs(1))
