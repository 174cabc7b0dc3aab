"""Schedules: pure rules from a run's progress to a factor of the peak rate. numpy only.

    rate = cosine(warmup="5%").resolve(total=1000)
    rate(0), rate.table()

Lengths are `0.05` or `"5%"` (of the run), `500` (steps), `"5ep"` (epochs), `"3e9tok"`. Levels are factors of the peak rate,
or rates: `final="1e-6lr"`. Schedules combine: `a * b`, `a.then(b, at="50%")`, `a.scaled(0.5)`; a resolved one can be extended.
A new schedule is a file here with `@SCHEDULES.register("name")` on a frozen dataclass, a `Named` or another `Rule`.
"""

from preheat.core.lengths import Length, epochs, fraction, length, steps
from preheat.core.levels import Level, Rate, rate
from preheat.schedules.algebra import product, scaled, then
from preheat.schedules.curves import CURVES
from preheat.schedules.cycles import one_cycle
from preheat.schedules.decays import constant, cosine, exponential, linear, polynomial
from preheat.schedules.drops import step
from preheat.schedules.extended import extended
from preheat.schedules.pieces import Piece, Pieces
from preheat.schedules.resolved import Boundary, Resolved
from preheat.schedules.roots import inverse_sqrt
from preheat.schedules.rule import Rule
from preheat.schedules.stable import wsd

__all__ = [
    "CURVES",
    "Boundary",
    "Length",
    "Level",
    "Piece",
    "Pieces",
    "Rate",
    "Resolved",
    "Rule",
    "constant",
    "cosine",
    "epochs",
    "exponential",
    "extended",
    "fraction",
    "inverse_sqrt",
    "length",
    "linear",
    "one_cycle",
    "polynomial",
    "product",
    "rate",
    "scaled",
    "step",
    "steps",
    "then",
    "wsd",
]
