"""A plan carried out under a progress bar, for a person who waits."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from preheat.core.progress import Bar
from preheat.lab.hearing import Hearer, Hearing
from preheat.lab.study import How, Todo, carry_out


def follow(made: Todo, root: Path, how: How, *, again: str, hearer: Hearer | None = None) -> int:
    """Carry out a plan under a progress bar; the number of runs that failed or whose weights could not be
    kept.

    again: what continues it, told when Ctrl-C stops it, which is raised once every unit has its checkpoint.
    hearer: who is told how the runs go while they train.
    """
    hearing = Hearing(made, root, hearer) if hearer else None
    how = replace(how, told=True) if hearing else how
    bar, unkept = Bar(sum(len(u.runs) for u in made.units), sum(u.run_steps for u in made.units)), 0
    told: Counter[tuple[str, str, str]] = Counter()
    with closing(carry_out(made, root, how)) as events:
        try:
            for event in events:
                if hearing:
                    hearing.hear(event)
                    for note in hearing.notes():
                        bar.note(note)
                unkept += event.kind == "unkept"
                if event.kind in ("retry", "failed", "unkept"):
                    others = " and others" if len(event.unit.runs) > 1 else ""
                    told[said := (event.kind, others, event.text)] += 1
                    if told[said] == 1:
                        bar.note(f"{event.kind}: {event.unit.runs[0]}{others}: {event.text}")
                failed = event.runs if event.kind == "failed" else 0
                bar.add(work=event.run_steps, runs=event.runs, diverged=event.diverged, failed=failed)
        except KeyboardInterrupt:
            bar.note(f"stopped: what was trained is kept. To continue: {again}")
            raise
    if hearing:
        hearing.end()
        for note in hearing.notes():
            bar.note(note)
    if bar.runs:
        bar.end()
    for (kind, _, text), runs in told.items():
        if kind == "failed" and runs > 1:
            bar.note(f"failed: {runs:,} runs for the same reason: {text}")
    return bar.failed + unkept
