"""What options that several studies have mean: seeds, least numbers, warmups, names with options, a mapping.

`study` is its registered name, for the errors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from preheat.core.errors import UserError
from preheat.core.grid import merged
from preheat.core.spec import as_spec


def seeds_from_one(study: str, value: int | Sequence[int]) -> tuple[int, ...]:
    """How many seeds, from 1 on, or the seeds themselves; seed 0 is left to measurements.

    Errors: UserError where they are not different whole numbers from 1 on.

    >>> seeds_from_one("mine", 3), seeds_from_one("mine", [7])
    ((1, 2, 3), (7,))
    """
    listed = isinstance(value, list | tuple)
    many: list[Any] = [*value] if isinstance(value, list | tuple) else [value]
    if not many or not all(type(v) is int and v >= 1 for v in many):
        raise UserError(
            f"seeds of study {study!r} must be at least 1: how many, or a list of whole numbers, got "
            f"{value!r}: write 3 or [1, 2, 3]"
        )
    if len({*many}) < len(many):
        raise UserError(f"seeds of study {study!r} must be different, got {value!r}: write each seed once")
    return tuple(many) if listed else tuple(range(1, many[0] + 1))


def numbers_from(study: str, **numbers: tuple[int, int]) -> None:
    """Errors: UserError where an option, (value, least), is below its least.

    >>> numbers_from("mine", steps=(2048, 2))
    """
    for name, (value, least) in numbers.items():
        if value < least:
            raise UserError(f"{name} of study {study!r} must be at least {least}, got {value}")


def warmups_within(study: str, warmups: Sequence[int], steps: int) -> None:
    """Errors: UserError unless there are warmups, all of 1 to `steps` updates.

    >>> warmups_within("mine", (1, 64), 2048)
    """
    wrong = [w for w in warmups if not 1 <= w <= steps]
    if wrong or not warmups:
        raise UserError(
            f"warmups of study {study!r} must be 1 to steps={steps} updates, got {wrong or 'none'}: 1 is no "
            "warmup"
        )


def options_by_name(study: str, kind: str, some: Sequence[Any]) -> dict[str, Mapping[str, Any]]:
    """{name: options} of things of one kind, each a name or {name: ..., option: ...}, in their order.

    Errors: UserError where one has no name, or two have the same.

    >>> options_by_name("mine", "optimizer", ["adam", {"name": "lion", "beta2": 0.98}])
    {'adam': {}, 'lion': {'beta2': 0.98}}
    """
    specs = [as_spec(one, kind) for one in some]
    out = {one.name: one.options for one in specs}
    if len(out) < len(specs) or not specs:
        raise UserError(
            f"{kind}s of study {study!r} must be one or more, each name once, got {[s.name for s in specs]}: "
            "write one or more, and a study of its own for the same name with other options"
        )
    return out


def laid_on(study: str, task: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """A task with the study's option `task_options` laid on it; what the task can't take it says when built.

    Errors: UserError where that is no mapping.

    >>> laid_on("mine", {"name": "own", "size": 3}, {"noise": 0.1})
    {'name': 'own', 'size': 3, 'noise': 0.1}
    """
    if not isinstance(over, Mapping):
        raise UserError(
            f"task_options of study {study!r} must be a mapping, got {over!r}: write task_options.crop=0"
        )
    return merged(task, over)
