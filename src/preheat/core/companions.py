"""What a schedule moves beside the rate, where it says so by a method `also(total, per_epoch)`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from preheat.core.canon import plain
from preheat.core.grid import Setting, merged
from preheat.core.run import Run


def with_companions(setting: Setting, fixed: Mapping[str, Any]) -> Setting:
    """The setting with what its schedule moves beside the rate, such as the beta1 of a cycle, where the
    schedule says so, the optimizer has it, and nothing else is said of it."""
    run = Run.from_json(merged(fixed, setting))
    moves = getattr(run.schedule, "also", None)
    if moves is None or run.also:
        return setting
    found = moves(run.total_steps, run.steps_per_epoch)
    known = {name: plain(one) for name, one in found.items() if name in run.optimizer.options}
    return {**setting, "also": known} if known else setting
