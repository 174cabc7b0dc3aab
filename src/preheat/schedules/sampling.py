"""Where and how often an update takes its factor; see the table of `preheat.schedules.resolved`."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from preheat.core.errors import UserError, unknown
from preheat.schedules.curves import Array

AT = {"left": 0.0, "mid": 0.5, "right": 1.0}
EVERY = ("step", "epoch")
_EXACT = 2**53  # beyond it a float64 no longer tells one step from the next


def check_sampling(at: str, every: str, *, name: str = "at") -> None:
    """Raise `UserError` unless `at` and `every` are known. name: what the user calls `at`."""
    if not isinstance(at, str) or at not in AT:
        raise unknown(f"{name} (the place of an update)", at, AT)
    if every not in EVERY:
        raise unknown("every (how often the factor changes)", every, EVERY)


def whole_steps(step: Any) -> Array:
    """`step` as float64, checked: whole numbers from 0 on."""
    given = np.asarray(step)
    if given.size and given.dtype.kind not in "iuf":
        raise UserError(f"a step must be a whole number >= 0, got {step!r}: write resolved(0)")
    k = given.astype(np.float64)
    if given.dtype.kind == "f" and not (np.isfinite(k) & (k == np.floor(k))).all():
        raise UserError(f"a step must be a whole number >= 0, got {step!r}: the first update is step 0")
    if k.size and k.min() < 0:
        raise UserError(f"a step must be a whole number >= 0, got {k.min():g}: the first update is step 0")
    return k


def step_count(name: str, value: Any, least: int) -> int:
    """`value` as a whole number of steps, or the error that says which option is wrong."""
    return _whole(value, least, f"{name} must be", "of steps ", f"write {name.rpartition(' ')[-1]}=1000")


def update_number(k: Any, name: str = "an update", *, least: int = 0) -> int:
    """`k` as the number of an update, checked."""
    before = " (last_epoch=-1)" if least < 0 else ""
    return _whole(k, least, f"{name} must be", "", f"the first update is 0{before}")


def _whole(value: Any, least: int, must: str, of: str, instead: str) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__") or operator.index(value) < least:
        raise UserError(f"{must} a whole number {of}>= {least}, got {value!r}: {instead}")
    if value > _EXACT:
        text = repr(value)
        text = text if len(text) <= 80 else f"{text[:40]}... ({len(text)} characters)"
        raise UserError(f"{must} at most 2^53, got {text}: {instead}")
    return operator.index(value)
