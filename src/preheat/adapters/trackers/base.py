"""What a tracker is: somebody who is told how runs go, while they train or afterwards.

    @TRACKERS.register("mine")
    @dataclass(frozen=True)
    class Mine(Tracker):
        def open(self, project, folder): ...

`--track mine:mode` builds it with that mode, and `preheat export NAME --to mine` tells it the records. It
lives in the process that plans and writes; workers never import one. `open` imports the package that it
needs, and gives a `Listener`. What a listener raises drops it, with a note, and never stops a run.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol


class HasId(Protocol):
    """A run, or somebody's own training that has an id."""

    @property
    def id(self) -> str:
        """What tells it from all others: letters, digits and -."""
        ...


class Told(NamedTuple):
    """A run as trackers show it. group: of its settings, the same for all its seeds; name: the group with the
    seed; settings: flat, {path: value}; per_epoch: updates in an epoch, 0 where nobody knows; tags: short
    words by which runs are found."""

    run: HasId
    group: str
    name: str
    settings: Mapping[str, Any]
    per_epoch: int
    tags: tuple[str, ...] = ()


class Listener(ABC):
    """An open tracker. All methods are called from one thread, that of `open`, and may take as long as they
    must."""

    @abstractmethod
    def begin(self, one: Told) -> None:
        """A run begins, or goes on."""

    @abstractmethod
    def log(self, run_id: str, step: int, values: Mapping[str, float]) -> None:
        """Values after `step` updates; steps of a run rise. A value may be NaN or infinite."""

    @abstractmethod
    def end(self, run_id: str, outcome: str, summary: Mapping[str, Any]) -> None:
        """A run is over: done, diverged or failed; summary: {name: number or None}."""

    @abstractmethod
    def close(self) -> None:
        """No more is told. Runs that are not over stay unfinished."""


@dataclass(frozen=True)
class Tracker(ABC):
    """A registered tracker. mode: what stands after the colon, "" for its own default; a tracker's class says
    which there are."""

    mode: str = ""

    @abstractmethod
    def open(self, project: str, folder: Path) -> Listener:
        """Begin to listen. project: the study's name; folder: where local files go, made where it is not
        there. Errors: UserError where its package is not installed, which says how to install it, and for an
        unknown mode; whatever else the package raises."""
