"""Train one unit: from its checkpoint if there is one, to records in the store."""

from __future__ import annotations

import platform
import subprocess
import time
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import torch

from preheat.core.errors import UserError
from preheat.core.record import Record, Status
from preheat.engine import checkpoint
from preheat.engine.finish import records
from preheat.engine.loop import Progress, Setup, begin, set_up, train
from preheat.engine.placement import Placement
from preheat.lab.measure import placement
from preheat.lab.plan import Unit
from preheat.store.blobs import write_atomic

BEAT_SECONDS = 0.2


class Beat(NamedTuple):
    """What a unit says now and then: run-steps taken since the last beat, and the progress itself."""

    run_steps: int
    progress: Progress


class Stopped(Exception):
    """The unit was asked to stop; its checkpoint is written."""


def train_unit(
    unit: Unit, save: Path | None, *, beat: Callable[[Beat], bool], every: float = 20.0, where: Placement | None = None
) -> list[Record]:
    """The records of a unit's runs.

    save: the checkpoint's path, or None for no checkpoints; every: seconds between checkpoints. beat: called a few
    times a second; what it returns says whether to stop, which writes a checkpoint and raises `Stopped`.
    where: the placement, if not the one that the unit's choice names.
    """
    where = where or placement(unit.choice)
    setup = set_up(unit.runs, where)
    start = _resume(setup, save)
    begun = said = saved = time.perf_counter()
    last = start.step
    for now in train(setup, start):
        clock = time.perf_counter()
        if clock - said < BEAT_SECONDS and now.step < setup.fleet.total:
            continue
        stop = beat(Beat((now.step - last) * len(unit.runs), now))
        said, last = clock, now.step
        if save and now.step < setup.fleet.total and (stop or clock - saved > every):
            write_atomic(save, checkpoint.dump(setup, now))
            saved = time.perf_counter()
        if stop and now.step < setup.fleet.total:
            raise Stopped
    return records(setup, now, provenance(str(where.device), time.perf_counter() - begun, unit))


def _resume(setup: Setup, save: Path | None) -> Progress:
    if save is None or not save.exists():
        return begin(setup)
    try:
        return checkpoint.load(setup, save.read_bytes())
    except UserError:
        raise
    except Exception:  # a damaged checkpoint costs the work since the start, not the study
        save.unlink(missing_ok=True)
        return begin(setup)


def failed(unit: Unit, reason: str) -> list[Record]:
    """Records that say why the unit's runs could not be trained."""
    return [Record(r, Status("failed", None, reason), provenance=provenance("cpu", 0.0, unit)) for r in unit.runs]


def provenance(device: str, seconds: float, unit: Unit) -> dict[str, Any]:
    """Versions, device, commit, and the seconds that the unit took, shared evenly among its runs."""
    name = torch.cuda.get_device_name() if device.startswith("cuda") else platform.machine()
    return {
        **_versions(),
        "device": f"{device} ({name})",
        "placement": f"{unit.choice.realise}, fleet of {len(unit.runs)}"
        if unit.choice.size > 1
        else f"{unit.choice.realise}, alone",
        "seconds": round(seconds / len(unit.runs), 6),
    }


@lru_cache(maxsize=1)
def _versions() -> dict[str, str]:
    return {"preheat": version("preheat"), "torch": torch.__version__, "python": platform.python_version(), "commit": _commit()}


def _commit() -> str:
    """The commit of the source tree that runs, with -dirty if it was changed since; "" for an installed package."""
    here = Path(__file__).resolve()

    def git(*args: str) -> str | None:
        command = ["git", "-C", str(here.parent), *args]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    if git("ls-files", "--error-unmatch", str(here)) is None:  # a package that lies in somebody else's repository
        return ""
    dirty = "-dirty" if git("status", "--porcelain", "--untracked-files=no", "--", str(here.parents[1])) else ""
    return f"{git('rev-parse', '--short=12', 'HEAD') or ''}{dirty}"
