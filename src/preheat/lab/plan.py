"""From missing runs to units of work: fleets by stack key, sized by what was measured.

Units are cut from all runs of a study, whether they have records or not, so that a study that was stopped
continues with the same fleets, and a checkpoint finds its unit again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from preheat.core.canon import digest
from preheat.core.lengths import times_due
from preheat.core.run import Run

START_SECONDS, TRACE_SECONDS = 4.0, 1.0


class Choice(NamedTuple):
    """How runs of one signature are trained: `size` in a fleet (1: alone), eager, traced or compiled, on
    which device.

    seconds: measured per run-step; evaluation_seconds: per run and evaluation; compile_seconds: before the
    first step of each shape; run_bytes: what one run keeps and works on; channels_last: how a single run's
    kernels are laid out.
    """

    size: int
    realise: str
    seconds: float
    compile_seconds: float
    run_bytes: int
    evaluation_seconds: float = 0.0
    device: str = "cpu"
    channels_last: bool = False

    def json(self) -> dict[str, Any]:
        """The choice as JSON data."""
        return self._asdict()

    @property
    def way(self) -> str:
        """How a step is carried out, in words."""
        return f"{self.realise} with channels last" if self.channels_last else self.realise


def fits(choice: Choice, *, mode: str, compile_mode: str, memory: int) -> bool:
    """Whether a choice measured before is among those that are asked for now.

    >>> fits(Choice(8, "traced", 1e-4, 0.0, 1000), mode="fleet", compile_mode="off", memory=7999)
    False
    """
    size = {"single": choice.size == 1, "fleet": choice.size > 1}.get(mode, True)
    realise = {"on": choice.realise == "compiled", "off": choice.realise != "compiled"}.get(
        compile_mode, True
    )
    return size and realise and (choice.size == 1 or choice.size * choice.run_bytes <= memory)


class Unit(NamedTuple):
    """Runs that are trained together, by one worker."""

    runs: tuple[Run, ...]
    choice: Choice

    @property
    def id(self) -> str:
        """The name of its checkpoint: the runs and how they are trained."""
        how = self.choice
        more = [how.device, how.channels_last] if how.device != "cpu" or how.channels_last else []
        return digest([[r.id for r in self.runs], how.realise, how.size > 1, *more])

    @property
    def run_steps(self) -> int:
        """Updates of all its runs together."""
        return len(self.runs) * self.runs[0].total_steps

    @property
    def seconds(self) -> float:
        """The estimate, without compilation."""
        first = self.runs[0]
        evaluations = times_due(first.evaluate, first.total_steps, first.steps_per_epoch) + 2
        return (
            self.run_steps * self.choice.seconds
            + len(self.runs) * evaluations * self.choice.evaluation_seconds
        )


def halves(unit: Unit) -> tuple[Unit, Unit]:
    """The unit in two, each trained as before; a half of one run is trained alone."""
    middle = (len(unit.runs) + 1) // 2
    first, second = (
        Unit(part, unit.choice._replace(size=len(part))) for part in (unit.runs[:middle], unit.runs[middle:])
    )
    return first, second


def groups(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs by stack key, in order of appearance."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(run.stack_key, []).append(run)
    return list(found.values())


def units(runs: Sequence[Run], choose: Callable[[Run], Choice], *, done: Collection[str] = ()) -> list[Unit]:
    """The units of all `runs` that still have something to do, longest first."""
    out = []
    for group in groups(runs):
        choice = choose(group[0])
        for part in _even(group, choice.size):
            missing = tuple(r for r in part if r.id not in done)
            if missing:
                out.append(Unit(missing, choice))
    return sorted(out, key=lambda u: -u.seconds)


def part_count(runs: int, size: int) -> int:
    """Into how many parts of at most `size` a group of `runs` is cut: the fewest, or up to half more if they
    are then equal.

    Every size of a fleet is a shape to trace and to compile.

    >>> part_count(280, 64), part_count(280, 32), part_count(11, 4)
    (5, 10, 3)
    """
    least = math.ceil(runs / size)
    return next((p for p in range(least, least + least // 2 + 1) if runs % p == 0), least)


def _even(group: list[Run], size: int) -> list[list[Run]]:
    """Parts of at most `size` runs, as equal as can be.

    >>> [len(p) for p in _even(list(range(11)), 4)]
    [4, 4, 3]
    """
    parts = part_count(len(group), size)
    base, extra = divmod(len(group), parts)
    cuts = [0]
    for i in range(parts):
        cuts.append(cuts[-1] + base + (i < extra))
    return [group[a:b] for a, b in pairwise(cuts)]


def total_seconds(todo: Sequence[Unit], jobs: int) -> float:
    """The estimated wall time on `jobs` workers: their start, tracing and compiling each shape, and the work.

    Several processes on one GPU share it: together they are taken to be as fast as one.
    """
    share = max(jobs, 1) if all(u.choice.device == "cpu" for u in todo) else 1
    kinds = {(u.choice, len(u.runs)) for u in todo}
    start = START_SECONDS if todo else 0.0
    before = start + sum(TRACE_SECONDS + c.compile_seconds for c, _ in kinds)
    longest = max((u.seconds for u in todo), default=0.0)
    return before + max(sum(u.seconds for u in todo) / share, longest)
