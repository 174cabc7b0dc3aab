"""A checkpoint is a `Progress` as bytes: state, step and trace. Resumed equals uninterrupted, bitwise on one
machine."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from preheat.core.errors import UserError
from preheat.engine.loop import Progress, Setup, begin
from preheat.engine.step import State, Tensors

FORMAT = 3  # 1 had neither what is watched nor seconds, 2 neither rate rules nor memory


def dump(setup: Setup, now: Progress, *, kept: Mapping[str, Any] | None = None) -> bytes:
    """The progress of a fleet, with the ids of its runs, and the weights kept so far."""
    data = {
        "format": FORMAT,
        "runs": [r.id for r in setup.fleet.runs],
        "origin": dict(setup.fleet.origin),
        "step": now.step,
        "state": tuple(now.state),
        "alive": now.alive,
        "losses": now.losses[..., : now.step].clone(),
        "measured": now.measured,
        "watched": {n: t[..., : now.step].clone() for n, t in now.watched.items()},
        "memory": now.memory,
        "probing": now.probing,
        "seconds": now.seconds,
        **({"kept": dict(kept)} if kept else {}),
    }
    buffer = io.BytesIO()
    torch.save(data, buffer)
    return buffer.getvalue()


def load(setup: Setup, data: bytes) -> Progress:
    """The progress that `dump` wrote; a checkpoint of other runs or of another format is an error."""
    device = setup.fleet.rates.device
    found = torch.load(io.BytesIO(data), weights_only=True, map_location=device)
    if found["format"] not in range(1, FORMAT + 1):
        raise UserError(
            f"a checkpoint of format {found['format']} can't be read: this preheat reads formats 1 to "
            f"{FORMAT}"
        )
    if found["runs"] != [r.id for r in setup.fleet.runs]:
        raise UserError("the checkpoint belongs to other runs")
    if found.get("origin", setup.fleet.origin) != setup.fleet.origin:
        raise UserError(
            f"a run is trained on one set of data: its checkpoint is of {found['origin']}, here is "
            f"{dict(setup.fleet.origin)}; bring the data back, or write another --results folder"
        )
    fresh, step = begin(setup), found["step"]
    watched = found.get("watched", {})
    if watched.keys() != fresh.watched.keys():
        raise UserError(
            f"the checkpoint holds {_names(watched)} of each step, and the task watches "
            f"{_names(fresh.watched)}: delete it"
        )
    for series, saved in [
        (fresh.losses, found["losses"]),
        *((t, watched[n]) for n, t in fresh.watched.items()),
    ]:
        series[..., :step] = saved
    given = (*found["state"], *tuple(fresh.state)[len(found["state"]) :])
    return fresh._replace(
        step=step,
        state=State(*pytree.tree_map(_as_laid_out, tuple(fresh.state), given)),
        alive=found["alive"],
        measured=list(found["measured"]),
        memory=found.get("memory", {}),
        probing=found.get("probing", 0.0),
        seconds=found.get("seconds", 0.0),
    )


def kept(data: bytes) -> dict[str, Any] | None:
    """What a checkpoint holds of kept weights, on the CPU; None where none were kept."""
    found = torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
    held: dict[str, Any] | None = found.get("kept")
    return held


def _names(watched: Tensors) -> str:
    return ", ".join(["loss", *watched])


def _as_laid_out(here: Tensor, saved: Tensor) -> Tensor:
    """The saved numbers in memory as they lie at this placement."""
    return saved if saved.stride() == here.stride() else torch.empty_like(here).copy_(saved)


def split(data: bytes, at: int) -> tuple[bytes, bytes]:
    """The checkpoint of a fleet as that of its first `at` runs and that of the rest, which are then trained
    apart."""
    found = torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
    return _part(found, slice(0, at)), _part(found, slice(at, None))


def ends(setup: Setup, end: Progress) -> list[bytes]:
    """What each run of a fleet that is over ended with, for a longer run that it is the beginning of: the
    state before its next update, without the evaluation at its end."""
    whole = dump(setup, end._replace(measured=[m for m in end.measured if m[0] < setup.fleet.total]))
    found = torch.load(io.BytesIO(whole), weights_only=True, map_location="cpu")
    n = len(setup.fleet.runs)
    return [whole] if n == 1 else [_part(found, slice(r, r + 1)) for r in range(n)]


def begun(setup: Setup, beginnings: Sequence[bytes]) -> Progress:
    """The progress of a fleet at which the beginnings of its runs ended, one of each, all at one step."""
    found = [torch.load(io.BytesIO(data), weights_only=True, map_location="cpu") for data in beginnings]
    if len({f["step"] for f in found}) > 1 or found[0]["step"] >= setup.fleet.total:
        raise UserError("beginnings of runs that go on together must end at one step")
    if any(f["origin"] != found[0]["origin"] for f in found):
        raise UserError("beginnings of runs that go on together must be of one set of data")
    joined = found[0]
    if len(found) > 1:
        joined = pytree.tree_map(lambda *some: _joined(some), *found)
    runs = [r.id for r in setup.fleet.runs]
    seconds = sum(f.get("seconds", 0.0) for f in found)
    buffer = io.BytesIO()
    torch.save({**joined, "runs": runs, "seconds": seconds}, buffer)
    return load(setup, buffer.getvalue())


def _joined(some: Sequence[Any]) -> Any:
    return torch.stack(list(some)) if isinstance(some[0], Tensor) else some[0]


def _part(found: dict[str, Any], rows: slice) -> bytes:
    """A run that is left alone has no run axis; seconds are shared evenly."""
    runs = found["runs"][rows]
    share = len(runs) / len(found["runs"])

    def pick(t: Tensor) -> Tensor:
        return (t[rows][0] if len(runs) == 1 else t[rows]).clone()

    spent = {n: found[n] * share for n in ("probing", "seconds") if n in found}
    buffer = io.BytesIO()
    torch.save({**pytree.tree_map_only(Tensor, pick, found), "runs": runs, **spent}, buffer)
    return buffer.getvalue()
