"""Keeps the rates of an optimizer's groups on a schedule, through groups that come, go or are loaded and
through rates that others write."""

from __future__ import annotations

import operator
import warnings
import weakref
from collections.abc import Collection
from typing import Any

import numpy as np
from torch import Tensor
from torch.optim import Optimizer

from preheat.adapters.course import CHUNK, Chunk, Course
from preheat.adapters.groups import (
    Group,
    beside_torchs,
    both,
    get_number,
    lr_scale,
    nested,
    put_number,
    rated,
    same,
    separate_tensors,
)
from preheat.adapters.ledger import Ledger
from preheat.adapters.resuming import alone, chained, found, inherited, resumed, settled, strange
from preheat.adapters.telling import forgotten, left_over, taken_in

_RATES, _LEAST = 102_400, 128  # rates made at once, and updates at least


class RateKeeper:
    """course: what is followed; ledger: what is known of each group; k: the update at hand, -1 for a stage of
    a sequence that has not begun. rows: the rates of the updates from `first` on, none where rates are
    tensors; watched: whether somebody has the list of peaks, and may change it; again:
    whether somebody put k back, to begin again."""

    chunk: Chunk
    restored: bool  # whether a state was loaded since the last step()

    def __init__(self, optimizer: Optimizer, course: Course, ledger: Ledger, k: int) -> None:
        self.optimizer, self.course, self.ledger, self.k = optimizer, course, ledger, k
        self.many = 1  # how many rates are made at once: few where others write them
        self.again, self.watched, self.rows = False, False, list[list[float]]()
        shared = [name for name, given in course.moving.items() if not isinstance(given, tuple)]
        self.alike = {name: get_number(optimizer.param_groups[0], name) for name in shared}
        ledger.settle(inherited(optimizer, ledger))
        chained(optimizer, ledger, course, k)
        loaded = resumed(optimizer, ledger) if k else []
        self.bind()
        self.forgotten, self.restored = strange(loaded, ledger, self.rates()), False

    @property
    def counted(self) -> Course:
        """The course of the groups that have parameters, by which a state is known."""
        some = self.ledger.filled()
        return self.course if len(some) == self.size else self.course.kept(some)

    def rates(self) -> list[Any]:
        """The schedule's rate of each group at the update at hand."""
        if self.ledger.doubts or self.k < 0:
            return [get_number(group, "lr") for group in self.optimizer.param_groups]
        self.factor(0)  # loads the chunk
        return self.chunk.rows(self.k, self.levels(), 1)[0]

    def levels(self) -> list[float]:
        """The rate of each group where the factor is 1: peak x timm's lr_scale x what others made of it."""
        every = zip(self.ledger.peaks, self.scales, self.ledger.outside, strict=True)
        return [peak * scale * outside for peak, scale, outside in every]

    def factor(self, i: int) -> float:
        """Of a group at the update at hand."""
        if not 0 <= self.k - self.chunk.begin < CHUNK:
            self.chunk = self.course.chunk(self.k, self.tracks)
        return self.chunk.factor(i, self.k)

    def rises(self, i: int) -> bool:
        """Whether the schedule of a group is ever above where it is now; no matter beside schedulers of
        torch's, whose numbers are then those of their curves."""
        if beside_torchs(self.optimizer):
            return False
        left = np.unique(np.linspace(self.k, max(self.k, self.course.run.total), 4097).astype(np.int64))
        return bool(self.tracks[i](left).max() > self.factor(i) * (1 + 1e-9))

    @property
    def moving(self) -> bool:
        """Whether what moves beside the rates has the schedule's values."""
        k = self.k - self.chunk.begin
        return not 0 <= k < CHUNK or all(
            same(get_number(group, name), values[k])
            for name, each in self.chunk.moves
            for group, values in zip(self.groups, each, strict=True)
            if values is not None
        )

    def advance(self, k: int) -> None:
        """Go to update `k` from the one at hand, heeding all that happened since."""
        self.restored = False
        if self.forgotten:
            self.forgotten = False
            warnings.warn(forgotten(self.k), UserWarning, stacklevel=4)
        self.match()
        if self.ledger.pending:
            n, self.ledger.pending = len(self.ledger.pending), []
            warnings.warn(left_over(n), UserWarning, stacklevel=4)
        if self.k < 0:
            self.enter()
        self.settle(self.k, self.course)
        self.heed()
        self.go(k)
        self.prepare()

    def register(self) -> None:
        """Say that the rates are this schedule's, to the next scheduler that is built on this optimizer."""
        nested(self.optimizer)[-1].preheat_schedule = weakref.ref(self.ledger), self.ledger.row

    def enter(self) -> None:
        """Begin as a part of a chain, or of a sequence, that is the first stage of a sequence of torch: that
        wrote `initial_lr` into the groups, and what is not that is what the parts before this one made of
        it."""
        ledger = self.ledger
        if self.again:
            self.again, ledger.outside[:] = False, [1.0] * self.size
            return
        ledger.settle({i: both(self.groups[i])[1] for i in ledger.doubts})
        self.match()
        self.register()
        for i, (rate, peak) in enumerate(zip(map(both, self.groups), ledger.peaks, strict=True)):
            ledger.outside[i] = 1.0 if not peak or same(rate[0], peak) else rate[0] / peak

    def go(self, k: int, *, afresh: bool = False, but: Collection[int] = (), moves: bool = True) -> None:
        """Go to update `k` and write its rates, unless a peak is in doubt: none is made up. afresh: what
        others made of the rates before counts no more; but: groups whose rates are another's, and stay;
        moves: whether to write what moves beside the rates."""
        self.match()
        ledger, self.k, self.rows = self.ledger, k, []
        if afresh:
            ledger.outside[:] = [1.0] * self.size
        if ledger.doubts or k < 0:
            return
        for i, lr in enumerate(self.rates()):
            if i not in but:
                put_number(self.groups[i], "lr", lr)
            ledger.wrote(i, lr, really=i not in but)
        if moves:
            self.move()

    def move(self) -> None:
        """Write what moves beside the rates at the update at hand."""
        i = self.k - self.chunk.begin
        for name, each in self.chunk.moves:
            for group, values in zip(self.groups, each, strict=True):
                if values is not None:
                    put_number(group, name, values[i])

    def heed(self) -> None:
        """Go on from rates that somebody else wrote since."""
        others = self.ledger.others() if self.k >= 0 else []
        if others:
            alone(self.optimizer, self.ledger, others)
            self.ledger.heed(others, self.factor, self.rises)
            self.many = 1

    def settle(self, k: int, course: Course | None, *, sure: bool = False) -> None:
        """Decide the peaks in doubt; see `settled`."""
        if self.ledger.doubts and k >= 0:
            groups = self.optimizer.param_groups
            self.ledger.settle(settled(groups, self.ledger.doubts, k, course, sure=sure))
            self.bind()

    def reloaded(self) -> None:
        """The optimizer was loaded: rates that were this schedule's stay its own, others' stay as loaded.

        Rates that are not this schedule's under the same peaks are of another update: a state is to follow.
        """
        mine = self.k >= 0 and all(map(self.ledger.own, range(self.size)))
        loaded, row = found(self.optimizer), list(self.ledger.row[0])
        self.bind()
        if mine:
            self.forgotten = not self.restored and strange(loaded, self.ledger, self.rates())
            self.go(self.k)
            for i, ((lr, _), last) in enumerate(zip(loaded, row, strict=False)):
                if last is not None and same(lr, last):
                    self.put(i, last)

    def put(self, i: int, rate: float, *, known: bool = True) -> None:
        """Write a rate that was there when a state was saved; known: as one that the schedule wrote."""
        put_number(self.groups[i], "lr", rate)
        if known:
            self.ledger.wrote(i, rate, really=True)

    def match(self) -> None:
        """Bind again where groups came, went or were replaced, or a peak was changed."""
        groups, ledger = self.optimizer.param_groups, self.ledger
        known = len(groups) == len(ledger.groups) and all(map(operator.is_, groups, ledger.groups))
        if groups is not self.groups or not known or self.changed:
            self.bind()

    @property
    def changed(self) -> bool:
        """Whether a peak was changed since the groups were bound."""
        scaled = self.scaled and [*map(lr_scale, self.groups)] != self.scales
        return scaled or self.ledger.peaks != self.peaks

    def bind(self, schedule: Any = None, *, told: bool = False) -> None:
        """Match peaks and schedules to the groups that the optimizer has now. schedule: of a single new one;
        told: that its peak will be told."""
        groups, ledger = self.optimizer.param_groups, self.ledger
        kept = ledger.match(groups)
        if kept != list(range(len(ledger.peaks))):
            self.course = self.course.kept(kept)
            ledger.keep(kept)
        new = groups[len(kept) :]
        for group in new:
            self._take(group, schedule if len(new) == 1 else None, told=told)
        ledger.groups = list(groups)
        separate_tensors(self.optimizer, betas=any(isinstance(m, tuple) for m in self.course.moving.values()))
        shared = beside_torchs(self.optimizer)  # torch's schedulers start from it too
        for i, (group, peak) in enumerate(zip(groups, ledger.peaks, strict=True)):
            if i not in ledger.doubts and not (shared and "initial_lr" in group):
                group["initial_lr"] = peak
        self.groups, self.size = groups, len(groups)
        self.peaks, self.scales = rated(list(ledger.peaks), self.size), [*map(lr_scale, groups)]
        self.scaled = any("lr_scale" in group for group in groups)
        self.watched = self.watched or self.scaled
        self.tracks = self.course.tracks(ledger.peaks)
        self.chunk = self.course.chunk(max(self.k, 0), self.tracks)
        self.first, self.rows = 0, []

    def _take(self, group: Group, schedule: Any, *, told: bool) -> None:
        """Take in a group that the optimizer got since.

        At update 0 its rate is its peak, and so is later an `initial_lr`, or the optimizer's usual rate. Any
        other rate is the one that it has now, as Lightning's fine-tuning gives it.
        """
        alike = [name for name, value in self.alike.items() if same(get_number(group, name), value)]
        course, rate, i = self.course.grown(schedule, alike), get_number(group, "lr"), len(self.ledger.peaks)
        usual = same(rate, float(self.optimizer.defaults.get("lr", -1.0)))
        plain = self.k <= 0 or usual or "initial_lr" in group or bool(self.ledger.pending)
        factor = 1.0 if plain else course.factor(i, self.ledger.peaks[0], self.k)
        saved = next(iter(self.ledger.pending), None)
        peak = self.ledger.add(group, factor)
        self.course = course
        if saved and not saved.own and self.k >= 0:  # what others made of it after the last step
            base = peak * lr_scale(group) * course.factor(i, peak, self.k)
            self.ledger.outside[i] = saved.rate / base if base > 0 else saved.outside
        if factor != 1.0 and not told:
            warnings.warn(taken_in(i, rate, peak, self.k), UserWarning, stacklevel=6)

    def prepare(self) -> None:
        """The rates of the next updates, where they are written as numbers."""
        if not self.ledger.doubts and not any(isinstance(group["lr"], Tensor) for group in self.groups):
            most, self.first = max(_LEAST, _RATES // self.size), self.k + 1
            if self.many > 1:  # the first after somebody wrote a rate: who does so once may do so again
                self.rows = self.chunk.rows(self.first, self.levels(), min(most, self.many))
            self.many *= 8

    def __getstate__(self) -> dict[str, Any]:
        made = ("groups", "tracks", "chunk", "rows")  # again by bind()
        return {**{k: v for k, v in self.__dict__.items() if k not in made}, "rows": [], "many": 1}
