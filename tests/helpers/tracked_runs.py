"""Runs as trackers are told of them, and two of them told in turn."""

from __future__ import annotations

from math import inf, nan
from types import SimpleNamespace

from preheat.adapters.trackers.base import Told

SETTINGS = {"optimizer.lr": 0.1, "schedule.warmup": "5%", "clip norm (L2)": None, "probes": ["edge"]}
VALUES = {0: {"loss": 2.5}, 10: {"loss": nan, "val_loss": inf}, 20: {"loss": 0.5, "val_loss": -inf}}


def told(run_id="a1b2", name="cosine s0", **changes):
    """A run as a tracker is told of it: 20 updates in an epoch."""
    fields = {"group": "cosine", "settings": SETTINGS, "per_epoch": 20, "tags": ("digits", "adamw")}
    return Told(run=SimpleNamespace(id=run_id), name=name, **(fields | changes))


def tell_two(listener):
    """Two runs that train together: one is done, the other diverges."""
    listener.begin(told("a1b2", "cosine s0"))
    listener.begin(told("c3d4", "cosine s1"))
    for step, values in VALUES.items():
        listener.log("a1b2", step, values)
        listener.log("c3d4", step, {"loss": values["loss"] + 1})
    listener.end("a1b2", "done", {"best": 0.5, "reached": None})
    listener.end("c3d4", "diverged", {"best": 1.5})
    listener.close()
