"""Progress on a terminal or in a notebook (one line, redrawn) or in a log (a line now and then)."""

from __future__ import annotations

import sys
import time
from typing import TextIO

TERMINAL_SECONDS, LOG_SECONDS = 0.1, 10.0


class Bar:
    """Share of the work, runs done, runs done per second, time left. work: run-steps, the measure of share
    and time left."""

    def __init__(self, runs: int, work: int, out: TextIO | None = None) -> None:
        self.out = out or (sys.stdout if _notebook(sys.stdout) else sys.stderr)  # a notebook's stderr is red
        self.runs, self.work = runs, max(work, 1)
        self.terminal = _notebook(self.out) or self.out.isatty()
        # a notebook knows no code that clears a line: what was longer is written over
        self.wipe, self.width = ("\r", 100) if _notebook(self.out) else ("\r\033[K", 0)
        self.done = self.taken = self.diverged = self.failed = 0
        self.begun = self.said = time.monotonic()
        self.first: tuple[float, int] | None = (
            None  # when work first came in, and how much: starting up is not a rate
        )

    def add(self, *, work: int = 0, runs: int = 0, diverged: int = 0, failed: int = 0) -> None:
        """Count what was done, and draw if it is time to."""
        self.taken += work
        if work and self.first is None:
            self.first = (time.monotonic(), self.taken)
        self.done += runs
        self.diverged += diverged
        self.failed += failed
        if time.monotonic() - self.said >= (TERMINAL_SECONDS if self.terminal else LOG_SECONDS):
            self.draw()

    def note(self, text: str) -> None:
        """A line of its own."""
        self.out.write(f"{self.wipe if self.terminal else ''}{text.ljust(self.width)}\n")
        self.out.flush()

    def draw(self) -> None:
        """Draw now."""
        self.said = time.monotonic()
        text = self.text(self.said - self.begun)
        self.out.write(f"{self.wipe}{text.ljust(self.width)}" if self.terminal else f"{text}\n")
        self.out.flush()

    def text(self, seconds: float) -> str:
        """The line after so many seconds."""
        share = min(self.taken / self.work, 1.0)
        bar = f"[{'#' * round(20 * share):.<20}] " if self.terminal else ""
        ill = {"diverged": self.diverged, "failed": self.failed}
        runs = ", ".join([f"{self.done}/{self.runs} runs", *(f"{n} {how}" for how, n in ill.items() if n)])
        rate = f"  {rounded(self.done / seconds)} runs/s" if self.done and seconds > 0 else ""
        return f"{bar}{share:4.0%}  {runs}{rate}  {clock(seconds)} so far, {self._left()} left"

    def _left(self) -> str:
        """The time left at the rate since the first work came in."""
        if self.first is None or self.taken <= self.first[1]:
            return "?"
        rate = (self.taken - self.first[1]) / max(time.monotonic() - self.first[0], 1e-9)
        return clock(max(self.work - self.taken, 0) / rate)

    def end(self) -> None:
        """The last line, at 100 % if all is done."""
        if self.done >= self.runs:
            self.taken = self.work
        self.draw()
        if self.terminal:
            self.out.write("\n")


def _notebook(out: TextIO) -> bool:
    return type(out).__module__.startswith("ipykernel.")


def rounded(rate: float) -> str:
    """A rate with two digits at least.

    >>> rounded(312.04), rounded(12.04), rounded(0.0312)
    ('312', '12', '0.031')
    """
    return f"{rate:.0f}" if rate >= 10 else f"{rate:.2g}"


def clock(seconds: float) -> str:
    """Seconds in words.

    >>> clock(7.2), clock(75), clock(7300)
    ('7 s', '1 min 15 s', '2 h 01 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
