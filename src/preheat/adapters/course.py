"""What a scheduler follows: schedules, total and what moves beside the rate; numpy only, no optimizer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from preheat.core.between import Between, as_schedule
from preheat.core.canon import digest
from preheat.core.errors import UserError
from preheat.core.lengths import Length
from preheat.schedules.combine.extended import extended
from preheat.schedules.horizon import Horizon, horizon
from preheat.schedules.resolved import Resolved
from preheat.schedules.sampling import step_count

CHUNK = 4096  # updates computed at once: one costs 5 us, out of many 30 ns
Moving = dict[str, Between | tuple[Between | None, ...]]


class Chunk(NamedTuple):
    """Factors at updates `begin` to `begin + CHUNK`, [curves, CHUNK]; which: the curve of each group; moves:
    what moves beside the rate (None: it does not)."""

    begin: int
    factors: NDArray[np.float64]
    which: list[int]
    moves: list[tuple[str, list[list[float] | None]]]

    def factor(self, group: int, k: int) -> float:
        """Of a group at update k, which the chunk holds."""
        return float(self.factors[self.which[group], k - self.begin])

    def rows(self, k: int, levels: Sequence[float], most: int) -> list[list[float]]:
        """The rates of all groups, an update a row, from update k on to the chunk's end, `most` at most."""
        some = self.factors[:, k - self.begin : k - self.begin + most]
        return (some[self.which].T * np.asarray(levels)).tolist()  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Course:
    """schedules: one for each group; run: the total and what units hold; moving: other numbers by name."""

    schedules: tuple[Any, ...]
    run: Horizon
    moving: Moving

    @property
    def fingerprint(self) -> str:
        """A hash of what gives the rates their shape: not of the peaks, nor of how many groups share it."""
        each = {id(s): digest(s) for s in self.schedules}
        names = [each[id(s)] for s in self.schedules]

        def told(given: Any) -> Any:
            return [b and b.json() for b in given] if isinstance(given, tuple) else given.json()

        moving = {name: told(given) for name, given in self.moving.items()}
        return digest([names if len(set(names)) > 1 else names[:1], list(self.run), moving])

    def origin(self, fingerprint: Any, k: int) -> Course | None:
        """What a run saved at update `k` followed, if its rates until then were these: this or its origin."""
        if fingerprint == self.fingerprint:
            return self
        every = (*self.schedules, *self._moved())
        tops = {(s.was, s.place) for s in every if isinstance(s, extended)}
        if len(tops) != 1 or not all(isinstance(s, extended) for s in every):
            return None
        ((was, place),) = tops
        inner = tuple(s.schedule for s in self.schedules)
        before = Course(inner, self.run._replace(total=was), self._moving(lambda s: s.schedule))
        return before.origin(fingerprint, k) if k <= place else None

    def resolved(self, schedule: Any, peak: float | None = None) -> Any:
        """A schedule on this run. peak: for levels given as rates; 0, of a group that rests, is none."""
        total, per_epoch, _, samples, tokens = self.run
        return schedule.resolve(total, per_epoch, peak=peak or None, samples=samples, tokens=tokens)

    def factor(self, group: int, rate: float, k: int) -> float:
        """Of a group at update k. rate: in place of its peak, for levels given as rates."""
        schedule = self.schedules[group]
        made = self._relative(schedule) or self._absolute(group, schedule, rate)
        return float(made(k))

    def tracks(self, peaks: Sequence[Any]) -> list[Any]:
        """Each group's resolved schedule: one object for all that share it, and its peak if it has rates."""
        found: list[tuple[Any, float | None, Any]] = []

        def track(group: int, schedule: Any, peak: float) -> Any:
            for known, at, made in found:
                if (known is schedule or known == schedule) and at in (None, peak):
                    return made
            at, made = None, self._relative(schedule)
            if made is None:
                at, made = peak, self._absolute(group, schedule, peak)
            found.append((schedule, at, made))
            return made

        return [track(i, s, p) for i, (s, p) in enumerate(zip(self.schedules, peaks, strict=True))]

    def _relative(self, schedule: Any) -> Any:
        """The resolved schedule, or None where it needs a peak; any other error comes again with one."""
        try:
            return self.resolved(schedule)
        except UserError:
            return None

    def _absolute(self, group: int, schedule: Any, peak: float) -> Any:
        # every level lies below 1e100, so that any other error comes now
        made = self.resolved(schedule, peak or 1e100)
        if not peak:
            raise UserError(
                "a level given as a rate, such as 1e-6lr, needs a peak rate above 0, got lr=0 of group "
                f"{group}: give it a peak, peak=..., or write factors such as 0.1"
            )
        return made

    def chunk(self, k: int, tracks: Sequence[Any]) -> Chunk:
        """The chunk that holds update `k`."""
        begin = k - k % CHUNK
        steps = np.arange(begin, begin + CHUNK)
        curves = {id(t): t for t in tracks}
        places = {key: i for i, key in enumerate(curves)}

        def values(one: Between | None) -> list[float] | None:
            return None if one is None else one.value(self.resolved(one.schedule)(steps)).tolist()

        def each(given: Between | tuple[Between | None, ...]) -> list[list[float] | None]:
            return [*map(values, given)] if isinstance(given, tuple) else [values(given)] * len(tracks)

        moves = [(name, each(given)) for name, given in self.moving.items()]
        factors = np.array([curve(steps) for curve in curves.values()], dtype=np.float64)
        return Chunk(begin, factors, [places[id(t)] for t in tracks], moves)

    def extended(self, peaks: Sequence[Any], total: int, *, at: int, how: str, **options: Any) -> Course:
        """With another total; see `Resolved.extend`. What moves beside the rate is extended alike.

        But a cooldown is the rate's alone: what was left of the others is then stretched, or holds where none
        was left.
        """
        old = map(self.resolved, self.schedules, peaks)
        new = [one.extend(total, at=at, how=how, **options) for one in old]
        left = "rescale" if at < self.run.total else "continue"
        others = left if how == "cooldown" else how
        moving = self._moving(lambda s: self.resolved(s).extend(total, at=at, how=others).schedule)
        return Course(tuple(r.schedule for r in new), self.run._replace(total=new[0].total), moving)

    def with_schedule(self, group: int, schedule: Any) -> Course:
        """With another schedule for one group."""
        kept = list(self.schedules)
        kept[group] = as_schedule(schedule)
        return replace(self, schedules=tuple(kept))

    def kept(self, groups: Sequence[int]) -> Course:
        """Of these groups alone."""
        moving = {
            n: tuple(v[i] for i in groups) if isinstance(v, tuple) else v for n, v in self.moving.items()
        }
        return Course(tuple(self.schedules[i] for i in groups), self.run, moving)

    def grown(self, schedule: Any, alike: Collection[str]) -> Course:
        """With a group more. schedule: its own, or None for the one of all groups.

        alike: the numbers that move in it as in the others; those given as a list don't.
        """
        first, n = self.schedules[0], len(self.schedules)
        if schedule is None and any(s != first for s in self.schedules):
            write = f"after each add_param_group call assign({n}, schedule, peak)"
            raise UserError(
                f"a new group takes the schedule of all groups, got {n} groups that differ in theirs: {write}"
            )
        moving: Moving = {}
        for name, given in self.moving.items():
            each = given if isinstance(given, tuple) else (given,) * n
            new = next(filter(None, each), None) if name in alike else None
            moving[name] = given if new is given else (*each, new)
        return Course(
            (*self.schedules, first if schedule is None else as_schedule(schedule)), self.run, moving
        )

    def _moved(self) -> list[Any]:
        """The schedules of what moves beside the rate."""
        each = [v if isinstance(v, tuple) else (v,) for v in self.moving.values()]
        return [one.schedule for given in each for one in given if one is not None]

    def _moving(self, change: Callable[[Any], Any]) -> Moving:
        """What moves beside the rate, its schedules changed."""

        def new(one: Between | None) -> Any:
            return None if one is None else replace(one, schedule=change(one.schedule))

        return {n: tuple(map(new, v)) if isinstance(v, tuple) else new(v) for n, v in self.moving.items()}


def course(given: Any, total: Any, per_epoch: Any, *, groups: int, moving: Moving) -> Course:
    """The course from what a user gives: one schedule or a list, unresolved with a total, or resolved."""
    many = list(given) if isinstance(given, list | tuple) else [given]
    if isinstance(given, list | tuple) and len(many) != groups:
        raise UserError(
            f"schedule must be one, or a list with one for each of {groups} groups, got {len(many)}"
        )
    runs = {s.run._replace(peak=None) for s in many if isinstance(s, Resolved)}
    if not runs and total is None:
        raise UserError("total_steps is needed, the number of updates: write total_steps=10_000")
    if len(runs) > 1 or (runs and (total is not None or per_epoch is not None)):
        raise UserError(
            "a resolved schedule brings its total and per_epoch: leave them out, resolve all groups' alike"
        )
    schedules = [s.schedule if isinstance(s, Resolved) else as_schedule(s) for s in many]
    if not runs:
        steps = total if isinstance(total, str | Length) else step_count("total_steps", total, 1)
        runs = {horizon(steps, per_epoch)}
    return Course(tuple(schedules * (groups if len(many) == 1 else 1)), runs.pop(), moving)
