"""What a scheduler follows: schedules, total and what moves beside the rate; numpy only, no optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from preheat.core.between import Between, as_schedule
from preheat.core.canon import digest
from preheat.core.errors import UserError
from preheat.schedules.resolved import Horizon, Resolved, horizon

BLOCK = 4096  # updates computed at once: a number out of a list costs 30 ns, out of numpy 5 us
Moving = dict[str, Between | tuple[Between | None, ...]]


class Block(NamedTuple):
    """The factors of each group at updates `begin` to `begin + BLOCK`, and the values of what moves, None for no group's."""

    begin: int
    factors: list[list[float]]
    moves: list[tuple[str, list[list[float] | None]]]


@dataclass(frozen=True)
class Plan:
    """schedules: one for each group; run: the total and what units hold; moving: other numbers by name."""

    schedules: tuple[Any, ...]
    run: Horizon
    moving: Moving

    @property
    def fingerprint(self) -> str:
        """A hash of all that gives the rates their shape: not of the peaks, nor of the number of groups that share it."""
        each = {id(s): digest(s) for s in self.schedules}
        names = [each[id(s)] for s in self.schedules]
        moving = {n: [b and b.json() for b in v] if isinstance(v, tuple) else v.json() for n, v in self.moving.items()}
        return digest([names if len(set(names)) > 1 else names[:1], list(self.run), moving])

    def resolved(self, schedule: Any, peak: float | None = None) -> Any:
        """A schedule on this run. peak: for levels given as rates; 0, a group that is not trained, is none."""
        run = self.run
        return schedule.resolve(run.total, run.per_epoch, peak=peak or None, samples=run.samples, tokens=run.tokens)

    def tracks(self, peaks: Sequence[float]) -> list[Any]:
        """Each group's resolved schedule: one object for all groups that share it, or for each peak if it has absolute rates."""
        found: list[tuple[Any, float | None, Any]] = []

        def track(schedule: Any, peak: float) -> Any:
            for known, at, made in found:
                if (known is schedule or known == schedule) and at in (None, peak):
                    return made
            at, made = None, self._relative(schedule)
            if made is None:
                at, made = peak, self.resolved(schedule, peak)
            found.append((schedule, at, made))
            return made

        return [track(s, p) for s, p in zip(self.schedules, peaks, strict=True)]

    def _relative(self, schedule: Any) -> Any:
        """The resolved schedule, or None where it needs a peak; any other error comes again with one."""
        try:
            return self.resolved(schedule)
        except UserError:
            return None

    def block(self, k: int, tracks: Sequence[Any]) -> Block:
        """The block that holds update `k`."""
        begin = k - k % BLOCK
        steps = np.arange(begin, begin + BLOCK)
        lists = {id(t): t(steps).tolist() for t in {id(t): t for t in tracks}.values()}

        def values(one: Between | None) -> list[float] | None:
            return None if one is None else one.value(self.resolved(one.schedule)(steps)).tolist()

        moves = []
        for name, given in self.moving.items():
            each = [values(b) for b in given] if isinstance(given, tuple) else [values(given)] * len(tracks)
            moves.append((name, each + [None] * (len(tracks) - len(each))))
        return Block(begin, [lists[id(t)] for t in tracks], moves)

    def extended(self, peaks: Sequence[float], total: int, **how: Any) -> Plan:
        """The plan with another total; see `Resolved.extend`. What moves beside the rate is extended alike."""

        def longer(schedule: Any, peak: float | None = None) -> Any:
            return self.resolved(schedule, peak).extend(total, **how)

        def moved(one: Between | None) -> Between | None:
            return None if one is None else replace(one, schedule=longer(one.schedule).schedule)

        new = [longer(s, p) for s, p in zip(self.schedules, peaks, strict=True)]
        moving: Any = {n: tuple(map(moved, v)) if isinstance(v, tuple) else moved(v) for n, v in self.moving.items()}
        return Plan(tuple(r.schedule for r in new), self.run._replace(total=new[0].total), moving)

    def with_schedule(self, group: int, schedule: Any) -> Plan:
        """The plan with another schedule for one group; the group after the last is a new one."""
        kept = list(self.schedules)
        kept[group : group + 1] = [as_schedule(schedule)]
        return replace(self, schedules=tuple(kept))


def declared(given: Any, total: Any, per_epoch: Any, *, groups: int, moving: Moving) -> Plan:
    """The plan from what a user gives: one schedule or a list, unresolved with a total, or resolved."""
    many = list(given) if isinstance(given, list | tuple) else [given]
    if isinstance(given, list | tuple) and len(many) != groups:
        raise UserError(f"schedule must be one, or a list with one for each of {groups} groups, got {len(many)}")
    runs = {s.run._replace(peak=None) for s in many if isinstance(s, Resolved)}
    if not runs and total is None:
        raise UserError("total_steps is needed, the number of updates: write total_steps=10_000")
    if len(runs) > 1 or (runs and (total is not None or per_epoch is not None)):
        raise UserError("a resolved schedule brings its total and per_epoch: leave them out, and resolve all groups' alike")
    schedules = [s.schedule if isinstance(s, Resolved) else as_schedule(s) for s in many]
    run = runs.pop() if runs else horizon(total, per_epoch)
    return Plan(tuple(schedules * (groups if len(many) == 1 else 1)), run, moving)
