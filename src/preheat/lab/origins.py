"""Records of one results folder are of one set of data.

Where a task trains on what lies on this machine (`Task.at_hand`), a run's id is the same for other files. So
before a record is taken for a run's, and before runs are trained beside records that are there, the files at
hand are compared with those that the records name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from preheat.core.errors import UserError
from preheat.core.run import Run
from preheat.core.spec import as_spec, build
from preheat.store.folder import exists
from preheat.store.store import Store


def prepare(runs: Sequence[Run], root: Path, *, dry: bool = False) -> None:
    """See to the folder and the data of `runs`, before any record is taken for one of theirs and anything is
    measured. dry: nothing is made or fetched."""
    same_data(runs, root)
    if not dry:
        Store.open(root)  # a folder that can't be written is told before anything is measured
    get_ready(runs, root, fetch=not dry)


def same_data(runs: Sequence[Run], root: Path) -> None:
    """See to it that the data at hand are those of the records in `root`, for each task of `runs` that trains
    on such.

    Where the files are gone there is nothing to compare: a study that is finished can still be reported.
    Errors: UserError, with what was trained on and what is at hand.
    """
    local = {r.task.name: made for r in runs if (made := build("task", r.task)).at_hand}
    if not local or not exists(root):
        return
    here: dict[str, str | None] = {}
    for name, made in local.items():
        with suppress(UserError):  # no files; who needs them is told when they are asked for
            here[name] = made.origin().get("data")
    for head in Store.open(root, create=False).heads():
        trained, then = head.run_json["task"], head.provenance.get("data")
        now = here.get(trained["name"])
        if then and now and then != now and _at_hand(trained):
            raise UserError(
                f"the records of one results folder must be of one set of data: run {head.id} in {root} was "
                f"trained on {then}, and the files at hand are {now}: name another folder with --results, or "
                "the former files: their folder with --data, or the task's option that names them"
            )


def _at_hand(trained: Mapping[str, Any]) -> bool:
    """Whether a record's task, as it was stored, trained on what lay on the machine."""
    with suppress(UserError):
        return bool(build("task", as_spec(trained, "task")).at_hand)
    return False


def get_ready(runs: Sequence[Run], root: Path, *, fetch: bool) -> None:
    """Ask each task of a run without a record in `root` for its data, before anything is measured; without
    `fetch` nothing is fetched."""
    done = Store.open(root, create=False).ids(check=True) if exists(root) else ()
    for task in {r.task: None for r in runs if r.id not in done}:
        build("task", task).ready(fetch=fetch)
