"""Schedules: pure rules from a run's progress to a factor of the peak rate. numpy only.

    rate = cosine(warmup="5%").resolve(total=1000)
    rate(0), rate.table()

Lengths are `0.05` or `"5%"` (of the run), `500` (steps), `"5ep"` (epochs), `"3e9tok"`. Levels are factors of
the peak rate, or rates: `final="1e-6lr"`. Schedules combine: `a * b`, `a.then(b, at="50%")`, `a.scaled(0.5)`;
a resolved one can be extended. A new schedule is a file here with `@SCHEDULES.register("name")` on a frozen
dataclass, a `Named` or another `Rule`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from preheat.core.registry import SCHEDULES

# module: its public names that are no registered schedules
_OTHERS = {
    "preheat.core.lengths": "Length epochs fraction length steps",
    "preheat.core.levels": "Level Rate rate",
    "preheat.schedules.curves": "CURVES",
    "preheat.schedules.pieces": "Piece Pieces",
    "preheat.schedules.recipes.data_regimes": "data_regimes",
    "preheat.schedules.recipes.delayed_generalization": "delayed_generalization",
    "preheat.schedules.recipes.hyperboliclr": "hyperboliclr",
    "preheat.schedules.recipes.recipe": "Recipe",
    "preheat.schedules.recipes.refined": "refined",
    "preheat.schedules.recipes.resnet50_imagenet": "resnet50_imagenet",
    "preheat.schedules.recipes.rules_of_thumb": "noam_peak scaled_rate untuned_period",
    "preheat.schedules.recipes.torch_one_cycle": "torch_one_cycle",
    "preheat.schedules.resolved": "Boundary Resolved",
    "preheat.schedules.rule": "Rule",
}
_HOMES = {name: home for home, names in _OTHERS.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """Each is imported when first used: who needs a cosine waits for no spline."""
    if name == "__all__":
        value: Any = sorted({*_HOMES, *SCHEDULES.shipped()} - {"pieces"})  # the class of these is Pieces
    else:
        home = _HOMES.get(name) or SCHEDULES.shipped().get(name)
        if home is None or name == "pieces":
            raise AttributeError(f"module 'preheat.schedules' has no attribute {name!r}")
        value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The names that are there, and those that are imported when first used."""
    return sorted({*globals(), *__getattr__("__all__")})
