"""What a scheduler knows of each parameter group: its peak, what others made of its rate, the rate last
written."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from preheat.adapters.groups import Group, both, doubts, get_number, lr_scale, peaks, same
from preheat.adapters.telling import frozen, nothing_to_scale, raised
from preheat.core.errors import UserError


class Saved(NamedTuple):
    """What a state holds of a group: its peak, the one that its run was built with, the ratio by which
    others had changed its rate, the rate it had, and whether that was its own. None for a peak in doubt."""

    peak: float | None
    given: float | None
    outside: float
    rate: float
    own: bool = True


class Ledger:
    """peaks: of each group, a list that may be changed; given: those of the build; outside: the ratio by
    which others changed a group's rate, 1 where nobody did; doubts: the groups whose peak is not known yet;
    row: a list of one, the rates last written (None for none), which shallow copies share; pending: what a
    state holds of groups that are not there yet."""

    def __init__(self, groups: Sequence[Group], peak: Any) -> None:
        self.peaks: list[Any] = peaks(groups, peak)
        self.explicit = peak is not None
        self.doubts = set() if self.explicit else doubts(groups)
        self.given = list(self.peaks)
        self.outside = [1.0] * len(self.peaks)
        self.groups = list(groups)
        self.row: list[list[Any]] = [[None] * len(self.peaks)]
        self.marks: list[Any] = [None] * len(self.peaks)
        self.pending: list[Saved] = []
        self.told = False

    def copy(self) -> Ledger:
        """One that shares nothing but the rates last written."""
        new = Ledger.__new__(Ledger)
        kept = ("peaks", "given", "outside", "groups", "marks", "pending")
        new.__dict__.update(
            self.__dict__, doubts=set(self.doubts), **{n: list(getattr(self, n)) for n in kept}
        )
        return new

    def match(self, groups: Sequence[Group]) -> list[int]:
        """Which of the known groups are there still, in their order; the others had no parameters.

        A group that is not known is new and stands behind them; where none is known the optimizer was
        loaded, which puts new groups into the places of the old. Errors: UserError for a group with
        parameters that is gone.
        """
        places = {id(group): i for i, group in enumerate(self.groups)}
        kept = [places[id(group)] for group in groups if id(group) in places]
        n, filled = len(self.groups), self.filled()
        if not kept and groups:
            kept = list(range(n)) if len(groups) >= n else filled
        elif len(groups) == n:  # some were replaced where they stood
            kept = [places.get(id(group), i) for i, group in enumerate(groups)]
        lost = set(filled) - set(kept)
        moved = [id(group) in places for group in groups[: len(kept)]]
        if lost or len(kept) > len(groups) or (len(groups) != n and any(moved) and not all(moved)):
            raise UserError(
                f"groups may be added, not removed, got {len(groups)} of {n}: build a new one (a group "
                "without "
                "parameters may go, and a new one stands behind the others)"
            )
        return kept

    def filled(self) -> list[int]:
        """The groups that have parameters: of others no rate matters, and some engines remove them."""
        return [i for i, group in enumerate(self.groups) if group["params"]] or list(range(len(self.groups)))

    def keep(self, kept: Sequence[int]) -> None:
        """Forget all groups but these."""
        for name in ("peaks", "given", "outside", "marks"):
            getattr(self, name)[:] = [getattr(self, name)[i] for i in kept]
        self.row[0] = [self.row[0][i] for i in kept]
        self.doubts = {kept.index(i) for i in self.doubts if i in kept}

    def add(self, group: Group, factor: float) -> float:
        """Take in a group, and give its peak: of a state, its `initial_lr`, or its rate over `factor` where
        that is not 0."""
        rate, initial = both(group)
        peak = initial if "initial_lr" in group else rate
        one = Saved(None, None, 1.0, rate)
        if self.pending:
            one = self.pending.pop(0)
            peak = peak if one.peak is None else one.peak
        elif factor not in (0.0, 1.0):
            peak = rate / factor / (lr_scale(group) or 1.0)
        self.peaks.append(peak)
        self.given.append(peak if one.given is None else one.given)
        self.outside.append(one.outside)
        self.marks.append(None)
        self.row[0] = [*self.row[0], None]
        return float(peak)

    def decide(self, found: dict[int, float]) -> None:
        """Settle peaks in doubt, or change them: what others made of the rates before counts no more."""
        for i, peak in found.items():
            self.peaks[i] = peak
            self.outside[i] = 1.0
            self.doubts.discard(i)

    def settle(self, found: dict[int, float]) -> None:
        """Settle peaks in doubt at the build."""
        self.decide(found)
        for i, peak in found.items():
            self.given[i] = peak

    def wrote(self, i: int, value: Any, *, really: bool) -> None:
        """Remember what was written into a group, or would have been; of a tensor also when."""
        rate = self.groups[i]["lr"]
        self.marks[i] = (rate, rate._version) if really and isinstance(rate, Tensor) else None
        self.row[0][i] = value

    def own(self, i: int) -> bool:
        """Whether a group has the rate that was written last, as far as a float32 tensor tells."""
        rate, mark, last = self.groups[i]["lr"], self.marks[i], self.row[0][i]
        if mark is not None and rate is mark[0] and rate._version == mark[1]:
            return True  # its value is not read, which would wait for the device
        return last is None or same(float(rate), last)

    def others(self) -> list[int]:
        """The groups whose rate somebody else wrote."""
        return [i for i in range(len(self.groups)) if i not in self.doubts and not self.own(i)]

    def heed(
        self, others: Sequence[int], factor_of: Callable[[int], float], rises: Callable[[int], bool]
    ) -> None:
        """Go on from the rates that somebody else wrote, but not from one above the peak's own where the
        schedule still rises: what it would rise to is nobody's wish. factor_of: of a group at the update at
        hand; rises: whether its schedule is ever above that."""
        for i in others:
            found = self.ratio(i, factor_of(i))
            rate, before = get_number(self.groups[i], "lr"), self.outside[i]
            if found is None:
                text = nothing_to_scale(i, rate)
            elif found > max(1.0, before) and not same(found, max(1.0, before)) and rises(i):
                text = raised(i, rate)
            else:
                self.outside[i] = found
                text = "" if found else frozen(i)
            if text and not self.told:
                self.told = True
                warnings.warn(text, UserWarning, stacklevel=6)

    def ratio(self, i: int, factor: float) -> float | None:
        """By what others changed a group's rate; None where the schedule's is 0. Errors: UserError for what
        is no rate."""
        rate = get_number(self.groups[i], "lr")
        if not math.isfinite(rate) or rate < 0:
            raise UserError(
                f"a rate is a finite number >= 0, got lr={rate:g} of group {i}, which somebody else wrote: "
                f"write assign({i}, peak=...)"
            )
        base = self.peaks[i] * lr_scale(self.groups[i]) * factor
        return rate / base if base > 0 else None
