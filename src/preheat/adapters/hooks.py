"""What a scheduler learns from its optimizer: that it stepped, and that its groups were loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from preheat.adapters.groups import nested


def attach(optimizer: Any, done: list[int], reloaded: Callable[[], None]) -> None:
    """Count updates in done[0], and call `reloaded` when groups were loaded.

    Of optimizers inside each other the innermost one steps, and its updates count. A fused optimizer is
    called by GradScaler also where the gradients are not finite, and skips the update by itself.
    """
    every = nested(optimizer)
    inner = every[-1]

    def stepped(*_: Any) -> None:
        if not any(_skipped(one) for one in every):
            done[0] += 1

    inner.register_step_post_hook(stepped)
    for one in every:
        if hasattr(
            one, "_optimizer_load_state_dict_post_hooks"
        ):  # some wrappers are not set up as optimizers
            one.register_load_state_dict_post_hook(lambda *_: reloaded())


def _skipped(optimizer: Any) -> bool:
    """Whether GradScaler told a fused optimizer that this update's gradients are not finite."""
    found = getattr(optimizer, "found_inf", None)
    return found is not None and bool(found)
