"""Spaces and parameters in Optuna's terms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from preheat.adapters.optuna import choice, distribution
from preheat.core.errors import UserError
from preheat.core.space import Among, Space

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


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
    return {path: distribution(one) for path, one in space.items()}


def encoded(space: Space, params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as Optuna has them."""
    return {path: choice(space[path], value) for path, value in params.items()}


def decoded(space: Space, params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as a run has them."""
    return {path: _decoded(space, path, value) for path, value in params.items()}


def _decoded(space: Space, path: str, value: Any) -> Any:
    one = space[path]
    if not isinstance(one, Among):
        return value
    return next(v for v in one.values if choice(one, v) == value)
