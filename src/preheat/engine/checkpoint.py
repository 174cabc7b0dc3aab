"""A checkpoint is a `Progress` as bytes: state, step and trace. Resumed equals uninterrupted, bitwise on one machine."""

from __future__ import annotations

import io

import torch

from preheat.core.errors import UserError
from preheat.engine.loop import Progress, Setup, begin
from preheat.engine.step import State

FORMAT = 1


def dump(setup: Setup, now: Progress) -> bytes:
    """The progress of a fleet, with the ids of its runs."""
    data = {
        "format": FORMAT,
        "runs": [r.id for r in setup.fleet.runs],
        "step": now.step,
        "state": tuple(now.state),
        "alive": now.alive,
        "losses": now.losses[..., : now.step].clone(),
        "measured": now.measured,
    }
    buffer = io.BytesIO()
    torch.save(data, buffer)
    return buffer.getvalue()


def load(setup: Setup, data: bytes) -> Progress:
    """The progress that `dump` wrote; a checkpoint of other runs or of another format is an error."""
    device = setup.fleet.rates.device
    found = torch.load(io.BytesIO(data), weights_only=True, map_location=device)
    if found["format"] != FORMAT:
        raise UserError(f"a checkpoint of format {found['format']} can't be read: this preheat reads format {FORMAT}")
    if found["runs"] != [r.id for r in setup.fleet.runs]:
        raise UserError("the checkpoint belongs to other runs")
    fresh = begin(setup)
    fresh.losses[..., : found["step"]] = found["losses"]
    return Progress(found["step"], State(*found["state"]), found["alive"], fresh.losses, list(found["measured"]))
