"""Pruners: what stops a trial before its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from preheat.core.errors import unknown
from preheat.search.distributions import optuna
from preheat.search.extrapolated_loss import predicted

if TYPE_CHECKING:
    from optuna.pruners import BasePruner

TOP = 10  # complete trials, the worst of which a trial must be predicted to reach
FACTOR = 3  # by which Hyperband lengthens its trials


def checks(name: str, epochs: int) -> tuple[int, ...]:
    """The epochs at which a trial of so many epochs may be stopped.

    >>> checks("pfl", 50), checks("hyperband", 50), checks("", 50)
    ((10,), (5, 15), ())
    """
    if name == "pfl":
        first = max(10, epochs // 5) if epochs > 10 else max(epochs // 2, 1)
        return (first,) if first < epochs else ()
    if name == "hyperband":
        least = max(epochs // FACTOR**2, 1)
        return tuple(c for c in (least, least * FACTOR) if c < epochs)
    return ()


def known_pruner(name: Any) -> None:
    """Errors: UserError where there is no such pruner, with the nearest one."""
    if name and name not in _MADE:
        raise unknown("pruner", name, list(_MADE))


def pruner(name: str, epochs: int, *, startup: int = 10, goal: str = "min") -> BasePruner:
    """A pruner by its name: pfl, hyperband, or "" for none. epochs: of a whole trial; startup: complete
    trials that pfl waits for."""
    known_pruner(name)
    if not name:
        return optuna().pruners.NopPruner()  # type: ignore[no-any-return]
    found: BasePruner = _MADE[name](epochs, startup, goal)
    return found


def _hyperband(epochs: int, startup: int, goal: str) -> Any:
    """Li et al. 2018, arXiv 1603.06560, as Optuna has it: asynchronous, its brackets by the trial's
    number."""
    least = (checks("hyperband", epochs) or (1,))[0]
    return optuna().pruners.HyperbandPruner(min_resource=least, max_resource=epochs, reduction_factor=FACTOR)


def _extrapolated(epochs: int, startup: int, goal: str) -> Any:
    """Stops a trial whose predicted end is worse than that of the worst of the ten best complete trials."""
    from optuna.trial import TrialState

    sign = 1.0 if goal == "min" else -1.0

    class PredictedFinalLoss(optuna().pruners.BasePruner):  # type: ignore[misc]
        def prune(self, study: Any, trial: Any) -> bool:
            done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
            if len(done) < startup:
                return False
            best = sorted(sign * t.value for t in done)[:TOP]
            values = [v for _, v in sorted(trial.intermediate_values.items())]
            return sign * predicted(values, epochs) > best[-1] or not _finite(values)

    return PredictedFinalLoss()


def _finite(values: list[float]) -> bool:
    return all(abs(v) < float("inf") for v in values)


_MADE: dict[str, Callable[[int, int, str], Any]] = {"pfl": _extrapolated, "hyperband": _hyperband}
