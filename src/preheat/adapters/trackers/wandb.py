"""Weights & Biases as a tracker: each run a W&B run, dozens of them open in one process."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preheat.adapters.trackers.base import Listener, Told, Tracker
from preheat.adapters.trackers.packages import cut, not_installed, numbers, with_epoch
from preheat.core.errors import unknown
from preheat.core.registry import TRACKERS

MODES = ("online", "offline", "disabled")
ROOM = 2**20  # bytes that must be free: on a full disk W&B loses rows and raises nothing
NAME_CHARACTERS, TAG_CHARACTERS = 128, 64  # what the server takes
PATIENCE = 30  # seconds for a run to begin, and for what is left of it to arrive when it ends


@TRACKERS.register("wandb", label="Weights & Biases")
@dataclass(frozen=True)
class Wandb(Tracker):
    """Weights & Biases: its server, or files for a later upload.

    Modes: online, offline, disabled; without one, that of `WANDB_MODE`, else online. A mode that is written
    wins over `WANDB_MODE`, as in `wandb.init(mode=...)`. Files lie in `wandb/` in the folder, or in
    `WANDB_DIR`. `WANDB_ENTITY`, `WANDB_BASE_URL` and `WANDB_API_KEY` are read as ever.

    online needs a key (`wandb login`, or `WANDB_API_KEY`) and never asks for one. offline needs neither key
    nor network; `wandb sync` uploads the runs later, from the folder that holds `wandb/`.

    Project: the study's name. Runs have the id of their record, a group, tags, and their settings as config;
    a name or group of more than 128 characters loses its middle. The step is the number of updates; `epoch`
    is logged with it. A run that diverged or failed ends as failed, and `outcome` in its summary says which.
    A run that is interrupted is left as preempted, and goes on under its id; offline that is a second folder
    of the same id. The Stop button of the web page does not stop a run. Machine statistics, code and console
    output are not sent.
    """

    def __post_init__(self) -> None:
        if self.mode and self.mode not in MODES:
            raise unknown("mode of tracker wandb", self.mode, MODES)

    def open(self, project: str, folder: Path) -> Listener:
        mode = self.mode or os.environ.get("WANDB_MODE") or "online"
        if mode not in MODES:
            raise unknown("WANDB_MODE", mode, MODES)
        try:
            import wandb
        except ImportError as error:
            raise not_installed("wandb", error)
        home = Path(os.environ.get("WANDB_DIR") or folder)
        home.mkdir(parents=True, exist_ok=True)
        if mode == "online" and wandb.run is None:  # an active run of the user's is logged in already
            wandb.setup(wandb.Settings(mode=mode))  # login looks for no key where WANDB_MODE is offline
            if not wandb.login(prompt=False):
                text = "no API key was found: run wandb login, set WANDB_API_KEY, or write wandb:offline"
                raise wandb.errors.UsageError(text)  # no UserError: training goes on without this tracker
        return _Runs({"project": project, "mode": mode, "dir": str(home), "settings": _settings(wandb)})


def _settings(wandb: Any) -> Any:
    """Quiet, nothing sent but what is told, and nobody waits for ever."""
    return wandb.Settings(
        silent=True,
        console="off",
        init_timeout=PATIENCE,
        finish_timeout=PATIENCE,
        finish_timeout_raises=True,
        stop_fn=lambda: None,  # or W&B would interrupt this process
        save_code=False,
        disable_code=True,
        disable_git=True,
        x_disable_stats=True,
        x_disable_meta=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
    )


@dataclass
class _Open:
    """run: W&B's; free: the least step that it still takes."""

    run: Any
    per_epoch: int
    free: int


class _Runs(Listener):
    """shared: what `wandb.init` is given for every run."""

    def __init__(self, shared: Mapping[str, Any]) -> None:
        self._shared = shared
        self._open: dict[str, _Open] = {}

    def begin(self, one: Told) -> None:
        import wandb

        if one.run.id in self._open:
            return
        run = wandb.init(
            id=one.run.id,
            resume="allow",
            reinit="create_new",  # beside the others that are open
            name=cut(one.name, NAME_CHARACTERS),
            group=cut(one.group, NAME_CHARACTERS),
            tags=[cut(tag, TAG_CHARACTERS) for tag in one.tags],
            config=dict(one.settings),
            **self._shared,
        )
        self._open[one.run.id] = _Open(run, one.per_epoch, run.starting_step)

    def log(self, run_id: str, step: int, values: Mapping[str, float]) -> None:
        self._room()
        one = self._open[run_id]
        if step >= one.free:  # the server has what was told before the run was interrupted
            one.run.log(with_epoch(values, step, one.per_epoch), step=step, commit=True)
            one.free = step + 1

    def end(self, run_id: str, outcome: str, summary: Mapping[str, Any]) -> None:
        run = self._open.pop(run_id).run
        run.summary.update({**numbers(summary), "outcome": outcome})
        run.finish(exit_code=0 if outcome == "done" else 1)
        self._room()

    def close(self) -> None:
        while self._open:
            run = self._open.popitem()[1].run
            run.mark_preempting()
            run.finish(exit_code=1)

    def _room(self) -> None:
        home, mode = self._shared["dir"], self._shared["mode"]
        if mode != "disabled" and shutil.disk_usage(home).free < ROOM:
            raise OSError(errno.ENOSPC, "W&B has no room: less than 1 MiB is free", home)
