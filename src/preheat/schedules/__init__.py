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
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from preheat.core.lengths import Length, epochs, fraction, length, steps
    from preheat.core.levels import Level, Rate, rate
    from preheat.schedules.algebra import excerpt, product, scaled, then
    from preheat.schedules.codes import hyperboliclr
    from preheat.schedules.curves import CURVES
    from preheat.schedules.cycles import one_cycle
    from preheat.schedules.dampings import gi_adam, radam, untuned_exponential, untuned_linear
    from preheat.schedules.decays import constant, cosine, exponential, linear, polynomial
    from preheat.schedules.drops import step
    from preheat.schedules.extending import extended
    from preheat.schedules.hyperbolas import exp_hyperbolic, hyperbolic
    from preheat.schedules.kdecay import k_decay
    from preheat.schedules.onecycle import torch_one_cycle
    from preheat.schedules.pieces import Piece, Pieces
    from preheat.schedules.powers import power_law
    from preheat.schedules.rational import inverse_time, rex
    from preheat.schedules.recipe import Recipe
    from preheat.schedules.recipes import data_regimes, delayed_generalization, resnet50_imagenet
    from preheat.schedules.refining import refined
    from preheat.schedules.resolved import Boundary, Resolved
    from preheat.schedules.roots import inverse_sqrt
    from preheat.schedules.rule import Rule
    from preheat.schedules.rules import noam_peak, scaled_rate, untuned_period
    from preheat.schedules.splines import spline
    from preheat.schedules.stable import wsd
    from preheat.schedules.tables import tabulated
    from preheat.schedules.tangents import tanh
    from preheat.schedules.triangles import triangular
    from preheat.schedules.warm_restarts import restarts

_HOMES = {
    "preheat.core.lengths": ("Length", "epochs", "fraction", "length", "steps"),
    "preheat.core.levels": ("Level", "Rate", "rate"),
    "preheat.schedules.algebra": ("excerpt", "product", "scaled", "then"),
    "preheat.schedules.curves": ("CURVES",),
    "preheat.schedules.cycles": ("one_cycle",),
    "preheat.schedules.dampings": ("gi_adam", "radam", "untuned_exponential", "untuned_linear"),
    "preheat.schedules.decays": ("constant", "cosine", "exponential", "linear", "polynomial"),
    "preheat.schedules.drops": ("step",),
    "preheat.schedules.extending": ("extended",),
    "preheat.schedules.hyperbolas": ("exp_hyperbolic", "hyperbolic"),
    "preheat.schedules.codes": ("hyperboliclr",),
    "preheat.schedules.kdecay": ("k_decay",),
    "preheat.schedules.onecycle": ("torch_one_cycle",),
    "preheat.schedules.pieces": ("Piece", "Pieces"),
    "preheat.schedules.powers": ("power_law",),
    "preheat.schedules.rational": ("inverse_time", "rex"),
    "preheat.schedules.recipe": ("Recipe",),
    "preheat.schedules.recipes": ("data_regimes", "delayed_generalization", "resnet50_imagenet"),
    "preheat.schedules.refining": ("refined",),
    "preheat.schedules.resolved": ("Boundary", "Resolved"),
    "preheat.schedules.warm_restarts": ("restarts",),
    "preheat.schedules.roots": ("inverse_sqrt",),
    "preheat.schedules.rule": ("Rule",),
    "preheat.schedules.rules": ("noam_peak", "scaled_rate", "untuned_period"),
    "preheat.schedules.splines": ("spline",),
    "preheat.schedules.stable": ("wsd",),
    "preheat.schedules.tables": ("tabulated",),
    "preheat.schedules.tangents": ("tanh",),
    "preheat.schedules.triangles": ("triangular",),
}

__all__ = [
    "CURVES",
    "Boundary",
    "Length",
    "Level",
    "Piece",
    "Pieces",
    "Rate",
    "Recipe",
    "Resolved",
    "Rule",
    "constant",
    "cosine",
    "data_regimes",
    "delayed_generalization",
    "epochs",
    "excerpt",
    "exp_hyperbolic",
    "exponential",
    "extended",
    "fraction",
    "gi_adam",
    "hyperbolic",
    "hyperboliclr",
    "inverse_sqrt",
    "inverse_time",
    "k_decay",
    "length",
    "linear",
    "noam_peak",
    "one_cycle",
    "polynomial",
    "power_law",
    "product",
    "radam",
    "rate",
    "refined",
    "resnet50_imagenet",
    "restarts",
    "rex",
    "scaled",
    "scaled_rate",
    "spline",
    "step",
    "steps",
    "tabulated",
    "tanh",
    "then",
    "torch_one_cycle",
    "triangular",
    "untuned_exponential",
    "untuned_linear",
    "untuned_period",
    "wsd",
]


def __getattr__(name: str) -> Any:
    """Each is imported when first used: who needs a cosine waits for no spline."""
    home = next((module for module, names in _HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module 'preheat.schedules' has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    """The names that are there, and those that are imported when first used."""
    return sorted({*globals(), *__all__})
