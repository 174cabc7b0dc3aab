"""What follows when a unit failed: decided here, once, without touching anything."""

from __future__ import annotations

from preheat.lab.plan import Unit, halves


def after(unit: Unit, text: str, tries: int, *, memory: bool) -> tuple[tuple[Unit, ...], str]:
    """(what is tried in its place, what is said); with nothing left to try it is recorded as failed.

    A fleet is tried run by run, so that the run at fault is named, or in halves where memory ran out; a run
    alone once more. text: the error; tries: how often the unit has failed, with this time.
    """
    text = _too_much(unit, text) if memory else text
    if len(unit.runs) > 1 and memory:
        return halves(unit), text
    if len(unit.runs) > 1:
        alone = unit.choice._replace(size=1, realise="eager")
        return tuple(Unit((run,), alone) for run in unit.runs), text
    return (unit,) if tries < 2 else (), text


def _too_much(unit: Unit, text: str) -> str:
    """What is said where memory ran out, and what is done about it or what to write instead."""
    if len(unit.runs) > 1:
        first, second = (len(half.runs) for half in halves(unit))
        return f"out of memory with {len(unit.runs)} runs together: going on with {first} and {second}"
    run, device = unit.runs[0], unit.choice.device
    half = "" if run.precision == "bf16" else " or precision bf16"
    smaller = f"write a smaller batch_size (it is {run.batch_size}){half}"
    return f"out of memory with one run alone on {device}: {smaller} ({text})"
