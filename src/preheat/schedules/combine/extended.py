"""A run's budget, changed on the way without a jump of the rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from preheat.core.errors import UserError, unknown
from preheat.core.lengths import Length
from preheat.core.levels import Level
from preheat.core.registry import SCHEDULES
from preheat.schedules.combine.combined import Combined
from preheat.schedules.combine.forms import moved, stretch
from preheat.schedules.curves import Array
from preheat.schedules.form import Form, Segment, Span
from preheat.schedules.horizon import Horizon
from preheat.schedules.pieces import Piece, place
from preheat.schedules.resolved import Resolved
from preheat.schedules.rule import Rule
from preheat.schedules.sampling import step_count

HOW = ("continue", "rescale", "cooldown")
_SAME = 1e-9  # factors that differ by less are one: the rounding of two different totals


@dataclass(frozen=True)
class Stretched(Form):
    """A form on `own`, played at another speed so that it fills the span it is given."""

    form: Form
    own: Span

    def value(self, t: Array, span: Span, *, after: bool) -> Array:
        left = (span.end - t) / span.length  # from what is left, so that the end is exact
        return self.form.value(self.own.end - left * self.own.length, self.own, after=after)

    def area(self, span: Span) -> float:
        return self.form.area(self.own) * self._speed(span)

    def jumps(self, span: Span) -> list[float]:
        return [span.begin + (x - self.own.begin) * self._speed(span) for x in self.form.jumps(self.own)]

    def _speed(self, span: Span) -> float:
        return span.length / self.own.length


@SCHEDULES.register("extended")
@dataclass(frozen=True)
class extended(Combined):
    """A schedule whose run of `was` steps is given another total when `place` of them are done.

    Until update P = `place`: the schedule on `was` steps. From there, with s_P its factor at P and T the new
    total:

        continue   the schedule on T steps; an error where its factor at P is not s_P
        rescale    what was left, s(P + (t - P)(was - P)/(T - P))
        cooldown   s_P, then over the last `length` steps (default: all) to `final` along `curve` (and its
        `power`)

    With every="epoch", P is a whole number of epochs. Written `schedule.resolve(was).extend(T, at=P,
    how=...)`. It can be extended again.

    >>> from preheat.schedules import wsd
    >>> longer = wsd(cooldown=2, at="left").resolve(6).extend(8, at=3)
    >>> longer.table()
    array([1. , 1. , 1. , 1. , 1. , 1. , 1. , 0.5])

    Decaying on demand: Hagele et al. 2024, arXiv 2405.18392.
    """

    schedule: Rule
    was: int
    place: int
    how: str = "continue"
    length: Length | None = None
    final: Level = 0.0
    curve: str = "linear"
    power: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "was", step_count("was", self.was, 1))
        object.__setattr__(self, "place", step_count("at", self.place, 0))
        if self.how not in HOW:
            raise unknown("how (to extend)", self.how, HOW)
        if self.place > self.was:
            raise UserError(
                f"at must lie in the run of {self.was} steps, got {self.place}: write at most {self.was}"
            )
        unused = (self.length, self.final, self.curve, self.power) != (None, 0.0, "linear", None)
        if self.how != "cooldown" and unused:
            got = f"got how={self.how!r}: write how='cooldown'"
            raise UserError(f"length, final, curve and power belong to a cooldown, {got}")
        self._fall(1.0)

    def segments(self, run: Horizon) -> tuple[Segment, ...]:
        if run.total <= self.place:
            got = f"got {run.total:g}: write a larger total"
            raise UserError(f"the new total must be above {self.place}, the updates done, {got}")
        if self.splits_epoch(run, self.place) and run.per_epoch is not None:
            near = round(self.place / run.per_epoch) * run.per_epoch
            raise UserError(
                f"with every='epoch' a run is extended where an epoch begins, got update {self.place} with "
                f"{run.per_epoch:g} updates in an epoch: write {near:g}"
            )
        old = self.schedule.segments(run._replace(total=self.was))
        done = tuple(stretch(old, 0.0, self.place))
        if self.how == "rescale":
            return (*done, *self._rescaled(old, run.total))
        if self.how == "continue":
            new = self.schedule.segments(run)
            self._check(old, new, run)
            return (*done, *stretch(new, self.place, run.total))
        return (*done, *self._cooled(old, run))

    def _factor(self, segments: tuple[Segment, ...], run: Horizon, after: bool) -> float:
        """The factor at the place, in front of a jump or behind it."""
        inside = (after and self.place < run.total) or self.place == 0
        return float(Resolved(self.schedule, run, segments).curve(np.float64(self.place), after=inside))

    def _check(self, old: tuple[Segment, ...], new: tuple[Segment, ...], run: Horizon) -> None:
        before = self._factor(old, run._replace(total=self.was), True)
        after = self._factor(new, run, True)
        if abs(before - after) > _SAME:
            totals = f"{before:.6g} with a total of {self.was} and {after:.6g} with {run.total:g}"
            raise UserError(
                f"{self.schedule} can't go on as it was at update {self.place}: its factor there is "
                f"{totals}, which is a jump: write how='rescale' or how='cooldown'"
            )

    def _rescaled(self, old: tuple[Segment, ...], total: float) -> list[Segment]:
        if self.place == self.was:
            raise UserError(
                f"nothing is left to rescale at the end of the run, got at={self.place}: begin a new "
                "schedule, or write how='continue' where the rule has no end"
            )
        rest = stretch(old, self.place, self.was)
        last = (total - self.place) / (self.was - self.place)
        ends = [total - (self.was - s.span.end) * last for s in rest]
        begins = [float(self.place), *ends[:-1]]
        new = map(Span, begins, ends)
        return [s._replace(span=n, form=Stretched(s.form, s.span)) for n, s in zip(new, rest, strict=True)]

    def _cooled(self, old: tuple[Segment, ...], run: Horizon) -> list[Segment]:
        now = self._factor(old, run._replace(total=self.was), False)
        if now == 0:
            raise UserError(
                f"nothing is left to cool down, the factor at update {self.place} is 0: begin a new schedule"
            )
        if run.factor(self.final) > now:
            got = f"factor {now:.6g}, got final={self.final}"
            raise UserError(f"a cooldown can't end above its beginning, {got}: lower it")
        left = run._replace(total=run.total - self.place)
        pieces = [Piece(None, now, now)] if self.length is not None else []
        placed = place((*pieces, self._fall(now)), left)
        falls = ("decay", "cooldown")
        return moved(placed, self.place, kind=lambda kind: "cooldown" if kind in falls else "hold")

    def _fall(self, start: float) -> Piece:
        return Piece(self.length, start, self.final, self.curve, self.power)

    def __str__(self) -> str:
        return f"{self.schedule}, {self.how} from update {self.place} of {self.was}"
