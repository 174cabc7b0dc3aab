"""What is wrong with a file, and where: places, faults, and the one order of words that all of them have."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from preheat.core.errors import nearest

At = tuple[str | int, ...]


class Fault(NamedTuple):
    """What is wrong at a place such as ("grid", 0, "product", "peak_lr", 2). line: where, if the place does
    not say it."""

    at: At
    text: str
    line: int = 0


class Faulty(Exception):
    """All that is wrong with a document."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__(faults)
        self.faults = faults


def show(value: Any) -> str:
    """A value as it is quoted in an error, at most 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def rule(text: str, value: Any, *, choices: Iterable[str] | None = None) -> str:
    """`rule (got value)`, with the nearest of `choices`, or all where none is near.

    >>> rule("unknown key", "gird", choices=["grid", "name"])
    "unknown key (got 'gird') -- did you mean 'grid'?"
    """
    known = sorted(choices) if choices is not None else None
    match = nearest(value, known or [])
    hint = f"did you mean {match!r}?" if match else f"known: {', '.join(known or ())}"
    return f"{text} (got {show(value)})" + (f" -- {hint}" if known else "")


def worded(error: Exception) -> str:
    """An error of the package in the order of this one's: rule, value, hint.

    >>> worded(ValueError("momentum must be below 1, got 1.5: write 0.9"))
    'momentum must be below 1 (got 1.5) -- write 0.9'
    """
    text = str(error)
    if name := re.match(r"(unknown .+) ('[^']*'): (.*)$", text, re.DOTALL):
        return f"{name[1]} (got {name[2]}) -- {name[3]}"
    found = re.match(r"(.+), got (.+?)(?:: ([a-z].*))?$", text, re.DOTALL)
    if not found:
        return text
    hint = f" -- {found[3]}" if found[3] else ""
    return f"{found[1]} (got {found[2]}){hint}"


def why(made: Callable[[], Any]) -> str:
    """Why something can't be made, or ""."""
    try:
        made()
    except (ValueError, TypeError) as error:
        return worded(error)
    return ""
