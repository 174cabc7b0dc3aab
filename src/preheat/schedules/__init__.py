"""Schedules: pure rules from a run's progress to a factor of the peak rate. numpy only.

    rate = cosine(warmup="5%").resolve(total=1000)
    rate(0), rate.table()

Lengths are `0.05` or `"5%"` (of the run), `500` (steps), `"5ep"` (epochs). A new schedule is a file here with
`@SCHEDULES.register("name")` on a frozen dataclass that has `resolve` and `json`.
"""

from preheat.core.lengths import Length, epochs, fraction, length, steps
from preheat.schedules.curves import CURVES
from preheat.schedules.cycles import one_cycle
from preheat.schedules.decays import constant, cosine, exponential, linear, polynomial
from preheat.schedules.drops import step
from preheat.schedules.pieces import Piece, Pieces
from preheat.schedules.resolved import Boundary, Resolved
from preheat.schedules.roots import inverse_sqrt
from preheat.schedules.stable import wsd

__all__ = [
    "CURVES",
    "Boundary",
    "Length",
    "Piece",
    "Pieces",
    "Resolved",
    "constant",
    "cosine",
    "epochs",
    "exponential",
    "fraction",
    "inverse_sqrt",
    "length",
    "linear",
    "one_cycle",
    "polynomial",
    "step",
    "steps",
    "wsd",
]
