"""Weights of trained runs on the disk: written beside the records, and only where the training gave the
record's losses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from safetensors.torch import save

from preheat.core.record import Record
from preheat.core.run import Run
from preheat.core.spec import build
from preheat.engine.keys import generator
from preheat.engine.precision import DTYPES
from preheat.engine.step import State, Tensors
from preheat.engine.weights import Keeper, weights
from preheat.lab.plan import groups
from preheat.store.blobs import write_atomic
from preheat.store.segment import Writer
from preheat.store.store import Store
from preheat.store.weights import Kept, weights_folder, weights_path

# how far losses may lie apart, relative to the record's: rounding differs between placements and adds up
APART = {"float64": 1e-8, "float32": 1e-4, "bf16": 1e-2}


def keeper(kept: Kept | None) -> Keeper | None:
    """What keeps these weights in a training."""
    if kept is None:
        return None
    return Keeper(f"validation_{kept.metric}" if kept.metric else "", kept.goal)


def store_trained(
    found: Sequence[Record], writer: Writer, store: Store, *, kept: Kept | None, kept_by: Keeper | None
) -> list[str]:
    """Append the records of runs that have none, then write the weights of all; what is said of those runs
    whose losses are not those of their record: nothing of them is written."""
    known = store.ids(check=True, among=[r.id for r in found]) if kept else set[str]()
    writer.append([r for r in found if r.id not in known])
    if kept is None or kept_by is None:
        return []
    weights_folder(store.root)
    said = []
    for record, (step, tensors) in zip(found, kept_by.kept(), strict=True):
        why = parted(store.load(record.id), record) if record.id in known else ""
        if why:
            said.append(f"the record of run {record.id} stays, and no weights are kept: {why}")
        else:
            step = step if record.status.step is None else min(step, record.status.step)
            write_atomic(weights_path(store.root, record.id, kept), packed(record.id, tensors, kept, step))
    return said


def packed(run_id: str, tensors: Tensors, kept: Kept, step: int) -> bytes:
    """The safetensors file. Its metadata: the run, which weights, after how many updates."""
    return save(tensors, {"run": run_id, "kept": str(kept), "step": str(step), "format": "pt"})


def parted(old: Record, new: Record) -> str:
    """Where the training losses of a run trained again leave those of its record; empty where they agree."""
    a, b = (np.asarray(r.trace["train_loss"].values, dtype=np.float64) for r in (old, new))
    n = min(len(a), len(b))
    size = np.maximum(np.abs(a[:n]), np.median(np.abs(a))) if n else a[:n]
    far = np.flatnonzero(np.abs(a[:n] - b[:n]) > APART[old.run.precision] * size)
    if not len(far) and old.status == new.status:
        return ""
    where = (
        f"at step {far[0]} it was {a[far[0]]:.6g} and is {b[far[0]]:.6g}"
        if len(far)
        else (f"the run was {_ending(old)} and is {_ending(new)}")
    )
    then, now = (r.provenance.get("placement", "unknown") for r in (old, new))
    room = f"{APART[old.run.precision]:g}"
    return (
        f"its losses must be the record's to {room}, and {where}; it was trained {then} "
        f"and now {now}: train it as it was, or write another --results folder for both"
    )


def _ending(record: Record) -> str:
    step = record.status.step
    return record.status.outcome if step is None else f"{record.status.outcome} at step {step}"


def weight_bytes(runs: Sequence[Run], kept: Kept) -> int:
    """Bytes of the files of all these runs, up to the digits of a step; a task that can't be built counts
    nothing, as its records will say why."""
    return sum(len(runs) * size for runs, size in _sizes(runs, kept))


def _sizes(runs: Sequence[Run], kept: Kept) -> Iterator[tuple[Sequence[Run], int]]:
    for group in groups(runs):
        first = group[0]
        try:
            params, buffers = build("task", first.task).init(generator(first.seed, "init"))
        except Exception:
            continue
        dtype = DTYPES[first.precision]
        held = weights(State(params, buffers, {}))
        cast = {
            n: torch.empty_like(t, dtype=dtype if t.is_floating_point() else t.dtype) for n, t in held.items()
        }
        yield group, len(packed(first.id, cast, kept, first.total_steps))
