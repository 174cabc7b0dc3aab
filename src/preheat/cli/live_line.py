"""The line that `preheat run` draws while it trains."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from preheat.core.progress import LOG_SECONDS, TERMINAL_SECONDS
from preheat.core.run import Run

if TYPE_CHECKING:
    from preheat.adapters.trackers.tracking import Tracking
    from preheat.engine.loop import Progress
    from preheat.lab.telling import Newsreel
    from preheat.lab.unit import Beat


class LiveLine:
    """The live line of loss and rate; a hearer is told what is new."""

    def __init__(self, one: Run, hearer: Tracking | None = None) -> None:
        self.one, self.terminal, self.said, self.hearer = one, sys.stderr.isatty(), 0.0, hearer
        self.reel: Newsreel | None = None

    def hear(self, beat: Beat) -> bool:
        """A beat of the training; False."""
        if self.hearer:
            from preheat.lab.telling import Newsreel

            self.reel = self.reel or Newsreel([self.one])
            now = beat.progress
            self.hearer.log(self.reel.since(now.step - beat.run_steps, now))
            for note in self.hearer.notes():
                self.end()
                print(note, file=sys.stderr)
        return self.draw(beat.progress)

    def draw(self, now: Progress) -> bool:
        """Draw if it is time to; False."""
        one, clock_now = self.one, time.perf_counter()
        if now.step and (
            clock_now - self.said > (TERMINAL_SECONDS if self.terminal else LOG_SECONDS)
            or now.step == one.total_steps
        ):
            self.said, k = clock_now, now.step - 1
            place = f"step {now.step}/{one.total_steps}  epoch {now.step / one.steps_per_epoch:.1f}"
            ruled = now.watched.get("learning_rate")  # where a rate rule decides on it
            rate = one.peak_lr * one.factor(k) if ruled is None else float(ruled[k])
            text = f"{place}  loss {float(now.losses[k]):.4f}  rate {rate:.3g}"
            sys.stderr.write(f"\r\033[K{text}" if self.terminal else f"{text}\n")
            sys.stderr.flush()
        return False

    def end(self) -> None:
        """Leave the line."""
        if self.terminal:
            sys.stderr.write("\n")
