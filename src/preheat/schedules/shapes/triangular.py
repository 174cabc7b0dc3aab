"""Cyclical rates: straight up and straight down, again and again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from preheat.core.errors import UserError
from preheat.core.lengths import Length, snug
from preheat.core.levels import Level
from preheat.core.registry import SCHEDULES
from preheat.schedules.combine.forms import clipped
from preheat.schedules.curves import Array
from preheat.schedules.form import Form, Segment, Span
from preheat.schedules.horizon import Horizon
from preheat.schedules.named import Named, above_0, above_0_to_1
from preheat.schedules.pieces import Piece

_CLOSE = 1e-9  # of the run: a corner this near to the end is the end


@dataclass(frozen=True)
class Fading(Form):
    """base + (1 - base) a, a = (x / height) gamma^(t - place), a line x from 0 to 1 or back."""

    rising: bool
    base: float
    gamma: float
    height: float
    place: float

    def value(self, t: Array, span: Span, *, after: bool) -> Array:
        x = (t - span.begin if self.rising else span.end - t) / span.length
        a = x / self.height * np.power(self.gamma, t - self.place)
        out: Array = a + self.base * (1 - a)
        return out


@SCHEDULES.register("triangular")
@dataclass(frozen=True, kw_only=True)
class triangular(Named):
    """Cyclical learning rate: `rise` steps straight up from `base`, `fall` steps down, again and again.

    s = base + (1 - base) a / m, a(x) = triangle(x) cycle_mult^n step_mult^x, where x counts steps, n cycles,
    the triangle goes from 0 over 1 to 0, and m is the highest value of a, so that the highest factor is 1.
    fall: as `rise` unless given. A warmup takes the place of the first rise: it ends on top of the first
    cycle.

    >>> triangular(rise=2, cycle_mult=0.5, base=0.1, at="left").resolve(8).table()
    array([0.1  , 0.55 , 1.   , 0.55 , 0.1  , 0.325, 0.55 , 0.325])

    torch's CyclicLR(step_size_up=rise, step_size_down=fall, base_lr=base * peak, max_lr=peak): mode
    "triangular"; "triangular2" with cycle_mult=0.5; "exp_range" with step_mult=gamma, whose highest rate is
    base_lr + (max_lr - base_lr) m. Smith 2015, arXiv 1506.01186.
    """

    rise: Length
    fall: Length | None = None
    base: Level = 0.0
    cycle_mult: float = 1.0
    step_mult: float = 1.0

    def body(self) -> tuple[Piece, ...]:
        above_0("rise", self.rise, "'2ep' or '10%'")
        above_0("fall", self.fall, "'2ep' or '10%'")
        above_0_to_1("cycle_mult", self.cycle_mult, "1 for cycles of one height")
        above_0_to_1("step_mult", self.step_mult, "1 for cycles of one height")
        return (Piece(None, 1.0, 1.0),)

    def segments(self, run: Horizon) -> tuple[Segment, ...]:
        """The rises and falls, cut where the run ends or the highest point lies."""
        warm, left = self.warmed(run)
        rise = run.steps(self.rise)
        fall = rise if self.fall is None else run.steps(self.fall)
        place = left.begin if warm else self._highest(rise, run)
        bounds = _bounds(place, fall, rise, run.total) if warm else _bounds(0.0, rise, fall, run.total)
        out = list(warm)
        for k, (a, b) in enumerate(pairwise(bounds), 1 if warm else 0):  # a warmup is the first rise
            rising = k % 2 == 0
            up = "rise" if k else "warmup"
            highest = (place, 1.0 if warm else place / rise)
            form = self._leg(rising, k // 2, run.factor(self.base), highest)
            whole, end = Segment(Span(a, b), up if rising else "decay", form), min(b, run.total)
            cuts = [a, place, end] if a < place < end else [a, end]
            out += [clipped(whole, Span(p, q)) for p, q in pairwise(cuts)]
        return tuple(out)

    def _leg(self, rising: bool, cycle: int, base: float, highest: tuple[float, float]) -> Form:
        """One rise or fall. highest: the place of the highest point, and its height on the first triangle."""
        high = self.cycle_mult**cycle
        if self.step_mult != 1:
            return Fading(rising, base, self.step_mult, highest[1] / high, highest[0])
        top = high + base * (1 - high)
        return Piece(None, base, top) if rising else Piece(None, top, base)

    def _highest(self, rise: float, run: Horizon) -> float:
        """Where it is highest without a warmup: the first top, or before it where step_mult falls faster."""
        if rise > run.total:
            got = f"got {self.rise} = {rise:g} steps: shorten it or lengthen the run"
            raise UserError(f"the first rise must fit in the run of {run.total:g} steps, {got}")
        return rise if self.step_mult == 1 else min(rise, -1 / math.log(self.step_mult))


def _bounds(begin: float, first: float, second: float, end: float) -> list[float]:
    """The corners from `begin` on, `first` and `second` steps apart in turn, the last at or behind `end`.

    >>> _bounds(0.0, 3.0, 2.0, 9.0)
    [0.0, 3.0, 5.0, 8.0, 10.0]
    """
    out = [begin]
    while out[-1] < end * (1 - _CLOSE):
        pairs, one = divmod(len(out), 2)
        out.append(snug(begin + pairs * (first + second) + one * first))
    return out
