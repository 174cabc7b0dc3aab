"""A schedule as optax has them: a callable from the count of updates to the rate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from preheat.core.between import as_schedule
from preheat.core.errors import UserError
from preheat.core.lengths import is_number


def as_optax(
    schedule: Any, total_steps: int | str, *, peak: float, per_epoch: float | None = None
) -> Callable[[Any], Any]:
    """`count -> rate` for `optax.adam(learning_rate=...)`: peak times the factor of update `count`.

    rate(k) = peak s(min(k, T - 1)), an array in an array out. The T rates are computed in float64, rounded
    once to jax's float type, and looked up: no drift, and the last steps of a decay keep their digits. Under
    `jax.jit` the table is a constant of the program, 4 MB for a million updates.

    schedule: a schedule, its name or its JSON; total_steps: T, or a length such as "90ep" with per_epoch.
    Errors: UserError where jax is not installed or the schedule does not fit.

        optimizer = optax.adam(as_optax(cosine(warmup="5%"), 10_000, peak=1e-3))
    """
    try:
        import jax.numpy as jnp
    except ImportError as error:
        raise UserError(f"as_optax needs jax, got {error}: pip install jax optax") from error
    if not is_number(peak) or peak < 0:
        raise UserError(f"peak must be a finite rate >= 0, got {peak!r}: write peak=1e-3")
    factors: Any = as_schedule(schedule).resolve(total_steps, per_epoch, peak=peak or None)  # type: ignore[arg-type]
    table = jnp.asarray(peak * factors.table())

    def rate(count: Any) -> Any:
        """The rate of update `count`."""
        return table[jnp.clip(count, 0, len(table) - 1)]

    return rate
