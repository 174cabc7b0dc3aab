"""Spaces in Optuna's terms. What is not plain, such as a list, is chosen by its number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from preheat.core.errors import UserError
from preheat.core.space import Among, Range, Space

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

_PLAIN = (str, int, float, bool, type(None))


def optuna() -> Any:
    """The package, silent. Errors: UserError where it is not installed."""
    try:
        import optuna as found
    except ImportError as error:
        raise UserError(
            'a search needs Optuna, which is not installed: pip install "preheat[search]"'
        ) from error
    found.logging.set_verbosity(found.logging.ERROR)
    return found


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """Each option's values as one of Optuna's distributions."""
    return {path: _distribution(one) for path, one in space.items()}


def _distribution(one: Range | Among) -> BaseDistribution:
    kinds = optuna().distributions
    if isinstance(one, Among):
        made: BaseDistribution = kinds.CategoricalDistribution(_choices(one))
        return made
    if one.whole:
        return kinds.IntDistribution(one.low, one.high, step=one.step)  # type: ignore[no-any-return]
    return kinds.FloatDistribution(one.low, one.high, log=one.log, step=one.step)  # type: ignore[no-any-return]


def _choices(one: Among) -> tuple[Any, ...]:
    return one.values if _by_value(one) else tuple(range(len(one.values)))


def _by_value(one: Among) -> bool:
    return all(isinstance(v, _PLAIN) for v in one.values)


def encoded(space: Space, params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as Optuna has them."""
    return {path: _encoded(space[path], value) for path, value in params.items()}


def _encoded(one: Range | Among, value: Any) -> Any:
    if isinstance(one, Among) and not _by_value(one):
        return list(one.values).index(value)
    return value


def decoded(space: Space, params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as a run has them."""
    return {path: _decoded(space[path], value) for path, value in params.items()}


def _decoded(one: Range | Among, value: Any) -> Any:
    return one.values[value] if isinstance(one, Among) and not _by_value(one) else value
