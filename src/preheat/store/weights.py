"""Kept weights: a safetensors file for each run, beside the records.

    <root>/weights/<id>.final.safetensors
    <root>/weights/<id>.best-max-accuracy.safetensors

They are no part of a run or its record: they can be removed, and trained again.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from preheat.core.errors import explain, unknown
from preheat.core.metrics import Goal
from preheat.store.blobs import sweep

Which = Literal["final", "best"]
FOLDER, SUFFIX = "weights", ".safetensors"


class Kept(NamedTuple):
    """Which weights of a run are kept: the final ones, or the best: those at the evaluation with the best
    `validation_<metric>`, of equal ones the first.

    >>> str(Kept("final")), Kept("best", "loss", "min").file("3f2a")
    ('final weights', '3f2a.best-min-loss.safetensors')
    """

    which: Which
    metric: str = ""
    goal: Goal = "max"

    @classmethod
    def of(cls, which: str, metric: str, goal: str) -> Kept | None:
        """What an option says, empty for none. Errors: UserError for another word."""
        if which not in ("", *get_args(Which)):
            raise unknown("choice of weights", which, get_args(Which))
        if which != "best":
            return cls("final") if which else None
        return cls("best", metric, "min" if goal == "min" else "max")

    def __str__(self) -> str:
        of = f" by validation_{self.metric} ({self.goal})" if self.metric else ""
        return f"{self.which} weights{of}"

    def file(self, run_id: str) -> str:
        """The file's name; the metric and its goal are in it, since two studies may share a run."""
        metric = re.sub(r"[^\w.-]", "-", self.metric, flags=re.ASCII)
        return f"{run_id}.{self.which}{f'-{self.goal}-{metric}' if metric else ''}{SUFFIX}"


def weights_path(root: Path, run_id: str, kept: Kept) -> Path:
    """Where the weights of a run lie, there or not."""
    return root / FOLDER / kept.file(run_id)


def without_weights(root: Path, ids: Iterable[str], kept: Kept | None) -> set[str]:
    """Those of the runs `ids` whose weights are wanted and not there; none where none are wanted."""
    return {i for i in ids if not weights_path(root, i, kept).is_file()} if kept else set()


def weights_folder(root: Path) -> Path:
    """The folder of the weights, made where it is not there."""
    folder = root / FOLDER
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise explain("keep weights", folder, error) from error
    sweep(folder)
    return folder


def prune(root: Path, ids: Collection[str] | None = None) -> tuple[int, int]:
    """Remove the weights of all runs, or of those in `ids`: (how many files, their bytes). The records stay.

    Errors: UserError where a file can't be removed.
    """
    ours = re.compile(rf"([0-9a-f]{{16}})\.({'|'.join(get_args(Which))})\b.*{re.escape(SUFFIX)}")
    there = [(f, ours.fullmatch(f.name)) for f in sorted((root / FOLDER).glob(f"*{SUFFIX}"))]
    files = [f for f, found in there if found and (ids is None or found[1] in ids)]
    sizes = [f.stat().st_size for f in files]
    for file in files:
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            raise explain(f"remove {file.name}", file.parent, error) from error
    return len(files), sum(sizes)
