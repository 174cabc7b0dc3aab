"""Schedules: pure rules from a run's progress to a factor of the peak rate. numpy only.

    rate = cosine(warmup="5%").resolve(total=1000)
    rate(0), rate.table()

Lengths are `0.05` or `"5%"` (of the run), `500` (steps), `"5ep"` (epochs), `"3e9tok"`. Levels are factors of
the peak rate, or rates: `final="1e-6lr"`. Schedules combine: `a * b`, `a.then(b, at="50%")`, `a.scaled(0.5)`,
`a.floored(0.1)`; a resolved one can be extended. A new schedule is a file here with
`@SCHEDULES.register("name")` on a frozen dataclass, a `Named` or another `Rule`.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

# {public name: its module}, from the file beside this that type checkers read
_STUB = Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8")
_HOMES = {name: home for home, name in re.findall(r"^from (\S+) import (\w+)", _STUB, re.MULTILINE)}


def __getattr__(name: str) -> Any:
    """Each is imported when first used: who needs a cosine waits for no spline."""
    if name != "__all__" and name not in _HOMES:
        raise AttributeError(f"module 'preheat.schedules' has no attribute {name!r}")
    value = sorted(_HOMES) if name == "__all__" else getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The names that are there, and those that are imported when first used."""
    return sorted({*globals(), *__getattr__("__all__")})
