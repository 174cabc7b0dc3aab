"""From a finished training to one record a run."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from preheat.core.canon import finite
from preheat.core.record import Record, Series, Status
from preheat.engine.loop import Progress, Setup

ACCURACY = "accuracy"  # watched in training, its mean over the last epoch stands in the summary


def records(setup: Setup, end: Progress, *, provenance: Mapping[str, Any] | None = None) -> list[Record]:
    """One record for each run of the fleet, in its order.

    To the provenance it adds `probe_seconds`, where there are probes: the fleet's, shared evenly among its
    runs; and where the data came from, if the task says so.
    """
    if end.step < setup.fleet.total and bool(end.alive.any()):
        raise ValueError(
            f"training stopped at step {end.step} of {setup.fleet.total}: an unfinished run has no record"
        )
    losses = end.losses.detach().cpu().reshape(len(setup.fleet.runs), -1)
    broken = _broken(end, len(setup.fleet.runs))
    whence = {**(provenance or {}), **_whence(setup, end)}
    return [_record(setup, end, r, losses[r], broken[r], whence) for r in range(len(setup.fleet.runs))]


def _whence(setup: Setup, end: Progress) -> dict[str, Any]:
    return {
        **setup.fleet.origin,
        **({"probe_seconds": round(end.probing / len(setup.fleet.runs), 6)} if setup.probes else {}),
    }


def _broken(end: Progress, runs: int) -> list[bool]:
    """[R]: whether any final parameter is not finite, which the last loss can't show."""
    bad = torch.zeros(runs, dtype=torch.bool)
    for p in end.state.params.values():
        bad |= ~torch.isfinite(p).reshape(runs, -1).all(1).cpu()
    return [bool(b) for b in bad]


def _record(
    setup: Setup, end: Progress, r: int, losses: Tensor, broken: bool, provenance: Mapping[str, Any]
) -> Record:
    fleet = setup.fleet
    bad = torch.nonzero(~torch.isfinite(losses[: end.step]))
    last = int(bad[0]) if len(bad) else fleet.total
    stop = last if broken or len(bad) else None
    kind = array("d" if losses.dtype == torch.float64 else "f").typecode
    each_step = {"loss": losses, **{n: t.reshape(len(fleet.runs), -1)[r] for n, t in end.watched.items()}}
    trace = {
        f"train_{n}": Series(array("q", range(last)), array(kind, t[:last].tolist()))
        for n, t in each_step.items()
    }
    trace |= _series(end, r, last if stop is None else last - 1, kind)
    summary: dict[str, float | None] = {"total_steps": fleet.total, "steps_per_epoch": fleet.per_epoch}
    summary |= {f"chance_{n}": v for n, v in fleet.task.chance().items()}
    if stop is None:
        tail = losses[-fleet.per_epoch :]
        summary["train_loss"] = float(tail.mean())
        if ACCURACY in each_step:
            summary[f"train_{ACCURACY}"] = finite(each_step[ACCURACY][-fleet.per_epoch :].double().mean())
        summary |= {n: finite(pick(v, r)) for n, v in end.measured[-1][1].items()}
    status = Status("done") if stop is None else Status("diverged", stop)
    return Record(fleet.runs[r], status, trace, summary, provenance)


def _series(end: Progress, r: int, last: int, kind: str) -> dict[str, Series]:
    """Everything measured up to step `last`, by name; the test metrics of the end are in the summary only."""
    out: dict[str, Series] = {}
    for k, values in end.measured:
        for name, value in values.items():
            if k <= last and not (k == end.step and name.startswith("test_")):
                series = out.setdefault(name, Series(array("q"), array(kind)))
                series.steps.append(k)
                series.values.append(pick(value, r))
    return out


def pick(value: Tensor, r: int) -> float:
    """A measured number of run `r`: a fleet has one for each of its runs."""
    return float(value[r] if value.dim() else value)
