"""What a scheduler learns from its optimizer: that it stepped, and that its groups were loaded."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable
from typing import Any

from preheat.adapters.groups import nested, trains
from preheat.adapters.telling import no_update, too_rare
from preheat.core.errors import UserError

# step() calls without an update after which a user is told: before training, and at any time
_QUIET, _STALLED = 3, 256


class Updates:
    """done: the optimizer's updates since the last step(); waiting: of fused ones whether they were skipped,
    which is read late, since it may be on a device; always: whether every call counts; idle: the calls in a
    row without an update."""

    def __init__(self, *, always: bool) -> None:
        self.always, self.done, self.idle = always, 0, 0
        self.waiting: list[Any] = []
        self._begun, self._rare, self._told = False, -2, False

    def odd(self, optimizer: Any, k: int) -> bool:
        """Whether step() at update k is to do nothing, as no update was done; tell whose updates can't be
        seen, and whose step() comes after many, twice in a row. k: -1 for a stage that is to begin."""
        waiting, self.waiting = self.waiting, []
        self.done += sum(not bool(skipped) for skipped in waiting)
        if self.done == 1 or k < 0:
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


def attach(optimizer: Any, updates: Updates, keeper: Any, reloaded: Callable[[], None]) -> None:
    """Count updates, and call `reloaded` when groups were loaded, as long as `keeper` lives.

    Of optimizers inside each other the innermost one steps, and its updates count. A fused optimizer is
    called by GradScaler also where the gradients are not finite, and skips the update by itself. Errors:
    UserError where the inner optimizer has groups of its own that the outer one does not pass rates on to.
    """
    every = nested(optimizer)
    inner = every[-1]
    shared = {id(group) for group in optimizer.param_groups}
    if not all(id(group) in shared for group in inner.param_groups) and not _passes_on(every):
        raise UserError(
            f"the optimizer inside {type(optimizer).__name__}, which steps, has groups of its own: give that "
            f"{type(inner).__name__}"
        )
    known = [weakref.ref(one) for one in every]

    def stepped(*_: Any) -> None:
        skipped = next((f for one in known if (f := getattr(one(), "found_inf", None)) is not None), None)
        if skipped is None or updates.always:
            updates.done += 1
        else:
            updates.waiting.append(skipped)

    handles = [inner.register_step_post_hook(stepped)]
    for one in every:  # some wrappers are not set up as optimizers
        if hasattr(one, "_optimizer_load_state_dict_post_hooks"):
            handles.append(one.register_load_state_dict_post_hook(lambda *_: reloaded()))
    weakref.finalize(keeper, _remove, handles)


def _passes_on(every: list[Any]) -> bool:
    """Whether an optimizer copies its rates into the one inside, as torch's ZeroRedundancyOptimizer does."""
    return any(hasattr(one, "_sync_param_groups") for one in every)


def _remove(handles: list[Any]) -> None:
    for handle in handles:
        handle.remove()
