"""Train one unit: from its checkpoint if there is one, to records in the store."""

from __future__ import annotations

import platform
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
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
from preheat.engine.measuring import clock
from preheat.engine.weights import Keeper
from preheat.lab.beginnings import begun_by, hand_over
from preheat.lab.measure import placement
from preheat.lab.plan import Unit, halves
from preheat.schedules.combine.beginning import whole
from preheat.store.blobs import write_atomic
from preheat.store.store import Store

BEAT_SECONDS = 0.2
SAVE_SHARE = 20  # training takes at least so many times as long as writing its checkpoints


class Beat(NamedTuple):
    """What a unit says now and then: run-steps taken since the last beat, and the progress itself."""

    run_steps: int
    progress: Progress


class Stopped(Exception):
    """The unit was asked to stop; its checkpoint is written."""


def complain(text: str) -> None:
    """Say it on stderr."""
    print(text, file=sys.stderr, flush=True)


def train_unit(
    unit: Unit,
    save: Path | None,
    *,
    beat: Callable[[Beat], bool],
    every: float = 20.0,
    warn: Callable[[str], None] = complain,
    keeper: Keeper | None = None,
) -> list[Record]:
    """The records of a unit's runs.

    save: the checkpoint's path, or None for no checkpoints; every: seconds between checkpoints, or more where
    writing one takes long (`SAVE_SHARE`). beat: called a few times a second; what it returns says whether to
    stop, which writes a checkpoint and raises `Stopped`. warn: told when checkpoints can't be written, which
    does not end the training. keeper: what keeps weights of the runs; they are then in it.
    """
    where, keeper = placement(unit.choice), keeper or Keeper()
    setup = set_up(unit.runs, where)
    start = _resume(setup, save, keeper, warn)
    said = saved = time.perf_counter()
    last, well, gap = start.step, True, every
    for now in train(setup, start):
        keeper.see(setup, now)
        tick = time.perf_counter()
        if tick - said < BEAT_SECONDS and now.step < setup.fleet.total:
            continue
        stop = beat(Beat((now.step - last) * len(unit.runs), now))
        said, last = tick, now.step
        if save and now.step < setup.fleet.total and (stop or tick - saved > gap):
            begun = clock(where.device)
            well = _save(
                save, checkpoint.dump(setup, now, kept=keeper.so_far()), now.step, warn if well else None
            )
            saved = time.perf_counter()
            gap = max(every, SAVE_SHARE * (saved - begun))
        if stop and now.step < setup.fleet.total:
            raise Stopped
    if save and now.step == setup.fleet.total and all(whole(run) for run in unit.runs):
        hand_over(save.parent, unit.runs, checkpoint.ends(setup, now))
    return records(setup, now, provenance=provenance(str(where.device), now.seconds, unit))


def _save(save: Path, data: bytes, step: int, warn: Callable[[str], None] | None) -> bool:
    """Whether the checkpoint could be written: without it the work of this unit is at risk, but not yet
    lost."""
    try:
        write_atomic(save, data)
    except UserError as error:
        if warn:
            warn(f"no checkpoint at step {step}, training goes on: {error}")
        return False
    return True


def share_checkpoint(store: Store, unit: Unit) -> None:
    """Give the halves of a fleet what its checkpoint has of their runs; where that fails it stays, and they
    begin anew."""
    whole = store.checkpoint_path(unit.id)
    if not whole.exists():
        return
    with suppress(Exception):
        parts = halves(unit)
        for part, data in zip(parts, checkpoint.split(whole.read_bytes(), len(parts[0].runs)), strict=True):
            write_atomic(store.checkpoint_path(part.id), data)
        whole.unlink(missing_ok=True)


def _resume(setup: Setup, save: Path | None, keeper: Keeper, warn: Callable[[str], None]) -> Progress:
    if save is None:
        return begin(setup)
    if not save.exists():
        there = _begun(setup, save.parent)
        return there if there and keeper.resume(there, None) else begin(setup)
    try:
        data = save.read_bytes()
        found = checkpoint.load(setup, data)
        if keeper.resume(found, checkpoint.kept(data) if keeper.series else None):
            return found
        warn(f"the checkpoint at step {found.step} holds no {keeper}: the training begins anew")
        return begin(setup)
    except UserError:
        raise
    except Exception:  # a damaged checkpoint costs the work since the start, not the study
        save.unlink(missing_ok=True)
        return begin(setup)


def _begun(setup: Setup, folder: Path) -> Progress | None:
    """Where the runs' beginnings ended, if each has one."""
    if found := begun_by(folder, setup.fleet.runs):
        with suppress(Exception):  # one that can't be read costs its own updates
            return checkpoint.begun(setup, found)
    return None


def failed(unit: Unit, reason: str) -> list[Record]:
    """Records that say why the unit's runs could not be trained."""
    whence = provenance(unit.choice.device, 0.0, unit)
    return [Record(r, Status("failed", None, reason), provenance=whence) for r in unit.runs]


def provenance(device: str, seconds: float, unit: Unit) -> dict[str, Any]:
    """Versions, device, commit, and the seconds that the unit took, shared evenly among its runs."""
    return {
        **_versions(),
        "device": f"{device} ({_device_name(device)})",
        "placement": f"{unit.choice.way}, "
        + (f"fleet of {len(unit.runs)}" if unit.choice.size > 1 else "alone"),
        "seconds": round(seconds / len(unit.runs), 6),
    }


def _device_name(device: str) -> str:
    if device.startswith("cuda"):
        with suppress(RuntimeError, AssertionError):  # a GPU that is lost has no name
            return torch.cuda.get_device_name(device)
    return platform.machine()


@lru_cache(maxsize=1)
def _versions() -> dict[str, str]:
    return {
        "preheat": version("preheat"),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "commit": _commit(),
    }


def _commit() -> str:
    """The commit of the source tree that runs, with -dirty if it was changed since; "" for an installed
    package."""
    here = Path(__file__).resolve()

    def git(*args: str) -> str | None:
        command = ["git", "-C", str(here.parent), *args]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    if (
        git("ls-files", "--error-unmatch", str(here)) is None
    ):  # a package that lies in somebody else's repository
        return ""
    dirty = (
        "-dirty" if git("status", "--porcelain", "--untracked-files=no", "--", str(here.parents[1])) else ""
    )
    return f"{git('rev-parse', '--short=12', 'HEAD') or ''}{dirty}"
