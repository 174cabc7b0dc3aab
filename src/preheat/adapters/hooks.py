"""What a scheduler learns from its optimizer: that it stepped, and that its groups were loaded."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from preheat.adapters.groups import nested, trains
from preheat.adapters.telling import no_update, too_rare

# step() calls without an update after which a user is told: before training, and at any time
_QUIET, _STALLED = 3, 256


class Updates:
    """done: the optimizer's updates since the last step(); always: whether every call counts; idle: the calls
    in a row without an update."""

    def __init__(self, *, always: bool) -> None:
        self.always, self.done, self.idle = always, 0, 0
        self._begun, self._rare, self._told = False, -2, False

    def odd(self, optimizer: Any, k: int) -> bool:
        """Whether step() at update k is to do nothing, as no update was done; tell whose updates can't be
        seen, and whose step() comes after many, twice in a row. k: -1 for a stage that is to begin."""
        if self.always or k < 0:
            return False
        if self.done:
            if self._rare == k - 1:
                self._tell(too_rare(self.done))
            self._begun, self._rare = True, k
            return False
        self.idle += 1
        unseen = self.idle == _QUIET and not self._begun and not k and not trains(optimizer)
        if unseen or self.idle == _STALLED:
            self._tell(no_update(self.idle, k))
        return True

    def _tell(self, text: str) -> None:
        if not self._told:
            self._told = True
            warnings.warn(text, UserWarning, stacklevel=4)


def attach(optimizer: Any, updates: Updates, reloaded: Callable[[], None]) -> None:
    """Count updates, and call `reloaded` when groups were loaded.

    Of optimizers inside each other the innermost one steps, and its updates count. A fused optimizer is
    called by GradScaler also where the gradients are not finite, and skips the update by itself.
    """
    every = nested(optimizer)

    def stepped(*_: Any) -> None:
        if not any(_skipped(one) for one in every):
            updates.done += 1

    every[-1].register_step_post_hook(stepped)
    for one in every:  # some wrappers are not set up as optimizers
        if hasattr(one, "_optimizer_load_state_dict_post_hooks"):
            one.register_load_state_dict_post_hook(lambda *_: reloaded())


def _skipped(optimizer: Any) -> bool:
    """Whether GradScaler told a fused optimizer that this update's gradients are not finite."""
    found = getattr(optimizer, "found_inf", None)
    return found is not None and bool(found)
