"""The weights that are kept of a training: the final ones, or those at the best evaluation so far.

A keeper looks on from outside the loop and changes nothing in it. What it has so far lies on the CPU and goes
into the checkpoint.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from preheat.core.errors import UserError, unknown
from preheat.core.metrics import Goal
from preheat.engine.loop import WATCH, Progress, Setup
from preheat.engine.step import State, Tensors


def evaluated(setup: Setup, state: State) -> Tensors:
    """The `weights` that an evaluation of this state uses: an optimizer's averages, where it has some."""
    return weights(state._replace(params=setup.do.parameters(state.opt, state.params)))


def weights(state: State) -> Tensors:
    """{name: tensor}: parameters and buffers, which a network's `load_state_dict` takes, without what is only
    watched; in a fleet with the run axis."""
    twice = sorted(state.params.keys() & state.buffers.keys())
    if twice:
        raise UserError(
            f"a parameter and a buffer are both called {twice[0]!r}, so their weights can't be kept"
        )
    return {**state.params, **{n: b for n, b in state.buffers.items() if not n.startswith(WATCH)}}


class BestSoFar(NamedTuple):
    """The best evaluation so far: its value [R], its step [R], and the weights then."""

    value: Tensor
    step: Tensor
    weights: Tensors


class Keeper:
    """What is kept of a fleet. series: the measured name whose best value decides, empty for the final
    weights.

    Show it every progress of the loop in turn. An evaluation counts if the run lives through the update after
    it, as in the trace; without any that is finite the first one counts.
    """

    def __init__(self, series: str = "", goal: Goal = "max") -> None:
        self.series, self.goal = series, goal
        self._best: BestSoFar | None = None
        self._now: tuple[Setup, Progress] | None = None
        self._seen, self._before = 0, dict[int, Tensors]()

    def __str__(self) -> str:
        return f"best weights by {self.series} ({self.goal})" if self.series else "final weights"

    def see(self, setup: Setup, now: Progress) -> None:
        """Look at the progress before an update, or at the last one."""
        self._now = setup, now
        if not self.series:
            return
        for k, values in now.measured[self._seen :]:
            if any(name.startswith("validation_") for name in values):
                if self.series not in values:
                    raise unknown("measured value", self.series, values)
                self._compare(k, values[self.series], setup, now)
        self._seen = len(now.measured)
        self._before = {now.step: evaluated(setup, now.state)} if now.step in setup.evaluations else {}

    def _compare(self, k: int, value: Tensor, setup: Setup, now: Progress) -> None:
        """Take over the weights of those runs whose evaluation before update k is better than all before."""
        there = self._before[k] if k in self._before else evaluated(setup, now.state)
        value = value.detach().to("cpu", torch.float64)
        if self._best is None:
            self._best = BestSoFar(value, torch.full(value.shape, k), {n: _here(t) for n, t in there.items()})
            return
        old, sign = self._best, 1.0 if self.goal == "max" else -1.0
        ahead = sign * value > sign * old.value
        better = now.alive.cpu() & torch.isfinite(value) & (ahead | ~torch.isfinite(old.value))
        if not better.any():
            return
        taken = {n: _taken(better, t, old.weights[n]) for n, t in there.items()}
        self._best = BestSoFar(torch.where(better, value, old.value), torch.where(better, k, old.step), taken)

    def so_far(self) -> dict[str, Any] | None:
        """What a checkpoint must hold of it: nested mappings of texts and tensors, or None."""
        named = {"series": self.series, "goal": self.goal}
        return {**named, **self._best._asdict()} if self._best else None

    def resume(self, found: Progress, saved: dict[str, Any] | None) -> bool:
        """Go on at a checkpoint's progress with what it held; False where it did not keep the same."""
        if not self.series:
            return True
        if saved is None or (saved["series"], saved["goal"]) != (self.series, self.goal):
            return False
        self._seen = len(found.measured)
        self._best = BestSoFar(saved["value"], saved["step"], saved["weights"])
        return True

    def kept(self) -> list[tuple[int, Tensors]]:
        """(step, weights on the CPU) of each run, in the fleet's order."""
        assert self._now is not None, "nothing was trained"
        setup, now = self._now
        runs, stacked = len(setup.fleet.runs), setup.fleet.rates.dim() > 1
        best = self._best or BestSoFar(
            now.alive, torch.full(now.alive.shape, now.step), evaluated(setup, now.state)
        )
        steps = best.step.reshape(-1).tolist()
        return [
            (steps[r], {n: _here(t[r] if stacked else t) for n, t in best.weights.items()})
            for r in range(runs)
        ]


def _here(t: Tensor) -> Tensor:
    """A copy of its own on the CPU, laid out plainly."""
    return t.detach().to("cpu").clone(memory_format=torch.contiguous_format)


def _taken(better: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """`new` in the rows where it is better, else `old`."""
    if not better.dim():
        return _here(new)
    rows = torch.nonzero(better).reshape(-1)
    return old.index_copy(0, rows, _here(new[rows.to(new.device)]))
