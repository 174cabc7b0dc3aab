"""What is new of the runs of a unit since its last beat, for whoever listens while they train."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import torch
from torch import Tensor

from preheat.core.record import Series
from preheat.core.run import Run
from preheat.core.telling import EACH, News, Windows, news
from preheat.engine.finish import pick
from preheat.engine.loop import Progress


class Newsreel:
    """Gives what is new of `runs` at each beat; `core.telling` says what is told.

    A step is told when the next update is taken, so that it is told once. What a run that diverged has left
    to tell its record tells.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs, self.span = runs, Windows(runs[0].total_steps, runs[0].steps_per_epoch)
        self._ends = [self.span.total + 1] * len(runs)  # where each stops being finite
        self._looked = 0

    def since(self, step: int, now: Progress) -> list[News]:
        """What is told of steps from `step` on, before that of the progress; at the end that one too."""
        until = now.step + 1 if now.step == self.span.total else now.step
        losses = now.losses.detach().reshape(len(self.runs), -1)
        self._look(losses, now.step)
        ends = self.span.ends(step, until)
        begin = self.span.begins(ends[0]) if ends else now.step
        watched = {n: t.reshape(len(self.runs), -1) for n, t in now.watched.items()}
        each = {n: t[:, begin : now.step].cpu() for n, t in {"loss": losses, **watched}.items()}
        found: list[News] = []
        for r, run in enumerate(self.runs):
            last = min(until, self._ends[r])
            if step < last:
                trace = {f"{EACH}{n}": _series(begin, t[r]) for n, t in each.items()} if ends else {}
                found += news(run, trace | self._measured(now, r, step), self.span, since=step, until=last)
        return found

    def _look(self, losses: Tensor, until: int) -> None:
        """Find which runs have diverged since the last look, and where."""
        bad = ~torch.isfinite(losses[:, self._looked : until]).cpu()
        for r in torch.nonzero(bad.any(1)).flatten().tolist():
            at = self._looked + int(torch.nonzero(bad[r])[0])
            self._ends[r] = min(self._ends[r], at)
        self._looked = until

    def _measured(self, now: Progress, r: int, since: int) -> dict[str, Series]:
        """What was evaluated and probed from step `since` on; test metrics are in the summary alone."""
        out: dict[str, Series] = {}
        for k, values in reversed(now.measured):
            if k < since:
                break
            for name, value in values.items():
                if not (k == self.span.total and name.startswith("test_")):
                    series = out.setdefault(name, Series(array("q"), array("d")))
                    series.steps.append(k)
                    series.values.append(pick(value, r))
        return out


def _series(begin: int, values: Tensor) -> Series:
    return Series(array("q", range(begin, begin + len(values))), array("d", values.tolist()))
